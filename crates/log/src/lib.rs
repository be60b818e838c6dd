//! The durable log: typed topics, append, cursors. The log is the truth of the whole centre.
//!
//! The contract, for every backend:
//! - [`Topic::append`] returns after the records are on disk (`fdatasync` returned; on servers, when
//!   a majority of the replicas acknowledged: [`Log::durability`] says whether that is as much);
//!   readers see a record only then.
//! - Offsets grow from 1 and are contiguous, except in a batched topic on a server, where they jump
//!   from message to message.
//! - A [`Reader`] gives every record from an offset on, in order, and waits at the head. Damage
//!   costs the damaged record only: it is skipped and counted, and offsets then jump.
//! - A [`Cursor`] is a named durable position. Records are deleted only below the lowest cursor of
//!   their topic, and only when its [`Retention`] allows it.
//! - The [`Epoch`] of a topic changes only when the topic can no longer be proven an extension of
//!   what it was: an (epoch, offset) that was seen once never means another record.
//!
//! Read in this order: this file (opening, and what can go wrong), [`topic`](Topic) (append),
//! [`reader`](Reader), [`cursor`](Cursor), `backend` (the plug point, bytes only), `embedded` (the
//! backend of one machine: files in a folder), [`nats`] (the backend of several: JetStream).

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sen_proto::Wire;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;

mod backend;
mod cursor;
mod embedded;
pub mod nats;
mod reader;
mod tail;
mod topic;

pub use backend::{AppendError, Checkpoint, Durability, Epoch, Lag, Offset, ReadError, Stats};
pub use cursor::Cursor;
pub use embedded::{Config, Copy, CopyError, renew};
pub use reader::{Entry, Reader};
pub use topic::Topic;

use backend::{Backend, TopicOptions, View};
use embedded::Embedded;
use topic::Key;

/// An open log; cheap to clone.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Box<dyn Backend>,
    /// Every topic opened so far, so that all who open one share the decoded records at its tail.
    topics: Mutex<BTreeMap<String, Box<dyn Any + Send + Sync>>>,
}

/// How much of a topic is kept below its cursors.
///
/// Whole segments are deleted, the oldest first, never the one being written, and only when every
/// record of the segment is below the lowest cursor of the topic. Every cursor whose file exists
/// counts, open or not; one that has saved nothing (in this epoch) holds everything. A topic
/// without any cursor is kept by these two limits alone.
///
/// When the disk is nearly full, so that an append is refused, the segments of ordinary topics that
/// all their cursors have passed go before their time: otherwise a disk filled by the log itself
/// would stay full. Topics without a cursor and vital ones never go early.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Records younger than this stay even if every cursor has passed them, in milliseconds.
    pub keep_ms: i64,
    /// ... unless the topic is larger than this, in bytes. Never below the lowest cursor.
    pub keep_bytes: u64,
}

/// Why a log, a topic or a cursor could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The disk said no.
    #[error("cannot open the log in {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file written by a later version of Sen; opening it would take it for damaged.
    #[error("{path} has format {format}, which this version of Sen cannot read")]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// A name that cannot be a folder or file of its own.
    #[error("`{0}` is not a name: use 1 to 56 of a-z, 0-9, '-' and '_'")]
    BadName(String),
    /// The topic is open with another type of record.
    #[error("topic {0} is already open with another type of record")]
    OtherType(String),
    /// The topic belongs to another log.
    #[error("topic {0} is not a topic of this log")]
    OtherLog(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// There is no such partition.
    #[error("topic {topic} has {partitions} partitions, so none with the number {partition}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// Which was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// A setting of the log over NATS is out of its bounds.
    #[error("{0}")]
    BadSetting(String),
    /// The servers did not do what was asked.
    #[error("the NATS servers cannot {what}: {reason}")]
    Server {
        /// What they should have done.
        what: String,
        /// Why not, in their words.
        reason: String,
    },
    /// Opening waits for the servers, which this kind of runtime cannot.
    #[error("a log over NATS needs the multi-thread runtime of tokio")]
    Runtime,
}

impl Log {
    /// Opens (or creates) the embedded log in a folder and repairs what a crash left.
    ///
    /// Blocks while it reads the last segment of each topic as the topics are opened.
    pub fn open(folder: PathBuf, config: Config) -> Result<Self, OpenError> {
        Self::open_with_clock(folder, config, embedded::system_now_ms)
    }

    /// As [`open`](Self::open), with the clock that stamps appends: milliseconds since the Unix
    /// epoch. Only retention looks at these times.
    pub fn open_with_clock(
        folder: PathBuf,
        config: Config,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let backend = Box::new(Embedded::open(folder, config, Arc::new(now_ms))?);
        let topics = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { backend, topics }) })
    }

    /// Opens the log kept by NATS servers (JetStream). The client should go on connecting for ever.
    pub async fn over_nats(
        client: async_nats::Client,
        config: nats::Config,
    ) -> Result<Self, OpenError> {
        let backend = Box::new(nats::Nats::open(client, config).await?);
        let topics = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { backend, topics }) })
    }

    /// Opens (or creates) a topic. The same name must always be used with the same type; the
    /// retention given first in a process counts.
    ///
    /// Over NATS this and every other opening blocks for some requests.
    pub fn topic<T: Wire>(&self, name: &str, retention: Retention) -> Result<Topic<T>, OpenError> {
        self.open_topic(options(name, retention, View::Whole), None)
    }

    /// As [`topic`](Self::topic), for what must still be recorded when the disk is nearly full
    /// (alerts, commands): such a topic may use up three quarters of the reserve, while ordinary
    /// topics already refuse.
    pub fn vital_topic<T: Wire>(
        &self,
        name: &str,
        retention: Retention,
    ) -> Result<Topic<T>, OpenError> {
        let options = TopicOptions { is_vital: true, ..options(name, retention, View::Whole) };
        self.open_topic(options, None)
    }

    /// As [`topic`](Self::topic), for very many small records: on servers about a hundred of them
    /// travel in one message. `key` tells what a record belongs to: records with the same key keep
    /// their order and their partition.
    pub fn batched_topic<T: Wire>(
        &self,
        name: &str,
        retention: Retention,
        key: fn(&T) -> &str,
    ) -> Result<Topic<T>, OpenError> {
        let options = TopicOptions { is_batched: true, ..options(name, retention, View::Whole) };
        self.open_topic(options, Some(key))
    }

    /// As [`topic`](Self::topic), for a process that only appends: over NATS nothing is followed,
    /// and the head is the last offset of its own appends.
    pub fn writing_topic<T: Wire>(
        &self,
        name: &str,
        retention: Retention,
    ) -> Result<Topic<T>, OpenError> {
        self.open_topic(options(name, retention, View::Writing), None)
    }

    /// [`batched_topic`](Self::batched_topic) and [`writing_topic`](Self::writing_topic) at once.
    pub fn writing_batched_topic<T: Wire>(
        &self,
        name: &str,
        retention: Retention,
        key: fn(&T) -> &str,
    ) -> Result<Topic<T>, OpenError> {
        let options = options(name, retention, View::Writing);
        self.open_topic(TopicOptions { is_batched: true, ..options }, Some(key))
    }

    /// A view of one partition of a batched topic: it gives the records of that partition only, at
    /// the offsets they have in the whole. Appending through it is refused. On one machine there is
    /// one partition, 0, which is the whole topic.
    pub fn partition_topic<T: Wire>(
        &self,
        name: &str,
        partition: u32,
        retention: Retention,
    ) -> Result<Topic<T>, OpenError> {
        let options = options(name, retention, View::Partition(partition));
        self.open_topic(TopicOptions { is_batched: true, ..options }, None)
    }

    fn open_topic<T: Wire>(
        &self,
        options: TopicOptions,
        key: Option<Key<T>>,
    ) -> Result<Topic<T>, OpenError> {
        let (name, id) = (options.name.clone(), self.id(&options));
        if let (View::Partition(partition @ 1..), false) =
            (options.view, self.shared.backend.has_views())
        {
            return Err(OpenError::NoPartition { topic: name, partition, partitions: 1 });
        }
        self.waiting(|| {
            let mut topics = lock(&self.shared.topics);
            if let Some(open) = topics.get(&id) {
                let typed = open.downcast_ref::<Topic<T>>().cloned();
                return typed.ok_or(OpenError::OtherType(name));
            }
            let topic = Topic::<T>::new(&name, key, self.shared.backend.topic(options)?);
            topics.insert(id, Box::new(topic.clone()));
            Ok(topic)
        })
    }

    /// Does what takes the lock of the topics. Over NATS it is held while the servers are asked:
    /// those who wait for it must leave the runtime a thread on which the answer can come.
    fn waiting<R>(&self, work: impl FnOnce() -> R) -> R {
        let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        match runtime {
            Ok(RuntimeFlavor::MultiThread) if self.shared.backend.has_views() => {
                tokio::task::block_in_place(work)
            }
            _ => work(),
        }
    }

    /// Under what an open topic is found again.
    fn id(&self, options: &TopicOptions) -> String {
        let name = &options.name;
        match options.view {
            View::Writing if self.shared.backend.has_views() => format!("{name} (writing)"),
            View::Partition(partition) if self.shared.backend.has_views() => {
                format!("{name} (partition {partition})")
            }
            _ => name.clone(),
        }
    }

    /// Opens (or creates) the named cursor over a topic; from then on it holds retention back.
    ///
    /// A cursor has one owner. Over NATS whoever opens it takes it over: from then on every save of
    /// who had it open before fails with [`AppendError::Fenced`], also one that was under way. So a
    /// process must open only what it owns, and only once it does.
    pub fn cursor<T: Wire>(&self, topic: &Topic<T>, name: &str) -> Result<Cursor, OpenError> {
        let is_ours = self.waiting(|| {
            let topics = lock(&self.shared.topics);
            let mut known = topics.values().filter_map(|open| open.downcast_ref::<Topic<T>>());
            known.any(|known| known.is_same(topic))
        });
        if !is_ours {
            return Err(OpenError::OtherLog(topic.name().to_owned()));
        }
        topic.cursor(name)
    }

    /// As [`cursor`](Self::cursor), for somebody who can have what it misses elsewhere: when the
    /// disk is full, records go that only this cursor still needs.
    pub fn yielding_cursor<T: Wire>(
        &self,
        topic: &Topic<T>,
        name: &str,
    ) -> Result<Cursor, OpenError> {
        let cursor = self.cursor(topic, name)?;
        topic.let_yield(name);
        Ok(cursor)
    }

    /// Gives up a cursor that nobody has open, if there is one: it holds retention back no more.
    pub fn forget_cursor<T: Wire>(&self, topic: &Topic<T>, name: &str) -> Result<(), OpenError> {
        topic.forget_cursor(name)
    }

    /// How far every saved cursor is behind the head of its topic; over NATS those of all processes.
    pub async fn lags(&self) -> Result<Vec<Lag>, ReadError> {
        self.shared.backend.lags().await
    }

    /// Whether acknowledged means on disk, as far as it is proven now.
    pub fn durability(&self) -> Durability {
        self.shared.backend.durability().borrow().clone()
    }

    /// Follows [`durability`](Self::durability).
    pub fn watch_durability(&self) -> watch::Receiver<Durability> {
        self.shared.backend.durability()
    }

    /// The process is about to end: over NATS, whoever waits for the servers to open a topic or a
    /// cursor waits no longer, and gets [`OpenError::Closed`]; so does who asks from now on. What is
    /// open works on, though appends are tried for 3 s in place of 30, until [`close`](Self::close).
    pub fn leave(&self) {
        self.shared.backend.leave();
    }

    /// Finishes the appends that were accepted and stops the writers; later appends are refused.
    /// Readers may still read up to the head.
    pub async fn close(&self) {
        self.shared.backend.close().await;
    }
}

fn options(name: &str, retention: Retention, view: View) -> TopicOptions {
    TopicOptions { name: name.to_owned(), retention, is_vital: false, is_batched: false, view }
}

/// Takes a lock. Every critical section of this crate leaves its value whole, so a panic of
/// another holder does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
