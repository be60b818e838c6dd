//! `Command`: what people and programs ask of the alert desk.

use prost::Message;
use sen_model::{AlertId, Command, Order, Timestamp};

use crate::field::refused;
use crate::{DecodeError, Wire, v1};

impl Wire for Command {
    fn encode(&self, out: &mut Vec<u8>) {
        v1::Command::from(self).encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::Command::decode(bytes)?.try_into()
    }
}

impl From<&Command> for v1::Command {
    fn from(command: &Command) -> Self {
        let order = match &command.order {
            Order::Acknowledge { note } => {
                v1::command::Order::Acknowledge(v1::Acknowledge { note: note.clone() })
            }
        };
        Self {
            idempotency_key: command.idempotency_key.clone(),
            alert: command.alert.to_string(),
            expected_rev: command.expected_rev,
            by: command.by.clone(),
            at_ms: command.at.as_millis(),
            order: Some(order),
        }
    }
}

impl TryFrom<v1::Command> for Command {
    type Error = DecodeError;

    fn try_from(message: v1::Command) -> Result<Self, DecodeError> {
        let order = match message.order.ok_or_else(|| refused("order"))? {
            v1::command::Order::Acknowledge(order) => Order::Acknowledge { note: order.note },
        };
        Ok(Self {
            idempotency_key: message.idempotency_key,
            alert: AlertId::from_text(&message.alert),
            expected_rev: message.expected_rev,
            order,
            by: message.by,
            at: Timestamp::from_millis(message.at_ms),
        })
    }
}
