//! Pure: cuts a snapshot into parts that fit into frames.

use std::ops::Range;
use std::sync::Arc;

use sen_model::AlertRecord;

use crate::wire::MAX_FRAME_OUT_BYTES;

/// What a part needs besides its items.
const ENVELOPE_BYTES: usize = 256;

/// Which records go into which part; at least one part, which may be empty.
pub(super) fn parts(records: &[Arc<AlertRecord>]) -> Vec<Range<usize>> {
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, ENVELOPE_BYTES);
    for (index, record) in records.iter().enumerate() {
        let length = length(record) + 1;
        if bytes + length > MAX_FRAME_OUT_BYTES && index > begin {
            parts.push(begin..index);
            (begin, bytes) = (index, ENVELOPE_BYTES);
        }
        bytes += length;
    }
    parts.push(begin..records.len());
    parts
}

/// How long a record is as JSON. Written only to be counted: a snapshot of ten thousand alerts is
/// then never in memory as text.
fn length(record: &AlertRecord) -> usize {
    let mut count = Count(0);
    // Counting cannot fail, and a record is always JSON.
    let _ = serde_json::to_writer(&mut count, record);
    count.0
}

struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::wire::FromServer;
    use sen_model::Field;

    #[test]
    fn an_empty_snapshot_is_one_part() {
        let parts = parts(&[]);
        assert_eq!((parts.len(), parts[0].len()), (1, 0));
    }

    #[test]
    fn every_part_fits_and_together_they_are_everything() {
        let records: Vec<_> = (0..1_000)
            .map(|n| {
                let mut record = sample::alert(&format!("a{n}"), 1, Field::Security);
                record.text.vi = "Đ".repeat(n % 700);
                Arc::new(record)
            })
            .collect();
        let parts = parts(&records);
        let mut next = 0;
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(part.start, next);
            next = part.end;
            let frame = FromServer::Snapshot {
                epoch: "0".repeat(32),
                as_of: u64::MAX,
                part: index + 1,
                n: parts.len(),
                items: records[part.clone()].to_vec(),
            };
            assert!(serde_json::to_string(&frame).unwrap().len() <= MAX_FRAME_OUT_BYTES);
        }
        assert_eq!(next, records.len());
        assert!(parts.len() > 5);
    }
}
