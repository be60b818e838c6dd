//! What one process at a time does, for as long as it holds the lease.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sen_chassis::Shutdown;
use sen_cluster::Cluster;
use tokio::time::Instant;

use super::site::Site;
use super::stage;
use crate::stages::Stages;

/// Terms that fail in a row of minutes before the process gives up, and the pause after each: the
/// servers may be electing, or another may have written in our place.
const MOST_FAILURES: usize = 10;
const WITHIN: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(1);
/// How long the work may take to end when the process is asked to stop; then it is dropped as if the
/// lease were lost.
const FAREWELL: Duration = Duration::from_secs(20);

/// A stage that holds the lease of its name again and again, and does `work` in each term.
pub(super) fn by_lease<F>(
    stages: &mut Stages,
    site: &Arc<Site>,
    lease: &'static str,
    work: impl Fn(Arc<Site>, Shutdown) -> F + Send + 'static,
) where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let site = Arc::clone(site);
    stage(stages, lease, move |shutdown| {
        let cluster = site.cluster.clone();
        again_and_again(cluster, lease, shutdown, move |shutdown| work(Arc::clone(&site), shutdown))
    });
}

/// Holds `lease` again and again until asked to stop, and does `work` in each term. When the lease
/// is lost the work is dropped at once, wherever it is: another may be at it already. A term that
/// fails is followed by another, which begins on what is in the log; if many do, the error is given.
async fn again_and_again<F>(
    cluster: Cluster,
    lease: &'static str,
    shutdown: Shutdown,
    mut work: impl FnMut(Shutdown) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let held = metrics::gauge!("sen_lease_held", "lease" => lease);
    let mut failures = VecDeque::new();
    loop {
        held.set(0.0);
        let mut term = tokio::select! {
            () = shutdown.requested() => return Ok(()),
            term = cluster.hold(lease) => term?,
        };
        tracing::info!(lease, instance = cluster.instance(), "it is ours");
        held.set(1.0);
        let ended = tokio::select! {
            biased;
            () = term.lost() => None,
            ended = work(shutdown.clone()) => Some(ended),
            () = overdue(&shutdown) => Some(Err(anyhow::anyhow!("it did not end in {FAREWELL:?}"))),
        };
        let Some(ended) = ended else {
            tracing::warn!(lease, "the lease is lost: another may be at it");
            continue;
        };
        term.release().await;
        match ended {
            Ok(()) if shutdown.is_requested() => return Ok(()),
            Ok(()) => {}
            Err(error) => bear(&mut failures, lease, error)?,
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn overdue(shutdown: &Shutdown) {
    shutdown.requested().await;
    tokio::time::sleep(FAREWELL).await;
}

/// Puts up with a failure, unless there were too many of late.
pub(super) fn bear(
    failures: &mut VecDeque<Instant>,
    lease: &str,
    error: anyhow::Error,
) -> anyhow::Result<()> {
    failures.push_back(Instant::now());
    while failures.front().is_some_and(|first| first.elapsed() > WITHIN) {
        failures.pop_front();
    }
    if failures.len() >= MOST_FAILURES {
        return Err(error);
    }
    tracing::warn!(lease, error = format!("{error:#}"), "a term failed: it is begun again");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_now_and_then_is_borne_and_many_at_once_are_not() {
        let mut failures = VecDeque::new();
        let mut bear = || super::bear(&mut failures, "alert", anyhow::anyhow!("no answer"));
        for _ in 0..3 * MOST_FAILURES {
            assert!(bear().is_ok());
            tokio::time::advance(WITHIN / 5).await;
        }
        let borne = (0..MOST_FAILURES).take_while(|_| bear().is_ok()).count();
        assert!(borne < MOST_FAILURES, "{borne} at once were borne");
    }
}
