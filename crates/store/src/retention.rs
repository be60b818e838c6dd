//! Retention: old days of chunks and old minutes go by range deletes, in slices, and their pages
//! go back to the file system.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sen_model::Timestamp;
use sen_model::time::DAY_MS;

use crate::head::Shared;
use crate::point::day_of;
use crate::seal::tell;
use crate::writer::Done;
use crate::{Config, StoreError, database};

/// Series of a day deleted at once; rows of summaries deleted at once; pages freed at once: each
/// some ten milliseconds of work.
const SLICE_SERIES: i64 = 2_000;
const SLICE_ROWS: usize = 20_000;
const SLICE_PAGES: u32 = 1_000;
/// Free pages kept for what is written next: this many, and one of `SPARE_SHARE` pages.
const SPARE_PAGES: i64 = 256;
const SPARE_SHARE: i64 = 16;

/// One sweep over everything that is too old.
pub(crate) struct Sweep {
    /// The first day of chunks that stays.
    first_day: i64,
    /// The first minute that stays, in milliseconds.
    first_minute_ms: i64,
    stage: Stage,
    waiting: Vec<Done>,
}

/// What is being swept.
#[derive(Clone, Copy)]
enum Stage {
    Chunks,
    Minutes,
    Pages,
}

impl Sweep {
    /// Fixes what is too old at `now`. From here on older points are refused.
    pub(crate) fn begin(
        connection: &Connection,
        shared: &Shared,
        config: &Config,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let before = |days: u32| now.plus_ms(-i64::from(days) * DAY_MS);
        let first_day = day_of(before(config.raw_days).as_millis());
        let floor = Timestamp::from_millis(first_day.saturating_mul(DAY_MS));
        database::set_state(connection, "floor", &floor.as_millis().to_string())?;
        let first_minute_ms = before(config.minute_days).as_millis();
        shared.head().expire_before(floor, Timestamp::from_millis(first_minute_ms));
        Ok(Self { first_day, first_minute_ms, stage: Stage::Chunks, waiting: Vec::new() })
    }

    /// Takes the place of a sweep under way; `done` is told with those who wait for that one.
    pub(crate) fn taking_over(mut self, earlier: Option<Self>, done: Done) -> Self {
        self.waiting = earlier.map_or_else(Vec::new, |earlier| earlier.waiting);
        self.waiting.push(done);
        self
    }

    /// Sweeps one slice; tells whether all is done.
    pub(crate) fn step(&mut self, connection: &mut Connection) -> Result<bool, StoreError> {
        match self.stage {
            Stage::Chunks if !self.sweep_chunks(connection)? => self.stage = Stage::Minutes,
            Stage::Minutes if !self.sweep_minutes(connection)? => self.stage = Stage::Pages,
            Stage::Pages if !free_pages(connection)? => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    /// Tells those who wait, and hands the error on.
    pub(crate) fn end(self, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        tell(self.waiting, &outcome);
        outcome
    }

    /// Whether there was something to delete.
    fn sweep_chunks(&self, connection: &Connection) -> Result<bool, StoreError> {
        let oldest: Option<(i64, i64)> = connection
            .prepare_cached("SELECT day, series FROM chunk ORDER BY day, series LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((day, series)) = oldest.filter(|(day, _)| *day < self.first_day) else {
            return Ok(false);
        };
        connection
            .prepare_cached("DELETE FROM chunk WHERE day = ?1 AND series < ?2")?
            .execute(params![day, series + SLICE_SERIES])?;
        Ok(true)
    }

    /// Whether there was something to delete.
    fn sweep_minutes(&self, connection: &mut Connection) -> Result<bool, StoreError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut deleted = 0;
        while deleted < SLICE_ROWS {
            let oldest: Option<i64> = transaction
                .prepare_cached("SELECT min(start) FROM minute")?
                .query_row([], |row| row.get(0))?;
            let Some(start) = oldest.filter(|start| *start < self.first_minute_ms) else { break };
            let mut delete = transaction.prepare_cached("DELETE FROM minute WHERE start = ?1")?;
            deleted += delete.execute([start])?;
        }
        transaction.commit()?;
        Ok(deleted > 0)
    }
}

/// Gives free pages back to the file system; whether there was any to give.
fn free_pages(connection: &Connection) -> Result<bool, StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (pragma("freelist_count")?, pragma("page_count")?);
    if free > SPARE_PAGES + all / SPARE_SHARE {
        // It frees one page a row: all rows must be asked for.
        let mut vacuum =
            connection.prepare(&format!("PRAGMA incremental_vacuum({SLICE_PAGES})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        return Ok(true);
    }
    // The file shrinks when the write-ahead log is written back; a reader may put that off.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(false)
}
