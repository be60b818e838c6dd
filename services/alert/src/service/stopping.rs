//! How the service ends: with what was there when it was asked to, as far as time allows.

use std::time::Duration;

use sen_chassis::clock::Stopwatch;
use tokio::time::sleep_until;

use super::{RunError, STEP_PACKETS, Service};

/// Tries to write what waits when asked to stop; what is not written is judged again at the start.
const LAST_TRIES: usize = 5;
/// How long what is left may be judged once it is asked to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// After this long it is tried no more.
const LAST_TRY: Duration = Duration::from_secs(10);

impl Service {
    /// Judges what was there when it was asked to stop, for a bounded time, writes it, and saves the
    /// position. What is not judged or cannot be written now is judged at the next start, or by
    /// whoever takes over, because the position then stays where it was.
    pub(super) async fn drain(mut self) -> Result<(), RunError> {
        let (heads, begun) = (self.inputs.heads(), Stopwatch::start());
        while self.journal.has_room()
            && !self.inputs.next().are_beyond(heads)
            && begun.elapsed() < DRAIN
        {
            match self.inputs.rest(STEP_PACKETS).await {
                Ok(Some(heard)) => self.judge(&heard),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the log cannot be read: the rest is judged later");
                    break;
                }
            }
            self.settle().await?;
        }
        for _ in 0..LAST_TRIES {
            let retry_at = self.journal.retry_at().filter(|_| begun.elapsed() < LAST_TRY);
            let Some(retry_at) = retry_at else { break };
            sleep_until(retry_at).await;
            self.flush().await?;
        }
        if self.journal.is_clean() {
            self.settle().await?;
            self.save().await?;
        }
        self.measure();
        Ok(())
    }
}
