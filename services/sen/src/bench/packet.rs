//! Pure: the few MQTT 3.1.1 packets a load generator needs, as bytes.
//!
//! A full client spends more CPU on a packet than the endpoint it would measure, on the same
//! cores. A reading here costs one copy of a ready PUBLISH and the overwriting of its digits, and
//! the only packets understood in return are those that answer.

/// Digits of an event time in milliseconds, from 2001 until 2286.
const TIME_DIGITS: usize = 13;
/// Digits of every value: fixed, so that the length of a packet never changes.
const VALUE_DIGITS: usize = 5;

/// Smallest and largest value that fits.
pub(super) const VALUES: std::ops::RangeInclusive<u32> = 10_000..=99_999;

/// Quality of service of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qos {
    /// Sent and forgotten.
    AtMostOnce,
    /// Answered by a PUBACK.
    AtLeastOnce,
}

/// CONNECT of a clean session.
pub(super) fn connect(client_id: &str, keep_alive_s: u16) -> Vec<u8> {
    let mut body = Vec::with_capacity(12 + client_id.len());
    put_text(&mut body, "MQTT");
    body.extend([4, 0b0000_0010]);
    body.extend(keep_alive_s.to_be_bytes());
    put_text(&mut body, client_id);
    packet(0x10, &body)
}

/// A PUBLISH of one native payload, ready but for its id, event time and values.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    time_at: usize,
    values_at: Vec<usize>,
}

impl Template {
    /// A packet of `device` with one value for each of `metrics`.
    pub(super) fn new(device: &str, metrics: &[String], qos: Qos) -> Self {
        let mut body = Vec::new();
        put_text(&mut body, &format!("sen/v1/{device}/telemetry"));
        let id_at = (qos == Qos::AtLeastOnce).then_some(body.len());
        body.extend(id_at.map(|_| [0, 0]).into_iter().flatten());
        body.extend(b"{\"ts\":");
        let time_at = body.len();
        body.extend([b'0'; TIME_DIGITS]);
        body.extend(b",\"values\":{");
        let mut values_at = Vec::with_capacity(metrics.len());
        for (index, metric) in metrics.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            body.extend(format!("{comma}\"{metric}\":").bytes());
            values_at.push(body.len());
            body.extend([b'0'; VALUE_DIGITS]);
        }
        body.extend(b"}}");
        let first = if id_at.is_some() { 0x32 } else { 0x30 };
        let bytes = packet(first, &body);
        let header = bytes.len() - body.len();
        Self {
            bytes,
            id_at: id_at.map(|at| at + header),
            time_at: time_at + header,
            values_at: values_at.iter().map(|at| at + header).collect(),
        }
    }

    /// How many readings one packet carries.
    pub(super) fn readings(&self) -> u64 {
        self.values_at.len() as u64
    }

    /// Whether the endpoint must answer it.
    pub(super) fn wants_answer(&self) -> bool {
        self.id_at.is_some()
    }

    /// Appends the packet to `out`. `id` counts at QoS 1 only and is never 0 there; `value` is one
    /// of [`VALUES`].
    pub(super) fn write(&self, out: &mut Vec<u8>, id: u16, event_time_ms: i64, value: u32) {
        let begin = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[begin..];
        if let Some(at) = self.id_at {
            packet[at..at + 2].copy_from_slice(&id.to_be_bytes());
        }
        let time = u64::try_from(event_time_ms).unwrap_or(0);
        put_digits(&mut packet[self.time_at..self.time_at + TIME_DIGITS], time);
        for at in &self.values_at {
            put_digits(&mut packet[*at..*at + VALUE_DIGITS], u64::from(value));
        }
    }
}

/// What the endpoint said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// CONNACK with its return code; 0 is yes.
    Connected(u8),
    /// PUBACK of this packet id.
    Acknowledged(u16),
    /// Anything else, by its first byte.
    Other(u8),
}

/// Bytes that cannot be an answer: a length field that never ends, or a body too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint answered with something that is not MQTT")]
pub(super) struct Malformed;

/// The first answer in `bytes` and how long it is; none if it is not all there yet.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Malformed> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, digits)) = length(rest)? else { return Ok(None) };
    let Some(body) = rest.get(digits..digits + length) else { return Ok(None) };
    let answer = match (first, body) {
        (0x20, [_, code]) => Answer::Connected(*code),
        (0x40, [high, low]) => Answer::Acknowledged(u16::from_be_bytes([*high, *low])),
        (0x20 | 0x40, _) => return Err(Malformed),
        _ => Answer::Other(first),
    };
    Ok(Some((answer, 1 + digits + length)))
}

/// A "remaining length" and how many bytes it takes (MQTT 3.1.1, 2.2.3).
pub(super) fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, index + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Malformed) } else { Ok(None) }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Client ids and topics of the generator are far below 64 KiB.
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.bytes());
}

fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("m_{index:03}")).collect()
    }

    fn written(template: &Template, id: u16, event_time_ms: i64, value: u32) -> Vec<u8> {
        let mut out = b"before".to_vec();
        template.write(&mut out, id, event_time_ms, value);
        out.split_off(6)
    }

    #[test]
    fn a_connect_is_as_the_standard_draws_it() {
        let expected = b"\x10\x0f\x00\x04MQTT\x04\x02\x02\x58\x00\x03d-1";
        assert_eq!(connect("d-1", 600), expected);
    }

    #[test]
    fn a_publish_carries_id_time_and_value() {
        let template = Template::new("d-1", &metrics(1), Qos::AtLeastOnce);
        let expected = b"\x32\x45\x00\x14sen/v1/d-1/telemetry\x01\x02\
            {\"ts\":1795416125120,\"values\":{\"m_000\":12345}}";
        assert_eq!(written(&template, 0x0102, 1_795_416_125_120, 12_345), expected);
    }

    #[test]
    fn a_publish_of_qos_0_has_no_id() {
        let template = Template::new("d-1", &metrics(1), Qos::AtMostOnce);
        let packet = written(&template, 7, 1_795_416_125_120, 99_999);
        assert_eq!(packet[0], 0x30);
        assert_eq!(&packet[24..30], b"{\"ts\":");
    }

    #[test]
    fn a_long_payload_stays_json_and_its_length_is_right() {
        let template = Template::new("bench-0001", &metrics(100), Qos::AtLeastOnce);
        assert_eq!(template.readings(), 100);
        let packet = written(&template, 9, 1_795_416_125_120, 54_321);
        let (body, digits) = length(&packet[1..]).unwrap().unwrap();
        assert_eq!(1 + digits + body, packet.len());
        let text = std::str::from_utf8(&packet[1 + digits..]).unwrap();
        let payload = &text[text.find('{').unwrap()..];
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
        assert_eq!(payload["ts"], 1_795_416_125_120_u64);
        let values = payload["values"].as_object().unwrap();
        assert_eq!(values.len(), 100);
        assert!(values.values().all(|value| *value == 54_321));
    }

    #[test]
    fn answers_are_taken_apart() {
        type Taken = Result<Option<(Answer, usize)>, Malformed>;
        let cases: &[(&[u8], Taken)] = &[
            (b"", Ok(None)),
            (b"\x20", Ok(None)),
            (b"\x20\x02\x00", Ok(None)),
            (b"\x20\x02\x00\x05", Ok(Some((Answer::Connected(5), 4)))),
            (b"\x40\x02\x01\x02\x40", Ok(Some((Answer::Acknowledged(0x102), 4)))),
            (b"\xd0\x00", Ok(Some((Answer::Other(0xd0), 2)))),
            (b"\x40\x03\x01\x02\x00", Err(Malformed)),
            (b"\x40\x80\x80\x80\x80", Err(Malformed)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(answer(bytes), *expected, "{bytes:?}");
        }
    }
}
