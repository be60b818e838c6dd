//! One channel on its way through the alert log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::{Clock, Shutdown};
use sen_log::{Offset, ReadError, Reader, Topic};
use sen_model::AlertRecord;
use serde::{Deserialize, Serialize};

use crate::channel::{Channel, ChannelError};
use crate::fold::Open;

/// Records read at once.
const READ_RECORDS: usize = 256;
/// The first pause before a record is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Tries once we are asked to stop: what is not delivered then waits for the next start.
const LAST_TRIES: usize = 3;

/// How far a channel has come; saved under its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The next record to deliver.
    pub(crate) next: Offset,
    /// The open alerts before it, for a channel that forgets.
    pub(crate) open: Open,
}

/// A channel and how far it has come.
pub(crate) struct Lane {
    channel: Box<dyn Channel>,
    alerts: Topic<AlertRecord>,
    clock: Clock,
    retry_most: Duration,
    /// Shared with the one who saves it.
    position: Arc<Mutex<Position>>,
    /// Whether the last record found no room.
    is_full: AtomicBool,
}

/// Whether a record is behind us.
#[derive(PartialEq, Eq)]
enum Outcome {
    Passed,
    Stopped,
}

impl Lane {
    pub(crate) fn new(
        channel: Box<dyn Channel>,
        alerts: Topic<AlertRecord>,
        clock: Clock,
        retry_most: Duration,
        position: Arc<Mutex<Position>>,
    ) -> Self {
        Self { channel, alerts, clock, retry_most, position, is_full: AtomicBool::new(false) }
    }

    /// The channel's name.
    pub(crate) fn name(&self) -> &'static str {
        self.channel.name()
    }

    /// Delivers until asked to stop, then what was there until then.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), ReadError> {
        let next = self.at(|position| position.next);
        let mut reader = self.alerts.read_from(next);
        if self.channel.forgets() && self.recall(&shutdown).await == Outcome::Stopped {
            return Ok(());
        }
        let mut last = Offset::MAX;
        while reader.position() <= last {
            let read = if shutdown.is_requested() {
                last = last.min(self.alerts.head());
                reader.available(READ_RECORDS).await
            } else {
                tokio::select! {
                    () = shutdown.requested() => continue,
                    read = reader.next(READ_RECORDS) => read,
                }
            };
            let entries = match read {
                Err(ReadError::BelowFloor { wanted, floor }) => {
                    self.skip_to(&mut reader, wanted, floor);
                    continue;
                }
                read => read?,
            };
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                if self.deliver(&entry.record, &shutdown).await == Outcome::Stopped {
                    return Ok(());
                }
                self.passed(entry.offset, &entry.record);
            }
        }
        Ok(())
    }

    /// Delivers again what a channel that forgets must know.
    async fn recall(&self, shutdown: &Shutdown) -> Outcome {
        for record in self.at(|position| position.open.records()) {
            if self.deliver(&record, shutdown).await == Outcome::Stopped {
                return Outcome::Stopped;
            }
        }
        Outcome::Passed
    }

    /// Tries until the record is delivered or passed over, or until time is up.
    async fn deliver(&self, record: &AlertRecord, shutdown: &Shutdown) -> Outcome {
        let name = self.channel.name();
        let mut backoff = Backoff::new(RETRY_FIRST, self.retry_most, u64::from(record.rev));
        let mut last_tries = 0;
        loop {
            let error = match self.channel.deliver(record).await {
                Ok(()) => {
                    metrics::counter!("sen_notify_delivered_total", "channel" => name).increment(1);
                    if backoff.succeeded() {
                        tracing::info!(channel = name, "delivers again");
                    }
                    // What ends makes room, but only what is open finds out whether there is any.
                    if record.state.is_open() && self.is_full.swap(false, Ordering::Relaxed) {
                        tracing::info!(channel = name, "has room again");
                    }
                    return Outcome::Passed;
                }
                Err(error) => error,
            };
            if !matches!(error, ChannelError::Retry(_)) {
                self.pass_over(record, &error);
                return Outcome::Passed;
            }
            metrics::counter!("sen_notify_retries_total", "channel" => name).increment(1);
            if backoff.is_fresh() {
                tracing::warn!(channel = name, alert = %record.id, %error, "trying again");
            }
            let pause = backoff.failed();
            if shutdown.is_requested() {
                last_tries += 1;
                if last_tries >= LAST_TRIES {
                    return Outcome::Stopped;
                }
                tokio::time::sleep(pause.min(RETRY_FIRST)).await;
            } else {
                tokio::select! {
                    () = shutdown.requested() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    /// Counts and tells what is not delivered; a channel that is full is told of once until it
    /// has room again.
    fn pass_over(&self, record: &AlertRecord, error: &ChannelError) {
        let name = self.channel.name();
        if let ChannelError::Full(_) = error {
            metrics::counter!("sen_notify_full_total", "channel" => name).increment(1);
            if !self.is_full.swap(true, Ordering::Relaxed) {
                tracing::warn!(channel = name, alert = %record.id, %error, "passed over till there is room");
            }
        } else {
            metrics::counter!("sen_notify_refused_total", "channel" => name).increment(1);
            tracing::error!(channel = name, alert = %record.id, rev = record.rev, %error, "passed over");
        }
    }

    fn skip_to(&self, reader: &mut Reader<AlertRecord>, wanted: Offset, floor: Offset) {
        let channel = self.channel.name();
        tracing::error!(channel, wanted, floor, "alerts were deleted before they were delivered");
        *reader = self.alerts.read_from(floor);
    }

    fn passed(&self, offset: Offset, record: &AlertRecord) {
        let keeps = self.channel.forgets();
        let took_ms = self.clock.now_ms().saturating_sub(record.recorded_at.as_millis());
        let name = self.channel.name();
        metrics::gauge!("sen_notify_lag_ms", "channel" => name).set(took_ms as f64);
        self.at(|position| {
            position.next = offset + 1;
            if keeps {
                position.open.fold(record);
            }
        });
    }

    fn at<T>(&self, look: impl FnOnce(&mut Position) -> T) -> T {
        look(&mut self.position.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
