//! Sen's own convention.
//!
//! On `sen/v1/{device}/telemetry`: `{"ts": <ms>, "values": {"metric": number, …}}`, or
//! `{"metric": number, …}` where the time of arrival counts, or an array of those. `"ts"` is
//! milliseconds since 1970 UTC as an integer, `"seq"` a number from 0 to 4294967295 that tells
//! readings of one millisecond apart and counts only beside `"ts"`; both may also stand in the flat
//! form. `true` and `false` count as 1 and 0. Beside `"values"` there may stand `"quality"`: `"good"`,
//! `"suspect"` or `"bad"`, how far the sender itself trusts these readings; in the flat form that is
//! a metric like any other. On `sen/v1/{device}/event`: see [`event`].

use std::borrow::Cow;

use sen_model::{DeviceId, Metric, Quality, RejectReason, Timestamp};

use super::json::{self, Value};
use super::{Decoded, Decoder, Measured, Reject, event};
use crate::packet::Packet;
use crate::topic::{Purpose, purpose};

/// Most metrics in one object.
pub(crate) const METRICS_PER_OBJECT: usize = 64;
/// Most readings in one packet.
pub(crate) const READINGS_PER_PACKET: usize = 1_000;

/// The decoder of Sen's own convention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Native;

impl Decoder for Native {
    fn claims(&self, topic: &str) -> bool {
        matches!(purpose(topic), Purpose::Telemetry(_) | Purpose::Event(_))
    }

    fn decode(&self, packet: &Packet) -> Result<Decoded, Reject> {
        let (Purpose::Telemetry(device) | Purpose::Event(device)) = purpose(&packet.topic) else {
            return Err(Reject::new(RejectReason::UnknownTopic, "not a topic of this convention"));
        };
        let device = DeviceId::new(device)
            .map_err(|error| Reject::new(RejectReason::BadName, error.to_string()))?;
        let value = json::open(&packet.payload)?;
        let mut decoded = Decoded::of(device);
        if matches!(purpose(&packet.topic), Purpose::Event(_)) {
            event::take(value, packet, &mut decoded)?;
        } else {
            take_telemetry(value, packet, &mut decoded)?;
        }
        Ok(decoded)
    }
}

fn take_telemetry(value: Value<'_>, packet: &Packet, decoded: &mut Decoded) -> Result<(), Reject> {
    match value {
        Value::Object(members) => take_object(members, packet, decoded)?,
        Value::Array(elements) => {
            if elements.is_empty() {
                return Err(Reject::new(RejectReason::BadShape, "an array without readings"));
            }
            for element in elements {
                let taken = json::look(element).and_then(|value| match value {
                    Value::Object(members) => take_object(members, packet, decoded),
                    _ => Err(Reject::new(RejectReason::BadShape, NOT_AN_OBJECT)),
                });
                decoded.rejects.extend(taken.err());
                check_amount(decoded)?;
            }
        }
        _ => return Err(Reject::new(RejectReason::BadShape, NOT_AN_OBJECT)),
    }
    check_amount(decoded)
}

const NOT_AN_OBJECT: &str = "readings are an object of metrics, or an array of such objects";

/// A packet with too much in it is refused whole: nobody could say which part of it counts.
fn check_amount(decoded: &Decoded) -> Result<(), Reject> {
    if decoded.readings.len() + decoded.rejects.len() <= READINGS_PER_PACKET {
        return Ok(());
    }
    let detail = format!("more than {READINGS_PER_PACKET} readings in one packet");
    Err(Reject::new(RejectReason::TooMany, detail))
}

/// Takes one object of either form; `Err` if nothing of it can be taken.
fn take_object(
    members: Vec<(Cow<'_, str>, &str)>,
    packet: &Packet,
    decoded: &mut Decoded,
) -> Result<(), Reject> {
    let (mut event_time, mut sequence, mut values) = (None, 0, None);
    let mut flat = Vec::new();
    for (key, text) in members {
        match key.as_ref() {
            "ts" => event_time = Some(timestamp(text)?),
            "seq" => sequence = sequence_number(text)?,
            "values" => values = Some(object(text)?),
            _ => flat.push((key, text)),
        }
    }
    if event_time.is_none() && packet.retained {
        let detail = "retained state without `ts` does not say when it was measured";
        return Err(Reject::new(RejectReason::BadShape, detail));
    }
    let mut quality = Quality::Good;
    let metrics = match values {
        None => flat,
        Some(values) => {
            if let Some(at) = flat.iter().position(|(key, _)| key == "quality") {
                match quality_of(flat.remove(at).1) {
                    Ok(said) => quality = said,
                    Err(reject) => decoded.rejects.push(reject),
                }
            }
            let stray = flat.iter().map(|(key, _)| {
                Reject::about(RejectReason::BadShape, key, "not known beside `values`")
            });
            decoded.rejects.extend(stray);
            values
        }
    };
    check_metrics(metrics.len())?;
    // Without a time of its own a reading is known by when we heard it, and a number of ours.
    let sequence = event_time.map(|_| sequence);
    let event_time = event_time.unwrap_or(packet.received_at);
    for (name, text) in metrics {
        match measured(&name, text) {
            Ok((metric, value)) => {
                decoded.readings.push(Measured { metric, event_time, value, sequence, quality });
            }
            Err(reject) => decoded.rejects.push(reject),
        }
    }
    Ok(())
}

fn check_metrics(count: usize) -> Result<(), Reject> {
    match count {
        0 => Err(Reject::new(RejectReason::BadShape, "an object without metrics")),
        1..=METRICS_PER_OBJECT => Ok(()),
        _ => {
            let detail = format!("more than {METRICS_PER_OBJECT} metrics in one object");
            Err(Reject::new(RejectReason::TooMany, detail))
        }
    }
}

fn object(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, Reject> {
    match json::look(text)? {
        Value::Object(members) => Ok(members),
        _ => Err(Reject::about(RejectReason::BadShape, "values", "not an object of metrics")),
    }
}

fn measured(name: &str, text: &str) -> Result<(Metric, f64), Reject> {
    let metric =
        Metric::new(name).map_err(|error| Reject::new(RejectReason::BadName, error.to_string()))?;
    let value = match json::look(text)? {
        Value::Number(text) => json::number(text),
        Value::Bool(on) => Ok(f64::from(u8::from(on))),
        _ => Err("not a number"),
    };
    let value = value.map_err(|wrong| Reject::about(RejectReason::BadValue, name, wrong))?;
    Ok((metric, value))
}

/// Milliseconds since 1970 UTC, as an integer. Seconds are not guessed: they would be 1970, which
/// the guard on event time refuses.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, Reject> {
    text.parse::<i64>().map(Timestamp::from_millis).map_err(|_| {
        Reject::about(RejectReason::BadShape, "ts", "not an integer of milliseconds since 1970")
    })
}

fn sequence_number(text: &str) -> Result<u32, Reject> {
    text.parse().map_err(|_| {
        Reject::about(RejectReason::BadShape, "seq", "not an integer from 0 to 4294967295")
    })
}

/// How far the sender trusts its readings. A word that is not known costs only itself: the readings
/// beside it have always been taken.
fn quality_of(text: &str) -> Result<Quality, Reject> {
    match json::look(text)? {
        Value::Text(word) if word == "good" => Ok(Quality::Good),
        Value::Text(word) if word == "suspect" => Ok(Quality::Suspect),
        Value::Text(word) if word == "bad" => Ok(Quality::Bad),
        _ => {
            let wrong = "not \"good\", \"suspect\" or \"bad\"";
            Err(Reject::about(RejectReason::BadShape, "quality", wrong))
        }
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
