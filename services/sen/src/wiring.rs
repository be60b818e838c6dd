//! The wiring diagram: which service reads what, writes what, and in which order they stop.
//!
//! ```text
//!  devices ──MQTT──▶ ingest ──readings──▶ aggregate ──▶ store, archive ────┐
//!                      │  └──events, quarantine──────────────────────┐     ▼
//!                      │            └─────readings──▶ alert ──alerts──▶ gateway ──▶ screens
//!  sirens ◀──MQTT──────┴◀── notify ◀──alerts, shadow────┘▲──commands──────┘
//!  people ◀──mail, push, webhooks──┴──deliveries, oncall─▶  (gateway)
//! ```
//!
//! Every arrow with a name is a topic of the log, read by a durable cursor; the rest are calls
//! within the process. Binding goes against the arrows, so that nobody speaks before somebody
//! listens; stopping goes along them, so that each service ends when its input has ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use sen_alert::backtest::Backtester;
use sen_archive::Archive;
use sen_chassis::call::{self, Answerer, Caller};
use sen_chassis::{Clock, Health, telemetry};
use sen_log::Log;
use sen_model::{
    BacktestAnswer, BacktestAsk, Command, CommandOutcome, OnCallAnswer, OnCallAsk, Progress,
    Registry,
};
use sen_store::Store;
use tokio::sync::watch;

use crate::admin::Outlook;
use crate::cli::Place;
use crate::config::Settings;
use crate::lags::{Lag, Lags};
use crate::probe::{self, Probe};
use crate::sirens::Sirens;
use crate::stages::Stages;
use crate::vitals::{self, Gauges, Vitals};

pub(crate) mod topics;

use topics::Topics;

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
    /// How it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Aggregate => "aggregate",
            Self::Alert => "alert",
            Self::Notify => "notify",
            Self::Gateway => "gateway",
            Self::Simulator => "simulator",
        }
    }

    /// What traces call a process of this role alone.
    pub(crate) fn service_name(self) -> &'static str {
        match self {
            Self::Ingest => "sen-ingest",
            Self::Aggregate => "sen-aggregate",
            Self::Alert => "sen-alert",
            Self::Notify => "sen-notify",
            Self::Gateway => "sen-gateway",
            Self::Simulator => "sen-simulator",
        }
    }

    /// The services of a whole centre.
    pub(crate) const SERVICES: [Self; 5] =
        [Self::Ingest, Self::Aggregate, Self::Alert, Self::Notify, Self::Gateway];
}

/// Commands that wait for the alert service, at most; callers beyond it wait their turn.
pub(crate) const OPEN_COMMANDS: usize = 64;

/// Questions that wait for the notify service, at most.
pub(crate) const OPEN_ASKS: usize = 64;

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
    let outlook = Outlook::bind(
        &shared.settings.telemetry,
        service_name(roles),
        String::new(),
        (shared.metrics.clone(), shared.health.clone(), shared.clock.clone()),
    )
    .await?;
    let mut addresses = bind(&mut shared, roles, &mut stages).await?;
    addresses.admin = outlook.address();
    stages.add("lags", Some(lags(&shared)), Lags::run);
    // Last, so that it is seen how the others stop.
    outlook.stage(&mut stages);
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
        let archive = archive_of(&settings)?;
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
        Some(gateway(shared, stored, evaluated, rules.clone()).await?)
    } else {
        None
    };
    let screens = gateway.as_ref().map(sen_gateway::Gateway::screens);
    let stored_here = aggregate.as_ref().map(sen_aggregate::Aggregate::progress);
    let archived = aggregate.as_ref().and_then(sen_aggregate::Aggregate::archived);
    let vitals = ingest.is_some().then(|| {
        let gauges = gauges(shared, Watched { stored: stored_here, archived, judged, screens });
        let measure = move |now| gauges.measure(now);
        Vitals { readings: shared.topics.readings.clone(), measure, clock: shared.clock.clone() }
    });
    let backtester = rules.clone().filter(|_| wanted(Role::Aggregate));
    let backtester = backtester.and_then(|rules| backtester_over(shared, rules));
    let addresses = Addresses {
        http: gateway.as_ref().map(sen_gateway::Gateway::address),
        mqtt: ingest.as_ref().and_then(sen_ingest::Ingest::mqtt_address),
        admin: None,
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
    stages.add("aggregate", aggregate, sen_aggregate::Aggregate::run);
    stages.add("alert", alert, sen_alert::Alert::run);
    stages.add("backtest", backtester, Backtester::run);
    stages.add("notify", notify, sen_notify::Notify::run);
    stages.add("gateway", gateway, sen_gateway::Gateway::run);
    Ok(addresses)
}

/// What traces call a process of these roles.
fn service_name(roles: &[Role]) -> &'static str {
    match roles {
        [Role::Ingest] => "sen-ingest",
        [Role::Aggregate] => "sen-aggregate",
        [Role::Alert] => "sen-alert",
        [Role::Notify] => "sen-notify",
        [Role::Gateway] => "sen-gateway",
        _ => "sen",
    }
}

/// The heads of the topics and how far each cursor is behind, as gauges.
fn lags(shared: &Shared) -> Lags {
    let Topics { readings, events, quarantine, alerts, desk, shadow, deliveries, oncall } =
        shared.topics.clone();
    Lags::new(|| Box::pin(async { Ok(Vec::<Lag>::new()) }))
        .with_head("readings", move || readings.head())
        .with_head("events", move || events.head())
        .with_head("quarantine", move || quarantine.head())
        .with_head("alerts", move || alerts.head())
        .with_head("desk", move || desk.head())
        .with_head("shadow", move || shadow.head())
        .with_head("deliveries", move || deliveries.head())
        .with_head("oncall", move || oncall.head())
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
            whole_from: None,
        }),
        None => {
            // One that was given up must not hold the log back for ever.
            shared.log.forget_cursor(readings, ARCHIVE_CURSOR)?;
            None
        }
    };
    let ports = sen_aggregate::Ports {
        readings: readings.clone(),
        cursor: Some(shared.log.cursor(readings, "aggregate")?),
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
        commands: shared.commands.1.take().context("only one alert service a process")?,
        registry: Arc::clone(&shared.settings.registry),
        clock: shared.clock.clone(),
        health: shared.health.clone(),
    };
    let rules = shared.settings.folder.join("rules.toml");
    Ok(sen_alert::Alert::bind(shared.settings.alert.clone(), rules, ports)?)
}

fn backtester_over(
    shared: &mut Shared,
    in_force: watch::Receiver<Arc<Vec<sen_model::Rule>>>,
) -> Option<Backtester> {
    let asks = shared.backtests.1.take()?;
    let (store, registry) = (shared.store.clone(), Arc::clone(&shared.settings.registry));
    Some(Backtester { asks, store, registry, in_force })
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
        best_effort: watch::channel(None).1,
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
    judged: Option<watch::Receiver<Progress>>,
    screens: Option<watch::Receiver<sen_gateway::ScreensState>>,
}

fn gauges(shared: &Shared, watched: Watched) -> Gauges {
    let topics = &shared.topics;
    let readings = topics.readings.clone();
    let begun = sen_model::Timestamp::from_millis(shared.clock.now_ms());
    Gauges {
        damaged: vec![
            vitals::damaged(&topics.readings),
            vitals::damaged(&topics.events),
            vitals::damaged(&topics.quarantine),
            vitals::damaged(&topics.alerts),
            vitals::damaged(&topics.desk),
        ],
        history_behind_s: watched
            .stored
            .map(|stored| vitals::history_behind(stored, readings.clone(), begun)),
        archive_behind_s: watched.archived.map(vitals::archive_behind),
        judging_behind: watched.judged.map(|judged| vitals::judging_behind(judged, readings)),
        screens_stale: watched.screens.map(vitals::screens_stale),
        folder: shared.storage.clone(),
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

/// The archive, if there is one.
pub(crate) fn archive_of(settings: &Settings) -> anyhow::Result<Option<Archive>> {
    Ok(settings.archive.clone().map(Archive::new).transpose()?)
}

/// Where this process can be reached.
#[derive(Default, serde::Serialize)]
pub(crate) struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mqtt: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<SocketAddr>,
}

impl Addresses {
    /// As one line of JSON for programs, or as lines for people.
    pub(crate) fn tell(&self, as_json: bool) {
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
        if let Some(admin) = self.admin {
            println!("Admin:            http://{admin}/readyz");
        }
    }
}
