//! Events of Sen's own convention: happenings reported by a camera, a system or a person.
//!
//! `{"kind": "fire_smoke", "ts": <ms>, "id": "…", "text": "…", "attributes": {"plate": "…", …}}` or
//! an array of those. Only `kind` is required. `id` is the reporter's own; without it one is
//! derived from the content, so that a retransmission is the same event. Without `ts` the time of
//! arrival counts, and then only an `id` can tell a retransmission from a second happening: without
//! either, whatever arrives is an event of its own.

use std::collections::BTreeMap;

use sen_model::{DeviceId, Event, RejectReason, Timestamp};
use sha2::{Digest, Sha256};

use super::json::{self, Value};
use super::{Decoded, Reject, native};
use crate::packet::Packet;

/// Most events in one packet.
const EVENTS_PER_PACKET: usize = 64;
/// Longest id and kind, in bytes.
const NAME_BYTES: usize = 64;
/// Longest text, in bytes.
const TEXT_BYTES: usize = 2_048;
/// Most attributes.
const ATTRIBUTES: usize = 32;
/// Longest attribute value, in bytes.
const ATTRIBUTE_BYTES: usize = 256;

/// Takes one event or an array of them.
pub(super) fn take(value: Value<'_>, packet: &Packet, decoded: &mut Decoded) -> Result<(), Reject> {
    let elements = match value {
        Value::Array(elements) => elements,
        one => {
            decoded.events.push(event(one, 0, &decoded.device, packet)?);
            return Ok(());
        }
    };
    match elements.len() {
        0 => return Err(Reject::new(RejectReason::BadShape, "an array without events")),
        1..=EVENTS_PER_PACKET => {}
        _ => {
            let detail = format!("more than {EVENTS_PER_PACKET} events in one packet");
            return Err(Reject::new(RejectReason::TooMany, detail));
        }
    }
    for (position, element) in elements.into_iter().enumerate() {
        let looked = json::look(element);
        match looked.and_then(|value| event(value, position, &decoded.device, packet)) {
            Ok(event) => decoded.events.push(event),
            Err(reject) => decoded.rejects.push(reject),
        }
    }
    Ok(())
}

/// The fields of an event as they are found.
#[derive(Default)]
struct Fields {
    id: Option<String>,
    kind: Option<String>,
    event_time: Option<Timestamp>,
    text: String,
    attributes: BTreeMap<String, String>,
}

fn event(
    value: Value<'_>,
    position: usize,
    device: &DeviceId,
    packet: &Packet,
) -> Result<Event, Reject> {
    let Value::Object(members) = value else {
        return Err(Reject::new(RejectReason::BadShape, "an event is an object"));
    };
    let mut fields = Fields::default();
    for (key, text) in members {
        match key.as_ref() {
            "id" => fields.id = Some(name("id", text)?),
            "kind" => fields.kind = Some(name("kind", text)?),
            "ts" => fields.event_time = Some(native::timestamp(text)?),
            "text" => fields.text = words("text", text, TEXT_BYTES)?,
            "attributes" => fields.attributes = attributes(text)?,
            _ => return Err(Reject::about(RejectReason::BadShape, &key, "not known in an event")),
        }
    }
    if fields.event_time.is_none() && packet.retained {
        let detail = "retained state without `ts` does not say when it happened";
        return Err(Reject::new(RejectReason::BadShape, detail));
    }
    let Some(kind) = fields.kind else {
        return Err(Reject::about(RejectReason::BadShape, "kind", "missing"));
    };
    let mut event = Event {
        id: String::new(),
        device: device.clone(),
        kind,
        event_time: fields.event_time.unwrap_or(packet.received_at),
        received_at: packet.received_at,
        text: fields.text,
        attributes: fields.attributes,
    };
    let arrival = fields.event_time.is_none().then_some((packet.number, position));
    event.id = fields.id.unwrap_or_else(|| derived_id(&event, arrival));
    Ok(event)
}

/// An id from what the reporter said: lengths stand before the parts, so no two different events
/// are written alike. Where the reporter gave no time, the number of the packet and the place in it
/// belong to it too: two happenings that look the same are two.
fn derived_id(event: &Event, arrival: Option<(u64, usize)>) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    part(event.device.as_str());
    part(&event.kind);
    let ms = event.event_time.as_millis();
    part(&match arrival {
        None => ms.to_string(),
        Some((number, position)) => format!("{ms}/{number}/{position}"),
    });
    part(&event.text);
    for (key, value) in &event.attributes {
        part(key);
        part(value);
    }
    hash.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(text: &str) -> Result<BTreeMap<String, String>, Reject> {
    let Value::Object(members) = json::look(text)? else {
        return Err(Reject::about(RejectReason::BadShape, "attributes", "not an object"));
    };
    if members.len() > ATTRIBUTES {
        let detail = format!("more than {ATTRIBUTES} attributes");
        return Err(Reject::new(RejectReason::TooMany, detail));
    }
    members
        .into_iter()
        .map(|(key, text)| {
            check_words(&key, &key, NAME_BYTES)?;
            let value = match json::look(text)? {
                Value::Text(_) => words(&key, text, ATTRIBUTE_BYTES)?,
                Value::Number(text) if text.len() <= NAME_BYTES => text.to_owned(),
                Value::Bool(on) => on.to_string(),
                _ => {
                    let wrong = "not text, a number, true or false";
                    return Err(Reject::about(RejectReason::BadShape, &key, wrong));
                }
            };
            Ok((key.into_owned(), value))
        })
        .collect()
}

/// A short text without spaces: an id or a kind.
fn name(field: &str, text: &str) -> Result<String, Reject> {
    let name = words(field, text, NAME_BYTES)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Reject::about(RejectReason::BadName, field, "empty or with spaces"));
    }
    Ok(name)
}

fn words(field: &str, text: &str, most: usize) -> Result<String, Reject> {
    let Value::Text(words) = json::look(text)? else {
        return Err(Reject::about(RejectReason::BadShape, field, "not text"));
    };
    check_words(field, &words, most)?;
    Ok(words.into_owned())
}

/// Control characters have no place in what people read, line breaks and tabs apart.
fn check_words(field: &str, words: &str, most: usize) -> Result<(), Reject> {
    if words.len() > most {
        let wrong = format!("longer than {most} bytes");
        return Err(Reject::about(RejectReason::BadShape, field, wrong));
    }
    if words.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Reject::about(RejectReason::BadShape, field, "control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::super::native::Native;
    use super::*;
    use bytes::Bytes;
    use std::collections::BTreeSet;

    fn decode(payload: &str) -> Result<Decoded, Reject> {
        Native.decode(&Packet {
            source: "mqtt".into(),
            client: "c".into(),
            topic: "sen/v1/cam-1/event".into(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            received_at: Timestamp::from_millis(5_000),
            number: 1,
            retained: false,
        })
    }

    #[test]
    fn an_event_is_taken_with_all_its_fields() {
        let full = r#"{"kind":"crowd","ts":4000,"id":"a-1","text":"đông\n người",
            "attributes":{"people":120,"night":true,"plate":"66A"}}"#;
        let event = decode(full).unwrap().events.remove(0);
        assert_eq!((event.id.as_str(), event.event_time.as_millis()), ("a-1", 4_000));
        assert_eq!(event.text, "đông\n người");
        assert_eq!(event.attributes["people"], "120");
        assert_eq!(event.attributes["night"], "true");
    }

    #[test]
    fn a_retransmission_has_the_same_id_and_another_event_another() {
        let id = |payload: &str| decode(payload).unwrap().events.remove(0).id;
        let first = id(r#"{"kind":"crowd","ts":4000,"text":"x"}"#);
        assert_eq!(first, id(r#"{"text":"x","ts":4000,"kind":"crowd"}"#));
        assert_ne!(first, id(r#"{"kind":"crowd","ts":4001,"text":"x"}"#));
        assert_ne!(id(r#"{"kind":"ab","text":"c"}"#), id(r#"{"kind":"a","text":"bc"}"#));
    }

    #[test]
    fn happenings_without_time_and_id_are_never_taken_for_one() {
        let packet = |number| Packet {
            source: "mqtt".into(),
            client: "c".into(),
            topic: "sen/v1/cam-1/event".into(),
            payload: Bytes::from_static(br#"[{"kind":"crowd"},{"kind":"crowd"}]"#),
            received_at: Timestamp::from_millis(5_000),
            number,
            retained: false,
        };
        let events = |number| Native.decode(&packet(number)).unwrap().events;
        let ids: BTreeSet<String> =
            [events(1), events(2)].concat().into_iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), 4);
        assert_eq!(events(1), events(1), "the same packet says the same");
    }

    #[test]
    fn bad_events_are_refused_and_good_ones_beside_them_kept() {
        let mixed =
            decode(r#"[{"kind":"a"},{"kind":""},{"text":"no kind"},7,{"kind":"b"}]"#).unwrap();
        assert_eq!((mixed.events.len(), mixed.rejects.len()), (2, 3));
        let long = format!(r#"{{"kind":"a","text":"{}"}}"#, "x".repeat(TEXT_BYTES + 1));
        let cases = [
            ("[]", RejectReason::BadShape),
            ("7", RejectReason::BadShape),
            (r#"{"kind":"a","extra":1}"#, RejectReason::BadShape),
            (r#"{"kind":"a b"}"#, RejectReason::BadName),
            (r#"{"kind":"a","text":"\u0000"}"#, RejectReason::BadShape),
            (r#"{"kind":"a","ts":"now"}"#, RejectReason::BadShape),
            (r#"{"kind":"a","attributes":{"x":[1]}}"#, RejectReason::BadShape),
            (long.as_str(), RejectReason::BadShape),
        ];
        for (payload, wanted) in cases {
            assert_eq!(decode(payload).unwrap_err().reason, wanted, "{payload:.60}");
        }
    }
}
