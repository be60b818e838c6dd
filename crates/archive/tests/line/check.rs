//! What the encoder of line protocol must hold for any input, and a naive parser to see it by.
//! Used by the property test, by the replay of the corpus and by the fuzz target.

use crate::line::{Line, Value, encode};

/// A point as a server would read it.
#[derive(Debug, PartialEq)]
struct Parsed {
    measurement: String,
    tags: Vec<(String, String)>,
    fields: Vec<(String, ParsedValue)>,
    time_ns: i64,
}

#[derive(Debug, PartialEq)]
enum ParsedValue {
    /// The bits, so that -0 differs from 0.
    Float(u64),
    Integer(i64),
    Text(String),
}

/// An accepted point is one line that reads back as that point; a refused one leaves nothing, and
/// what stood in the buffer before stays in both cases. Tells whether it was accepted.
pub(crate) fn check(line: &Line<'_>) -> bool {
    const BEFORE: &str = "reading,device=other value=1 1\n";
    let mut out = String::from(BEFORE);
    let accepted = encode(&mut out, line).is_ok();
    let Some(added) = out.strip_prefix(BEFORE) else { panic!("the buffer was damaged: {out:?}") };
    if !accepted {
        assert_eq!(added, "", "a refused point left something");
        return false;
    }
    assert_eq!(added.matches(['\n', '\r']).count(), 1, "not exactly one line: {added:?}");
    let body = added.strip_suffix('\n').expect("ends in a line feed");
    let parsed = parse(body).unwrap_or_else(|| panic!("does not read back: {body:?}"));
    assert_eq!(parsed, expected(line), "reads back as another point: {body:?}");
    true
}

/// As [`check`], for the input of a fuzzer: a byte that counts the tags (low two bits) and the
/// fields (next two), eight for a value, eight for the time, then texts that U+001E separates:
/// measurement, keys and values of tags, keys of fields with the text of the last one.
pub(crate) fn check_bytes(bytes: &[u8]) -> bool {
    let Some((head, texts)) = bytes.split_at_checked(17) else { return false };
    let Ok(texts) = std::str::from_utf8(texts) else { return false };
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let mut texts = texts.split('\u{1e}');
    let mut next = || texts.next().unwrap_or_default();
    let measurement = next();
    let tags: Vec<_> = (0..head[0] & 3).map(|_| (next(), next())).collect();
    let mut fields: Vec<_> = (0..head[0] >> 2 & 3)
        .map(|at| {
            (
                next(),
                if at == 0 {
                    Value::Float(f64::from_bits(number(1)))
                } else {
                    Value::Integer(number(1) as i64)
                },
            )
        })
        .collect();
    fields.push((next(), Value::Text(next())));
    let time_ns = number(9) as i64;
    check(&Line { measurement, tags: &tags, fields: &fields, time_ns })
}

fn expected(line: &Line<'_>) -> Parsed {
    let tags = line.tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let field = |(key, value): &(&str, Value<'_>)| {
        let value = match value {
            Value::Float(number) => ParsedValue::Float(number.to_bits()),
            Value::Integer(number) => ParsedValue::Integer(*number),
            Value::Text(text) => ParsedValue::Text((*text).into()),
        };
        ((*key).into(), value)
    };
    let fields = line.fields.iter().map(field).collect();
    Parsed { measurement: line.measurement.into(), tags, fields, time_ns: line.time_ns }
}

/// Reads one line as InfluxDB describes it: three parts at unescaped spaces. Quotes mean something
/// in the second one only.
fn parse(line: &str) -> Option<Parsed> {
    if line.starts_with('#') {
        return None;
    }
    let series = *split(line, ' ', false).first()?;
    let rest = split(line.get(series.len() + 1..)?, ' ', true);
    let [fields, time] = rest.as_slice() else { return None };
    let series = split(series, ',', false);
    let (measurement, tags) = series.split_first()?;
    let pair = |text: &&str, quotes: bool| {
        let sides = split(text, '=', quotes);
        let [key, value] = sides.as_slice() else { return None };
        Some((unescape(key)?, (*value).to_owned()))
    };
    let tags = tags.iter().map(|tag| {
        let (key, value) = pair(tag, false)?;
        Some((key, unescape(&value)?))
    });
    let fields = split(fields, ',', true);
    let fields = fields.iter().map(|field| {
        let (key, value) = pair(field, true)?;
        Some((key, parse_value(&value)?))
    });
    Some(Parsed {
        measurement: unescape(measurement)?,
        tags: tags.collect::<Option<_>>()?,
        fields: fields.collect::<Option<_>>()?,
        time_ns: time.parse().ok()?,
    })
}

/// Splits at a separator that no backslash stands before and, if asked, that is in no quotes. Those
/// open after an equals sign that no backslash stands before.
fn split(text: &str, separator: char, heeds_quotes: bool) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut escaped, mut quoted, mut after_equals) = (false, false, false);
    for (at, character) in text.char_indices() {
        let is_plain_equals = character == '=' && !escaped && !quoted;
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == '"' && heeds_quotes && (quoted || after_equals) {
            quoted = !quoted;
        } else if character == separator && !quoted {
            parts.push(&text[start..at]);
            start = at + character.len_utf8();
        }
        after_equals = is_plain_equals;
    }
    parts.push(&text[start..]);
    parts
}

/// A name without its backslashes; none if it is empty or one stands before nothing special.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(characters.next().filter(|next| ", =".contains(*next))?),
            _ => out.push(character),
        }
    }
    (!out.is_empty()).then_some(out)
}

fn parse_value(text: &str) -> Option<ParsedValue> {
    if let Some(quoted) = text.strip_prefix('"') {
        let quoted = quoted.strip_suffix('"')?;
        let mut out = String::new();
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => return None,
                '\\' => out.push(characters.next().filter(|next| "\"\\".contains(*next))?),
                _ => out.push(character),
            }
        }
        return Some(ParsedValue::Text(out));
    }
    if let Some(whole) = text.strip_suffix('i') {
        return whole.parse().ok().map(ParsedValue::Integer);
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then(|| ParsedValue::Float(number.to_bits()))
}
