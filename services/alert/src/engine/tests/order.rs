//! Order of arrival, repeats, crashes, and other devices: none of them changes an alert, whatever
//! the kind of rule.

use proptest::prelude::*;
use sen_model::condition::{Hours, Reference, Statistic, When};
use sen_model::{Level, Limit, Severity};

use super::*;

const WAIT_MS: i64 = 5_000;

/// One rule of each kind over the levels of rivers.
fn rules() -> Vec<Rule> {
    let limit = |bound, clear, for_ms, clear_for_ms| Limit { bound, clear, for_ms, clear_for_ms };
    let high = |value| limit(Bound::AtLeast(value), None, 0, 0);
    let level = |severity, limit| Level { severity, limit };
    let over = |id: &str, condition| {
        let metrics = vec![metric("level")];
        let selector = Selector { kinds: vec!["river".into()], metrics, ..Selector::default() };
        Rule { selector, ..rule(id, condition) }
    };
    let expression = |cel: &str, references| Condition::Expression {
        cel: cel.into(),
        references,
        for_ms: 2_000,
        clear_for_ms: 0,
    };
    let power = Reference { name: "power".into(), device: None, metric: metric("power") };
    // Times of these tests begin at seven in the morning in Vietnam.
    let first_minute = When { hours: vec![Hours { from: 420, until: 421 }], ..When::default() };
    vec![
        over("instant", Condition::Threshold { limit: high(1.6) }),
        over(
            "slow",
            Condition::Threshold { limit: limit(Bound::AtLeast(1.6), Some(1.2), 4_000, 3_000) },
        ),
        over(
            "levels",
            Condition::Levels {
                levels: vec![
                    level(Severity::MEDIUM, high(1.4)),
                    level(Severity::CRITICAL, limit(Bound::AtLeast(2.0), Some(1.6), 1_000, 0)),
                ],
            },
        ),
        over("rate", Condition::Rate { limit: high(0.2), per_ms: 1_000, within_ms: 6_000 }),
        over("delta", Condition::Delta { limit: high(1.0), within_ms: 4_000 }),
        over("frozen", Condition::Frozen { tolerance: 0.1, for_ms: 3_000 }),
        over(
            "window",
            Condition::Window {
                window_ms: 8_000,
                every_ms: 2_000,
                statistic: Statistic::Mean,
                limit: limit(Bound::Above(1.5), Some(1.3), 2_000, 0),
                least_count: 2,
            },
        ),
        over("expression", expression("value > 1.6 && device.kind == 'river'", Vec::new())),
        over("reference", expression("value > power", vec![power])),
        Rule {
            when: Some(first_minute),
            ..over(
                "scheduled",
                Condition::Threshold { limit: limit(Bound::AtLeast(1.6), None, 0, 9_000) },
            )
        },
    ]
}

/// A reading: event time, device, metric, value.
type Sent = (i64, usize, bool, f64);

/// Readings in order of event time, no two at one time.
fn readings(most: usize) -> impl Strategy<Value = Vec<Sent>> {
    let value = prop_oneof![Just(1.0), Just(1.05), Just(1.5), Just(1.7), Just(2.5)];
    let one = (1_i64..4_000, 0_usize..2, any::<bool>(), value);
    // Around the end of the first minute, where the schedule ends.
    (40_000_i64..60_000, proptest::collection::vec(one, 1..most)).prop_map(|(start, steps)| {
        let mut now = start;
        let sent = |(step, device, is_level, value)| {
            now += step;
            (now, device, is_level, value)
        };
        steps.into_iter().map(sent).collect()
    })
}

fn packet((ms, device, is_level, value): Sent, received_ms: i64) -> ReadingBatch {
    let metric = metric(if is_level { "level" } else { "power" });
    let reading = Reading { metric, ..reading(ms, value) };
    batch(["stn-a", "stn-b"][device], received_ms, vec![reading])
}

fn waiting(wait_ms: i64) -> Engine {
    let timing = Timing { wait_ms, ..TIMING };
    Engine::new(&rules(), Arc::new(registry()), timing, Memory::default(), at(0))
}

/// Everything a transition says but for the order in which devices came.
fn lines(transitions: &[Transition]) -> Vec<String> {
    let line = |transition: &Transition| match transition {
        Transition::Raise { subject, started_at, event_time, value, late, .. } => {
            format!("{} raise {started_at} {event_time} {value:?} {late}", name(subject))
        }
        Transition::Clear { subject, started_at, ceased_at, event_time, value } => {
            format!("{} clear {started_at} {ceased_at} {event_time} {value:?}", name(subject))
        }
        Transition::Join { .. } => panic!("{transition:?}"),
    };
    let mut lines: Vec<String> = transitions.iter().map(line).collect();
    lines.sort();
    lines
}

fn name(subject: &crate::transition::Subject) -> String {
    let crate::transition::Subject { edition, device, .. } = subject;
    format!("{device} {}.{}", edition.rule.id, edition.level)
}

/// What the engine tells of packets, and of the clock long after.
fn run(engine: &mut Engine, packets: &[ReadingBatch]) -> Vec<Transition> {
    let mut out = Vec::new();
    packets.iter().for_each(|packet| engine.judge(packet, &mut out));
    engine.tick(at(10_000_000), &mut out);
    out
}

/// In order, as they are measured.
fn sorted(readings: &[Sent]) -> Vec<ReadingBatch> {
    readings.iter().map(|sent| packet(*sent, sent.0)).collect()
}

/// Each as often as it has delays, in the order of arrival that these make.
fn delayed(readings: &[Sent], delays: &[Vec<i64>]) -> Vec<ReadingBatch> {
    let each = readings.iter().zip(delays.iter().cycle());
    let mut packets: Vec<ReadingBatch> = each
        .flat_map(|(sent, delays)| delays.iter().map(|delay| packet(*sent, sent.0 + delay)))
        .collect();
    packets.sort_by_key(|packet| packet.received_at);
    packets
}

fn delays() -> impl Strategy<Value = Vec<Vec<i64>>> {
    let of_one = proptest::collection::vec(0..=WAIT_MS, 1..4);
    proptest::collection::vec(of_one, 1..30)
}

#[test]
fn every_kind_raises_and_clears_in_what_these_tests_send() {
    let values = [1.0, 1.7, 2.5, 2.5, 2.5, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.2, 1.4, 1.2];
    let sent = |(n, value): (usize, &f64)| {
        let ms = 41_000 + 1_500 * n as i64;
        [(ms - 1, 0, false, 1.2), (ms, 0, true, *value)]
    };
    let readings: Vec<Sent> = values.iter().enumerate().flat_map(sent).collect();
    let told = lines(&run(&mut waiting(0), &sorted(&readings)));
    for rule in rules() {
        let levels = if rule.id.as_str() == "levels" { vec![1, 2] } else { vec![0] };
        for level in levels {
            let name = format!("stn-a {}.{level} ", rule.id);
            let kinds: Vec<_> = told.iter().filter_map(|line| line.strip_prefix(&name)).collect();
            assert!(kinds.iter().any(|line| line.starts_with("raise")), "{name}: {told:#?}");
            assert!(kinds.iter().any(|line| line.starts_with("clear")), "{name}: {told:#?}");
        }
    }
}

proptest! {
    /// P1 and P2: any order of arrival within the wait, with any repeats within it, gives exactly
    /// the alerts of the sorted readings.
    #[test]
    fn with_a_wait_the_order_of_arrival_and_repeats_change_nothing(
        readings in readings(60),
        delays in delays(),
    ) {
        let expected = lines(&run(&mut waiting(0), &sorted(&readings)));
        let told = lines(&run(&mut waiting(WAIT_MS), &delayed(&readings, &delays)));
        prop_assert_eq!(told, expected);
    }

    /// P2: repeats change nothing, in whatever order the readings came.
    #[test]
    fn without_a_wait_repeats_change_nothing(
        readings in readings(12).prop_shuffle(),
        repeats in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
    ) {
        let once: Vec<ReadingBatch> = readings.iter().map(|sent| packet(*sent, 100_000)).collect();
        let mut twice = readings.clone();
        for (which, place) in repeats {
            let sent = readings[which.index(readings.len())];
            let first = twice.iter().position(|other| *other == sent).unwrap_or(0);
            twice.insert(first + 1 + place.index(twice.len() - first), sent);
        }
        let twice: Vec<ReadingBatch> = twice.iter().map(|sent| packet(*sent, 100_000)).collect();
        // A reading older than a value it is compared with is compared again when repeated.
        let told = |packets: &[ReadingBatch]| lines(&run(&mut waiting(0), packets));
        prop_assert_eq!(told(&twice), told(&once));
    }

    /// P3: a crash after any packet changes nothing, with a wait or without.
    #[test]
    fn a_restored_memory_goes_on_as_if_nothing_had_happened(
        readings in readings(50),
        delays in delays(),
        crashes in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        waits in any::<bool>(),
    ) {
        let wait_ms = if waits { WAIT_MS } else { 0 };
        let packets = delayed(&readings, &delays);
        let expected = lines(&run(&mut waiting(wait_ms), &packets));
        let mut engine = waiting(wait_ms);
        let mut out = Vec::new();
        for (number, packet) in packets.iter().enumerate() {
            engine.judge(packet, &mut out);
            if crashes.iter().any(|crash| crash.index(packets.len()) == number) {
                let text = serde_json::to_string(&engine.memory()).unwrap();
                let memory = serde_json::from_str(&text).unwrap();
                let timing = Timing { wait_ms, ..TIMING };
                engine = Engine::new(&rules(), Arc::new(registry()), timing, memory, at(0));
            }
        }
        engine.tick(at(10_000_000), &mut out);
        prop_assert_eq!(lines(&out), expected);
    }

    /// P8: what one device sends changes nothing about another.
    #[test]
    fn devices_do_not_change_each_others_alerts(
        readings in readings(60),
        delays in delays(),
        waits in any::<bool>(),
    ) {
        let wait_ms = if waits { WAIT_MS } else { 0 };
        let packets = delayed(&readings, &delays);
        let of_a = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().filter(|line| line.starts_with("stn-a ")).collect()
        };
        let alone: Vec<ReadingBatch> =
            packets.iter().filter(|packet| packet.device == device_id("stn-a")).cloned().collect();
        let told = of_a(lines(&run(&mut waiting(wait_ms), &packets)));
        prop_assert_eq!(told, of_a(lines(&run(&mut waiting(wait_ms), &alone))));
    }
}
