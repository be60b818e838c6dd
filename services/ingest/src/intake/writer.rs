//! Writes what was queued: everything that arrived during the last append goes into the next one.

use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::trace::{self, Stage};
use sen_chassis::{Health, Shutdown};
use sen_log::{AppendError, Topic};
use sen_model::{DeviceId, Event, Quarantined, ReadingBatch, Timestamp};
use sen_proto::Wire;

use super::{Work, WorkQueue};
use crate::sort::too_large;

/// Most packets in one append.
const PACKETS_PER_APPEND: usize = 4_096;
/// The part of the process's health that says whether the log takes what is heard.
const PART: &str = "ingest";
/// What it is called in traces, which it begins.
const STAGE: Stage = Stage { name: "ingest", after: None };
/// How long after a failed append the next is tried, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// Where things are kept.
pub(crate) struct Topics {
    pub readings: Topic<ReadingBatch>,
    pub events: Topic<Event>,
    pub quarantine: Topic<Quarantined>,
}

/// The log will never take anything again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// It was closed under us.
    #[error("the log was closed while packets were waiting for it")]
    Closed,
    /// The topic is not the one that was opened: only a new start can go on.
    #[error("the log was begun anew while it was open")]
    Renewed(#[source] AppendError),
    /// It does not even take a quarantine record.
    #[error("log.record_bytes is too small: {limit} bytes do not hold a quarantine record")]
    TooSmall {
        /// What the log allows.
        limit: u64,
    },
}

/// The one task that appends.
pub(crate) struct Writer {
    queue: WorkQueue,
    topics: Topics,
    health: Health,
    /// Requested when every source has ended: what is queued is written, then the writer ends.
    last_call: Shutdown,
}

/// Records that did not fit, and how large the log allows them to be.
struct Oversize<T> {
    records: Vec<T>,
    limit: u64,
}

/// Why a group of records was not kept.
enum NotKept {
    /// We are stopping and the log does not take it: nothing of it was acknowledged.
    GivenUp,
    Fatal(WriteError),
}

impl Writer {
    pub(crate) fn new(
        queue: WorkQueue,
        topics: Topics,
        health: Health,
        last_call: Shutdown,
    ) -> Self {
        Self { queue, topics, health, last_call }
    }

    /// Writes until the last call, and then what is left.
    pub(crate) async fn run(mut self) -> Result<(), WriteError> {
        self.health.well(PART);
        let mut works = Vec::with_capacity(PACKETS_PER_APPEND);
        let mut closing = false;
        loop {
            tokio::select! {
                () = self.last_call.requested(), if !closing => {
                    self.queue.works.close();
                    closing = true;
                    continue;
                }
                count = self.queue.works.recv_many(&mut works, PACKETS_PER_APPEND) => {
                    if count == 0 {
                        return Ok(());
                    }
                }
            }
            match self.keep_all(&mut works).await {
                Ok(()) => self.acknowledge(&mut works),
                Err(NotKept::Fatal(error)) => return Err(error),
                Err(NotKept::GivenUp) => {
                    let packets = works.len() + self.queue.works.len();
                    tracing::error!(packets, "stopped before the log took every packet");
                    return Ok(());
                }
            }
        }
    }

    /// Makes everything the works hold durable.
    async fn keep_all(&self, works: &mut [Work]) -> Result<(), NotKept> {
        let (mut batches, mut events, mut quarantined) = (Vec::new(), Vec::new(), Vec::new());
        for work in works {
            batches.extend(work.sorted.batch.take());
            events.append(&mut work.sorted.events);
            quarantined.append(&mut work.sorted.quarantined);
        }
        let mut spans = trace::begin(&STAGE, batches.iter().map(ReadingBatch::trace_key));
        for (packet, span) in spans.each() {
            span.tell("sen.device", batches[packet].device.to_string());
            span.tell("sen.readings", batches[packet].readings.len() as i64);
        }
        let meters = &self.queue.meters;
        let (batches, events, refused) = tokio::join!(
            self.keep(&self.topics.readings, batches, |kept| meters.kept_batches(kept)),
            self.keep(&self.topics.events, events, |kept| meters.kept_events(kept)),
            self.keep(&self.topics.quarantine, quarantined, |kept| meters.quarantined(kept)),
        );
        fits(&refused?)?;
        let instead = instead_of(&batches?, &events?);
        let refused = self.keep(&self.topics.quarantine, instead, |kept| meters.quarantined(kept));
        fits(&refused.await?)?;
        spans.end();
        if !self.queue.flow.send_replace(true) {
            tracing::info!("the log takes packets again");
            self.health.well(PART);
        }
        Ok(())
    }

    /// Appends, again and again while the disk is full or fails; gives back what never fits.
    async fn keep<T: Wire + Clone>(
        &self,
        topic: &Topic<T>,
        records: Vec<T>,
        count: impl Fn(&[T]),
    ) -> Result<Oversize<T>, NotKept> {
        let mut oversize = Oversize { records: Vec::new(), limit: 0 };
        let mut groups = vec![records];
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST, topic.head());
        while let Some(mut group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            match topic.append(group.clone()).await {
                Ok(_) => count(&group),
                Err(AppendError::Closed) => return Err(NotKept::Fatal(WriteError::Closed)),
                Err(error @ AppendError::Fenced(_)) => {
                    return Err(NotKept::Fatal(WriteError::Renewed(error)));
                }
                Err(AppendError::TooLarge { limit, .. }) if group.len() == 1 => {
                    oversize.limit = limit;
                    oversize.records.append(&mut group);
                }
                // One record spoils the group: halve it until that one stands alone.
                Err(AppendError::TooLarge { .. }) => {
                    let second = group.split_off(group.len() / 2);
                    groups.extend([second, group]);
                }
                Err(error) => {
                    self.failed(&error)?;
                    tokio::time::sleep(backoff.failed()).await;
                    groups.push(group);
                }
            }
        }
        Ok(oversize)
    }

    fn failed(&self, error: &AppendError) -> Result<(), NotKept> {
        if self.last_call.is_requested() {
            return Err(NotKept::GivenUp);
        }
        if self.queue.flow.send_replace(false) {
            tracing::warn!(%error, "the log takes nothing, acknowledgements stop");
        }
        self.health.ill(PART, format!("nothing is acknowledged: {error}"));
        Ok(())
    }

    fn acknowledge(&self, works: &mut Vec<Work>) {
        for work in works.drain(..) {
            if let Some((done, waited)) = work.done {
                self.queue.meters.durable_after(waited.elapsed());
                // Whoever waited may have lost its connection meanwhile; the packet is kept anyway.
                let _ = done.send(());
            }
        }
    }
}

/// What quarantine says of records the log has no room for. The settings are wrong then, since
/// packets have bounds; nothing is lost in silence all the same.
fn instead_of(batches: &Oversize<ReadingBatch>, events: &Oversize<Event>) -> Vec<Quarantined> {
    let record = |device: &DeviceId, at: Timestamp, limit: u64| {
        tracing::error!(%device, limit, "a record over the limit of the log is lost");
        too_large(device.as_str(), at, limit)
    };
    let batch = |batch: &ReadingBatch| record(&batch.device, batch.received_at, batches.limit);
    let event = |event: &Event| record(&event.device, event.received_at, events.limit);
    batches.records.iter().map(batch).chain(events.records.iter().map(event)).collect()
}

fn fits(oversize: &Oversize<Quarantined>) -> Result<(), NotKept> {
    match oversize.records.first() {
        None => Ok(()),
        Some(_) => Err(NotKept::Fatal(WriteError::TooSmall { limit: oversize.limit })),
    }
}
