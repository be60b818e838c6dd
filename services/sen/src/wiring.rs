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
use std::sync::Arc;

use anyhow::{Context, bail};
use sen_alert::backtest::Backtester;
use sen_archive::Archive;
use sen_chassis::{Clock, Health, Problem, telemetry};
use sen_model::{Progress, Registry};
use tokio::sync::watch;

use crate::admin::Outlook;
use crate::apart::{self, Refused};
use crate::cli::Place;
use crate::config::Settings;
use crate::lags::Lags;
use crate::probe::{self, Probe};
use crate::stages::Stages;
use crate::vitals::{self, Vitals};

mod parts;
pub(crate) mod topics;

use parts::Shared;

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
        let (health, clock) = (Health::new(), Clock::system());
        health.well(Role::Simulator.name());
        let observed = (metrics, health, clock);
        let outlook =
            Outlook::bind(&settings.telemetry, name_of(roles), String::new(), observed).await?;
        simulate(&settings, broker, &mut stages)?;
        outlook.stage(&mut stages);
        return stages.run(None).await;
    }
    if settings.cluster.is_apart() {
        let [role] = roles else { return Err(whole_among_servers().into()) };
        return Box::pin(apart::run(settings, place, *role, metrics, stages)).await;
    }
    let mut shared = Shared::open(settings, place, metrics)?;
    let outlook = Outlook::bind(
        &shared.settings.telemetry,
        name_of(roles),
        String::new(),
        (shared.metrics.clone(), shared.health.clone(), shared.clock.clone()),
    )
    .await?;
    let mut addresses = bind(&mut shared, roles, &mut stages).await?;
    addresses.admin = outlook.address();
    stages.add("lags", Some(parts::lags(&shared)), Lags::run);
    // Last, so that it is seen how the others stop.
    outlook.stage(&mut stages);
    addresses.tell(place.print_addresses);
    stages.run(Some(shared.log)).await
}

/// Binds each wanted service, the last of the chain first, and lines them up in stopping order.
async fn bind(
    shared: &mut Shared,
    roles: &[Role],
    stages: &mut Stages,
) -> anyhow::Result<Addresses> {
    let wanted = |role| roles.contains(&role);
    let aggregate = if wanted(Role::Aggregate) { Some(parts::aggregate(shared)?) } else { None };
    let alert = if wanted(Role::Alert) { Some(parts::alert(shared)?) } else { None };
    let ingest = if wanted(Role::Ingest) { Some(parts::ingest(shared).await?) } else { None };
    let notify = match (&ingest, wanted(Role::Notify)) {
        (Some(ingest), true) => {
            let rules = alert.as_ref().map(sen_alert::Alert::rules);
            Some(parts::notify(shared, ingest.publisher(), rules)?)
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
        Some(parts::gateway(shared, stored, evaluated, rules.clone()).await?)
    } else {
        None
    };
    let screens = gateway.as_ref().map(sen_gateway::Gateway::screens);
    let stored_here = aggregate.as_ref().map(sen_aggregate::Aggregate::progress);
    let archived = aggregate.as_ref().and_then(sen_aggregate::Aggregate::archived);
    let edge = if wanted(Role::Ingest) { parts::edge(shared)? } else { None };
    let kept_above_at = edge.as_ref().map(sen_edge::Edge::kept_at);
    let watched = parts::Watched { stored: stored_here, archived, kept_above_at, judged, screens };
    let vitals = ingest.is_some().then(|| parts::vitals(shared, watched));
    let backtester = rules.clone().filter(|_| wanted(Role::Aggregate));
    let backtester = backtester.and_then(|rules| parts::backtester_over(shared, rules));
    let addresses = Addresses {
        http: gateway.as_ref().map(sen_gateway::Gateway::address),
        mqtt: ingest.as_ref().and_then(sen_ingest::Ingest::mqtt_address),
        admin: None,
    };

    if wanted(Role::Simulator) {
        let broker = addresses.mqtt.context("the simulator needs the MQTT endpoint")?;
        simulate(&shared.settings, broker, stages)?;
    }
    let probe = parts::probe(shared, addresses.mqtt, roles);
    stages.add("probe", probe, Probe::run);
    stages.add("vitals", vitals, Vitals::run);
    // Beside whoever writes the store.
    let exporter = wanted(Role::Aggregate).then(|| parts::exporter(shared)).flatten();
    stages.add("export", exporter, sen_export::Exporter::run);
    stages.add("ingest", ingest, sen_ingest::Ingest::run);
    stages.add("upstream", edge, sen_edge::Edge::run);
    stages.add("aggregate", aggregate, sen_aggregate::Aggregate::run);
    stages.add("alert", alert, sen_alert::Alert::run);
    stages.add("backtest", backtester, Backtester::run);
    stages.add("notify", notify, sen_notify::Notify::run);
    stages.add("gateway", gateway, sen_gateway::Gateway::run);
    Ok(addresses)
}

fn whole_among_servers() -> Refused {
    let advice = "`sen run` is a centre on one machine: leave it empty, or start the roles apart \
                  (`sen ingest`, `aggregate`, `alert`, `notify`, `gateway`)";
    Refused(Problem::new("cluster.nats", advice))
}

/// What traces call a process of these roles.
fn name_of(roles: &[Role]) -> &'static str {
    match roles {
        [role] => role.service_name(),
        _ => "sen",
    }
}

/// Progress of a service that does not run here.
fn idle() -> watch::Receiver<Progress> {
    watch::channel(Progress::default()).1
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
