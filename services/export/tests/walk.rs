//! The walk through the store: every row once, in order, however the slices fall.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;

use proptest::prelude::*;
use sen_export::{Job, Resolution, WriteError, columns};
use sen_model::{DeviceId, Metric, Partial, Quality, Registry, Tier, Timestamp};
use sen_store::{Checkpoint, Config, Point, Span, Store, Summary};
use sen_table::{Encoder, Format};

/// Points as (time, sequence): many of one millisecond, more than a slice holds.
fn points(runs: &[(i64, u32)]) -> Vec<Point> {
    let run = |(time, count): &(i64, u32)| {
        let event_time = Timestamp::from_millis(*time);
        (0..*count).map(move |sequence| Point {
            event_time,
            sequence,
            value: f64::from(sequence),
            quality: Quality::Good,
            received_at: event_time,
        })
    };
    runs.iter().flat_map(run).collect()
}

async fn written(points: &[Point], span: Span) -> (Vec<(Timestamp, f64)>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    let (device, metric) = (DeviceId::new("abc").unwrap(), Metric::new("m").unwrap());
    let id = store.series_id(&device, &metric).unwrap();
    store.write(&mut points.iter().map(|point| (id, *point)).collect()).await.unwrap();
    let checkpoint = Checkpoint { epoch: "e".to_owned(), next: 0 };
    store.commit(Vec::new(), checkpoint).await.unwrap();
    let registry = Registry::default();
    let series = Job::chosen(&store, |_| true);
    let job = Job { store: &store, registry: &registry, series, span, resolution: Resolution::Raw };
    let mut table = Encoder::new(Format::Ndjson, columns(job.resolution), &[], Vec::new()).unwrap();
    let mut told = 0;
    let done = job
        .write(&mut table, |done, _| {
            assert!(done.rows >= told);
            told = done.rows;
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    assert_eq!((done.series, done.rows), (1, told));
    let lines = String::from_utf8(table.finish().unwrap()).unwrap();
    let row = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        (json["time"].as_str().unwrap().parse().unwrap(), json["value"].as_f64().unwrap())
    };
    (lines.lines().map(row).collect(), done.rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn every_reading_of_the_span_is_written_once_and_in_order(
        counts in prop::collection::vec(prop_oneof![8 => 1..50_u32, 2 => 4_000..6_000_u32], 1..12),
        from in 0..12_i64, length in 1..12_i64,
    ) {
        let runs: Vec<_> = (0..).zip(counts).collect();
        let points = points(&runs);
        let time = Timestamp::from_millis;
        let span = Span { from: time(from), to: time(from + length) };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (found, rows) = runtime.block_on(written(&points, span));
        let inside = points.iter().filter(|point| span.contains(point.event_time));
        let expected: Vec<_> = inside.map(|point| (point.event_time, point.value)).collect();
        prop_assert_eq!(rows, expected.len() as u64);
        prop_assert!(found == expected, "{} rows", found.len());
    }
}

#[tokio::test]
async fn summaries_say_what_their_partial_says_and_a_caller_may_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    let (device, metric) = (DeviceId::new("abc").unwrap(), Metric::new("m").unwrap());
    let id = store.series_id(&device, &metric).unwrap();
    let mut points = points(&[(60_000, 3)]);
    let mut partial = Partial::default();
    points[2].quality = Quality::Suspect;
    points.iter().for_each(|point| partial.add(point.moment(), point.quality));
    let all_bad = {
        let mut partial = Partial::default();
        partial.add(points[2].moment(), Quality::Bad);
        partial
    };
    let minute =
        |ms, partial| Summary { start: Timestamp::from_millis(ms), tier: Tier::Minute, partial };
    let summaries = vec![(id, minute(60_000, partial)), (id, minute(120_000, all_bad))];
    let checkpoint = Checkpoint { epoch: "e".to_owned(), next: 0 };
    store.commit(summaries, checkpoint).await.unwrap();
    let registry = Registry::default();
    let resolution = Resolution::Of(Tier::Minute);
    let series = Job::chosen(&store, |_| true);
    let job = Job { store: &store, registry: &registry, series, span: Span::ALL, resolution };
    let mut table = Encoder::new(Format::Csv, columns(resolution), &[], Vec::new()).unwrap();
    job.write(&mut table, |_, _| ControlFlow::Continue(())).await.unwrap();
    let text = String::from_utf8(table.finish().unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let statistics = "count,good_count,good_share,sum,mean,min,max,first,last,stddev,p50,p95,p99";
    assert!(lines[0].ends_with(statistics), "{text}");
    let share = 2.0 / 3.0;
    let first = format!(
        "abc,,,,,,,m,,1970-01-01T07:01:00.000+07:00,3,2,{share},1.0,0.5,0.0,1.0,0.0,1.0,0.5,"
    );
    assert!(lines[1].starts_with(&first), "{text}");
    assert_eq!(lines[2], "abc,,,,,,,m,,1970-01-01T07:02:00.000+07:00,1,0,0.0,,,,,,,,,,");

    let mut table = Encoder::new(Format::Csv, columns(resolution), &[], Vec::new()).unwrap();
    let stopped = job.write(&mut table, |_, _| ControlFlow::Break(())).await;
    assert!(matches!(stopped, Err(WriteError::Stopped)));
}
