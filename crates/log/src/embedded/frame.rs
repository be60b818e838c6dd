//! The format of segment files: pure functions between values and bytes.
//!
//! ```text
//! segment  = header(128) frame*
//! header   = magic(8) format(u32) marker(u32) epoch(16) base(u64) created_ms(i64)
//!            topic_length(u32) topic(56) zeros crc32c(u32, of the 124 bytes before)
//! frame    = marker(u32) length(u32) offset(u64) appended_ms(i64)
//!            payload_crc32c(u32) header_crc32c(u32, of the 28 bytes before) payload(length)
//! ```
//! Everything is little-endian. A frame's header has its own checksum, so damage in a payload
//! leaves its length trusted and costs exactly that record. The marker is random for each segment:
//! a payload cannot pretend to be a frame, since who writes payloads does not know it.

use crate::backend::Offset;

/// Bytes before the first frame.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 128;
/// Bytes of a frame before its payload; so the least a record takes.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// Largest payload a frame can have; configuration may allow less.
pub(crate) const MAX_PAYLOAD_BYTES: u32 = 16 << 20;
/// Longest name of a topic or cursor.
pub(crate) const NAME_BYTES: usize = 56;
/// The format this code writes and reads.
pub(crate) const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"sen-log\n";
const HEADER_CRC_AT: usize = SEGMENT_HEADER_BYTES - 4;
const FRAME_CRC_AT: usize = FRAME_HEADER_BYTES - 4;

/// What begins a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Begins every frame of the segment.
    pub(crate) marker: u32,
    /// The topic's epoch when the segment was begun.
    pub(crate) epoch: [u8; 16],
    /// Offset of its first record.
    pub(crate) base: Offset,
    /// When it was begun; so no record of an earlier segment is younger.
    pub(crate) created_ms: i64,
    /// The topic, for people who find the file alone.
    pub(crate) topic: String,
}

/// What the first bytes of a segment file turn out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFound {
    /// A header of this format.
    Sound(SegmentHeader),
    /// A sound header of another format.
    Newer(u32),
    /// Not a header.
    Damaged,
}

impl SegmentHeader {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.marker.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.epoch);
        bytes[32..40].copy_from_slice(&self.base.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_ms.to_le_bytes());
        let topic = &self.topic.as_bytes()[..self.topic.len().min(NAME_BYTES)];
        bytes[48..52].copy_from_slice(&(topic.len() as u32).to_le_bytes());
        bytes[52..52 + topic.len()].copy_from_slice(topic);
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header back.
    pub(crate) fn decode(bytes: &[u8]) -> HeaderFound {
        let Some(bytes) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return HeaderFound::Damaged;
        };
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]);
        if bytes[..8] != MAGIC || crc != u32_at(bytes, HEADER_CRC_AT) {
            return HeaderFound::Damaged;
        }
        let format = u32_at(bytes, 8);
        if format != FORMAT {
            return HeaderFound::Newer(format);
        }
        let mut epoch = [0; 16];
        epoch.copy_from_slice(&bytes[16..32]);
        let length = (u32_at(bytes, 48) as usize).min(NAME_BYTES);
        HeaderFound::Sound(Self {
            marker: u32_at(bytes, 12),
            epoch,
            base: u64_at(bytes, 32),
            created_ms: u64_at(bytes, 40) as i64,
            topic: String::from_utf8_lossy(&bytes[52..52 + length]).into_owned(),
        })
    }
}

/// A frame's header, already checked against its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) marker: u32,
    pub(crate) offset: Offset,
    pub(crate) appended_ms: i64,
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
}

impl FrameHeader {
    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.length as usize
    }

    /// Whether this is the payload that was written.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        crc32c::crc32c(payload) == self.payload_crc
    }
}

/// Appends a frame to `out`.
pub(crate) fn put_frame(
    marker: u32,
    offset: Offset,
    appended_ms: i64,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let mut header = [0; FRAME_HEADER_BYTES];
    header[..4].copy_from_slice(&marker.to_le_bytes());
    header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&offset.to_le_bytes());
    header[16..24].copy_from_slice(&appended_ms.to_le_bytes());
    header[24..28].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let crc = crc32c::crc32c(&header[..FRAME_CRC_AT]);
    header[FRAME_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A sound frame header.
    Header(FrameHeader),
    /// No header in the first so many bytes (at least one).
    Noise(usize),
    /// Too few bytes to tell.
    Short,
}

/// Looks for a frame header at the beginning of `bytes`. Without the marker (the segment's header
/// is damaged) any frame header with a sound checksum is taken.
pub(crate) fn look(bytes: &[u8], marker: Option<u32>) -> Found {
    let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else { return Found::Short };
    if let Some(header) = sound_header(header, marker) {
        return Found::Header(header);
    }
    let could_begin = |at: &usize| match marker {
        Some(marker) => bytes[*at..].starts_with(&marker.to_le_bytes()),
        None => bytes[*at..].first_chunk().is_some_and(|it| sound_header(it, None).is_some()),
    };
    // The last bytes may hold the beginning of a header: they are looked at again with more.
    let looked_at = bytes.len() - FRAME_HEADER_BYTES + 1;
    Found::Noise((1..looked_at).find(could_begin).unwrap_or(looked_at))
}

fn sound_header(bytes: &[u8; FRAME_HEADER_BYTES], marker: Option<u32>) -> Option<FrameHeader> {
    let header = FrameHeader {
        marker: u32_at(bytes, 0),
        length: u32_at(bytes, 4),
        offset: u64_at(bytes, 8),
        appended_ms: u64_at(bytes, 16) as i64,
        payload_crc: u32_at(bytes, 24),
    };
    let expected = marker.is_none_or(|marker| marker == header.marker)
        && header.length <= MAX_PAYLOAD_BYTES
        && crc32c::crc32c(&bytes[..FRAME_CRC_AT]) == u32_at(bytes, FRAME_CRC_AT);
    expected.then_some(header)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let (epoch, topic) = ([7; 16], "readings".to_owned());
        SegmentHeader { marker: 0xdead_beef, epoch, base: 42, created_ms: -5, topic }
    }

    #[test]
    fn segment_headers_make_the_round_trip_and_show_any_damage() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), HeaderFound::Sound(header()));
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&damaged), HeaderFound::Damaged, "byte {at}");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..127]), HeaderFound::Damaged);
    }

    #[test]
    fn a_later_format_is_not_taken_for_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), HeaderFound::Newer(2));
    }

    #[test]
    fn frames_are_found_after_noise_and_never_half() {
        let mut bytes = vec![0xab; 50];
        put_frame(9, 3, 0, b"payload", &mut bytes);
        for marker in [Some(9), None] {
            let Found::Noise(skip) = look(&bytes, marker) else { panic!("noise expected") };
            assert_eq!(skip, 50);
            let Found::Header(header) = look(&bytes[skip..], marker) else { panic!("a header") };
            assert_eq!((header.offset, header.frame_bytes()), (3, 39));
            assert!(header.matches(b"payload") && !header.matches(b"Payload"));
            assert_eq!(look(&bytes[50..81], marker), Found::Short);
        }
        assert_eq!(look(&bytes[50..], Some(8)), Found::Noise(8));
    }
}
