//! The tasks that keep the folds equal to the log: one reader each. On shutdown each reads to the
//! head before it ends.

use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::{Clock, Shutdown};
use sen_log::{Entry, Offset, ReadError, Topic};
use sen_proto::Wire;

use crate::RunError;
use crate::centre::Shared;

/// Records taken from the log at once.
const BATCH: usize = 1_024;
/// How long a reading waits for others before they are folded together: the screens see values
/// at ticks, several of these apart. Alerts do not wait.
const GATHER: Duration = Duration::from_millis(100);
/// How often the screens are looked at and the gauges are set.
const LOOK: Duration = Duration::from_secs(1);

/// Where the folds begin to read.
pub(crate) struct Begin {
    /// In the readings: where the store's own state ends.
    pub(crate) readings: Offset,
    /// In the events.
    pub(crate) events: Offset,
    /// In quarantine.
    pub(crate) quarantine: Offset,
}

/// Folds the alert log, all of it.
pub(crate) async fn alerts(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let ports = &centre.ports;
    let wanted = centre.alerts_at_start;
    let progress = |read_to| format!("folding alerts: {read_to} of {wanted}");
    ports.health.ill("gateway", progress(0));
    let fold = |entries: &[Entry<_>], read_to: Offset| {
        let mut alerts = centre.alerts_mut();
        for entry in entries {
            alerts.apply(entry.offset, std::sync::Arc::clone(&entry.record));
        }
        alerts.advance(read_to);
        drop(alerts);
        centre.alerts_as_of.send_replace(read_to);
        if read_to < wanted {
            ports.health.ill("gateway", progress(read_to));
        } else {
            ports.health.well("gateway");
        }
    };
    let from = (ports.alerts.floor(), Duration::ZERO);
    // Nobody is told what is not whole, so a stop does not wait until it is.
    let in_vain = async {
        shutdown.requested().await;
        if centre.alerts_are_whole() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = in_vain => Ok(()),
        ended = follow("alerts", &ports.alerts, from, &ports.clock, &shutdown, fold) => ended,
    }
}

/// Folds the readings into the latest value of each series.
pub(crate) async fn readings(
    centre: Shared,
    from: Offset,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let ports = &centre.ports;
    let fold = |entries: &[Entry<_>], _| {
        let mut latest = centre.latest_mut();
        entries.iter().for_each(|entry| latest.apply(&entry.record));
    };
    follow("readings", &ports.readings, (from, GATHER), &ports.clock, &shutdown, fold).await
}

/// A device that reports events is heard, too.
pub(crate) async fn events(
    centre: Shared,
    from: Offset,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let ports = &centre.ports;
    let fold = |entries: &[Entry<sen_model::Event>], _| {
        let mut latest = centre.latest_mut();
        entries
            .iter()
            .for_each(|entry| latest.heard(&entry.record.device, entry.record.received_at));
    };
    follow("events", &ports.events, (from, GATHER), &ports.clock, &shutdown, fold).await
}

/// Counts quarantine.
pub(crate) async fn quarantine(
    centre: Shared,
    from: Offset,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let ports = &centre.ports;
    let fold = |entries: &[Entry<_>], _| {
        let mut counts = centre.counts();
        entries.iter().for_each(|entry| counts.add(&entry.record));
    };
    follow("quarantine", &ports.quarantine, (from, GATHER), &ports.clock, &shutdown, fold).await
}

/// Looks at the screens and sets the gauges, once a second.
pub(crate) async fn look(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let mut seconds = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = seconds.tick() => {}
        }
        let state = centre.screens().look(centre.ports.alerts.head(), centre.now());
        centre.screens_state.send_replace(state);
        let (series, refused) = centre.latest().sizes();
        metrics::gauge!("sen_screens_stale").set(state.stale as f64);
        metrics::gauge!("sen_alerts_open").set(centre.alerts().open() as f64);
        metrics::gauge!("sen_series_latest").set(series as f64);
        metrics::counter!("sen_series_beyond_limit_total").absolute(refused);
        centre.ports.metrics.upkeep();
    }
}

/// Gives every record from an offset on to `fold`, gathered for a time, with the offset up to which
/// the log was read: also when there is no record to give, since whoever waits for the fold must
/// not wait for the next one.
async fn follow<T: Wire>(
    name: &'static str,
    topic: &Topic<T>,
    (from, gather): (Offset, Duration),
    clock: &Clock,
    shutdown: &Shutdown,
    mut fold: impl FnMut(&[Entry<T>], Offset),
) -> Result<(), RunError> {
    let mut reader = topic.read_from(from).gathering(gather);
    let mut backoff = retry_policy(clock);
    loop {
        match reader.available(BATCH).await {
            Ok(entries) => {
                if backoff.succeeded() {
                    tracing::info!(topic = name, "the log can be read again");
                }
                fold(&entries, reader.position().saturating_sub(1));
                if !entries.is_empty() {
                    continue;
                }
                if shutdown.is_requested() {
                    return Ok(());
                }
                tokio::select! {
                    () = shutdown.requested() => {}
                    arrived = reader.arrival() => if arrived.is_err() { return Ok(()) },
                }
            }
            Err(ReadError::Closed) => return Ok(()),
            Err(ReadError::BelowFloor { wanted, floor }) => {
                tracing::error!(
                    topic = name,
                    wanted,
                    floor,
                    "records were deleted before they were read"
                );
                reader = topic.read_from(floor).gathering(gather);
            }
            Err(error) if shutdown.is_requested() => return Err(RunError::Log(error)),
            Err(error) => {
                if backoff.is_fresh() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(topic = name, error, "the log cannot be read");
                }
                wait(backoff.failed(), shutdown).await;
                reader = topic.read_from(reader.position()).gathering(gather);
            }
        }
    }
}

fn retry_policy(clock: &Clock) -> Backoff {
    let seed = clock.now_ms().unsigned_abs();
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5), seed)
}

async fn wait(delay: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.requested() => {}
        () = tokio::time::sleep(delay) => {}
    }
}
