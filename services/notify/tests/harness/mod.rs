//! A centre with nothing but a log and the notify service, for tests.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod relay;
pub(crate) mod web;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sen_chassis::call::{self, Caller};
use sen_chassis::{Clock, Shutdown, Tasks};
use sen_log::{Log, Retention, Topic};
use sen_model::{
    AlertId, AlertRecord, AlertState, Change, Delivery, DeliveryState, DeviceId, Field,
    OnCallAnswer, OnCallAsk, OnCallRecord, RuleId, Severity, Text, Timestamp,
};
use sen_notify::{
    Config, Limits, Notify, OnCall, PeoplePorts, Ports, RunError, Secret, SystemLookup,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

const KEEP_ALL: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

/// Settings under which everything goes fast.
pub(crate) fn config() -> Config {
    Config {
        checkpoint_interval_ms: 1_000,
        retry_most_ms: 60,
        gather_ms: 100,
        give_up_ms: 600_000,
        tick_ms: 20,
        public_url: "https://sen.example".to_owned(),
    }
}

/// What calling people takes, and where to ask.
pub(crate) fn people(
    log: &Log,
    folder: &Path,
    on_call: OnCall,
) -> (PeoplePorts, Caller<OnCallAsk, OnCallAnswer>) {
    let alerts: Topic<AlertRecord> = log.topic("alerts", KEEP_ALL).unwrap();
    let (caller, asks) = call::channel(8);
    let ports = PeoplePorts {
        on_call,
        cursor: log.cursor(&alerts, "notify-people").unwrap(),
        deliveries: log.topic("deliveries", KEEP_ALL).unwrap(),
        oncall: log.topic("oncall", KEEP_ALL).unwrap(),
        shadow: log.topic("shadow", KEEP_ALL).unwrap(),
        rules: watch::channel(Arc::new(Vec::new())).1,
        asks,
        keys: folder.join("keys"),
        lookup: Arc::new(SystemLookup),
        limits: Limits { connect: Duration::from_secs(5), total: Duration::from_secs(2) },
    };
    (ports, caller)
}

/// A test that waits for something which never comes fails instead of hanging.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("waited for: {what}"))
}

/// `oncall.toml` as text, without secrets in files.
pub(crate) fn on_call(text: &str) -> OnCall {
    let secret = |path: &Path| Ok(Secret::new(format!("secret of {}", path.display())));
    OnCall::parse(text, None, None, &secret).unwrap()
}

/// The log of a centre.
pub(crate) struct Centre {
    folder: tempfile::TempDir,
    pub(crate) log: Log,
    pub(crate) alerts: Topic<AlertRecord>,
    pub(crate) deliveries: Topic<Delivery>,
    pub(crate) oncall: Topic<OnCallRecord>,
    pub(crate) shadow: Topic<AlertRecord>,
    pub(crate) clock: Clock,
}

/// The service at work.
pub(crate) struct Running {
    tasks: Tasks<RunError>,
    service: AbortHandle,
    shutdown: Shutdown,
    pub(crate) caller: Caller<OnCallAsk, OnCallAnswer>,
}

impl Centre {
    pub(crate) fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(folder: tempfile::TempDir) -> Self {
        let config =
            sen_log::Config { segment_bytes: 1 << 20, reserve_bytes: 0, record_bytes: 1 << 16 };
        let log = Log::open(folder.path().join("log"), config).unwrap();
        Self {
            alerts: log.topic("alerts", KEEP_ALL).unwrap(),
            deliveries: log.topic("deliveries", KEEP_ALL).unwrap(),
            oncall: log.topic("oncall", KEEP_ALL).unwrap(),
            shadow: log.topic("shadow", KEEP_ALL).unwrap(),
            folder,
            log,
            clock: Clock::system(),
        }
    }

    pub(crate) fn run(&self, oncall: &str) -> Running {
        self.run_with(oncall, config())
    }

    pub(crate) fn run_with(&self, oncall: &str, config: Config) -> Running {
        let (people, caller) = people(&self.log, self.folder.path(), on_call(oncall));
        let cursor = self.log.cursor(&self.alerts, "notify").unwrap();
        let (alerts, clock, channels) = (self.alerts.clone(), self.clock.clone(), Vec::new());
        let ports = Ports { alerts, cursor, channels, people, clock };
        let notify = Notify::bind(config, ports).unwrap();
        let (mut tasks, shutdown) = (Tasks::new(), Shutdown::new());
        let service = tasks.spawn("notify", notify.run(shutdown.clone()));
        Running { tasks, service, shutdown, caller }
    }

    /// As `kill -9`: nothing is finished, nothing is saved; the log is opened again.
    pub(crate) async fn kill(self, mut running: Running) -> Self {
        running.service.abort();
        while running.tasks.join_next().await.is_some() {}
        drop(running);
        self.log.close().await;
        let Self { folder, .. } = self;
        Self::open(folder)
    }

    pub(crate) async fn append(&self, records: &[AlertRecord]) {
        self.alerts.append(records.to_vec()).await.unwrap();
    }

    /// An alert of the present, raised.
    pub(crate) fn raised(&self, id: &str, severity: Severity) -> AlertRecord {
        let now = Timestamp::from_millis(self.clock.now_ms());
        AlertRecord {
            text: Text::new(format!("Mực nước vượt báo động III ({id})"), format!("Flood ({id})")),
            ..AlertRecord::raised(
                AlertId::from_text(id),
                RuleId::new("flood").unwrap(),
                "v".into(),
                severity,
                Field::Environment,
                DeviceId::new("stn-my-tho").unwrap(),
                now,
            )
        }
    }

    /// The same alert, acknowledged by somebody.
    pub(crate) fn acknowledged(&self, alert: &AlertRecord, by: &str) -> AlertRecord {
        let at = Timestamp::from_millis(self.clock.now_ms());
        let (by, note) = (by.to_owned(), String::new());
        AlertRecord {
            rev: alert.rev + 1,
            change: Change::Acknowledged,
            state: AlertState::Acknowledged,
            acknowledgement: Some(sen_model::alert::Acknowledgement { by, at, note }),
            recorded_at: at,
            ..alert.clone()
        }
    }

    /// Every record of the topic `deliveries` so far.
    pub(crate) async fn delivered(&self) -> Vec<Delivery> {
        let mut reader = self.deliveries.read_from(1);
        let mut all = Vec::new();
        loop {
            let entries = reader.available(4_096).await.unwrap();
            if entries.is_empty() {
                return all;
            }
            all.extend(entries.iter().map(|entry| entry.record.as_ref().clone()));
        }
    }

    /// Waits for a record of the topic `deliveries`; gives the first one.
    pub(crate) async fn delivery(&self, channel: &str, state: DeliveryState) -> Delivery {
        let mut reader = self.deliveries.read_from(1);
        let found = async {
            loop {
                for entry in reader.next(256).await.unwrap() {
                    if entry.record.channel == channel && entry.record.state == state {
                        return entry.record.as_ref().clone();
                    }
                }
            }
        };
        within(&format!("{channel} {state:?}"), found).await
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        within("stopped", self.tasks.join_all()).await.unwrap();
    }

    pub(crate) async fn ask(&self, ask: OnCallAsk) -> OnCallAnswer {
        within("an answer", self.caller.ask(ask)).await.unwrap()
    }
}
