//! What every role stands on: the log, the others, the clock, and what is told of itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sen_chassis::{Clock, Health, Problem, telemetry};
use sen_cluster::Cluster;
use sen_log::{Durability, Log, nats};
use sen_model::Progress;
use tokio::sync::watch;

use super::status::{self, Status, Statuses};
use super::{beside, stage};
use crate::admin::Outlook;
use crate::cli::Place;
use crate::config::Settings;
use crate::lags::Lags;
use crate::stages::Stages;
use crate::vitals::Gauges;
use crate::wiring::Role;

/// Takes in what the others tell.
type Hearing = Pin<Box<dyn Future<Output = Result<(), sen_cluster::Error>> + Send>>;

/// The part of a process that has joined the others.
const CLUSTER: &str = "cluster";

/// A process among the others.
pub(super) struct Site {
    pub(super) settings: Settings,
    pub(super) storage: PathBuf,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) metrics: telemetry::Metrics,
    pub(super) cluster: Cluster,
    pub(super) log: Log,
    pub(super) statuses: Statuses,
    hearing: Mutex<Option<Hearing>>,
    outlook: Mutex<Option<Outlook>>,
    gauges: Mutex<Gauges>,
    judged: Mutex<Option<watch::Receiver<Progress>>>,
}

/// What the operator asked not to run without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) Problem);

impl Site {
    /// Joins the others and opens the log.
    pub(super) async fn join(
        settings: Settings,
        place: &Place,
        role: Role,
        metrics: telemetry::Metrics,
    ) -> anyhow::Result<Self> {
        let config = &settings.cluster;
        let instance = config.instance_of(role.name());
        let cluster = Cluster::connect(config, role.name(), &instance).await?;
        let log = Log::over_nats(
            cluster.client(),
            nats::Config {
                name: config.name.clone(),
                partitions: config.partitions,
                replicas: config.replicas,
                monitors: config.monitors.clone(),
            },
        )
        .await?;
        match log.durability() {
            Durability::BestEffort(reason) if config.require_durable => {
                return Err(Refused(Problem::new("cluster.require_durable", reason)).into());
            }
            Durability::BestEffort(reason) => tracing::warn!(reason, "best effort"),
            Durability::Durable => tracing::info!("what is acknowledged is on disk"),
        }
        let (statuses, hearing) = cluster.told::<Status>();
        std::fs::create_dir_all(&place.data)?;
        let (clock, health) = (Clock::system(), Health::new());
        // Also who stands by is ready.
        health.well(CLUSTER);
        let outlook = Outlook::bind(
            &settings.telemetry,
            role.service_name(),
            instance,
            (metrics.clone(), health.clone(), clock.clone()),
        )
        .await?;
        Ok(Self {
            storage: place.data.clone(),
            clock,
            health,
            metrics,
            cluster,
            log,
            statuses,
            hearing: Mutex::new(Some(Box::pin(hearing))),
            outlook: Mutex::new(Some(outlook)),
            gauges: Mutex::new(Gauges::new(place.data.clone())),
            judged: Mutex::default(),
            settings,
        })
    }

    /// What is measured here.
    pub(super) fn gauges(&self) -> MutexGuard<'_, Gauges> {
        locked(&self.gauges)
    }

    /// From now on it is told how far the readings are judged; none: they are judged elsewhere.
    pub(super) fn judges(&self, progress: Option<watch::Receiver<Progress>>) {
        *locked(&self.judged) = progress;
    }

    /// How far the readings are judged here.
    pub(super) fn judged(&self) -> Option<Progress> {
        locked(&self.judged).as_ref().map(|progress| *progress.borrow())
    }

    /// Adds what every role has: its state to the others and theirs to it, the lags, the admin
    /// endpoint. Last, so that it is seen how the others stop.
    pub(super) fn watch_over(self: &Arc<Self>, stages: &mut Stages) -> Option<SocketAddr> {
        let (sender, own) = watch::channel(Status::default());
        let site = Arc::clone(self);
        stage(stages, "own state", |shutdown| status::look(site, sender, shutdown));
        beside(stages, "state to others", self.cluster.tell(own));
        if let Some(hearing) = locked(&self.hearing).take() {
            beside(stages, "state of others", hearing);
        }
        let (site, statuses) = (Arc::clone(self), self.statuses.clone());
        stage(stages, "state heard", |shutdown| status::hear(site, statuses, shutdown));
        stages.add("lags", Some(Lags::of(&self.log)), Lags::run);
        let outlook = locked(&self.outlook).take()?;
        let address = outlook.address();
        outlook.stage(stages);
        address
    }
}

/// Every critical section leaves its value whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
