//! `AlertRecord`: one change of one episode.

use prost::Message;
use sen_model::alert::Acknowledgement;
use sen_model::{AlertId, AlertRecord, AlertState, Change, Field, Severity, Text, Timestamp};

use crate::field::{finite, name, refused};
use crate::{DecodeError, Wire, v1};

impl Wire for AlertRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        v1::AlertRecord::from(self).encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::AlertRecord::decode(bytes)?.try_into()
    }
}

impl From<&AlertRecord> for v1::AlertRecord {
    fn from(record: &AlertRecord) -> Self {
        Self {
            id: record.id.to_string(),
            rev: record.rev,
            change: v1::Change::from(record.change).into(),
            state: v1::AlertState::from(record.state).into(),
            rule: record.rule.to_string(),
            rule_version: record.rule_version.clone(),
            // The numbers of the enum are the levels.
            severity: i32::from(record.severity.level()),
            field: v1::Field::from(record.field).into(),
            device: record.device.to_string(),
            metric: record.metric.as_ref().map(ToString::to_string),
            area: record.area.as_ref().map(ToString::to_string),
            value: record.value,
            limit: record.limit,
            event_time_ms: record.event_time.as_millis(),
            started_at_ms: record.started_at.as_millis(),
            cleared_at_ms: record.cleared_at.map(Timestamp::as_millis),
            recorded_at_ms: record.recorded_at.as_millis(),
            acknowledgement: record.acknowledgement.as_ref().map(Into::into),
            late: record.late,
            text: Some(v1::Text { vi: record.text.vi.clone(), en: record.text.en.clone() }),
            level: record.level.into(),
            group: record.group.clone(),
            latched: record.latched,
            chattering: record.chattering,
            drill: record.drill,
            shelving: record.shelving.as_ref().map(Into::into),
            suppression: record.suppression.as_ref().map(Into::into),
            out_of_service: record.out_of_service.clone(),
            assignment: record.assignment.as_ref().map(Into::into),
            notes: record.notes.iter().map(Into::into).collect(),
            closing: record.closing.as_ref().map(Into::into),
            members: record.members.iter().map(ToString::to_string).collect(),
            attributes: record.attributes.clone(),
        }
    }
}

impl TryFrom<v1::AlertRecord> for AlertRecord {
    type Error = DecodeError;

    fn try_from(message: v1::AlertRecord) -> Result<Self, DecodeError> {
        let optional = |value: Option<f64>, field| value.map(|v| finite(v, field)).transpose();
        Ok(Self {
            change: change_of(message.change())?,
            state: state_of(message.state())?,
            severity: severity_of(message.severity)?,
            field: field_of(message.field())?,
            id: AlertId::from_text(&message.id),
            rev: message.rev,
            rule: name(&message.rule, "rule")?,
            rule_version: message.rule_version,
            device: name(&message.device, "device")?,
            metric: message.metric.map(|text| name(&text, "metric")).transpose()?,
            area: message.area.map(|text| name(&text, "area")).transpose()?,
            value: optional(message.value, "value")?,
            limit: optional(message.limit, "limit")?,
            event_time: Timestamp::from_millis(message.event_time_ms),
            started_at: Timestamp::from_millis(message.started_at_ms),
            cleared_at: message.cleared_at_ms.map(Timestamp::from_millis),
            recorded_at: Timestamp::from_millis(message.recorded_at_ms),
            acknowledgement: message.acknowledgement.map(Into::into),
            late: message.late,
            text: message.text.map(|text| Text { vi: text.vi, en: text.en }).unwrap_or_default(),
            level: u8::try_from(message.level).map_err(|_| refused("level"))?,
            group: message.group,
            latched: message.latched,
            chattering: message.chattering,
            drill: message.drill,
            shelving: message.shelving.map(Into::into),
            suppression: message.suppression.map(TryInto::try_into).transpose()?,
            out_of_service: message.out_of_service,
            assignment: message.assignment.map(Into::into),
            notes: message.notes.into_iter().map(Into::into).collect(),
            closing: message.closing.map(TryInto::try_into).transpose()?,
            members: message.members.iter().map(|id| AlertId::from_text(id)).collect(),
            attributes: message.attributes,
        })
    }
}

impl From<&Acknowledgement> for v1::Acknowledgement {
    fn from(taken: &Acknowledgement) -> Self {
        Self { by: taken.by.clone(), at_ms: taken.at.as_millis(), note: taken.note.clone() }
    }
}

impl From<v1::Acknowledgement> for Acknowledgement {
    fn from(message: v1::Acknowledgement) -> Self {
        Self { by: message.by, at: Timestamp::from_millis(message.at_ms), note: message.note }
    }
}

impl From<Change> for v1::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::Raised => Self::Raised,
            Change::Acknowledged => Self::Acknowledged,
            Change::Cleared => Self::Cleared,
            Change::Superseded => Self::Superseded,
            Change::Assigned => Self::Assigned,
            Change::Noted => Self::Noted,
            Change::Shelved => Self::Shelved,
            Change::Unshelved => Self::Unshelved,
            Change::Suppressed => Self::Suppressed,
            Change::Unsuppressed => Self::Unsuppressed,
            Change::TakenOut => Self::TakenOut,
            Change::PutBack => Self::PutBack,
            Change::Reset => Self::Reset,
            Change::Closed => Self::Closed,
            Change::Updated => Self::Updated,
        }
    }
}

/// Generated getters turn unknown numbers into `Unspecified`; so in the functions below too.
fn change_of(change: v1::Change) -> Result<Change, DecodeError> {
    match change {
        v1::Change::Raised => Ok(Change::Raised),
        v1::Change::Acknowledged => Ok(Change::Acknowledged),
        v1::Change::Cleared => Ok(Change::Cleared),
        v1::Change::Superseded => Ok(Change::Superseded),
        v1::Change::Assigned => Ok(Change::Assigned),
        v1::Change::Noted => Ok(Change::Noted),
        v1::Change::Shelved => Ok(Change::Shelved),
        v1::Change::Unshelved => Ok(Change::Unshelved),
        v1::Change::Suppressed => Ok(Change::Suppressed),
        v1::Change::Unsuppressed => Ok(Change::Unsuppressed),
        v1::Change::TakenOut => Ok(Change::TakenOut),
        v1::Change::PutBack => Ok(Change::PutBack),
        v1::Change::Reset => Ok(Change::Reset),
        v1::Change::Closed => Ok(Change::Closed),
        v1::Change::Updated => Ok(Change::Updated),
        v1::Change::Unspecified => Err(refused("change")),
    }
}

impl From<AlertState> for v1::AlertState {
    fn from(state: AlertState) -> Self {
        match state {
            AlertState::Unacknowledged => Self::Unacknowledged,
            AlertState::Acknowledged => Self::Acknowledged,
            AlertState::ReturnedUnacknowledged => Self::ReturnedUnacknowledged,
            AlertState::Latched => Self::Latched,
            AlertState::Normal => Self::Normal,
        }
    }
}

fn state_of(state: v1::AlertState) -> Result<AlertState, DecodeError> {
    match state {
        v1::AlertState::Unacknowledged => Ok(AlertState::Unacknowledged),
        v1::AlertState::Acknowledged => Ok(AlertState::Acknowledged),
        v1::AlertState::ReturnedUnacknowledged => Ok(AlertState::ReturnedUnacknowledged),
        v1::AlertState::Latched => Ok(AlertState::Latched),
        v1::AlertState::Normal => Ok(AlertState::Normal),
        v1::AlertState::Unspecified => Err(refused("state")),
    }
}

fn severity_of(number: i32) -> Result<Severity, DecodeError> {
    let level = u8::try_from(number).map_err(|_| refused("severity"))?;
    Severity::try_from(level).map_err(|_| refused("severity"))
}

impl From<Field> for v1::Field {
    fn from(field: Field) -> Self {
        match field {
            Field::SocioEconomy => Self::SocioEconomy,
            Field::Security => Self::Security,
            Field::Transport => Self::Transport,
            Field::Environment => Self::Environment,
            Field::PublicServices => Self::PublicServices,
        }
    }
}

fn field_of(field: v1::Field) -> Result<Field, DecodeError> {
    match field {
        v1::Field::SocioEconomy => Ok(Field::SocioEconomy),
        v1::Field::Security => Ok(Field::Security),
        v1::Field::Transport => Ok(Field::Transport),
        v1::Field::Environment => Ok(Field::Environment),
        v1::Field::PublicServices => Ok(Field::PublicServices),
        v1::Field::Unspecified => Err(refused("field")),
    }
}
