//! `Event`: discrete happenings.

use prost::Message;
use sen_model::{Event, Timestamp};

use crate::field::name;
use crate::{DecodeError, Wire, v1};

impl Wire for Event {
    fn encode(&self, out: &mut Vec<u8>) {
        v1::Event::from(self).encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::Event::decode(bytes)?.try_into()
    }
}

impl From<&Event> for v1::Event {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            device: event.device.to_string(),
            kind: event.kind.clone(),
            event_time_ms: event.event_time.as_millis(),
            received_at_ms: event.received_at.as_millis(),
            text: event.text.clone(),
            attributes: event.attributes.clone(),
        }
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = DecodeError;

    fn try_from(message: v1::Event) -> Result<Self, DecodeError> {
        Ok(Self {
            id: message.id,
            device: name(&message.device, "device")?,
            kind: message.kind,
            event_time: Timestamp::from_millis(message.event_time_ms),
            received_at: Timestamp::from_millis(message.received_at_ms),
            text: message.text,
            attributes: message.attributes,
        })
    }
}
