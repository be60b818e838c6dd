//! Readings into the store and the windows; both to the disk, with the position, in one commit.

use std::sync::Arc;
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::clock::Stopwatch;
use sen_chassis::{Clock, Health, Shutdown};
use sen_model::{DeviceId, Metric, ReadingBatch, Registry, Timestamp};
use sen_store::{Checkpoint, Point, SeriesId, Span, Store, StoreError, Summaries, Written};

use crate::STORE;
use crate::window::{Applied, Windows, end_of};

/// Between tries while the store fails: from, to.
const RETRY_FROM: Duration = Duration::from_millis(100);
const RETRY_TO: Duration = Duration::from_secs(10);
/// Dirty windows folded by one question to the store.
const FOLDED_AT_ONCE: usize = 4_096;

/// Turns readings into stored points and summaries.
pub(crate) struct Writer {
    store: Store,
    registry: Arc<Registry>,
    clock: Clock,
    windows: Windows,
    patience: Patience,
    /// The points of the batch in work; kept for its room.
    points: Vec<(SeriesId, Point)>,
    /// New points since the last commit.
    uncommitted: u64,
    /// Whether the limit of series was told of.
    told_of_limit: bool,
}

/// How many readings were taken, and how many of them were new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) readings: u64,
    pub(crate) new: u64,
}

/// What became of readings, to be counted.
#[derive(Default)]
struct Counts {
    late_applied: u64,
    late_recomputed: u64,
    refused: u64,
}

impl Writer {
    /// Over a store as it was left.
    pub(crate) fn new(
        store: Store,
        registry: Arc<Registry>,
        clock: Clock,
        windows: Windows,
        patience: Patience,
    ) -> Self {
        let mut writer = Self {
            store,
            registry,
            clock,
            windows,
            patience,
            points: Vec::new(),
            uncommitted: 0,
            told_of_limit: false,
        };
        let now = writer.now();
        for (series, latest) in writer.store.latest_of_all() {
            writer.windows.resume(series.0, latest.event_time, now);
        }
        writer
    }

    /// Stores the readings of some packets and applies the new ones to their windows. Tries again
    /// as long as the store may recover; on an error nothing was taken.
    pub(crate) async fn take(
        &mut self,
        batches: impl Iterator<Item = &ReadingBatch>,
    ) -> Result<Taken, StoreError> {
        let mut counts = Counts::default();
        self.gather(batches, &mut counts)?;
        let readings = self.points.len() as u64 + counts.refused;
        let written = loop {
            match self.store.write(&mut self.points).await {
                Ok(written) => break written,
                Err(error) => self.patience.wait(error).await?,
            }
        };
        self.patience.worked();
        self.apply(&mut counts);
        count(&counts, written, readings);
        let new = self.points.len() as u64;
        self.uncommitted += new;
        Ok(Taken { readings, new })
    }

    /// New points since the last commit.
    pub(crate) fn uncommitted(&self) -> u64 {
        self.uncommitted
    }

    /// Whether a commit should be made now, to keep memory bounded.
    pub(crate) fn is_full(&self) -> bool {
        self.windows.is_full()
    }

    /// Makes everything taken so far durable: points, changed windows and the checkpoint, in one
    /// transaction of the store. Tries again as long as the store may recover.
    pub(crate) async fn commit(&mut self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let stopwatch = Stopwatch::start();
        self.recompute().await?;
        loop {
            let mut summaries = Summaries::new();
            for (series, start, partial) in self.windows.changed() {
                summaries.push(SeriesId(series), start, partial);
            }
            match self.store.commit(summaries, checkpoint.clone()).await {
                Ok(()) => break,
                Err(error) => self.patience.wait(error).await?,
            }
        }
        self.patience.worked();
        self.windows.committed();
        self.uncommitted = 0;
        metrics::histogram!("sen_aggregate_commit_seconds").record(stopwatch.elapsed());
        metrics::gauge!("sen_aggregate_open_windows").set(self.windows.open() as f64);
        metrics::gauge!("sen_store_head_points").set(self.store.stats().head_points as f64);
        Ok(())
    }

    /// The readings as points of the store.
    fn gather<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a ReadingBatch>,
        counts: &mut Counts,
    ) -> Result<(), StoreError> {
        self.points.clear();
        for batch in batches {
            for reading in &batch.readings {
                let series = match self.series_id(&batch.device, &reading.metric) {
                    Ok(series) => series,
                    Err(error @ StoreError::TooManySeries { .. }) => {
                        counts.refused += 1;
                        self.tell_of_limit(&error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let point = Point {
                    event_time: reading.event_time,
                    sequence: reading.sequence,
                    value: reading.value,
                    quality: reading.quality,
                    received_at: batch.received_at,
                };
                self.points.push((series, point));
            }
        }
        Ok(())
    }

    /// The handle of a series; strangers only get one while there is room.
    fn series_id(&self, device: &DeviceId, metric: &Metric) -> Result<SeriesId, StoreError> {
        match self.store.series_id(device, metric) {
            Err(StoreError::TooManySeries { .. }) if self.is_registered(device, metric) => {
                self.store.registered_series_id(device, metric)
            }
            series => series,
        }
    }

    fn is_registered(&self, device: &DeviceId, metric: &Metric) -> bool {
        self.registry.device(device).is_some_and(|device| device.metric(metric).is_some())
    }

    /// Applies what the store left as new.
    fn apply(&mut self, counts: &mut Counts) {
        let now = self.now();
        for (series, point) in &self.points {
            match self.windows.apply(series.0, point.moment(), point.quality, now) {
                Applied::OnTime | Applied::Recomputed => {}
                Applied::LateApplied => counts.late_applied += 1,
                Applied::LateRecomputed => counts.late_recomputed += 1,
            }
        }
    }

    /// Folds every dirty window from the store.
    async fn recompute(&mut self) -> Result<(), StoreError> {
        let dirty = self.windows.dirty();
        for some in dirty.chunks(FOLDED_AT_ONCE) {
            let span = |start: Timestamp| Span { from: start, to: end_of(start) };
            let folded = loop {
                let spans = some.iter().map(|(series, start)| (SeriesId(*series), span(*start)));
                match self.store.fold(spans.collect()).await {
                    Ok(folded) => break folded,
                    Err(error) => self.patience.wait(error).await?,
                }
            };
            for ((series, start), partial) in some.iter().zip(folded) {
                self.windows.recomputed(*series, *start, partial);
            }
        }
        metrics::counter!("sen_aggregate_recomputed_windows_total").increment(dirty.len() as u64);
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    fn tell_of_limit(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.told_of_limit, true) {
            tracing::error!(%error, "readings of further new series are not stored");
        }
    }
}

/// Each way a reading can go is counted, so that none is lost without a trace.
fn count(counts: &Counts, written: Written, readings: u64) {
    metrics::counter!("sen_aggregate_readings_total").increment(readings);
    metrics::counter!("sen_aggregate_repeated_total").increment(written.repeated as u64);
    metrics::counter!("sen_aggregate_not_stored_total", "reason" => "expired")
        .increment(written.expired as u64);
    metrics::counter!("sen_aggregate_not_stored_total", "reason" => "series_limit")
        .increment(counts.refused);
    metrics::counter!("sen_aggregate_late_total", "how" => "applied")
        .increment(counts.late_applied);
    metrics::counter!("sen_aggregate_late_total", "how" => "recomputed")
        .increment(counts.late_recomputed);
}

/// Waits for a store that fails, with one line at the first failure and one at recovery.
pub(crate) struct Patience {
    backoff: Backoff,
    health: Health,
    shutdown: Shutdown,
}

impl Patience {
    /// Tells `health` how the store does; waits until `shutdown` is requested.
    pub(crate) fn new(health: Health, shutdown: Shutdown, seed: i64) -> Self {
        health.well(STORE);
        Self { backoff: Backoff::new(RETRY_FROM, RETRY_TO, seed.unsigned_abs()), health, shutdown }
    }

    /// Waits before the next try; hands the error back if none can help or nobody would wait.
    async fn wait(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.health.ill(STORE, error.to_string());
        if !error.is_retryable() || self.shutdown.is_requested() {
            return Err(error);
        }
        if self.backoff.is_fresh() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the store fails: readings wait in the log");
        }
        let delay = self.backoff.failed();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.shutdown.requested() => {}
        }
        Ok(())
    }

    fn worked(&mut self) {
        if self.backoff.succeeded() {
            self.health.well(STORE);
            tracing::info!("the store works again");
        }
    }
}

#[cfg(test)]
mod tests;
