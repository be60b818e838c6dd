//! The encoder of line protocol: whatever it takes reads back as that one point (fuzz target T5).

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use proptest::prelude::*;
use sen_archive::line::{self, Line, Value};

#[path = "line/check.rs"]
mod check;

/// Texts with many of the characters that mean something to line protocol.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z,= \"\\\\#'{}()|àế🌸_-]{1,12}",
        2 => "[a-zA-Z0-9_.-]{1,64}",
        1 => any::<String>(),
        1 => Just(String::new()),
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -1e12..1e12_f64, any::<u64>().prop_map(f64::from_bits), Just(-0.0)]
}

proptest! {
    #[test]
    fn an_accepted_point_reads_back_as_that_one_point(
        measurement in text(),
        tags in prop::collection::vec((text(), text()), 0..4),
        number in number(),
        whole in any::<i64>(),
        keys in prop::collection::vec(text(), 0..4),
        written in text(),
        time_ns in any::<i64>(),
    ) {
        let tags: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let values = [Value::Text(&written), Value::Float(number), Value::Integer(whole)];
        let fields: Vec<_> = keys.iter().map(String::as_str).zip(values).collect();
        check::check(&Line { measurement: &measurement, tags: &tags, fields: &fields, time_ns });
    }

    #[test]
    fn plain_points_are_always_accepted(
        device in "[a-z0-9][a-z0-9_-]{2,63}",
        metric in "[a-zA-Z][a-zA-Z0-9._-]{0,63}",
        value in -1e12..1e12_f64,
        time_ns in i64::MIN + 2..i64::MAX,
    ) {
        let tags = [("device", device.as_str()), ("metric", metric.as_str())];
        let fields = [("value", Value::Float(value))];
        let line = Line { measurement: "reading", tags: &tags, fields: &fields, time_ns };
        prop_assert!(check::check(&line), "{line:?}");
    }
}

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/line");
    let mut accepted = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        accepted.push(check::check_bytes(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
    // Both verdicts occur, or the corpus would test nothing.
    assert!(accepted.len() >= 20 && accepted.contains(&true) && accepted.contains(&false));
}
