//! The service over a real log: order, at least once, restarts, channels that fail.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sen_chassis::{Clock, Shutdown, Tasks};
use sen_log::{Log, Retention, Topic};
use sen_model::{
    AlertId, AlertRecord, AlertState, AreaCode, Change, DeviceId, Field, RuleId, Severity, Text,
    Timestamp,
};
use sen_notify::channel::mqtt::{Mqtt, Publish, PublishError};
use sen_notify::channel::{Channel, ChannelError, Delivery};
use sen_notify::{BindError, Config, Notify, OnCall, Ports, RunError};

use harness::within;
use tokio::sync::watch;
use tokio::task::AbortHandle;

const KEEP_ALL: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

/// What a channel was given, and how it answers.
#[derive(Clone)]
struct Recorder {
    name: &'static str,
    forgets: bool,
    given: watch::Sender<Vec<(String, u32)>>,
    /// Answers to come; after them all is well.
    answers: Arc<Mutex<Vec<ChannelError>>>,
}

impl Recorder {
    fn new(name: &'static str) -> Self {
        Self { name, forgets: false, given: watch::Sender::default(), answers: Arc::default() }
    }

    fn answering(self, answers: &[ChannelError]) -> Self {
        *self.answers.lock().unwrap() = answers.iter().rev().cloned().collect();
        self
    }

    fn boxed(&self) -> Box<dyn Channel> {
        Box::new(self.clone())
    }

    /// What was taken, once there is this much of it.
    async fn taken(&self, count: usize) -> Vec<(String, u32)> {
        let mut given = self.given.subscribe();
        within("deliveries", given.wait_for(|given| given.len() >= count)).await.unwrap().clone()
    }
}

impl Channel for Recorder {
    fn name(&self) -> &'static str {
        self.name
    }

    fn deliver<'a>(&'a self, record: &'a AlertRecord) -> Delivery<'a> {
        Box::pin(async move {
            if let Some(error) = self.answers.lock().unwrap().pop() {
                return Err(error);
            }
            self.given.send_modify(|given| given.push((record.id.to_string(), record.rev)));
            Ok(())
        })
    }

    fn forgets(&self) -> bool {
        self.forgets
    }
}

/// What retained messages a broker holds, and how many it takes.
#[derive(Clone)]
struct Broker(watch::Sender<BTreeMap<String, Vec<u8>>>, usize);

impl Default for Broker {
    fn default() -> Self {
        Self(watch::Sender::default(), usize::MAX)
    }
}

impl Publish for Broker {
    async fn publish_retained(
        &self,
        topic: String,
        payload: Vec<u8>,
        _rev: u32,
    ) -> Result<(), PublishError> {
        let is_new = !self.0.borrow().contains_key(&topic);
        if is_new && !payload.is_empty() && self.0.borrow().len() >= self.1 {
            return Err(PublishError::Full("too many retained messages".into()));
        }
        self.0.send_modify(|retained| {
            if payload.is_empty() {
                retained.remove(&topic);
            } else {
                retained.insert(topic, payload);
            }
        });
        Ok(())
    }
}

struct Centre {
    folder: tempfile::TempDir,
    log: Log,
    alerts: Topic<AlertRecord>,
}

struct Running {
    tasks: Tasks<RunError>,
    service: AbortHandle,
    shutdown: Shutdown,
}

fn open(folder: &Path) -> (Log, Topic<AlertRecord>) {
    let config =
        sen_log::Config { segment_bytes: 1 << 20, reserve_bytes: 0, record_bytes: 1 << 16 };
    let log = Log::open(folder.to_owned(), config).unwrap();
    let alerts = log.topic("alerts", KEEP_ALL).unwrap();
    (log, alerts)
}

impl Centre {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, alerts) = open(folder.path());
        Self { folder, log, alerts }
    }

    fn bind(&self, channels: Vec<Box<dyn Channel>>) -> Result<Notify, BindError> {
        let cursor = self.log.cursor(&self.alerts, "notify").unwrap();
        let people = harness::people(&self.log, self.folder.path(), OnCall::default()).0;
        let (alerts, clock) = (self.alerts.clone(), Clock::manual(0));
        let ports = Ports { alerts, cursor, channels, people, clock };
        let config = Config { checkpoint_interval_ms: 1, retry_most_ms: 20, ..harness::config() };
        Notify::bind(config, ports)
    }

    fn run(&self, channels: Vec<Box<dyn Channel>>) -> Running {
        let notify = self.bind(channels).unwrap();
        let (mut tasks, shutdown) = (Tasks::new(), Shutdown::new());
        let service = tasks.spawn("notify", notify.run(shutdown.clone()));
        Running { tasks, service, shutdown }
    }

    async fn append(&self, records: &[AlertRecord]) {
        self.alerts.append(records.to_vec()).await.unwrap();
    }

    async fn kill(&mut self, mut running: Running) {
        running.service.abort();
        while running.tasks.join_next().await.is_some() {}
        self.log.close().await;
        (self.log, self.alerts) = open(self.folder.path());
    }
}

impl Running {
    async fn stop(self) {
        self.shutdown.request();
        within("stopped", self.tasks.join_all()).await.unwrap();
    }
}

fn record(id: &str, rev: u32, state: AlertState) -> AlertRecord {
    AlertRecord {
        rev,
        change: if rev == 1 { Change::Raised } else { Change::Cleared },
        state,
        area: AreaCode::new("28261").ok(),
        value: Some(1.62),
        limit: Some(1.6),
        recorded_at: Timestamp::from_millis(2),
        text: Text::new("Báo động III", "Alarm level III"),
        ..AlertRecord::raised(
            AlertId::from_text(id),
            RuleId::new("flood-my-tho-3").unwrap(),
            "v".into(),
            Severity::CRITICAL,
            Field::Environment,
            DeviceId::new("stn-my-tho").unwrap(),
            Timestamp::from_millis(1),
        )
    }
}

fn raised(id: &str) -> AlertRecord {
    record(id, 1, AlertState::Unacknowledged)
}

fn over(id: &str) -> AlertRecord {
    record(id, 2, AlertState::Normal)
}

fn keys(records: &[AlertRecord]) -> Vec<(String, u32)> {
    records.iter().map(|record| (record.id.to_string(), record.rev)).collect()
}

fn retry() -> ChannelError {
    ChannelError::Retry("the line is busy".into())
}

#[tokio::test]
async fn every_channel_gets_every_record_in_order() {
    let centre = Centre::new();
    let (one, two) = (Recorder::new("one"), Recorder::new("two"));
    let running = centre.run(vec![one.boxed(), two.boxed()]);
    let records: Vec<_> = (0..1_000).map(|n| raised(&format!("{n}"))).collect();
    for some in records.chunks(300) {
        centre.append(some).await;
    }
    assert_eq!(one.taken(1_000).await, keys(&records));
    assert_eq!(two.taken(1_000).await, keys(&records));
    running.stop().await;
}

#[tokio::test]
async fn stopping_delivers_everything_first_and_nothing_comes_again() {
    let centre = Centre::new();
    let channel = Recorder::new("one");
    let running = centre.run(vec![channel.boxed()]);
    let records = [raised("a"), raised("b"), over("a")];
    centre.append(&records).await;
    running.stop().await;
    assert_eq!(*channel.given.borrow(), keys(&records));
    let running = centre.run(vec![channel.boxed()]);
    centre.append(&[over("b")]).await;
    running.stop().await;
    assert_eq!(channel.given.borrow()[3..], keys(&[over("b")]));
}

#[tokio::test]
async fn a_record_is_tried_until_it_is_taken_and_a_refused_one_passed_over() {
    let centre = Centre::new();
    let refused = ChannelError::Refused("no such number".into());
    let answers = [retry(), retry(), retry(), refused, retry()];
    let channel = Recorder::new("one").answering(&answers);
    let running = centre.run(vec![channel.boxed()]);
    centre.append(&[raised("a"), raised("b"), over("b")]).await;
    assert_eq!(channel.taken(2).await, keys(&[raised("b"), over("b")]), "`a` was refused");
    running.stop().await;
}

#[tokio::test]
async fn a_channel_that_is_stuck_delays_no_other_and_loses_nothing() {
    let centre = Centre::new();
    let (good, stuck) = (Recorder::new("good"), Recorder::new("stuck"));
    let stuck = stuck.answering(&vec![retry(); 10_000]);
    let running = centre.run(vec![stuck.boxed(), good.boxed()]);
    let records = [raised("a"), raised("b")];
    centre.append(&records).await;
    assert_eq!(good.taken(2).await, keys(&records));
    running.stop().await;
    assert!(stuck.given.borrow().is_empty());
    let mended = stuck.answering(&[]);
    let running = centre.run(vec![mended.boxed(), good.boxed()]);
    assert_eq!(mended.taken(2).await, keys(&records));
    running.stop().await;
    assert_eq!(good.given.borrow().len(), 2, "the other one had them");
}

#[tokio::test]
async fn killed_at_any_time_it_delivers_at_least_once_and_each_alert_in_order() {
    let mut centre = Centre::new();
    let channel = Recorder::new("one");
    centre.run(vec![channel.boxed()]).stop().await;
    let mut records = Vec::new();
    for round in 0..30 {
        let running = centre.run(vec![channel.boxed()]);
        let id = format!("{round}");
        centre.append(&[raised(&id), over(&id)]).await;
        records.extend([raised(&id), over(&id)]);
        if round % 3 > 0 {
            channel.taken(round).await;
        }
        centre.kill(running).await;
    }
    let running = centre.run(vec![channel.boxed()]);
    running.stop().await;
    let given = channel.given.borrow().clone();
    // Repeats aside, it is the log.
    let mut first_seen: Vec<(String, u32)> = Vec::new();
    for key in given {
        if !first_seen.contains(&key) {
            first_seen.push(key);
        }
    }
    assert_eq!(first_seen, keys(&records));
}

#[tokio::test]
async fn a_new_channel_is_told_no_old_news() {
    let centre = Centre::new();
    centre.append(&[raised("old"), raised("open"), over("old")]).await;
    let plain = Recorder::new("plain");
    let forgetful = Recorder { forgets: true, ..Recorder::new("forgetful") };
    let running = centre.run(vec![plain.boxed(), forgetful.boxed()]);
    assert_eq!(forgetful.taken(1).await, keys(&[raised("open")]));
    centre.append(&[over("open")]).await;
    assert_eq!(plain.taken(1).await, keys(&[over("open")]));
    running.stop().await;
}

#[tokio::test]
async fn sirens_find_what_is_open_retained_also_after_a_restart() {
    let mut centre = Centre::new();
    let broker = Broker::default();
    let running = centre.run(vec![Box::new(Mqtt::new(broker.clone()))]);
    centre.append(&[raised("a"), raised("b"), over("b"), raised("c")]).await;
    let topics =
        |retained: &BTreeMap<String, Vec<u8>>| retained.keys().cloned().collect::<Vec<_>>();
    let expected = ["sen/v1/alerts/28261/a", "sen/v1/alerts/28261/c"];
    let mut retained = broker.0.subscribe();
    within("retained", retained.wait_for(|now| topics(now) == expected)).await.unwrap();
    let shown: AlertRecord =
        serde_json::from_slice(&broker.0.borrow()["sen/v1/alerts/28261/a"]).unwrap();
    assert_eq!(shown, raised("a"));
    centre.kill(running).await;

    // The endpoint is new and knows nothing; one alert ended while we were away.
    centre.append(&[over("c")]).await;
    let broker = Broker::default();
    let running = centre.run(vec![Box::new(Mqtt::new(broker.clone()))]);
    running.stop().await;
    assert_eq!(topics(&broker.0.borrow()), ["sen/v1/alerts/28261/a"]);
}

#[tokio::test]
async fn a_broker_that_is_full_takes_what_ends_and_then_has_room() {
    let centre = Centre::new();
    let broker = Broker(watch::Sender::default(), 2);
    let running = centre.run(vec![Box::new(Mqtt::new(broker.clone()))]);
    // `c` finds no room; were it waited for, `a` could never end.
    centre.append(&[raised("a"), raised("b"), raised("c"), over("a"), raised("d")]).await;
    let topics = ["sen/v1/alerts/28261/b", "sen/v1/alerts/28261/d"];
    let mut retained = broker.0.subscribe();
    let arrived = retained.wait_for(|now| now.keys().eq(&topics));
    within("room", arrived).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn alerts_without_an_area_have_a_topic_too() {
    let centre = Centre::new();
    let broker = Broker::default();
    let running = centre.run(vec![Box::new(Mqtt::new(broker.clone()))]);
    centre.append(&[AlertRecord { area: None, ..raised("a") }]).await;
    running.stop().await;
    assert!(broker.0.borrow().contains_key("sen/v1/alerts/unknown/a"));
}

#[test]
fn two_channels_of_one_name_are_refused() {
    let centre = Centre::new();
    let channel = Recorder::new("one");
    let Err(error) = centre.bind(vec![channel.boxed(), channel.boxed()]) else { panic!("bound") };
    assert!(matches!(error, BindError::SameName("one")));
}
