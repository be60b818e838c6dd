//! The plug point: what a backend does, in bytes. Types and decoding stand above it, in `topic`
//! and `reader`; `embedded` is the backend of one machine, `nats` that of several.

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
    /// Somebody else appended to (or saved a cursor of) what this process took for its own: it
    /// must stop, and begin again from its checkpoint if it still owns anything.
    #[error("another instance writes here now: {0}")]
    Fenced(String),
    /// No stream takes the subject that records of this topic go to.
    #[error(
        "the server has no mapping for `{0}`: records cannot be kept until it is added to the \
         configuration of every server (see docs/operations.md)"
    )]
    Unmapped(String),
    /// The servers did not acknowledge in time; it works again by itself when they do. The records
    /// may turn out to be there.
    #[error("the NATS servers did not acknowledge in time: {0}")]
    Unavailable(String),
    /// This is a view of one partition: records go to the whole topic.
    #[error("a view of one partition cannot be written to: append to the whole topic")]
    View,
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
    /// The topic on the server is not the one that was opened: it was deleted, restored or cut.
    /// Only a new start, with the new epoch, can go on.
    #[error("topic {0} was begun anew on the server while it was open: start again")]
    Renewed(String),
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

/// Whether what is acknowledged survives the loss of power of every machine at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Proven: acknowledged means on disk.
    Durable,
    /// Not proven: why, and what to change, in plain words.
    BestEffort(String),
}

/// How far a saved cursor is behind the head of its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The cursor.
    pub cursor: String,
    /// Records between the cursor and the head; messages (of about a hundred records) where a
    /// topic is batched on a server. Of a cursor of one partition: of the whole topic.
    pub behind: u64,
}

/// What of a topic is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// All of it.
    Whole,
    /// All of it, and nobody here follows what others append.
    Writing,
    /// The records of one partition.
    Partition(u32),
}

/// How a topic is opened.
#[derive(Clone, Debug)]
pub(crate) struct TopicOptions {
    pub(crate) name: String,
    pub(crate) retention: Retention,
    /// Whether it may use part of the disk's reserve.
    pub(crate) is_vital: bool,
    /// Whether several records may travel in one message.
    pub(crate) is_batched: bool,
    pub(crate) view: View,
}

/// Encoded records, packed end to end.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    keys: Vec<u64>,
}

impl Payloads {
    /// Adds the record that `encode` writes, with the hash of what it belongs to; returns its
    /// length in bytes.
    pub(crate) fn push(&mut self, key: u64, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self.keys.push(key);
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

    /// Each record's key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
        self.keys.iter().copied()
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

/// Told by a backend that follows what others append: from which offset on a chunk is complete, and
/// the chunk, before the head says so.
pub(crate) type Arrival = Box<dyn Fn(Offset, Chunk) + Send + Sync>;

/// A clock: milliseconds since the Unix epoch.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a backend is still doing.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps topics.
pub(crate) trait Backend: Send + Sync {
    /// Opens or creates a topic; called once for each name.
    fn topic(&self, options: TopicOptions) -> Result<Arc<dyn TopicBackend>, OpenError>;

    /// Whether one name may be opened in several views at once, each for itself.
    fn has_views(&self) -> bool {
        false
    }

    /// From now on nobody waits until something is open.
    fn leave(&self) {}

    /// Finishes what was accepted, refuses the rest, and lets go of the storage.
    fn close(&self) -> Pending<'_, ()>;

    /// How far every saved cursor is behind.
    fn lags(&self) -> Pending<'_, Result<Vec<Lag>, ReadError>>;

    /// What is known of the durability, followed.
    fn durability(&self) -> watch::Receiver<Durability>;
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

    /// The last offset that anybody has appended: the head follows it.
    fn last(&self) -> Pending<'_, Result<Offset, ReadError>> {
        let head = *self.head().borrow();
        Box::pin(async move { Ok(head) })
    }

    /// The first offset still kept.
    fn floor(&self) -> Offset;

    /// How many records, or messages of them, there are from `next` to the head.
    fn behind(&self, next: Offset) -> u64 {
        (*self.head().borrow() + 1).saturating_sub(next)
    }

    /// What the topic has been through.
    fn stats(&self) -> Stats;

    /// Opens or creates a cursor; from then on it holds retention back.
    fn cursor(&self, name: &str) -> Result<Arc<dyn CursorBackend>, OpenError>;

    /// From now on this cursor does not hold back what must go because the disk is full.
    fn let_yield(&self, name: &str);

    /// Gives up a cursor that nobody has open, if there is one: it holds nothing back any more.
    fn forget_cursor(&self, name: &str) -> Result<(), OpenError>;

    /// Begins to tell what is appended, by others too; without it only `publish` tells.
    fn follow(&self, _arrival: Arrival) {}

    /// From now on an append of somebody else makes ours fail.
    fn own(&self) -> Pending<'_, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }

    /// The first offset appended at or after a time (milliseconds since the Unix epoch).
    fn offset_at(&self, time_ms: i64) -> Pending<'_, Result<Offset, ReadError>>;

    /// Why the head moves no more.
    fn ending(&self) -> ReadError {
        ReadError::Closed
    }
}

/// Keeps one named position.
pub(crate) trait CursorBackend: Send + Sync {
    /// The last checkpoint of this epoch.
    fn load(&self) -> Result<Option<Checkpoint>, ReadError>;

    /// Makes a checkpoint durable, in place of the one before.
    fn save(&self, next: Offset, state: Vec<u8>) -> Pending<'_, Result<(), AppendError>>;
}
