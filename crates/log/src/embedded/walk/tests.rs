//! Any damage in one record costs that record only, and nothing is ever invented.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::frame::put_frame;
use super::*;

const MARKER: u32 = 0x5eed_1234;
const BASE: Offset = 40;

type Records = Vec<(Offset, Vec<u8>)>;

/// A segment and where each frame begins; the last entry is the end.
fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
    let mut starts = Vec::new();
    for (offset, payload) in (BASE..).zip(payloads) {
        starts.push(bytes.len());
        put_frame(MARKER, offset, 0, payload, &mut bytes);
    }
    starts.push(bytes.len());
    (bytes, starts)
}

fn walk(bytes: &[u8], marker: Option<u32>, limit: Offset) -> (Records, Vec<Lost>, Ending) {
    let mut walk = Walk::whole(bytes, marker, BASE, limit);
    let (mut records, mut losses) = (Records::new(), Vec::new());
    while let Some(item) = walk.step().expect("memory does not fail") {
        match item {
            Item::Record { offset, .. } => records.push((offset, walk.payload().to_vec())),
            Item::Lost(lost) => losses.push(lost),
        }
    }
    (records, losses, walk.ending())
}

fn numbered(payloads: &[Vec<u8>]) -> Records {
    (BASE..).zip(payloads.iter().cloned()).collect()
}

fn without(payloads: &[Vec<u8>], victim: usize) -> Records {
    let mut records = numbered(payloads);
    records.remove(victim);
    records
}

/// A few records, some of them larger than the window.
fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let payload = prop_oneof![
        20 => vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), 0..3 * WINDOW_BYTES).prop_map(|(byte, length)| vec![byte; length]),
    ];
    vec(payload, 1..12)
}

proptest! {
    #[test]
    fn sound_segments_are_read_whole(payloads in payloads(), is_marker_known: bool) {
        let (bytes, _) = segment(&payloads);
        let (records, losses, ending) =
            walk(&bytes, is_marker_known.then_some(MARKER), Offset::MAX);
        prop_assert_eq!(records, numbered(&payloads));
        prop_assert_eq!(losses, vec![]);
        let (next, position) = (BASE + payloads.len() as u64, bytes.len() as u64);
        prop_assert_eq!(ending, Ending { next, position, residue_bytes: 0, residue_records: 0 });
    }

    #[test]
    fn damage_in_one_record_costs_that_record_only(
        payloads in payloads(), victim: Index, from: Index, damage in vec(1_u8.., 1..100),
        is_marker_known: bool,
    ) {
        let (mut bytes, starts) = segment(&payloads);
        let victim = victim.index(payloads.len());
        let frame = &mut bytes[starts[victim]..starts[victim + 1]];
        let from = from.index(frame.len());
        frame[from..].iter_mut().zip(&damage).for_each(|(byte, change)| *byte ^= change);
        let (records, losses, ending) =
            walk(&bytes, is_marker_known.then_some(MARKER), Offset::MAX);
        prop_assert_eq!(records, without(&payloads, victim));
        let told = losses.iter().map(|lost| lost.offsets.clone()).collect::<Vec<_>>();
        let offset = BASE + victim as u64;
        if told.is_empty() {
            // The last record lost its header: what may have been acknowledged is counted.
            prop_assert_eq!(ending.next, offset);
            prop_assert!(ending.residue_records >= 1);
        } else {
            prop_assert_eq!(told, vec![offset..offset + 1]);
            prop_assert_eq!(ending.residue_bytes, 0);
        }
    }

    #[test]
    fn a_tail_cut_anywhere_keeps_every_whole_record(payloads in payloads(), cut: Index) {
        let (bytes, starts) = segment(&payloads);
        let length = SEGMENT_HEADER_BYTES + cut.index(bytes.len() - SEGMENT_HEADER_BYTES + 1);
        let whole = starts.iter().filter(|start| **start <= length).count() - 1;
        let (records, losses, ending) = walk(&bytes[..length], Some(MARKER), Offset::MAX);
        prop_assert_eq!(records, numbered(&payloads[..whole]));
        prop_assert_eq!(losses, vec![]);
        prop_assert_eq!(ending.position, starts[whole] as u64);
        prop_assert_eq!(ending.residue_bytes, (length - starts[whole]) as u64);
        prop_assert_eq!(ending.residue_records, 0, "a torn record was never acknowledged");
    }

    #[test]
    fn bytes_are_missing_or_too_many_within_one_record(
        payloads in payloads(), victim: Index, at: Index, extra in vec(any::<u8>(), 1..50),
        remove in 1..40_usize,
    ) {
        let (bytes, starts) = segment(&payloads);
        let victim = victim.index(payloads.len());
        let (start, end) = (starts[victim], starts[victim + 1]);
        let at = start + at.index(end - start);
        let longer = [&bytes[..at], &extra, &bytes[at..]].concat();
        let (records, ..) = walk(&longer, Some(MARKER), Offset::MAX);
        prop_assert!(records.iter().all(|record| numbered(&payloads).contains(record)));
        prop_assert!(records.len() >= payloads.len() - 1, "{} of {}", records.len(), payloads.len());
        // At least one byte of the record stays.
        let removed_to = (at + remove).min(end - usize::from(at == start));
        let shorter = [&bytes[..at], &bytes[removed_to..]].concat();
        let (records, ..) = walk(&shorter, Some(MARKER), Offset::MAX);
        prop_assert!(records.iter().all(|record| numbered(&payloads).contains(record)));
    }

    #[test]
    fn no_bytes_are_taken_for_records(noise in vec(any::<u8>(), 0..2_000), is_marker_known: bool) {
        let bytes = [vec![0; SEGMENT_HEADER_BYTES], noise.clone()].concat();
        let (records, losses, ending) =
            walk(&bytes, is_marker_known.then_some(MARKER), Offset::MAX);
        prop_assert_eq!((records, losses), (vec![], vec![]));
        prop_assert_eq!(ending.residue_bytes, noise.len() as u64);
    }

    #[test]
    fn a_walk_ends_before_its_limit(payloads in payloads(), limit: Index) {
        let limit = limit.index(payloads.len() + 1);
        let (bytes, _) = segment(&payloads);
        let (records, losses, ending) = walk(&bytes, Some(MARKER), BASE + limit as u64);
        prop_assert_eq!(records, numbered(&payloads[..limit]));
        prop_assert_eq!((losses, ending.residue_bytes), (vec![], 0));
    }
}

#[test]
fn an_old_frame_inside_a_payload_is_not_a_record() {
    let first = b"first".to_vec();
    let (bytes, starts) = segment(std::slice::from_ref(&first));
    let copy = bytes[starts[0]..].to_vec();
    let payloads = [first, copy, b"third".to_vec()];
    let (mut bytes, starts) = segment(&payloads);
    bytes[starts[1] + 9] ^= 1;
    let (records, losses, _) = walk(&bytes, Some(MARKER), Offset::MAX);
    assert_eq!(records, without(&payloads, 1));
    assert_eq!(losses.len(), 1);
}

#[test]
fn zeros_at_the_end_may_have_been_records() {
    let (bytes, starts) = segment(&[b"first".to_vec()]);
    let bytes = [bytes, vec![0; 4_096]].concat();
    let (records, losses, ending) = walk(&bytes, Some(MARKER), Offset::MAX);
    assert_eq!((records.len(), losses.len()), (1, 0));
    assert_eq!(ending.position, starts[1] as u64);
    assert_eq!(ending.residue_records, 4_096 / FRAME_HEADER_BYTES as u64);
}
