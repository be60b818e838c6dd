//! The service over a real log and a real store.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::path::Path;
use std::sync::Arc;

use sen_aggregate::{Aggregate, Config, Ports, RunError};
use sen_chassis::{Clock, Health, Shutdown};
use sen_log::{Log, Retention, Topic};
use sen_model::time::{MINUTE_MS, SECOND_MS};
use sen_model::{DeviceId, Metric, Progress, Quality, Reading, ReadingBatch, Timestamp};
use sen_store::{Checkpoint, Span, Store, Tier};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// 2026-11-23T00:00:00Z.
const BEGIN_MS: i64 = 1_795_392_000_000;

/// A log and a store in one folder, and the topic the service reads.
struct Place {
    log: Log,
    readings: Topic<ReadingBatch>,
    store: Store,
    health: Health,
}

impl Place {
    fn open(folder: &Path) -> Self {
        let config =
            sen_log::Config { segment_bytes: 1 << 20, reserve_bytes: 0, record_bytes: 1 << 16 };
        let log = Log::open(folder.join("log"), config).unwrap();
        let keep = Retention { keep_ms: 0, keep_bytes: 0 };
        let readings = log.topic("readings", keep).unwrap();
        let store = Store::open(folder.join("store"), sen_store::Config::default()).unwrap();
        Self { log, readings, store, health: Health::new() }
    }

    fn ports(&self) -> Ports {
        Ports {
            readings: self.readings.clone(),
            cursor: Some(self.log.cursor(&self.readings, "aggregate").unwrap()),
            store: self.store.clone(),
            registry: Arc::default(),
            clock: Clock::manual(BEGIN_MS + 10 * MINUTE_MS),
            health: self.health.clone(),
            destination: None,
        }
    }

    fn aggregate(&self) -> Aggregate {
        // Nothing is committed by time, only at the end.
        let config = Config { commit_interval_ms: 600_000, ..Config::default() };
        Aggregate::bind(config, self.ports()).unwrap()
    }

    /// Appends `count` readings, a second apart, three to a packet.
    async fn append(&self, from: i64, count: i64) {
        let reading = |second: i64| Reading {
            metric: Metric::new("level_m").unwrap(),
            event_time: Timestamp::from_millis(BEGIN_MS + second * SECOND_MS),
            value: second as f64,
            quality: Quality::Good,
            sequence: 0,
        };
        let seconds: Vec<i64> = (from..from + count).collect();
        let packet = |seconds: &[i64]| ReadingBatch {
            device: DeviceId::new("station-1").unwrap(),
            received_at: Timestamp::from_millis(BEGIN_MS),
            readings: seconds.iter().copied().map(reading).collect(),
        };
        self.readings.append(seconds.chunks(3).map(packet).collect()).await.unwrap();
    }

    /// The means of the minutes on disk.
    async fn means(&self) -> Vec<f64> {
        let (id, _) = self.store.series()[0];
        let all = self.store.summaries(id, Tier::Minute, Span::ALL, 100).await.unwrap();
        all.iter().map(|summary| summary.partial.mean().unwrap()).collect()
    }

    /// How many points are to be seen.
    async fn points(&self) -> usize {
        let (id, _) = self.store.series()[0];
        self.store.points(id, Span::ALL, usize::MAX).await.unwrap().len()
    }
}

/// A service that runs, and how to stop it.
struct Running {
    tasks: JoinSet<Result<(), RunError>>,
    shutdown: Shutdown,
    progress: watch::Receiver<Progress>,
}

impl Running {
    fn start(aggregate: Aggregate) -> Self {
        let (mut tasks, shutdown) = (JoinSet::new(), Shutdown::new());
        let progress = aggregate.progress();
        tasks.spawn(aggregate.run(shutdown.clone()));
        Self { tasks, shutdown, progress }
    }

    async fn reaches(&mut self, new: u64) {
        self.progress.wait_for(|progress| progress.new >= new).await.unwrap();
    }

    async fn stop(mut self) -> Result<(), RunError> {
        self.shutdown.request();
        self.tasks.join_next().await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn drains_and_commits_when_stopped_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path());
    let mut running = Running::start(place.aggregate());
    place.append(0, 90).await;
    running.reaches(90).await;
    assert_eq!(place.points().await, 90, "visible before they are committed");
    // These may be unread when stopping is asked for: they are read all the same.
    place.append(90, 30).await;
    running.stop().await.unwrap();
    assert_eq!(place.means().await, [29.5, 89.5]);
    let next = place.store.checkpoint().await.unwrap().unwrap().next;
    assert_eq!(next, place.readings.head() + 1);

    let mut running = Running::start(place.aggregate());
    place.append(60, 90).await;
    running.reaches(30).await;
    let progress = *running.progress.borrow();
    assert_eq!((progress.readings, progress.new), (90, 30), "sixty were repeats");
    running.stop().await.unwrap();
    assert_eq!(place.means().await, [29.5, 89.5, 134.5]);
}

#[tokio::test]
async fn what_was_not_committed_comes_again_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path());
    place.append(0, 60).await;
    Running::start(place.aggregate()).stop().await.unwrap();
    let mut running = Running::start(place.aggregate());
    place.append(60, 45).await;
    running.reaches(45).await;
    // Aborted, not stopped: the second minute is nowhere on disk.
    running.tasks.shutdown().await;
    assert_eq!(place.means().await, [29.5]);
    place.log.close().await;
    drop((place, running));

    let place = Place::open(folder.path());
    assert_eq!(place.points().await, 60);
    place.append(105, 15).await;
    Running::start(place.aggregate()).stop().await.unwrap();
    assert_eq!((place.points().await, place.means().await), (120, vec![29.5, 89.5]));
}

#[tokio::test]
async fn a_new_log_is_read_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path());
    place.append(0, 60).await;
    Running::start(place.aggregate()).stop().await.unwrap();
    place.log.close().await;
    drop(place);
    std::fs::remove_dir_all(folder.path().join("log")).unwrap();

    let place = Place::open(folder.path());
    place.append(30, 90).await;
    Running::start(place.aggregate()).stop().await.unwrap();
    assert_eq!((place.points().await, place.means().await), (120, vec![29.5, 89.5]));
}

#[tokio::test]
async fn readings_wait_while_the_store_fails_and_are_stored_when_it_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path());
    place.append(0, 60).await;
    Running::start(place.aggregate()).stop().await.unwrap();

    // Another program locks the file, so that every commit fails.
    let other = rusqlite::Connection::open(folder.path().join("store/sen.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let config = Config { commit_points: 1, ..Config::default() };
    let mut running = Running::start(Aggregate::bind(config, place.ports()).unwrap());
    place.append(60, 60).await;
    running.reaches(60).await;
    // Commits take turns: when the second of ours has failed, the service's has too.
    for _ in 0..2 {
        let checkpoint = Checkpoint { epoch: "none".to_owned(), next: 1 };
        let failed = place.store.commit(Vec::new(), checkpoint).await.unwrap_err();
        assert!(failed.is_retryable(), "{failed}");
    }
    assert_eq!(place.means().await, [29.5]);
    assert!(place.health.is_ill(sen_aggregate::STORE), "everybody can see it");
    other.execute_batch("ROLLBACK").unwrap();
    running.stop().await.unwrap();
    assert!(!place.health.is_ill(sen_aggregate::STORE));
    assert_eq!((place.points().await, place.means().await), (120, vec![29.5, 89.5]));
}

#[tokio::test]
async fn a_wrong_config_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path());
    let config = Config { hot_ms: -1, ..Config::default() };
    let refused = Aggregate::bind(config, place.ports()).err().unwrap();
    assert!(refused.to_string().starts_with("aggregate.hot_ms"), "{refused}");
}
