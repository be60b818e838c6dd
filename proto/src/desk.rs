//! `DeskRecord`: one change of one entry of the desk.

use prost::Message;
use sen_model::{DeskRecord, EntryId, Timestamp};

use crate::field::{document, written};
use crate::{DecodeError, Wire, v1};

impl Wire for DeskRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let message = v1::DeskRecord {
            id: self.id.to_string(),
            rev: self.rev,
            open: self.open,
            by: self.by.clone(),
            at_ms: self.at.as_millis(),
            entry: written(&self.entry),
        };
        message.encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = v1::DeskRecord::decode(bytes)?;
        Ok(Self {
            id: EntryId::from_text(message.id),
            rev: message.rev,
            open: message.open,
            by: message.by,
            at: Timestamp::from_millis(message.at_ms),
            entry: document(&message.entry, "entry")?,
        })
    }
}
