//! Windows against a naive count over all readings.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn shape(window_ms: i64, every_ms: i64, statistic: Statistic) -> Shape {
    Shape { window_ms, every_ms, statistic, least_count: 0 }
}

fn fill(shape: &Shape, readings: &[(i64, f64)]) -> Panes {
    let mut panes = Panes::default();
    for (ms, value) in readings {
        panes.add(Stamp(*ms, 0), *value, shape);
    }
    panes
}

#[test]
fn a_window_is_judged_once_its_end_has_passed() {
    let shape = shape(20, 10, Statistic::Mean);
    let mut panes = fill(&shape, &[(1, 1.0), (12, 3.0), (25, 8.0)]);
    assert_eq!(panes.close(9, &shape), []);
    assert_eq!(panes.close(20, &shape), [(10, 1.0), (20, 2.0)]);
    assert_eq!(panes.close(20, &shape), [], "judged before");
    assert_eq!(panes.add(Stamp(13, 0), 5.0, &shape), Taken::Counted, "in the window to come");
    assert_eq!(panes.add(Stamp(13, 0), 5.0, &shape), Taken::Repeat);
    assert_eq!(panes.add(Stamp(9, 0), 5.0, &shape), Taken::Refused, "its windows are over");
    assert_eq!(panes.close(1_000, &shape), [(30, 16.0 / 3.0), (40, 8.0)]);
    assert!(!panes.is_waiting());
}

#[test]
fn every_statistic_says_what_its_name_does() {
    let readings = [(0, 4.0), (1, 1.0), (2, 7.0)];
    for (statistic, expected) in [
        (Statistic::Count, 3.0),
        (Statistic::Sum, 12.0),
        (Statistic::Mean, 4.0),
        (Statistic::Min, 1.0),
        (Statistic::Max, 7.0),
        (Statistic::Range, 6.0),
        (Statistic::Deviation, 6.0_f64.sqrt()),
        (Statistic::First, 4.0),
        (Statistic::Last, 7.0),
        (Statistic::P50, 4.0),
        (Statistic::P90, 4.0),
        (Statistic::P95, 4.0),
        (Statistic::P99, 4.0),
    ] {
        let shape = shape(10, 10, statistic);
        let [(10, value)] = fill(&shape, &readings).close(10, &shape)[..] else { panic!() };
        assert!((value - expected).abs() <= 0.01 * expected, "{statistic:?}: {value}");
    }
}

#[test]
fn too_few_readings_say_nothing_and_too_many_are_refused() {
    let least = Shape { least_count: 3, ..shape(10, 10, Statistic::Count) };
    assert_eq!(fill(&least, &[(0, 1.0), (1, 1.0)]).close(10, &least), []);
    let wide = shape(100_000, 100_000, Statistic::Count);
    let mut panes = Panes::default();
    let taken = |n: i64| panes.add(Stamp(n, 0), 1.0, &wide);
    let refused: Vec<_> =
        (0..MOST_IN_PANE as i64 + 2).map(taken).filter(|taken| *taken != Taken::Counted).collect();
    assert_eq!(refused, [Taken::Refused; 2]);
}

#[test]
fn a_day_is_a_day_in_vietnam() {
    let day = shape(86_400_000, 86_400_000, Statistic::Count);
    let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millis();
    let evening = at("2026-11-23T23:59:59+07:00");
    let mut panes = fill(&day, &[(evening, 1.0), (at("2026-11-24T00:00:00+07:00"), 1.0)]);
    let midnight = at("2026-11-24T00:00:00+07:00");
    assert_eq!(panes.close(midnight, &day), [(midnight, 1.0)]);
}

proptest! {
    #[test]
    fn windows_equal_a_count_over_all_readings(
        readings in proptest::collection::btree_map(-200_i64..200, -50_i32..50, 1..60),
        panes_in_window in 1_i64..5,
        every_ms in 1_i64..40,
        order in any::<u64>(),
        steps in proptest::collection::vec(-200_i64..400, 0..5),
    ) {
        let shape = shape(panes_in_window * every_ms, every_ms, Statistic::Sum);
        let readings: BTreeMap<i64, f64> =
            readings.into_iter().map(|(ms, value)| (ms, f64::from(value))).collect();
        // Sorted, with some windows closed on the way.
        let mut told = Vec::new();
        let mut panes = Panes::default();
        for (n, (ms, value)) in readings.iter().enumerate() {
            told.extend(panes.close(*ms, &shape));
            prop_assert_eq!(panes.add(Stamp(*ms, 0), *value, &shape), Taken::Counted);
            if order >> (n % 64) & 1 == 1 {
                prop_assert_eq!(panes.add(Stamp(*ms, 0), 99.0, &shape), Taken::Repeat);
                let text = serde_json::to_string(&panes).unwrap();
                panes = serde_json::from_str(&text).unwrap();
            }
        }
        let newest = *readings.keys().last().unwrap();
        for step in steps {
            told.extend(panes.close(newest.max(step), &shape));
        }
        told.extend(panes.close(10_000, &shape));
        let mut expected = Vec::new();
        let first = shape.pane_of(*readings.keys().next().unwrap());
        let mut end = first + every_ms;
        while end <= newest + shape.window_ms + every_ms {
            let held: Vec<f64> =
                readings.range(end - shape.window_ms..end).map(|(_, v)| *v).collect();
            if !held.is_empty() {
                expected.push((end, held.iter().sum()));
            }
            end += every_ms;
        }
        prop_assert_eq!(told, expected);
    }
}
