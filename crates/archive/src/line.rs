//! Line protocol that cannot be injected: one point in, exactly one line out, or a refusal.
//! Pure: values in, text out.
//!
//! The grammar is that of InfluxDB 2 ("Line protocol" in its reference). It has no escape for a
//! backslash in names and in values of tags: `x\` before a comma swallows the comma, and how `\\`
//! is read differs between servers. Nor does it have one for a line break there. So both are
//! refused, as is every control character everywhere; what remains has one reading only.

use std::fmt::Write;

use sen_model::Timestamp;

/// Longest measurement, tag key, tag value and field key, in bytes. Those of Sen have 64 at most.
pub const NAME_BYTES: usize = 256;
/// Longest text of a field, in bytes: InfluxDB takes 64 KiB. The largest summary takes 46 KiB.
pub const TEXT_BYTES: usize = 60_000;
/// Most tags, and most fields, of one line.
pub const PARTS: usize = 32;
/// Longest line in bytes, as VictoriaMetrics takes it by default (`-influx.maxLineSize`).
pub const LINE_BYTES: usize = 256 * 1024;
/// The times InfluxDB keeps, in nanoseconds: the ends of `i64` mean something else to it.
const TIME_NS: std::ops::RangeInclusive<i128> = i64::MIN as i128 + 2..=i64::MAX as i128 - 1;
/// Nanoseconds in a millisecond.
const NS_PER_MS: i64 = 1_000_000;

/// A point on its way to a server: borrowed, to be encoded at once.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What kind of row it is.
    pub measurement: &'a str,
    /// What it belongs to; each key once.
    pub tags: &'a [(&'a str, &'a str)],
    /// Its values, at least one; each key once.
    pub fields: &'a [(&'a str, Value<'a>)],
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time_ns: i64,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A finite number.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// Any text without control characters.
    Text(&'a str),
}

/// Why a point cannot be written as a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No name, or no value of a tag.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// More bytes than fit.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// A line break, or another character that is not printed.
    #[error("{0} has a control character")]
    Control(&'static str),
    /// Line protocol cannot carry it there.
    #[error("{0} has a backslash")]
    Backslash(&'static str),
    /// A name the server has taken: `time`, one that begins with `_`, or with `#` (a comment).
    #[error("{0} is a name reserved by the server")]
    Reserved(&'static str),
    /// One key twice.
    #[error("two tags or two fields have one key")]
    Repeated,
    /// No field, or too many parts.
    #[error("a line has 1 to {PARTS} fields and at most {PARTS} tags")]
    Parts,
    /// A value that is infinite or not a number.
    #[error("the value is not a finite number")]
    NotFinite,
    /// Before 1677 or after 2262 (InfluxDB), or before 1970 (VictoriaMetrics).
    #[error("the time is outside what the server keeps")]
    Time,
}

/// Nanoseconds of a time, with the sequence in the digits below the millisecond.
///
/// Sequences of one millisecond that differ by a multiple of 10⁶ fall together.
pub fn time_ns(time: Timestamp, sequence: u32) -> Result<i64, Refusal> {
    let ns = i128::from(time.as_millis()) * i128::from(NS_PER_MS)
        + i128::from(i64::from(sequence) % NS_PER_MS);
    if !TIME_NS.contains(&ns) {
        return Err(Refusal::Time);
    }
    i64::try_from(ns).map_err(|_| Refusal::Time)
}

/// The time and the sequence of nanoseconds: [`time_ns`] the other way.
pub fn time_of_ns(ns: i64) -> (Timestamp, u32) {
    // The remainder is below 10⁶.
    (Timestamp::from_millis(ns.div_euclid(NS_PER_MS)), ns.rem_euclid(NS_PER_MS) as u32)
}

/// Appends a point as one line that ends in a line feed. On a refusal nothing is appended.
pub fn encode(out: &mut String, line: &Line<'_>) -> Result<(), Refusal> {
    let before = out.len();
    let result = append(out, line).and_then(|()| match out.len() - before {
        ..=LINE_BYTES => Ok(()),
        _ => Err(Refusal::TooLong("the line", LINE_BYTES)),
    });
    if result.is_err() {
        out.truncate(before);
    }
    result
}

fn append(out: &mut String, line: &Line<'_>) -> Result<(), Refusal> {
    if line.fields.is_empty() || line.fields.len().max(line.tags.len()) > PARTS {
        return Err(Refusal::Parts);
    }
    if has_repeats(line.tags) || has_repeats(line.fields) {
        return Err(Refusal::Repeated);
    }
    if !TIME_NS.contains(&i128::from(line.time_ns)) {
        return Err(Refusal::Time);
    }
    name(out, "the measurement", line.measurement, &[',', ' '])?;
    for (key, value) in line.tags {
        out.push(',');
        name(out, "the key of a tag", key, &[',', '=', ' '])?;
        out.push('=');
        escaped(out, "the value of a tag", value, &[',', '=', ' '])?;
    }
    for (number, (key, value)) in line.fields.iter().enumerate() {
        out.push(if number == 0 { ' ' } else { ',' });
        name(out, "the key of a field", key, &[',', '=', ' '])?;
        out.push('=');
        append_value(out, *value)?;
    }
    writeln!(out, " {}", line.time_ns).map_err(|_| Refusal::Parts)
}

fn has_repeats<T>(parts: &[(&str, T)]) -> bool {
    // Few enough for the square of their number.
    (1..parts.len()).any(|at| parts[..at].iter().any(|(key, _)| *key == parts[at].0))
}

/// A name: text that the server has not taken for itself.
fn name(out: &mut String, what: &'static str, text: &str, special: &[char]) -> Result<(), Refusal> {
    if text == "time" || text.starts_with(['_', '#']) {
        return Err(Refusal::Reserved(what));
    }
    escaped(out, what, text, special)
}

fn escaped(
    out: &mut String,
    what: &'static str,
    text: &str,
    special: &[char],
) -> Result<(), Refusal> {
    match text.len() {
        0 => return Err(Refusal::Empty(what)),
        1..=NAME_BYTES => {}
        _ => return Err(Refusal::TooLong(what, NAME_BYTES)),
    }
    for character in text.chars() {
        match character {
            '\\' => return Err(Refusal::Backslash(what)),
            _ if character.is_control() => return Err(Refusal::Control(what)),
            _ if special.contains(&character) => out.extend(['\\', character]),
            _ => out.push(character),
        }
    }
    Ok(())
}

fn append_value(out: &mut String, value: Value<'_>) -> Result<(), Refusal> {
    let written = match value {
        Value::Float(number) if !number.is_finite() => return Err(Refusal::NotFinite),
        // Both forms are the shortest that read back as the same bits; the second keeps numbers
        // of any magnitude below 30 characters.
        Value::Float(number) if number == 0.0 || (1e-5..1e16).contains(&number.abs()) => {
            write!(out, "{number}")
        }
        Value::Float(number) => write!(out, "{number:e}"),
        Value::Integer(number) => write!(out, "{number}i"),
        Value::Text(text) => return append_text(out, text),
    };
    written.map_err(|_| Refusal::NotFinite)
}

fn append_text(out: &mut String, text: &str) -> Result<(), Refusal> {
    const WHAT: &str = "the text of a field";
    if text.len() > TEXT_BYTES {
        return Err(Refusal::TooLong(WHAT, TEXT_BYTES));
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            _ if character.is_control() => return Err(Refusal::Control(WHAT)),
            _ => out.push(character),
        }
    }
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_tag(value: &str) -> Result<String, Refusal> {
        let mut out = String::from("kept\n");
        let line = Line {
            measurement: "reading",
            tags: &[("device", value)],
            fields: &[("value", Value::Float(1.5))],
            time_ns: 7,
        };
        let result = encode(&mut out, &line);
        assert!(result.is_ok() || out == "kept\n", "a refused line left {out:?}");
        result.map(|()| out)
    }

    #[test]
    fn what_is_special_is_escaped() {
        let line = with_tag("a,b=c d\"").unwrap();
        assert_eq!(line, "kept\nreading,device=a\\,b\\=c\\ d\" value=1.5 7\n");
    }

    #[test]
    fn what_cannot_be_escaped_is_refused() {
        let tag = "the value of a tag";
        for (bad, refusal) in [
            ("", Refusal::Empty(tag)),
            ("x\\", Refusal::Backslash(tag)),
            ("x\" 1\nreading,device=victim value=0 2\n#", Refusal::Control(tag)),
            ("x\ry", Refusal::Control(tag)),
            ("\u{85}", Refusal::Control(tag)),
            (&"x".repeat(NAME_BYTES + 1), Refusal::TooLong(tag, NAME_BYTES)),
        ] {
            assert_eq!(with_tag(bad), Err(refusal), "{bad:?}");
        }
    }

    #[test]
    fn reserved_and_repeated_names_and_bad_numbers_are_refused() {
        let fields: &[(&str, Value<'_>)] = &[("value", Value::Integer(1))];
        let line = Line { measurement: "m", tags: &[("a", "b")], fields, time_ns: 0 };
        let nan: &[(&str, Value<'_>)] = &[("value", Value::Float(f64::NAN))];
        for (line, refusal) in [
            (Line { measurement: "#m", ..line }, Refusal::Reserved("the measurement")),
            (Line { tags: &[("_field", "x")], ..line }, Refusal::Reserved("the key of a tag")),
            (Line { tags: &[("time", "x")], ..line }, Refusal::Reserved("the key of a tag")),
            (Line { tags: &[("a", "b"), ("a", "c")], ..line }, Refusal::Repeated),
            (Line { fields: &[], ..line }, Refusal::Parts),
            (Line { fields: nan, ..line }, Refusal::NotFinite),
            (Line { time_ns: i64::MIN, ..line }, Refusal::Time),
            (Line { time_ns: i64::MAX, ..line }, Refusal::Time),
        ] {
            assert_eq!(encode(&mut String::new(), &line), Err(refusal));
        }
    }

    #[test]
    fn the_sequence_stands_below_the_millisecond() {
        for (ms, sequence, ns) in
            [(0, 0, 0), (1, 5, 1_000_005), (-1, 999_999, -1), (-1, 0, -1_000_000)]
        {
            let time = Timestamp::from_millis(ms);
            assert_eq!(time_ns(time, sequence), Ok(ns));
            assert_eq!(time_of_ns(ns), (time, sequence));
        }
        assert_eq!(time_ns(Timestamp::from_millis(1), 1_000_000), Ok(1_000_000));
        for ms in [i64::MIN, i64::MAX, i64::MAX / 1_000_000 + 1, i64::MIN / 1_000_000 - 1] {
            assert_eq!(time_ns(Timestamp::from_millis(ms), 0), Err(Refusal::Time), "{ms}");
        }
    }
}
