//! Sen as a device of its own: what it knows of itself goes the way of every reading, so that the
//! rules, the screens and the history need nothing special for it.

use std::path::PathBuf;
use std::time::Duration;

use sen_aggregate::Archived;
use sen_chassis::clock::Stopwatch;
use sen_chassis::{Clock, Shutdown};
use sen_gateway::ScreensState;
use sen_log::{AppendError, Topic};
use sen_model::{
    AlertRecord, DeskRecord, DeviceId, Event, InvalidName, Metric, Progress, Quality, Quarantined,
    Reading, ReadingBatch, Timestamp,
};
use tokio::sync::watch;

/// Its id in `devices.toml`.
pub(crate) const DEVICE: &str = "sen-centre";
/// How often it reports; `interval_ms` of its kind in `devices.toml`.
const INTERVAL: Duration = Duration::from_secs(10);
/// Milliseconds in the unit of `history_behind_s`.
const SECOND_MS: i64 = 1_000;
/// Bytes in the unit of `disk_free_mb`.
const MEGABYTE: u64 = 1_000_000;

/// The wall clock beside one that nobody can set.
pub(crate) struct ClockWatch {
    wall: Timestamp,
    since: Stopwatch,
}

impl ClockWatch {
    /// Compares from now on.
    fn begin(now: Timestamp) -> Self {
        Self { wall: now, since: Stopwatch::start() }
    }

    /// By how many whole seconds the wall clock was set since it was asked last, either way.
    fn step_s(&mut self, now: Timestamp) -> u64 {
        let passed_ms = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let step_ms = now.since_ms(self.wall).saturating_sub(passed_ms);
        *self = Self::begin(now);
        step_ms.unsigned_abs() / SECOND_MS.unsigned_abs()
    }
}

/// What is watched.
pub(crate) struct Vitals {
    /// Where the reports go, and the first of the topics that are watched for damage.
    pub(crate) readings: Topic<ReadingBatch>,
    /// Watched for damage.
    pub(crate) events: Topic<Event>,
    /// Watched for damage.
    pub(crate) quarantine: Topic<Quarantined>,
    /// Watched for damage.
    pub(crate) alerts: Topic<AlertRecord>,
    /// Watched for damage.
    pub(crate) desk: Topic<DeskRecord>,
    /// How far the store has come; none if it is written elsewhere.
    pub(crate) stored: Option<watch::Receiver<Progress>>,
    /// How far the archive is behind; none if there is none.
    pub(crate) archived: Option<watch::Receiver<Archived>>,
    /// When the centre above last took what it lacked; none if there is none.
    pub(crate) kept_above_at: Option<watch::Receiver<Timestamp>>,
    /// How far the rules have come; none if they are judged elsewhere.
    pub(crate) evaluated: Option<watch::Receiver<Progress>>,
    /// Who is watching; none if the screens are served elsewhere.
    pub(crate) screens: Option<watch::Receiver<ScreensState>>,
    /// On the disk that is watched.
    pub(crate) folder: PathBuf,
    /// Event times.
    pub(crate) clock: Clock,
    /// When this process began.
    pub(crate) begun: Timestamp,
}

impl Vitals {
    /// Reports at once and then every ten seconds, until asked to stop.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), InvalidName> {
        let device = DeviceId::new(DEVICE)?;
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut watch = ClockWatch::begin(Timestamp::from_millis(self.clock.now_ms()));
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                _ = tick.tick() => {}
            }
            let received_at = Timestamp::from_millis(self.clock.now_ms());
            let readings = self.readings_at(received_at, watch.step_s(received_at))?;
            let batch = ReadingBatch { device: device.clone(), received_at, readings };
            match self.readings.append(vec![batch]).await {
                Ok(_) => {}
                // The log has said so itself; what was not said now is said at the next tick.
                Err(AppendError::Full | AppendError::Disk(_) | AppendError::Closed) => {}
                Err(error @ AppendError::TooLarge { .. }) => {
                    tracing::error!(%error, "own report does not fit into the log");
                }
            }
        }
    }

    fn readings_at(
        &self,
        event_time: Timestamp,
        clock_step_s: u64,
    ) -> Result<Vec<Reading>, InvalidName> {
        let reading = |metric: &str, value: u64| {
            let metric = Metric::new(metric)?;
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
            let value = value as f64;
            Ok(Reading { metric, event_time, value, quality: Quality::Good, sequence: 0 })
        };
        let mut readings = vec![
            reading("records_damaged", self.damaged())?,
            reading("clock_step_s", clock_step_s)?,
        ];
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            readings.push(reading("disk_free_mb", disk.f_bavail * disk.f_frsize / MEGABYTE)?);
        }
        if let Some(stored) = &self.stored {
            let lag_s = self.history_behind_s(*stored.borrow(), event_time);
            readings.push(reading("history_behind_s", lag_s)?);
        }
        if let Some(archived) = &self.archived {
            let since = archived.borrow().waiting_since;
            let lag_s = since.map_or(0, |since| seconds_since(since, event_time));
            readings.push(reading("archive_behind_s", lag_s)?);
        }
        if let Some(kept_at) = &self.kept_above_at {
            let silent_s = seconds_since(*kept_at.borrow(), event_time);
            readings.push(reading("upstream_silent_s", silent_s)?);
        }
        if let Some(evaluated) = &self.evaluated {
            let next = evaluated.borrow().next;
            readings
                .push(reading("judging_behind", (self.readings.head() + 1).saturating_sub(next))?);
        }
        if let Some(screens) = &self.screens {
            readings.push(reading("screens_stale", screens.borrow().stale as u64)?);
        }
        Ok(readings)
    }

    /// How old the newest stored reading is, while others wait.
    fn history_behind_s(&self, stored: Progress, now: Timestamp) -> u64 {
        let heard_to = stored.heard_to.unwrap_or(self.begun);
        if stored.next > self.readings.head() { 0 } else { seconds_since(heard_to, now) }
    }

    /// Records of the log that were found damaged since it was opened.
    fn damaged(&self) -> u64 {
        self.readings.stats().damaged_records
            + self.events.stats().damaged_records
            + self.quarantine.stats().damaged_records
            + self.alerts.stats().damaged_records
            + self.desk.stats().damaged_records
    }
}

fn seconds_since(earlier: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.since_ms(earlier) / SECOND_MS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sen_log::{Log, Retention};

    #[tokio::test]
    async fn stale_screens_are_a_reading_where_the_screens_are_served() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            sen_log::Config { segment_bytes: 1 << 20, reserve_bytes: 0, record_bytes: 1 << 16 };
        let log = Log::open(folder.path().join("log"), settings).unwrap();
        let keep = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
        let screens = watch::Sender::new(ScreensState { connected: 3, stale: 2 });
        let mut vitals = Vitals {
            readings: log.topic("readings", keep).unwrap(),
            events: log.topic("events", keep).unwrap(),
            quarantine: log.topic("quarantine", keep).unwrap(),
            alerts: log.topic("alerts", keep).unwrap(),
            desk: log.topic("desk", keep).unwrap(),
            stored: None,
            archived: None,
            kept_above_at: None,
            evaluated: None,
            screens: Some(screens.subscribe()),
            folder: folder.path().to_owned(),
            clock: Clock::manual(0),
            begun: Timestamp::default(),
        };
        let stale = |vitals: &Vitals| {
            let readings = vitals.readings_at(Timestamp::default(), 0).unwrap();
            let found = readings.into_iter().find(|one| one.metric.as_str() == "screens_stale");
            found.map(|reading| reading.value)
        };
        assert_eq!(stale(&vitals), Some(2.0));
        screens.send_replace(ScreensState { connected: 3, stale: 0 });
        assert_eq!(stale(&vitals), Some(0.0), "zero is said, too: it ends the alert");
        vitals.screens = None;
        assert_eq!(stale(&vitals), None);
        log.close().await;
    }

    #[test]
    fn a_clock_that_is_set_is_told_once_and_one_that_goes_on_never() {
        let start = Timestamp::from_millis(1_000_000);
        let mut watch = ClockWatch::begin(start);
        assert_eq!(watch.step_s(start.plus_ms(3_600_500)), 3_600, "an hour ahead");
        assert_eq!(watch.step_s(start.plus_ms(3_600_500)), 0, "told once");
        assert_eq!(watch.step_s(start), 3_600, "and back");
        assert_eq!(watch.step_s(start.plus_ms(900)), 0, "less than a second is how clocks go");
    }
}
