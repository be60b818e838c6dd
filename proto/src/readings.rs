//! `ReadingBatch` by hand: the hot path, without the strings that generated code would allocate.
//!
//! The schema is `sen/v1/readings.proto`; a property test holds this equal to the generated code.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint,
    encoded_len_varint, skip_field,
};
use sen_model::{DeviceId, Metric, Quality, Reading, ReadingBatch, Timestamp};

use crate::field::{finite, refused};
use crate::{DecodeError, Wire};

/// Field numbers of `ReadingBatch`.
mod batch {
    pub(super) const DEVICE: u32 = 1;
    pub(super) const RECEIVED_AT_MS: u32 = 2;
    pub(super) const READINGS: u32 = 3;
}

/// Field numbers of `Reading`.
mod reading {
    pub(super) const METRIC: u32 = 1;
    pub(super) const EVENT_TIME_DELTA_MS: u32 = 2;
    pub(super) const VALUE: u32 = 3;
    pub(super) const QUALITY: u32 = 4;
    pub(super) const SEQUENCE: u32 = 5;
}

/// Bytes of a key of these messages: every field number is below 16.
const KEY_BYTES: usize = 1;

impl Wire for ReadingBatch {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(batch::DEVICE, self.device.as_str(), out);
        put_varint(batch::RECEIVED_AT_MS, self.received_at.as_millis() as u64, out);
        for reading in &self.readings {
            let fields = Fields::of(reading, self.received_at);
            encode_key(batch::READINGS, WireType::LengthDelimited, out);
            encode_varint(fields.len() as u64, out);
            fields.encode(out);
        }
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut device = None;
        let mut received_at = Timestamp::from_millis(0);
        let mut readings = Vec::new();
        while !bytes.is_empty() {
            let (field, wire_type) = decode_key(&mut bytes)?;
            match field {
                batch::DEVICE => device = Some(take_text(wire_type, &mut bytes, "device")?),
                batch::RECEIVED_AT_MS => {
                    let ms = take_varint(wire_type, &mut bytes, "received_at_ms")? as i64;
                    received_at = Timestamp::from_millis(ms);
                }
                batch::READINGS => {
                    let message = take_bytes(wire_type, &mut bytes, "readings")?;
                    readings.push(Fields::decode(message)?.into_reading()?);
                }
                _ => skip_field(wire_type, field, &mut bytes, DecodeContext::default())?,
            }
        }
        if readings.is_empty() {
            return Err(refused("readings"));
        }
        // Only now: the times of readings count from `received_at_ms`, which may come after them.
        for reading in &mut readings {
            let delta_ms = reading.event_time.as_millis();
            let event_time_ms = received_at.as_millis().wrapping_add(delta_ms);
            reading.event_time = Timestamp::from_millis(event_time_ms);
        }
        let device = device.and_then(|text| DeviceId::new(text).ok());
        Ok(Self { device: device.ok_or_else(|| refused("device"))?, received_at, readings })
    }
}

/// One `Reading` message; the metric is borrowed from the value or from the bytes.
#[derive(Clone, Copy, Default)]
struct Fields<'a> {
    metric: &'a str,
    event_time_delta_ms: i64,
    value: f64,
    quality: u64,
    sequence: u32,
}

impl<'a> Fields<'a> {
    fn of(reading: &'a Reading, received_at: Timestamp) -> Self {
        let delta_ms = reading.event_time.as_millis().wrapping_sub(received_at.as_millis());
        Self {
            metric: reading.metric.as_str(),
            event_time_delta_ms: delta_ms,
            value: reading.value,
            quality: quality_number(reading.quality),
            sequence: reading.sequence,
        }
    }

    /// The reading, with the delta still in place of its event time.
    fn into_reading(self) -> Result<Reading, DecodeError> {
        Ok(Reading {
            metric: Metric::new(self.metric).map_err(|_| refused("metric"))?,
            event_time: Timestamp::from_millis(self.event_time_delta_ms),
            value: finite(self.value, "value")?,
            quality: quality_of(self.quality).ok_or_else(|| refused("quality"))?,
            sequence: self.sequence,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_text(reading::METRIC, self.metric, out);
        put_varint(reading::EVENT_TIME_DELTA_MS, zigzag(self.event_time_delta_ms), out);
        if self.value != 0.0 {
            encode_key(reading::VALUE, WireType::SixtyFourBit, out);
            out.extend_from_slice(&self.value.to_le_bytes());
        }
        put_varint(reading::QUALITY, self.quality, out);
        put_varint(reading::SEQUENCE, u64::from(self.sequence), out);
    }

    fn len(&self) -> usize {
        let text = KEY_BYTES + encoded_len_varint(self.metric.len() as u64) + self.metric.len();
        let value = if self.value == 0.0 { 0 } else { KEY_BYTES + size_of::<f64>() };
        let varint = |number: u64| match number {
            0 => 0,
            _ => KEY_BYTES + encoded_len_varint(number),
        };
        text + varint(zigzag(self.event_time_delta_ms))
            + value
            + varint(self.quality)
            + varint(u64::from(self.sequence))
    }

    fn decode(mut bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Self::default();
        while !bytes.is_empty() {
            let (field, wire_type) = decode_key(&mut bytes)?;
            match field {
                reading::METRIC => fields.metric = take_text(wire_type, &mut bytes, "metric")?,
                reading::EVENT_TIME_DELTA_MS => {
                    let number = take_varint(wire_type, &mut bytes, "event_time_delta_ms")?;
                    fields.event_time_delta_ms = unzigzag(number);
                }
                reading::VALUE => fields.value = take_double(wire_type, &mut bytes, "value")?,
                reading::QUALITY => fields.quality = take_varint(wire_type, &mut bytes, "quality")?,
                // Protobuf reads a `uint32` by its low 32 bits.
                reading::SEQUENCE => {
                    fields.sequence = take_varint(wire_type, &mut bytes, "sequence")? as u32;
                }
                _ => skip_field(wire_type, field, &mut bytes, DecodeContext::default())?,
            }
        }
        Ok(fields)
    }
}

fn quality_number(quality: Quality) -> u64 {
    match quality {
        Quality::Good => 1,
        Quality::Suspect => 2,
        Quality::Bad => 3,
    }
}

fn quality_of(number: u64) -> Option<Quality> {
    // Protobuf reads an enum by its low 32 bits.
    match number as u32 {
        1 => Some(Quality::Good),
        2 => Some(Quality::Suspect),
        3 => Some(Quality::Bad),
        _ => None,
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

fn put_text(field: u32, text: &str, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Zero is the default and is left out, as generated code does.
fn put_varint(field: u32, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        encode_key(field, WireType::Varint, out);
        encode_varint(number, out);
    }
}

fn expect(wanted: WireType, found: WireType, field: &'static str) -> Result<(), DecodeError> {
    if wanted == found { Ok(()) } else { Err(refused(field)) }
}

fn take_varint(
    found: WireType,
    bytes: &mut &[u8],
    field: &'static str,
) -> Result<u64, DecodeError> {
    expect(WireType::Varint, found, field)?;
    Ok(decode_varint(bytes)?)
}

fn take_double(
    found: WireType,
    bytes: &mut &[u8],
    field: &'static str,
) -> Result<f64, DecodeError> {
    expect(WireType::SixtyFourBit, found, field)?;
    let (value, rest) = bytes.split_first_chunk().ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(f64::from_le_bytes(*value))
}

fn take_bytes<'a>(
    found: WireType,
    bytes: &mut &'a [u8],
    field: &'static str,
) -> Result<&'a [u8], DecodeError> {
    expect(WireType::LengthDelimited, found, field)?;
    let length = usize::try_from(decode_varint(bytes)?).map_err(|_| DecodeError::Truncated)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

fn take_text<'a>(
    found: WireType,
    bytes: &mut &'a [u8],
    field: &'static str,
) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(take_bytes(found, bytes, field)?).map_err(|_| refused(field))
}
