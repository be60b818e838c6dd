//! `Partial`: the mergeable aggregate of a window.

use prost::Message;
use sen_model::Timestamp;
use sen_model::partial::{Extremes, Moment, Partial};
use sen_model::sketch::Sketch;

use crate::field::{finite, refused};
use crate::{DecodeError, Wire, v1};

impl Wire for Partial {
    fn encode(&self, out: &mut Vec<u8>) {
        v1::Partial::from(self).encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::Partial::decode(bytes)?.try_into()
    }
}

impl From<&Partial> for v1::Partial {
    fn from(partial: &Partial) -> Self {
        let (bucket_index, bucket_count) = partial.sketch.buckets().iter().copied().unzip();
        Self {
            count: partial.count,
            good_count: partial.good_count,
            sum: Some(fixed(partial.sum_micro.cast_unsigned())),
            sum_of_squares: Some(fixed(partial.sum_squares)),
            extremes: partial.extremes.as_ref().map(Into::into),
            bucket_index,
            bucket_count,
        }
    }
}

impl TryFrom<v1::Partial> for Partial {
    type Error = DecodeError;

    fn try_from(message: v1::Partial) -> Result<Self, DecodeError> {
        if message.bucket_index.len() != message.bucket_count.len() {
            return Err(refused("bucket_count"));
        }
        let buckets = message.bucket_index.into_iter().zip(message.bucket_count).collect();
        Ok(Self {
            count: message.count,
            good_count: message.good_count,
            sum_micro: bits(message.sum, "sum")?.cast_signed(),
            sum_squares: bits(message.sum_of_squares, "sum_of_squares")?,
            extremes: message.extremes.map(TryInto::try_into).transpose()?,
            sketch: Sketch::from_buckets(buckets).ok_or_else(|| refused("bucket_index"))?,
        })
    }
}

impl From<&Extremes> for v1::Extremes {
    fn from(extremes: &Extremes) -> Self {
        Self {
            min: extremes.min,
            max: extremes.max,
            first: Some(extremes.first.into()),
            last: Some(extremes.last.into()),
        }
    }
}

impl TryFrom<v1::Extremes> for Extremes {
    type Error = DecodeError;

    fn try_from(message: v1::Extremes) -> Result<Self, DecodeError> {
        Ok(Self {
            min: finite(message.min, "min")?,
            max: finite(message.max, "max")?,
            first: message.first.ok_or_else(|| refused("first"))?.try_into()?,
            last: message.last.ok_or_else(|| refused("last"))?.try_into()?,
        })
    }
}

impl From<Moment> for v1::TimedValue {
    fn from(moment: Moment) -> Self {
        Self {
            event_time_ms: moment.event_time.as_millis(),
            sequence: moment.sequence,
            value: moment.value,
        }
    }
}

impl TryFrom<v1::TimedValue> for Moment {
    type Error = DecodeError;

    fn try_from(message: v1::TimedValue) -> Result<Self, DecodeError> {
        Ok(Self {
            event_time: Timestamp::from_millis(message.event_time_ms),
            sequence: message.sequence,
            value: finite(message.value, "value")?,
        })
    }
}

/// The two halves of 128 bits.
#[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
fn fixed(bits: u128) -> v1::Fixed128 {
    v1::Fixed128 { high: ((bits >> 64) as u64).cast_signed(), low: bits as u64 }
}

fn bits(halves: Option<v1::Fixed128>, field: &'static str) -> Result<u128, DecodeError> {
    let halves = halves.ok_or_else(|| refused(field))?;
    Ok(u128::from(halves.high.cast_unsigned()) << 64 | u128::from(halves.low))
}
