//! The wiring diagram: which service reads what, writes what, and in which order they stop.
//!
//! ```text
//!  devices ──MQTT──▶ ingest ──readings──▶ aggregate ──▶ store, archive ────┐
//!                      │  └──events, quarantine──────────────────────┐     ▼
//!                      │            └─────readings──▶ alert ──alerts──▶ gateway ──▶ screens
//!  sirens ◀──MQTT──────┴◀── notify ◀──alerts, shadow────┘▲──commands──────┘
//!  people ◀──mail, push, webhooks──┴──deliveries, oncall─▶  (gateway)
//!  the centre above ◀──MQTT── edge ◀──readings, events──  (ingest)
//! ```
//!
//! Every arrow with a name is a topic of the log, read by a durable cursor; the rest are calls
//! within the process. Binding goes against the arrows, so that nobody speaks before somebody
//! listens; stopping goes along them, so that each service ends when its input has ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use sen_archive::Archive;
use sen_chassis::call::{self, Answerer, Caller};
use sen_chassis::{Clock, Health, telemetry};
use sen_log::{Log, Retention, Topic};
use sen_model::time::DAY_MS;
use sen_model::{
    AlertRecord, BacktestAnswer, BacktestAsk, Command, CommandOutcome, Delivery, DeskRecord, Event,
    OnCallAnswer, OnCallAsk, OnCallRecord, Progress, Quarantined, ReadingBatch, Registry,
};
use sen_store::Store;
use tokio::sync::watch;

use crate::cli::Place;
use crate::config::Settings;
use crate::probe::{self, Probe};
use crate::sirens::Sirens;
use crate::stages::Stages;
use crate::upstream;
use crate::vitals::{self, Vitals};

/// What this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Packets to readings.
    Ingest,
    /// Readings to summaries.
    Aggregate,
    /// Readings to alerts.
    Alert,
    /// Alerts to people and sirens.
    Notify,
    /// Everything to the screens.
    Gateway,
    /// A province that never sleeps.
    Simulator,
}

impl Role {
    /// The services of a whole centre.
    pub(crate) const SERVICES: [Self; 5] =
        [Self::Ingest, Self::Aggregate, Self::Alert, Self::Notify, Self::Gateway];
}

/// Commands that wait for the alert service, at most; callers beyond it wait their turn.
const OPEN_COMMANDS: usize = 64;

/// Questions that wait for the notify service, at most.
const OPEN_ASKS: usize = 64;

/// What the services share.
struct Shared {
    settings: Settings,
    clock: Clock,
    health: Health,
    metrics: telemetry::Metrics,
    log: Log,
    store: Store,
    archive: Option<Archive>,
    topics: Topics,
    storage: PathBuf,
    commands: (Caller<Command, CommandOutcome>, Option<Answerer<Command, CommandOutcome>>),
    backtests: (Caller<BacktestAsk, BacktestAnswer>, Option<Answerer<BacktestAsk, BacktestAnswer>>),
    asks: (Caller<OnCallAsk, OnCallAnswer>, Option<Answerer<OnCallAsk, OnCallAnswer>>),
}

/// The topics of the log and how long each is kept below its cursors.
struct Topics {
    readings: Topic<ReadingBatch>,
    events: Topic<Event>,
    quarantine: Topic<Quarantined>,
    alerts: Topic<AlertRecord>,
    desk: Topic<DeskRecord>,
    shadow: Topic<AlertRecord>,
    deliveries: Topic<Delivery>,
    oncall: Topic<OnCallRecord>,
}

/// Readings are in the store once their cursors have passed; a day is kept for a second look.
const READINGS: Retention = Retention { keep_ms: DAY_MS, keep_bytes: 8 << 30 };
/// Events and quarantine have no other home yet.
const EVENTS: Retention = Retention { keep_ms: 90 * DAY_MS, keep_bytes: 4 << 30 };
/// A month to mend a device in; a hostile one must not fill the disk.
const QUARANTINE: Retention = Retention { keep_ms: 30 * DAY_MS, keep_bytes: 1 << 30 };
/// Who did what, when and why is kept for ever: alerts, what was decided at the desk, who was told
/// what, and who stood in for whom.
const FOR_EVER: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
/// What rules on trial find, and the probe's records each ten seconds.
const SHADOW: Retention = Retention { keep_ms: 90 * DAY_MS, keep_bytes: 1 << 30 };

impl Topics {
    fn open(log: &Log) -> Result<Self, sen_log::OpenError> {
        Ok(Self {
            readings: log.topic("readings", READINGS)?,
            events: log.topic("events", EVENTS)?,
            quarantine: log.topic("quarantine", QUARANTINE)?,
            alerts: log.vital_topic("alerts", FOR_EVER)?,
            desk: log.vital_topic("desk", FOR_EVER)?,
            shadow: log.vital_topic("shadow", SHADOW)?,
            deliveries: log.vital_topic("deliveries", FOR_EVER)?,
            oncall: log.vital_topic("oncall", FOR_EVER)?,
        })
    }
}

/// Binds the services of these roles, tells the addresses, and runs until asked to stop or until
/// one of them fails.
pub(crate) async fn run(
    settings: Settings,
    place: &Place,
    roles: &[Role],
    broker: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let metrics = telemetry::install(&settings.telemetry)?;
    let mut stages = Stages::new()?;
    if roles == [Role::Simulator] {
        let broker = broker.context("the simulator needs a broker")?;
        simulate(&settings, broker, &mut stages)?;
        return stages.run(None).await;
    }
    let mut shared = Shared::open(settings, place, metrics)?;
    let addresses = bind(&mut shared, roles, &mut stages).await?;
    addresses.tell(place.print_addresses);
    stages.run(Some(shared.log)).await
}

impl Shared {
    fn open(
        settings: Settings,
        place: &Place,
        metrics: telemetry::Metrics,
    ) -> anyhow::Result<Self> {
        let log = Log::open(place.data.join("log"), settings.log.clone())?;
        let store = Store::open(place.data.join("store"), settings.store.clone())?;
        let archive = settings.archive.clone().map(Archive::new).transpose()?;
        let topics = Topics::open(&log)?;
        let (caller, answerer) = call::channel(OPEN_COMMANDS);
        let (tester, tested) = call::channel(OPEN_ASKS);
        let (asker, asked) = call::channel(OPEN_ASKS);
        Ok(Self {
            settings,
            clock: Clock::system(),
            health: Health::new(),
            metrics,
            log,
            store,
            archive,
            topics,
            storage: place.data.clone(),
            commands: (caller, Some(answerer)),
            backtests: (tester, Some(tested)),
            asks: (asker, Some(asked)),
        })
    }
}

/// Binds each wanted service, the last of the chain first, and lines them up in stopping order.
async fn bind(
    shared: &mut Shared,
    roles: &[Role],
    stages: &mut Stages,
) -> anyhow::Result<Addresses> {
    let wanted = |role| roles.contains(&role);
    let aggregate = if wanted(Role::Aggregate) { Some(aggregate(shared)?) } else { None };
    let alert = if wanted(Role::Alert) { Some(alert(shared)?) } else { None };
    let ingest = if wanted(Role::Ingest) { Some(ingest(shared).await?) } else { None };
    let notify = match (&ingest, wanted(Role::Notify)) {
        (Some(ingest), true) => {
            let rules = alert.as_ref().map(sen_alert::Alert::rules);
            Some(notify(shared, ingest.publisher(), rules)?)
        }
        (None, true) => {
            bail!("notify publishes through the MQTT endpoint beside it: use `sen run`")
        }
        (_, false) => None,
    };
    if alert.is_none() {
        // Nobody here answers commands: callers are told so at once.
        (shared.commands.1, shared.backtests.1) = (None, None);
    }
    if notify.is_none() {
        shared.asks.1 = None;
    }
    let stored = aggregate.as_ref().map_or_else(idle, sen_aggregate::Aggregate::progress);
    let evaluated = alert.as_ref().map_or_else(idle, sen_alert::Alert::progress);
    let rules = alert.as_ref().map(sen_alert::Alert::rules);
    let judged = alert.is_some().then(|| evaluated.clone());
    let gateway = if wanted(Role::Gateway) {
        Some(gateway(shared, stored, evaluated, rules).await?)
    } else {
        None
    };
    let screens = gateway.as_ref().map(sen_gateway::Gateway::screens);
    let stored_here = aggregate.as_ref().map(sen_aggregate::Aggregate::progress);
    let archived = aggregate.as_ref().and_then(sen_aggregate::Aggregate::archived);
    let edge = if wanted(Role::Ingest) { edge(shared)? } else { None };
    let kept_above_at = edge.as_ref().map(sen_edge::Edge::kept_at);
    let watched = Watched { stored: stored_here, archived, kept_above_at, judged, screens };
    let vitals = ingest.is_some().then(|| own_vitals(shared, watched));
    let addresses = Addresses {
        http: gateway.as_ref().map(sen_gateway::Gateway::address),
        mqtt: ingest.as_ref().and_then(sen_ingest::Ingest::mqtt_address),
    };

    if wanted(Role::Simulator) {
        let broker = addresses.mqtt.context("the simulator needs the MQTT endpoint")?;
        simulate(&shared.settings, broker, stages)?;
    }
    // The way it goes must lie in this process, and there must be an endpoint to begin at.
    let whole = wanted(Role::Ingest) && wanted(Role::Alert);
    let probe = addresses.mqtt.filter(|_| whole);
    let probe = probe.map(|broker| Probe::new(broker, shared.clock.clone()));
    stages.add("probe", probe, Probe::run);
    stages.add("vitals", vitals, Vitals::run);
    // Beside whoever writes the store.
    let exporter = wanted(Role::Aggregate).then(|| exporter(shared)).flatten();
    stages.add("export", exporter, sen_export::Exporter::run);
    stages.add("ingest", ingest, sen_ingest::Ingest::run);
    stages.add("upstream", edge, sen_edge::Edge::run);
    stages.add("aggregate", aggregate, sen_aggregate::Aggregate::run);
    stages.add("alert", alert, sen_alert::Alert::run);
    stages.add("notify", notify, sen_notify::Notify::run);
    stages.add("gateway", gateway, sen_gateway::Gateway::run);
    Ok(addresses)
}

/// Progress of a service that does not run here.
fn idle() -> watch::Receiver<Progress> {
    watch::channel(Progress::default()).1
}

async fn ingest(shared: &Shared) -> anyhow::Result<sen_ingest::Ingest> {
    let ports = sen_ingest::Ports {
        readings: shared.topics.readings.clone(),
        events: shared.topics.events.clone(),
        quarantine: shared.topics.quarantine.clone(),
        registry: Arc::clone(&shared.settings.registry),
        reserved: vec![sen_model::DeviceId::new(crate::vitals::DEVICE)?],
        clock: shared.clock.clone(),
        health: shared.health.clone(),
    };
    let (config, sources) = (&shared.settings.ingest, &shared.settings.sources);
    Ok(sen_ingest::Ingest::bind(config, sources, ports).await?)
}

fn edge(shared: &Shared) -> anyhow::Result<Option<sen_edge::Edge>> {
    let Topics { readings, events, quarantine, .. } = &shared.topics;
    let config = shared.settings.upstream.clone();
    upstream::edge(config, &shared.log, (readings, events, quarantine), &shared.health)
}

/// The cursor of the archive over the readings.
const ARCHIVE_CURSOR: &str = "archive";

fn aggregate(shared: &Shared) -> anyhow::Result<sen_aggregate::Aggregate> {
    let readings = &shared.topics.readings;
    let destination = match &shared.archive {
        Some(archive) => Some(sen_aggregate::Destination {
            archive: archive.clone(),
            // When the disk is full, readings go on: `sen store copy` sends what it missed.
            cursor: shared.log.yielding_cursor(readings, ARCHIVE_CURSOR)?,
            quarantine: shared.topics.quarantine.clone(),
        }),
        None => {
            // One that was given up must not hold the log back for ever.
            shared.log.forget_cursor(readings, ARCHIVE_CURSOR)?;
            None
        }
    };
    let ports = sen_aggregate::Ports {
        readings: readings.clone(),
        cursor: shared.log.cursor(readings, "aggregate")?,
        store: shared.store.clone(),
        registry: Arc::clone(&shared.settings.registry),
        clock: shared.clock.clone(),
        health: shared.health.clone(),
        destination,
    };
    Ok(sen_aggregate::Aggregate::bind(shared.settings.aggregate.clone(), ports)?)
}

fn exporter(shared: &Shared) -> Option<sen_export::Exporter> {
    let exports = shared.settings.exports.clone();
    let ports = sen_export::Ports {
        store: shared.store.clone(),
        kept: shared.settings.store.clone(),
        registry: Arc::clone(&shared.settings.registry),
        folder: shared.storage.clone(),
        clock: shared.clock.clone(),
    };
    (!exports.is_empty()).then(|| sen_export::Exporter::bind(exports, ports))
}

fn alert(shared: &mut Shared) -> anyhow::Result<sen_alert::Alert> {
    let ports = sen_alert::Ports {
        readings: shared.topics.readings.clone(),
        alerts: shared.topics.alerts.clone(),
        desk: shared.topics.desk.clone(),
        shadow: shared.topics.shadow.clone(),
        events: shared.topics.events.clone(),
        cursor: shared.log.cursor(&shared.topics.readings, "alert")?,
        events_cursor: shared.log.cursor(&shared.topics.events, "alert")?,
        store: shared.store.clone(),
        backtests: shared.backtests.1.take().context("only one alert service a process")?,
        commands: shared.commands.1.take().context("only one alert service a process")?,
        registry: Arc::clone(&shared.settings.registry),
        clock: shared.clock.clone(),
        health: shared.health.clone(),
    };
    let rules = shared.settings.folder.join("rules.toml");
    Ok(sen_alert::Alert::bind(shared.settings.alert.clone(), rules, ports)?)
}

fn notify(
    shared: &mut Shared,
    publisher: sen_ingest::Publisher,
    rules: Option<watch::Receiver<Arc<Vec<sen_model::Rule>>>>,
) -> anyhow::Result<sen_notify::Notify> {
    let topics = &shared.topics;
    let as_read = || watch::channel(Arc::new(shared.settings.rules.clone())).1;
    let people = sen_notify::PeoplePorts {
        on_call: shared.settings.on_call.clone(),
        cursor: shared.log.cursor(&topics.alerts, "notify-people")?,
        deliveries: topics.deliveries.clone(),
        oncall: topics.oncall.clone(),
        shadow: topics.shadow.clone(),
        rules: rules.unwrap_or_else(as_read),
        asks: shared.asks.1.take().context("only one notify service a process")?,
        keys: shared.storage.join("keys"),
        lookup: Arc::new(sen_notify::SystemLookup),
        limits: sen_notify::Limits::default(),
    };
    let ports = sen_notify::Ports {
        alerts: topics.alerts.clone(),
        cursor: shared.log.cursor(&topics.alerts, "notify")?,
        channels: vec![Sirens::channel(publisher)],
        people,
        clock: shared.clock.clone(),
    };
    Ok(sen_notify::Notify::bind(shared.settings.notify.clone(), ports)?)
}

async fn gateway(
    shared: &Shared,
    stored: watch::Receiver<Progress>,
    evaluated: watch::Receiver<Progress>,
    rules: Option<watch::Receiver<Arc<Vec<sen_model::Rule>>>>,
) -> anyhow::Result<sen_gateway::Gateway> {
    let as_read = || watch::channel(Arc::new(shared.settings.rules.clone())).1;
    let ports = sen_gateway::Ports {
        readings: shared.topics.readings.clone(),
        events: shared.topics.events.clone(),
        quarantine: shared.topics.quarantine.clone(),
        alerts: shared.topics.alerts.clone(),
        desk: shared.topics.desk.clone(),
        shadow: shared.topics.shadow.clone(),
        deliveries: shared.topics.deliveries.clone(),
        oncall: shared.asks.0.clone(),
        backtests: shared.backtests.0.clone(),
        store: shared.store.clone(),
        archive: shared.archive.clone(),
        kept: shared.settings.store.clone(),
        registry: Arc::clone(&shared.settings.registry),
        rules: rules.unwrap_or_else(as_read),
        commands: shared.commands.0.clone(),
        stored,
        evaluated,
        health: shared.health.clone(),
        metrics: shared.metrics.clone(),
        clock: shared.clock.clone(),
        folder: shared.settings.folder.clone(),
    };
    Ok(sen_gateway::Gateway::bind(shared.settings.gateway.clone(), ports).await?)
}

/// What the services beside it tell; none where one does not run here.
struct Watched {
    stored: Option<watch::Receiver<Progress>>,
    archived: Option<watch::Receiver<sen_aggregate::Archived>>,
    kept_above_at: Option<watch::Receiver<sen_model::Timestamp>>,
    judged: Option<watch::Receiver<Progress>>,
    screens: Option<watch::Receiver<sen_gateway::ScreensState>>,
}

fn own_vitals(shared: &Shared, watched: Watched) -> Vitals {
    Vitals {
        readings: shared.topics.readings.clone(),
        events: shared.topics.events.clone(),
        quarantine: shared.topics.quarantine.clone(),
        alerts: shared.topics.alerts.clone(),
        desk: shared.topics.desk.clone(),
        stored: watched.stored,
        archived: watched.archived,
        kept_above_at: watched.kept_above_at,
        evaluated: watched.judged,
        screens: watched.screens,
        folder: shared.storage.clone(),
        begun: sen_model::Timestamp::from_millis(shared.clock.now_ms()),
        clock: shared.clock.clone(),
    }
}

fn simulate(settings: &Settings, broker: SocketAddr, stages: &mut Stages) -> anyhow::Result<()> {
    // The centre reports for itself.
    let is_own = |id: &str| id == vitals::DEVICE || id == probe::DEVICE;
    let others = settings.registry.devices().filter(|device| !is_own(device.id.as_str()));
    let registry = Registry::new(others.cloned().collect(), settings.registry.places().to_vec());
    let ports =
        sen_simulator::Ports { registry: Arc::new(registry), broker, clock: Clock::system() };
    let simulator = sen_simulator::Simulator::bind(settings.simulator.clone(), ports)?;
    stages.add("simulator", Some(simulator), sen_simulator::Simulator::run);
    Ok(())
}

/// Where this process can be reached.
#[derive(serde::Serialize)]
struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt: Option<SocketAddr>,
}

impl Addresses {
    /// As one line of JSON for programs, or as lines for people.
    fn tell(&self, as_json: bool) {
        if as_json {
            println!("{}", serde_json::json!(self));
            return;
        }
        if let Some(http) = self.http {
            println!("Màn hình / wall:  http://{http}/wall");
            println!("API:              http://{http}/api/v1/openapi.json");
        }
        if let Some(mqtt) = self.mqtt {
            println!("MQTT:             {mqtt}   (sen/v1/{{device}}/telemetry)");
        }
    }
}
