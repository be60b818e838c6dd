//! `Command`: what people and programs ask of the alert desk.

use prost::Message;
use sen_model::{Command, Timestamp};

use crate::field::{document, written};
use crate::{DecodeError, Wire, v1};

impl Wire for Command {
    fn encode(&self, out: &mut Vec<u8>) {
        let message = v1::Command {
            idempotency_key: self.idempotency_key.clone(),
            by: self.by.clone(),
            at_ms: self.at.as_millis(),
            order: written(&self.order),
        };
        message.encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = v1::Command::decode(bytes)?;
        Ok(Self {
            idempotency_key: message.idempotency_key,
            order: document(&message.order, "order")?,
            by: message.by,
            at: Timestamp::from_millis(message.at_ms),
        })
    }
}
