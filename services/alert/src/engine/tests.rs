//! Which series rules judge, quality, absence, and new sets of rules.

use sen_model::{Bound, Limit, Metric, Reading, Selector};

use super::*;
use crate::fixtures::{at, batch, device_id, level, limit, metric, reading, registry, rule};

mod kinds;
mod order;

const LATE_AFTER_MS: i64 = 60_000;
const TIMING: Timing = Timing { late_after_ms: LATE_AFTER_MS, wait_ms: 0 };

fn engine(rules: &[Rule]) -> Engine {
    Engine::new(rules, Arc::new(registry()), TIMING, Memory::default(), at(0))
}

fn absence(missing_ms: i64) -> Condition {
    Condition::Absence { missing_ms }
}

/// What was raised (`+`) and cleared (`-`), with rule, device and start.
fn told(transitions: &[Transition]) -> Vec<String> {
    let line = |transition: &Transition| {
        let (sign, subject, started_at) = match transition {
            Transition::Raise { subject, started_at, .. } => ('+', subject, started_at),
            Transition::Clear { subject, started_at, .. } => ('-', subject, started_at),
            Transition::Join { .. } => panic!("{transition:?}"),
        };
        let metric = subject.metric.as_ref().map_or("*", Metric::as_str);
        let rule = &subject.edition.rule.id;
        format!("{sign}{rule} {}/{metric} {}", subject.device, started_at.as_millis())
    };
    let mut lines: Vec<String> = transitions.iter().map(line).collect();
    lines.sort();
    lines
}

fn judge(engine: &mut Engine, batches: &[ReadingBatch]) -> Vec<String> {
    let mut out = Vec::new();
    batches.iter().for_each(|batch| engine.judge(batch, &mut out));
    told(&out)
}

fn silent(engine: &mut Engine, now: i64) -> Vec<String> {
    let mut out = Vec::new();
    engine.tick(at(now), &mut out);
    told(&out)
}

#[test]
fn rules_judge_the_series_they_select_and_no_other() {
    let by_device = Rule {
        selector: Selector {
            devices: vec![device_id("pump-1")],
            metrics: vec![metric("level")],
            ..Selector::default()
        },
        ..rule("one", limit(None, 0, 0))
    };
    let anywhere = Rule {
        selector: Selector { metrics: vec![metric("level")], ..Selector::default() },
        ..rule("any", limit(None, 0, 0))
    };
    let mut engine = engine(&[rule("river", limit(None, 0, 0)), by_device, anywhere]);
    assert_eq!(
        judge(&mut engine, &[level("stn-a", 1, 2.0)]),
        ["+any stn-a/level 1", "+river stn-a/level 1"]
    );
    assert_eq!(
        judge(&mut engine, &[level("pump-1", 1, 2.0)]),
        ["+any pump-1/level 1", "+one pump-1/level 1"]
    );
    assert_eq!(judge(&mut engine, &[level("stranger", 1, 2.0)]), ["+any stranger/level 1"]);
    let other = Reading { metric: metric("power"), ..reading(2, 99.0) };
    assert_eq!(judge(&mut engine, &[batch("stn-a", 2, vec![other])]), [""; 0]);
}

#[test]
fn strangers_that_no_rule_is_about_leave_no_trace() {
    let mut engine = engine(&[rule("river", limit(None, 0, 0)), rule("silent", absence(5))]);
    let before = (engine.devices.len(), engine.tracks);
    for n in 0..1_000 {
        judge(&mut engine, &[level(&format!("hostile-{n}"), n, 99.0)]);
    }
    assert_eq!((engine.devices.len(), engine.tracks), before);
}

#[test]
fn only_good_readings_raise_or_clear() {
    let mut engine = engine(&[rule("river", limit(None, 0, 0))]);
    let doubtful =
        |ms, value, quality| batch("stn-a", ms, vec![Reading { quality, ..reading(ms, value) }]);
    assert_eq!(judge(&mut engine, &[doubtful(1, 99.0, Quality::Suspect)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[doubtful(2, 99.0, Quality::Bad)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[level("stn-a", 3, 2.0)]), ["+river stn-a/level 3"]);
    assert_eq!(judge(&mut engine, &[doubtful(4, 0.0, Quality::Suspect)]), [""; 0]);
    assert_eq!(judge(&mut engine, &[level("stn-a", 5, 0.0)]), ["-river stn-a/level 3"]);
}

#[test]
fn a_breach_that_took_long_to_reach_us_is_late() {
    let is_late = |received_ms| {
        let (mut engine, mut out) = (engine(&[rule("river", limit(None, 0, 0))]), Vec::new());
        engine.judge(&batch("stn-a", received_ms, vec![reading(1_000, 2.0)]), &mut out);
        matches!(out[..], [Transition::Raise { late: true, .. }])
    };
    assert!(!is_late(1_000 + LATE_AFTER_MS));
    assert!(is_late(1_001 + LATE_AFTER_MS));
}

#[test]
fn a_device_that_never_spoke_is_missed_too() {
    let mut engine = engine(&[rule("silent", absence(5_000))]);
    assert_eq!(silent(&mut engine, 5_000), [""; 0]);
    judge(&mut engine, &[level("stn-b", 4_000, 0.0)]);
    assert_eq!(silent(&mut engine, 5_001), ["+silent stn-a/* 0"]);
    assert_eq!(silent(&mut engine, 6_000), [""; 0]);
    assert_eq!(silent(&mut engine, 9_001), ["+silent stn-b/* 4000"]);
    assert_eq!(judge(&mut engine, &[level("stn-a", 10_000, 0.0)]), ["-silent stn-a/* 0"]);
}

#[test]
fn any_reading_is_a_sign_of_life_of_the_device_but_not_of_its_other_metrics() {
    let power = Rule {
        selector: Selector {
            kinds: vec!["pump".into()],
            metrics: vec![metric("power")],
            ..Selector::default()
        },
        ..rule("power", absence(5_000))
    };
    let whole = Rule {
        selector: Selector { kinds: vec!["pump".into()], ..Selector::default() },
        ..rule("whole", absence(5_000))
    };
    let mut engine = engine(&[power, whole]);
    let bad = Reading { quality: Quality::Bad, ..reading(4_000, 0.0) };
    judge(&mut engine, &[batch("pump-1", 4_000, vec![bad])]);
    assert_eq!(silent(&mut engine, 6_000), ["+power pump-1/power 0"]);
    assert_eq!(silent(&mut engine, 9_500), ["+whole pump-1/* 4000"]);
}

#[test]
fn silence_is_not_counted_while_we_did_not_listen() {
    let mut engine = engine(&[rule("silent", absence(5_000))]);
    judge(&mut engine, &[level("stn-a", 1_000, 0.0), level("stn-b", 1_000, 0.0)]);
    engine.resume(at(100_000));
    assert_eq!(silent(&mut engine, 105_000), [""; 0]);
    judge(&mut engine, &[level("stn-b", 104_000, 0.0)]);
    assert_eq!(silent(&mut engine, 105_001), ["+silent stn-a/* 1000"]);
}

#[test]
fn after_a_step_back_of_the_clock_the_centres_own_beats_go_on() {
    let beat = |n: i64, ms: i64| {
        let reading = Reading { metric: metric("beat"), ..reading(ms, (n % 2) as f64) };
        batch(PROBE, ms, vec![reading])
    };
    let mut engine = engine(&[crate::builtin::probe().unwrap()]);
    for n in 1..=101 {
        judge(&mut engine, &[beat(n, 1_000_000 + n * 10_000)]);
    }
    // An hour back, while its episode is open.
    let mut out = Vec::new();
    let now = 2_010_000 - 3_600_000;
    engine.turn_back(at(now), &mut out);
    assert_eq!(told(&out), ["-sen-probe sen-probe/beat 2010000"]);
    for n in 1..=30 {
        let found = judge(&mut engine, &[beat(n, now + n * 10_000)]);
        assert_eq!(found.len(), 1, "beat {n}: {found:?}");
    }
    assert_eq!(engine.counts().forgotten, 0);
    out.clear();
    engine.turn_back(at(now + 300_000), &mut out);
    assert!(out.is_empty() && engine.open().is_empty(), "nothing is ahead of a clock that goes on");
}

#[test]
fn after_a_step_back_of_the_clock_devices_are_heard_and_missed_again() {
    let mut engine = engine(&[rule("silent", absence(5_000))]);
    judge(&mut engine, &[level("stn-a", 600_000, 0.0), level("stn-b", 605_500, 0.0)]);
    assert_eq!(silent(&mut engine, 606_000), ["+silent stn-a/* 600000"]);
    engine.resume(at(300_000));
    engine.turn_back(at(300_000), &mut Vec::new());
    assert_eq!(judge(&mut engine, &[level("stn-a", 301_000, 0.0)]), ["-silent stn-a/* 600000"]);
    assert_eq!(silent(&mut engine, 305_001), ["+silent stn-b/* 300000"]);
}

#[test]
fn a_rule_in_another_edition_begins_anew_and_the_rest_goes_on() {
    let first = rule("first", limit(None, 0, 0));
    let second = rule("second", limit(None, 10, 0));
    let mut engine = engine(&[first.clone(), second.clone()]);
    judge(&mut engine, &[level("stn-a", 1, 2.0)]);
    let bound = Bound::AtLeast(1.5);
    let stricter =
        Condition::Threshold { limit: Limit { bound, clear: None, for_ms: 0, clear_for_ms: 0 } };
    let edited = Rule { condition: stricter, ..first };
    let renamed = Rule { name: sen_model::Text::new("Tên mới", "New name"), ..second };
    engine.replace(&[edited, renamed], Arc::new(registry()), at(2));
    assert_eq!(engine.open(), [], "the episode of the old edition is not held any more");
    assert_eq!(
        judge(&mut engine, &[level("stn-a", 11, 2.0)]),
        ["+first stn-a/level 11", "+second stn-a/level 1"],
        "another name is not another edition: its pending time counts"
    );
    let name = engine.rule(&RuleId::new("second").unwrap()).map(|rule| rule.name.vi.as_str());
    assert_eq!(name, Some("Tên mới"));
}

#[test]
fn a_checkpoint_keeps_what_is_pending_open_and_heard() {
    let rules = [rule("slow", limit(None, 10, 0)), rule("silent", absence(5_000))];
    let mut engine = engine(&rules);
    judge(&mut engine, &[level("stn-a", 1_000, 2.0)]);
    assert_eq!(silent(&mut engine, 5_500), ["+silent stn-b/* 0"]);
    let bytes = serde_json::to_vec(&engine.memory()).unwrap();
    let memory = serde_json::from_slice(&bytes).unwrap();
    let mut again = Engine::new(&rules, Arc::new(registry()), TIMING, memory, at(90_000));
    assert_eq!(again.open(), engine.open());
    assert_eq!(judge(&mut again, &[level("stn-a", 1_010, 2.0)]), ["+slow stn-a/level 1000"]);
    assert_eq!(judge(&mut again, &[level("stn-b", 90_100, 0.0)]), ["-silent stn-b/* 0"]);
}
