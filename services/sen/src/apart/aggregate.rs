//! `sen aggregate` among others: the partitions of the readings are shared among the instances. Each
//! partition has a store of its own here, from which the archive is fed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use sen_aggregate::{Aggregate, Archived, Destination, Ports};
use sen_chassis::{Shutdown, Tasks};
use sen_cluster::{Change, Held};
use tokio::sync::watch;

use super::site::Site;
use super::term::bear;
use super::{Failed, replica, stage, topics};
use crate::stages::Stages;
use crate::vitals;
use crate::wiring::topics::QUARANTINE;
use crate::wiring::{Addresses, archive_of};

/// The role under which the partitions are shared.
const ROLE: &str = "aggregate";
/// The store of a partition that was lost may take a moment to close: how often and how long it is
/// tried to open it again.
const REOPEN_EVERY: Duration = Duration::from_millis(100);
const REOPEN_TRIES: u32 = 100;

/// How far the archive is behind in each partition worked on here.
type Behind = Arc<Mutex<BTreeMap<u32, watch::Receiver<Archived>>>>;

pub(super) fn begin(site: &Arc<Site>, stages: &mut Stages) -> Addresses {
    let site = Arc::clone(site);
    stage(stages, "aggregate", |shutdown| share(site, shutdown));
    Addresses::default()
}

/// Works on whatever partitions are this instance's, until asked to stop.
async fn share(site: Arc<Site>, shutdown: Shutdown) -> anyhow::Result<()> {
    let behind = Behind::default();
    let gauge = Arc::clone(&behind);
    site.gauges().archive_behind_s = Some(Box::new(move |now| {
        let partitions = gauge.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.values().map(|one| vitals::archive_behind(one.clone())(now)).max().unwrap_or(0)
    }));
    let mut shares = site.cluster.shares(ROLE, site.settings.cluster.partitions);
    let mut stops: BTreeMap<u32, Shutdown> = BTreeMap::new();
    let mut tasks: Tasks<Failed> = Tasks::new();
    let mut failures = VecDeque::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                // Its lease is free again: whoever takes it begins on what is in the log.
                bear(&mut failures, "partition", error.into())?;
            },
            change = shares.next() => match change.context("partitions are no longer shared")? {
                Change::Take(partition, held) => {
                    let stop = Shutdown::new();
                    stops.insert(partition, stop.clone());
                    let (site, behind) = (Arc::clone(&site), Arc::clone(&behind));
                    let work = work(site, partition, held, behind, stop);
                    tasks.spawn("partition", async { work.await.map_err(Failed) });
                }
                Change::GiveUp(partition) => {
                    if let Some(stop) = stops.remove(&partition) {
                        stop.request();
                    }
                }
            },
        }
    }
    stops.values().for_each(Shutdown::request);
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a partition did not end well: another goes on with it");
            }
        }
    };
    tokio::join!(shares.leave(), all_ended);
    Ok(())
}

/// One partition for as long as it is ours.
async fn work(
    site: Arc<Site>,
    partition: u32,
    mut held: Held,
    behind: Behind,
    stop: Shutdown,
) -> anyhow::Result<()> {
    tracing::info!(partition, "it is ours");
    let lease = format!("{ROLE}-{partition}");
    let gauge = metrics::gauge!("sen_lease_held", "lease" => lease);
    gauge.set(1.0);
    let ended = tokio::select! {
        biased;
        () = held.lost() => None,
        ended = fold(&site, partition, &behind, stop) => Some(ended),
    };
    gauge.set(0.0);
    behind.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    match ended {
        Some(ended) => {
            held.release().await;
            ended.with_context(|| format!("partition {partition}"))
        }
        None => {
            tracing::warn!(partition, "it is lost: another may be at it");
            Ok(())
        }
    }
}

async fn fold(site: &Site, partition: u32, behind: &Behind, stop: Shutdown) -> anyhow::Result<()> {
    let aggregate = match open(site, partition).await {
        // It was given up before it was open: nothing was done yet.
        Err(error) if stop.is_requested() => {
            tracing::info!(partition, error = format!("{error:#}"), "it was not opened any more");
            return Ok(());
        }
        opened => opened?,
    };
    if let Some(archived) = aggregate.archived() {
        behind.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, archived);
    }
    Ok(aggregate.run(stop).await?)
}

async fn open(site: &Site, partition: u32) -> anyhow::Result<Aggregate> {
    let (log, settings) = (&site.log, &site.settings);
    let readings = topics::partition(log, partition)?;
    let folder = site.storage.join(format!("store-{partition}"));
    let mut tries = 0;
    let replica = loop {
        match replica::open(&folder, &settings.store, &readings).await {
            Ok(replica) => break replica,
            Err(error) if tries == REOPEN_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(REOPEN_EVERY).await;
    };
    let archive = archive_of(settings)?.context("store.archive is empty")?;
    let ports = Ports {
        cursor: Some(log.cursor(&readings, &format!("aggregate-{partition}"))?),
        store: replica.store,
        registry: Arc::clone(&settings.registry),
        clock: site.clock.clone(),
        health: site.health.for_a_while(),
        destination: Some(Destination {
            archive,
            cursor: log.cursor(&readings, &format!("archive-{partition}"))?,
            quarantine: log.writing_topic("quarantine", QUARANTINE)?,
            whole_from: replica.whole_from,
        }),
        readings,
    };
    Ok(Aggregate::bind(settings.aggregate.clone(), ports)?)
}
