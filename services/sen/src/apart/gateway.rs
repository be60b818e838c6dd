//! `sen gateway` among others: all serve. Each folds the whole log into a store of its own, so that
//! its answers need nobody else; what is older than that is in the archive.

use std::sync::Arc;

use sen_aggregate::Aggregate;
use sen_alert::RulesFollower;
use sen_alert::backtest::Backtester;
use sen_chassis::{Shutdown, call};
use sen_export::Exporter;
use sen_gateway::{Gateway, Ports};
use sen_log::Durability;
use sen_model::{Progress, Timestamp};
use sen_store::Store;
use tokio::sync::watch;

use super::site::Site;
use super::status::{self, Statuses};
use super::term::again_and_again;
use super::{alert, beside, notify, replica, stage, topics};
use crate::stages::Stages;
use crate::vitals;
use crate::wiring::topics::{EVENTS, FOR_EVER, QUARANTINE, SHADOW};
use crate::wiring::{Addresses, OPEN_ASKS, archive_of};

/// Who writes the files that are given to the public.
const EXPORT: &str = "export";

pub(super) async fn begin(site: &Arc<Site>, stages: &mut Stages) -> anyhow::Result<Addresses> {
    let (log, settings) = (&site.log, &site.settings);
    let readings = topics::readings(log)?;
    let folder = site.storage.join("store");
    let replica = replica::open(&folder, &settings.store, &readings).await?;
    let fold = Aggregate::bind(
        settings.aggregate.clone(),
        sen_aggregate::Ports {
            readings: readings.clone(),
            cursor: None,
            store: replica.store.clone(),
            registry: Arc::clone(&settings.registry),
            clock: site.clock.clone(),
            health: site.health.clone(),
            destination: None,
        },
    )?;
    let rules = RulesFollower::bind(
        settings.folder.join("rules.toml"),
        Arc::clone(&settings.registry),
        site.health.clone(),
    )?;
    let (backtests, asks) = call::channel(OPEN_ASKS);
    let backtester = Backtester {
        asks,
        store: replica.store.clone(),
        registry: Arc::clone(&settings.registry),
        in_force: rules.rules(),
    };
    let (commands, commanding) = site.cluster.remote(alert::COMMANDS);
    let (oncall, asking) = site.cluster.remote(notify::ON_CALL);
    let (told, evaluated) = watch::channel(Progress::default());
    let (best_effort, is_durable) = watch::channel(None);
    let ports = Ports {
        readings: readings.clone(),
        events: log.topic("events", EVENTS)?,
        quarantine: log.topic("quarantine", QUARANTINE)?,
        alerts: log.vital_topic("alerts", FOR_EVER)?,
        desk: log.vital_topic("desk", FOR_EVER)?,
        shadow: log.vital_topic("shadow", SHADOW)?,
        deliveries: log.vital_topic("deliveries", FOR_EVER)?,
        oncall,
        backtests,
        store: replica.store.clone(),
        archive: archive_of(settings)?,
        kept: settings.store.clone(),
        registry: Arc::clone(&settings.registry),
        rules: rules.rules(),
        commands,
        stored: fold.progress(),
        evaluated,
        best_effort: is_durable,
        health: site.health.clone(),
        metrics: site.metrics.clone(),
        clock: site.clock.clone(),
        folder: settings.folder.clone(),
    };
    let gateway = Gateway::bind(settings.gateway.clone(), ports).await?;
    let http = Some(gateway.address());
    let begun = Timestamp::from_millis(site.clock.now_ms());
    let behind = vitals::history_behind(fold.progress(), readings, begun);
    site.gauges().history_behind_s = Some(behind);
    site.gauges().screens_stale = Some(vitals::screens_stale(gateway.screens()));
    let durability = log.watch_durability();
    stage(stages, "durability", |shutdown| tell_durability(durability, best_effort, shutdown));
    let statuses = site.statuses.clone();
    stage(stages, "judged", |shutdown| tell_judged(statuses, told, shutdown));
    if !settings.exports.is_empty() {
        let (site, store) = (Arc::clone(site), replica.store);
        stage(stages, "export", move |shutdown| {
            let cluster = site.cluster.clone();
            again_and_again(cluster, EXPORT, shutdown, move |shutdown| {
                let exporter = exporter(&site, store.clone());
                async move { Ok(exporter.run(shutdown).await?) }
            })
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
