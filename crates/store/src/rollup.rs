//! Rolling up: stale windows that have ended get their row, some at a time.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sen_model::{Tier, Timestamp};

use crate::StoreError;
use crate::head::Shared;
use crate::point::SeriesId;
use crate::summary::encode_partial;
use crate::tiers::{fold, number, put_row};
use crate::unsent;
use crate::writer::{Done, Job};

/// Windows merged in one slice: some ten milliseconds of work, then a waiting commit goes first.
const SLICE_WINDOWS: usize = 200;
/// Marks looked at in one slice; most are of windows that have not ended.
const SLICE_MARKS: u32 = 5_000;

/// One pass over the marks of all coarser tiers, the finest first.
pub(crate) struct RollUp {
    /// Windows that end later stay stale.
    until: Timestamp,
    /// Whether an archive wants to hear of every row.
    archived: bool,
    tier: Tier,
    /// The last mark looked at.
    after: (i64, i64),
    waiting: Vec<Done>,
}

/// The place before all marks of a tier.
const BEFORE_ALL: (i64, i64) = (-1, i64::MIN);

impl RollUp {
    /// Of the windows that end at `until` or earlier.
    pub(crate) fn begin(until: Timestamp, archived: bool, done: Done) -> Self {
        let tier = Tier::QuarterHour;
        Self { until, archived, tier, after: BEFORE_ALL, waiting: vec![done] }
    }

    /// Takes the place of a pass under way; those who wait for that one wait for this.
    pub(crate) fn taking_over(mut self, earlier: Option<Self>) -> Self {
        self.waiting.extend(earlier.into_iter().flat_map(|earlier| earlier.waiting));
        self
    }

    /// The next marks whose windows have ended, and whether these are all of the tier.
    fn ended(&mut self, transaction: &Transaction<'_>) -> Result<(Vec<Mark>, bool), StoreError> {
        let mut select = transaction.prepare_cached(
            "SELECT series, start FROM stale
             WHERE tier = ?1 AND (series, start) > (?2, ?3) ORDER BY series, start LIMIT ?4",
        )?;
        let (series, start) = self.after;
        let mut rows = select.query(params![number(self.tier), series, start, SLICE_MARKS])?;
        let (mut ended, mut seen) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            seen += 1;
            let (series, start): (u32, i64) = (row.get(0)?, row.get(1)?);
            self.after = (i64::from(series), start);
            let start = Timestamp::from_millis(start);
            if self.tier.end_of(start) <= self.until {
                ended.push((SeriesId(series), start));
            }
            if ended.len() == SLICE_WINDOWS {
                return Ok((ended, false));
            }
        }
        Ok((ended, seen < SLICE_MARKS))
    }
}

/// A stale window.
type Mark = (SeriesId, Timestamp);

impl Job for RollUp {
    fn step(&mut self, connection: &mut Connection, _: &Shared) -> Result<bool, StoreError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (ended, is_all) = self.ended(&transaction)?;
        for (series, start) in &ended {
            roll_up(&transaction, self.tier, *series, *start)?;
            if self.archived {
                unsent::mark(&transaction, self.tier, *series, *start)?;
            }
        }
        transaction.commit()?;
        if is_all {
            let Some(coarser) = self.tier.coarser() else { return Ok(true) };
            (self.tier, self.after) = (coarser, BEFORE_ALL);
        }
        Ok(false)
    }

    fn waiting(self) -> Vec<Done> {
        self.waiting
    }
}

/// Writes the row of a window and takes its mark away.
fn roll_up(
    transaction: &Transaction<'_>,
    tier: Tier,
    series: SeriesId,
    start: Timestamp,
) -> Result<(), StoreError> {
    let partial = fold(transaction, tier, series, start)?;
    if !partial.is_empty() {
        put_row(transaction, tier, series, start, &encode_partial(start, &partial))?;
    }
    transaction
        .prepare_cached("DELETE FROM stale WHERE tier = ?1 AND series = ?2 AND start = ?3")?
        .execute(params![number(tier), series.0, start.as_millis()])?;
    Ok(())
}
