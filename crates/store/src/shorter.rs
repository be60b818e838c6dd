//! Retention of what is kept for less than the longest: series by series, each day, window or block
//! once. What is kept the longest goes by whole ranges ([`crate::retention`]).

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};
use sen_model::{Tier, Timestamp};
use tokio::time::Instant;

use crate::class::Ages;
use crate::head::Shared;
use crate::point::{SeriesId, day_of};
use crate::retention::before;
use crate::tiers::{Layout, block_of, table};
use crate::{Config, StoreError, database};

/// A slice ends after this long, or after so many looks at the clock's interval of deletions.
const SLICE_TIME: Duration = Duration::from_millis(10);
const SERIES_PER_LOOK: usize = 32;
/// The edition of the settings by which was swept; what was swept by others counts for nothing.
const EDITION: &str = "swept_edition";

/// Everything that goes before the longest.
pub(crate) struct Shorter(VecDeque<Part>);

/// Series that have one age in one table.
struct Part {
    /// Where the state keeps how far this was swept.
    key: String,
    table: &'static str,
    column: &'static str,
    /// The first unit that may be left to delete, and the first that stays.
    from: i64,
    below: i64,
    series: Vec<SeriesId>,
    /// How many of them are done in the first unit.
    done: usize,
}

impl Shorter {
    /// What is too old at `now`.
    pub(crate) fn begin(
        connection: &Connection,
        shared: &Shared,
        config: &Config,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        if config.class.is_empty() {
            return Ok(Self(VecDeque::new()));
        }
        renew_edition(connection, config)?;
        let longest = Ages::longest(config);
        let mut parts: BTreeMap<(Option<Tier>, u32), Vec<SeriesId>> = BTreeMap::new();
        for (id, key) in shared.directory().all() {
            let ages = Ages::of(config, &key.metric);
            if ages.raw < longest.raw {
                parts.entry((None, ages.raw)).or_default().push(id);
            }
            for (at, tier) in Tier::ALL.into_iter().enumerate() {
                if ages.tiers[at] < longest.tiers[at] {
                    parts.entry((Some(tier), ages.tiers[at])).or_default().push(id);
                }
            }
        }
        let part = |((tier, days), series)| Part::new(connection, tier, days, series, now);
        Ok(Self(parts.into_iter().map(part).collect::<Result<_, _>>()?))
    }

    /// Deletes some; whether there was something to do.
    pub(crate) fn step(&mut self, connection: &mut Connection) -> Result<bool, StoreError> {
        let Some(part) = self.0.front_mut() else { return Ok(false) };
        if part.step(connection)? {
            self.0.pop_front();
        }
        Ok(true)
    }
}

/// Forgets how far was swept by other settings.
fn renew_edition(connection: &Connection, config: &Config) -> Result<(), StoreError> {
    let edition = format!("{:?}{:?}", Ages::longest(config), config.class);
    let edition = crc32c::crc32c(edition.as_bytes()).to_string();
    if database::state(connection, EDITION)?.as_ref() != Some(&edition) {
        connection.execute("DELETE FROM state WHERE key LIKE 'swept/%'", [])?;
        database::set_state(connection, EDITION, &edition)?;
    }
    Ok(())
}

impl Part {
    fn new(
        connection: &Connection,
        tier: Option<Tier>,
        days: u32,
        series: Vec<SeriesId>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let floor_ms = before(now, days).as_millis();
        let (table, column, below) = match tier.map(table) {
            None => ("chunk", "day", day_of(floor_ms)),
            Some((table, Layout::ByWindow)) => (table, "start", floor_ms),
            Some((table, Layout::ByBlock(days))) => (table, "block", block_of(floor_ms, days)),
        };
        let key = format!("swept/{table}/{days}");
        let swept = database::state(connection, &key)?.and_then(|text| text.parse().ok());
        Ok(Self { key, table, column, from: swept.unwrap_or(i64::MIN), below, series, done: 0 })
    }

    /// Deletes some in one transaction; whether all is done.
    fn step(&mut self, connection: &mut Connection) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Self { table, column, .. } = *self;
        let (next, delete) = (
            format!("SELECT min({column}) FROM {table} WHERE {column} >= ?1"),
            format!("DELETE FROM {table} WHERE {column} = ?1 AND series = ?2"),
        );
        while begun.elapsed() < SLICE_TIME && self.from < self.below {
            let unit: Option<i64> =
                transaction.prepare_cached(&next)?.query_row([self.from], |row| row.get(0))?;
            let Some(unit) = unit.filter(|unit| *unit < self.below) else {
                self.from = self.below;
                break;
            };
            self.from = unit;
            let mut delete = transaction.prepare_cached(&delete)?;
            let some = self.series[self.done..].iter().take(SERIES_PER_LOOK);
            for series in some {
                delete.execute(params![unit, series.0])?;
                self.done += 1;
            }
            if self.done == self.series.len() {
                (self.from, self.done) = (unit + 1, 0);
            }
        }
        database::set_state(&transaction, &self.key, &self.from.to_string())?;
        transaction.commit()?;
        Ok(self.from >= self.below)
    }
}
