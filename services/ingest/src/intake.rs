//! The way from the sources to the log: a bounded queue, and a receipt that comes back when what a
//! packet said is on disk. Nothing is acknowledged without its receipt.

mod writer;

use std::sync::Arc;

use bytes::Bytes;
use sen_chassis::Clock;
use sen_chassis::clock::Stopwatch;
use sen_model::{Registry, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

pub(crate) use writer::{Topics, WriteError, Writer};

use crate::decode::Reject;
use crate::meters::{Meters, SourceMeters};
use crate::packet::Packet;
use crate::sort::{Sorted, Sorter, refuse};

/// Rough bytes in memory of a reading, an event and a quarantine record beside its payload.
const READING_BYTES: usize = 96;
const RECORD_BYTES: usize = 1_024;

/// The intake has stopped: nothing more will be acknowledged.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("ingest has stopped")]
pub(crate) struct Stopped;

/// Everything a source needs to hand packets over.
pub(crate) struct Intake {
    sorter: Sorter,
    registry: Arc<Registry>,
    clock: Clock,
    meters: Arc<Meters>,
    /// Bytes that may wait for the log; a packet takes its share before it is queued.
    budget: Arc<Semaphore>,
    budget_bytes: usize,
    queue: mpsc::Sender<Work>,
    flow: watch::Receiver<bool>,
}

/// One packet on its way to the log.
struct Work {
    sorted: Sorted,
    /// Told when everything of it is on disk; none where nobody waits (QoS 0).
    done: Option<(oneshot::Sender<()>, Stopwatch)>,
    /// Its share of the budget, given back when it is on disk.
    _share: OwnedSemaphorePermit,
}

/// How much may wait for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub packets: usize,
    pub bytes: usize,
}

impl Intake {
    /// An intake and the receiving end of its queue.
    pub(crate) fn new(
        sorter: Sorter,
        registry: Arc<Registry>,
        clock: Clock,
        limits: QueueLimits,
    ) -> (Arc<Self>, WorkQueue) {
        let (queue, works) = mpsc::channel(limits.packets);
        let (flowing, flow) = watch::channel(true);
        let meters = Arc::new(Meters::new());
        let intake = Self {
            sorter,
            registry,
            clock,
            meters: Arc::clone(&meters),
            budget: Arc::new(Semaphore::new(limits.bytes)),
            budget_bytes: limits.bytes,
            queue,
            flow,
        };
        (Arc::new(intake), WorkQueue { works, meters, flow: flowing })
    }

    /// A way in for one source.
    pub(crate) fn door(self: &Arc<Self>, source: &str) -> Door {
        let meters = Arc::new(SourceMeters::new(source));
        Door { intake: Arc::clone(self), source: source.into(), meters }
    }

    async fn queue(
        &self,
        sorted: Sorted,
        done: Option<(oneshot::Sender<()>, Stopwatch)>,
    ) -> Result<(), Stopped> {
        let bytes = cost(&sorted).clamp(1, self.budget_bytes);
        let share = u32::try_from(bytes).map_err(|_| Stopped)?;
        let share =
            Arc::clone(&self.budget).acquire_many_owned(share).await.map_err(|_| Stopped)?;
        self.queue.send(Work { sorted, done, _share: share }).await.map_err(|_| Stopped)
    }
}

/// About how much memory a sorted packet holds.
fn cost(sorted: &Sorted) -> usize {
    let readings = sorted.batch.as_ref().map_or(0, |batch| batch.readings.len());
    let kept: usize = sorted.quarantined.iter().map(|record| record.payload.len()).sum();
    let records = sorted.events.len() + sorted.quarantined.len() + 1;
    readings * READING_BYTES + records * RECORD_BYTES + kept
}

/// The receiving end of the intake's queue.
pub(crate) struct WorkQueue {
    works: mpsc::Receiver<Work>,
    meters: Arc<Meters>,
    /// Whether the log takes what is heard.
    flow: watch::Sender<bool>,
}

/// What a source hears with: it stamps packets with their source and time of arrival.
#[derive(Clone)]
pub(crate) struct Door {
    intake: Arc<Intake>,
    source: Arc<str>,
    meters: Arc<SourceMeters>,
}

/// What a client published, as its source got it.
pub(crate) struct Heard {
    pub client: Arc<str>,
    pub topic: Arc<str>,
    pub payload: Bytes,
    pub retained: bool,
}

impl Door {
    /// Queues a packet nobody waits for. Waits while the queue is full: that is what keeps a source
    /// from reading on.
    pub(crate) async fn take_unreceipted(&self, heard: Heard) -> Result<(), Stopped> {
        let packet = self.stamp(heard);
        let sorted = self.intake.sorter.sort(&packet, &self.intake.registry);
        self.intake.queue(sorted, None).await
    }

    /// Queues a packet and gives its receipt. Waits while the queue is full.
    pub(crate) async fn take(&self, heard: Heard) -> Result<Receipt, Stopped> {
        let packet = self.stamp(heard);
        let sorted = self.intake.sorter.sort(&packet, &self.intake.registry);
        self.with_receipt(sorted).await
    }

    /// Queues a packet for quarantine, unread, and gives its receipt.
    pub(crate) async fn refuse(&self, heard: Heard, reject: Reject) -> Result<Receipt, Stopped> {
        let packet = self.stamp(heard);
        self.with_receipt(refuse(&packet, reject)).await
    }

    async fn with_receipt(&self, sorted: Sorted) -> Result<Receipt, Stopped> {
        let (done, receipt) = oneshot::channel();
        self.intake.queue(sorted, Some((done, Stopwatch::start()))).await?;
        Ok(Receipt(receipt))
    }

    fn stamp(&self, heard: Heard) -> Packet {
        self.meters.heard(heard.payload.len());
        let received_at = Timestamp::from_millis(self.intake.clock.now_ms());
        let Heard { client, topic, payload, retained } = heard;
        Packet { source: Arc::clone(&self.source), client, topic, payload, received_at, retained }
    }

    /// Follows whether the log takes what is heard.
    pub(crate) fn flow(&self) -> watch::Receiver<bool> {
        self.intake.flow.clone()
    }

    /// Brings the gauges up to date; call now and then.
    pub(crate) fn gauge(&self) {
        self.intake.meters.series(self.intake.sorter.series());
    }
}

/// Comes true when everything a packet said is on disk.
#[derive(Debug)]
pub(crate) struct Receipt(oneshot::Receiver<()>);

impl Receipt {
    /// Returns when everything is on disk. After `Err` it may be or not: it must not be
    /// acknowledged.
    pub(crate) async fn durable(self) -> Result<(), Stopped> {
        self.0.await.map_err(|_| Stopped)
    }
}
