//! Records as the centre above can decode them: Sen's own convention, with the sequence and the
//! quality said. Pure: no clock, no line.
//!
//! A record becomes one or several JSON objects; the outbox packs those of one device together.

use std::fmt::Write;

use sen_model::{Event, Quality, Reading, ReadingBatch};
use serde_json::json;

/// Most metrics the convention takes in one object.
const METRICS_PER_OBJECT: usize = 64;
/// About the longest object, in bytes; longer records become several.
const OBJECT_BYTES: usize = 2_048;

/// One JSON object, and how many readings or events it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) says: u64,
}

/// The readings of a batch in their order. Neighbours share an object if they are of one moment,
/// one sequence and one quality, and no metric stands twice.
pub(crate) fn telemetry(batch: &ReadingBatch) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = batch.readings.as_slice();
    while let Some(first) = rest.first() {
        let together = together(first, rest);
        pieces.push(object(&rest[..together]));
        rest = &rest[together..];
    }
    pieces
}

/// How many readings from the first on make one object.
fn together(first: &Reading, readings: &[Reading]) -> usize {
    let mut bytes = 0;
    let fits = |(at, reading): &(usize, &Reading)| {
        bytes += reading.metric.as_str().len() + 24;
        let same = (reading.event_time, reading.sequence, reading.quality)
            == (first.event_time, first.sequence, first.quality);
        let is_new = readings[..*at].iter().all(|other| other.metric != reading.metric);
        same && is_new && *at < METRICS_PER_OBJECT && bytes <= OBJECT_BYTES
    };
    readings.iter().enumerate().take_while(fits).count().max(1)
}

fn object(readings: &[Reading]) -> Piece {
    let (says, first) = (readings.len() as u64, &readings[0]);
    let mut text = format!("{{\"ts\":{}", first.event_time.as_millis());
    // Writing into a string does not fail.
    if first.sequence != 0 {
        let _ = write!(text, ",\"seq\":{}", first.sequence);
    }
    match first.quality {
        Quality::Good => {}
        Quality::Suspect => text.push_str(",\"quality\":\"suspect\""),
        Quality::Bad => text.push_str(",\"quality\":\"bad\""),
    }
    text.push_str(",\"values\":{");
    for (at, Reading { metric, value, .. }) in readings.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // A metric needs no escape; the shortest digits that are this very number.
        let _ = write!(text, "{comma}\"{metric}\":{value:?}");
    }
    text.push_str("}}");
    Piece { text, says }
}

/// An event with its own id, so that it is the same one there.
pub(crate) fn event(event: &Event) -> Piece {
    let mut object = json!({
        "kind": event.kind,
        "ts": event.event_time.as_millis(),
        "id": event.id,
    });
    if !event.text.is_empty() {
        object["text"] = event.text.clone().into();
    }
    if !event.attributes.is_empty() {
        object["attributes"] = json!(event.attributes);
    }
    Piece { text: object.to_string(), says: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sen_model::{Metric, Timestamp};
    use serde_json::Value;

    fn reading(metric: &str, ms: i64, sequence: u32, quality: Quality, value: f64) -> Reading {
        let event_time = Timestamp::from_millis(ms);
        Reading { metric: Metric::new(metric).unwrap(), event_time, value, quality, sequence }
    }

    fn texts(readings: Vec<Reading>) -> Vec<String> {
        let device = "stn-1".parse().unwrap();
        let received_at = Timestamp::from_millis(9);
        let pieces = telemetry(&ReadingBatch { device, received_at, readings });
        pieces.into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn neighbours_of_one_moment_share_an_object() {
        use Quality::{Bad, Good, Suspect};
        let readings = vec![
            reading("a", 5, 0, Good, 1.5),
            reading("b", 5, 0, Good, -0.1),
            reading("a", 5, 0, Good, 2.0),
            reading("c", 5, 7, Good, 1e12),
            reading("d", 5, 7, Suspect, 1e-9),
            reading("d", 6, 7, Bad, 0.0),
        ];
        let wanted = [
            r#"{"ts":5,"values":{"a":1.5,"b":-0.1}}"#,
            r#"{"ts":5,"values":{"a":2.0}}"#,
            r#"{"ts":5,"seq":7,"values":{"c":1000000000000.0}}"#,
            r#"{"ts":5,"seq":7,"quality":"suspect","values":{"d":1e-9}}"#,
            r#"{"ts":6,"seq":7,"quality":"bad","values":{"d":0.0}}"#,
        ];
        assert_eq!(texts(readings), wanted);
    }

    #[test]
    fn a_long_record_becomes_several_objects() {
        let name = |n: usize| format!("m{n:0>63}");
        let many = (0..1_000).map(|n| reading(&name(n), 5, 0, Quality::Good, 0.1)).collect();
        let texts = texts(many);
        assert!(texts.iter().all(|text| text.len() < 4_000), "each fits a packet");
        let count = |text: &String| {
            serde_json::from_str::<Value>(text).unwrap()["values"].as_object().unwrap().len()
        };
        assert_eq!(texts.iter().map(count).sum::<usize>(), 1_000);
        assert!(texts.iter().all(|text| count(text) <= METRICS_PER_OBJECT));
    }

    #[test]
    fn an_event_keeps_its_id_and_all_its_words() {
        let mut one = Event {
            id: "cam-7-0815".into(),
            device: "cam-7".parse().unwrap(),
            kind: "crowd".into(),
            event_time: Timestamp::from_millis(5),
            received_at: Timestamp::from_millis(9),
            text: "đông \"người\"\n".into(),
            attributes: [("people".to_owned(), "120".to_owned())].into(),
        };
        let tree: Value = serde_json::from_str(&event(&one).text).unwrap();
        let wanted = json!({"kind": "crowd", "ts": 5, "id": "cam-7-0815",
            "text": "đông \"người\"\n", "attributes": {"people": "120"}});
        assert_eq!(tree, wanted);
        (one.text, one.attributes) = (String::new(), [].into());
        let tree: Value = serde_json::from_str(&event(&one).text).unwrap();
        assert_eq!(tree, json!({"kind": "crowd", "ts": 5, "id": "cam-7-0815"}));
    }

    proptest! {
        #[test]
        fn every_value_is_read_back_bit_by_bit(value in -1e12_f64..1e12, ms in 0..i64::MAX) {
            let text = &texts(vec![reading("a", ms, 1, Quality::Good, value)])[0];
            let values = text.split_once("\"a\":").unwrap().1.trim_end_matches('}');
            prop_assert_eq!(values.parse::<f64>().unwrap().to_bits(), value.to_bits());
            let tree: Value = serde_json::from_str(text).unwrap();
            prop_assert_eq!(tree["ts"].as_i64(), Some(ms));
        }
    }
}
