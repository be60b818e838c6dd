//! The small durable files of a topic: who it is (epoch, last known head) and its cursors.
//!
//! ```text
//! identity = "sen-top\n" format(u32) epoch(16) head(u64) crc32c(u32)
//! cursor   = "sen-cur\n" format(u32) epoch(16) head(u64) next(u64) state crc32c(u32)
//! ```
//! Both hold the head as it was when they were written. A topic that is found to end before such a
//! head has lost records that were durable, and begins a new epoch.

use crate::backend::{Epoch, Offset};

/// File name of the identity in a topic's folder.
pub(crate) const FILE_NAME: &str = "identity";
const FORMAT: u32 = 1;
const IDENTITY_MAGIC: [u8; 8] = *b"sen-top\n";
const CURSOR_MAGIC: [u8; 8] = *b"sen-cur\n";

/// An epoch as it stands in files.
pub(crate) type EpochBits = [u8; 16];

/// An epoch as the rest of the program knows it.
pub(crate) fn epoch_of(bits: EpochBits) -> Epoch {
    Epoch(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Which life of the topic this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) epoch: EpochBits,
    pub(crate) head: Offset,
}

/// A saved cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedCursor {
    pub(crate) epoch: EpochBits,
    pub(crate) head: Offset,
    /// The next offset to read; 0 if nothing was saved yet.
    pub(crate) next: Offset,
    pub(crate) state: Vec<u8>,
}

impl Identity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(&[&IDENTITY_MAGIC, &FORMAT.to_le_bytes(), &self.epoch, &self.head.to_le_bytes()])
    }

    /// Reads it back; none if it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = unsealed(bytes, IDENTITY_MAGIC)?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (head, rest) = rest.split_first_chunk()?;
        rest.is_empty().then_some(Self { epoch: *epoch, head: u64::from_le_bytes(*head) })
    }
}

impl SavedCursor {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (head, next) = (self.head.to_le_bytes(), self.next.to_le_bytes());
        let format = FORMAT.to_le_bytes();
        sealed(&[&CURSOR_MAGIC, &format, &self.epoch, &head, &next, &self.state])
    }

    /// Reads it back; none if it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = unsealed(bytes, CURSOR_MAGIC)?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (head, rest) = rest.split_first_chunk()?;
        let (next, state) = rest.split_first_chunk()?;
        let (head, next) = (u64::from_le_bytes(*head), u64::from_le_bytes(*next));
        Some(Self { epoch: *epoch, head, next, state: state.to_vec() })
    }
}

fn sealed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = parts.concat();
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn unsealed(bytes: &[u8], magic: [u8; 8]) -> Option<&[u8]> {
    let (rest, crc) = bytes.split_last_chunk()?;
    let rest = (crc32c::crc32c(rest) == u32::from_le_bytes(*crc)).then_some(rest)?;
    rest.strip_prefix(&magic)?.strip_prefix(&FORMAT.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_make_the_round_trip_and_show_any_damage() {
        let identity = Identity { epoch: [3; 16], head: 77 };
        let state = b"state".to_vec();
        let cursor = SavedCursor { epoch: [4; 16], head: 9, next: 5, state };
        assert_eq!(Identity::decode(&identity.encode()), Some(identity));
        assert_eq!(SavedCursor::decode(&cursor.encode()), Some(cursor.clone()));
        for at in 0..cursor.encode().len() {
            let mut bytes = cursor.encode();
            bytes[at] ^= 1;
            assert_eq!(SavedCursor::decode(&bytes), None, "byte {at}");
            bytes.truncate(at);
            assert_eq!(SavedCursor::decode(&bytes), None, "cut at {at}");
        }
        assert_eq!(Identity::decode(&cursor.encode()), None);
        assert_eq!(epoch_of([0xab; 16]).0, "ab".repeat(16));
    }
}
