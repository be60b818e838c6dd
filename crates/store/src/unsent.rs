//! What the archive does not have: marks of summaries that changed since they were handed over.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sen_model::{SeriesKey, Tier, Timestamp};

use crate::StoreError;
use crate::head::Shared;
use crate::point::{SeriesId, Summary};
use crate::tiers::{number, windows};

/// A summary that the archive does not have as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent {
    /// Whose it is.
    pub series: SeriesKey,
    /// The window; nothing if retention has deleted it before it could be handed over.
    pub summary: Option<Summary>,
    id: SeriesId,
    tier: Tier,
    start: Timestamp,
    version: i64,
}

/// Marks a window as not in the archive as it is now. To mark it again changes the version, so that
/// the mark does not go for a summary that was read before.
pub(crate) fn mark(
    transaction: &Transaction<'_>,
    tier: Tier,
    series: SeriesId,
    start: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO unsent (tier, start, series, version)
             VALUES (?1, ?2, ?3, random())",
        )?
        .execute(params![number(tier), start.as_millis(), series.0])?;
    Ok(())
}

/// At most `limit` marked windows that end at `until` or earlier, the coarsest and oldest first: there
/// are few of those, and minutes must not keep them waiting.
pub(crate) fn find(
    connection: &Connection,
    shared: &Shared,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Unsent>, StoreError> {
    let moment = connection.unchecked_transaction()?;
    let mut select = moment.prepare_cached(
        "SELECT start, series, version FROM unsent
         WHERE tier = ?1 AND start <= ?2 ORDER BY start, series LIMIT ?3",
    )?;
    let mut found = Vec::new();
    for tier in Tier::ALL.into_iter().rev() {
        let last_start = until.plus_ms(-tier.length_ms()).as_millis();
        let most = i64::try_from(limit.saturating_sub(found.len())).unwrap_or(i64::MAX);
        let mut rows = select.query(params![number(tier), last_start, most])?;
        while let Some(row) = rows.next()? {
            let (start, id) = (Timestamp::from_millis(row.get(0)?), SeriesId(row.get(1)?));
            let Some(series) = shared.directory().name(id) else { continue };
            let only = start.as_millis()..=start.as_millis();
            let summary = windows(&moment, tier, id, &only, 1)?.0.pop();
            found.push(Unsent { series, summary, id, tier, start, version: row.get(2)? });
        }
    }
    Ok(found)
}

/// Takes away the marks of what the archive has now, unless it has changed since it was read.
pub(crate) fn take_away(connection: &mut Connection, sent: &[Unsent]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut delete = transaction.prepare_cached(
            "DELETE FROM unsent
             WHERE tier = ?1 AND start = ?2 AND series = ?3 AND version = ?4",
        )?;
        for Unsent { tier, start, id, version, .. } in sent {
            delete.execute(params![number(*tier), start.as_millis(), id.0, version])?;
        }
    }
    Ok(transaction.commit()?)
}
