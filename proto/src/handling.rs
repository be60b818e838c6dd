//! What people and the desk did with an alert, as parts of its record.

use sen_model::alert::{Assignment, Closing, Explanation, Note, Shelving, Suppression};
use sen_model::{AlertId, Cause, Timestamp};

use crate::field::{name, refused};
use crate::v1::suppression::{ByPerson, Dependency, Why};
use crate::{DecodeError, v1};

impl From<&Shelving> for v1::Shelving {
    fn from(shelving: &Shelving) -> Self {
        Self {
            by: shelving.by.clone(),
            at_ms: shelving.at.as_millis(),
            reason: shelving.reason.clone(),
            until_ms: shelving.until.as_millis(),
            one_shot: shelving.one_shot,
        }
    }
}

impl From<v1::Shelving> for Shelving {
    fn from(message: v1::Shelving) -> Self {
        Self {
            by: message.by,
            at: Timestamp::from_millis(message.at_ms),
            reason: message.reason,
            until: Timestamp::from_millis(message.until_ms),
            one_shot: message.one_shot,
        }
    }
}

impl From<&Suppression> for v1::Suppression {
    fn from(suppression: &Suppression) -> Self {
        let why = match &suppression.why {
            Explanation::Level { alert } => Why::Level(alert.to_string()),
            Explanation::Dependency { alert, device } => {
                Why::Dependency(Dependency { alert: alert.to_string(), device: device.to_string() })
            }
            Explanation::Member { alert } => Why::Member(alert.to_string()),
            Explanation::Maintenance { entry } => Why::Maintenance(entry.clone()),
            Explanation::Person { by, reason } => {
                Why::Person(ByPerson { by: by.clone(), reason: reason.clone() })
            }
        };
        Self {
            at_ms: suppression.at.as_millis(),
            until_ms: suppression.until.map(Timestamp::as_millis),
            why: Some(why),
        }
    }
}

impl TryFrom<v1::Suppression> for Suppression {
    type Error = DecodeError;

    fn try_from(message: v1::Suppression) -> Result<Self, DecodeError> {
        let why = match message.why.ok_or_else(|| refused("why"))? {
            Why::Level(alert) => Explanation::Level { alert: AlertId::from_text(&alert) },
            Why::Dependency(on) => Explanation::Dependency {
                alert: AlertId::from_text(&on.alert),
                device: name(&on.device, "device")?,
            },
            Why::Member(alert) => Explanation::Member { alert: AlertId::from_text(&alert) },
            Why::Maintenance(entry) => Explanation::Maintenance { entry },
            Why::Person(ByPerson { by, reason }) => Explanation::Person { by, reason },
        };
        Ok(Self {
            why,
            at: Timestamp::from_millis(message.at_ms),
            until: message.until_ms.map(Timestamp::from_millis),
        })
    }
}

impl From<&Assignment> for v1::Assignment {
    fn from(assignment: &Assignment) -> Self {
        Self {
            to: assignment.to.clone(),
            by: assignment.by.clone(),
            at_ms: assignment.at.as_millis(),
        }
    }
}

impl From<v1::Assignment> for Assignment {
    fn from(message: v1::Assignment) -> Self {
        Self { to: message.to, by: message.by, at: Timestamp::from_millis(message.at_ms) }
    }
}

impl From<&Note> for v1::Note {
    fn from(note: &Note) -> Self {
        Self { by: note.by.clone(), at_ms: note.at.as_millis(), text: note.text.clone() }
    }
}

impl From<v1::Note> for Note {
    fn from(message: v1::Note) -> Self {
        Self { by: message.by, at: Timestamp::from_millis(message.at_ms), text: message.text }
    }
}

impl From<&Closing> for v1::Closing {
    fn from(closing: &Closing) -> Self {
        let cause = match closing.cause {
            Cause::Resolved => v1::Cause::Resolved,
            Cause::FalseAlarm => v1::Cause::FalseAlarm,
            Cause::Planned => v1::Cause::Planned,
            Cause::Duplicate => v1::Cause::Duplicate,
            Cause::HandedOver => v1::Cause::HandedOver,
        };
        Self {
            by: closing.by.clone(),
            at_ms: closing.at.as_millis(),
            cause: cause.into(),
            note: closing.note.clone(),
        }
    }
}

impl TryFrom<v1::Closing> for Closing {
    type Error = DecodeError;

    fn try_from(message: v1::Closing) -> Result<Self, DecodeError> {
        let cause = match message.cause() {
            v1::Cause::Resolved => Cause::Resolved,
            v1::Cause::FalseAlarm => Cause::FalseAlarm,
            v1::Cause::Planned => Cause::Planned,
            v1::Cause::Duplicate => Cause::Duplicate,
            v1::Cause::HandedOver => Cause::HandedOver,
            v1::Cause::Unspecified => return Err(refused("cause")),
        };
        Ok(Self {
            by: message.by,
            at: Timestamp::from_millis(message.at_ms),
            cause,
            note: message.note,
        })
    }
}
