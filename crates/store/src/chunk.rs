//! Chunks: up to some hundred points of one series and one day, compressed by column.
//! Pure: points in, bytes out, and back.
//!
//! Times are offsets within the day, `received_at` is kept as its distance from the event time,
//! sequences and qualities only where they differ from zero and good. From [`PCO_FROM`] points on
//! the columns are compressed by pco (lossless, bit by bit, for floats too); fewer are cheaper as
//! they are. A checksum goes before it all.

use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};
use sen_model::Timestamp;
use sen_model::time::DAY_MS;

use crate::bytes::{Cursor, checked, put_f64, put_varint, put_zigzag, with_checksum};
use crate::point::{Point, quality_of_code, quality_to_code};

/// Most points of one chunk.
pub(crate) const CHUNK_POINTS: usize = 720;
/// From how many points on pco pays for its fixed cost.
const PCO_FROM: usize = 32;

const HAS_SEQUENCES: u8 = 1;
const HAS_QUALITIES: u8 = 2;
const BY_COLUMN: u8 = 4;
const KNOWN_FLAGS: u8 = HAS_SEQUENCES | HAS_QUALITIES | BY_COLUMN;

/// The columns of a chunk.
struct Columns {
    offsets: Vec<u32>,
    values: Vec<f64>,
    lags: Vec<i64>,
    sequences: Vec<u32>,
    qualities: Vec<u8>,
}

/// Encodes points of one day, in order. `None` only if pco refuses, which it never does for
/// columns of this length.
pub(crate) fn encode(points: &[Point]) -> Option<Vec<u8>> {
    let columns = Columns::of(points);
    let mut flags = 0;
    if columns.sequences.iter().any(|sequence| *sequence != 0) {
        flags |= HAS_SEQUENCES;
    }
    if columns.qualities.iter().any(|quality| *quality != 0) {
        flags |= HAS_QUALITIES;
    }
    if points.len() >= PCO_FROM {
        flags |= BY_COLUMN;
    }
    let mut out = Vec::with_capacity(64 + 4 * points.len());
    put_varint(&mut out, points.len() as u128);
    out.push(flags);
    if flags & BY_COLUMN == 0 {
        columns.put_plain(&mut out, flags);
    } else {
        columns.put_packed(&mut out, flags)?;
    }
    Some(with_checksum(&out))
}

/// Decodes the points of a chunk of `day`; `None` if the bytes are damaged.
pub(crate) fn decode(day: i64, bytes: &[u8]) -> Option<Vec<Point>> {
    let mut cursor = Cursor::new(checked(bytes)?);
    let count: usize = cursor.number()?;
    let flags = *cursor.take(1)?.first()?;
    if flags & !KNOWN_FLAGS != 0 {
        return None;
    }
    let columns = if flags & BY_COLUMN == 0 {
        Columns::take_plain(&mut cursor, count, flags)?
    } else {
        Columns::take_packed(&mut cursor, count, flags)?
    };
    cursor.is_at_end().then(|| columns.points(day))
}

impl Columns {
    fn of(points: &[Point]) -> Self {
        let offset = |point: &Point| point.event_time.as_millis().rem_euclid(DAY_MS) as u32;
        let lag = |point: &Point| {
            point.received_at.as_millis().wrapping_sub(point.event_time.as_millis())
        };
        Self {
            offsets: points.iter().map(offset).collect(),
            values: points.iter().map(|point| point.value).collect(),
            lags: points.iter().map(lag).collect(),
            sequences: points.iter().map(|point| point.sequence).collect(),
            qualities: points.iter().map(|point| quality_to_code(point.quality)).collect(),
        }
    }

    fn points(&self, day: i64) -> Vec<Point> {
        // Wrapping, because the first day of i64 begins before i64 does; the sum is within.
        let begin = day.wrapping_mul(DAY_MS);
        let point = |at: usize| {
            let event_time = begin.wrapping_add(i64::from(self.offsets[at]));
            Point {
                event_time: Timestamp::from_millis(event_time),
                sequence: self.sequences[at],
                value: self.values[at],
                quality: quality_of_code(self.qualities[at]),
                received_at: Timestamp::from_millis(event_time.wrapping_add(self.lags[at])),
            }
        };
        (0..self.offsets.len()).map(point).collect()
    }

    fn put_plain(&self, out: &mut Vec<u8>, flags: u8) {
        let mut before = 0;
        for at in 0..self.offsets.len() {
            put_varint(out, u128::from(self.offsets[at].wrapping_sub(before)));
            before = self.offsets[at];
            put_f64(out, self.values[at]);
            put_zigzag(out, i128::from(self.lags[at]));
            if flags & HAS_SEQUENCES != 0 {
                put_varint(out, u128::from(self.sequences[at]));
            }
            if flags & HAS_QUALITIES != 0 {
                out.push(self.qualities[at]);
            }
        }
    }

    fn take_plain(cursor: &mut Cursor<'_>, count: usize, flags: u8) -> Option<Self> {
        // A point takes ten bytes at least, which bounds what a damaged count can ask for.
        let room = count.min(cursor.left() / 10);
        let mut columns = Self {
            offsets: Vec::with_capacity(room),
            values: Vec::with_capacity(room),
            lags: Vec::with_capacity(room),
            sequences: Vec::with_capacity(room),
            qualities: Vec::with_capacity(room),
        };
        let mut before = 0_u32;
        for _ in 0..count {
            before = before.wrapping_add(cursor.number()?);
            columns.offsets.push(before);
            columns.values.push(cursor.f64()?);
            columns.lags.push(i64::try_from(cursor.zigzag()?).ok()?);
            let has_sequence = flags & HAS_SEQUENCES != 0;
            columns.sequences.push(if has_sequence { cursor.number()? } else { 0 });
            let has_quality = flags & HAS_QUALITIES != 0;
            columns.qualities.push(if has_quality { *cursor.take(1)?.first()? } else { 0 });
        }
        Some(columns)
    }

    fn put_packed(&self, out: &mut Vec<u8>, flags: u8) -> Option<()> {
        // Steps are even and delays are not: to let pco find that out costs more than to pack them.
        let whole = ChunkConfig::default().with_mode_spec(ModeSpec::Classic);
        let steps = whole.clone().with_delta_spec(DeltaSpec::TryConsecutive(1));
        put_column(out, &self.offsets, &steps)?;
        put_column(out, &self.values, &ChunkConfig::default())?;
        put_column(out, &self.lags, &whole.clone().with_delta_spec(DeltaSpec::NoOp))?;
        if flags & HAS_SEQUENCES != 0 {
            put_column(out, &self.sequences, &whole)?;
        }
        if flags & HAS_QUALITIES != 0 {
            out.extend_from_slice(&self.qualities);
        }
        Some(())
    }

    fn take_packed(cursor: &mut Cursor<'_>, count: usize, flags: u8) -> Option<Self> {
        Some(Self {
            offsets: take_column(cursor, count)?,
            values: take_column(cursor, count)?,
            lags: take_column(cursor, count)?,
            sequences: match flags & HAS_SEQUENCES {
                0 => vec![0; count],
                _ => take_column(cursor, count)?,
            },
            qualities: match flags & HAS_QUALITIES {
                0 => vec![0; count],
                _ => cursor.take(count)?.to_vec(),
            },
        })
    }
}

fn put_column<T: Number>(out: &mut Vec<u8>, column: &[T], how: &ChunkConfig) -> Option<()> {
    let packed = simple_compress(column, how).ok()?;
    put_varint(out, packed.len() as u128);
    out.extend_from_slice(&packed);
    Some(())
}

fn take_column<T: Number>(cursor: &mut Cursor<'_>, count: usize) -> Option<Vec<T>> {
    let length = cursor.number()?;
    let column = simple_decompress(cursor.take(length)?).ok()?;
    (column.len() == count).then_some(column)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::Quality;

    use super::*;
    use crate::point::day_of;

    /// Any float that is not NaN, by its bits; pco keeps NaN too, but ingest lets none in.
    fn value() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("NaN", |value| !value.is_nan())
    }

    fn points(day: i64) -> impl Strategy<Value = Vec<Point>> {
        let quality = prop_oneof![9 => Just(Quality::Good), 1 => Just(Quality::Suspect), 1 => Just(Quality::Bad)];
        let lag = prop_oneof![Just(0), -5_000..5_000_i64, any::<i64>()];
        let one = (0..DAY_MS, 0..3_u32, value(), quality, lag).prop_filter_map(
            "before the first instant",
            move |(offset, sequence, value, quality, lag)| {
                let event_time = day.checked_mul(DAY_MS)?.checked_add(offset)?;
                Some(Point {
                    event_time: Timestamp::from_millis(event_time),
                    sequence,
                    value,
                    quality,
                    received_at: Timestamp::from_millis(event_time.wrapping_add(lag)),
                })
            },
        );
        prop::collection::vec(one, 1..100).prop_map(|mut points| {
            points.sort_by_key(Point::identity);
            points
        })
    }

    fn bits(points: &[Point]) -> Vec<(i64, u32, u64, Quality, i64)> {
        let exact = |point: &Point| {
            let (time, sequence) = point.identity();
            let received = point.received_at.as_millis();
            (time, sequence, point.value.to_bits(), point.quality, received)
        };
        points.iter().map(exact).collect()
    }

    /// 29 February 2024, a day before the epoch, the epoch.
    const DAYS: [i64; 3] = [19_782, -1, 0];

    proptest! {
        #[test]
        fn points_come_back_bit_by_bit(
            (day, points) in prop::sample::select(&DAYS[..]).prop_flat_map(|day| (Just(day), points(day)))
        ) {
            let encoded = encode(&points).unwrap();
            prop_assert_eq!(bits(&decode(day, &encoded).unwrap()), bits(&points));
        }

        #[test]
        fn damage_is_noticed(points in points(0), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut encoded = encode(&points).unwrap();
            let at = at.index(encoded.len());
            encoded[at] ^= 1 << bit;
            prop_assert!(decode(0, &encoded).is_none());
        }
    }

    #[test]
    fn the_first_and_the_last_instant_of_all_come_back() {
        for time in [i64::MIN, i64::MAX] {
            let point = Point {
                event_time: Timestamp::from_millis(time),
                sequence: u32::MAX,
                value: f64::MIN_POSITIVE,
                quality: Quality::Bad,
                received_at: Timestamp::from_millis(-time.saturating_add(1)),
            };
            let encoded = encode(&[point]).unwrap();
            assert_eq!(bits(&decode(day_of(time), &encoded).unwrap()), bits(&[point]));
        }
    }
}
