//! What the native convention takes and refuses, example by example and against a naive predicate.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value as Tree;

use super::*;

const ARRIVAL: Timestamp = Timestamp::from_millis(5_000);

fn packet(payload: &[u8]) -> Packet {
    Packet {
        source: "mqtt".into(),
        client: "c".into(),
        topic: "sen/v1/stn-1/telemetry".into(),
        payload: Bytes::copy_from_slice(payload),
        received_at: ARRIVAL,
        number: 1,
        retained: false,
    }
}

fn decode(payload: &str) -> Result<Decoded, Reject> {
    Native.decode(&packet(payload.as_bytes()))
}

/// Metric, event time, value, sequence.
type Short<'a> = (&'a str, i64, f64, Option<u32>);

/// The sequence of a reading with a time of its own and no sequence.
const TIMED: Option<u32> = Some(0);

fn short(decoded: &Decoded) -> Vec<Short<'_>> {
    let short = |m: &'_ Measured| (m.event_time.as_millis(), m.value, m.sequence);
    let parts = decoded.readings.iter().map(|m| (m.metric.as_str(), short(m)));
    parts.map(|(metric, (ms, value, seq))| (metric, ms, value, seq)).collect()
}

#[test]
fn every_form_of_the_convention_is_taken() {
    let cases: [(&str, Vec<Short>); 7] = [
        (
            r#"{"ts":1,"values":{"a":2,"b":-0.5}}"#,
            vec![("a", 1, 2.0, TIMED), ("b", 1, -0.5, TIMED)],
        ),
        (r#"{"a":1e3}"#, vec![("a", 5_000, 1e3, None)]),
        (r#"{"values":{"a":1},"ts":7,"seq":9}"#, vec![("a", 7, 1.0, Some(9))]),
        (r#"{"a":1,"seq":9}"#, vec![("a", 5_000, 1.0, None)]),
        (r#"{"ts":7,"a":1}"#, vec![("a", 7, 1.0, TIMED)]),
        (r#"{"on":true,"off":false}"#, vec![("on", 5_000, 1.0, None), ("off", 5_000, 0.0, None)]),
        (
            r#" [{"ts":1,"values":{"a":1}}, {"a":2}] "#,
            vec![("a", 1, 1.0, TIMED), ("a", 5_000, 2.0, None)],
        ),
    ];
    for (payload, wanted) in cases {
        let decoded = decode(payload).unwrap();
        assert_eq!((short(&decoded), decoded.rejects.len()), (wanted, 0), "{payload}");
    }
}

#[test]
fn a_sender_may_say_how_far_it_trusts_its_readings() {
    use Quality::{Bad, Good, Suspect};
    let cases = [
        (r#"{"ts":1,"values":{"a":2}}"#, Good, 0),
        (r#"{"ts":1,"quality":"good","values":{"a":2}}"#, Good, 0),
        (r#"{"values":{"a":2},"ts":1,"seq":3,"quality":"suspect"}"#, Suspect, 0),
        (r#"{"quality":"bad","values":{"a":2}}"#, Bad, 0),
        // Never understood, and still no reason to lose the reading.
        (r#"{"quality":192,"values":{"a":2}}"#, Good, 1),
        (r#"{"quality":"fair","values":{"a":2}}"#, Good, 1),
    ];
    for (payload, wanted, rejects) in cases {
        let decoded = decode(payload).unwrap();
        let qualities: Vec<_> = decoded.readings.iter().map(|m| m.quality).collect();
        assert_eq!((qualities.as_slice(), decoded.rejects.len()), ([wanted].as_slice(), rejects));
    }
    let flat = decode(r#"{"quality":3,"a":1}"#).unwrap();
    assert_eq!(short(&flat), [("quality", 5_000, 3.0, None), ("a", 5_000, 1.0, None)]);
    let of_each = decode(r#"[{"quality":"bad","values":{"a":2}},{"values":{"a":3}}]"#).unwrap();
    assert_eq!(of_each.readings.iter().map(|m| m.quality).collect::<Vec<_>>(), [Bad, Good]);
}

#[test]
fn what_cannot_be_taken_at_all_has_a_reason() {
    let many =
        format!("{{{}}}", (0..65).map(|i| format!("\"m{i}\":1")).collect::<Vec<_>>().join(","));
    let crowd = format!("[{}]", vec![r#"{"a":1}"#; 1_001].join(","));
    let cases = [
        ("7", RejectReason::BadShape),
        ("[]", RejectReason::BadShape),
        ("{}", RejectReason::BadShape),
        (r#"{"ts":1}"#, RejectReason::BadShape),
        (r#"{"ts":1,"values":{}}"#, RejectReason::BadShape),
        (r#"{"ts":1,"values":[1]}"#, RejectReason::BadShape),
        (r#"{"ts":1.5,"values":{"a":1}}"#, RejectReason::BadShape),
        (r#"{"ts":"1","values":{"a":1}}"#, RejectReason::BadShape),
        (r#"{"seq":-1,"a":1}"#, RejectReason::BadShape),
        (r#"{"a":1,"a":2}"#, RejectReason::BadJson),
        (many.as_str(), RejectReason::TooMany),
        (crowd.as_str(), RejectReason::TooMany),
    ];
    for (payload, wanted) in cases {
        assert_eq!(decode(payload).unwrap_err().reason, wanted, "{payload:.60}");
    }
    let mut foreign = packet(br#"{"a":1}"#);
    foreign.topic = "sen/v1/Not A Name/telemetry".into();
    assert_eq!(Native.decode(&foreign).unwrap_err().reason, RejectReason::BadName);
}

#[test]
fn a_partly_bad_packet_keeps_its_good_readings() {
    let mixed =
        r#"{"ok":1,"huge":1e13,"far":1e400,"text":"1","none":null,"1bad":2,"nest":{"a":1}}"#;
    let decoded = decode(mixed).unwrap();
    assert_eq!(short(&decoded), [("ok", 5_000, 1.0, None)]);
    let reasons: Vec<_> = decoded.rejects.iter().map(|reject| reject.reason).collect();
    use RejectReason::{BadName, BadValue};
    assert_eq!(reasons, [BadValue, BadValue, BadValue, BadValue, BadName, BadValue]);

    let mixed = r#"[{"a":1},7,{},{"ts":"x","b":1},{"values":{"c":1},"stray":2},{"d":1,"d":2}]"#;
    let decoded = decode(mixed).unwrap();
    assert_eq!(short(&decoded), [("a", 5_000, 1.0, None), ("c", 5_000, 1.0, None)]);
    assert_eq!(decoded.rejects.len(), 5);
}

#[test]
fn retained_state_needs_a_time_of_its_own() {
    let mut old = packet(br#"{"a":1}"#);
    old.retained = true;
    assert_eq!(Native.decode(&old).unwrap_err().reason, RejectReason::BadShape);
    old.payload = Bytes::from_static(br#"{"ts":1,"a":1}"#);
    assert!(Native.decode(&old).is_ok());
}

/// The convention written as plainly as can be, over serde_json's own tree: how many readings a
/// payload without repeated keys holds, or none if it is refused whole.
fn naive(tree: &Tree) -> Option<usize> {
    let objects: Vec<&Tree> = match tree {
        Tree::Array(elements) if !elements.is_empty() => elements.iter().collect(),
        Tree::Object(_) => vec![tree],
        _ => return None,
    };
    let counts: Vec<Option<usize>> = objects.iter().map(|object| naive_object(object)).collect();
    match tree {
        Tree::Object(_) => counts[0],
        _ => Some(counts.into_iter().flatten().sum()),
    }
}

fn naive_object(tree: &Tree) -> Option<usize> {
    let object = tree.as_object()?;
    let integer = |key, most: i128| match object.get(key) {
        None => true,
        Some(tree) => tree.as_i64().is_some_and(|n| key == "ts" || (0..=most).contains(&n.into())),
    };
    if !integer("ts", 0) || !integer("seq", u32::MAX.into()) {
        return None;
    }
    let metrics: Vec<(&String, &Tree)> = match object.get("values") {
        Some(values) => values.as_object()?.iter().collect(),
        None => object.iter().filter(|(key, _)| *key != "ts" && *key != "seq").collect(),
    };
    if metrics.is_empty() || metrics.len() > METRICS_PER_OBJECT {
        return None;
    }
    let good = |(key, tree): &&(&String, &Tree)| {
        let number = tree.is_boolean() || tree.as_f64().is_some_and(|value| value.abs() <= 1e12);
        Metric::new(key).is_ok() && number
    };
    Some(metrics.iter().filter(good).count())
}

fn tree() -> impl Strategy<Value = Tree> {
    let key = prop_oneof![
        Just("ts".to_owned()),
        Just("seq".to_owned()),
        Just("values".to_owned()),
        "[a-z0-9]{1,3}",
    ];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        (-1e13..1e13).prop_map(Tree::from),
        "[a-z]{0,3}".prop_map(Tree::from),
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        let members = proptest::collection::vec((key.clone(), inner.clone()), 0..8);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Tree::from),
            members.prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn takes_exactly_what_the_naive_predicate_takes(tree in tree()) {
        let decoded = decode(&tree.to_string());
        prop_assert_eq!(decoded.as_ref().ok().map(|d| d.readings.len()), naive(&tree));
        for reading in decoded.iter().flat_map(|d| &d.readings) {
            prop_assert!(reading.value.is_finite() && reading.value.abs() <= 1e12);
        }
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Native.decode(&packet(&bytes));
    }

    #[test]
    fn never_panics_on_mangled_json(
        tree in tree(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = tree.to_string().into_bytes();
        for (index, byte) in cuts {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(decoded) = Native.decode(&packet(&bytes)) {
            let valid: Result<Tree, _> = serde_json::from_slice(&bytes);
            prop_assert!(valid.is_ok() || !decoded.rejects.is_empty(), "took what is not JSON");
        }
    }
}
