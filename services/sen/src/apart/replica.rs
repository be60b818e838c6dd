//! A store of this process's own, folded from the log: begun anew where the log has gone on without
//! it, since a store with a hole would tell wrong summaries.

use std::path::Path;

use anyhow::Context;
use sen_log::{ReadError, Topic};
use sen_model::{ReadingBatch, Timestamp};
use sen_store::Store;

/// Where it is written down since when the store has heard everything.
const WHOLE_FROM: &str = "whole_from";

/// A store, and since when it has heard everything; none where that is since ever.
pub(super) struct Replica {
    pub(super) store: Store,
    pub(super) whole_from: Option<Timestamp>,
}

/// Opens the store in `folder` to go on with `readings`.
pub(super) async fn open(
    folder: &Path,
    config: &sen_store::Config,
    readings: &Topic<ReadingBatch>,
) -> anyhow::Result<Replica> {
    let place = || format!("the store in {}", folder.display());
    let store = Store::open(folder.to_owned(), config.clone()).with_context(place)?;
    let checkpoint = store.checkpoint().await.with_context(place)?;
    let goes_on = checkpoint.as_ref().is_some_and(|checkpoint| {
        checkpoint.epoch == readings.epoch().0 && checkpoint.next >= readings.floor()
    });
    if goes_on {
        return Ok(Replica { store, whole_from: read(&folder.join(WHOLE_FROM)) });
    }
    drop(store);
    if checkpoint.is_some() {
        tracing::warn!(folder = %folder.display(), "the log went on without this store: it is begun anew");
    }
    std::fs::remove_dir_all(folder).with_context(place)?;
    let store = Store::open(folder.to_owned(), config.clone()).with_context(place)?;
    let whole_from = first(readings).await.with_context(place)?;
    if let Some(from) = whole_from {
        std::fs::write(folder.join(WHOLE_FROM), from.as_millis().to_string())
            .with_context(place)?;
    }
    Ok(Replica { store, whole_from })
}

fn read(path: &Path) -> Option<Timestamp> {
    let text = std::fs::read_to_string(path).ok()?;
    text.trim().parse().ok().map(Timestamp::from_millis)
}

/// When the first record was heard that the log still has; none if it has all there ever were.
async fn first(readings: &Topic<ReadingBatch>) -> Result<Option<Timestamp>, ReadError> {
    let floor = readings.floor();
    if floor <= 1 {
        return Ok(None);
    }
    let entries = readings.read_from(floor).available(1).await?;
    Ok(entries.first().map(|entry| entry.record.received_at))
}
