//! The time-series store: raw readings and roll-ups, idempotent, with the aggregator's checkpoint.
//!
//! The contract, for every backend:
//! - [`Store::write`] makes points and summaries visible to queries at once;
//! - [`Store::commit`] makes everything written so far durable together with a checkpoint;
//! - writing the same points again changes nothing: identity is (series, event time, sequence) and
//!   the first one written counts; a summary of a window replaces the earlier one.

use std::path::PathBuf;

use sen_model::{DeviceId, Metric, Quality, SeriesKey, Timestamp};

pub mod partial;
pub use partial::Partial;

/// One reading as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured.
    pub event_time: Timestamp,
    /// Tells points of one millisecond apart.
    pub sequence: u32,
    /// The value.
    pub value: f64,
    /// How far to trust it.
    pub quality: Quality,
    /// When it was heard.
    pub received_at: Timestamp,
}

/// How long the windows of a roll-up are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// One minute.
    Minute,
}

/// The result of one window of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Start of the window (inclusive).
    pub start: Timestamp,
    /// Which roll-up.
    pub tier: Tier,
    /// The mergeable aggregate.
    pub partial: Partial,
}

/// A handle of a series in this store; small, so that the hot path never hashes names twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u32);

/// How the embedded store keeps its file.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Raw readings older than this are deleted, in days.
    pub raw_days: u32,
    /// One-minute summaries older than this are deleted, in days.
    pub minute_days: u32,
}

/// An open store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    _p: (),
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the store's database failed")]
    Database(#[from] rusqlite::Error),
    /// A block that cannot be read.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Its thread ended.
    #[error("the store is closed")]
    Closed,
}

/// Where the writer had come to in its input when it last committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's epoch.
    pub epoch: String,
    /// The next offset to read.
    pub next: u64,
}

/// A time range, from inclusive to exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant in it.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
}

impl Store {
    /// Opens (or creates) the embedded store in a folder.
    pub fn open(_folder: PathBuf, _config: Config) -> Result<Self, StoreError> {
        unimplemented!()
    }

    /// The handle of a series, made if it is new.
    pub async fn series_id(&self, _key: &SeriesKey) -> Result<SeriesId, StoreError> {
        unimplemented!()
    }

    /// The handle of a series if it exists.
    pub fn find(&self, _device: &DeviceId, _metric: &Metric) -> Option<SeriesId> {
        unimplemented!()
    }

    /// Every series there is.
    pub fn series(&self) -> Vec<(SeriesId, SeriesKey)> {
        unimplemented!()
    }

    /// Adds points, visible at once. Returns how many were new: known identities change nothing.
    pub async fn write(&self, _points: Vec<(SeriesId, Point)>) -> Result<usize, StoreError> {
        unimplemented!()
    }

    /// Makes every point written so far durable, together with these summaries (which replace
    /// those of the same window) and the checkpoint.
    pub async fn commit(
        &self,
        _summaries: Vec<(SeriesId, Summary)>,
        _checkpoint: Checkpoint,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The last committed checkpoint.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        unimplemented!()
    }

    /// The latest point (by event time, then sequence) of a series.
    pub async fn latest(&self, _series: SeriesId) -> Result<Option<Point>, StoreError> {
        unimplemented!()
    }

    /// Points of a series in a span, in order, at most `limit`.
    pub async fn points(
        &self,
        _series: SeriesId,
        _span: Span,
        _limit: usize,
    ) -> Result<Vec<Point>, StoreError> {
        unimplemented!()
    }

    /// Summaries of a series in a span, in order, at most `limit`.
    pub async fn summaries(
        &self,
        _series: SeriesId,
        _tier: Tier,
        _span: Span,
        _limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        unimplemented!()
    }
}
