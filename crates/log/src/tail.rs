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

/// A ring of the latest records, complete from one offset to another. Offsets grow; where a backend
/// numbers with gaps they jump.
pub(crate) struct Tail<T>(Mutex<Ring<T>>);

struct Ring<T> {
    /// The ring has every record there is from here...
    first: Offset,
    /// ... to here, which is not in it.
    next: Offset,
    records: VecDeque<Kept<T>>,
    bytes: usize,
}

/// A record with its offset and its encoded bytes.
pub(crate) struct Kept<T> {
    pub(crate) offset: Offset,
    pub(crate) record: Arc<T>,
    pub(crate) bytes: usize,
}

impl<T> Ring<T> {
    fn beginning(first: Offset) -> Self {
        Self { first, next: first, records: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Tail<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Ring::beginning(1)))
    }

    /// Adds records (each with its encoded bytes) with contiguous offsets from `first` on.
    pub(crate) fn push(&self, first: Offset, records: Vec<(Arc<T>, usize)>) {
        let next = first + records.len() as u64;
        let kept = (first..).zip(records);
        let kept = kept.map(|(offset, (record, bytes))| Kept { offset, record, bytes });
        self.extend(first, kept.collect(), next);
    }

    /// Adds all the records there are from `first` to `next`, and forgets the oldest.
    pub(crate) fn extend(&self, first: Offset, records: Vec<Kept<T>>, next: Offset) {
        let mut ring = lock(&self.0);
        if ring.next != first {
            *ring = Ring::beginning(first);
        }
        ring.bytes += records.iter().map(|kept| kept.bytes).sum::<usize>();
        ring.records.extend(records);
        ring.next = next;
        while ring.bytes > TAIL_BYTES || ring.records.len() > TAIL_RECORDS {
            let Some(oldest) = ring.records.pop_front() else { break };
            ring.bytes -= oldest.bytes;
            ring.first = oldest.offset + 1;
        }
    }

    /// At most `limit` records from `from` to `head`, and where to go on; none if `from` is no
    /// longer (or not yet) here.
    pub(crate) fn from(
        &self,
        from: Offset,
        head: Offset,
        limit: usize,
    ) -> Option<(Vec<Entry<T>>, Offset)> {
        let ring = lock(&self.0);
        let end = ring.next.min(head.saturating_add(1));
        if from < ring.first || from >= end {
            return None;
        }
        let start = ring.records.partition_point(|kept| kept.offset < from);
        let mut records = ring.records.range(start..).take_while(|kept| kept.offset < end);
        let entry =
            |kept: &Kept<T>| Entry { offset: kept.offset, record: Arc::clone(&kept.record) };
        let entries = records.by_ref().take(limit).map(entry).collect();
        Some((entries, records.next().map_or(end, |kept| kept.offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(tail: &Tail<u64>, from: Offset, head: Offset, limit: usize) -> Vec<(Offset, u64)> {
        let (entries, _) = tail.from(from, head, limit).unwrap_or_default();
        entries.iter().map(|entry| (entry.offset, *entry.record)).collect()
    }

    #[test]
    fn gives_only_what_it_has_and_what_is_published() {
        let tail = Tail::new();
        tail.push(5, (5..10).map(|n| (Arc::new(n), 8)).collect());
        assert!(from(&tail, 4, 9, 10).is_empty());
        assert_eq!(from(&tail, 5, 6, 10), [(5, 5), (6, 6)]);
        assert_eq!(from(&tail, 8, 9, 10), [(8, 8), (9, 9)]);
        assert_eq!(from(&tail, 5, 9, 1), [(5, 5)]);
        assert!(from(&tail, 10, 9, 10).is_empty());
        assert!(from(&tail, 99, 9, 10).is_empty());
    }

    #[test]
    fn begins_anew_after_a_jump_and_stays_within_its_bounds() {
        let tail = Tail::new();
        tail.push(1, vec![(Arc::new(1), 8)]);
        tail.push(7, vec![(Arc::new(7), 8)]);
        assert!(from(&tail, 1, 7, 10).is_empty());
        assert_eq!(from(&tail, 7, 7, 10), [(7, 7)]);
        tail.push(8, (8..11).map(|n| (Arc::new(n), TAIL_BYTES / 2)).collect());
        assert!(from(&tail, 8, 10, 10).is_empty());
        assert_eq!(from(&tail, 9, 10, 10), [(9, 9), (10, 10)]);
    }

    #[test]
    fn offsets_may_jump_and_what_is_complete_without_a_record_is_stepped_over() {
        let tail = Tail::new();
        let kept = |offset| Kept { offset, record: Arc::new(offset), bytes: 8 };
        tail.extend(4_096, vec![kept(4_096), kept(4_097)], 8_192);
        tail.extend(8_192, vec![kept(8_192)], 12_288);
        tail.extend(12_288, Vec::new(), 16_384);
        let read = |from, head, limit| {
            let (entries, next) = tail.from(from, head, limit)?;
            Some((entries.into_iter().map(|entry| entry.offset).collect::<Vec<_>>(), next))
        };
        assert_eq!(read(4_096, 16_383, 2), Some((vec![4_096, 4_097], 8_192)));
        assert_eq!(read(4_098, 16_383, 9), Some((vec![8_192], 16_384)));
        assert_eq!(read(8_193, 12_287, 9), Some((vec![], 12_288)));
        assert_eq!(read(4_000, 16_383, 9), None);
        assert_eq!(read(16_384, 16_383, 9), None);
    }
}
