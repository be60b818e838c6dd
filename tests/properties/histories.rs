//! Histories of a centre: what is reported, and what happens in between.

use proptest::prelude::*;
use sen_model::Quality;
use sen_model::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use sen_tests::oracle::{Oracle, Report};
use sen_tests::pipeline::{ANCIENT_MS, EARLIEST_MS, Pipeline, Setting, compare};

use crate::series;

/// 29 February 2024 in Vietnam.
pub(crate) const BEGIN_MS: i64 = 19_782 * DAY_MS - 7 * 3_600_000;
/// What the clock says, most of the time.
pub(crate) const NOW_MS: i64 = BEGIN_MS + 40 * MINUTE_MS;

/// What the clock says, which bounds what expires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clocked {
    /// Soon after most of the reports.
    Today,
    /// Long before all of them: then any moment of `i64` can be reported.
    Ancient,
}

impl Clocked {
    pub(crate) fn now_ms(self) -> i64 {
        match self {
            Self::Today => NOW_MS,
            Self::Ancient => ANCIENT_MS,
        }
    }

    fn earliest_ms(self) -> i64 {
        match self {
            Self::Today => EARLIEST_MS,
            Self::Ancient => i64::MIN,
        }
    }
}

pub(crate) fn clocked() -> impl Strategy<Value = Clocked> {
    prop_oneof![4 => Just(Clocked::Today), 1 => Just(Clocked::Ancient)]
}

/// One report of three series.
pub(crate) fn report(clocked: Clocked) -> impl Strategy<Value = Report> {
    let time = prop_oneof![
        // Half an hour, of which a minute or five are in memory: much of it is late.
        12 => (0..1_800_i64).prop_map(|second| BEGIN_MS + second * SECOND_MS),
        // Around midnight, the end of the leap day, and days later.
        3 => (0..4_i64, -2..2_i64).prop_map(|(day, ms)| BEGIN_MS + day * DAY_MS + ms),
        1 => -90_000..90_000_i64,
        1 => clocked.earliest_ms()..i64::MAX,
        1 => prop::sample::select(vec![clocked.earliest_ms(), i64::MAX - 1, i64::MAX]),
    ];
    let quality =
        prop_oneof![8 => Just(Quality::Good), 1 => Just(Quality::Suspect), 1 => Just(Quality::Bad)];
    let value = prop_oneof![
        8 => -1e3..1e3_f64,
        1 => -1e12..1e12_f64,
        1 => prop::sample::select(vec![0.0, 1e12, -1e12, 1e-9, 5e-324]),
    ];
    (0..3_usize, time, 0..2_u32, value, quality).prop_map(
        |(of, time_ms, sequence, value, quality)| {
            let (device, metric) =
                [("station-0", "level_m"), ("station-0", "rain_mm"), ("station-1", "level_m")][of];
            Report { series: series(device, metric), time_ms, sequence, value, quality }
        },
    )
}

pub(crate) fn reports() -> impl Strategy<Value = (Clocked, Vec<Report>)> {
    clocked()
        .prop_flat_map(|clocked| (Just(clocked), prop::collection::vec(report(clocked), 1..100)))
}

/// What happens after some reports have been appended and taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Then {
    Nothing,
    Commit,
    Seal,
    Crash,
    /// So many records of the log are read again.
    Rewind(u64),
}

/// Parts of a history: how many reports, then what.
pub(crate) type Parts = Vec<(usize, Then)>;

/// Parts in which these things happen.
pub(crate) fn parts(happen: &[Then]) -> impl Strategy<Value = Parts> + use<> {
    let happen =
        prop::sample::select([&[Then::Nothing, Then::Commit, Then::Seal], happen].concat());
    prop::collection::vec((1..40_usize, happen), 0..6)
}

/// A pipeline in which windows are few in memory, commits are frequent and chunks are small.
pub(crate) fn setting(clocked: Clocked, hot_ms: i64, commit_points: u64) -> Setting {
    let mut setting = Setting::at(clocked.now_ms());
    setting.aggregate.hot_ms = hot_ms;
    setting.aggregate.commit_points = commit_points;
    setting.store.seal_points = 30;
    setting
}

/// Plays a history and returns the pipeline with everything in it committed.
pub(crate) async fn play(
    setting: Setting,
    reports: &[Report],
    parts: &[(usize, Then)],
) -> anyhow::Result<Pipeline> {
    let mut pipeline = Pipeline::in_memory(setting)?;
    let mut left = reports;
    for (length, then) in parts {
        let (now, later) = left.split_at((*length).min(left.len()));
        left = later;
        pipeline.append(now).await?;
        pipeline.taken().await?;
        match then {
            Then::Nothing => {}
            Then::Commit => pipeline.commit().await?,
            Then::Seal => pipeline.seal().await?,
            Then::Crash => pipeline = pipeline.crash().await?,
            Then::Rewind(records) => pipeline.rewind(*records).await?,
        }
    }
    pipeline.append(left).await?;
    pipeline.commit().await?;
    Ok(pipeline)
}

/// Plays a history and compares what is stored with what the oracle says of `expected`.
pub(crate) fn must_end_as(
    expected: &[Report],
    setting: Setting,
    reports: &[Report],
    parts: &[(usize, Then)],
) -> Result<(), TestCaseError> {
    let ended = block_on(async {
        let pipeline = play(setting, reports, parts).await?;
        compare(pipeline.store(), &Oracle::of(expected.iter().cloned())).await
    });
    ended.map(drop).map_err(|error| TestCaseError::fail(format!("{error:#}")))
}

/// Runs on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
