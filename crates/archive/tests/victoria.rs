//! Against the real VictoriaMetrics that Debian packages.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::Duration;

use sen_archive::line::{self, Line, Value};
use sen_archive::{ArchiveError, Row};
use sen_model::{DeviceId, Metric, Moment, Partial, Quality, SeriesKey, Tier, Timestamp};
use sen_store::{Point, Span, Summary};
use tokio::time::Instant;

#[path = "victoria/server.rs"]
mod server;

use server::{Victoria, eventually};

/// In November 2023: the past on any machine, since the server takes nothing far ahead.
const BASE_MS: i64 = 1_700_000_000_000;
const TIMEOUT: Duration = Duration::from_secs(60);

fn key(device: &str, metric: &str) -> SeriesKey {
    SeriesKey { device: DeviceId::new(device).unwrap(), metric: Metric::new(metric).unwrap() }
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(BASE_MS + ms)
}

fn point(number: i64) -> Point {
    Point {
        event_time: time(number / 2 * 1_000),
        sequence: (number % 2) as u32 * 5,
        value: (number * 7 % 1_000 - 300) as f64 / 100.0,
        quality: [Quality::Good, Quality::Suspect, Quality::Bad][(number % 3) as usize],
        received_at: time(number / 2 * 1_000 + 250),
    }
}

fn rows(key: &SeriesKey, points: &[Point]) -> Vec<Row> {
    points.iter().map(|point| Row::Reading(key.clone(), *point)).collect()
}

#[tokio::test]
async fn readings_come_back_equal_and_repeats_change_nothing() {
    let server = Victoria::start().await;
    let archive = server.archive(TIMEOUT);
    let prepared = archive.prepare().await.unwrap();
    assert!(prepared.warnings.iter().any(|warning| warning.contains("dedup")), "{prepared:?}");
    assert!(!prepared.warnings.iter().any(|warning| warning.contains("retention")));
    let (level, other) = (key("stn-my-tho", "water_level.m"), key("000", "A-b_c"));
    let points: Vec<_> = (0..12_000).map(point).collect();
    for _ in 0..3 {
        let written = archive.write(&rows(&level, &points)).await.unwrap();
        assert!(written.refused.is_empty());
    }
    archive.write(&rows(&other, &points[..1])).await.unwrap();
    archive.flush().await.unwrap();
    eventually(&points, async || archive.points(&level, Span::ALL, 20_000).await.unwrap()).await;
    eventually(&vec![other.clone(), level.clone()], async || archive.series().await.unwrap()).await;
    let span = Span { from: points[2].event_time, to: points[8].event_time };
    assert_eq!(archive.points(&level, span, 99).await.unwrap(), points[2..8]);
    assert_eq!(archive.points(&level, span, 3).await.unwrap(), points[2..5]);
    let latest = archive.latest(&[level.clone(), key("nobody", "x"), other]).await.unwrap();
    assert_eq!(latest, [points.last().copied(), None, Some(points[0])]);
    let few =
        archive.points_downsampled(&level, Span { to: time(7_000_000), ..span }, 50).await.unwrap();
    let largest =
        |points: &[Point]| points.iter().map(|point| point.value).fold(f64::MIN, f64::max);
    assert!((2..=50).contains(&few.len()), "{}", few.len());
    assert_eq!(largest(&few), largest(&points));
}

fn partial(values: &[f64], start: Timestamp) -> Partial {
    let mut partial = Partial::default();
    for (number, value) in (0..).zip(values) {
        let event_time = start.plus_ms(number * 1_000);
        partial.add(Moment { event_time, sequence: 0, value: *value }, Quality::Good);
    }
    partial
}

#[tokio::test]
async fn summaries_come_back_and_corrections_win() {
    let server = Victoria::start().await;
    let archive = server.archive(TIMEOUT);
    let key = key("stn-my-tho", "pm2.5");
    let all = [1.25, -7.5, 3.0, 1e9, 0.0001];
    for tier in Tier::ALL {
        let first = tier.start_of(time(0));
        let starts = [first, tier.end_of(first), tier.end_of(tier.end_of(first))];
        let row = |start, values: &[f64]| {
            Row::Summary(key.clone(), Summary { start, tier, partial: partial(values, start) })
        };
        // The correction first, then what it corrects: the order of arrival must not matter.
        let rows = [
            row(starts[0], &all),
            row(starts[0], &all[..2]),
            row(starts[1], &all[..1]),
            row(starts[2], &[]),
        ];
        for _ in 0..2 {
            archive.write(&rows).await.unwrap();
        }
        archive.flush().await.unwrap();
        let counts = async || {
            let found = archive.summaries(&key, tier, Span::ALL, 99).await.unwrap();
            found.iter().map(|one| (one.start, one.count, one.good_count)).collect::<Vec<_>>()
        };
        eventually(&vec![(starts[0], 5, 5), (starts[1], 1, 1), (starts[2], 0, 0)], counts).await;
        let found = archive
            .summaries(&key, tier, Span { from: starts[0], to: starts[1] }, 9)
            .await
            .unwrap();
        let [one] = found.as_slice() else { panic!("{found:?}") };
        let whole = partial(&all, starts[0]);
        let near = |found: Option<f64>, wanted: Option<f64>| {
            let (found, wanted) = (found.unwrap(), wanted.unwrap());
            assert!((found - wanted).abs() <= wanted.abs() * 1e-11, "{found} {wanted}");
        };
        near(Some(one.sum), Some(whole.sum()));
        near(one.mean, whole.mean());
        near(one.stddev, whole.variance().map(f64::sqrt));
        near(one.p50, whole.quantile(0.5));
        near(one.p95, whole.quantile(0.95));
        assert_eq!((one.min, one.max), (whole.min(), whole.max()));
        assert_eq!((one.first, one.last), (Some(1.25), Some(0.0001)));
        assert!(one.partial.is_none() && one.start == starts[0] && one.tier == tier);
    }
}

/// Names that have broken other encoders, and some that must be taken.
const NAMES: [&str; 12] = [
    "plain",
    "a,b",
    "a b",
    "a=b",
    "\"a\"",
    "'",
    "Mỹ Tho",
    "{x=\"y\"}",
    "a|b",
    "a\\",
    "a\nreading,device=victim value=1 1",
    "",
];

#[tokio::test]
async fn every_line_the_encoder_gives_is_taken() {
    let server = Victoria::start().await;
    let (mut lines, mut sent) = (String::new(), Vec::new());
    for name in NAMES {
        let fields = [("value", Value::Float(1.5))];
        let tags = [("device", "hostile"), ("name", name)];
        let line =
            Line { measurement: "m", tags: &tags, fields: &fields, time_ns: BASE_MS * 1_000_000 };
        if line::encode(&mut lines, &line).is_ok() {
            sent.push(name);
        }
    }
    assert_eq!(sent, NAMES[..9]);
    server.post_lines(&lines);
    let _ = server.get("internal/force_flush");
    sent.sort_unstable();
    let names = async || {
        let text = server.get("api/v1/label/name/values?start=1&match%5B%5D=m_value");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut names: Vec<_> = json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    };
    eventually(&sent.iter().map(|name| (*name).to_owned()).collect(), names).await;
    let invalid = server.get("metrics");
    assert!(invalid.contains("vm_rows_invalid_total{type=\"influx\"} 0"));
    assert!(
        !server
            .get("api/v1/series?start=1&match%5B%5D=%7Bdevice=%22victim%22%7D")
            .contains("victim")
    );
}

#[tokio::test]
async fn any_finite_value_is_kept_within_eleven_digits() {
    let server = Victoria::start().await;
    let archive = server.archive(TIMEOUT);
    let values = [
        0.0,
        -0.0,
        1e12,
        -1e12,
        1e-9,
        21.5,
        0.1,
        1.0 / 3.0,
        123_456.789_012,
        999_999_999_999.0,
        5e-324,
        1e300,
    ];
    for (number, value) in (0..).zip(values) {
        // A series each: samples stored together share their exponent.
        let key = key("values", &format!("v{number}"));
        let wanted = Point { value, ..point(0) };
        let written = archive.write(&rows(&key, &[wanted])).await.unwrap();
        assert!(written.refused.is_empty());
        archive.flush().await.unwrap();
        eventually(&1, async || archive.points(&key, Span::ALL, 9).await.unwrap().len()).await;
        let found = archive.points(&key, Span::ALL, 9).await.unwrap()[0].value;
        assert!((found - value).abs() <= value.abs() * 1e-11 + 1e-300, "{found} {value}");
        let is_short = format!("{value:.10e}").parse() == Ok(value);
        assert!(found == value || !is_short || value.abs() < 1e-300, "{found} {value}");
    }
}

#[tokio::test]
async fn poison_costs_itself() {
    // F28
    let server = Victoria::start().await;
    let archive = server.archive(TIMEOUT);
    let key = key("stn-my-tho", "level");
    let mut points: Vec<_> = (0..100).map(point).collect();
    points[7].value = f64::NAN;
    points[70].value = f64::NEG_INFINITY;
    points[80].event_time = Timestamp::from_millis(i64::MAX);
    points[90].event_time = Timestamp::from_millis(-1);
    let written = archive.write(&rows(&key, &points)).await.unwrap();
    assert_eq!(
        written.refused.iter().map(|refused| refused.row).collect::<Vec<_>>(),
        [7, 70, 80, 90]
    );
    assert!(written.refused[0].reason.contains("not a finite number"), "{written:?}");
    let good: Vec<_> = (0..100).filter(|at| ![7, 70, 80, 90].contains(at)).map(point).collect();
    archive.flush().await.unwrap();
    eventually(&good, async || archive.points(&key, Span::ALL, 999).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_midst_of_batches_it_is_whole_after_they_are_written_again() {
    // F04
    let mut server = Victoria::start().await;
    let key = key("stn-my-tho", "level");
    let points: Vec<_> = (0..20_000).map(point).collect();
    let mut broken = 0;
    for round in 0..10_usize {
        let archive = server.archive(TIMEOUT);
        let batch = rows(&key, &points[round * 2_000..][..2_000]);
        let writing = tokio::task::spawn_blocking(move || {
            let rows = batch.chunks(50).map(<[Row]>::to_vec);
            tokio::runtime::Handle::current().block_on(async {
                for rows in rows {
                    archive.write(&rows).await?;
                }
                Ok::<_, ArchiveError>(())
            })
        });
        tokio::time::sleep(Duration::from_millis(7 * round as u64)).await;
        server.kill();
        if let Err(error) = writing.await.unwrap() {
            assert!(error.is_retryable(), "{error}");
            broken += 1;
        }
        server.restart().await;
    }
    assert!(broken > 0, "no write met a kill");
    // The writer's cursor stands before all of it: write it again.
    let archive = server.archive(TIMEOUT);
    archive.write(&rows(&key, &points)).await.unwrap();
    archive.flush().await.unwrap();
    eventually(&points, async || archive.points(&key, Span::ALL, 99_999).await.unwrap()).await;
}

#[tokio::test]
async fn what_is_older_than_it_takes_to_settle_survives_a_kill() {
    let mut server = Victoria::start().await;
    let archive = server.archive(TIMEOUT);
    let key = key("stn-my-tho", "level");
    let points: Vec<_> = (0..500).map(point).collect();
    archive.write(&rows(&key, &points)).await.unwrap();
    tokio::time::sleep(archive.settles_after()).await;
    server.restart().await;
    let archive = server.archive(TIMEOUT);
    eventually(&points, async || archive.points(&key, Span::ALL, 999).await.unwrap()).await;
}

#[tokio::test]
async fn stopped_it_costs_the_time_limit_and_no_more() {
    // F07
    let server = Victoria::start().await;
    let key = key("stn-my-tho", "level");
    let points: Vec<_> = (0..100).map(point).collect();
    let limit = Duration::from_secs(2);
    let archive = server.archive(limit);
    server.pause(true);
    let begun = Instant::now();
    let error = archive.write(&rows(&key, &points)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Unreachable(_)) && error.is_retryable(), "{error:?}");
    assert!(archive.points(&key, Span::ALL, 1).await.is_err());
    assert!(begun.elapsed() < 2 * limit + Duration::from_secs(10), "{:?}", begun.elapsed());
    server.pause(false);
    let archive = server.archive(TIMEOUT);
    archive.write(&rows(&key, &points)).await.unwrap();
    archive.flush().await.unwrap();
    eventually(&points, async || archive.points(&key, Span::ALL, 999).await.unwrap()).await;
}
