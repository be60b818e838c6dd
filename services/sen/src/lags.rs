//! The head of every topic and how far each cursor of the log is behind it, as gauges.
//!
//! A number that cannot be known is shown as `NaN`, and that of a cursor which is gone as 0: the old
//! one would lie.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use sen_chassis::Shutdown;
use sen_log::{Lag, Log};
use tokio::time::MissedTickBehavior;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long the log may take to tell.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the log tells when it is asked: every cursor it keeps, or why it cannot tell.
pub(crate) type Told = Pin<Box<dyn Future<Output = Result<Vec<Lag>, String>> + Send>>;

/// The task that sets the gauges.
pub(crate) struct Lags {
    ask: Box<dyn Fn() -> Told + Send>,
    heads: Vec<(String, Box<dyn Fn() -> u64 + Send>)>,
    /// The cursors that have a gauge: topic and name.
    shown: BTreeSet<(String, String)>,
    is_known: bool,
}

impl Lags {
    /// Asks a log each five seconds.
    pub(crate) fn of(log: &Log) -> Self {
        let log = log.clone();
        Self::new(move || {
            let log = log.clone();
            Box::pin(async move { log.lags().await.map_err(|error| error.to_string()) })
        })
    }

    fn new(ask: impl Fn() -> Told + Send + 'static) -> Self {
        let (heads, shown) = (Vec::new(), BTreeSet::new());
        Self { ask: Box::new(ask), heads, shown, is_known: true }
    }

    /// Shows the head of this topic, too.
    pub(crate) fn with_head(
        mut self,
        topic: &str,
        head: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        self.heads.push((topic.to_owned(), Box::new(head)));
        self
    }

    /// Looks until asked to stop.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                _ = looks.tick() => {}
            }
            let told = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                told = tokio::time::timeout(PATIENCE, (self.ask)()) => told,
            };
            self.show(told.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))));
        }
    }

    fn show(&mut self, told: Result<Vec<Lag>, String>) {
        for (topic, head) in &self.heads {
            metrics::gauge!("sen_log_head", "topic" => topic.clone()).set(head() as f64);
        }
        match told {
            Ok(lags) => {
                let now: BTreeSet<_> =
                    lags.iter().map(|lag| (lag.topic.clone(), lag.cursor.clone())).collect();
                self.shown.difference(&now).for_each(|gone| set(gone, 0.0));
                for Lag { topic, cursor, behind } in lags {
                    set(&(topic, cursor), behind as f64);
                }
                self.shown = now;
                if !std::mem::replace(&mut self.is_known, true) {
                    tracing::info!("it is known again how far each cursor of the log is behind");
                }
            }
            Err(error) => {
                self.shown.iter().for_each(|cursor| set(cursor, f64::NAN));
                if std::mem::replace(&mut self.is_known, false) {
                    tracing::warn!(
                        error,
                        "it is not known how far each cursor of the log is behind"
                    );
                }
            }
        }
    }
}

fn set((topic, cursor): &(String, String), behind: f64) {
    let (topic, cursor) = (topic.clone(), cursor.clone());
    metrics::gauge!("sen_log_cursor_behind", "topic" => topic, "cursor" => cursor).set(behind);
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_is_gone_reads_0_and_what_is_not_known_reads_no_number() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let mut lags = Lags::new(|| Box::pin(async { Ok(Vec::new()) }));
        let lag = |cursor: &str, behind| {
            let (topic, cursor) = ("readings".to_owned(), cursor.to_owned());
            Lag { topic, cursor, behind }
        };
        let mut show = |told| metrics::with_local_recorder(&recorder, || lags.show(told));
        let of = |cursor: &str| {
            let start = format!("sen_log_cursor_behind{{topic=\"readings\",cursor=\"{cursor}\"}} ");
            let text = metrics.render();
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(&start).map(str::to_owned)).unwrap()
        };
        show(Ok(vec![lag("aggregate", 7), lag("archive", 3)]));
        assert_eq!((of("aggregate"), of("archive")), ("7".into(), "3".into()));
        show(Ok(vec![lag("aggregate", 6)]));
        assert_eq!((of("aggregate"), of("archive")), ("6".into(), "0".into()));
        show(Err("the server is away".into()));
        assert_eq!((of("aggregate"), of("archive")), ("NaN".into(), "0".into()));
        show(Ok(vec![lag("aggregate", 9)]));
        assert_eq!(of("aggregate"), "9");
    }
}
