//! The oracle run: what many series say, shuffled, repeated and partly late beyond all memory, with
//! crashes at random points; in the end every tier of every series is what the oracle says.
//!
//! `ORACLE_READINGS` says how many readings (a million make 500 series of 2,000).

use sen_model::Quality;
use sen_model::time::{DAY_MS, MINUTE_MS};
use sen_tests::chance::Chance;
use sen_tests::history::{Extent, packets};
use sen_tests::oracle::{Oracle, Report};
use sen_tests::pipeline::{Pipeline, Setting, compare};

/// If the environment does not say otherwise.
const READINGS: usize = 200_000;
const PER_SERIES: usize = 2_000;
/// Times the process dies.
const CRASHES: u64 = 16;
/// 29 February 2024, ten in the evening in Vietnam: the run goes over the end of the leap day.
const BEGIN_MS: i64 = 19_782 * DAY_MS + 15 * 3_600_000;

fn readings() -> usize {
    let said = std::env::var_os("ORACLE_READINGS");
    said.map_or(READINGS, |said| said.to_str().and_then(|said| said.parse().ok()).unwrap())
}

/// Windows leave memory after two minutes, and chunks are made all the time.
fn setting(extent: Extent) -> Setting {
    let mut setting = Setting::at(extent.end_ms());
    setting.aggregate.hot_ms = 2 * MINUTE_MS;
    setting.aggregate.commit_points = 7_000;
    setting.aggregate.max_open_windows = 5_000;
    setting.store.seal_points = 20_000;
    setting
}

#[tokio::test(flavor = "multi_thread")]
async fn every_window_of_every_tier_is_what_the_oracle_says() -> anyhow::Result<()> {
    let series = readings().div_ceil(PER_SERIES);
    let extent = Extent { series, readings: PER_SERIES, begin_ms: BEGIN_MS, step_ms: 30_000 };
    let mut chance = Chance::of(1);
    let mut reports: Vec<Report> = packets(extent, &mut chance).concat();
    for report in &mut reports {
        if chance.per_mille(20) {
            report.quality = Quality::Suspect;
        }
    }
    let clock = sen_chassis::clock::Stopwatch::start();
    let mut pipeline = Pipeline::in_memory(setting(extent))?;
    let mut left = &reports[..];
    let block = reports.len() as u64 / CRASHES;
    for crash in 0..CRASHES {
        let (now, later) = left.split_at((chance.below(2 * block) as usize).min(left.len()));
        left = later;
        for some in now.chunks(2_000) {
            pipeline.append(some).await?;
        }
        // At the latest when all is taken; or while it is at work.
        if crash % 2 == 0 {
            pipeline.taken().await?;
        }
        pipeline = pipeline.crash().await?;
    }
    pipeline.append(left).await?;
    pipeline.commit().await?;
    let streamed = clock.elapsed();
    let oracle = Oracle::of(reports.iter().cloned());
    let windows = compare(pipeline.store(), &oracle).await?;
    println!(
        "{} readings arrived, {} counted, of {series} series; {windows} windows agree; \
         {streamed:.1?} to stream, {:.1?} in all",
        reports.len(),
        oracle.len(),
        clock.elapsed(),
    );
    Ok(())
}
