//! What is on its way to the alert log: records in order, and the answers that wait for them.
//!
//! If the disk is full or failing, records wait here while readings are still judged, up to a
//! bound; then reading stops. Nothing is told to anyone before it is in the log.

use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_log::{AppendError, Topic};
use sen_model::{AlertRecord, CommandOutcome};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Records and answers that wait for the disk, at most: beyond it nothing more is judged.
const MOST_WAITING: usize = 10_000;
/// Delays between tries to append.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Records on their way to the log.
pub(crate) struct Journal {
    alerts: Topic<AlertRecord>,
    /// Judged and not yet in the log, in order.
    pub(crate) records: Vec<AlertRecord>,
    answers: Vec<(oneshot::Sender<CommandOutcome>, CommandOutcome)>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl Journal {
    /// Nothing on its way.
    pub(crate) fn new(alerts: Topic<AlertRecord>) -> Self {
        let backoff = Backoff::new(RETRY.0, RETRY.1, 1);
        Self { alerts, records: Vec::new(), answers: Vec::new(), backoff, retry_at: None }
    }

    /// Whether more may be judged.
    pub(crate) fn has_room(&self) -> bool {
        self.records.len() + self.answers.len() < MOST_WAITING
    }

    /// Whether everything judged so far is in the log.
    pub(crate) fn is_clean(&self) -> bool {
        self.records.is_empty()
    }

    /// When to try again, while the disk does not take it.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Keeps an answer until the records made so far are in the log.
    pub(crate) fn answer(&mut self, to: oneshot::Sender<CommandOutcome>, outcome: CommandOutcome) {
        self.answers.push((to, outcome));
    }

    /// Appends what waits, unless it is too early to try again, and gives the answers out.
    pub(crate) async fn flush(&mut self) -> Result<(), AppendError> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        if !self.records.is_empty() {
            match self.alerts.append(self.records.clone()).await {
                Ok(_) => self.written(),
                Err(error @ (AppendError::TooLarge { .. } | AppendError::Closed)) => {
                    return Err(error);
                }
                Err(error) => {
                    self.failed(&error);
                    return Ok(());
                }
            }
        }
        for (to, outcome) in self.answers.drain(..) {
            // An asker that has gone away meanwhile asks again with the same key.
            let _ = to.send(outcome);
        }
        Ok(())
    }

    fn written(&mut self) {
        self.retry_at = None;
        if self.backoff.succeeded() {
            tracing::info!(records = self.records.len(), "alerts are written again");
        }
        for record in self.records.drain(..) {
            let severity = record.severity.level().to_string();
            let change = record.change.as_str();
            metrics::counter!("sen_alert_changes_total", "change" => change, "severity" => severity)
                .increment(1);
        }
    }

    fn failed(&mut self, error: &AppendError) {
        metrics::counter!("sen_alert_append_failures_total").increment(1);
        if self.backoff.is_fresh() {
            let waiting = self.records.len();
            tracing::warn!(error = error as &dyn std::error::Error, waiting, "alerts not written");
        }
        self.retry_at = Some(Instant::now() + self.backoff.failed());
    }
}
