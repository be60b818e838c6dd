//! Pure: how several records travel in one message, and what a message is known by.
//!
//! ```text
//! message = format(1 byte) { length(u32, little endian) record }
//! ```

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use super::mapping::Lanes;
use super::names::{BUCKETS, MAX_INDEX};

/// Records after which a message is full.
pub(crate) const MESSAGE_RECORDS: usize = 100;
/// Encoded bytes after which a message is full; a larger record travels alone.
pub(crate) const MESSAGE_BYTES: usize = 128 << 10;
/// Bytes around each record of a batched message, and before all of them.
pub(crate) const FRAME_BYTES: usize = 5;

const FORMAT: u8 = 1;
const LENGTH_BYTES: usize = 4;

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) bucket: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: u64,
}

/// Sorts records (each with the hash of its key) into messages. Records of one lane keep their order.
pub(crate) fn pack<'a>(
    records: impl Iterator<Item = (u64, &'a [u8])>,
    lanes: &Lanes,
) -> Vec<Packed> {
    let mut full = Vec::new();
    let mut open: Vec<Option<Packed>> = vec![None; BUCKETS as usize];
    for (key, record) in records {
        let bucket = lanes.of_key(key);
        let slot = &mut open[bucket as usize];
        let is_full = |packed: &mut Packed| {
            packed.records as usize >= MESSAGE_RECORDS
                || packed.bytes.len() + record.len() > MESSAGE_BYTES
        };
        full.extend(slot.take_if(is_full));
        let packed = slot.get_or_insert_with(|| Packed { bucket, bytes: vec![FORMAT], records: 0 });
        packed.bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        packed.bytes.extend_from_slice(record);
        packed.records += 1;
    }
    full.extend(open.into_iter().flatten());
    full
}

/// Where the records of a message stand in it; none if it is not such a message.
pub(crate) fn unpack(message: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut places = Vec::new();
    let mut at = 1;
    if *message.first()? != FORMAT {
        return None;
    }
    while at < message.len() {
        let length = u32::from_le_bytes(*message[at..].first_chunk::<LENGTH_BYTES>()?);
        let start = at + LENGTH_BYTES;
        at = start.checked_add(usize::try_from(length).ok()?)?;
        if at > message.len() || places.len() as u64 > MAX_INDEX {
            return None;
        }
        places.push(start..at);
    }
    Some(places)
}

/// What a message is known by when it may be sent twice: 128 bits of its content. The server keeps
/// ids for two minutes, so a later version of Sen may hash in another way.
pub(crate) fn id_of(bytes: &[u8]) -> String {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(bytes);
        hasher.finish()
    };
    format!("{:016x}{:016x}", hash(1), hash(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each() -> Lanes {
        Lanes::default()
    }

    #[test]
    fn records_are_sorted_by_bucket_and_found_again_in_order() {
        let records: Vec<(u64, Vec<u8>)> =
            (0..1_000_u64).map(|n| (n % 70, n.to_string().into_bytes())).collect();
        let packed = pack(records.iter().map(|(key, bytes)| (*key, bytes.as_slice())), &each());
        let mut found = vec![Vec::new(); BUCKETS as usize];
        for message in &packed {
            let places = unpack(&message.bytes).unwrap();
            assert!(places.len() <= MESSAGE_RECORDS && places.len() as u64 == message.records);
            let texts = places.into_iter().map(|place| message.bytes[place].to_vec());
            found[message.bucket as usize].extend(texts);
        }
        for bucket in 0..BUCKETS {
            let mine = records.iter().filter(|(key, _)| key % BUCKETS == bucket);
            let wanted: Vec<_> = mine.map(|(_, bytes)| bytes.clone()).collect();
            assert_eq!(found[bucket as usize], wanted);
        }
    }

    #[test]
    fn messages_are_bounded_and_large_records_travel_alone() {
        let large = vec![7; MESSAGE_BYTES];
        let packed = pack([(1, &b"a"[..]), (1, &large), (1, b"b")].into_iter(), &each());
        assert_eq!(packed.iter().map(|it| it.records).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(pack(std::iter::repeat_n((1, &b""[..]), 250), &each()).len(), 3);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let packed = pack([(1, &b"abc"[..])].into_iter(), &each());
        for cut in 2..packed[0].bytes.len() {
            assert_eq!(unpack(&packed[0].bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(unpack(b""), None);
        assert_eq!(unpack(b"\x02"), None);
        assert_eq!(unpack(&[FORMAT]), Some(Vec::new()));
    }

    #[test]
    fn the_id_is_of_the_content() {
        assert_eq!(id_of(b"a"), id_of(b"a"));
        assert_ne!(id_of(b"a"), id_of(b"b"));
        assert_eq!(id_of(b"").len(), 32);
    }
}
