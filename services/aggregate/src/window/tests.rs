//! The properties of windows, over histories of arrivals, commits and crashes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use sen_model::time::{DAY_MS, SECOND_MS};

use super::*;

/// One reading as it arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrival {
    series: u32,
    moment: Moment,
    quality: Quality,
}

impl Arrival {
    fn identity(&self) -> (u32, Timestamp, u32) {
        (self.series, self.moment.event_time, self.moment.sequence)
    }
}

type Raw = BTreeMap<(u32, Timestamp, u32), Arrival>;
type Summaries = BTreeMap<(u32, Timestamp), Partial>;

/// 2026-11-23T00:00:00Z: where most readings are, and the clock a little after.
const BEGIN_MS: i64 = 20_780 * DAY_MS;
const NOW: Timestamp = Timestamp::from_millis(BEGIN_MS + 40 * MINUTE_MS);
const HOT_MS: i64 = 5 * MINUTE_MS;

/// The service in miniature: a store that is a map, a disk that is a copy of it, and the windows.
struct Centre {
    raw: Raw,
    windows: Windows,
    /// What is on disk: points, summaries, and how many arrivals they cover.
    disk: (Raw, Summaries, usize),
}

impl Centre {
    fn new(most_open: usize) -> Self {
        let windows = Windows::new(HOT_MS, most_open);
        Self { raw: Raw::new(), windows, disk: Default::default() }
    }

    fn read(&mut self, arrivals: &[Arrival]) {
        let new: Vec<&Arrival> = arrivals
            .iter()
            .filter(|arrival| {
                let is_new = !self.raw.contains_key(&arrival.identity());
                self.raw.entry(arrival.identity()).or_insert(**arrival);
                is_new
            })
            .collect();
        for Arrival { series, moment, quality } in new {
            self.windows.apply(*series, *moment, *quality, NOW);
        }
    }

    fn commit(&mut self, covered: usize) {
        for (series, start) in self.windows.dirty() {
            self.windows.recomputed(series, start, fold(&self.raw, series, start));
        }
        let changed = self.windows.changed();
        let changed: Vec<_> = changed.map(|(at, start, it)| ((at, start), it.clone())).collect();
        for ((series, start), partial) in &changed {
            assert_eq!(*partial, fold(&self.raw, *series, *start), "what holds at every moment");
        }
        self.disk.0 = self.raw.clone();
        self.disk.1.extend(changed);
        self.disk.2 = covered;
        self.windows.committed();
    }

    /// Dies and comes back; returns from where arrivals come again.
    fn crash(&mut self, most_open: usize) -> usize {
        self.raw = self.disk.0.clone();
        self.windows = Windows::new(HOT_MS, most_open);
        let mut latest = BTreeMap::new();
        self.raw.values().for_each(|arrival| {
            latest.insert(arrival.series, arrival.moment.event_time);
        });
        for (series, newest) in latest {
            self.windows.resume(series, newest, NOW);
        }
        self.disk.2
    }
}

fn fold(raw: &Raw, series: u32, start: Timestamp) -> Partial {
    let mut partial = Partial::default();
    for arrival in raw.values().filter(|arrival| arrival.series == series) {
        if start_of(arrival.moment.event_time) == start {
            partial.add(arrival.moment, arrival.quality);
        }
    }
    partial
}

/// What a sorted, deduplicated run over everything gives at once.
fn batch(arrivals: &[Arrival]) -> Summaries {
    let mut raw = Raw::new();
    for arrival in arrivals {
        raw.entry(arrival.identity()).or_insert(*arrival);
    }
    let mut summaries = Summaries::new();
    for Arrival { series, moment, quality } in raw.into_values() {
        let window = (series, start_of(moment.event_time));
        summaries.entry(window).or_default().add(moment, quality);
    }
    summaries
}

/// What streaming gives: read in parts, commit after each, die after some of them.
fn stream(arrivals: &[Arrival], parts: &[(usize, bool, bool)], most_open: usize) -> Summaries {
    let mut centre = Centre::new(most_open);
    let mut at = 0;
    for (length, commits, crashes) in parts {
        let end = (at + length).min(arrivals.len());
        centre.read(&arrivals[at..end]);
        at = end;
        if *commits {
            centre.commit(at);
        }
        if *crashes {
            at = centre.crash(most_open);
        }
    }
    centre.read(&arrivals[at..]);
    centre.commit(arrivals.len());
    centre.disk.1
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let time = prop_oneof![
        // Half an hour, of which five minutes are hot: much of it is late.
        12 => (0..1_800_i64).prop_map(|second| BEGIN_MS + second * SECOND_MS),
        1 => -90_000..90_000_i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX]),
    ];
    let quality = prop_oneof![6 => Just(Quality::Good), 1 => Just(Quality::Suspect)];
    (0..3_u32, time, 0..2_u32, -1e6..1e6_f64, quality).prop_map(
        |(series, time, sequence, value, quality)| {
            let event_time = Timestamp::from_millis(time);
            Arrival { series, moment: Moment { event_time, sequence, value }, quality }
        },
    )
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    prop::collection::vec(arrival(), 0..120)
}

fn parts() -> impl Strategy<Value = Vec<(usize, bool, bool)>> {
    let part = (0..40_usize, any::<bool>(), prop::bool::weighted(0.3));
    prop::collection::vec(part, 0..10)
}

proptest! {
    /// P6: whatever is late, dirty or evicted, the stream ends as the batch.
    #[test]
    fn the_stream_ends_as_the_batch(arrivals in arrivals(), parts in parts(), most_open in 0..40_usize) {
        let calm: Vec<_> = parts.iter().map(|(length, commits, _)| (*length, *commits, false)).collect();
        prop_assert_eq!(stream(&arrivals, &calm, most_open), batch(&arrivals));
    }

    /// P3: a crash at any point, any number of times, changes nothing.
    #[test]
    fn crashes_change_nothing(arrivals in arrivals(), parts in parts(), most_open in 0..40_usize) {
        prop_assert_eq!(stream(&arrivals, &parts, most_open), batch(&arrivals));
    }

    /// P1: any order of arrival gives the same windows. (One arrival an identity: of two that
    /// differ in value the first counts, which is the log's order.)
    #[test]
    fn order_changes_nothing(arrivals in arrivals(), keys in prop::collection::vec(any::<u32>(), 120), parts in parts()) {
        let mut seen = std::collections::HashSet::new();
        let once: Vec<_> = arrivals.into_iter().filter(|it| seen.insert(it.identity())).collect();
        let mut shuffled: Vec<_> = once.iter().copied().zip(keys).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let shuffled: Vec<_> = shuffled.into_iter().map(|(arrival, _)| arrival).collect();
        prop_assert_eq!(stream(&shuffled, &parts, 20), stream(&once, &[], 20));
    }

    /// P2: copies inserted anywhere after their original change nothing.
    #[test]
    fn repeats_change_nothing(arrivals in arrivals(), copies in prop::collection::vec(any::<(Index, Index)>(), 0..60), parts in parts()) {
        let mut repeated = arrivals.clone();
        for (which, gap) in copies {
            if repeated.is_empty() { break }
            let from = which.index(repeated.len());
            let to = from + 1 + gap.index(repeated.len() - from);
            repeated.insert(to, repeated[from]);
        }
        prop_assert_eq!(stream(&repeated, &parts, 20), stream(&arrivals, &[], 20));
    }

    /// P7 and P8: a watermark moves only forward, never past the clock, and only by readings of
    /// its own series.
    #[test]
    fn watermarks_are_monotone_clamped_and_their_own(arrivals in arrivals()) {
        let mut windows = Windows::new(HOT_MS, 1_000);
        for Arrival { series, moment, quality } in arrivals {
            let before: Vec<_> = (0..3).map(|series| windows.watermark(series)).collect();
            windows.apply(series, moment, quality, NOW);
            for (other, before) in (0..3).zip(before) {
                let after = windows.watermark(other);
                prop_assert!(after >= before && after <= Some(NOW));
                prop_assert!(other == series || after == before);
            }
        }
    }

    /// P9: every instant belongs to exactly one window.
    #[test]
    fn every_instant_has_exactly_one_window(time in any::<i64>()) {
        let time = Timestamp::from_millis(time);
        let start = start_of(time);
        prop_assert!(start <= time && (time < end_of(start) || time.as_millis() == i64::MAX));
        prop_assert_eq!(start_of(start), start);
        let next = end_of(start);
        prop_assert!(next.as_millis() == i64::MAX || start_of(next) == next);
        prop_assert!(start.as_millis() == i64::MIN || start_of(start.plus_ms(-1)) < start);
    }
}

fn arrival_at(time_ms: i64) -> (Moment, Quality) {
    let event_time = Timestamp::from_millis(time_ms);
    (Moment { event_time, sequence: 0, value: 1.0 }, Quality::Good)
}

#[test]
fn edges_of_time_have_windows() {
    let cases = [
        (i64::MIN, i64::MIN, i64::MIN + 55_808),
        (-1, -60_000, 0),
        (0, 0, 60_000),
        (1_709_251_199_999, 1_709_251_140_000, 1_709_251_200_000), // the last of 29 February 2024
        (i64::MAX, i64::MAX - 55_807, i64::MAX),
    ];
    for (time, start, end) in cases {
        let found = start_of(Timestamp::from_millis(time));
        assert_eq!((found.as_millis(), end_of(found).as_millis()), (start, end), "{time}");
    }
}

#[test]
fn every_late_reading_is_told_as_applied_or_recomputed() {
    let mut windows = Windows::new(HOT_MS, 1_000);
    let apply = |windows: &mut Windows, minute: i64| {
        let (moment, quality) = arrival_at(BEGIN_MS + minute * MINUTE_MS);
        windows.apply(0, moment, quality, NOW)
    };
    assert_eq!(apply(&mut windows, 0), Applied::OnTime);
    assert_eq!(apply(&mut windows, 10), Applied::OnTime);
    assert_eq!(apply(&mut windows, 0), Applied::LateApplied, "closed, but still in memory");
    windows.committed();
    assert_eq!(apply(&mut windows, 0), Applied::LateRecomputed, "no longer hot");
    assert_eq!(windows.dirty(), [(0, Timestamp::from_millis(BEGIN_MS))]);
    assert_eq!(apply(&mut windows, 10), Applied::OnTime);
    let mut restarted = Windows::new(HOT_MS, 1_000);
    restarted.resume(0, Timestamp::from_millis(BEGIN_MS + 10 * MINUTE_MS), NOW);
    assert_eq!(apply(&mut restarted, 10), Applied::Recomputed, "not late, but not in memory");
    assert_eq!(apply(&mut restarted, 11), Applied::OnTime);
}

#[test]
fn memory_is_bounded_by_dropping_what_can_be_recomputed() {
    let mut windows = Windows::new(DAY_MS, 100);
    for minute in 0..1_000 {
        let (moment, quality) = arrival_at(BEGIN_MS - minute % 500 * MINUTE_MS);
        windows.apply(minute as u32, moment, quality, NOW);
    }
    assert!(windows.is_full());
    windows.committed();
    assert!(!windows.is_full() && windows.open() <= 100, "{} open", windows.open());
}
