//! The store of this program, as the aggregator uses it: points as they come, and a durable commit
//! every 100 ms.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use sen_chassis::clock::Stopwatch;
use sen_model::time::{DAY_MS, HOUR_MS};
use sen_model::{DeviceId, Metric, Moment, Partial, Quality, Tier, Timestamp};
use sen_store::{Checkpoint, Config, SeriesId, Span, Store, Summaries};

use super::super::super::report::{Sample, histogram};
use super::super::super::usage;
use super::load::{self, BEGIN_MS};

/// How often points become durable.
const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// Points given at once.
const BATCH: u64 = 5_000;
/// Hours of the year that is asked for.
const HOURS: i64 = 365 * 24;

/// A store being written, and what its commits took.
pub(super) struct Writing {
    pub(super) store: Store,
    ids: Vec<SeriesId>,
    commit_us: Histogram<u64>,
    since_commit: Stopwatch,
    written: u64,
}

impl Writing {
    /// A store in a folder, with this many series.
    pub(super) fn open(folder: &Path, series: u64) -> anyhow::Result<Self> {
        let store = Store::open(folder.to_owned(), Config::default())?;
        let metric = Metric::new("value")?;
        let id = |number| {
            let device = DeviceId::new(format!("series-{number}"))?;
            Ok(store.registered_series_id(&device, &metric)?)
        };
        let ids = (0..series).map(id).collect::<anyhow::Result<_>>()?;
        let (commit_us, since_commit) = (histogram(), Stopwatch::start());
        Ok(Self { store, ids, commit_us, since_commit, written: 0 })
    }

    /// Writes ticks of all series, no more than `most_per_s` points a second.
    pub(super) async fn write(
        &mut self,
        ticks: std::ops::Range<u64>,
        most_per_s: Option<u64>,
    ) -> anyhow::Result<()> {
        let (begun, before) = (Stopwatch::start(), self.written);
        for tick in ticks {
            for begin in (0..self.ids.len() as u64).step_by(BATCH as usize) {
                let end = (begin + BATCH).min(self.ids.len() as u64);
                let mut points: Vec<_> = (begin..end)
                    .map(|series| (self.ids[series as usize], load::point(series, tick)))
                    .collect();
                self.store.write(&mut points).await?;
                ensure!(points.len() as u64 == end - begin, "a new point was taken for known");
                self.written += end - begin;
                if let Some(most_per_s) = most_per_s {
                    let due = (self.written - before) as f64 / most_per_s as f64;
                    let ahead = due - begun.elapsed().as_secs_f64();
                    tokio::time::sleep(Duration::from_secs_f64(ahead.max(0.0))).await;
                }
                if self.since_commit.elapsed() >= COMMIT_EVERY {
                    self.commit().await?;
                }
            }
        }
        self.commit().await
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        self.since_commit = Stopwatch::start();
        let checkpoint = Checkpoint { epoch: "bench".to_owned(), next: self.written };
        self.store.commit(Summaries::new(), checkpoint).await?;
        let took = self.since_commit.elapsed();
        self.commit_us.saturating_record(u64::try_from(took.as_micros())?);
        Ok(())
    }

    /// What commits have taken since this was last asked.
    pub(super) fn commits(&mut self) -> Histogram<u64> {
        std::mem::replace(&mut self.commit_us, histogram())
    }
}

/// Points a second and a core, and what a commit takes: as fast as it goes, then at 50,000 a second
/// while all of it is being sealed.
pub(super) async fn write(folder: &Path, series: u64, ticks: u64) -> anyhow::Result<Sample> {
    let points = (series * ticks) as f64;
    let generator_s = generator_cpu_s(series, ticks)?;
    let mut writing = Writing::open(folder, series)?;
    let (before, begun) = (usage::of(std::process::id())?, Stopwatch::start());
    writing.write(0..ticks, None).await?;
    let took_s = begun.elapsed().as_secs_f64();
    writing.store.seal().await?;
    let after = usage::of(std::process::id())?;
    let cpu_s = (after.cpu_s - before.cpu_s - generator_s).max(0.001);
    let full_speed = writing.commits();
    writing.write(ticks..ticks + 100, Some(50_000)).await?;
    let steady = writing.commits();
    writing.store.seal().await?;
    writing.store.retain(Timestamp::from_millis(BEGIN_MS)).await?;
    let disk_bytes = writing.store.stats().disk_bytes as f64;
    Ok(Sample::default()
        .typical("points_per_s_core", points / cpu_s)
        .typical("cpu_s_per_million", cpu_s / points * 1e6)
        .typical("points_per_s", points / took_s)
        .typical("generator_cpu_s", generator_s)
        .latency(["commit_p50_ms", "commit_p99_ms", "commit_max_ms"], &full_speed)
        .latency(["steady_commit_p50_ms", "steady_commit_p99_ms", "steady_commit_max_ms"], &steady)
        .typical("bytes_per_point", disk_bytes / (points + (100 * series) as f64))
        .typical("rss_mb", after.rss_mb))
}

/// What it costs to make the points: it runs in the process that is measured.
fn generator_cpu_s(series: u64, ticks: u64) -> anyhow::Result<f64> {
    let before = usage::of(std::process::id())?;
    let mut sum = 0.0;
    for tick in 0..ticks {
        let points: Vec<_> = (0..series).map(|series| load::point(series, tick)).collect();
        sum += points.iter().map(|point| point.value).sum::<f64>();
    }
    ensure!(std::hint::black_box(sum).is_finite(), "the points have no sum");
    Ok(usage::of(std::process::id())?.cpu_s - before.cpu_s)
}

/// How long a day of one series and a year of its hours take, after a new start.
pub(super) async fn ask(folder: &Path, series: u64) -> anyhow::Result<Sample> {
    let day_ticks = (DAY_MS / load::STEP_MS) as u64;
    let mut writing = Writing::open(folder, series)?;
    writing.write(0..day_ticks, None).await?;
    a_year_of_hours(&mut writing).await?;
    writing.store.seal().await?;
    drop(writing);
    let begun = Stopwatch::start();
    let store = Store::open(folder.to_owned(), Config::default())?;
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    let (mut day_us, mut year_us) = (histogram(), histogram());
    let ids: Vec<SeriesId> = store.series().into_iter().map(|(id, _)| id).collect();
    for id in &ids {
        let begun = Stopwatch::start();
        let found = store.points(*id, Span::ALL, usize::MAX).await?.len();
        day_us.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
        ensure!(found as u64 == day_ticks, "{found} points in place of {day_ticks}");
    }
    for id in ids.iter().take(HOURLY_SERIES) {
        for _ in 0..10 {
            let begun = Stopwatch::start();
            let found = store.summaries(*id, Tier::Hour, Span::ALL, usize::MAX).await?.len();
            year_us.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
            ensure!(found as i64 == HOURS, "{found} hours in place of {HOURS}");
        }
    }
    Ok(Sample::default()
        .latency(["day_p50_ms", "day_p99_ms", "day_max_ms"], &day_us)
        .latency(["year_p50_ms", "year_p99_ms", "year_max_ms"], &year_us)
        .typical("open_small_ms", open_ms))
}

/// Series that have a year of hours.
const HOURLY_SERIES: usize = 3;

async fn a_year_of_hours(writing: &mut Writing) -> anyhow::Result<()> {
    let mut summaries = Summaries::new();
    for id in writing.ids.iter().take(HOURLY_SERIES) {
        for hour in 0..HOURS {
            let start = Timestamp::from_millis(BEGIN_MS + DAY_MS + hour * HOUR_MS);
            let mut partial = Partial::default();
            for sequence in 0..6 {
                let value = f64::from(sequence) / 10.0 + (hour % 24) as f64;
                partial.add(Moment { event_time: start, sequence, value }, Quality::Good);
            }
            summaries.push(*id, start, &partial);
        }
    }
    let checkpoint = Checkpoint { epoch: "bench".to_owned(), next: writing.written };
    writing.store.commit(summaries, checkpoint).await?;
    writing.store.roll_up(Timestamp::from_millis(i64::MAX)).await.context("rolling up")
}

/// Fills a store with this many points and tells how fast it opens, and what memory it then takes.
pub(super) async fn open(folder: &Path, points: u64) -> anyhow::Result<Sample> {
    const SERIES: u64 = 10_000;
    let mut writing = Writing::open(folder, SERIES)?;
    writing.write(0..points / SERIES, None).await?;
    drop(writing);
    let before = usage::of(std::process::id())?;
    let begun = Stopwatch::start();
    let store = Store::open(folder.to_owned(), Config::default())?;
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    let begun = Stopwatch::start();
    let id =
        store.find(&DeviceId::new("series-7")?, &Metric::new("value")?).context("no series")?;
    let found = store.points(id, Span::ALL, usize::MAX).await?.len() as u64;
    let first_answer_ms = begun.elapsed().as_secs_f64() * 1e3;
    ensure!(found == points / SERIES, "{found} points in place of {}", points / SERIES);
    let stats = store.stats();
    Ok(Sample::default()
        .typical("open_ms", open_ms)
        .typical("first_answer_ms", first_answer_ms)
        .typical("tail_points", stats.head_points as f64)
        .typical("file_mb", stats.disk_bytes as f64 / 1e6)
        .typical("bytes_per_point", stats.disk_bytes as f64 / points as f64)
        .typical("rss_before_mb", before.rss_mb)
        .typical("rss_mb", usage::of(std::process::id())?.rss_mb))
}
