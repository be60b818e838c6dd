//! A topic over a stream: appends, and what is asked of the other parts.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::cursor::NatsCursor;
use super::mapping::Lanes;
use super::message::{FRAME_BYTES, id_of, pack};
use super::names::Numbering;
use super::publish::{Outgoing, Owned, publish};
use super::shared::Shared;
use super::tasks::Tasks;
use super::{Patience, follow, keeper, read};
use crate::backend::{
    AppendError, Arrival, Chunk, CursorBackend, Epoch, Offset, Payloads, Pending, Publish,
    ReadError, Stats, TopicBackend, View,
};
use crate::embedded::is_name;
use crate::{OpenError, lock};

/// Encoded bytes of one topic under way to the servers; more wait before they enter.
const WINDOW_BYTES: usize = 16 << 20;
/// Appends waiting for the one task that writes an owned topic.
const QUEUE_APPENDS: usize = 64;
/// Bytes a message has beside its records.
const HEADER_BYTES: usize = 1_024;
/// How long an append waits for its own records to be followed; then the head moves without.
const FOLLOWED: Duration = Duration::from_secs(2);

/// A topic over NATS.
pub(crate) struct NatsTopic {
    pub(crate) shared: Arc<Shared>,
    tasks: Arc<Tasks>,
    /// One permit a byte under way.
    window: Arc<Semaphore>,
    /// Makes the ids of messages that are not known by their content.
    writer: String,
    /// Which records travel together.
    lanes: Lanes,
    written: AtomicU64,
    /// Where appends go once the topic is owned.
    owner: Mutex<Option<mpsc::Sender<Request>>>,
    /// Those that somebody still has.
    cursors: Mutex<Vec<Weak<NatsCursor>>>,
}

/// An append of an owned topic.
struct Request {
    outgoing: Vec<Outgoing>,
    reply: oneshot::Sender<Result<Vec<u64>, AppendError>>,
}

impl NatsTopic {
    pub(crate) fn new(
        shared: Arc<Shared>,
        tasks: Arc<Tasks>,
        writer: String,
        lanes: Lanes,
    ) -> Self {
        Self {
            shared,
            tasks,
            window: Arc::new(Semaphore::new(WINDOW_BYTES)),
            writer,
            lanes,
            written: AtomicU64::new(0),
            owner: Mutex::default(),
            cursors: Mutex::default(),
        }
    }

    /// Waits until no append is under way, but not for ever.
    pub(crate) async fn drain(&self, patience: Duration) {
        let all = self.window.acquire_many(WINDOW_BYTES as u32);
        if timeout(patience, all).await.is_err() {
            let topic = &self.shared.name;
            tracing::warn!(topic, "appends were under way when the log was closed");
        }
    }

    fn outgoing(&self, payloads: &Payloads, is_owned: bool) -> Vec<Outgoing> {
        let names = &self.shared.names;
        match self.shared.numbering {
            Numbering::Batched => {
                let packed = pack(payloads.keys().zip(payloads.iter()), &self.lanes);
                let outgoing = packed.into_iter().map(|packed| {
                    let id = id_of(&packed.bytes);
                    let bucket = packed.bucket;
                    Outgoing::new(names.bucket(bucket), packed.bytes, id, packed.records)
                        .of_bucket(bucket)
                });
                outgoing.collect()
            }
            Numbering::Single => {
                let id = |bytes: &[u8]| if is_owned { id_of(bytes) } else { self.next_id() };
                let outgoing = payloads
                    .iter()
                    .map(|bytes| Outgoing::new(names.record(), bytes.to_vec(), id(bytes), 1));
                outgoing.collect()
            }
        }
    }

    fn next_id(&self) -> String {
        format!("{}-{}", self.writer, self.written.fetch_add(1, Ordering::Relaxed))
    }

    async fn write(&self, payloads: Payloads) -> Result<Range<Offset>, AppendError> {
        let shared = &self.shared;
        self.check()?;
        // Of all that can wait the readings alone: they are nearly all that there is, and what aggregate
        // refuses of them must find its place, or its position would hold them back for ever.
        if shared.numbering == Numbering::Batched && shared.prover.lacks_room() {
            return Err(AppendError::Full);
        }
        // An append larger than the whole window goes alone.
        let bytes = payloads.bytes().clamp(1, WINDOW_BYTES) as u32;
        let share = self.window.acquire_many(bytes).await;
        let _share = share.map_err(|_| AppendError::Closed)?;
        self.check()?;
        let owner = lock(&self.owner).clone();
        let outgoing = self.outgoing(&payloads, owner.is_some());
        let records: Vec<u64> = outgoing.iter().map(|it| it.records).collect();
        let sequences = match owner {
            Some(owner) => {
                let (reply, outcome) = oneshot::channel();
                let sent = owner.send(Request { outgoing, reply }).await;
                sent.map_err(|_| AppendError::Closed)?;
                outcome.await.map_err(|_| AppendError::Closed)??
            }
            None => publish(shared, &outgoing).await?,
        };
        let numbering = shared.numbering;
        let first = sequences.iter().map(|sequence| numbering.first(*sequence)).min();
        let last = sequences.iter().zip(records);
        let last = last.map(|(sequence, records)| numbering.at(*sequence, records - 1)).max();
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        self.show(last).await;
        Ok(first..last + 1)
    }

    fn check(&self) -> Result<(), AppendError> {
        if self.shared.is_renewed.load(Ordering::Acquire) {
            let topic = &self.shared.name;
            return Err(AppendError::Fenced(format!("topic {topic} was begun anew")));
        }
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        match self.shared.view {
            View::Partition(_) => Err(AppendError::View),
            View::Whole | View::Writing => Ok(()),
        }
    }

    /// Lets the head reach an offset that was acknowledged: by the follower if it is quick, so that
    /// readers have it from memory. What is acknowledged can be read from the server in any case.
    async fn show(&self, offset: Offset) {
        let last = self.shared.numbering.last(self.shared.numbering.sequence(offset));
        if self.shared.view == View::Whole {
            let mut followed = self.shared.followed.clone();
            let reached = followed.wait_for(|head| *head >= last);
            // The head is closed when everything ends; then nobody waits for it.
            let _ = timeout(FOLLOWED, reached).await;
        }
        self.shared.raise(last);
    }

    async fn begin_owning(&self) -> Result<(), AppendError> {
        self.check()?;
        let mut patience = Patience::begin();
        let info = loop {
            match self.shared.refresh().await {
                Ok(info) => break info,
                Err(error) => {
                    let again = patience.again(error.to_string()).await;
                    again.map_err(AppendError::Unavailable)?;
                }
            }
        };
        let last = info.state.last_sequence;
        let (requests, received) = mpsc::channel(QUEUE_APPENDS);
        let owned = Owned::after(last);
        self.tasks.spawn(write_owned(Arc::clone(&self.shared), owned, received));
        *lock(&self.owner) = Some(requests);
        if last > 0 {
            self.show(self.shared.numbering.last(last)).await;
        }
        Ok(())
    }
}

/// Writes an owned topic. A task of its own, so that an append whose caller has gone away still
/// ends, and the place of the next is known.
async fn write_owned(shared: Arc<Shared>, mut owned: Owned, mut requests: mpsc::Receiver<Request>) {
    let mut fenced = None;
    while let Some(request) = requests.recv().await {
        let written = match &fenced {
            Some(by) => Err(AppendError::Fenced(String::clone(by))),
            None => owned.publish(&shared, &request.outgoing).await,
        };
        if let Err(AppendError::Fenced(by)) = &written {
            fenced = Some(by.clone());
        }
        // The appender may have stopped waiting.
        let _ = request.reply.send(written);
    }
}

impl TopicBackend for NatsTopic {
    fn epoch(&self) -> Epoch {
        self.shared.epoch.clone()
    }

    fn record_bytes(&self) -> u64 {
        let most = self.shared.context.client().max_payload();
        most.saturating_sub(HEADER_BYTES + FRAME_BYTES) as u64
    }

    fn append(
        &self,
        payloads: Payloads,
        _publish: Publish,
    ) -> Pending<'_, Result<Range<Offset>, AppendError>> {
        Box::pin(async move {
            let (records, bytes) = (payloads.len(), payloads.bytes());
            let written = self.write(payloads).await;
            self.shared.count_append(records, bytes, written.as_ref().err());
            if matches!(written, Err(AppendError::Full)) && self.shared.gives_way {
                keeper::relieve(&self.shared).await;
            }
            written
        })
    }

    fn read(&self, from: Offset) -> Pending<'_, Result<Chunk, ReadError>> {
        Box::pin(read::read(&self.shared, from))
    }

    fn head(&self) -> watch::Receiver<Offset> {
        self.shared.followed.clone()
    }

    fn floor(&self) -> Offset {
        self.shared.floor.load(Ordering::Acquire)
    }

    fn behind(&self, next: Offset) -> u64 {
        let end = *self.head().borrow() + 1;
        let numbering = self.shared.numbering;
        numbering.sequence(end).saturating_sub(numbering.sequence(next))
    }

    fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn cursor(&self, name: &str) -> Result<Arc<dyn CursorBackend>, OpenError> {
        if !is_name(name) {
            return Err(OpenError::BadName(name.to_owned()));
        }
        let opening = NatsCursor::open(Arc::clone(&self.shared), name, Arc::clone(&self.tasks));
        let cursor = Arc::new(self.tasks.block(opening)??);
        let mut cursors = lock(&self.cursors);
        cursors.retain(|cursor| cursor.strong_count() > 0);
        cursors.push(Arc::downgrade(&cursor));
        Ok(cursor)
    }

    fn let_yield(&self, name: &str) {
        let cursors = lock(&self.cursors);
        let open = cursors.iter().filter_map(Weak::upgrade);
        open.filter(|cursor| cursor.is_called(name)).for_each(|cursor| cursor.let_yield());
    }

    fn forget_cursor(&self, name: &str) -> Result<(), OpenError> {
        if !is_name(name) {
            return Err(OpenError::BadName(name.to_owned()));
        }
        let forgetting = self.shared.cursors.forget(&self.shared.name, name);
        let what = format!("forget cursor {name}");
        let forgotten = self.tasks.block(forgetting)?;
        forgotten.map_err(|reason| OpenError::Server { what, reason })
    }

    fn follow(&self, arrival: Arrival) {
        if self.shared.view != View::Writing {
            self.tasks.spawn(follow::follow(Arc::clone(&self.shared), arrival));
        }
    }

    fn own(&self) -> Pending<'_, Result<(), AppendError>> {
        Box::pin(self.begin_owning())
    }

    fn last(&self) -> Pending<'_, Result<Offset, ReadError>> {
        Box::pin(async move {
            let info = self.shared.refresh().await.map_err(ReadError::Io)?;
            Ok(self.shared.numbering.last(info.state.last_sequence))
        })
    }

    fn offset_at(&self, time_ms: i64) -> Pending<'_, Result<Offset, ReadError>> {
        Box::pin(async move {
            let sequence = self.shared.sequence_at(time_ms).await.map_err(ReadError::Io)?;
            Ok(self.shared.numbering.first(sequence))
        })
    }

    fn ending(&self) -> ReadError {
        if self.shared.is_renewed.load(Ordering::Acquire) {
            return ReadError::Renewed(self.shared.name.clone());
        }
        ReadError::Closed
    }
}
