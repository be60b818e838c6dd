//! What one process at a time does, for as long as it holds the lease.

use sen_chassis::Shutdown;
use sen_cluster::Cluster;
use sen_log::AppendError;

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
                match ended {
                    Err(error) if is_fenced(&error) => {
                        tracing::warn!(lease, %error, "another wrote in our place: begun again");
                    }
                    Err(error) => return Err(error),
                    Ok(()) if shutdown.is_requested() => return Ok(()),
                    Ok(()) => {}
                }
            }
            None => tracing::warn!(lease, "the lease is lost: another may be at it"),
        }
    }
}

/// Whether the log refused what another has written in the place of. That ends a term, not the
/// process: what was not written is made again from the log.
fn is_fenced(error: &anyhow::Error) -> bool {
    let is_it = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref::<AppendError>(), Some(AppendError::Fenced(_)))
    };
    error.chain().any(is_it)
}
