//! The tasks that keep the folds equal to the log: one reader each. On shutdown each reads to the
//! head before it ends.

use std::sync::Arc;
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::trace::{self, Stage};
use sen_chassis::{Clock, Shutdown};
use sen_log::{Entry, Offset, ReadError, Topic};
use sen_model::{AlertRecord, Delivery, DeskRecord, ReadingBatch};
use sen_proto::Wire;

use crate::RunError;
use crate::alerting::PROBE_RULE;
use crate::centre::{Centre, Shared, locked, read, write};
use crate::track::Track;

/// Records taken from the log at once.
const BATCH: usize = 1_024;
/// How long a reading waits for others before they are folded together: the screens see values
/// at ticks, several of these apart. Alerts do not wait.
const GATHER: Duration = Duration::from_millis(100);
/// How often the screens are looked at and the gauges are set.
const LOOK: Duration = Duration::from_secs(1);
/// How often the probe and the fold of the alert log are looked at.
const WATCH: Duration = Duration::from_millis(250);

/// What the fold of the readings is called in traces: it works on what ingest wrote.
const STAGE: Stage = Stage { name: "gateway", after: Some("ingest") };

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
    let fold = |entries: &[Entry<AlertRecord>], read_to: Offset| {
        let (mut alerts, mut episodes) = (write(&centre.alerts), write(&centre.episodes));
        for entry in entries {
            episodes.apply(entry.offset, &entry.record);
            alerts.apply(entry.offset, Arc::clone(&entry.record));
        }
        alerts.advance(read_to);
    };
    whole(&centre, &centre.ports.alerts, &centre.tracks.alerts, &shutdown, fold).await
}

/// Folds the desk's log, and tells every screen how the centre stands.
pub(crate) async fn desk(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let fold = |entries: &[Entry<DeskRecord>], read_to: Offset| {
        let mut desk = write(&centre.desk);
        for entry in entries {
            desk.apply(entry.offset, Arc::clone(&entry.record));
        }
        desk.advance(read_to);
        drop(desk);
        centre.tracks.desk.reached(read_to);
        centre.alerting();
    };
    whole(&centre, &centre.ports.desk, &centre.tracks.desk, &shutdown, fold).await
}

/// Folds the alerts of rules on trial; those of the probe are watched and not kept.
pub(crate) async fn shadow(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let fold = |entries: &[Entry<AlertRecord>], read_to: Offset| {
        let mut shadow = write(&centre.shadow);
        for entry in entries {
            if entry.record.rule.as_str() == PROBE_RULE {
                locked(&centre.watch).take(&entry.record, centre.now());
            } else {
                shadow.apply(entry.offset, Arc::clone(&entry.record));
            }
        }
        shadow.advance(read_to);
        drop(shadow);
        if !entries.is_empty() {
            centre.alerting();
        }
    };
    whole(&centre, &centre.ports.shadow, &centre.tracks.shadow, &shutdown, fold).await
}

/// Folds the deliveries, all of them.
pub(crate) async fn deliveries(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let fold = |entries: &[Entry<Delivery>], read_to: Offset| {
        let mut deliveries = write(&centre.deliveries);
        for entry in entries {
            deliveries.apply(entry.offset, Arc::clone(&entry.record));
        }
        deliveries.advance(read_to);
    };
    whole(&centre, &centre.ports.deliveries, &centre.tracks.deliveries, &shutdown, fold).await
}

/// Looks at the probe and at the fold of the alert log several times a second, so that their silence
/// is told at once.
pub(crate) async fn watch(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let mut looks = tokio::time::interval(WATCH);
    let mut was_ok = true;
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = looks.tick() => {}
        }
        let alerting = centre.alerting();
        metrics::gauge!("sen_alerting_up").set(f64::from(u8::from(alerting.ok)));
        if let Some(latency) = alerting.latency_ms {
            metrics::gauge!("sen_probe_latency_ms").set(latency as f64);
        }
        if alerting.ok != was_ok {
            was_ok = alerting.ok;
            if was_ok {
                tracing::info!("the probe is heard and the alert log is read: alerts are raised");
            } else {
                tracing::error!(
                    "no probe for 30 s, or the alert log is not read: alerts may not be shown any more"
                );
            }
        }
    }
}

/// Folds a topic from its floor, and says how far that is until it is whole.
async fn whole<T: Wire>(
    centre: &Centre,
    topic: &Topic<T>,
    track: &Track,
    shutdown: &Shutdown,
    mut fold: impl FnMut(&[Entry<T>], Offset),
) -> Result<(), RunError> {
    let ports = &centre.ports;
    let fold = |entries: &[Entry<T>], read_to: Offset| {
        fold(entries, read_to);
        track.reached(read_to);
        centre.tell_wholeness();
    };
    let from = (topic.floor(), Duration::ZERO);
    // Nobody is told what is not whole, so a stop does not wait until it is.
    let in_vain = async {
        shutdown.requested().await;
        if track.is_whole() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = in_vain => Ok(()),
        ended = follow(track.name(), topic, from, &ports.clock, shutdown, fold) => ended,
    }
}

/// Folds the readings into the latest value of each series.
pub(crate) async fn readings(
    centre: Shared,
    from: Offset,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let ports = &centre.ports;
    let fold = |entries: &[Entry<ReadingBatch>], _| {
        let spans = trace::begin(&STAGE, entries.iter().map(|entry| entry.record.trace_key()));
        let mut latest = centre.latest_mut();
        entries.iter().for_each(|entry| latest.apply(&entry.record));
        drop(latest);
        spans.end();
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
        metrics::gauge!("sen_alerts_open").set(read(&centre.alerts).open() as f64);
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
    // What was there when it was asked to stop is the end: others may go on writing.
    let mut last = Offset::MAX;
    while reader.position() <= last {
        match reader.available(BATCH).await {
            Ok(entries) => {
                if backoff.succeeded() {
                    tracing::info!(topic = name, "the log can be read again");
                }
                fold(&entries, reader.position().saturating_sub(1));
                if shutdown.is_requested() {
                    last = last.min(topic.head());
                } else if entries.is_empty() {
                    tokio::select! {
                        () = shutdown.requested() => {}
                        arrived = reader.arrival() => match arrived {
                            Err(ReadError::Closed) => return Ok(()),
                            arrived => arrived.map_err(RunError::Log)?,
                        },
                    }
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
            Err(error @ ReadError::Renewed(_)) => return Err(RunError::Log(error)),
            Err(error) if shutdown.is_requested() => {
                tracing::warn!(topic = name, %error, "the rest is read at the next start");
                return Ok(());
            }
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
    Ok(())
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
