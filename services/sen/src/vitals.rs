//! Sen as a device of its own: what it knows of itself goes the way of every reading, so that the
//! rules, the screens and the history need nothing special for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sen_aggregate::Archived;
use sen_chassis::clock::Stopwatch;
use sen_chassis::trace::{self, Stage};
use sen_chassis::{Clock, Shutdown};
use sen_gateway::ScreensState;
use sen_log::{AppendError, Topic};
use sen_model::{
    DeviceId, InvalidName, Metric, Progress, Quality, Reading, ReadingBatch, Timestamp,
};
use sen_proto::Wire;
use tokio::sync::watch;

/// Its id in `devices.toml`.
pub(crate) const DEVICE: &str = "sen-centre";
/// How often it reports; `interval_ms` of its kind in `devices.toml`.
const INTERVAL: Duration = Duration::from_secs(10);
/// What it is called in traces: what it reports comes by no wire, and goes on as if it had.
const STAGE: Stage = Stage { name: "ingest", after: None };
/// Milliseconds in the unit of `history_behind_s`.
const SECOND_MS: i64 = 1_000;
/// Bytes in the unit of `disk_free_mb`.
const MEGABYTE: u64 = 1_000_000;

/// The metrics that are not simply the worst of several processes.
const DAMAGED: &str = "records_damaged";
const DISK_FREE: &str = "disk_free_mb";
const STALE: &str = "screens_stale";

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

/// A number that somebody in this process knows, at a time.
pub(crate) type Gauge = Box<dyn Fn(Timestamp) -> u64 + Send + Sync>;

/// What this process knows of itself; what runs elsewhere is told there.
pub(crate) struct Gauges {
    /// Records of the log that were found damaged since it was opened, topic by topic.
    pub(crate) damaged: Vec<Gauge>,
    /// How old the newest stored reading is while others wait, in seconds.
    pub(crate) history_behind_s: Option<Gauge>,
    /// How long the oldest reading has waited for the archive, in seconds.
    pub(crate) archive_behind_s: Option<Gauge>,
    /// For how long the centre above has taken nothing that it lacks, in seconds.
    pub(crate) upstream_silent_s: Option<Gauge>,
    /// Records that are not judged yet.
    pub(crate) judging_behind: Option<Gauge>,
    /// Screens that do not show the newest alert.
    pub(crate) screens_stale: Option<Gauge>,
    /// On the disk that is watched.
    pub(crate) folder: PathBuf,
}

/// What was measured, by metric.
pub(crate) type Measured = BTreeMap<String, u64>;

impl Gauges {
    /// Of a process that knows nothing yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            damaged: Vec::new(),
            history_behind_s: None,
            archive_behind_s: None,
            upstream_silent_s: None,
            judging_behind: None,
            screens_stale: None,
            folder,
        }
    }

    /// Everything there is to tell.
    pub(crate) fn measure(&self, now: Timestamp) -> Measured {
        let mut measured = Measured::new();
        measured.insert(DAMAGED.to_owned(), self.damaged.iter().map(|gauge| gauge(now)).sum());
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            let free = disk.f_bavail * disk.f_frsize / MEGABYTE;
            measured.insert(DISK_FREE.to_owned(), free);
        }
        for (metric, gauge) in [
            ("history_behind_s", &self.history_behind_s),
            ("archive_behind_s", &self.archive_behind_s),
            ("upstream_silent_s", &self.upstream_silent_s),
            ("judging_behind", &self.judging_behind),
            (STALE, &self.screens_stale),
        ] {
            if let Some(gauge) = gauge {
                measured.insert(metric.to_owned(), gauge(now));
            }
        }
        measured
    }
}

/// What several processes measured, as of one: the least disk, the sum of what is counted, the
/// worst of everything else.
pub(crate) fn together(of_processes: impl IntoIterator<Item = Measured>) -> Measured {
    let mut all = Measured::new();
    for (metric, value) in of_processes.into_iter().flatten() {
        let joined = match metric.as_str() {
            DISK_FREE => u64::min,
            DAMAGED | STALE => u64::saturating_add,
            _ => u64::max,
        };
        let entry = all.entry(metric);
        entry.and_modify(|known| *known = joined(*known, value)).or_insert(value);
    }
    all
}

/// How old the newest stored reading is while others wait, in seconds.
pub(crate) fn history_behind(
    stored: watch::Receiver<Progress>,
    readings: Topic<ReadingBatch>,
    begun: Timestamp,
) -> Gauge {
    Box::new(move |now| {
        let stored = *stored.borrow();
        let heard_to = stored.heard_to.unwrap_or(begun);
        if stored.next > readings.head() { 0 } else { seconds_since(heard_to, now) }
    })
}

/// How long the oldest reading has waited for the archive, in seconds.
pub(crate) fn archive_behind(archived: watch::Receiver<Archived>) -> Gauge {
    Box::new(move |now| {
        archived.borrow().waiting_since.map_or(0, |since| seconds_since(since, now))
    })
}

/// How long it is since a moment, in seconds.
pub(crate) fn silent_since(moment: watch::Receiver<Timestamp>) -> Gauge {
    Box::new(move |now| seconds_since(*moment.borrow(), now))
}

/// Records that are not judged yet.
pub(crate) fn judging_behind(
    judged: watch::Receiver<Progress>,
    readings: Topic<ReadingBatch>,
) -> Gauge {
    Box::new(move |_| readings.behind(judged.borrow().next))
}

/// Screens that do not show the newest alert.
pub(crate) fn screens_stale(screens: watch::Receiver<ScreensState>) -> Gauge {
    Box::new(move |_| screens.borrow().stale as u64)
}

/// Records of a topic that were found damaged since it was opened.
pub(crate) fn damaged<T: Wire>(topic: &Topic<T>) -> Gauge {
    let topic = topic.clone();
    Box::new(move |_| topic.stats().damaged_records)
}

/// The device: reports what `measure` tells.
pub(crate) struct Vitals<M> {
    /// Where the reports go.
    pub(crate) readings: Topic<ReadingBatch>,
    /// Measures everything.
    pub(crate) measure: M,
    /// Event times.
    pub(crate) clock: Clock,
}

impl<M: Fn(Timestamp) -> Measured + Send> Vitals<M> {
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
            let mut measured = (self.measure)(received_at);
            measured.insert("clock_step_s".to_owned(), watch.step_s(received_at));
            let readings = readings(&measured, received_at)?;
            let batch = ReadingBatch { device: device.clone(), received_at, readings };
            let spans = trace::begin(&STAGE, [batch.trace_key()]);
            match self.readings.append(vec![batch]).await {
                Ok(_) => spans.end(),
                Err(error @ AppendError::TooLarge { .. }) => {
                    tracing::error!(%error, "own report does not fit into the log");
                }
                // The log has said so itself; what was not said now is said at the next tick.
                Err(_) => {}
            }
        }
    }
}

fn readings(measured: &Measured, event_time: Timestamp) -> Result<Vec<Reading>, InvalidName> {
    let reading = |(metric, value): (&String, &u64)| {
        let metric = Metric::new(metric)?;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let value = *value as f64;
        Ok(Reading { metric, event_time, value, quality: Quality::Good, sequence: 0 })
    };
    measured.iter().map(reading).collect()
}

fn seconds_since(earlier: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.since_ms(earlier) / SECOND_MS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_screens_are_told_where_the_screens_are_served() {
        let mut gauges = Gauges::new(PathBuf::from("/"));
        let stale = |gauges: &Gauges| gauges.measure(Timestamp::default()).get(STALE).copied();
        assert_eq!(stale(&gauges), None);
        gauges.screens_stale = Some(Box::new(|_| 0));
        assert_eq!(stale(&gauges), Some(0), "zero is said, too: it ends the alert");
        gauges.screens_stale = Some(Box::new(|_| 2));
        assert_eq!(stale(&gauges), Some(2));
    }

    #[test]
    fn of_several_processes_the_least_disk_the_sum_of_counts_and_the_worst_lag_are_told() {
        let measured = |damaged, free, lag| {
            Measured::from([
                (DAMAGED.to_owned(), damaged),
                (DISK_FREE.to_owned(), free),
                ("history_behind_s".to_owned(), lag),
            ])
        };
        let all = together([measured(1, 500, 7), measured(2, 300, 4), Measured::new()]);
        assert_eq!(all, measured(3, 300, 7));
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
