//! Writes what was queued: everything that arrived during the last append goes into the next one.

use std::time::Duration;

use sen_chassis::backoff::Backoff;
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
    /// It does not even take a quarantine record.
    #[error("log.record_bytes is too small: a quarantine record of {bytes} bytes does not fit")]
    TooSmall {
        /// How large the record is.
        bytes: u64,
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

/// Records of one append that did not fit, and how large the log allows them to be.
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
                }
                count = self.queue.works.recv_many(&mut works, PACKETS_PER_APPEND) => {
                    if count == 0 {
                        return Ok(());
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
        self.count(&batches, &events, &quarantined);
        let (batches, events, refused) = tokio::join!(
            self.keep(&self.topics.readings, batches),
            self.keep(&self.topics.events, events),
            self.keep(&self.topics.quarantine, quarantined),
        );
        fits(&refused?)?;
        let (batches, events) = (batches?, events?);
        let too_large_of = |device: &DeviceId, at: Timestamp, limit: u64| {
            tracing::error!(%device, limit, "a record over the limit of the log went to quarantine");
            too_large(device.as_str(), at, limit)
        };
        let batch = |b: &ReadingBatch| too_large_of(&b.device, b.received_at, batches.limit);
        let event = |e: &Event| too_large_of(&e.device, e.received_at, events.limit);
        let instead: Vec<Quarantined> =
            batches.records.iter().map(batch).chain(events.records.iter().map(event)).collect();
        self.count(&[], &[], &instead);
        fits(&self.keep(&self.topics.quarantine, instead).await?)
    }

    /// Appends, again and again while the disk is full or fails; gives back what never fits.
    async fn keep<T: Wire + Clone>(
        &self,
        topic: &Topic<T>,
        records: Vec<T>,
    ) -> Result<Oversize<T>, NotKept> {
        let mut oversize = Oversize { records: Vec::new(), limit: 0 };
        let mut groups = vec![records];
        let mut backoff =
            Backoff::new(Duration::from_millis(50), Duration::from_secs(2), topic.head());
        while let Some(mut group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            match topic.append(group.clone()).await {
                Ok(_) if backoff.succeeded() => self.recovered(),
                Ok(_) => {}
                Err(AppendError::Closed) => return Err(NotKept::Fatal(WriteError::Closed)),
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
                    self.failed(&error, backoff.is_fresh())?;
                    tokio::time::sleep(backoff.failed()).await;
                    groups.push(group);
                }
            }
        }
        Ok(oversize)
    }

    fn failed(&self, error: &AppendError, first: bool) -> Result<(), NotKept> {
        if self.last_call.is_requested() {
            return Err(NotKept::GivenUp);
        }
        if first {
            tracing::warn!(%error, "the log takes nothing, acknowledgements stop");
        }
        self.health.ill(PART, format!("nothing is acknowledged: {error}"));
        Ok(())
    }

    fn recovered(&self) {
        tracing::info!("the log takes packets again");
        self.health.well(PART);
    }

    fn count(&self, batches: &[ReadingBatch], events: &[Event], quarantined: &[Quarantined]) {
        let readings = batches.iter().map(|batch| batch.readings.len()).sum();
        self.queue.meters.kept(readings, events.len());
        for record in quarantined {
            self.queue.meters.quarantined(record.reason);
        }
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

fn fits(oversize: &Oversize<Quarantined>) -> Result<(), NotKept> {
    match oversize.records.first() {
        None => Ok(()),
        Some(_) => Err(NotKept::Fatal(WriteError::TooSmall { bytes: oversize.limit })),
    }
}
