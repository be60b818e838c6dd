//! The time-series store: raw readings and roll-ups, idempotent, with the aggregator's checkpoint.
//!
//! The contract, for every backend:
//! - [`Store::write`] makes points visible to queries at once;
//! - [`Store::commit`] makes every point written so far durable together with summaries and a
//!   checkpoint, all in one transaction: after a crash all of it is there, or none;
//! - writing the same points again changes nothing: identity is (series, event time, sequence) and
//!   the first one written counts; a summary of a window replaces the earlier one;
//! - one task writes and commits; any number of tasks query.
//!
//! # How the embedded backend works
//!
//! ```text
//!  write ──▶ head (memory) ──commit──▶ tail rows ─┐ one transaction with
//!              │     ▲                            │ summaries and checkpoint
//!              │     └──────── reopen ────────────┘
//!              └──seal, 200 series at a time──▶ chunks (compressed), then the tail rows go
//! ```
//!
//! The log upstream is the truth: what was written after the last commit is not on disk here and
//! comes back by replay from the checkpoint. A commit appends the new points as they are (cheap:
//! one sequential write); sealing rewrites them by series into chunks in the background, in slices
//! small enough that neither writer nor readers wait. A crash between slices is harmless: points
//! are then both in the tail and in a chunk, and everything that reads takes equal identities as
//! one. Queries copy the head first and read the chunks after, so a point on its way from one to
//! the other is seen in at least one of them.
//!
//! # When the file is damaged
//!
//! A file SQLite cannot use is moved aside as `sen.db.damaged-1`, with an error in the log, and a
//! new one is begun, to be filled from what the log upstream still holds. A damaged tail row costs
//! the checkpoint, so that everything the log still holds is replayed over it; a damaged chunk
//! costs that chunk, is counted (`sen_store_damaged_total`) and kept aside in table `damaged`.

use std::path::PathBuf;
use std::sync::Arc;

use sen_model::{DeviceId, Metric, SeriesKey, Timestamp};
use tokio::sync::Mutex;

mod bytes;
mod chunk;
mod class;
mod config;
mod copy;
mod database;
mod directory;
pub mod downsample;
mod head;
mod merge;
mod point;
mod reader;
mod retention;
mod rollup;
mod seal;
mod shorter;
mod summary;
mod tail;
#[cfg(test)]
mod tests;
mod tiers;
mod unsent;
mod writer;

pub use class::Class;
pub use config::Config;
pub use copy::{copy, follow_epoch};
pub use point::{Point, SeriesId, Span, Summary};
pub use sen_model::{Partial, Tier};
pub use summary::{Summaries, decode_partial, encode_partial};
pub use unsent::Unsent;

use crate::head::Shared;
use crate::reader::Readers;
use crate::writer::{Order, Writer};

/// An open store; cheap to clone. When the last clone goes, its thread is joined.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// Nobody, if the store is open to read only.
    writer: Option<Writer>,
    readers: Readers,
    /// Held from the look-up of identities to their insertion: one writer at a time.
    turn: Mutex<()>,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the store's database failed")]
    Database(#[from] rusqlite::Error),
    /// The folder cannot be used.
    #[error("the store's folder failed")]
    Io(#[from] std::io::Error),
    /// A block that cannot be read.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The file was written by a later version of Sen.
    #[error("the store's file has version {version}, this program knows up to {known}")]
    Newer {
        /// That of the file.
        version: i32,
        /// The highest this program knows.
        known: i32,
    },
    /// The file was written by an earlier version of Sen, and is open to read only.
    #[error(
        "the store's file has version {version}, this program reads {known}: start the centre on \
         it once, which brings it up to date"
    )]
    Older {
        /// That of the file.
        version: i32,
        /// The one this program reads.
        known: i32,
    },
    /// It is open to read.
    #[error("the store is open to read only")]
    ReadOnly,
    /// There is no room for another series; what is known goes on.
    #[error("there are {limit} series already, the limit of `store.max_series`")]
    TooManySeries {
        /// The limit.
        limit: u32,
    },
    /// pco refused the points of a chunk.
    #[error("a chunk could not be compressed")]
    Uncompressed,
    /// A piece of background work that was waited for failed.
    #[error("the store's background work failed: {0}")]
    Background(String),
    /// Its thread ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether trying again later can help (a full or slow disk) or cannot (damage, a closed
    /// store, too many series).
    pub fn is_retryable(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Io(_) | Self::Background(_) => true,
            Self::Database(error) => error
                .sqlite_error_code()
                .is_some_and(|code| !matches!(code, DatabaseCorrupt | NotADatabase)),
            Self::Damaged(_)
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::ReadOnly
            | Self::TooManySeries { .. }
            | Self::Uncompressed
            | Self::Closed => false,
        }
    }
}

/// Where the writer had come to in its input when it last committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's epoch.
    pub epoch: String,
    /// The next offset to read.
    pub next: u64,
}

/// What became of points given to [`Store::write`], beside the new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Points whose identity was known: nothing changed.
    pub repeated: usize,
    /// Points older than retention keeps; not stored.
    pub expired: usize,
}

/// The store in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// New points since the store was opened.
    pub points: u64,
    /// Points in memory, not yet sealed into chunks.
    pub head_points: u64,
    /// Series known.
    pub series: u32,
    /// Size of the files, in bytes.
    pub disk_bytes: u64,
}

impl Store {
    /// Opens (or creates) the embedded store in a folder. Blocks for as long as it takes to load
    /// the unsealed points: milliseconds to a second.
    pub fn open(folder: PathBuf, config: Config) -> Result<Self, StoreError> {
        let opened = database::open(&folder, &config)?;
        let shared = Arc::new(opened.shared);
        let readers = Readers::new(opened.file.clone(), Arc::clone(&shared));
        let writer = Writer::start(opened.connection, opened.file, config, Arc::clone(&shared))?;
        Ok(Self(Arc::new(Inner { shared, writer: Some(writer), readers, turn: Mutex::new(()) })))
    }

    /// Opens the store in a folder to read only, while another process may be writing it. Blocks
    /// as [`open`](Self::open) does.
    ///
    /// Everything that was committed before is found, except what the other process deletes as
    /// too old meanwhile; of what is committed later, some may be found. Whoever wants it all
    /// opens the store again. Whatever would change it answers [`StoreError::ReadOnly`].
    pub fn open_to_read(folder: PathBuf, config: Config) -> Result<Self, StoreError> {
        let (file, shared) = database::open_to_read(&folder, &config)?;
        let shared = Arc::new(shared);
        let readers = Readers::new(file, Arc::clone(&shared));
        Ok(Self(Arc::new(Inner { shared, writer: None, readers, turn: Mutex::new(()) })))
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.0.writer.as_ref().ok_or(StoreError::ReadOnly)
    }

    /// The handle of a series, made if it is new and there are fewer than `max_series`. Costs one
    /// hash of the two names.
    ///
    /// The writer asks anew after each commit: one may forget series of which nothing is left.
    pub fn series_id(&self, device: &DeviceId, metric: &Metric) -> Result<SeriesId, StoreError> {
        self.series_id_within(device, metric, false)
    }

    /// As [`series_id`](Self::series_id), for a series that somebody has registered: it is never
    /// refused, whatever strangers have used up. The registry bounds how many there can be.
    pub fn registered_series_id(
        &self,
        device: &DeviceId,
        metric: &Metric,
    ) -> Result<SeriesId, StoreError> {
        self.series_id_within(device, metric, true)
    }

    fn series_id_within(
        &self,
        device: &DeviceId,
        metric: &Metric,
        may_exceed: bool,
    ) -> Result<SeriesId, StoreError> {
        if let Some(known) = self.find(device, metric) {
            return Ok(known);
        }
        self.writer()?;
        let id = self.0.shared.directory_mut().add(device, metric, may_exceed)?;
        self.0.shared.head().reserve(id);
        Ok(id)
    }

    /// The handle of a series if it exists.
    pub fn find(&self, device: &DeviceId, metric: &Metric) -> Option<SeriesId> {
        self.0.shared.directory().find(device, metric)
    }

    /// Every series there is; also what whoever bounds new series has to count as known.
    pub fn series(&self) -> Vec<(SeriesId, SeriesKey)> {
        self.0.shared.directory().all()
    }

    /// Adds points, visible at once, and leaves in `points` those that were new, in their order.
    /// On an error nothing was added and `points` is untouched.
    pub async fn write(&self, points: &mut Vec<(SeriesId, Point)>) -> Result<Written, StoreError> {
        self.writer()?;
        let _turn = self.0.turn.lock().await;
        let (mut known, behind) = {
            let mut head = self.0.shared.head();
            let behind = head.behind(points);
            if behind.is_empty() {
                return Ok(head.insert(points, &[]));
            }
            (head.here(points), behind)
        };
        // Some may be repeats of sealed points: ask the chunks, then insert. The head was asked
        // first, all of the batch in one look: sealing may move points from it to chunks while the
        // chunks are asked, but whatever is in neither then was in neither all along.
        known.append(&mut self.0.readers.which_are_sealed(behind).await?);
        known.sort_unstable();
        known.dedup();
        Ok(self.0.shared.head().insert(points, &known))
    }

    /// Makes every point written so far durable, together with these minutes (which replace those
    /// of the same window) and the checkpoint. On an error nothing became durable; the next
    /// commit includes the points again, the summaries are the caller's to give again.
    pub async fn commit(
        &self,
        summaries: impl Into<Summaries>,
        checkpoint: Checkpoint,
    ) -> Result<(), StoreError> {
        let summaries = summaries.into();
        let _turn = self.0.turn.lock().await;
        self.writer()?.ask(|done| Order::Commit { summaries, checkpoint, done }).await?
    }

    /// Writes the rows of coarser windows that end at `until` or earlier and whose minutes have
    /// changed, in slices between commits; returns when it is done. Until then, and while a window
    /// is still open, whoever reads it has it merged from its minutes: what is read is the same.
    pub async fn roll_up(&self, until: Timestamp) -> Result<(), StoreError> {
        self.writer()?.ask(|done| Order::RollUp { until, done }).await?
    }

    /// At most `limit` summaries of windows that end at `until` or earlier and which the archive
    /// does not have as they are now, the coarsest and oldest first. Only a store with an archive
    /// (`store.archive`) knows.
    pub async fn unsent(&self, until: Timestamp, limit: usize) -> Result<Vec<Unsent>, StoreError> {
        self.0.readers.unsent(until, limit).await
    }

    /// The archive has these now.
    pub async fn sent(&self, sent: Vec<Unsent>) -> Result<(), StoreError> {
        self.writer()?.ask(|done| Order::Sent { sent, done }).await?
    }

    /// Deletes raw points and summaries older than the configured days before `now`, in slices
    /// between commits, and gives the space back to the file system. Returns when it is done; the
    /// next commit forgets the series of which nothing is left.
    pub async fn retain(&self, now: Timestamp) -> Result<(), StoreError> {
        self.writer()?.ask(|done| Order::Retain { now, done }).await?
    }

    /// Seals everything committed into chunks now and returns when it is done: before a backup,
    /// or to measure. In daily life sealing happens by itself.
    pub async fn seal(&self) -> Result<(), StoreError> {
        self.writer()?.ask(|done| Order::Seal { done }).await?
    }

    /// When this store was begun: of what was measured before, it may lack something. None until
    /// [`retain`](Self::retain) was called once.
    pub fn begun(&self) -> Option<Timestamp> {
        self.0.shared.head().begun
    }

    /// The last committed checkpoint.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.0.shared.head().checkpoint.clone())
    }

    /// The latest point of every series that has one; from memory.
    pub fn latest_of_all(&self) -> Vec<(SeriesId, Point)> {
        self.0.shared.head().latest_of_all()
    }

    /// What is stored of each series, event time and sequence, in their order: of two different
    /// values of one identity the one that counted.
    pub async fn stored(
        &self,
        identities: &[(SeriesId, Timestamp, u32)],
    ) -> Result<Vec<Option<Point>>, StoreError> {
        self.0.readers.stored(identities).await
    }

    /// Points of a series in a span, in order, at most `limit`.
    pub async fn points(
        &self,
        series: SeriesId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Point>, StoreError> {
        self.0.readers.points(series, span, limit).await
    }

    /// At most `max_points` points of a series in a span, in order: all of them if they fit,
    /// otherwise the smallest and the largest of each of equal steps, so that peaks stay.
    pub async fn points_downsampled(
        &self,
        series: SeriesId,
        span: Span,
        max_points: usize,
    ) -> Result<Vec<Point>, StoreError> {
        self.0.readers.points_downsampled(series, span, max_points).await
    }

    /// The aggregate of the points of each series and span, from what is stored at this moment.
    pub async fn fold(&self, windows: Vec<(SeriesId, Span)>) -> Result<Vec<Partial>, StoreError> {
        self.0.readers.fold(windows).await
    }

    /// Summaries of a series whose windows begin in a span, in order, at most `limit`; of every
    /// tier as the committed minutes make them at this moment. Windows without a reading are left out.
    pub async fn summaries(
        &self,
        series: SeriesId,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        self.0.readers.summaries(series, tier, span, limit).await
    }

    /// The store in numbers.
    pub fn stats(&self) -> Stats {
        let (points, head_points) = self.0.shared.head().counts();
        let series = self.0.shared.directory().len();
        Stats { points, head_points, series, disk_bytes: self.0.readers.disk_bytes() }
    }
}
