//! The roles as processes of their own, which meet over NATS.
//!
//! ```text
//!  ingest ×n      every instance has its endpoint; one of them holds `brokers`, one `self`
//!  aggregate ×n   the partitions of the readings are shared among the instances
//!  alert ×n       one holds `alert`, the others stand by
//!  notify ×n      one holds `notify`, the others stand by
//!  gateway ×n     all serve; each folds the whole log into a store of its own
//! ```
//!
//! Whoever holds something by a lease does it for a term: from taking the lease until it is lost or
//! the process stops. A new term begins on what is in the log, as after a crash.

use std::sync::Arc;

use sen_chassis::{Shutdown, telemetry};

use crate::cli::Place;
use crate::config::Settings;
use crate::shared_config;
use crate::stages::{Stages, leave_when_stopped};
use crate::wiring::{Addresses, Role};

mod aggregate;
mod alert;
mod gateway;
mod ingest;
mod notify;
mod replica;
mod site;
mod status;
mod term;
mod topics;

pub(crate) use site::Refused;
use site::Site;

/// Why a part of a role ended.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(#[from] anyhow::Error);

/// Joins the others, runs the role until asked to stop or until something fails.
pub(crate) async fn run(
    settings: Settings,
    place: &Place,
    role: Role,
    metrics: telemetry::Metrics,
    mut stages: Stages,
) -> anyhow::Result<()> {
    let joined = Box::pin(stages.unless_stopped(Site::join(settings, place, role, metrics))).await;
    let Some(site) = joined.transpose()?.map(Arc::new) else { return Ok(()) };
    let asked = Shutdown::new();
    let leaving = leave_when_stopped(site.log.clone(), asked.clone())?;
    let begun = begin(&site, role, &mut stages).await;
    if begun.is_err() && asked.is_requested() {
        return Ok(());
    }
    drop(leaving);
    let mut addresses = begun?;
    if shared_config::is_shared(place) {
        // A file that changes is taken by whoever watches it; the rest at the next start.
        beside(&mut stages, "config", site.cluster.follow(site.settings.folder.clone()));
    }
    addresses.admin = site.watch_over(&mut stages);
    addresses.tell(place.print_addresses);
    let log = site.log.clone();
    drop(site);
    stages.run(Some(log)).await
}

async fn begin(site: &Arc<Site>, role: Role, stages: &mut Stages) -> anyhow::Result<Addresses> {
    Ok(match role {
        Role::Ingest => ingest::begin(site, stages).await?,
        Role::Aggregate => aggregate::begin(site, stages),
        Role::Alert => alert::begin(site, stages),
        Role::Notify => notify::begin(site, stages),
        Role::Gateway => gateway::begin(site, stages).await?,
        Role::Simulator => anyhow::bail!("the simulator needs no cluster: `sen simulate`"),
    })
}

/// A stage of a role: a future that ends when asked to.
fn stage<F>(
    stages: &mut Stages,
    name: &'static str,
    run: impl FnOnce(Shutdown) -> F + Send + 'static,
) where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    stages.add(name, Some(()), |(), shutdown| {
        let running = run(shutdown);
        async { running.await.map_err(Failed) }
    });
}

/// A stage that runs beside the others and never ends by itself.
fn beside<E>(
    stages: &mut Stages,
    name: &'static str,
    task: impl Future<Output = Result<(), E>> + Send + 'static,
) where
    E: std::error::Error + Send + Sync + 'static,
{
    stage(stages, name, |shutdown| async move {
        tokio::select! {
            () = shutdown.requested() => Ok(()),
            ended = task => {
                ended?;
                shutdown.requested().await;
                Ok(())
            }
        }
    });
}
