//! The tables of summaries: where each tier lies, and reading a window as its readings make it now.
//!
//! Minutes come from the aggregator, a row each. The coarser tiers are made of them here. A commit
//! that changes a minute marks the coarser windows it lies in as *stale*, in the same transaction.
//! What holds at every moment, so also after a crash:
//!
//! > The row of a window without a mark equals the merge of all its minutes. A window with a mark
//! > is merged from the finer tier whenever somebody asks, until a pass ([`crate::rollup`]) writes
//! > its row and takes the mark away.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sen_model::time::{DAY_MS, VIETNAM_OFFSET_MS};
use sen_model::{Partial, Tier, Timestamp};

use crate::point::{SeriesId, Summary};
use crate::{StoreError, summary};

/// Rows by window first that one look visits (a week of minutes, some fifty milliseconds).
const ROWS_AT_ONCE: usize = 10_080;
/// Vietnamese days that hours, and days, of one series lie together for: a read of a year of hours
/// is a dozen seeks, and retention deletes whole blocks.
const HOUR_BLOCK_DAYS: i64 = 32;
const DAY_BLOCK_DAYS: i64 = 512;

/// How the rows of a tier lie on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// By window, then series: a window of all series is one sequential write.
    ByWindow,
    /// By block of so many days, then series, then window: few rows a series, read together.
    ByBlock(i64),
}

/// The table of a tier.
pub(crate) const fn table(tier: Tier) -> (&'static str, Layout) {
    match tier {
        Tier::Minute => ("minute", Layout::ByWindow),
        Tier::QuarterHour => ("quarter", Layout::ByWindow),
        Tier::Hour => ("hour", Layout::ByBlock(HOUR_BLOCK_DAYS)),
        Tier::Day => ("day", Layout::ByBlock(DAY_BLOCK_DAYS)),
    }
}

/// The number of a tier in the tables of marks.
pub(crate) const fn number(tier: Tier) -> u8 {
    tier as u8
}

/// The block of a window; total, as the offset is a whole number of hours and windows of `i64` are
/// cut at its ends.
pub(crate) const fn block_of(start_ms: i64, days: i64) -> i64 {
    start_ms.saturating_add(VIETNAM_OFFSET_MS).div_euclid(days * DAY_MS)
}

/// The first instant of the block of a window.
pub(crate) const fn block_start_ms(start_ms: i64, days: i64) -> i64 {
    block_of(start_ms, days).saturating_mul(days * DAY_MS).saturating_sub(VIETNAM_OFFSET_MS)
}

/// Writes the bytes of a window, in place of those it had.
pub(crate) fn put_row(
    transaction: &Transaction<'_>,
    tier: Tier,
    series: SeriesId,
    start: Timestamp,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let start = start.as_millis();
    let (table, layout) = table(tier);
    match layout {
        Layout::ByWindow => transaction
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO {table} (start, series, partial) VALUES (?1, ?2, ?3)"
            ))?
            .execute(params![start, series.0, bytes])?,
        Layout::ByBlock(days) => transaction
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO {table} (block, series, start, partial)
                 VALUES (?1, ?2, ?3, ?4)"
            ))?
            .execute(params![block_of(start, days), series.0, start, bytes])?,
    };
    Ok(())
}

/// Marks the coarser windows that hold a minute as stale.
pub(crate) fn mark_stale(
    transaction: &Transaction<'_>,
    series: SeriesId,
    minute: Timestamp,
) -> Result<(), StoreError> {
    let mut mark = transaction
        .prepare_cached("INSERT OR IGNORE INTO stale (tier, series, start) VALUES (?1, ?2, ?3)")?;
    for tier in Tier::ALL.into_iter().filter(|tier| *tier > Tier::Minute) {
        mark.execute(params![number(tier), series.0, tier.start_of(minute).as_millis()])?;
    }
    Ok(())
}

/// At most `limit` windows of a series that begin in `span`, in order, each as its readings make it
/// now; and where to go on, if there may be more: after [`ROWS_AT_ONCE`] it is enough for once.
///
/// Must be called within one transaction, so that rows and marks are of one moment.
pub(crate) fn windows(
    connection: &Connection,
    tier: Tier,
    series: SeriesId,
    span: &RangeInclusive<i64>,
    limit: usize,
) -> Result<(Vec<Summary>, Option<i64>), StoreError> {
    let (rows, next) = match table(tier) {
        (table, Layout::ByWindow) => rows_by_window(connection, table, series, span, limit)?,
        (table, Layout::ByBlock(days)) => {
            (rows_by_block(connection, (table, days), series, span, limit)?, None)
        }
    };
    let reach = next.map_or(*span.end(), |next| next - 1);
    let stale = stale(connection, tier, series, &(*span.start()..=reach), limit)?;
    let mut rows = rows.into_iter().peekable();
    let mut found = Vec::with_capacity(rows.len() + stale.len());
    for start in stale {
        while let Some(row) = rows.next_if(|(row, _)| *row < start) {
            found.extend(read(connection, tier, series, row)?);
        }
        let row = rows.next_if(|(row, _)| *row == start);
        let start = Timestamp::from_millis(start);
        let partial = fold(connection, tier, series, start)?;
        if !partial.is_empty() {
            found.push(Summary { start, tier, partial });
        } else if let Some(row) = row {
            // What it was made of has gone before it.
            found.extend(read(connection, tier, series, row)?);
        }
    }
    for row in rows {
        found.extend(read(connection, tier, series, row)?);
    }
    found.truncate(limit);
    Ok((found, next))
}

/// The merge of the finer windows of a window.
pub(crate) fn fold(
    connection: &Connection,
    tier: Tier,
    series: SeriesId,
    start: Timestamp,
) -> Result<Partial, StoreError> {
    let mut whole = Partial::default();
    let Some(finer) = tier.finer() else { return Ok(whole) };
    let last = match tier.end_of(start).as_millis() {
        i64::MAX => i64::MAX,
        end => end - 1,
    };
    let (parts, _) = windows(connection, finer, series, &(start.as_millis()..=last), usize::MAX)?;
    parts.iter().for_each(|part| whole.merge(&part.partial));
    Ok(whole)
}

/// The start and the bytes of a row.
type Row = (i64, Vec<u8>);

/// The summary of a row. A damaged one costs itself: it is made again of the finer tier, if that is
/// still there.
fn read(
    connection: &Connection,
    tier: Tier,
    series: SeriesId,
    (start, bytes): Row,
) -> Result<Option<Summary>, StoreError> {
    let start = Timestamp::from_millis(start);
    if let Some(partial) = summary::decode(start, &bytes) {
        return Ok(Some(Summary { start, tier, partial }));
    }
    metrics::counter!("sen_store_damaged_total", "what" => "summary").increment(1);
    tracing::error!(series = series.0, %tier, %start, "a summary is damaged");
    let partial = fold(connection, tier, series, start)?;
    Ok((!partial.is_empty()).then_some(Summary { start, tier, partial }))
}

/// A seek for each window there is, of whatever series.
fn rows_by_window(
    connection: &Connection,
    table: &str,
    series: SeriesId,
    span: &RangeInclusive<i64>,
    limit: usize,
) -> Result<(Vec<Row>, Option<i64>), StoreError> {
    let mut next =
        connection.prepare_cached(&format!("SELECT min(start) FROM {table} WHERE start >= ?1"))?;
    let mut select = connection
        .prepare_cached(&format!("SELECT partial FROM {table} WHERE start = ?1 AND series = ?2"))?;
    let mut found = Vec::new();
    let mut from = *span.start();
    for _ in 0..ROWS_AT_ONCE {
        let start: Option<i64> = next.query_row([from], |row| row.get(0))?;
        let Some(start) = start.filter(|start| start <= span.end()) else {
            return Ok((found, None));
        };
        let row = select.query_row(params![start, series.0], |row| row.get(0)).optional()?;
        found.extend(row.map(|bytes| (start, bytes)));
        match start.checked_add(1) {
            Some(after) if found.len() < limit => from = after,
            _ => return Ok((found, None)),
        }
    }
    Ok((found, Some(from)))
}

/// A range of each block.
fn rows_by_block(
    connection: &Connection,
    (table, days): (&str, i64),
    series: SeriesId,
    span: &RangeInclusive<i64>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    // Only blocks that exist are visited, however wide the span.
    let mut next =
        connection.prepare_cached(&format!("SELECT min(block) FROM {table} WHERE block >= ?1"))?;
    let mut select = connection.prepare_cached(&format!(
        "SELECT start, partial FROM {table}
         WHERE block = ?1 AND series = ?2 AND start BETWEEN ?3 AND ?4 ORDER BY start LIMIT ?5"
    ))?;
    let mut found = Vec::new();
    let mut from = block_of(*span.start(), days);
    let last = block_of(*span.end(), days);
    while found.len() < limit {
        let block: Option<i64> = next.query_row([from], |row| row.get(0))?;
        let Some(block) = block.filter(|block| *block <= last) else { break };
        let most = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        let key = params![block, series.0, span.start(), span.end(), most];
        for row in select.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))? {
            found.push(row?);
        }
        from = block + 1;
    }
    Ok(found)
}

/// The stale windows of a series that begin in a span, in order, at most `limit`.
fn stale(
    connection: &Connection,
    tier: Tier,
    series: SeriesId,
    span: &RangeInclusive<i64>,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    if tier == Tier::Minute {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare_cached(
        "SELECT start FROM stale
         WHERE tier = ?1 AND series = ?2 AND start BETWEEN ?3 AND ?4 ORDER BY start LIMIT ?5",
    )?;
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let key = params![number(tier), series.0, span.start(), span.end(), most];
    let starts = select.query_map(key, |row| row.get(0))?;
    Ok(starts.collect::<Result<_, _>>()?)
}
