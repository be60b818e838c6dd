//! The way from the sources to the log: a bounded queue, and a receipt that comes back when what a
//! packet said is on disk. Nothing is acknowledged without its receipt.

mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
/// A reading takes at least `"a":1,` of a payload; so decoding a payload takes at most about so many
/// times its bytes.
const BYTES_PER_PAYLOAD_BYTE: usize = READING_BYTES / 6;

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
    /// Bytes that may wait for the log; a packet takes its share before it is decoded.
    budget: Arc<Semaphore>,
    budget_bytes: usize,
    queue: mpsc::Sender<Work>,
    flow: watch::Receiver<bool>,
    /// Packets heard so far.
    heard: AtomicU64,
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
            heard: AtomicU64::new(0),
        };
        (Arc::new(intake), WorkQueue { works, meters, flow: flowing })
    }

    /// A way in for one source.
    pub(crate) fn door(self: &Arc<Self>, source: &str) -> Door {
        let meters = Arc::new(SourceMeters::new(source));
        Door { intake: Arc::clone(self), source: source.into(), meters }
    }

    /// Takes the share of the budget that a payload could need at most, sorts the packet, gives
    /// back what it does not need, and queues it. Whoever waits for its share holds nothing but the
    /// payload, and nobody who holds a share waits for more of the budget.
    async fn queue(
        &self,
        payload_bytes: usize,
        sort: impl FnOnce() -> Sorted,
        done: Option<(oneshot::Sender<()>, Stopwatch)>,
    ) -> Result<(), Stopped> {
        let most = (payload_bytes * BYTES_PER_PAYLOAD_BYTE + RECORD_BYTES).min(self.budget_bytes);
        let most = u32::try_from(most).map_err(|_| Stopped)?;
        let budget = Arc::clone(&self.budget);
        let mut share = budget.acquire_many_owned(most).await.map_err(|_| Stopped)?;
        let sorted = sort();
        drop(share.split(share.num_permits().saturating_sub(cost(&sorted))));
        self.queue.send(Work { sorted, done, _share: share }).await.map_err(|_| Stopped)
    }

    fn sort(&self, packet: &Packet) -> Sorted {
        self.sorter.sort(packet, &self.registry)
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
        self.intake.queue(packet.payload.len(), || self.intake.sort(&packet), None).await
    }

    /// Queues a packet and gives its receipt. Waits while the queue is full.
    pub(crate) async fn take(&self, heard: Heard) -> Result<Receipt, Stopped> {
        let packet = self.stamp(heard);
        self.with_receipt(&packet, || self.intake.sort(&packet)).await
    }

    /// Queues a packet for quarantine, unread, and gives its receipt.
    pub(crate) async fn refuse(&self, heard: Heard, reject: Reject) -> Result<Receipt, Stopped> {
        let packet = self.stamp(heard);
        self.with_receipt(&packet, || refuse(&packet, reject)).await
    }

    async fn with_receipt(
        &self,
        packet: &Packet,
        sort: impl FnOnce() -> Sorted,
    ) -> Result<Receipt, Stopped> {
        let (done, receipt) = oneshot::channel();
        let done = Some((done, Stopwatch::start()));
        self.intake.queue(packet.payload.len(), sort, done).await?;
        Ok(Receipt(receipt))
    }

    fn stamp(&self, heard: Heard) -> Packet {
        self.meters.heard(heard.payload.len());
        let received_at = Timestamp::from_millis(self.intake.clock.now_ms());
        let Heard { client, topic, payload, retained } = heard;
        let number = self.intake.heard.fetch_add(1, Ordering::Relaxed);
        let source = Arc::clone(&self.source);
        Packet { source, client, topic, payload, received_at, number, retained }
    }

    /// Counts a packet that was too large to be heard.
    pub(crate) fn too_large(&self) {
        self.meters.too_large();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::TimeGuard;
    use crate::series::SeriesLimits;
    use std::task::{Context, Poll, Waker};

    const NOW_MS: i64 = 1_790_000_000_000;

    fn intake(bytes: usize) -> (Arc<Intake>, WorkQueue) {
        let limits = SeriesLimits { per_device: 9, total: 9, new_per_minute: 9 };
        let began = Timestamp::from_millis(NOW_MS);
        let sorter = Sorter::new(TimeGuard::default(), limits, 1_000, Vec::new(), began);
        let limits = QueueLimits { packets: 9, bytes };
        Intake::new(sorter, Arc::new(Registry::default()), Clock::manual(NOW_MS), limits)
    }

    #[test]
    fn nothing_is_decoded_before_its_share_of_the_budget_is_there() {
        let (intake, mut works) = intake(2_000);
        let mut context = Context::from_waker(Waker::noop());
        let decoded = std::cell::Cell::new(0);
        let sort = || {
            decoded.set(decoded.get() + 1);
            Sorted::default()
        };
        let mut first = Box::pin(intake.queue(1_000, sort, None));
        assert!(matches!(first.as_mut().poll(&mut context), Poll::Ready(Ok(()))));
        assert_eq!(intake.budget.available_permits(), 2_000 - RECORD_BYTES, "the rest came back");
        let mut second = Box::pin(intake.queue(1_000, sort, None));
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(decoded.get(), 1, "the second only waits");
        drop(works.works.try_recv());
        assert!(matches!(second.as_mut().poll(&mut context), Poll::Ready(Ok(()))));
        assert_eq!(decoded.get(), 2);
    }
}
