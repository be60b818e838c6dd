//! Summaries as bytes. Pure.
//!
//! Times are kept as distances from the start of the window and values as they are, so that a
//! minute of six readings takes some 75 bytes.

use sen_model::{Extremes, Moment, Partial, Sketch, Timestamp};

use crate::bytes::{Cursor, put_f64, put_varint, put_zigzag};

/// The partial of a window that begins at `start`, as bytes.
pub(crate) fn encode(start: Timestamp, partial: &Partial) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    put_varint(&mut out, u128::from(partial.count));
    put_varint(&mut out, u128::from(partial.good_count));
    let Some(extremes) = &partial.extremes else { return out };
    put_zigzag(&mut out, partial.sum_micro);
    put_varint(&mut out, partial.sum_squares);
    put_f64(&mut out, extremes.min);
    put_f64(&mut out, extremes.max);
    for moment in [&extremes.first, &extremes.last] {
        put_zigzag(&mut out, distance(start, moment.event_time));
        put_varint(&mut out, u128::from(moment.sequence));
        put_f64(&mut out, moment.value);
    }
    put_varint(&mut out, partial.sketch.buckets().len() as u128);
    let mut before = 0;
    for (key, count) in partial.sketch.buckets() {
        put_zigzag(&mut out, i128::from(*key) - before);
        put_varint(&mut out, u128::from(*count));
        before = i128::from(*key);
    }
    out
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
            prop_assert_eq!(decode(start, &encode(start, &partial)), Some(partial));
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
        let bytes = encode(Timestamp::from_millis(0), &partial);
        assert!(bytes.len() <= 75, "{} bytes", bytes.len());
    }
}
