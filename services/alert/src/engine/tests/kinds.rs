//! What each kind of rule does within the engine: levels, schedules, windows, expressions.

use sen_model::condition::{Hours, Reference, Statistic, When};
use sen_model::{Level, Limit, Severity};

use super::*;
use crate::transition::Edition;

fn over(id: &str, condition: Condition) -> Rule {
    let metrics = vec![metric("level")];
    let selector = Selector { kinds: vec!["river".into()], metrics, ..Selector::default() };
    Rule { selector, ..rule(id, condition) }
}

fn high(value: f64) -> Limit {
    Limit { bound: Bound::AtLeast(value), clear: None, for_ms: 0, clear_for_ms: 0 }
}

fn transitions(engine: &mut Engine, batches: &[ReadingBatch]) -> Vec<Transition> {
    let mut out = Vec::new();
    batches.iter().for_each(|batch| engine.judge(batch, &mut out));
    out
}

#[test]
fn each_level_has_an_episode_of_its_own_severity_and_id() {
    let level = |severity, value| Level { severity, limit: high(value) };
    let levels = vec![level(Severity::MEDIUM, 1.4), level(Severity::CRITICAL, 1.6)];
    let rule = over("flood", Condition::Levels { levels });
    let mut engine = engine(std::slice::from_ref(&rule));
    let out = transitions(&mut engine, &[level_of(1, 1.5), level_of(2, 1.7), level_of(3, 1.5)]);
    let told: Vec<_> = out
        .iter()
        .map(|transition| {
            let (Transition::Raise { subject, started_at, .. }
            | Transition::Clear { subject, started_at, .. }) = transition
            else {
                panic!("{transition:?}")
            };
            let Edition { level, severity, version, .. } = &subject.edition;
            let sign = if matches!(transition, Transition::Raise { .. }) { '+' } else { '-' };
            let point = version.strip_prefix(&rule.version()).unwrap().to_owned();
            (sign, *level, severity.level(), point, started_at.as_millis())
        })
        .collect();
    assert_eq!(
        told,
        [('+', 1, 3, ".1".into(), 1), ('+', 2, 1, ".2".into(), 2), ('-', 2, 1, ".2".into(), 2)]
    );
    assert_eq!(engine.open().len(), 1);
}

fn level_of(ms: i64, value: f64) -> ReadingBatch {
    level("stn-a", ms, value)
}

#[test]
fn a_restart_in_the_middle_of_five_minutes_fires_at_five_minutes() {
    const MINUTE: i64 = 60_000;
    let slow = Limit { for_ms: 5 * MINUTE, ..high(1.6) };
    let rules = [over("slow", Condition::Threshold { limit: slow })];
    let mut engine = engine(&rules);
    let minutes = |from, to| (from..=to).map(|n| level_of(n * MINUTE, 2.0)).collect::<Vec<_>>();
    assert_eq!(judge(&mut engine, &minutes(0, 3)), [""; 0]);
    let text = serde_json::to_string(&engine.memory()).unwrap();
    let memory = serde_json::from_str(&text).unwrap();
    let mut engine = Engine::new(&rules, Arc::new(registry()), TIMING, memory, at(9 * MINUTE));
    assert_eq!(judge(&mut engine, &minutes(4, 4)), [""; 0]);
    let [Transition::Raise { started_at, event_time, .. }] =
        transitions(&mut engine, &minutes(5, 5))[..]
    else {
        panic!()
    };
    assert_eq!((started_at, event_time), (at(0), at(5 * MINUTE)));
}

/// Ten seconds from seven in the morning in Vietnam, which is when these tests begin.
fn first_minute() -> Option<When> {
    Some(When { hours: vec![Hours { from: 420, until: 421 }], ..When::default() })
}

#[test]
fn outside_its_schedule_nothing_is_raised_and_what_is_open_ends_at_once() {
    let slow = Limit { for_ms: 5_000, clear_for_ms: 60_000, ..high(1.6) };
    let rule = Rule { when: first_minute(), ..over("night", Condition::Threshold { limit: slow }) };
    let mut engine = engine(&[rule]);
    assert_eq!(judge(&mut engine, &[level_of(50_000, 2.0)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[level_of(55_000, 2.0)]), ["+night stn-a/level 50000"]);
    let out = transitions(&mut engine, &[level_of(60_000, 2.0)]);
    let [Transition::Clear { ceased_at, event_time, value, .. }] = out[..] else {
        panic!("{out:?}")
    };
    assert_eq!((ceased_at, event_time, value), (at(60_000), at(60_000), Some(2.0)));
    assert_eq!(judge(&mut engine, &[level_of(80_000, 9.0)]), [""; 0]);
    // A day later it is that minute again, and the delay counts from there.
    const DAY: i64 = 86_400_000;
    assert_eq!(judge(&mut engine, &[level_of(DAY, 2.0)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[level_of(DAY + 5_000, 2.0)]), ["+night stn-a/level 86400000"]);
}

#[test]
fn silence_outside_the_schedule_is_nobodys_concern() {
    let rule = Rule { when: first_minute(), ..rule("silent", absence(5_000)) };
    let mut engine = engine(&[rule]);
    assert_eq!(silent(&mut engine, 5_001), ["+silent stn-a/* 0", "+silent stn-b/* 0"]);
    assert_eq!(silent(&mut engine, 60_000), ["-silent stn-a/* 0", "-silent stn-b/* 0"]);
    assert_eq!(silent(&mut engine, 100_000), [""; 0]);
    const DAY: i64 = 86_400_000;
    assert_eq!(silent(&mut engine, DAY - 1), [""; 0]);
    assert_eq!(silent(&mut engine, DAY + 4_000), [""; 0], "counted from the last rest");
    assert_eq!(silent(&mut engine, DAY + 5_000).len(), 2);
}

fn mean(least_count: u64) -> Rule {
    let (window_ms, every_ms, statistic) = (20_000, 10_000, Statistic::Mean);
    over(
        "mean",
        Condition::Window { window_ms, every_ms, statistic, limit: high(1.6), least_count },
    )
}

#[test]
fn a_window_is_judged_by_the_reading_that_passes_its_end_or_by_the_clock() {
    let mut engine = engine(&[mean(1)]);
    assert_eq!(judge(&mut engine, &[level_of(1_000, 2.0), level_of(9_999, 1.4)]), [""; 0]);
    let out = transitions(&mut engine, &[level_of(10_000, 1.0)]);
    let [Transition::Raise { started_at, event_time, value, late, .. }] = out[..] else { panic!() };
    assert_eq!((started_at, event_time), (at(10_000), at(10_000)));
    assert_eq!((value, late), (Some(1.7), false));
    // It falls silent. The window to 20 s (2.0, 1.4, 1.0) ends by the clock, once live readings
    // would have come.
    assert_eq!(silent(&mut engine, 20_000 + LATE_AFTER_MS - 1), [""; 0]);
    assert_eq!(silent(&mut engine, 20_000 + LATE_AFTER_MS), ["-mean stn-a/level 10000"]);
    assert_eq!(silent(&mut engine, 900_000), [""; 0]);
    judge(&mut engine, &[level_of(2_000, 9.0)]);
    assert_eq!(engine.counts().uncounted, 1, "every window of it is judged");
}

#[test]
fn a_clock_that_is_ahead_ends_no_window_before_its_time() {
    let mut engine = engine(&[mean(1)]);
    let ahead = |received_ms, event_ms| batch("stn-a", received_ms, vec![reading(event_ms, 2.0)]);
    assert_eq!(judge(&mut engine, &[ahead(1_000, 5_000), ahead(8_000, 12_000)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[ahead(10_000, 14_000)]), ["+mean stn-a/level 10000"]);
}

#[test]
fn a_window_with_too_few_readings_says_nothing() {
    let mut engine = engine(&[mean(3)]);
    let few = [level_of(1, 9.0), level_of(2, 9.0), level_of(30_000, 0.0)];
    assert_eq!(judge(&mut engine, &few), [""; 0]);
}

fn expression(cel: &str, device: Option<&str>) -> Rule {
    let device = device.map(device_id);
    let power = Reference { name: "power".into(), device, metric: metric("power") };
    let references = if cel.contains("power") { vec![power] } else { Vec::new() };
    let cel = cel.to_owned();
    over("cel", Condition::Expression { cel, references, for_ms: 0, clear_for_ms: 0 })
}

fn power(device: &str, ms: i64, value: f64) -> ReadingBatch {
    batch(device, ms, vec![Reading { metric: metric("power"), ..reading(ms, value) }])
}

#[test]
fn an_expression_looks_at_the_latest_value_of_another_series_at_or_before_its_reading() {
    let mut engine = engine(&[expression("value > power", Some("pump-1"))]);
    assert_eq!(judge(&mut engine, &[level_of(1_000, 9.0)]), [""; 0]);
    assert_eq!((engine.counts().unreferenced, engine.counts().failed), (1, 0));
    judge(&mut engine, &[power("pump-1", 2_000, 5.0), power("pump-1", 4_000, 1.0)]);
    assert_eq!(judge(&mut engine, &[level_of(3_000, 4.0)]), [""; 0], "at 3 s it was 5");
    assert_eq!(judge(&mut engine, &[level_of(4_000, 4.0)]), ["+cel stn-a/level 4000"]);
    assert_eq!(judge(&mut engine, &[level_of(5_000, 1.0)]), ["-cel stn-a/level 4000"]);
    // Those of a device nobody asks for are not kept.
    judge(&mut engine, &[power("stn-b", 1, 1.0), power("stranger", 1, 1.0)]);
    assert_eq!(engine.values.len(), 1);
}

#[test]
fn an_expression_of_its_own_device_sees_what_came_in_the_same_packet() {
    let mut engine = engine(&[expression("value > power", None)]);
    let both = |ms, level, power| {
        let power = Reading { metric: metric("power"), ..reading(ms, power) };
        batch("stn-a", ms, vec![reading(ms, level), power])
    };
    assert_eq!(judge(&mut engine, &[both(1, 2.0, 3.0)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[both(2, 2.0, 1.0)]), ["+cel stn-a/level 2"]);
}

#[test]
fn an_expression_that_fails_is_counted_and_told_once() {
    let mut engine = engine(&[expression("event_time / 0 > 1", None)]);
    judge(&mut engine, &[level_of(1, 1.0), level_of(2, 1.0)]);
    assert_eq!(engine.counts().failed, 2);
    let complaints = engine.complaints();
    let [complaint] = complaints.as_slice() else { panic!("{complaints:?}") };
    assert_eq!(complaint.rule.as_str(), "cel");
    assert!(complaint.what.contains("Division by zero"), "{}", complaint.what);
    judge(&mut engine, &[level_of(3, 1.0)]);
    assert_eq!(engine.complaints(), []);
}

#[test]
fn what_looks_back_forgets_and_says_so() {
    let condition = Condition::Delta { limit: high(1.0), within_ms: 10_000 };
    let mut engine = engine(&[over("delta", condition)]);
    let rise =
        [level_of(0, 1.0), level_of(20_000, 1.0), level_of(40_000, 1.5), level_of(45_000, 3.0)];
    assert_eq!(judge(&mut engine, &rise), ["+delta stn-a/level 45000"]);
    judge(&mut engine, &[level_of(0, 9.0)]);
    assert_eq!(engine.counts().forgotten, 1);
    assert_eq!(judge(&mut engine, &[level_of(42_000, 2.6)]), [""; 0], "late, within the episode");
}

#[test]
fn a_reading_that_waits_is_freed_by_the_clock() {
    let timing = Timing { wait_ms: 2_000, ..TIMING };
    let rules = [over("limit", Condition::Threshold { limit: high(1.6) })];
    let mut engine = Engine::new(&rules, Arc::new(registry()), timing, Memory::default(), at(0));
    assert_eq!(judge(&mut engine, &[level_of(1_000, 2.0)]), [""; 0]);
    assert_eq!(silent(&mut engine, 2_999), [""; 0]);
    assert_eq!(silent(&mut engine, 3_000), ["+limit stn-a/level 1000"]);
    // What comes in a wrong order is judged in its own.
    assert_eq!(judge(&mut engine, &[level_of(7_000, 2.0), level_of(6_000, 1.0)]), [""; 0]);
    let told = judge(&mut engine, &[level_of(9_001, 1.0)]);
    assert_eq!(told, ["+limit stn-a/level 7000", "-limit stn-a/level 1000"]);
}
