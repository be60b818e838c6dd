//! The oracle against what a person can work out by hand.

use sen_model::condition::{Hours, Statistic, When};
use sen_model::{Field, Level, Quality, SeriesKey, Severity, Text};

use super::*;
use crate::oracle::Report;

fn rule(condition: Condition) -> Rule {
    let selector = sen_model::Selector {
        metrics: vec![Metric::new("level").expect("a name")],
        ..Default::default()
    };
    let id = RuleId::new("rule-1").expect("a name");
    Rule::new(id, Text::default(), Field::Environment, Severity::CRITICAL, selector, condition)
}

fn limit(at_least: f64, clear: f64, for_ms: i64, clear_for_ms: i64) -> Limit {
    Limit { bound: Bound::AtLeast(at_least), clear: Some(clear), for_ms, clear_for_ms }
}

/// Level, start, raise and end of each episode.
fn found(rule: &Rule, told: &[(i64, f64)]) -> Vec<(u8, i64, i64, Option<i64>)> {
    let (device, metric) = (DeviceId::new("gauge-1"), Metric::new("level"));
    let series = SeriesKey { device: device.expect("a name"), metric: metric.expect("a name") };
    let report = |(time_ms, value): &(i64, f64)| Report {
        series: series.clone(),
        time_ms: *time_ms,
        sequence: 0,
        value: *value,
        quality: Quality::Good,
    };
    let told = Oracle::of(told.iter().map(report));
    let registry = Registry::new(Vec::new(), Vec::new());
    of_readings(std::slice::from_ref(rule), &registry, &told, i64::MIN)
        .into_iter()
        .map(|episode| (episode.level, episode.start_ms, episode.raised_ms, episode.end_ms))
        .collect()
}

#[test]
fn a_limit_must_be_broken_and_kept_for_long_enough() {
    let rule = rule(Condition::Threshold { limit: limit(5.0, 3.0, 10, 20) });
    for (told, expected) in [
        (&[(0, 5.0), (9, 5.0)][..], &[][..]),
        (&[(0, 5.0), (10, 5.0)], &[(0, 0, 10, None)]),
        (&[(0, 5.0), (5, 4.0), (10, 5.0), (19, 5.0)], &[]),
        (&[(0, 5.0), (10, 5.0), (20, 3.0), (39, 3.0)], &[(0, 0, 10, None)]),
        (&[(0, 5.0), (10, 5.0), (20, 3.0), (40, 1.0)], &[(0, 0, 10, Some(20))]),
        (&[(0, 5.0), (10, 5.0), (20, 3.0), (30, 4.0), (40, 3.0)], &[(0, 0, 10, None)]),
        (&[(40, 1.0), (20, 3.0), (10, 5.0), (0, 5.0), (0, 1.0)], &[(0, 0, 10, Some(20))]),
    ] {
        assert_eq!(found(&rule, told), expected, "{told:?}");
    }
}

#[test]
fn levels_are_episodes_of_their_own() {
    let level =
        |severity, at_least: f64| Level { severity, limit: limit(at_least, at_least, 0, 0) };
    let levels = vec![level(Severity::HIGH, 1.0), level(Severity::CRITICAL, 2.0)];
    let told = [(0, 1.0), (1, 2.0), (2, 1.5), (3, 0.5)];
    let expected = [(1, 0, 0, Some(3)), (2, 1, 1, Some(2))];
    assert_eq!(found(&rule(Condition::Levels { levels }), &told), expected);
}

#[test]
fn change_is_measured_from_the_oldest_report_in_reach() {
    let limit = limit(3.0, 1.0, 0, 0);
    let delta = rule(Condition::Delta { limit, within_ms: 10 });
    let told = [(0, 0.0), (5, 1.0), (10, 3.0), (15, 4.0), (16, 2.0)];
    assert_eq!(found(&delta, &told), [(0, 10, 10, Some(16))]);
    let rate = rule(Condition::Rate { limit, per_ms: 10, within_ms: 10 });
    assert_eq!(found(&rate, &[(0, 0.0), (5, 1.5), (20, 9.0), (25, 9.0)]), [(0, 5, 5, Some(25))]);
}

#[test]
fn what_stands_still_for_long_enough_is_frozen() {
    let frozen = rule(Condition::Frozen { tolerance: 0.125, for_ms: 10 });
    let told = [(0, 1.0), (5, 1.1), (9, 1.0), (10, 1.05), (12, 2.0), (20, 2.0), (22, 2.0)];
    assert_eq!(found(&frozen, &told), [(0, 10, 10, Some(12)), (0, 22, 22, None)]);
}

#[test]
fn windows_are_judged_when_they_are_over() {
    let limit = limit(2.0, 1.9, 0, 0);
    let mean = Condition::Window {
        window_ms: 20,
        every_ms: 10,
        statistic: Statistic::Mean,
        limit,
        least_count: 2,
    };
    // Of [0, 20) the mean is 2, of [10, 30) it is 1.5; that of [-10, 10) is of one report only.
    let told = [(5, 1.0), (15, 3.0), (25, 0.0), (39, 9.0)];
    assert_eq!(found(&rule(mean), &told), [(0, 20, 20, Some(30))]);
}

#[test]
fn outside_its_hours_a_rule_rests() {
    let when = When { hours: vec![Hours { from: 0, until: 60 }], ..When::default() };
    let rule = Rule {
        when: Some(when),
        ..rule(Condition::Threshold { limit: limit(5.0, 3.0, 0, 60_000) })
    };
    // 23 November 2026 in Vietnam.
    let midnight = 1_795_366_800_000;
    let told = [(midnight - 1, 9.0), (midnight, 9.0), (midnight + 3_600_000, 9.0)];
    assert_eq!(found(&rule, &told), [(0, midnight, midnight, Some(midnight + 3_600_000))]);
}

#[test]
fn silence_begins_with_the_last_that_was_heard() {
    let device = Device {
        id: DeviceId::new("gauge-1").expect("a name"),
        name: Text::default(),
        kind: "river".into(),
        field: Field::Environment,
        area: sen_model::AreaCode::new("28261").expect("a code"),
        lat: 0.0,
        lon: 0.0,
        interval_ms: 1,
        metrics: Vec::new(),
        tags: Vec::new(),
        relations: sen_model::Relations::default(),
    };
    let heard = [3, 30].map(|at_ms| (device.id.clone(), at_ms));
    let registry = Registry::new(vec![device], Vec::new());
    let rule = Rule { selector: Default::default(), ..rule(Condition::Absence { missing_ms: 10 }) };
    let told = |looks_ms: &[i64]| -> Vec<(i64, i64, Option<i64>)> {
        of_silence(std::slice::from_ref(&rule), &registry, &heard, 0, looks_ms)
            .into_iter()
            .map(|episode| (episode.start_ms, episode.raised_ms, episode.end_ms))
            .collect()
    };
    assert_eq!(told(&[10, 13, 14, 20, 30, 40, 41]), [(3, 14, Some(30)), (30, 41, None)]);
    assert_eq!(told(&[2, 12, 13]), []);
}
