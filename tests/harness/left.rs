//! What a centre leaves when it is stopped as an operator would stop it.

use std::any::Any;
use std::path::Path;

use sen_log::{Log, Retention, Topic};
use sen_model::{AlertRecord, Quarantined};
use sen_proto::Wire;
use sen_store::Store;
use tempfile::TempDir;

use crate::pipeline::keeping_all;

/// Nothing expires while it is looked at.
pub const FOR_EVER: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

/// A centre whose story is over.
pub trait Ends {
    /// Stops it once all it was told is judged and stored, and gives what it left.
    fn end(self) -> impl Future<Output = anyhow::Result<Left>> + Send;
}

/// What is there after the end.
pub struct Left {
    /// Stores that have everything, each in one part or more; a series is in one part of each.
    pub stores: Vec<Vec<Store>>,
    /// The whole alert log, in order.
    pub alerts: Vec<AlertRecord>,
    /// How many records are in quarantine.
    pub quarantined: u64,
    /// Keeps the files, and whatever they belong to.
    _keep: Box<dyn Any + Send>,
}

impl Left {
    /// Of one process, in a folder that nobody else holds.
    pub async fn in_folder(folder: TempDir) -> anyhow::Result<Self> {
        let store = vec![open(&folder.path().join("store"))?];
        let log = embedded(folder.path())?;
        Self::of(vec![store], &log, folder).await
    }

    /// With a log that is open.
    pub async fn of(
        stores: Vec<Vec<Store>>,
        log: &Log,
        keep: impl Any + Send,
    ) -> anyhow::Result<Self> {
        let alerts = all(&log.vital_topic::<AlertRecord>("alerts", FOR_EVER)?).await?;
        let quarantined = all(&log.topic::<Quarantined>("quarantine", FOR_EVER)?).await?.len();
        Ok(Self { stores, alerts, quarantined: quarantined as u64, _keep: Box::new(keep) })
    }
}

/// A store by which nothing expires.
pub fn open(folder: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(folder.to_owned(), keeping_all(sen_store::Config::default()))?)
}

/// The log of one process below a folder that nobody holds.
pub fn embedded(folder: &Path) -> anyhow::Result<Log> {
    let config =
        sen_log::Config { segment_bytes: 1 << 26, reserve_bytes: 0, record_bytes: 1 << 20 };
    Ok(Log::open(folder.join("log"), config)?)
}

/// Every record of a topic, in order.
pub async fn all<T: Wire + Clone>(topic: &Topic<T>) -> anyhow::Result<Vec<T>> {
    let mut reader = topic.read_from(topic.floor());
    let mut records = Vec::new();
    loop {
        let entries = reader.available(1_000).await?;
        if entries.is_empty() {
            return Ok(records);
        }
        records.extend(entries.iter().map(|entry| (*entry.record).clone()));
    }
}
