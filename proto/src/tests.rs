//! Every message makes the round trip; no bytes make a decoder panic; the hand-written codec of
//! readings is the generated one.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use sen_model::alert::{
    Acknowledgement, Assignment, Closing, Explanation, Note, Shelving, Suppression,
};
use sen_model::partial::{Moment, Partial};
use sen_model::{
    Act, AlertId, AlertRecord, AlertState, AreaCode, Cause, Change, Command, DeviceId, Event,
    Field, Metric, Order, Quality, Quarantined, Reading, ReadingBatch, RejectReason, RuleId,
    Severity, Text, Timestamp,
};

use crate::{DecodeError, Wire, v1};

fn times() -> impl Strategy<Value = Timestamp> {
    // The whole of `i64`, and the years we live in.
    prop_oneof![any::<i64>(), 1_700_000_000_000..2_000_000_000_000_i64]
        .prop_map(Timestamp::from_millis)
}

fn devices() -> impl Strategy<Value = DeviceId> {
    "[a-z0-9][a-z0-9_-]{2,63}".prop_map(|text| DeviceId::new(text).unwrap())
}

fn metrics() -> impl Strategy<Value = Metric> {
    "[a-zA-Z][a-zA-Z0-9._-]{0,63}".prop_map(|text| Metric::new(text).unwrap())
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("the model holds finite values only", |value| value.is_finite())
}

fn partials() -> impl Strategy<Value = Partial> {
    let value = prop_oneof![-1e12..1e12_f64, Just(0.0), -1.0..1.0_f64];
    let moment = (times(), any::<u32>(), value, 0_u8..3);
    vec(moment, 0..20).prop_map(|moments| {
        let mut partial = Partial::default();
        for (event_time, sequence, value, quality) in moments {
            let quality = [Quality::Good, Quality::Suspect, Quality::Bad][usize::from(quality)];
            partial.add(Moment { event_time, sequence, value }, quality);
        }
        partial
    })
}

prop_compose! {
    fn readings()(
        metric in metrics(),
        event_time in times(),
        value in finite(),
        quality in select(vec![Quality::Good, Quality::Suspect, Quality::Bad]),
        sequence in any::<u32>(),
    ) -> Reading {
        Reading { metric, event_time, value, quality, sequence }
    }
}

prop_compose! {
    fn batches()(
        device in devices(), received_at in times(), readings in vec(readings(), 1..20),
    ) -> ReadingBatch {
        ReadingBatch { device, received_at, readings }
    }
}

prop_compose! {
    fn events()(
        id in any::<String>(), device in devices(), kind in any::<String>(),
        event_time in times(), received_at in times(), text in any::<String>(),
        attributes in btree_map(any::<String>(), any::<String>(), 0..5),
    ) -> Event {
        Event { id, device, kind, event_time, received_at, text, attributes }
    }
}

prop_compose! {
    fn quarantined()(
        received_at in times(), source in any::<String>(), client in any::<String>(),
        topic in any::<String>(), reason in select(RejectReason::ALL.to_vec()),
        detail in any::<String>(), payload in vec(any::<u8>(), 0..100), payload_bytes in any::<u64>(),
    ) -> Quarantined {
        Quarantined { received_at, source, client, topic, reason, detail, payload, payload_bytes }
    }
}

prop_compose! {
    fn commands()(
        idempotency_key in any::<String>(), alert in any::<String>(),
        expected_rev in option::of(any::<u32>()), note in any::<String>(),
        by in any::<String>(), at in times(),
    ) -> Command {
        let (alert, act) = (AlertId::from_text(&alert), Act::Acknowledge { note });
        let order = Order::Alert { alert, expected_rev, act };
        Command { idempotency_key, order, by, at }
    }
}

const STATES: [AlertState; 5] = [
    AlertState::Latched,
    AlertState::Unacknowledged,
    AlertState::Acknowledged,
    AlertState::ReturnedUnacknowledged,
    AlertState::Normal,
];
const FIELDS: [Field; 5] = [
    Field::SocioEconomy,
    Field::Security,
    Field::Transport,
    Field::Environment,
    Field::PublicServices,
];

prop_compose! {
    fn acknowledgements()(
        by in any::<String>(), at in times(), note in any::<String>(),
    ) -> Acknowledgement {
        Acknowledgement { by, at, note }
    }
}

prop_compose! {
    // What an alert says, and about what. (`prop_compose!` takes at most twelve parts.)
    fn alert_subjects()(
        rule in "[a-z0-9][a-z0-9_-]{0,63}", rule_version in any::<String>(),
        severity in 1..=4_u8, field in select(FIELDS.to_vec()), device in devices(),
        metric in option::of(metrics()), area in option::of("[0-9]{5}"),
        value in option::of(finite()), limit in option::of(finite()),
        vi in any::<String>(), en in any::<String>(),
    ) -> AlertRecord {
        AlertRecord {
            metric,
            area: area.map(|code| AreaCode::new(code).unwrap()),
            value,
            limit,
            text: Text::new(vi, en),
            ..AlertRecord::raised(
                AlertId::from_text(""),
                RuleId::new(rule).unwrap(),
                rule_version,
                Severity::try_from(severity).unwrap(),
                field,
                device,
                Timestamp::default(),
            )
        }
    }
}

prop_compose! {
    fn explanations()(
        number in 0..5_u8, id in any::<String>(), device in devices(), text in any::<String>(),
    ) -> Explanation {
        let alert = AlertId::from_text(&id);
        match number {
            0 => Explanation::Level { alert },
            1 => Explanation::Dependency { alert, device },
            2 => Explanation::Member { alert },
            3 => Explanation::Maintenance { entry: id },
            _ => Explanation::Person { by: id, reason: text },
        }
    }
}

prop_compose! {
    // What people and the desk did with an alert; the rest of the record is of no account.
    fn handlings()(
        flags in vec(any::<bool>(), 5), words in vec(any::<String>(), 6), at in times(),
        until in option::of(times()), why in explanations(), level in any::<u8>(),
        cause in select(vec![
            Cause::Resolved, Cause::FalseAlarm, Cause::Planned, Cause::Duplicate, Cause::HandedOver,
        ]),
        given in vec(any::<bool>(), 5), many in 0..3_usize,
    ) -> AlertRecord {
        let word = |number: usize| words[number].clone();
        let (by, text) = (word(0), word(1));
        let shelving = Shelving {
            by: by.clone(), at, reason: text.clone(), until: at, one_shot: flags[0],
        };
        let note = Note { by: by.clone(), at, text: text.clone() };
        let blank = AlertRecord::raised(
            AlertId::from_text(""), RuleId::new("r").unwrap(), String::new(), Severity::LOW,
            Field::Security, DeviceId::new("dev-1").unwrap(), at,
        );
        AlertRecord {
            late: flags[1], level, group: word(2), latched: flags[2], chattering: flags[3],
            drill: flags[4], shelving: given[0].then_some(shelving),
            suppression: given[1].then_some(Suppression { why, at, until }),
            out_of_service: given[2].then(|| word(3)),
            assignment: given[3].then(|| Assignment { to: word(4), by: by.clone(), at }),
            notes: vec![note; many],
            closing: given[4].then_some(Closing { by, at, cause, note: text }),
            members: vec![AlertId::from_text(&words[5]); many],
            attributes: words.iter().take(many).map(|w| (w.clone(), w.clone())).collect(),
            ..blank
        }
    }
}

prop_compose! {
    fn alerts()(
        subject in alert_subjects(), id in any::<String>(), rev in any::<u32>(),
        change in select(vec![
            Change::Raised,
            Change::Acknowledged,
            Change::Cleared,
            Change::Superseded,
            Change::Shelved,
            Change::Closed,
            Change::Updated,
        ]),
        state in select(STATES.to_vec()), event_time in times(), started_at in times(),
        cleared_at in option::of(times()), recorded_at in times(),
        acknowledgement in option::of(acknowledgements()), handling in handlings(),
    ) -> AlertRecord {
        let AlertRecord {
            late, level, group, latched, chattering, drill, shelving, suppression, out_of_service,
            assignment, notes, closing, members, attributes, ..
        } = handling;
        AlertRecord {
            id: AlertId::from_text(&id), rev, change, state, event_time, started_at, cleared_at,
            recorded_at, acknowledgement, late, level, group, latched, chattering, drill, shelving,
            suppression, out_of_service, assignment, notes, closing, members, attributes, ..subject
        }
    }
}

fn encoded(value: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

fn decoded<T: Wire>(value: &T) -> T {
    T::decode(&encoded(value)).expect("what was encoded is decoded")
}

/// Sound messages with one byte changed and the end cut off: they reach much deeper into a decoder
/// than random bytes do.
fn damaged(sound: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = sound.len();
    (0..length.max(1), any::<u8>(), 0..=length).prop_map(move |(at, byte, cut)| {
        let mut bytes = sound.clone();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(length - cut / 4);
        bytes
    })
}

/// The batch as generated code sees it.
fn generated(batch: &ReadingBatch) -> v1::ReadingBatch {
    let received_at_ms = batch.received_at.as_millis();
    let quality = |quality| match quality {
        Quality::Good => v1::Quality::Good,
        Quality::Suspect => v1::Quality::Suspect,
        Quality::Bad => v1::Quality::Bad,
    };
    let readings = batch.readings.iter().map(|reading| v1::Reading {
        metric: reading.metric.to_string(),
        event_time_delta_ms: reading.event_time.as_millis().wrapping_sub(received_at_ms),
        value: reading.value,
        quality: quality(reading.quality).into(),
        sequence: reading.sequence,
    });
    let device = batch.device.to_string();
    v1::ReadingBatch { device, received_at_ms, readings: readings.collect() }
}

/// What the generated decoder makes of the bytes, held to the rules of the model.
fn by_generated_code(bytes: &[u8]) -> Option<ReadingBatch> {
    let message = v1::ReadingBatch::decode(bytes).ok()?;
    let received_at = message.received_at_ms;
    let reading = |reading: v1::Reading| {
        Some(Reading {
            metric: Metric::new(&reading.metric).ok()?,
            event_time: Timestamp::from_millis(
                received_at.wrapping_add(reading.event_time_delta_ms),
            ),
            value: Some(reading.value).filter(|value| value.is_finite())?,
            quality: match reading.quality() {
                v1::Quality::Good => Quality::Good,
                v1::Quality::Suspect => Quality::Suspect,
                v1::Quality::Bad => Quality::Bad,
                v1::Quality::Unspecified => return None,
            },
            sequence: reading.sequence,
        })
    };
    let readings: Vec<Reading> =
        message.readings.into_iter().map(reading).collect::<Option<_>>()?;
    if readings.is_empty() {
        return None;
    }
    let received_at = Timestamp::from_millis(received_at);
    Some(ReadingBatch { device: DeviceId::new(&message.device).ok()?, received_at, readings })
}

proptest! {
    #[test]
    fn readings_make_the_round_trip(batch in batches()) {
        prop_assert_eq!(decoded(&batch), batch);
    }

    #[test]
    fn events_make_the_round_trip(event in events()) {
        prop_assert_eq!(decoded(&event), event);
    }

    #[test]
    fn quarantined_makes_the_round_trip(entry in quarantined()) {
        prop_assert_eq!(decoded(&entry), entry);
    }

    #[test]
    fn alerts_make_the_round_trip(record in alerts()) {
        prop_assert_eq!(decoded(&record), record);
    }

    #[test]
    fn commands_make_the_round_trip(command in commands()) {
        prop_assert_eq!(decoded(&command), command);
    }

    #[test]
    fn partials_make_the_round_trip(partial in partials()) {
        prop_assert_eq!(decoded(&partial), partial);
    }

    #[test]
    fn readings_by_hand_are_the_bytes_of_generated_code(batch in batches()) {
        prop_assert_eq!(encoded(&batch), generated(&batch).encode_to_vec());
    }

    #[test]
    fn both_decoders_of_readings_agree_on_damaged_bytes(
        bytes in batches().prop_flat_map(|batch| damaged(encoded(&batch))),
    ) {
        prop_assert_eq!(ReadingBatch::decode(&bytes).ok(), by_generated_code(&bytes));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..200),
            batches().prop_flat_map(|value| damaged(encoded(&value))),
            events().prop_flat_map(|value| damaged(encoded(&value))),
            quarantined().prop_flat_map(|value| damaged(encoded(&value))),
            alerts().prop_flat_map(|value| damaged(encoded(&value))),
            commands().prop_flat_map(|value| damaged(encoded(&value))),
            partials().prop_flat_map(|value| damaged(encoded(&value))),
        ],
    ) {
        // Whatever is accepted is a value that makes the round trip itself.
        if let Ok(value) = ReadingBatch::decode(&bytes) { prop_assert_eq!(decoded(&value), value); }
        if let Ok(value) = Event::decode(&bytes) { prop_assert_eq!(decoded(&value), value); }
        if let Ok(value) = Quarantined::decode(&bytes) { prop_assert_eq!(decoded(&value), value); }
        if let Ok(value) = AlertRecord::decode(&bytes) { prop_assert_eq!(decoded(&value), value); }
        if let Ok(value) = Command::decode(&bytes) { prop_assert_eq!(decoded(&value), value); }
        if let Ok(value) = Partial::decode(&bytes) { prop_assert_eq!(decoded(&value), value); }
    }
}

#[test]
fn unknown_enum_values_are_errors_that_name_the_field() {
    let unknown = |field| v1::Quarantined { reason: field, ..Default::default() }.encode_to_vec();
    for number in [0, 99, -1] {
        let error = Quarantined::decode(&unknown(number)).unwrap_err();
        assert!(matches!(error, DecodeError::Field { field: "reason" }), "{number}: {error:?}");
    }
}

#[test]
fn fields_of_a_later_version_are_skipped() {
    let batch = ReadingBatch {
        device: DeviceId::new("stn-my-tho").unwrap(),
        received_at: Timestamp::from_millis(1_795_416_125_120),
        readings: vec![Reading {
            metric: Metric::new("water_level_m").unwrap(),
            event_time: Timestamp::from_millis(1_795_416_125_000),
            value: 1.62,
            quality: Quality::Good,
            sequence: 0,
        }],
    };
    let mut bytes = encoded(&batch);
    // What the disk pays for a packet with one reading, before the log's frame.
    assert_eq!(bytes.len(), 50);
    bytes.extend_from_slice(&[0x9a, 0x06, 3, b'n', b'e', b'w']); // field 99, length-delimited
    assert_eq!(ReadingBatch::decode(&bytes).unwrap(), batch);
}

#[test]
fn values_the_model_refuses_are_refused() {
    let sound = v1::ReadingBatch {
        device: "stn-my-tho".into(),
        received_at_ms: 0,
        readings: vec![v1::Reading {
            metric: "water_level_m".into(),
            quality: v1::Quality::Good.into(),
            ..Default::default()
        }],
    };
    let refused = |change: fn(&mut v1::ReadingBatch)| {
        let mut message = sound.clone();
        change(&mut message);
        match ReadingBatch::decode(&message.encode_to_vec()) {
            Err(DecodeError::Field { field }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert!(ReadingBatch::decode(&sound.encode_to_vec()).is_ok());
    assert_eq!(refused(|batch| batch.device = "a/b/c".into()), "device");
    assert_eq!(refused(|batch| batch.readings.clear()), "readings");
    assert_eq!(refused(|batch| batch.readings[0].metric = "tốc độ".into()), "metric");
    assert_eq!(refused(|batch| batch.readings[0].value = f64::NAN), "value");
    assert_eq!(refused(|batch| batch.readings[0].quality = 9), "quality");
}
