//! Retention: old days of chunks and old summaries go by range deletes, in slices, and their pages
//! go back to the file system.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sen_model::time::DAY_MS;
use sen_model::{Tier, Timestamp};

use crate::class::Ages;
use crate::head::Shared;
use crate::point::day_of;
use crate::shorter::Shorter;
use crate::tiers::{Layout, block_of, block_start_ms, number, table};
use crate::writer::{Done, Job};
use crate::{Config, StoreError, database};

/// Series of a day or block deleted at once; rows of summaries deleted at once; pages freed at once:
/// each some ten milliseconds of work.
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
    /// The first instant that stays of each tier, in milliseconds.
    floors_ms: [i64; Tier::ALL.len()],
    /// What is kept for less.
    shorter: Shorter,
    /// Whether an archive wants to hear of what changes.
    is_archived: bool,
    stage: Stage,
    waiting: Vec<Done>,
}

/// What is being swept.
#[derive(Clone, Copy)]
enum Stage {
    Chunks,
    Summaries(Tier),
    Marks(Tier),
    Shorter,
    Pages,
}

impl Stage {
    fn next(self) -> Option<Self> {
        match self {
            Self::Chunks => Some(Self::Summaries(Tier::Minute)),
            Self::Summaries(tier) => Some(Self::Marks(tier)),
            Self::Marks(tier) => Some(tier.coarser().map_or(Self::Shorter, Self::Summaries)),
            Self::Shorter => Some(Self::Pages),
            Self::Pages => None,
        }
    }
}

impl Sweep {
    /// Fixes what is too old at `now`. From here on older points are refused.
    pub(crate) fn begin(
        connection: &Connection,
        shared: &Shared,
        config: &Config,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let longest = Ages::longest(config);
        let first_day = day_of(before(now, longest.raw).as_millis());
        let floor = Timestamp::from_millis(first_day.saturating_mul(DAY_MS));
        database::set_state(connection, "floor", &floor.as_millis().to_string())?;
        note_begin(connection, shared, now)?;
        let floors = longest.tiers.map(|days| before(now, days));
        // A series has something left as long as any tier may have.
        let left = Tier::ALL.into_iter().zip(floors).map(|(tier, floor)| left_from(tier, floor));
        let lowest = left.fold(floor, Timestamp::min);
        shared.head().expire_before(floor, lowest);
        let floors_ms = floors.map(Timestamp::as_millis);
        let shorter = Shorter::begin(connection, shared, config, now)?;
        Ok(Self {
            first_day,
            floors_ms,
            shorter,
            is_archived: config.is_archived(),
            stage: Stage::Chunks,
            waiting: Vec::new(),
        })
    }

    /// Takes the place of a sweep under way; `done` is told with those who wait for that one.
    pub(crate) fn taking_over(mut self, earlier: Option<Self>, done: Done) -> Self {
        self.waiting = earlier.map_or_else(Vec::new, |earlier| earlier.waiting);
        self.waiting.push(done);
        self
    }

    /// Marks of what has gone go too; without an archive all of them.
    fn marks_floor_ms(&self, tier: Tier) -> i64 {
        if self.is_archived { self.floors_ms[tier as usize] } else { i64::MAX }
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
}

impl Job for Sweep {
    fn step(&mut self, connection: &mut Connection, _: &Shared) -> Result<bool, StoreError> {
        let is_more = match self.stage {
            Stage::Chunks => self.sweep_chunks(connection)?,
            Stage::Summaries(tier) => {
                let floor_ms = self.floors_ms[tier as usize];
                match table(tier) {
                    (table, Layout::ByWindow) => sweep_windows(connection, table, floor_ms)?,
                    (table, Layout::ByBlock(days)) => {
                        sweep_blocks(connection, table, block_of(floor_ms, days))?
                    }
                }
            }
            Stage::Marks(tier) => sweep_marks(connection, tier, self.marks_floor_ms(tier))?,
            Stage::Shorter => self.shorter.step(connection)?,
            Stage::Pages => free_pages(connection)?,
        };
        if is_more {
            return Ok(false);
        }
        let Some(next) = self.stage.next() else { return Ok(true) };
        self.stage = next;
        Ok(false)
    }

    fn waiting(self) -> Vec<Done> {
        self.waiting
    }
}

/// Notes at the first sweep when this store was begun: what was before it, it cannot know.
fn note_begin(connection: &Connection, shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    if shared.head().begun.is_none() {
        // A file of an earlier version holds more than it says.
        let first = |sql| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let day_ms = first("SELECT min(day) FROM chunk")?.map(|day| day.saturating_mul(DAY_MS));
        let oldest = [day_ms, first("SELECT min(start) FROM minute")?].into_iter().flatten().min();
        let begun = oldest.map_or(now, |oldest| now.min(Timestamp::from_millis(oldest)));
        database::set_state(connection, "begun", &begun.as_millis().to_string())?;
        shared.head().begun = Some(begun);
    }
    Ok(())
}

/// So many days before.
pub(crate) fn before(now: Timestamp, days: u32) -> Timestamp {
    now.plus_ms(-i64::from(days) * DAY_MS)
}

/// The first instant of which rows of a tier may be left below its floor: the beginning of a block.
fn left_from(tier: Tier, floor: Timestamp) -> Timestamp {
    match table(tier).1 {
        Layout::ByWindow => floor,
        Layout::ByBlock(days) => Timestamp::from_millis(block_start_ms(floor.as_millis(), days)),
    }
}

/// Deletes windows that begin before the floor; whether there was something to delete.
fn sweep_windows(
    connection: &mut Connection,
    table: &str,
    floor_ms: i64,
) -> Result<bool, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut deleted = 0;
    while deleted < SLICE_ROWS {
        let oldest: Option<i64> = transaction
            .prepare_cached(&format!("SELECT min(start) FROM {table}"))?
            .query_row([], |row| row.get(0))?;
        let Some(start) = oldest.filter(|start| *start < floor_ms) else { break };
        let delete = format!("DELETE FROM {table} WHERE start = ?1");
        deleted += transaction.prepare_cached(&delete)?.execute([start])?;
    }
    transaction.commit()?;
    Ok(deleted > 0)
}

/// Deletes what the archive is owed of windows that begin before the floor; whether there was any.
fn sweep_marks(connection: &mut Connection, tier: Tier, floor_ms: i64) -> Result<bool, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut deleted = 0;
    while deleted < SLICE_ROWS {
        let oldest: Option<i64> = transaction
            .prepare_cached("SELECT min(start) FROM unsent WHERE tier = ?1")?
            .query_row([number(tier)], |row| row.get(0))?;
        let Some(start) = oldest.filter(|start| *start < floor_ms) else { break };
        let mut delete =
            transaction.prepare_cached("DELETE FROM unsent WHERE tier = ?1 AND start = ?2")?;
        deleted += delete.execute(params![number(tier), start])?;
    }
    transaction.commit()?;
    Ok(deleted > 0)
}

/// Deletes some series of a block before the first one that stays; whether there were any. A block
/// goes when all of it is too old.
fn sweep_blocks(
    connection: &Connection,
    table: &str,
    first_block: i64,
) -> Result<bool, StoreError> {
    let oldest: Option<(i64, i64)> = connection
        .prepare_cached(&format!(
            "SELECT block, series FROM {table} ORDER BY block, series LIMIT 1"
        ))?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((block, series)) = oldest.filter(|(block, _)| *block < first_block) else {
        return Ok(false);
    };
    connection
        .prepare_cached(&format!("DELETE FROM {table} WHERE block = ?1 AND series < ?2"))?
        .execute(params![block, series + SLICE_SERIES])?;
    Ok(true)
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
