//! The durable log: typed topics, append, cursors. The log is the truth of the whole centre.
//!
//! The contract, for every backend:
//! - [`Topic::append`] returns after the records are on disk (`fdatasync` returned), with
//!   contiguous offsets beginning at 1; readers see a record only then.
//! - A [`Reader`] gives every record from an offset on, in order, and waits at the head.
//! - A [`Cursor`] is a named durable position; segments are deleted only below the lowest one.
//! - The [`Epoch`] changes only when the log can no longer be proven an extension of the old one.

use std::marker::PhantomData;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sen_proto::Wire;

/// Position of a record in its topic; the first record is 1.
pub type Offset = u64;

/// Which life of the log this is: 128 random bits as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub String);

/// How the embedded log keeps its files.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bytes after which a segment is closed and the next begun.
    pub segment_bytes: u64,
    /// Bytes of disk that must stay free: below it nothing is appended (C5).
    pub reserve_bytes: u64,
    /// Largest single record, in bytes.
    pub record_bytes: u64,
}

/// An open log; cheap to clone.
#[derive(Clone)]
pub struct Log {
    _p: Arc<()>,
}

/// Why a log could not be opened.
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
}

/// How much of a topic is kept below its cursors.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Records younger than this stay even if every cursor has passed them, in milliseconds.
    pub keep_ms: i64,
    /// ... unless the topic is larger than this, in bytes. Never below the lowest cursor.
    pub keep_bytes: u64,
}

impl Log {
    /// Opens (or creates) the embedded log in a folder and repairs what a crash left.
    pub fn open(_folder: PathBuf, _config: Config) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// Opens (or creates) a topic. The same name must always be used with the same type.
    pub fn topic<T: Wire>(&self, _name: &str, _retention: Retention) -> Result<Topic<T>, OpenError> {
        unimplemented!()
    }

    /// Opens (or creates) the named cursor over a topic; from then on it holds retention back.
    pub fn cursor<T: Wire>(&self, _topic: &Topic<T>, _name: &str) -> Result<Cursor, OpenError> {
        unimplemented!()
    }

    /// Flushes and stops the writers; later appends are refused.
    pub async fn close(&self) {
        unimplemented!()
    }
}

/// A typed topic; cheap to clone.
pub struct Topic<T> {
    _p: PhantomData<T>,
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self { _p: PhantomData }
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

impl<T: Wire> Topic<T> {
    /// Appends records and returns their offsets once they are on disk.
    pub async fn append(&self, _records: Vec<T>) -> Result<Range<Offset>, AppendError> {
        unimplemented!()
    }

    /// A reader that begins at `offset` (1 = the beginning; below the floor is an error when read).
    pub fn read_from(&self, _offset: Offset) -> Reader<T> {
        unimplemented!()
    }

    /// The last durable offset; 0 if there is none.
    pub fn head(&self) -> Offset {
        unimplemented!()
    }

    /// The first offset still kept; `head + 1` if there is none.
    pub fn floor(&self) -> Offset {
        unimplemented!()
    }

    /// The log's epoch.
    pub fn epoch(&self) -> Epoch {
        unimplemented!()
    }

    /// Follows the head.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<Offset> {
        unimplemented!()
    }
}

/// One record with its offset.
#[derive(Debug)]
pub struct Entry<T> {
    /// Where it stands.
    pub offset: Offset,
    /// What it says; shared with other readers at the tail.
    pub record: Arc<T>,
}

/// Reads a topic in order. A damaged record is skipped and counted: offsets then jump.
pub struct Reader<T> {
    _p: PhantomData<T>,
}

impl<T: Wire> Reader<T> {
    /// At most `limit` next records; waits until there is at least one. Cancel-safe.
    pub async fn next(&mut self, _limit: usize) -> Result<Vec<Entry<T>>, ReadError> {
        unimplemented!()
    }

    /// At most `limit` next records; none if the head is reached.
    pub async fn available(&mut self, _limit: usize) -> Result<Vec<Entry<T>>, ReadError> {
        unimplemented!()
    }

    /// The offset the next record read will have at least.
    pub fn position(&self) -> Offset {
        unimplemented!()
    }
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

/// A named durable cursor.
#[derive(Clone)]
pub struct Cursor {
    _p: (),
}

impl Cursor {
    /// The last saved checkpoint of this epoch; none at the first start or after the epoch changed.
    pub fn load(&self) -> Result<Option<Checkpoint>, ReadError> {
        unimplemented!()
    }

    /// Saves a checkpoint atomically and durably: after a crash it is this one or the one before.
    pub async fn save(&self, _next: Offset, _state: Vec<u8>) -> Result<(), AppendError> {
        unimplemented!()
    }
}
