//! The backend of one machine: append-only segment files in a folder.
//!
//! ```text
//! {folder}/lock                                  held while the log is open
//! {folder}/{topic}/identity                      epoch, and the head at the last close
//! {folder}/{topic}/{base offset, 20 digits}.seg  records
//! {folder}/{topic}/cursors/{name}                durable positions
//! {folder}/{topic}/damaged/*.bin                 damaged bytes, for a person
//! ```
//! Threads: one [`writer`] a topic, one [`keeper`] for all. Pure: [`frame`] (the format), [`walk`]
//! (finding records in bytes), [`identity`] (small files). What goes wrong on a disk:
//! - *torn tail*: left out at start ([`recover`]); it was never acknowledged;
//! - *damage*: costs the records in it, counted once, kept aside; all others are found again;
//! - *failed write or fsync*: the segment is sealed, the waiting appends fail, the next append
//!   begins a new segment ([`writer`]);
//! - *disk nearly full*: appends are refused until there is room; what all cursors have passed
//!   then goes before its time ([`retention`]);
//! - *durable records gone* (a file deleted, an old copy restored): a new epoch.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use std::ops::Range;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use crate::backend::{
    AppendError, Backend, Chunk, Clock, CursorBackend, Durability, Epoch, Lag, Offset, Payloads,
    Pending, Publish, ReadError, Stats, TopicBackend, TopicOptions,
};
use crate::{OpenError, lock};

mod copy;
pub(crate) mod disk;
mod fault;
mod frame;
mod identity;
mod keeper;
mod recover;
mod retention;
mod segment;
mod shared;
mod walk;
mod writer;

pub use copy::{Copy, CopyError, renew};
use disk::FolderLock;
use keeper::{Chore, EmbeddedCursor, Topics};
use recover::Recovered;
use shared::Shared;
use writer::{Append, Parts, Request, Writer};

/// Appends waiting for the writer of one topic; more wait before they enter.
const QUEUE_APPENDS: usize = 4_096;
/// Encoded bytes waiting for the writer of one topic; more wait before they enter.
const QUEUE_BYTES: usize = 16 << 20;
/// The folder of a topic where its cursors are.
const CURSORS_FOLDER: &str = "cursors";

/// How the embedded log keeps its files.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bytes after which a segment is closed and the next begun.
    pub segment_bytes: u64,
    /// Bytes of disk that must stay free: below it nothing is appended.
    pub reserve_bytes: u64,
    /// Largest single record, in bytes.
    pub record_bytes: u64,
}

impl Config {
    /// Every mistake: the key, and what to do.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let most = u64::from(frame::MAX_PAYLOAD_BYTES);
        if !(1..=most).contains(&self.record_bytes) {
            problems.push(("record_bytes", format!("must be 1 to {most}")));
        }
        if self.segment_bytes < self.record_bytes {
            problems.push(("segment_bytes", "must be at least record_bytes".to_owned()));
        }
        problems
    }
}

/// The machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the log stands below the chassis and its clock; these times only decide retention"
)]
pub(crate) fn system_now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Whether a topic or cursor may be called so: it becomes the name of a folder or file.
pub(crate) fn is_name(name: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=frame::NAME_BYTES).contains(&name.len()) && name.bytes().all(ok)
}

/// The embedded log.
pub(crate) struct Embedded {
    folder: PathBuf,
    config: Config,
    now_ms: Clock,
    lock: Arc<FolderLock>,
    chores: mpsc::Sender<Chore>,
    /// Those the keeper looks after.
    kept: Topics,
    open: Mutex<Open>,
    durability: watch::Sender<Durability>,
}

/// What must be stopped at the end.
#[derive(Default)]
struct Open {
    is_closed: bool,
    topics: Vec<Arc<EmbeddedTopic>>,
    writers: Vec<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens or creates the log in `folder`.
    pub(crate) fn open(folder: PathBuf, config: Config, now_ms: Clock) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: folder.clone(), source };
        disk::create_folder(&folder).map_err(failed)?;
        let Some(lock) = FolderLock::take(&folder).map_err(failed)? else {
            return Err(OpenError::InUse(folder));
        };
        let kept = Topics::default();
        let (chores, keeper) = keeper::start(Arc::clone(&kept)).map_err(failed)?;
        let open = Mutex::new(Open { keeper: Some(keeper), ..Open::default() });
        let durability = watch::Sender::new(Durability::Durable);
        Ok(Self { folder, config, now_ms, lock: Arc::new(lock), chores, kept, open, durability })
    }

    fn start_topic(
        &self,
        recovered: Recovered,
        is_vital: bool,
    ) -> Result<(Arc<EmbeddedTopic>, JoinHandle<()>), OpenError> {
        let Recovered { shared, head } = recovered;
        let (requests, received) = mpsc::channel(QUEUE_APPENDS);
        let reserve_bytes = self.config.reserve_bytes;
        let writer = Writer::new(Parts {
            shared: Arc::clone(&shared),
            requests: received,
            chores: self.chores.clone(),
            head,
            segment_bytes: self.config.segment_bytes,
            reserve_bytes: if is_vital { reserve_bytes / 4 } else { reserve_bytes },
            lock: Arc::clone(&self.lock),
        });
        let failed = |source| OpenError::Io { path: shared.folder.clone(), source };
        let name = format!("log-{}", shared.name);
        let thread = thread::Builder::new().name(name).spawn(|| writer.run()).map_err(failed)?;
        let topic = EmbeddedTopic {
            requests,
            chores: self.chores.clone(),
            queue_bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
            record_bytes: self.config.record_bytes,
            shared,
        };
        Ok((Arc::new(topic), thread))
    }
}

impl Backend for Embedded {
    fn topic(&self, options: TopicOptions) -> Result<Arc<dyn TopicBackend>, OpenError> {
        if !is_name(&options.name) {
            return Err(OpenError::BadName(options.name));
        }
        let mut open = lock(&self.open);
        if open.is_closed {
            return Err(OpenError::Closed);
        }
        let is_vital = options.is_vital;
        let folder = self.folder.join(&options.name);
        let recovered = recover::recover(folder, options, Arc::clone(&self.now_ms))?;
        let (topic, writer) = self.start_topic(recovered, is_vital)?;
        lock(&self.kept).push(Arc::clone(&topic.shared));
        open.topics.push(Arc::clone(&topic));
        open.writers.push(writer);
        Ok(topic)
    }

    fn lags(&self) -> Pending<'_, Result<Vec<Lag>, ReadError>> {
        let kept = lock(&self.kept).clone();
        Box::pin(async move { Ok(kept.iter().flat_map(|topic| topic.lags()).collect()) })
    }

    fn durability(&self) -> watch::Receiver<Durability> {
        self.durability.subscribe()
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let open = {
                let mut open = lock(&self.open);
                std::mem::replace(&mut *open, Open { is_closed: true, ..Open::default() })
            };
            for topic in &open.topics {
                topic.shared.is_closed.store(true, Ordering::Release);
                // A writer that is gone already has nothing left to finish.
                let _ = topic.requests.send(Request::Stop).await;
            }
            join(open.writers).await;
            let _ = self.chores.send(Chore::Stop).await;
            join(open.keeper.into_iter().collect()).await;
            self.lock.release();
        })
    }
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let joined = spawn_blocking(|| threads.into_iter().all(|thread| thread.join().is_ok())).await;
    if !matches!(joined, Ok(true)) {
        tracing::error!("a thread of the log panicked");
    }
}

/// A topic of the embedded log.
struct EmbeddedTopic {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    chores: mpsc::Sender<Chore>,
    /// One permit a byte in the queue.
    queue_bytes: Arc<Semaphore>,
    record_bytes: u64,
}

impl TopicBackend for EmbeddedTopic {
    fn epoch(&self) -> Epoch {
        identity::epoch_of(self.shared.epoch)
    }

    fn record_bytes(&self) -> u64 {
        self.record_bytes
    }

    fn append(
        &self,
        payloads: Payloads,
        publish: Publish,
    ) -> Pending<'_, Result<Range<Offset>, AppendError>> {
        Box::pin(async move {
            // An append larger than the whole queue enters alone.
            let bytes = payloads.bytes().min(QUEUE_BYTES) as u32;
            let share = Arc::clone(&self.queue_bytes).acquire_many_owned(bytes).await;
            let share = share.map_err(|_| AppendError::Closed)?;
            let (reply, outcome) = oneshot::channel();
            let append = Append { payloads, publish, reply, share };
            let sent = self.requests.send(Request::Append(append)).await;
            sent.map_err(|_| AppendError::Closed)?;
            outcome.await.map_err(|_| AppendError::Closed)?
        })
    }

    fn read(&self, from: Offset) -> Pending<'_, Result<Chunk, ReadError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let read = spawn_blocking(move || shared.read(from)).await;
            read.unwrap_or_else(|error| Err(ReadError::Io(std::io::Error::other(error))))
        })
    }

    fn offset_at(&self, time_ms: i64) -> Pending<'_, Result<Offset, ReadError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let found = spawn_blocking(move || shared.offset_at(time_ms)).await;
            found.unwrap_or_else(|error| Err(ReadError::Io(std::io::Error::other(error))))
        })
    }

    fn head(&self) -> watch::Receiver<Offset> {
        self.shared.head.clone()
    }

    fn floor(&self) -> Offset {
        self.shared.floor.load(Ordering::Acquire)
    }

    fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn cursor(&self, name: &str) -> Result<Arc<dyn CursorBackend>, OpenError> {
        if !is_name(name) {
            return Err(OpenError::BadName(name.to_owned()));
        }
        let topic = Arc::clone(&self.shared);
        Ok(Arc::new(EmbeddedCursor::open(topic, name, self.chores.clone())?))
    }

    fn let_yield(&self, name: &str) {
        lock(&self.shared.yielding).insert(name.to_owned());
    }

    fn forget_cursor(&self, name: &str) -> Result<(), OpenError> {
        if !is_name(name) {
            return Err(OpenError::BadName(name.to_owned()));
        }
        EmbeddedCursor::forget(&self.shared, name)
    }
}
