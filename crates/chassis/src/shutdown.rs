//! Stopping: a service is asked to stop, finishes what it was given, and returns.

use tokio_util::sync::CancellationToken;

/// The request to stop, seen from inside a service. Clones see the same request.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not yet requested.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that holds a clone to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether stopping was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns when stopping is asked for; cancel-safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}
