//! The latest records of a topic, decoded, in memory: readers at the head share them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::backend::Offset;
use crate::{Entry, lock};

/// Encoded bytes of the records kept at the tail of one topic. Decoded they take about three times
/// as much; a reader further behind reads the files.
const TAIL_BYTES: usize = 4 << 20;
/// Records kept at the tail of one topic, however small.
const TAIL_RECORDS: usize = 32_768;

/// A ring of the latest records with contiguous offsets.
pub(crate) struct Tail<T>(Mutex<Ring<T>>);

struct Ring<T> {
    /// Offset of the front.
    first: Offset,
    records: VecDeque<(Arc<T>, usize)>,
    bytes: usize,
}

impl<T> Tail<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Ring { first: 1, records: VecDeque::new(), bytes: 0 }))
    }

    /// Adds records (each with its encoded bytes) that begin at `first`, and forgets the oldest.
    pub(crate) fn push(&self, first: Offset, records: Vec<(Arc<T>, usize)>) {
        let mut ring = lock(&self.0);
        if ring.first + ring.records.len() as u64 != first {
            *ring = Ring { first, records: VecDeque::new(), bytes: 0 };
        }
        ring.bytes += records.iter().map(|(_, bytes)| bytes).sum::<usize>();
        ring.records.extend(records);
        while ring.bytes > TAIL_BYTES || ring.records.len() > TAIL_RECORDS {
            let Some((_, bytes)) = ring.records.pop_front() else { break };
            ring.bytes -= bytes;
            ring.first += 1;
        }
    }

    /// At most `limit` records from `from` to `head`; none if `from` is no longer (or not) here.
    pub(crate) fn from(&self, from: Offset, head: Offset, limit: usize) -> Vec<Entry<T>> {
        let ring = lock(&self.0);
        let Some(skip) = from.checked_sub(ring.first) else { return Vec::new() };
        let published = (head + 1).saturating_sub(from);
        let count = limit.min(usize::try_from(published).unwrap_or(limit));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(ring.records.len());
        let records = ring.records.range(skip..).take(count);
        let entry = |(offset, (record, _)): (Offset, &(Arc<T>, usize))| Entry {
            offset,
            record: Arc::clone(record),
        };
        (from..).zip(records).map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(entries: &[Entry<u64>]) -> Vec<(Offset, u64)> {
        entries.iter().map(|entry| (entry.offset, *entry.record)).collect()
    }

    #[test]
    fn gives_only_what_it_has_and_what_is_published() {
        let tail = Tail::new();
        tail.push(5, (5..10).map(|n| (Arc::new(n), 8)).collect());
        assert!(tail.from(4, 9, 10).is_empty());
        assert_eq!(offsets(&tail.from(5, 6, 10)), [(5, 5), (6, 6)]);
        assert_eq!(offsets(&tail.from(8, 9, 10)), [(8, 8), (9, 9)]);
        assert_eq!(offsets(&tail.from(5, 9, 1)), [(5, 5)]);
        assert!(tail.from(10, 9, 10).is_empty());
        assert!(tail.from(99, 9, 10).is_empty());
    }

    #[test]
    fn begins_anew_after_a_jump_and_stays_within_its_bounds() {
        let tail = Tail::new();
        tail.push(1, vec![(Arc::new(1), 8)]);
        tail.push(7, vec![(Arc::new(7), 8)]);
        assert!(tail.from(1, 7, 10).is_empty());
        assert_eq!(offsets(&tail.from(7, 7, 10)), [(7, 7)]);
        tail.push(8, (8..11).map(|n| (Arc::new(n), TAIL_BYTES / 2)).collect());
        assert!(tail.from(8, 10, 10).is_empty());
        assert_eq!(offsets(&tail.from(9, 10, 10)), [(9, 9), (10, 10)]);
    }
}
