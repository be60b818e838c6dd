//! How fast readings are judged: `cargo run --release -p sen-alert --example judging`.
//!
//! Prints nanoseconds a reading over 10,000 series with 10, 1,000 and 10,000 rules: limits about
//! single devices, the same with every tenth rule of a general kind, and rules about every series.
//! What a reading costs grows with the rules about its series, not with the others.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot begin has failed")]

use std::sync::Arc;
use std::time::Instant;

use sen_alert::Rehearsal;
use sen_model::condition::Statistic;
use sen_model::{
    AreaCode, Bound, Condition, Device, DeviceId, Field, Limit, Metric, MetricSpec, Quality,
    Reading, ReadingBatch, Registry, Relations, Rule, RuleId, Selector, Severity, Text, Timestamp,
};

const DEVICES: usize = 2_500;
const METRICS: usize = 4;
/// Packets of each device: the first ones warm up.
const ROUNDS: i64 = 60;
const WARM_ROUNDS: i64 = 10;
const STEP_MS: i64 = 10_000;

fn device_id(number: usize) -> DeviceId {
    DeviceId::new(format!("device-{number}")).unwrap()
}

fn metric(number: usize) -> Metric {
    Metric::new(format!("metric_{number}")).unwrap()
}

fn registry() -> Arc<Registry> {
    let spec = |number| MetricSpec {
        metric: metric(number),
        name: Text::default(),
        unit: "m".into(),
        min: None,
        max: None,
    };
    let device = |number| Device {
        id: device_id(number),
        name: Text::default(),
        kind: "river".into(),
        field: Field::Environment,
        area: AreaCode::new("28261").unwrap(),
        lat: 10.3,
        lon: 106.3,
        interval_ms: STEP_MS,
        metrics: (0..METRICS).map(spec).collect(),
        tags: Vec::new(),
        relations: Relations::default(),
    };
    Arc::new(Registry::new((0..DEVICES).map(device).collect(), Vec::new()))
}

fn limit() -> Limit {
    Limit { bound: Bound::AtLeast(1.6), clear: Some(1.5), for_ms: 30_000, clear_for_ms: 0 }
}

/// One of the kinds that look at more than a value.
fn general(number: usize) -> Condition {
    let (limit, within_ms) = (limit(), 600_000);
    match number % 5 {
        0 => Condition::Rate { limit, per_ms: 3_600_000, within_ms },
        1 => Condition::Delta { limit, within_ms },
        2 => Condition::Frozen { tolerance: 0.0, for_ms: within_ms },
        3 => Condition::Window {
            window_ms: within_ms,
            every_ms: 60_000,
            statistic: Statistic::Mean,
            limit,
            least_count: 0,
        },
        _ => Condition::Expression {
            cel: "value > 1.6 && device.kind == 'river'".into(),
            references: Vec::new(),
            for_ms: 0,
            clear_for_ms: 0,
        },
    }
}

fn rule(number: usize, devices: Vec<DeviceId>, condition: Condition) -> Rule {
    Rule::new(
        RuleId::new(format!("rule-{number}")).unwrap(),
        Text::default(),
        Field::Environment,
        Severity::LOW,
        Selector { devices, metrics: vec![metric(number % METRICS)], ..Selector::default() },
        condition,
    )
}

/// So many rules, each about one device.
fn about_one(count: usize, general_every: Option<usize>) -> Vec<Rule> {
    let one = |number: usize| {
        let is_general = general_every.is_some_and(|every| number.is_multiple_of(every));
        let threshold = Condition::Threshold { limit: limit() };
        let condition = if is_general { general(number / 10) } else { threshold };
        rule(number, vec![device_id(number / METRICS % DEVICES)], condition)
    };
    (0..count).map(one).collect()
}

fn about_all(count: usize) -> Vec<Rule> {
    (0..count).map(|n| rule(n, Vec::new(), Condition::Threshold { limit: limit() })).collect()
}

/// One packet of one device: a slow wave, with some breaches.
fn packet(device: usize, round: i64) -> ReadingBatch {
    let at = Timestamp::from_millis(round * STEP_MS);
    let reading = |number: usize| Reading {
        metric: metric(number),
        event_time: at,
        value: 1.2 + 0.5 * ((round as f64 / 7.0) + device as f64).sin(),
        quality: Quality::Good,
        sequence: 0,
    };
    let readings = (0..METRICS).map(reading).collect();
    ReadingBatch { device: device_id(device), received_at: at, readings }
}

fn measure(name: &str, rules: &[Rule], registry: &Arc<Registry>) {
    let now = Timestamp::from_millis(0);
    let mut rehearsal = Rehearsal::new(rules, Arc::clone(registry), now);
    let (mut nanos, mut readings, mut changes, mut before) = (0, 0_usize, 0, 0);
    for round in 0..ROUNDS {
        let packets: Vec<ReadingBatch> = (0..DEVICES).map(|n| packet(n, round)).collect();
        let start = Instant::now();
        let changed: usize = packets.iter().map(|packet| rehearsal.judge(packet)).sum();
        let elapsed = start.elapsed().as_nanos();
        if round == WARM_ROUNDS - 1 {
            before = rehearsal.evaluations();
        }
        if round >= WARM_ROUNDS {
            (nanos, changes) = (nanos + elapsed, changes + changed);
            readings += DEVICES * METRICS;
        }
    }
    let each = nanos as f64 / readings as f64;
    let evaluations = (rehearsal.evaluations() - before) as f64 / readings as f64;
    let rules = rules.len();
    println!("{rules:>6}  {name:<38} {each:>8.0} ns {evaluations:>8.2} {changes:>9}");
}

fn main() {
    let registry = registry();
    println!(" rules  about                                   a reading  judged   changes");
    for count in [10, 1_000, 10_000] {
        measure("one device each, limits", &about_one(count, None), &registry);
        measure("one device each, 1 in 10 general", &about_one(count, Some(10)), &registry);
    }
    for count in [4, 40] {
        measure("every series of a metric, limits", &about_all(count), &registry);
    }
}
