//! The real way from the log to the store within this process: log, aggregator and store in one
//! folder, that can be stopped, killed without a commit, and opened again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_aggregate::{Aggregate, Ports, RunError};
use sen_chassis::{Clock, Health, Shutdown};
use sen_log::{Log, Retention, Topic};
use sen_model::{Progress, Reading, ReadingBatch, SeriesKey, Tier, Timestamp};
use sen_store::{Checkpoint, Span, Store};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::oracle::{Length, Oracle, Report, disagreement};

/// Nothing expires below this: retention counts in days of `u32`.
pub const EARLIEST_MS: i64 = -100_000_000_000_000_000;
/// A clock so far back that not even the first moment of `i64` expires.
pub const ANCIENT_MS: i64 = i64::MIN + 1_000_000_000;

/// How the parts are set.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What the clock says, in milliseconds.
    pub now_ms: i64,
    /// Of the aggregator.
    pub aggregate: sen_aggregate::Config,
    /// Of the store.
    pub store: sen_store::Config,
}

impl Setting {
    /// As shipped, but that nothing expires and nothing is committed by time.
    pub fn at(now_ms: i64) -> Self {
        let aggregate = sen_aggregate::Config {
            commit_interval_ms: 600_000,
            ..sen_aggregate::Config::default()
        };
        Self { now_ms, aggregate, store: keeping_all(sen_store::Config::default()) }
    }
}

/// A store's config by which nothing expires.
pub fn keeping_all(config: sen_store::Config) -> sen_store::Config {
    let days = u32::MAX;
    sen_store::Config {
        raw_days: days,
        minute_days: days,
        quarter_days: days,
        hour_days: days,
        day_days: days,
        ..config
    }
}

/// Log, aggregator and store, open and at work.
pub struct Pipeline {
    setting: Setting,
    open: Open,
    /// Its own folder, in memory: what is told here is not about disks.
    folder: TempDir,
}

struct Open {
    log: Log,
    readings: Topic<ReadingBatch>,
    store: Store,
    service: Service,
}

struct Service {
    tasks: JoinSet<Result<(), RunError>>,
    shutdown: Shutdown,
    progress: watch::Receiver<Progress>,
}

/// A folder in memory where there is one, so that thousands of histories wear no disk out.
pub fn folder_in_memory() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }
}

impl Pipeline {
    /// Opens an empty one in memory.
    pub fn in_memory(setting: Setting) -> anyhow::Result<Self> {
        let folder = folder_in_memory()?;
        Ok(Self { open: Open::over(folder.path(), &setting)?, setting, folder })
    }

    /// Appends reports to the log, a record each run of one device.
    pub async fn append(&self, reports: &[Report]) -> anyhow::Result<()> {
        let received_at = Timestamp::from_millis(self.setting.now_ms);
        let packets = reports.chunk_by(|a, b| a.series.device == b.series.device);
        let packet = |reports: &[Report]| ReadingBatch {
            device: reports[0].series.device.clone(),
            received_at,
            readings: reports.iter().map(reading).collect(),
        };
        self.open.readings.append(packets.map(packet).collect()).await?;
        Ok(())
    }

    /// Returns when the aggregator has taken everything from the log, committed or not.
    pub async fn taken(&mut self) -> anyhow::Result<Progress> {
        let head = self.open.readings.head();
        let progress = &mut self.open.service.progress;
        let taken = progress.wait_for(|progress| progress.next > head);
        let taken = tokio::time::timeout(crate::PATIENCE, taken).await;
        Ok(*taken.context("the aggregator lags")?.context("the aggregator died")?)
    }

    /// Has everything in the log taken and committed: stops the aggregator and starts it again.
    pub async fn commit(&mut self) -> anyhow::Result<()> {
        self.open.service.stop().await?;
        self.open.service = self.open.start(&self.setting)?;
        Ok(())
    }

    /// Has everything committed sealed into chunks.
    pub async fn seal(&self) -> anyhow::Result<()> {
        Ok(self.open.store.seal().await?)
    }

    /// The process dies, whatever it was doing, and a new one begins on what is on disk.
    pub async fn crash(mut self) -> anyhow::Result<Self> {
        self.open.service.tasks.shutdown().await;
        // What was accepted is on disk or not, and the folder is free again.
        self.open.log.close().await;
        let Self { setting, open, folder } = self;
        drop(open);
        Ok(Self { open: Open::over(folder.path(), &setting)?, setting, folder })
    }

    /// Moves the committed position back by so many records, so that they are taken once more.
    pub async fn rewind(&mut self, records: u64) -> anyhow::Result<()> {
        self.open.service.stop().await?;
        let known = self.open.store.checkpoint().await?;
        if let Some(Checkpoint { epoch, next }) = known {
            let next = next.saturating_sub(records).max(1);
            self.open.store.commit(Vec::new(), Checkpoint { epoch, next }).await?;
        }
        self.open.service = self.open.start(&self.setting)?;
        Ok(())
    }

    /// The store, to look into.
    pub fn store(&self) -> &Store {
        &self.open.store
    }
}

fn reading(report: &Report) -> Reading {
    Reading {
        metric: report.series.metric.clone(),
        event_time: Timestamp::from_millis(report.time_ms),
        value: report.value,
        quality: report.quality,
        sequence: report.sequence,
    }
}

impl Open {
    fn over(place: &Path, setting: &Setting) -> anyhow::Result<Self> {
        let config =
            sen_log::Config { segment_bytes: 1 << 22, reserve_bytes: 0, record_bytes: 1 << 20 };
        let log = Log::open(place.join("log"), config)?;
        let readings =
            log.topic("readings", Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX })?;
        let store = Store::open(place.join("store"), setting.store.clone())?;
        let service = Service::over(&log, &readings, &store, setting)?;
        Ok(Self { log, readings, store, service })
    }

    fn start(&self, setting: &Setting) -> anyhow::Result<Service> {
        Service::over(&self.log, &self.readings, &self.store, setting)
    }
}

impl Service {
    fn over(
        log: &Log,
        readings: &Topic<ReadingBatch>,
        store: &Store,
        setting: &Setting,
    ) -> anyhow::Result<Self> {
        let ports = Ports {
            readings: readings.clone(),
            cursor: Some(log.cursor(readings, "aggregate")?),
            store: store.clone(),
            registry: Arc::default(),
            clock: Clock::manual(setting.now_ms),
            health: Health::new(),
            destination: None,
        };
        let aggregate =
            Aggregate::bind(setting.aggregate.clone(), ports)?.gathering(Duration::ZERO);
        let (mut tasks, shutdown) = (JoinSet::new(), Shutdown::new());
        let progress = aggregate.progress();
        tasks.spawn(aggregate.run(shutdown.clone()));
        Ok(Self { tasks, shutdown, progress })
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.shutdown.request();
        Ok(self.tasks.join_next().await.context("it ran")???)
    }
}

/// Every reading and every window of every tier of every series against the oracle; fails with the
/// first difference. Returns how many windows there are.
pub async fn compare(store: &Store, oracle: &Oracle) -> anyhow::Result<usize> {
    let mut known: Vec<SeriesKey> = store.series().into_iter().map(|(_, key)| key).collect();
    known.sort_unstable();
    ensure!(known.iter().eq(oracle.series()), "other series than expected: {known:?}");
    let mut windows = 0;
    for key in known {
        windows += compare_series(store, oracle, &key).await?;
    }
    Ok(windows)
}

/// As [`compare`], of one series.
pub async fn compare_series(
    store: &Store,
    oracle: &Oracle,
    key: &SeriesKey,
) -> anyhow::Result<usize> {
    let id = store.find(&key.device, &key.metric).context("the series is not stored")?;
    let points = store.points(id, Span::ALL, usize::MAX).await?;
    let found = points.iter().map(|point| {
        (point.event_time.as_millis(), point.sequence, point.value.to_bits(), point.quality)
    });
    let wanted = oracle
        .reports(key)
        .iter()
        .map(|report| (report.time_ms, report.sequence, report.value.to_bits(), report.quality));
    if !found.clone().eq(wanted.clone()) {
        let other = found.clone().zip(wanted.clone()).find(|(found, wanted)| found != wanted);
        anyhow::bail!(
            "{key}: {} readings, {} expected; the first to differ (found, expected): {other:?}",
            found.len(),
            wanted.len()
        );
    }
    let mut windows = 0;
    for tier in Tier::ALL {
        windows += compare_tier(store, oracle, key, id, tier).await?;
    }
    Ok(windows)
}

async fn compare_tier(
    store: &Store,
    oracle: &Oracle,
    key: &SeriesKey,
    id: sen_store::SeriesId,
    tier: Tier,
) -> anyhow::Result<usize> {
    let summaries = store.summaries(id, tier, Span::ALL, usize::MAX).await?;
    let answers = oracle.windows(key, Length::of(tier));
    let starts = summaries.iter().map(|summary| summary.start.as_millis());
    ensure!(
        starts.clone().eq(answers.keys().copied()),
        "{key} {tier}: windows {:?} in place of {:?}",
        starts.collect::<Vec<_>>(),
        answers.keys().collect::<Vec<_>>()
    );
    for (summary, (start, answer)) in summaries.iter().zip(&answers) {
        ensure!(summary.tier == tier, "{key} {tier}: a summary of {}", summary.tier);
        if let Some(wrong) = disagreement(answer, &summary.partial) {
            anyhow::bail!("{key} {tier} at {start}: {wrong}");
        }
    }
    Ok(answers.len())
}
