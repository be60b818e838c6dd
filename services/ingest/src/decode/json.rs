//! Bounded JSON: one level at a time, so that one bad part does not spoil the others.
//!
//! Values are kept as their text until they are needed. Nesting is counted before anything is
//! parsed, so no input can make the parser recurse; a key that stands twice is an error, because
//! two readers of such a text may see two different values.

use std::borrow::Cow;
use std::fmt;

use sen_model::RejectReason;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Reject;

/// Deepest nesting of arrays and objects.
const DEPTH: usize = 8;
/// Largest magnitude of a value; also what fixed-point sums are made for.
const LARGEST: f64 = 1e12;

/// A value, as far as it has been looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Members in the order they stand; no key twice.
    Object(Vec<(Cow<'a, str>, &'a str)>),
    /// Elements.
    Array(Vec<&'a str>),
    /// A number, as its text.
    Number(&'a str),
    /// Text.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// Checks a payload from outside and looks at its top level.
pub(crate) fn open(payload: &[u8]) -> Result<Value<'_>, Reject> {
    let text = std::str::from_utf8(payload)
        .map_err(|error| Reject::new(RejectReason::NotUtf8, error.to_string()))?;
    if depth(text.as_bytes()) > DEPTH {
        let detail = format!("nested deeper than {DEPTH} levels");
        return Err(Reject::new(RejectReason::BadJson, detail));
    }
    look(text)
}

/// Looks at one level of a text that has passed [`open`], or of the whole.
pub(crate) fn look(text: &str) -> Result<Value<'_>, Reject> {
    let bad = |error: serde_json::Error| Reject::new(RejectReason::BadJson, error.to_string());
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    Ok(match text.as_bytes().first() {
        Some(b'{') => Value::Object(serde_json::from_str::<Members<'_>>(text).map_err(bad)?.0),
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(bad)?;
            Value::Array(elements.into_iter().map(RawValue::get).collect())
        }
        Some(b'"') => Value::Text(serde_json::from_str::<Text<'_>>(text).map_err(bad)?.0),
        Some(b't' | b'f') => Value::Bool(serde_json::from_str(text).map_err(bad)?),
        Some(b'n') => serde_json::from_str::<()>(text).map(|()| Value::Null).map_err(bad)?,
        _ => Value::Number(serde_json::from_str::<&RawValue>(text).map_err(bad)?.get()),
    })
}

/// The number a text stands for: finite, and of a magnitude anything in a province can have.
pub(crate) fn number(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        // Minus zero becomes zero: the log would not keep its sign, and a replay must see the same.
        Ok(value) if value.abs() <= LARGEST => Ok(value + 0.0),
        Ok(_) => Err("larger than 1e12"),
        Err(_) => Err("not a number"),
    }
}

/// How deep arrays and objects are nested, in one pass that understands strings and nothing else.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut most, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => now += 1,
            b'}' | b']' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// The members of an object; refuses a key that stands twice.
struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, &'de str)> = Vec::new();
        while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            members.push((key, value.get()));
        }
        let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom("a key stands twice in one object"));
        }
        Ok(Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom("an array where an object belongs"))
    }
}

/// Text that is borrowed where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(payload: &[u8]) -> Option<RejectReason> {
        open(payload).err().map(|reject| reject.reason)
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_reason() {
        let cases: [(&[u8], RejectReason); 12] = [
            (b"\xff\xfe", RejectReason::NotUtf8),
            (b"", RejectReason::BadJson),
            (b"  ", RejectReason::BadJson),
            (b"{\"a\":1", RejectReason::BadJson),
            (b"{\"a\":1}x", RejectReason::BadJson),
            (b"{\"a\":1,\"a\":2}", RejectReason::BadJson),
            (b"{\"a\":1,\"\\u0061\":2}", RejectReason::BadJson),
            (b"{\"a\":NaN}", RejectReason::BadJson),
            (b"{\"a\":01}", RejectReason::BadJson),
            (b"\"\\ud800\"", RejectReason::BadJson),
            (b"[[[[[[[[[1]]]]]]]]]", RejectReason::BadJson),
            (b"inf", RejectReason::BadJson),
        ];
        for (payload, wanted) in cases {
            assert_eq!(reason(payload), Some(wanted), "{}", String::from_utf8_lossy(payload));
        }
    }

    #[test]
    fn brackets_inside_text_do_not_count() {
        assert_eq!(depth(br#"{"a":"[[[[[[[[[[\"[[["}"#), 1);
        assert_eq!(depth("[".repeat(10_000).as_bytes()), 10_000);
        assert_eq!(
            reason(&[b"[".repeat(10_000), b"]".repeat(10_000)].concat()),
            Some(RejectReason::BadJson)
        );
    }

    #[test]
    fn a_number_too_large_for_any_float_is_still_json() {
        let Ok(Value::Object(members)) = open(br#" {"a":1e400,"b":2} "#) else { panic!("object") };
        assert_eq!(number(members[0].1), Err("larger than 1e12"));
        assert_eq!(number(members[1].1), Ok(2.0));
        assert!(number("inf").is_err() && number("NaN").is_err());
        let zeros = ["-0", "-0.0", "-1e-999"].map(|text| number(text).map(f64::to_bits));
        assert_eq!(zeros, [Ok(0); 3]);
    }
}
