//! What is on its way to the logs: records in order, and the answers that wait for them. Of one step
//! the entries of the desk go first, then the alerts, which speak of them, then those of rules on
//! trial; what a crash keeps from following is made again at the next start.
//!
//! If the disk is full or failing, records wait here while readings are still judged, up to a
//! bound; then reading stops. Nothing is told to anyone before it is in the log.

use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_log::{AppendError, Topic};
use sen_model::{AlertRecord, CommandOutcome, DeskRecord};
use sen_proto::Wire;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::judge::Nexts;
use crate::records::Records;

/// Records and answers that wait for the disk, at most: beyond it nothing more is judged.
const MOST_WAITING: usize = 10_000;
/// Delays between tries to append.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The logs that only this service writes.
pub(crate) struct Logs {
    pub(crate) desk: Topic<DeskRecord>,
    pub(crate) alerts: Topic<AlertRecord>,
    pub(crate) shadow: Topic<AlertRecord>,
}

impl Logs {
    /// Their next offsets.
    pub(crate) fn nexts(&self) -> Nexts {
        Nexts {
            alerts: self.alerts.head() + 1,
            desk: self.desk.head() + 1,
            shadow: self.shadow.head() + 1,
        }
    }
}

/// Records on their way to the logs.
pub(crate) struct Journal {
    pub(crate) logs: Logs,
    /// Judged and not yet in its log, in order.
    pub(crate) records: Records,
    answers: Vec<(oneshot::Sender<CommandOutcome>, CommandOutcome)>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl Journal {
    /// Nothing on its way but these records.
    pub(crate) fn new(logs: Logs, records: Records) -> Self {
        let backoff = Backoff::new(RETRY.0, RETRY.1, 1);
        Self { logs, records, answers: Vec::new(), backoff, retry_at: None }
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
            match self.write().await {
                Ok(()) => self.written(),
                Err(error) if is_final(&error) => {
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

    /// One log after the other; what is in its log does not wait any more.
    async fn write(&mut self) -> Result<(), AppendError> {
        let Self { logs, records, .. } = self;
        write(&logs.desk, &mut records.desk).await?;
        let changes: Vec<_> =
            records.alerts.iter().map(|record| (record.change, record.severity)).collect();
        write(&logs.alerts, &mut records.alerts).await?;
        for (change, severity) in changes {
            let (change, severity) = (change.as_str(), severity.level().to_string());
            metrics::counter!("sen_alert_changes_total", "change" => change, "severity" => severity)
                .increment(1);
        }
        write(&logs.shadow, &mut records.shadow).await
    }

    fn written(&mut self) {
        self.retry_at = None;
        if self.backoff.succeeded() {
            tracing::info!("alerts are written again");
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

/// Whether trying again cannot help: it never fits, nobody takes it any more, or another process
/// writes these logs now, and has judged what this one has.
fn is_final(error: &AppendError) -> bool {
    matches!(error, AppendError::TooLarge { .. } | AppendError::Closed | AppendError::Fenced { .. })
}

async fn write<T: Wire + Clone>(log: &Topic<T>, records: &mut Vec<T>) -> Result<(), AppendError> {
    if !records.is_empty() {
        log.append(records.clone()).await?;
        records.clear();
    }
    Ok(())
}
