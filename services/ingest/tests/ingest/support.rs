//! A running ingest over a log in a folder of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sen_chassis::{Clock, Health, Shutdown, Tasks};
use sen_ingest::{Config, Ingest, Ports, Publisher, RunError, Sources};
use sen_log::{Log, Retention, Topic};
use sen_model::{Event, Quarantined, ReadingBatch, Registry, RejectReason};
use tempfile::TempDir;

/// Now, in these tests: 2026-11-23.
pub const NOW_MS: i64 = 1_795_392_000_000;
/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running ingest and everything it is connected to.
pub struct Station {
    pub address: SocketAddr,
    pub publisher: Publisher,
    pub readings: Topic<ReadingBatch>,
    pub events: Topic<Event>,
    pub quarantine: Topic<Quarantined>,
    pub health: Health,
    /// Ends the names of this station's topics, and so of its fail points.
    pub tag: String,
    log: Log,
    shutdown: Shutdown,
    running: Tasks<RunError>,
    _folder: TempDir,
}

/// The shipped settings, on any free port.
pub fn shipped() -> Config {
    let text = include_str!("../../../../config/sen.toml");
    let table: toml::Table = text.parse().unwrap();
    let mut config: Config = table["ingest"].clone().try_into().unwrap();
    config.listen = "127.0.0.1:0".into();
    config
}

impl Station {
    /// Starts with the shipped settings and no foreign broker.
    pub async fn start() -> Self {
        Self::with(shipped(), Sources::default()).await
    }

    /// Starts with these.
    pub async fn with(config: Config, sources: Sources) -> Self {
        static STATIONS: AtomicU32 = AtomicU32::new(0);
        let tag = STATIONS.fetch_add(1, Ordering::Relaxed).to_string();
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path().join("log"), log_config()).unwrap();
        let keep = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
        let readings = log.topic(&format!("readings-{tag}"), keep).unwrap();
        let events = log.topic(&format!("events-{tag}"), keep).unwrap();
        let quarantine = log.topic(&format!("quarantine-{tag}"), keep).unwrap();
        let health = Health::new();
        let ports = Ports {
            readings: readings.clone(),
            events: events.clone(),
            quarantine: quarantine.clone(),
            registry: Arc::new(Registry::default()),
            reserved: vec!["sen-centre".parse().unwrap()],
            clock: Clock::manual(NOW_MS),
            health: health.clone(),
        };
        let ingest = Ingest::bind(&config, &sources, ports).await.unwrap();
        let address = ingest.mqtt_address().unwrap_or_else(|| "0.0.0.0:0".parse().unwrap());
        let publisher = ingest.publisher();
        let shutdown = Shutdown::new();
        let mut running = Tasks::new();
        running.spawn("ingest", ingest.run(shutdown.clone()));
        Self {
            address,
            publisher,
            readings,
            events,
            quarantine,
            health,
            tag,
            log,
            shutdown,
            running,
            _folder: folder,
        }
    }

    /// Stops it and waits for its end, which must be a good one.
    pub async fn stop(self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.running.join_all()).await.unwrap().unwrap();
        self.log.close().await;
    }

    /// Every batch kept so far.
    pub async fn kept(&self) -> Vec<ReadingBatch> {
        all(&self.readings).await
    }

    /// The reasons of everything in quarantine so far, in order.
    pub async fn reasons(&self) -> Vec<RejectReason> {
        all(&self.quarantine).await.into_iter().map(|record| record.reason).collect()
    }

    /// Waits until the topic holds `count` records.
    pub async fn wait_for_records<T: sen_proto::Wire>(&self, topic: &Topic<T>, count: u64) {
        let mut head = topic.watch();
        let reached = head.wait_for(|head| *head >= count);
        tokio::time::timeout(PATIENCE, reached).await.expect("records arrive").unwrap();
    }

    /// Waits until health says `wanted` of a part: well (true) or ill.
    pub async fn wait_for_health(&self, part: &str, wanted: bool) {
        let report = || self.health.report().get(part).map(Option::is_none);
        wait_for(&format!("health of {part} is {wanted}"), || report() == Some(wanted)).await;
    }
}

fn log_config() -> sen_log::Config {
    let text = "segment_bytes = 1048576\nreserve_bytes = 0\nrecord_bytes = 1048576\n";
    toml::from_str(text).unwrap()
}

/// Every record of a topic.
pub async fn all<T: sen_proto::Wire + Clone>(topic: &Topic<T>) -> Vec<T> {
    let mut reader = topic.read_from(1);
    let mut records = Vec::new();
    loop {
        let more = reader.available(1_000).await.unwrap();
        if more.is_empty() {
            return records;
        }
        records.extend(more.into_iter().map(|entry| T::clone(&entry.record)));
    }
}

/// Waits until something is true.
pub async fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let looked = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(|_| panic!("never: {what}"));
}
