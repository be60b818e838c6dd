//! The services of a centre in one process: each with its ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use sen_alert::backtest::Backtester;
use sen_archive::Archive;
use sen_chassis::call::{self, Answerer, Caller};
use sen_chassis::{Clock, Health, telemetry};
use sen_log::Log;
use sen_model::{
    BacktestAnswer, BacktestAsk, Command, CommandOutcome, OnCallAnswer, OnCallAsk, Progress,
    Timestamp,
};
use sen_store::Store;
use tokio::sync::watch;

use super::topics::Topics;
use super::{OPEN_ASKS, OPEN_COMMANDS, Role, archive_of};
use crate::cli::Place;
use crate::config::Settings;
use crate::lags::Lags;
use crate::probe::Probe;
use crate::sirens::Sirens;
use crate::upstream;
use crate::vitals::{self, Gauges, Measured, Vitals};

/// What the services share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) metrics: telemetry::Metrics,
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) archive: Option<Archive>,
    pub(super) topics: Topics,
    pub(super) storage: PathBuf,
    pub(super) commands:
        (Caller<Command, CommandOutcome>, Option<Answerer<Command, CommandOutcome>>),
    pub(super) backtests:
        (Caller<BacktestAsk, BacktestAnswer>, Option<Answerer<BacktestAsk, BacktestAnswer>>),
    pub(super) asks: (Caller<OnCallAsk, OnCallAnswer>, Option<Answerer<OnCallAsk, OnCallAnswer>>),
}

impl Shared {
    pub(super) fn open(
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

pub(super) async fn ingest(shared: &Shared) -> anyhow::Result<sen_ingest::Ingest> {
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

pub(super) fn edge(shared: &Shared) -> anyhow::Result<Option<sen_edge::Edge>> {
    let Topics { readings, events, quarantine, .. } = &shared.topics;
    let config = shared.settings.upstream.clone();
    upstream::edge(config, &shared.log, (readings, events, quarantine), &shared.health)
}

/// The cursor of the archive over the readings.
const ARCHIVE_CURSOR: &str = "archive";

pub(super) fn aggregate(shared: &Shared) -> anyhow::Result<sen_aggregate::Aggregate> {
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

pub(super) fn exporter(shared: &Shared) -> Option<sen_export::Exporter> {
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

pub(super) fn alert(shared: &mut Shared) -> anyhow::Result<sen_alert::Alert> {
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

pub(super) fn backtester_over(
    shared: &mut Shared,
    in_force: watch::Receiver<Arc<Vec<sen_model::Rule>>>,
) -> Option<Backtester> {
    let asks = shared.backtests.1.take()?;
    let (store, registry) = (shared.store.clone(), Arc::clone(&shared.settings.registry));
    Some(Backtester { asks, store, registry, in_force })
}

pub(super) fn notify(
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

pub(super) async fn gateway(
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
pub(super) struct Watched {
    pub(super) stored: Option<watch::Receiver<Progress>>,
    pub(super) archived: Option<watch::Receiver<sen_aggregate::Archived>>,
    pub(super) kept_above_at: Option<watch::Receiver<sen_model::Timestamp>>,
    pub(super) judged: Option<watch::Receiver<Progress>>,
    pub(super) screens: Option<watch::Receiver<sen_gateway::ScreensState>>,
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
        upstream_silent_s: watched.kept_above_at.map(vitals::silent_since),
        judging_behind: watched.judged.map(|judged| vitals::judging_behind(judged, readings)),
        screens_stale: watched.screens.map(vitals::screens_stale),
        folder: shared.storage.clone(),
    }
}

pub(super) fn vitals(
    shared: &Shared,
    watched: Watched,
) -> Vitals<impl Fn(Timestamp) -> Measured + Send + use<>> {
    let gauges = gauges(shared, watched);
    let measure = move |now| gauges.measure(now);
    Vitals { readings: shared.topics.readings.clone(), measure, clock: shared.clock.clone() }
}

/// The way of the probe must lie in this process, and there must be an endpoint to begin at.
pub(super) fn probe(shared: &Shared, mqtt: Option<SocketAddr>, roles: &[Role]) -> Option<Probe> {
    let is_whole = [Role::Ingest, Role::Alert].iter().all(|role| roles.contains(role));
    mqtt.filter(|_| is_whole).map(|broker| Probe::new(broker, shared.clock.clone()))
}

/// The heads of the topics and how far each cursor is behind, as gauges.
pub(super) fn lags(shared: &Shared) -> Lags {
    let Topics { readings, events, quarantine, alerts, desk, shadow, deliveries, oncall } =
        shared.topics.clone();
    Lags::of(&shared.log)
        .with_head("readings", move || readings.head())
        .with_head("events", move || events.head())
        .with_head("quarantine", move || quarantine.head())
        .with_head("alerts", move || alerts.head())
        .with_head("desk", move || desk.head())
        .with_head("shadow", move || shadow.head())
        .with_head("deliveries", move || deliveries.head())
        .with_head("oncall", move || oncall.head())
}
