//! What one process at a time does, for as long as it holds the lease.

use sen_chassis::Shutdown;
use sen_cluster::Cluster;

/// Holds `lease` again and again until asked to stop, and does `work` in each term. When the lease
/// is lost the work is dropped at once, wherever it is: another may be at it already.
pub(super) async fn again_and_again<F>(
    cluster: Cluster,
    lease: &'static str,
    shutdown: Shutdown,
    mut work: impl FnMut(Shutdown) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    loop {
        let mut held = tokio::select! {
            () = shutdown.requested() => return Ok(()),
            held = cluster.hold(lease) => held?,
        };
        tracing::info!(lease, instance = cluster.instance(), "it is ours");
        metrics::gauge!("sen_lease_held", "lease" => lease).set(1.0);
        let ended = tokio::select! {
            biased;
            () = held.lost() => None,
            ended = work(shutdown.clone()) => Some(ended),
        };
        metrics::gauge!("sen_lease_held", "lease" => lease).set(0.0);
        match ended {
            Some(ended) => {
                held.release().await;
                ended?;
                if shutdown.is_requested() {
                    return Ok(());
                }
            }
            None => tracing::warn!(lease, "the lease is lost: another may be at it"),
        }
    }
}
