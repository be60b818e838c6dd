//! Tail rows: the points of a commit as they are, by series, until they are sealed.
//! Pure: points in, bytes out, and back.

use sen_model::Timestamp;

use crate::bytes::{Cursor, checked, put_f64, put_varint, put_zigzag, with_checksum};
use crate::point::{Point, SeriesId, quality_of_code, quality_to_code};

/// From how many bytes on a row is full and the next is begun.
pub(crate) const ROW_BYTES: usize = 1 << 20;

/// The points of one series in a row.
pub(crate) type Run = (SeriesId, Vec<Point>);

/// Appends one run to a row that is being built.
pub(crate) fn put_run(row: &mut Vec<u8>, series: SeriesId, points: &[Point]) {
    put_varint(row, u128::from(series.0));
    put_varint(row, points.len() as u128);
    let mut before = 0;
    for point in points {
        let time = i128::from(point.event_time.as_millis());
        put_zigzag(row, time - before);
        before = time;
        put_zigzag(row, i128::from(point.received_at.as_millis()) - time);
        // Mostly sequence 0 and good: one byte for both.
        let quality = u128::from(quality_to_code(point.quality));
        put_varint(row, u128::from(point.sequence) << 2 | quality);
        put_f64(row, point.value);
    }
}

/// A finished row, with its checksum.
pub(crate) fn finish(row: &[u8]) -> Vec<u8> {
    with_checksum(row)
}

/// The runs of a row; `None` if it is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Run>> {
    let mut cursor = Cursor::new(checked(bytes)?);
    let mut runs = Vec::new();
    while !cursor.is_at_end() {
        let series = SeriesId(cursor.number()?);
        let count: usize = cursor.number()?;
        // A point takes eleven bytes at least, which bounds what a damaged count can ask for.
        let mut points = Vec::with_capacity(count.min(cursor.left() / 11));
        let mut before = 0;
        for _ in 0..count {
            points.push(take_point(&mut cursor, &mut before)?);
        }
        runs.push((series, points));
    }
    Some(runs)
}

fn take_point(cursor: &mut Cursor<'_>, before: &mut i128) -> Option<Point> {
    let time = before.checked_add(cursor.zigzag()?)?;
    *before = time;
    let received = time.checked_add(cursor.zigzag()?)?;
    let rest = cursor.varint()?;
    Some(Point {
        event_time: Timestamp::from_millis(i64::try_from(time).ok()?),
        sequence: u32::try_from(rest >> 2).ok()?,
        value: cursor.f64()?,
        quality: quality_of_code((rest & 0b11) as u8),
        received_at: Timestamp::from_millis(i64::try_from(received).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::Quality;

    use super::*;

    fn point() -> impl Strategy<Value = Point> {
        let quality = prop_oneof![Just(Quality::Good), Just(Quality::Suspect), Just(Quality::Bad)];
        (any::<i64>(), any::<i64>(), any::<u32>(), -1e12..1e12_f64, quality).prop_map(
            |(event, received, sequence, value, quality)| Point {
                event_time: Timestamp::from_millis(event),
                sequence,
                value,
                quality,
                received_at: Timestamp::from_millis(received),
            },
        )
    }

    proptest! {
        #[test]
        fn rows_come_back(
            runs in prop::collection::vec((any::<u32>(), prop::collection::vec(point(), 0..20)), 0..10)
        ) {
            let runs: Vec<Run> = runs.into_iter().map(|(id, points)| (SeriesId(id), points)).collect();
            let mut row = Vec::new();
            runs.iter().for_each(|(series, points)| put_run(&mut row, *series, points));
            prop_assert_eq!(decode(&finish(&row)), Some(runs));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&with_checksum(&bytes));
        }
    }
}
