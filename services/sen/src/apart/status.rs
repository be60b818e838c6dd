//! What each process tells the others of itself each second, and what is made of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sen_chassis::Shutdown;
use sen_chassis::health::Report;
use sen_cluster::Told;
use sen_model::{Progress, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::site::Site;
use crate::vitals::{Measured, together};

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a process tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Status {
    /// Its parts, each with its trouble.
    pub(super) health: Report,
    /// What it measures of the centre.
    pub(super) measured: Measured,
    /// How far it has judged the readings, if it judges.
    pub(super) judged: Option<Progress>,
}

/// Those of all living processes, this one too.
pub(super) type All = BTreeMap<String, Told<Status>>;
pub(super) type Statuses = watch::Receiver<All>;

/// How far whoever judges has come.
pub(super) fn judged(all: &All) -> Option<Progress> {
    // Just after a change there are two: the one that is further is the one at work.
    all.values().filter_map(|told| told.status.judged).max_by_key(|progress| progress.next)
}

/// What all measure, as one.
pub(super) fn measured(all: &All) -> Measured {
    together(all.values().map(|told| told.status.measured.clone()))
}

/// The parts of the others, each ill if it is ill anywhere.
fn health(all: &All, own: &str) -> Report {
    let mut parts = Report::new();
    for told in all.values().filter(|told| told.instance != own) {
        for (part, said) in &told.status.health {
            let known = parts.entry(part.clone()).or_default();
            let said = said.as_ref().map(|why| format!("{why} ({})", told.instance));
            *known = known.take().or(said);
        }
    }
    parts
}

/// Makes this process's status each second.
pub(super) async fn look(
    site: Arc<Site>,
    status: watch::Sender<Status>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut every = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = every.tick() => {}
        }
        let now = Timestamp::from_millis(site.clock.now_ms());
        status.send_replace(Status {
            health: site.health.own_report(),
            measured: site.gauges().measure(now),
            judged: site.judged(),
        });
    }
}

/// Lets this process know how the others are.
pub(super) async fn hear(
    site: Arc<Site>,
    mut statuses: Statuses,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    loop {
        let all = statuses.borrow_and_update().clone();
        site.health.told(health(&all, site.cluster.instance()));
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            changed = statuses.changed() => if changed.is_err() {
                shutdown.requested().await;
                return Ok(());
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        instance: &str,
        part: &str,
        said: Option<&str>,
        next: Option<u64>,
    ) -> (String, Told<Status>) {
        let status = Status {
            health: Report::from([(part.to_owned(), said.map(str::to_owned))]),
            judged: next.map(|next| Progress { next, ..Progress::default() }),
            ..Status::default()
        };
        let (role, received) = ("role".to_owned(), tokio::time::Instant::now());
        let key = format!("role.{instance}");
        (key, Told { role, instance: instance.to_owned(), received, status })
    }

    #[test]
    fn a_part_is_ill_where_it_is_ill_anywhere_and_the_furthest_judge_counts() {
        let all = BTreeMap::from([
            told("me", "store", Some("mine"), None),
            told("one", "ingest", None, Some(5)),
            told("two", "ingest", Some("full"), Some(9)),
        ]);
        let parts = health(&all, "me");
        assert_eq!(parts, Report::from([("ingest".to_owned(), Some("full (two)".to_owned()))]));
        assert_eq!(judged(&all).map(|progress| progress.next), Some(9));
    }
}
