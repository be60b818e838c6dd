//! `sen gateway` among others: all serve. Each folds the whole log into a store of its own, so that
//! its answers need nobody else; what is older than that is in the archive.

use std::sync::Arc;

use sen_aggregate::Aggregate;
use sen_alert::RulesFollower;
use sen_alert::backtest::Backtester;
use sen_chassis::Shutdown;
use sen_chassis::call::{self, Caller};
use sen_export::Exporter;
use sen_gateway::{Gateway, Ports, ScreensState};
use sen_log::{Durability, Topic};
use sen_model::{
    BacktestAnswer, BacktestAsk, Command, CommandOutcome, OnCallAnswer, OnCallAsk, Progress,
    ReadingBatch, Rule, Timestamp,
};
use sen_store::Store;
use tokio::sync::watch;

use super::site::Site;
use super::status::{self, Statuses};
use super::term::by_lease;
use super::{alert, beside, notify, replica, stage, topics};
use crate::stages::Stages;
use crate::vitals;
use crate::wiring::topics::{EVENTS, FOR_EVER, QUARANTINE, SHADOW};
use crate::wiring::{Addresses, OPEN_ASKS, archive_of};

/// Who writes the files that are given to the public.
const EXPORT: &str = "export";

pub(super) async fn begin(site: &Arc<Site>, stages: &mut Stages) -> anyhow::Result<Addresses> {
    let readings = topics::readings(&site.log)?;
    let folder = site.storage.join("store");
    let store = replica::open(&folder, &site.settings.store, &readings).await?.store;
    let fold = fold(site, &readings, &store)?;
    let rules = RulesFollower::bind(
        site.settings.folder.join("rules.toml"),
        Arc::clone(&site.settings.registry),
        site.health.clone(),
    )?;
    let (backtests, asks) = call::channel(OPEN_ASKS);
    let registry = Arc::clone(&site.settings.registry);
    let backtester = Backtester { asks, store: store.clone(), registry, in_force: rules.rules() };
    let (commands, commanding) = site.cluster.remote(alert::COMMANDS);
    let (oncall, asking) = site.cluster.remote(notify::ON_CALL);
    let asked = Asked { commands, oncall, backtests };
    let (judged, evaluated) = watch::channel(Progress::default());
    let (told, best_effort) = watch::channel(None);
    let seen = Seen { rules: rules.rules(), stored: fold.progress(), evaluated, best_effort };
    let ports = ports(site, &readings, &store, asked, seen)?;
    let gateway = Gateway::bind(site.settings.gateway.clone(), ports).await?;
    let http = Some(gateway.address());
    watch_itself(site, fold.progress(), readings, gateway.screens());
    let durability = site.log.watch_durability();
    stage(stages, "durability", |shutdown| tell_durability(durability, told, shutdown));
    let statuses = site.statuses.clone();
    stage(stages, "judged", |shutdown| tell_judged(statuses, judged, shutdown));
    if !site.settings.exports.is_empty() {
        by_lease(stages, site, EXPORT, move |site, shutdown| {
            let exporter = exporter(&site, store.clone());
            async move { Ok(exporter.run(shutdown).await?) }
        });
    }
    stages.add("fold", Some(fold), Aggregate::run);
    stages.add("backtest", Some(backtester), Backtester::run);
    stages.add("rules", Some(rules), RulesFollower::run);
    stages.add("gateway", Some(gateway), Gateway::run);
    beside(stages, "commands", commanding);
    beside(stages, "on call", asking);
    Ok(Addresses { http, ..Addresses::default() })
}

/// The fold of all readings into the store of this process; it holds nothing of the log back.
fn fold(
    site: &Site,
    readings: &Topic<ReadingBatch>,
    store: &Store,
) -> Result<Aggregate, sen_aggregate::BindError> {
    let ports = sen_aggregate::Ports {
        readings: readings.clone(),
        cursor: None,
        store: store.clone(),
        registry: Arc::clone(&site.settings.registry),
        clock: site.clock.clone(),
        health: site.health.clone(),
        destination: None,
    };
    Aggregate::bind(site.settings.aggregate.clone(), ports)
}

/// Whom the gateway asks.
struct Asked {
    commands: Caller<Command, CommandOutcome>,
    oncall: Caller<OnCallAsk, OnCallAnswer>,
    backtests: Caller<BacktestAsk, BacktestAnswer>,
}

/// What the gateway follows beside the log.
struct Seen {
    rules: watch::Receiver<Arc<Vec<Rule>>>,
    stored: watch::Receiver<Progress>,
    evaluated: watch::Receiver<Progress>,
    best_effort: watch::Receiver<Option<String>>,
}

fn ports(
    site: &Site,
    readings: &Topic<ReadingBatch>,
    store: &Store,
    asked: Asked,
    seen: Seen,
) -> anyhow::Result<Ports> {
    let (log, settings) = (&site.log, &site.settings);
    Ok(Ports {
        readings: readings.clone(),
        events: log.topic("events", EVENTS)?,
        quarantine: log.topic("quarantine", QUARANTINE)?,
        alerts: log.vital_topic("alerts", FOR_EVER)?,
        desk: log.vital_topic("desk", FOR_EVER)?,
        shadow: log.vital_topic("shadow", SHADOW)?,
        deliveries: log.vital_topic("deliveries", FOR_EVER)?,
        oncall: asked.oncall,
        backtests: asked.backtests,
        store: store.clone(),
        archive: archive_of(settings)?,
        kept: settings.store.clone(),
        registry: Arc::clone(&settings.registry),
        rules: seen.rules,
        commands: asked.commands,
        stored: seen.stored,
        evaluated: seen.evaluated,
        best_effort: seen.best_effort,
        health: site.health.clone(),
        metrics: site.metrics.clone(),
        clock: site.clock.clone(),
        folder: settings.folder.clone(),
    })
}

/// What this process measures of the centre.
fn watch_itself(
    site: &Site,
    stored: watch::Receiver<Progress>,
    readings: Topic<ReadingBatch>,
    screens: watch::Receiver<ScreensState>,
) {
    let begun = Timestamp::from_millis(site.clock.now_ms());
    let mut gauges = site.gauges();
    gauges.history_behind_s = Some(vitals::history_behind(stored, readings, begun));
    gauges.screens_stale = Some(vitals::screens_stale(screens));
}

fn exporter(site: &Site, store: Store) -> Exporter {
    let ports = sen_export::Ports {
        store,
        kept: site.settings.store.clone(),
        registry: Arc::clone(&site.settings.registry),
        folder: site.storage.clone(),
        clock: site.clock.clone(),
    };
    Exporter::bind(site.settings.exports.clone(), ports)
}

/// Lets the screens know whether what is acknowledged is on disk.
async fn tell_durability(
    mut durability: watch::Receiver<Durability>,
    best_effort: watch::Sender<Option<String>>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    loop {
        best_effort.send_replace(match &*durability.borrow_and_update() {
            Durability::Durable => None,
            Durability::BestEffort(reason) => Some(reason.clone()),
        });
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            changed = durability.changed() => if changed.is_err() {
                shutdown.requested().await;
                return Ok(());
            },
        }
    }
}

/// Lets the gateway know how far the readings are judged.
async fn tell_judged(
    mut statuses: Statuses,
    judged: watch::Sender<Progress>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    loop {
        if let Some(progress) = status::judged(&statuses.borrow_and_update()) {
            judged.send_if_modified(|known| std::mem::replace(known, progress) != progress);
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            changed = statuses.changed() => if changed.is_err() {
                shutdown.requested().await;
                return Ok(());
            },
        }
    }
}
