//! `Delivery` and `OnCallRecord`: who was called, and who is to be.

use prost::Message;
use sen_model::{AlertId, Delivery, DeliveryState, OnCallRecord, Timestamp};

use crate::field::{document, refused, written};
use crate::{DecodeError, Wire, v1};

impl Wire for Delivery {
    fn encode(&self, out: &mut Vec<u8>) {
        let state = match self.state {
            DeliveryState::Waiting => v1::DeliveryState::Waiting,
            DeliveryState::Delivered => v1::DeliveryState::Delivered,
            DeliveryState::Failed => v1::DeliveryState::Failed,
            DeliveryState::Acknowledged => v1::DeliveryState::Acknowledged,
            DeliveryState::Cancelled => v1::DeliveryState::Cancelled,
        };
        let message = v1::Delivery {
            id: self.id.clone(),
            rev: self.rev,
            alert: self.alert.to_string(),
            step: self.step,
            person: self.person.clone(),
            channel: self.channel.clone(),
            state: state.into(),
            attempts: self.attempts,
            at_ms: self.at.as_millis(),
            detail: self.detail.clone(),
        };
        message.encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = v1::Delivery::decode(bytes)?;
        let state = match message.state() {
            v1::DeliveryState::Waiting => DeliveryState::Waiting,
            v1::DeliveryState::Delivered => DeliveryState::Delivered,
            v1::DeliveryState::Failed => DeliveryState::Failed,
            v1::DeliveryState::Acknowledged => DeliveryState::Acknowledged,
            v1::DeliveryState::Cancelled => DeliveryState::Cancelled,
            v1::DeliveryState::Unspecified => return Err(refused("state")),
        };
        Ok(Self {
            id: message.id,
            rev: message.rev,
            alert: AlertId::from_text(&message.alert),
            step: message.step,
            person: message.person,
            channel: message.channel,
            state,
            attempts: message.attempts,
            at: Timestamp::from_millis(message.at_ms),
            detail: message.detail,
        })
    }
}

impl Wire for OnCallRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let message = v1::OnCallRecord {
            id: self.id.clone(),
            rev: self.rev,
            open: self.open,
            by: self.by.clone(),
            at_ms: self.at.as_millis(),
            entry: written(&self.entry),
        };
        message.encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = v1::OnCallRecord::decode(bytes)?;
        Ok(Self {
            id: message.id,
            rev: message.rev,
            open: message.open,
            by: message.by,
            at: Timestamp::from_millis(message.at_ms),
            entry: document(&message.entry, "entry")?,
        })
    }
}
