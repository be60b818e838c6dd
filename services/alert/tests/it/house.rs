//! A centre on disk with a running service, for the tests of the service over a real log.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sen_alert::backtest::Backtester;
use sen_alert::{Alert, BindError, Config, Ports, RunError};
use sen_chassis::call::{self, Caller};
use sen_chassis::{Clock, Health, Shutdown, Tasks};
use sen_log::{Log, Retention, Topic};
use sen_model::{
    Act, AlertRecord, BacktestAnswer, BacktestAsk, Change, Command, CommandOutcome, DeskRecord,
    DeviceId, Event, Metric, Order, Progress, Quality, Reading, ReadingBatch, Registry, Rule,
    Timestamp, registry_file,
};
use sen_store::Store;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(crate) const HOUR_MS: i64 = 3_600_000;

pub(crate) const KEEP_ALL: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

pub(crate) const DEVICES: &str = r#"
[kind.river]
field = "environment"
interval_ms = 1_000
metrics = [{ metric = "water_level_m", name = { vi = "Mực nước", en = "Water level" }, unit = "m" }]

[[device]]
id = "stn-my-tho"
kind = "river"
name = { vi = "Trạm Mỹ Tho", en = "Mỹ Tho station" }
area = "28261"
lat = 10.348
lon = 106.365
"#;

pub(crate) const PLACES: &str = r#"
[[place]]
id = "ward-28261"
name = { vi = "Phường Mỹ Tho", en = "My Tho Ward" }
kind = "ward"
lat = 10.35
lon = 106.37
area = "28261"
"#;

/// One rule of the test station.
pub(crate) fn rule(id: &str, condition: &str) -> String {
    format!(
        r#"
[[rule]]
id = "{id}"
name = {{ vi = "Báo động", en = "Alarm level" }}
field = "environment"
severity = 1
devices = ["stn-my-tho"]
{condition}
source = "QĐ 05/2020/QĐ-TTg"
owner = {{ vi = "Ban Chỉ huy", en = "Command" }}
response = {{ steps = [{{ vi = "Báo ngay", en = "Tell at once" }}], consequence = {{ vi = "Ngập", en = "Flooding" }}, within = "5m" }}
"#
    )
}

pub(crate) fn instant() -> String {
    rule("instant", "metrics = [\"water_level_m\"]\nat_least = 1.6")
}

/// A centre on disk: what is left of it when its process dies.
pub(crate) struct Centre {
    pub(crate) folder: tempfile::TempDir,
    /// Topics are named by the test, so that faults can be injected into one test only.
    pub(crate) name: &'static str,
    pub(crate) log: Log,
    pub(crate) readings: Topic<ReadingBatch>,
    pub(crate) events: Topic<Event>,
    pub(crate) shadow: Topic<AlertRecord>,
    pub(crate) store: Store,
    pub(crate) alerts: Topic<AlertRecord>,
    pub(crate) desk: Topic<DeskRecord>,
    pub(crate) clock: Clock,
    pub(crate) registry: Arc<Registry>,
    pub(crate) checkpoint_interval_ms: u64,
}

/// A running service.
pub(crate) struct Running {
    _trying: Tasks<std::convert::Infallible>,
    pub(crate) tasks: Tasks<RunError>,
    pub(crate) service: AbortHandle,
    pub(crate) shutdown: Shutdown,
    pub(crate) ask: Caller<Command, CommandOutcome>,
    pub(crate) backtests: Caller<BacktestAsk, BacktestAnswer>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) rules: watch::Receiver<Arc<Vec<Rule>>>,
    pub(crate) health: Health,
}

pub(crate) fn open(folder: &Path) -> Log {
    let config =
        sen_log::Config { segment_bytes: 1 << 20, reserve_bytes: 0, record_bytes: 1 << 16 };
    Log::open(folder.join("log"), config).unwrap()
}

impl Centre {
    /// Lets the clock pass, a second a step, until something is in the alert log; gives the time.
    pub(crate) async fn until_first_alert(&self, mut now: i64) -> i64 {
        let mut head = self.alerts.watch();
        let passing = async {
            while *head.borrow_and_update() == 0 {
                now += 1_000;
                self.clock.set_ms(now);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("silence", passing).await;
        now
    }

    pub(crate) fn new(name: &'static str, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        let registry = registry_file::parse(DEVICES, PLACES).unwrap();
        let centre = Self {
            readings: log.topic(&format!("{name}-readings"), KEEP_ALL).unwrap(),
            events: log.topic(&format!("{name}-events"), KEEP_ALL).unwrap(),
            shadow: log.topic(&format!("{name}-shadow"), KEEP_ALL).unwrap(),
            store: Store::open(folder.path().join("store"), sen_store::Config::default()).unwrap(),
            alerts: log.topic(&format!("{name}-alerts"), KEEP_ALL).unwrap(),
            desk: log.topic(&format!("{name}-desk"), KEEP_ALL).unwrap(),
            clock: Clock::manual(0),
            registry: Arc::new(registry),
            checkpoint_interval_ms: 1,
            folder,
            name,
            log,
        };
        std::fs::write(centre.rule_file(), rules).unwrap();
        centre
    }

    pub(crate) fn rule_file(&self) -> PathBuf {
        self.folder.path().join("rules.toml")
    }

    pub(crate) fn bind(
        &self,
    ) -> Result<(Alert, Caller<Command, CommandOutcome>, Health), BindError> {
        let (ask, commands) = call::channel(8);
        let health = Health::new();
        let ports = Ports {
            readings: self.readings.clone(),
            alerts: self.alerts.clone(),
            desk: self.desk.clone(),
            events: self.events.clone(),
            shadow: self.shadow.clone(),
            events_cursor: self.log.cursor(&self.events, &format!("{}-alert", self.name)).unwrap(),
            cursor: self.log.cursor(&self.readings, &format!("{}-alert", self.name)).unwrap(),
            commands,
            registry: Arc::clone(&self.registry),
            clock: self.clock.clone(),
            health: health.clone(),
        };
        let checkpoint_interval_ms = self.checkpoint_interval_ms;
        let config = Config {
            checkpoint_interval_ms,
            late_after_ms: 60_000,
            wait_ms: 0,
            tick_ms: 2,
            shelve_most_ms: 8 * HOUR_MS,
        };
        Ok((Alert::bind(config, self.rule_file(), ports)?, ask, health))
    }

    pub(crate) fn run(&self) -> Running {
        let (alert, ask, health) = self.bind().unwrap();
        let (progress, rules) = (alert.progress(), alert.rules());
        let (backtests, asks) = call::channel(8);
        let (store, registry) = (self.store.clone(), Arc::clone(&self.registry));
        let backtester = Backtester { asks, store, registry, in_force: rules.clone() };
        let (mut tasks, shutdown) = (Tasks::new(), Shutdown::new());
        let service = tasks.spawn("alert", alert.run(shutdown.clone()));
        // Dies with what runs, and is not waited for with it.
        let (mut _trying, stopped) = (Tasks::new(), shutdown.clone());
        _trying.spawn("backtest", backtester.run(stopped));
        Running { _trying, tasks, service, shutdown, ask, backtests, progress, rules, health }
    }

    /// The process is killed, wherever it has come to, and its log is opened by the next.
    pub(crate) async fn kill(&mut self, mut running: Running) {
        running.service.abort();
        while running.tasks.join_next().await.is_some() {}
        // What the dead service had handed to the log is written before the next one looks.
        self.log.close().await;
        self.log = open(self.folder.path());
        self.readings = self.log.topic(self.readings.name(), KEEP_ALL).unwrap();
        self.alerts = self.log.topic(self.alerts.name(), KEEP_ALL).unwrap();
        self.desk = self.log.topic(self.desk.name(), KEEP_ALL).unwrap();
        self.events = self.log.topic(self.events.name(), KEEP_ALL).unwrap();
        self.shadow = self.log.topic(self.shadow.name(), KEEP_ALL).unwrap();
    }

    /// Levels measured and received at these times, one packet each.
    pub(crate) async fn hear(&self, levels: &[(i64, f64)]) {
        let packet = |(ms, value): &(i64, f64)| ReadingBatch {
            device: DeviceId::new("stn-my-tho").unwrap(),
            received_at: Timestamp::from_millis(*ms),
            readings: vec![Reading {
                metric: Metric::new("water_level_m").unwrap(),
                event_time: Timestamp::from_millis(*ms),
                value: *value,
                quality: Quality::Good,
                sequence: 0,
            }],
        };
        self.readings.append(levels.iter().map(packet).collect()).await.unwrap();
    }

    /// The alert log once it holds `count` records.
    pub(crate) async fn alerts(&self, count: u64) -> Vec<AlertRecord> {
        records(&self.alerts, count).await
    }

    /// The desk's log once it holds `count` records.
    pub(crate) async fn entries(&self, count: u64) -> Vec<DeskRecord> {
        records(&self.desk, count).await
    }
}

/// A log once it holds `count` records.
pub(crate) async fn records<T: sen_proto::Wire + Clone>(log: &Topic<T>, count: u64) -> Vec<T> {
    let mut head = log.watch();
    within("records", head.wait_for(|head| *head >= count)).await.unwrap();
    let mut reader = log.read_from(1);
    let mut records = Vec::new();
    loop {
        let entries = reader.available(1_000).await.unwrap();
        if entries.is_empty() {
            return records;
        }
        records.extend(entries.iter().map(|entry| (*entry.record).clone()));
    }
}

impl Running {
    /// Waits until every reading of the log is judged and what it raised is in the log.
    pub(crate) async fn caught_up(&mut self, centre: &Centre) {
        let head = centre.readings.head();
        within("judged", self.progress.wait_for(|progress| progress.next > head)).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        within("stopped", self.tasks.join_all()).await.unwrap();
    }
}

/// A test that waits for something which never comes fails instead of hanging.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("waited for: {what}"))
}

/// Waits for something that tells nobody when it comes.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(what, looking).await;
}

pub(crate) fn command(alert: &AlertRecord, key: &str, act: Act) -> Command {
    Command {
        idempotency_key: key.into(),
        order: Order::Alert { alert: alert.id.clone(), expected_rev: Some(alert.rev), act },
        by: "Lan".into(),
        at: Timestamp::from_millis(5),
    }
}

pub(crate) fn acknowledge(alert: &AlertRecord, key: &str) -> Command {
    command(alert, key, Act::Acknowledge { note: String::new() })
}

pub(crate) fn lives(records: &[AlertRecord]) -> Vec<(Change, i64)> {
    records.iter().map(|record| (record.change, record.event_time.as_millis())).collect()
}
