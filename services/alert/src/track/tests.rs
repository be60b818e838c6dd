//! The track against a naive oracle, and what it promises of late readings and repeats.

use proptest::prelude::*;

use sen_model::Bound;

use super::*;

const TOP: f64 = 10.0;

fn limit(clear: Option<f64>, for_ms: i64, clear_for_ms: i64) -> Limit {
    Limit { bound: Bound::AtLeast(TOP), clear, for_ms, clear_for_ms }
}

fn run(limit: &Limit, readings: &[(i64, f64)]) -> (Track, Vec<Finding>) {
    let mut track = Track::default();
    let judge = |(ms, value): &(i64, f64)| {
        track.judge(Stamp(*ms, 0), Zone::of(*value, limit), limit).unwrap_or_default()
    };
    let findings = readings.iter().flat_map(judge).collect();
    (track, findings)
}

fn raised(start: i64, event: i64) -> Finding {
    let (started_at, event_time) = (Timestamp::from_millis(start), Timestamp::from_millis(event));
    Finding::Raised { started_at, event_time, out_of_order: false }
}

fn raised_late(start: i64, event: i64) -> Finding {
    let (started_at, event_time) = (Timestamp::from_millis(start), Timestamp::from_millis(event));
    Finding::Raised { started_at, event_time, out_of_order: true }
}

fn cleared(start: i64, ceased: i64, event: i64, from_this_reading: bool) -> Finding {
    Finding::Cleared {
        started_at: Timestamp::from_millis(start),
        ceased_at: Timestamp::from_millis(ceased),
        event_time: Timestamp::from_millis(event),
        from_this_reading,
    }
}

#[test]
fn in_order_a_limit_does_what_its_numbers_say() {
    let instant = limit(None, 0, 0);
    let banded = limit(Some(8.0), 0, 0);
    let slow = limit(None, 5, 3);
    type Case<'a> = (&'a str, Limit, &'a [(i64, f64)], Vec<Finding>);
    let cases: [Case<'_>; 7] = [
        ("at the limit", instant, &[(1, 10.0)], vec![raised(1, 1)]),
        ("below it", instant, &[(1, 9.99)], vec![]),
        (
            "ends at once",
            instant,
            &[(1, 11.0), (2, 9.0)],
            vec![raised(1, 1), cleared(1, 2, 2, true)],
        ),
        (
            "ends at the clear value only",
            banded,
            &[(1, 11.0), (2, 9.0), (3, 8.0)],
            vec![raised(1, 1), cleared(1, 3, 3, true)],
        ),
        ("waits for its time", slow, &[(0, 11.0), (4, 11.0), (5, 11.0)], vec![raised(0, 5)]),
        (
            "begins anew after a good one",
            slow,
            &[(0, 11.0), (4, 9.0), (5, 11.0), (9, 11.0)],
            vec![],
        ),
        (
            "a breach while clearing keeps it",
            slow,
            &[(0, 11.0), (5, 11.0), (6, 9.0), (8, 11.0), (9, 9.0), (11, 9.0), (12, 9.0)],
            vec![raised(0, 5), cleared(0, 9, 12, true)],
        ),
    ];
    for (name, limit, readings, expected) in cases {
        assert_eq!(run(&limit, readings).1, expected, "{name}");
    }
}

#[test]
fn a_late_breach_that_was_missed_is_raised_with_its_true_start_and_cleared_by_what_followed() {
    let readings = [(10, 9.0), (30, 9.0), (20, 11.0)];
    let (track, findings) = run(&limit(None, 0, 0), &readings);
    assert_eq!(findings, [raised_late(20, 20), cleared(20, 30, 30, false)]);
    assert_eq!(track.open(), None);
}

#[test]
fn late_readings_may_complete_or_end_the_present_episode() {
    let slow = limit(None, 10, 10);
    let (_, findings) = run(&slow, &[(100, 11.0), (105, 11.0), (94, 11.0)]);
    assert_eq!(findings, [raised_late(94, 105)], "the breach began earlier than we knew");
    let (_, findings) = run(&slow, &[(0, 11.0), (10, 11.0), (25, 9.0), (12, 9.0)]);
    assert_eq!(findings, [raised(0, 10), cleared(0, 12, 25, false)], "it was good for longer");
}

#[test]
fn late_readings_never_withdraw_split_or_move_what_was_raised() {
    let instant = limit(None, 0, 0);
    for late in [(15, 9.0), (10, 9.0), (20, 9.0), (5, 11.0), (15, 11.0)] {
        let (track, findings) = run(&instant, &[(1, 9.0), (10, 11.0), (20, 11.0), late]);
        assert_eq!(findings, [raised(10, 10)], "{late:?}");
        assert_eq!(track.open(), Some(Timestamp::from_millis(10)));
    }
    let slow = limit(None, 5, 0);
    let (track, findings) = run(&slow, &[(0, 11.0), (5, 11.0), (3, 9.0), (6, 11.0)]);
    assert_eq!(findings, [raised(0, 5)], "raised on what was known");
    assert_eq!(track.open(), Some(Timestamp::from_millis(0)));
}

#[test]
fn with_hysteresis_a_breach_before_a_raised_episode_belongs_to_it() {
    let banded = limit(Some(8.0), 0, 0);
    let (_, findings) = run(&banded, &[(10, 9.0), (20, 11.0), (5, 11.0), (30, 8.0)]);
    assert_eq!(findings, [raised(20, 20), cleared(20, 30, 30, true)]);
}

#[test]
fn what_a_device_kept_while_it_was_away_is_one_late_episode_in_whatever_order_it_comes() {
    let limit = limit(None, 0, 0);
    let before: Vec<(i64, f64)> = (0..50).map(|n| (n * 10, 9.0)).collect();
    let value = |n| if (60..80).contains(&n) { 11.0 } else { 9.0 };
    let away: Vec<(i64, f64)> = (50..90).map(|n| (n * 10, value(n))).collect();
    let live = vec![(900, 9.0), (910, 9.0), (920, 9.0)];
    let told =
        |backlog: Vec<(i64, f64)>| run(&limit, &[before.clone(), live.clone(), backlog].concat()).1;
    let forwards = [raised_late(600, 600), cleared(600, 900, 900, false)];
    assert_eq!(told(away.clone()), forwards, "it ended by 900, as far as was known at 600");
    let backwards = [raised_late(790, 790), cleared(790, 800, 800, false)];
    assert_eq!(told(away.into_iter().rev().collect()), backwards, "it began by 790");
}

#[test]
fn two_episodes_within_one_millisecond_have_two_starts() {
    let limit = limit(None, 0, 0);
    let mut track = Track::default();
    let mut judge =
        |sequence, value| track.judge(Stamp(7, sequence), Zone::of(value, &limit), &limit);
    assert_eq!(judge(0, 11.0), Some(vec![raised(7, 7)]));
    assert_eq!(judge(1, 9.0), Some(vec![cleared(7, 7, 7, true)]));
    assert_eq!(judge(2, 11.0), Some(vec![raised(8, 7)]));
}

#[test]
fn readings_older_than_the_memory_are_not_judged() {
    let limit = limit(None, 0, 0);
    let flips = (0..200).map(|n| (n * 10, if n % 2 == 0 { 11.0 } else { 9.0 }));
    let (mut track, findings) = run(&limit, &flips.collect::<Vec<_>>());
    assert_eq!(findings.len(), 200);
    assert_eq!(track.judge(Stamp(5, 0), Zone::Broken, &limit), None);
    assert!(track.runs.len() <= MOST_RUNS && track.episodes.len() <= MOST_RUNS);
}

/// The episodes of sorted readings, found by looking through all of them again and again.
fn oracle(limit: &Limit, readings: &[(i64, f64)]) -> Vec<Finding> {
    let zone = |index: usize| Zone::of(readings[index].1, limit);
    let time = |index: usize| readings[index].0;
    // The first index from which on the zone has lasted for the duration, and where it began.
    let lasting = |from: usize, wanted: Zone, duration_ms: i64| {
        (from..readings.len()).find_map(|end| {
            let begin = (from..=end).rev().take_while(|index| zone(*index) == wanted).last()?;
            (time(end) - time(begin) >= duration_ms).then_some((begin, end))
        })
    };
    let mut findings = Vec::new();
    let mut from = 0;
    while let Some((begin, end)) = lasting(from, Zone::Broken, limit.for_ms) {
        findings.push(raised(time(begin), time(end)));
        let Some((good, done)) = lasting(end + 1, Zone::Good, limit.clear_for_ms) else { break };
        findings.push(cleared(time(begin), time(good), time(done), true));
        from = done + 1;
    }
    findings
}

fn limits() -> impl Strategy<Value = Limit> {
    let clear = prop_oneof![Just(None), Just(Some(7.0))];
    (clear, 0_i64..30, 0_i64..30).prop_map(|(clear, for_ms, clear_for_ms)| {
        limit(
            clear,
            if for_ms < 8 { 0 } else { for_ms },
            if clear_for_ms < 8 { 0 } else { clear_for_ms },
        )
    })
}

/// Distinct times, few levels.
fn sorted_readings(most: usize) -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![Just(5.0), Just(9.0), Just(11.0)];
    let steps = proptest::collection::vec((1_i64..15, value), 0..most);
    steps.prop_map(|steps| {
        let mut now = 0;
        steps
            .into_iter()
            .map(|(step, value)| {
                now += step;
                (now, value)
            })
            .collect()
    })
}

/// Readings in some order of arrival, within what a track remembers.
fn shuffled_readings() -> impl Strategy<Value = Vec<(i64, f64)>> {
    // A late reading makes two runs more at most.
    sorted_readings(MOST_RUNS / 2).prop_shuffle()
}

proptest! {
    #[test]
    fn in_order_it_equals_the_oracle(limit in limits(), readings in sorted_readings(80)) {
        prop_assert_eq!(run(&limit, &readings).1, oracle(&limit, &readings));
    }

    #[test]
    fn repeats_change_nothing_whenever_they_come(
        limit in limits(),
        readings in shuffled_readings(),
        repeats in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
    ) {
        let mut repeated = readings.clone();
        for (which, place) in repeats {
            if readings.is_empty() {
                break;
            }
            let reading = readings[which.index(readings.len())];
            let first = repeated.iter().position(|r| r.0 == reading.0).unwrap_or(0);
            let place = first + 1 + place.index(repeated.len() - first);
            repeated.insert(place, reading);
        }
        let (once, twice) = (run(&limit, &readings), run(&limit, &repeated));
        prop_assert_eq!(once.1, twice.1);
        prop_assert_eq!(once.0, twice.0);
    }

    #[test]
    fn in_any_order_raises_and_clears_alternate_and_starts_differ(
        limit in limits(),
        readings in sorted_readings(80).prop_shuffle(),
    ) {
        let (track, findings) = run(&limit, &readings);
        let mut open = std::collections::BTreeSet::new();
        let mut seen = std::collections::BTreeSet::new();
        for finding in findings {
            match finding {
                Finding::Raised { started_at, .. } => {
                    prop_assert!(seen.insert(started_at), "raised twice");
                    open.insert(started_at);
                }
                Finding::Cleared { started_at, .. } => prop_assert!(open.remove(&started_at)),
            }
            prop_assert!(open.len() <= 2);
        }
        prop_assert_eq!(track.open().into_iter().collect::<Vec<_>>(), open.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn in_any_order_no_breach_of_an_instant_limit_is_missed(
        readings in shuffled_readings(),
    ) {
        let limit = limit(None, 0, 0);
        let (track, _) = run(&limit, &readings);
        for (ms, _) in readings.iter().filter(|(_, value)| *value >= TOP) {
            let run = track.runs.iter().find(|run| run.1.0 <= *ms && *ms <= run.2.0);
            let run = run.copied().expect("every reading is in a run");
            prop_assert!(track.episodes.iter().any(|episode| episode.touches(&run)), "{}", ms);
        }
        for episode in &track.episodes {
            prop_assert!(readings.iter().any(|(ms, value)| *ms == episode.0 && *value >= TOP));
        }
    }

    #[test]
    fn the_memory_survives_a_checkpoint(limit in limits(), readings in sorted_readings(60).prop_shuffle()) {
        let (track, _) = run(&limit, &readings);
        let text = serde_json::to_string(&track).unwrap();
        prop_assert_eq!(serde_json::from_str::<Track>(&text).unwrap(), track);
    }
}
