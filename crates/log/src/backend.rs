//! The plug point: what a backend does, in bytes. Types and decoding stand above it, in `topic`
//! and `reader`; `embedded` is the backend of one machine, and one over NATS JetStream can join it.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use crate::{OpenError, Retention};

/// Position of a record in its topic; the first record is 1.
pub type Offset = u64;

/// Which life of the topic this is: 128 random bits as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub String);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why records could not be appended. None of them was seen by any reader; after a crash they may
/// turn out to be there or not, so the caller must not acknowledge them and may send them again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk is nearly full; it works again by itself when there is room.
    #[error("the disk is nearly full")]
    Full,
    /// The disk failed; the segment was sealed and the next append uses a new one.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// A record is larger than the limit.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Retention has deleted the wanted offset.
    #[error("offset {wanted} is below the floor {floor}")]
    BelowFloor {
        /// What was asked for.
        wanted: Offset,
        /// The first offset there is.
        floor: Offset,
    },
    /// The disk said no.
    #[error("cannot read the log")]
    Io(#[source] std::io::Error),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// A durable position with a small state beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epoch the position belongs to.
    pub epoch: Epoch,
    /// The next offset to read.
    pub next: Offset,
    /// What the owner needs to go on from there; opaque to the log.
    pub state: Vec<u8>,
}

/// What a topic has been through since this process opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits: each is one write and one `fdatasync`, however many appends share it.
    pub commits: u64,
    /// Commits that failed; none of their records was acknowledged.
    pub failed_commits: u64,
    /// Records found damaged and skipped.
    pub damaged_records: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: u64,
}

/// How a topic is opened.
#[derive(Clone, Debug)]
pub(crate) struct TopicOptions {
    pub(crate) name: String,
    pub(crate) retention: Retention,
    /// Whether it may use part of the disk's reserve.
    pub(crate) is_vital: bool,
}

/// Encoded records, packed end to end.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Payloads {
    /// Adds the record that `encode` writes; returns its length in bytes.
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self.bytes.len() - start
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Encoded records as read.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The records' bytes, end to end.
    pub(crate) bytes: Vec<u8>,
    /// Each record's offset and place in `bytes`; offsets grow, with gaps where records are lost.
    pub(crate) records: Vec<(Offset, Range<usize>)>,
    /// The first offset this chunk says nothing about.
    pub(crate) next: Offset,
}

/// Called by the backend when the records are durable, with their offsets, before the head says so.
pub(crate) type Publish = Box<dyn FnOnce(Range<Offset>) + Send>;

/// A clock: milliseconds since the Unix epoch.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a backend is still doing.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps topics.
pub(crate) trait Backend: Send + Sync {
    /// Opens or creates a topic; called once for each name.
    fn topic(&self, options: TopicOptions) -> Result<Arc<dyn TopicBackend>, OpenError>;

    /// Finishes what was accepted, refuses the rest, and lets go of the storage.
    fn close(&self) -> Pending<'_, ()>;
}

/// Keeps the records and cursors of one topic.
pub(crate) trait TopicBackend: Send + Sync {
    /// The topic's epoch; fixed while it is open.
    fn epoch(&self) -> Epoch;

    /// Largest record, in bytes.
    fn record_bytes(&self) -> u64;

    /// Appends all the records or none: durable, then `publish`, then the head, then the return.
    /// Waits while the queue is full. Dropping the future may leave the append to happen.
    fn append(
        &self,
        records: Payloads,
        publish: Publish,
    ) -> Pending<'_, Result<Range<Offset>, AppendError>>;

    /// Some records from `from` on, as many as make a good read, none beyond the head. Cancel-safe.
    fn read(&self, from: Offset) -> Pending<'_, Result<Chunk, ReadError>>;

    /// The last durable offset, followed; closed when nothing more will be appended.
    fn head(&self) -> watch::Receiver<Offset>;

    /// The first offset still kept.
    fn floor(&self) -> Offset;

    /// What the topic has been through.
    fn stats(&self) -> Stats;

    /// Opens or creates a cursor; from then on it holds retention back.
    fn cursor(&self, name: &str) -> Result<Arc<dyn CursorBackend>, OpenError>;

    /// From now on this cursor does not hold back what must go because the disk is full.
    fn let_yield(&self, name: &str);

    /// Gives up a cursor that nobody has open, if there is one: it holds nothing back any more.
    fn forget_cursor(&self, name: &str) -> Result<(), OpenError>;
}

/// Keeps one named position.
pub(crate) trait CursorBackend: Send + Sync {
    /// The last checkpoint of this epoch.
    fn load(&self) -> Result<Option<Checkpoint>, ReadError>;

    /// Makes a checkpoint durable, in place of the one before.
    fn save(&self, next: Offset, state: Vec<u8>) -> Pending<'_, Result<(), AppendError>>;
}
