//! Summaries as bytes. Pure: summaries in, bytes out, and back.
//!
//! Times are kept as distances from the start of the window and values as they are, so that a
//! minute of six readings takes some 75 bytes.

use sen_model::{Extremes, Moment, Partial, Sketch, Tier, Timestamp};

use crate::bytes::{Cursor, put_f64, put_varint, put_zigzag};
use crate::point::{SeriesId, Summary};

/// Minutes on their way to the disk, as bytes already: a commit may hold a hundred thousand.
#[derive(Clone, Debug, Default)]
pub struct Summaries {
    /// Series, start of the window, and where its bytes end.
    rows: Vec<(SeriesId, Timestamp, usize)>,
    bytes: Vec<u8>,
}

impl Summaries {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the minute that begins at `start`.
    pub fn push(&mut self, series: SeriesId, start: Timestamp, partial: &Partial) {
        put(&mut self.bytes, start, partial);
        self.rows.push((series, start, self.bytes.len()));
    }

    /// Series, start and bytes of each.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (SeriesId, Timestamp, &[u8])> {
        let mut begin = 0;
        self.rows.iter().map(move |(series, start, end)| {
            let bytes = &self.bytes[std::mem::replace(&mut begin, *end)..*end];
            (*series, *start, bytes)
        })
    }
}

impl From<Vec<(SeriesId, Summary)>> for Summaries {
    /// Of minutes: the coarser tiers are made by the store.
    fn from(summaries: Vec<(SeriesId, Summary)>) -> Self {
        let mut all = Self::new();
        for (series, Summary { start, tier, partial }) in &summaries {
            debug_assert_eq!(*tier, Tier::Minute);
            all.push(*series, *start, partial);
        }
        all
    }
}

/// The bytes of the partial of a window that begins at `start`, for whoever keeps it elsewhere;
/// [`decode_partial`] gives back the same bit for bit.
pub fn encode_partial(start: Timestamp, partial: &Partial) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, start, partial);
    out
}

/// The partial of [`encode_partial`]'s bytes; `None` if they are damaged.
pub fn decode_partial(start: Timestamp, bytes: &[u8]) -> Option<Partial> {
    decode(start, bytes)
}

/// Appends the partial of a window that begins at `start`.
fn put(out: &mut Vec<u8>, start: Timestamp, partial: &Partial) {
    put_varint(out, u128::from(partial.count));
    put_varint(out, u128::from(partial.good_count));
    let Some(extremes) = &partial.extremes else { return };
    put_zigzag(out, partial.sum_micro);
    put_varint(out, partial.sum_squares);
    put_f64(out, extremes.min);
    put_f64(out, extremes.max);
    for moment in [&extremes.first, &extremes.last] {
        put_zigzag(out, distance(start, moment.event_time));
        put_varint(out, u128::from(moment.sequence));
        put_f64(out, moment.value);
    }
    put_varint(out, partial.sketch.buckets().len() as u128);
    let mut before = 0;
    for (key, count) in partial.sketch.buckets() {
        put_zigzag(out, i128::from(*key) - before);
        put_varint(out, u128::from(*count));
        before = i128::from(*key);
    }
}

/// The partial of a window that begins at `start`; `None` if the bytes are damaged.
pub(crate) fn decode(start: Timestamp, bytes: &[u8]) -> Option<Partial> {
    let mut cursor = Cursor::new(bytes);
    let mut partial =
        Partial { count: cursor.number()?, good_count: cursor.number()?, ..Partial::default() };
    if partial.good_count == 0 {
        return cursor.is_at_end().then_some(partial);
    }
    partial.sum_micro = cursor.zigzag()?;
    partial.sum_squares = cursor.varint()?;
    let (min, max) = (cursor.f64()?, cursor.f64()?);
    let (first, last) = (moment(start, &mut cursor)?, moment(start, &mut cursor)?);
    partial.extremes = Some(Extremes { min, max, first, last });
    partial.sketch = sketch(&mut cursor)?;
    cursor.is_at_end().then_some(partial)
}

fn distance(start: Timestamp, time: Timestamp) -> i128 {
    i128::from(time.as_millis()) - i128::from(start.as_millis())
}

fn moment(start: Timestamp, cursor: &mut Cursor<'_>) -> Option<Moment> {
    let time = cursor.zigzag()?.checked_add(i128::from(start.as_millis()))?;
    Some(Moment {
        event_time: Timestamp::from_millis(i64::try_from(time).ok()?),
        sequence: cursor.number()?,
        value: cursor.f64()?,
    })
}

fn sketch(cursor: &mut Cursor<'_>) -> Option<Sketch> {
    let count: usize = cursor.number()?;
    // A bucket takes two bytes at least, which bounds what a damaged count can ask for.
    let mut buckets = Vec::with_capacity(count.min(cursor.left() / 2));
    let mut key = 0_i128;
    for _ in 0..count {
        key = key.checked_add(cursor.zigzag()?)?;
        buckets.push((i32::try_from(key).ok()?, cursor.number()?));
    }
    Sketch::from_buckets(buckets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::Quality;

    use super::*;

    proptest! {
        #[test]
        fn partials_come_back(
            start in any::<i64>(),
            readings in prop::collection::vec((any::<i64>(), any::<u32>(), -1e12..1e12_f64, any::<bool>()), 0..20),
        ) {
            let start = Timestamp::from_millis(start);
            let mut partial = Partial::default();
            for (time, sequence, value, good) in readings {
                let event_time = Timestamp::from_millis(time);
                let quality = if good { Quality::Good } else { Quality::Suspect };
                partial.add(Moment { event_time, sequence, value }, quality);
            }
            let mut summaries = Summaries::new();
            summaries.push(SeriesId(0), Timestamp::from_millis(0), &Partial::default());
            summaries.push(SeriesId(1), start, &partial);
            let last = summaries.rows().last().map(|(_, _, bytes)| bytes.to_vec()).unwrap();
            prop_assert_eq!(decode(start, &last), Some(partial.clone()));
            prop_assert_eq!(encode_partial(start, &partial), last);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(Timestamp::from_millis(0), &bytes);
        }
    }

    #[test]
    fn a_minute_of_six_readings_is_small() {
        let mut partial = Partial::default();
        for tenth in 0..6_i64 {
            let event_time = Timestamp::from_millis(tenth * 10_000);
            let value = 20.0 + tenth as f64 / 10.0;
            partial.add(Moment { event_time, sequence: 0, value }, Quality::Good);
        }
        let bytes = encode_partial(Timestamp::from_millis(0), &partial);
        assert!(bytes.len() <= 75, "{} bytes", bytes.len());
    }
}
