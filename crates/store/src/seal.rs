//! Sealing: durable points of the head become compressed chunks, some series at a time.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::time::Instant;

use crate::StoreError;
use crate::chunk;
use crate::head::Shared;
use crate::merge::{self, Extent};
use crate::point::{Point, SeriesId, day_of, quality_to_code};
use crate::writer::{Done, Job};

/// Series and points of one slice, at most, and when it ends early: a waiting commit goes first.
const SLICE_SERIES: usize = 200;
const SLICE_POINTS: usize = 10_000;
const SLICE_TIME: Duration = Duration::from_millis(10);
/// Tail rows of up to a megabyte deleted at once.
const SLICE_ROWS: i64 = 8;

/// One pass over all series. When it is through, everything the tail held at its beginning is in
/// chunks, and those tail rows go.
pub(crate) struct Pass {
    tail_to: Option<i64>,
    /// The next series; none when all are through.
    next: Option<usize>,
    waiting: Vec<Done>,
}

impl Pass {
    /// Begins at the first series.
    pub(crate) fn begin(connection: &Connection) -> Result<Self, StoreError> {
        let tail_to = connection.query_row("SELECT max(id) FROM tail", [], |row| row.get(0))?;
        Ok(Self { tail_to, next: Some(0), waiting: Vec::new() })
    }

    /// Tells one more when the pass is through.
    pub(crate) fn add_waiting(&mut self, done: Done) {
        self.waiting.push(done);
    }

    /// Deletes some of the tail rows, the oldest first; whether all are gone.
    ///
    /// That must be known at once: SQLite gives the numbers of an emptied table anew, so after the
    /// next commit they would be those of rows that are in no chunk.
    fn drop_tail(&self, connection: &Connection) -> Result<bool, StoreError> {
        let mut delete = connection.prepare_cached(
            "DELETE FROM tail WHERE id <= min(?1, (SELECT min(id) FROM tail) + ?2 - 1)",
        )?;
        delete.execute(params![self.tail_to, SLICE_ROWS])?;
        let mut left =
            connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM tail WHERE id <= ?1)")?;
        Ok(!left.query_row([self.tail_to], |row| row.get::<_, bool>(0))?)
    }
}

impl Job for Pass {
    fn step(&mut self, connection: &mut Connection, shared: &Shared) -> Result<bool, StoreError> {
        let Some(first) = self.next else { return self.drop_tail(connection) };
        let begun = Instant::now();
        let (mut slice, next) = shared.head().to_seal(first, SLICE_SERIES, SLICE_POINTS);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut sealed = 0;
        for (series, points) in &slice {
            seal(&transaction, *series, points)?;
            sealed += 1;
            if begun.elapsed() >= SLICE_TIME {
                break;
            }
        }
        transaction.commit()?;
        let left = slice.split_off(sealed).first().map(|(series, _)| series.index());
        // Only now: a query that copied the head before finds them there, one that copies it
        // from now on finds them in the chunks.
        shared.head().sealed(&slice);
        self.next = left.or(next);
        Ok(false)
    }

    fn waiting(self) -> Vec<Done> {
        self.waiting
    }
}

/// Merges points of one series, in order, into its chunks.
fn seal(
    transaction: &Transaction<'_>,
    series: SeriesId,
    points: &[Point],
) -> Result<(), StoreError> {
    let same_day = |a: &Point, b: &Point| day_of(a.identity().0) == day_of(b.identity().0);
    for points in points.chunk_by(same_day) {
        seal_day(transaction, series, day_of(points[0].identity().0), points)?;
    }
    points.last().map_or(Ok(()), |newest| note_newest(transaction, series, newest))
}

fn seal_day(
    transaction: &Transaction<'_>,
    series: SeriesId,
    day: i64,
    points: &[Point],
) -> Result<(), StoreError> {
    let extents = extents(transaction, series, day)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO chunk (day, series, first_time, first_sequence, last_time, count, points)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for rewrite in merge::plan(&extents, points) {
        let mut old = Vec::new();
        for extent in &extents[rewrite.chunks] {
            old.append(&mut take_chunk(transaction, series, day, extent)?);
        }
        for piece in merge::cut(&merge::merge(&old, &points[rewrite.points])) {
            let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
            let bytes = chunk::encode(piece).ok_or(StoreError::Uncompressed)?;
            let ((time, sequence), (last, _)) = (first.identity(), last.identity());
            let count = piece.len() as i64;
            insert.execute(params![day, series.0, time, sequence, last, count, bytes])?;
        }
    }
    Ok(())
}

/// The chunks of a series and day, in order.
fn extents(
    transaction: &Transaction<'_>,
    series: SeriesId,
    day: i64,
) -> Result<Vec<Extent>, StoreError> {
    let mut select = transaction.prepare_cached(
        "SELECT first_time, first_sequence, last_time, count FROM chunk
         WHERE day = ?1 AND series = ?2 ORDER BY first_time, first_sequence",
    )?;
    let rows = select.query_map(params![day, series.0], |row| {
        let (first, last_ms) = ((row.get(0)?, row.get(1)?), row.get(2)?);
        Ok(Extent { first, last_ms, count: row.get::<_, i64>(3)? as usize })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads a chunk and deletes it, for it is written anew with more in it. A damaged one is kept
/// aside: the points that join it must not be lost with it.
fn take_chunk(
    transaction: &Transaction<'_>,
    series: SeriesId,
    day: i64,
    extent: &Extent,
) -> Result<Vec<Point>, StoreError> {
    let (time, sequence) = extent.first;
    let key = params![day, series.0, time, sequence];
    let mut select = transaction.prepare_cached(
        "SELECT points FROM chunk
         WHERE day = ?1 AND series = ?2 AND first_time = ?3 AND first_sequence = ?4",
    )?;
    let bytes: Vec<u8> = select.query_row(key, |row| row.get(0))?;
    let points = chunk::decode(day, &bytes).unwrap_or_default();
    if points.is_empty() {
        note_damage(series, day);
        let mut keep = transaction.prepare_cached(
            "INSERT INTO damaged (day, series, first_time, points) VALUES (?1, ?2, ?3, ?4)",
        )?;
        keep.execute(params![day, series.0, time, bytes])?;
    }
    let mut delete = transaction.prepare_cached(
        "DELETE FROM chunk
         WHERE day = ?1 AND series = ?2 AND first_time = ?3 AND first_sequence = ?4",
    )?;
    delete.execute(key)?;
    Ok(points)
}

/// Tells of a chunk that cannot be read.
pub(crate) fn note_damage(series: SeriesId, day: i64) {
    metrics::counter!("sen_store_damaged_total", "what" => "chunk").increment(1);
    tracing::error!(series = series.0, day, "a chunk is damaged: its points are lost");
}

/// Notes the newest sealed point of a series; a late one leaves it as it is.
fn note_newest(
    transaction: &Transaction<'_>,
    series: SeriesId,
    newest: &Point,
) -> Result<(), StoreError> {
    let mut update = transaction.prepare_cached(
        "UPDATE series SET event_time = ?2, sequence = ?3, value_bits = ?4, quality = ?5,
             received_at = ?6
         WHERE id = ?1 AND (event_time IS NULL OR (event_time, sequence) < (?2, ?3))",
    )?;
    let (time, sequence) = newest.identity();
    let bits = newest.value.to_bits() as i64;
    let (quality, received) = (quality_to_code(newest.quality), newest.received_at.as_millis());
    update.execute(params![series.0, time, sequence, bits, quality, received])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_commit_between_the_slices_stay() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE tail (id INTEGER PRIMARY KEY, new)").unwrap();
        for rows in [0, 3, 20] {
            connection.execute("DELETE FROM tail", []).unwrap();
            for _ in 0..rows {
                connection.execute("INSERT INTO tail (new) VALUES (0)", []).unwrap();
            }
            let pass = Pass { next: None, ..Pass::begin(&connection).unwrap() };
            let mut commits = 0;
            while !pass.drop_tail(&connection).unwrap() && commits < 9 {
                connection.execute("INSERT INTO tail (new) VALUES (1)", []).unwrap();
                commits += 1;
            }
            let count = |new: i64| -> i64 {
                let sql = "SELECT count(*) FROM tail WHERE new = ?1";
                connection.query_row(sql, [new], |row| row.get(0)).unwrap()
            };
            assert_eq!((count(0), count(1)), (0, commits), "{rows} rows");
            assert_eq!(commits, rows / (SLICE_ROWS + 1), "no slice more than there are rows for");
        }
    }
}
