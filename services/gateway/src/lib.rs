//! The gateway: everything to the screens, and the way in for people's commands.
//!
//! Reading order: [`wire`] (the frames), [`view`] and [`sequencer`] (what one connection is told),
//! [`projection`] (what is folded from the log), `feeds` (the tasks that fold), `socket` (a
//! connection's life), `ticks` (the telemetry lane), `past` (what was
//! measured), `query` (questions about it), `history` (the last day of the tiles), `alerting` (can
//! alerts be raised at all) and [`notice`] (what every screen is told), `why` (what led to an alert),
//! `performance` (how good the alarms are), `cap` (alerts for others) and `prometheus` (alerts of
//! others), `http` (requests and commands), `pages` (the screens), [`map`] and [`wall`] (what the
//! province looks like), `server` and `guard` (the door).

pub mod alerting;
pub mod cap;
mod centre;
mod config;
mod feeds;
mod guard;
mod history;
mod http;
pub mod map;
pub mod notice;
mod pages;
mod past;
pub mod performance;
pub mod projection;
pub mod prometheus;
mod query;
#[cfg(test)]
mod sample;
pub mod sequencer;
mod server;
mod socket;
mod ticks;
mod track;
pub mod view;
pub mod wall;
pub mod why;
pub mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use sen_archive::Archive;
use sen_chassis::call::Caller;
use sen_chassis::telemetry::Metrics;
use sen_chassis::{Clock, Health, Problem, Shutdown, Tasks};
use sen_log::{Offset, Topic};
use sen_model::{
    AlertRecord, BacktestAnswer, BacktestAsk, Command, CommandOutcome, Delivery, DeskRecord, Event,
    OnCallAnswer, OnCallAsk, Place, Progress, Quarantined, ReadingBatch, Registry, Rule, SeriesKey,
    Timestamp,
};
use sen_store::{SeriesId, Store};
use tokio::sync::{Semaphore, watch};

use centre::{Centre, Shared};
use feeds::Begin;
use history::Histories;
use past::Past;
use projection::latest::Sighting;
use projection::{Counts, Latest, Screens};
use server::Server;
use ticks::Ticks;
use track::{Track, Tracks};

pub use config::{Cap, Config, Prometheus, Scope};
pub use projection::ScreensState;

/// What the gateway is given.
pub struct Ports {
    /// Every reading.
    pub readings: Topic<ReadingBatch>,
    /// Every event.
    pub events: Topic<Event>,
    /// Everything that could not be taken.
    pub quarantine: Topic<Quarantined>,
    /// Every change of every alert.
    pub alerts: Topic<AlertRecord>,
    /// The same of rules on trial.
    pub shadow: Topic<AlertRecord>,
    /// Every change at the desk.
    pub desk: Topic<DeskRecord>,
    /// Every change of every delivery to a person.
    pub deliveries: Topic<Delivery>,
    /// Readings and summaries of the past.
    pub store: Store,
    /// What the store no longer has, if it is kept.
    pub archive: Option<Archive>,
    /// How long the store keeps what.
    pub kept: sen_store::Config,
    /// Devices and places.
    pub registry: Arc<Registry>,
    /// The rules in force.
    pub rules: watch::Receiver<Arc<Vec<Rule>>>,
    /// Where commands go.
    pub commands: Caller<Command, CommandOutcome>,
    /// Who knows who is on call.
    pub oncall: Caller<OnCallAsk, OnCallAnswer>,
    /// Who tries rules over stored history.
    pub backtests: Caller<BacktestAsk, BacktestAnswer>,
    /// How far the store has come.
    pub stored: watch::Receiver<Progress>,
    /// How far the rules have come.
    pub evaluated: watch::Receiver<Progress>,
    /// Why what the log acknowledges may not be on disk; none where it is.
    pub best_effort: watch::Receiver<Option<String>>,
    /// What the parts of this process say of themselves.
    pub health: Health,
    /// The metrics of this process.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// The config folder: `wall.toml`, and `map/areas.geojson` where there is one.
    pub folder: PathBuf,
}

/// Why the gateway could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The config does not allow it.
    #[error("{0}")]
    Config(Problem),
    /// The address could not be taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store could not be read.
    #[error("the latest values could not be read from the store")]
    Store(#[from] sen_store::StoreError),
}

/// Why the gateway stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log could not be read.
    #[error("the log could not be read")]
    Log(#[source] sen_log::ReadError),
    /// One of its tasks ended in a bug.
    #[error("a task of the gateway ended in a bug")]
    Task(#[source] tokio::task::JoinError),
}

/// Every mistake in the files of the config folder that the gateway reads.
pub fn check_folder(folder: &Path) -> Vec<Problem> {
    let wall = wall::read(folder).err().unwrap_or_default();
    wall.into_iter().chain(map::official::read(folder).err()).collect()
}

/// A bound gateway.
pub struct Gateway {
    centre: Shared,
    server: Server,
    address: SocketAddr,
    begin: Begin,
}

impl Gateway {
    /// Takes the address and reads the latest values from the store; starts nothing.
    pub async fn bind(config: Config, ports: Ports) -> Result<Self, BindError> {
        let wanted = config.address().map_err(BindError::Config)?;
        let listen = |source| BindError::Listen { address: wanted, source };
        let server =
            Server::bind(wanted, config.live_connections, Duration::from_millis(config.idle_ms))
                .await
                .map_err(listen)?;
        let address = server.address().map_err(listen)?;
        let mut latest = Latest::new(&ports.registry, config.most_series);
        restore(&ports.store, &mut latest);
        let begin = Begin {
            readings: first_unstored(&ports).await?,
            events: ports.events.head() + 1,
            quarantine: ports.quarantine.head() + 1,
        };
        let wall = wall::read(&ports.folder).unwrap_or_else(|problems| {
            problems
                .iter()
                .for_each(|problem| tracing::warn!(%problem, "the wall's tiles are left out"));
            wall::Wall::default()
        });
        let map = official_map(&ports.folder, ports.registry.places());
        let since = Timestamp::from_millis(ports.clock.now_ms());
        let centre = Arc::new(Centre {
            since,
            alerts: RwLock::default(),
            episodes: RwLock::default(),
            shadow: RwLock::default(),
            desk: RwLock::default(),
            deliveries: RwLock::default(),
            tracks: Tracks {
                alerts: Track::new("alerts", ports.alerts.head()),
                desk: Track::new("the desk", ports.desk.head()),
                shadow: Track::new("alerts on trial", ports.shadow.head()),
                deliveries: Track::new("deliveries", ports.deliveries.head()),
            },
            watch: Mutex::new(alerting::Watch::new(since)),
            notice: watch::Sender::new(None),
            backtests: Semaphore::new(http::MOST_BACKTESTS),
            reports: Arc::new(Semaphore::new(http::MOST_REPORTS)),
            latest: RwLock::new(latest),
            counts: Mutex::new(Counts::default()),
            screens: Mutex::new(Screens::default()),
            screens_state: watch::Sender::new(ScreensState::default()),
            loss_was_told: AtomicBool::new(false),
            ticks: Ticks::new(),
            map,
            outlines: OnceLock::new(),
            histories: Histories::new(&wall, &ports.registry),
            wall,
            past: Past::new(
                ports.store.clone(),
                ports.kept.clone(),
                ports.clock.clone(),
                ports.archive.clone(),
            ),
            streams: Arc::new(Semaphore::new(http::MOST_STREAMS)),
            config,
            ports,
        });
        // Before anybody can ask whether it is ready.
        centre.tell_wholeness();
        Ok(Self { centre, server, address, begin })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many screens there are and how many of them are stale, about every second.
    pub fn screens(&self) -> watch::Receiver<ScreensState> {
        self.centre.screens_state.subscribe()
    }

    /// Serves until asked to stop: screens are told to come back, answers under way are finished,
    /// the folds read to the head.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { centre, server, begin, .. } = self;
        let (door, arrivals) = socket::door();
        let router = guard::around(http::router(door, Arc::clone(&centre)), Arc::clone(&centre));
        let mut tasks: Tasks<RunError> = Tasks::new();
        let its = || (Arc::clone(&centre), shutdown.clone());
        let (c, s) = its();
        tasks.spawn("alerts", feeds::alerts(c, s));
        let (c, s) = its();
        tasks.spawn("desk", feeds::desk(c, s));
        let (c, s) = its();
        tasks.spawn("shadow", feeds::shadow(c, s));
        let (c, s) = its();
        tasks.spawn("deliveries", feeds::deliveries(c, s));
        let (c, s) = its();
        tasks.spawn("watch", feeds::watch(c, s));
        let (c, s) = its();
        tasks.spawn("readings", feeds::readings(c, begin.readings, s));
        let (c, s) = its();
        tasks.spawn("events", feeds::events(c, begin.events, s));
        let (c, s) = its();
        tasks.spawn("quarantine", feeds::quarantine(c, begin.quarantine, s));
        let (c, s) = its();
        tasks.spawn("look", feeds::look(c, s));
        let (c, s) = its();
        tasks.spawn("ticks", ticks::run(c, s));
        let (c, s) = its();
        tasks.spawn("screens", async move {
            socket::run(c, arrivals, s).await;
            Ok(())
        });
        let (_, s) = its();
        tasks.spawn("http", async move {
            server.run(router, s).await;
            Ok(())
        });
        tasks.join_all().await.map_err(|error| match error {
            sen_chassis::tasks::TaskError::Failed { source, .. } => source,
            sen_chassis::tasks::TaskError::Panicked(source) => RunError::Task(source),
        })
    }
}

/// Takes the latest reading of every series from the store.
fn restore(store: &Store, latest: &mut Latest) {
    let names: HashMap<SeriesId, SeriesKey> = store.series().into_iter().collect();
    for (id, point) in store.latest_of_all() {
        let Some(key) = names.get(&id) else { continue };
        let sighting = Sighting {
            event_time: point.event_time,
            sequence: point.sequence,
            value: point.value,
            quality: point.quality,
            received_at: point.received_at,
        };
        latest.restore(&key.device, &key.metric, sighting);
    }
}

/// Where the readings begin that the store may not hold yet. Some may come twice; the fold does
/// not mind.
async fn first_unstored(ports: &Ports) -> Result<Offset, BindError> {
    let (floor, end) = (ports.readings.floor(), ports.readings.head() + 1);
    let checkpoint = ports.store.checkpoint().await?;
    let ours = checkpoint.filter(|checkpoint| checkpoint.epoch == ports.readings.epoch().0);
    Ok(ours.map_or(floor, |checkpoint| checkpoint.next.clamp(floor, end)))
}

/// The official map, if there is a sound one.
fn official_map(folder: &Path, places: &[Place]) -> OnceLock<bytes::Bytes> {
    match map::official(folder, places) {
        Ok(Some(map)) => OnceLock::from(bytes::Bytes::from(map.to_string())),
        Ok(None) => OnceLock::new(),
        Err(problem) => {
            tracing::warn!(%problem, "the official map is left out");
            OnceLock::new()
        }
    }
}
