//! A store that is open to read while another process writes the same file.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::path::Path;

use sen_model::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use sen_model::{DeviceId, Metric, Quality, Timestamp};
use sen_store::{Checkpoint, Config, Point, SeriesId, Span, Store, StoreError, Summary, Tier};

/// 2026-11-23T00:00:00Z.
const BEGIN_MS: i64 = 20_780 * DAY_MS;
const OF: u32 = 300;

fn read(folder: &Path) -> Store {
    Store::open_to_read(folder.to_owned(), Config::default()).unwrap()
}

fn names(number: u32) -> (DeviceId, Metric) {
    let device = DeviceId::new(format!("device-{number}")).unwrap();
    (device, Metric::new("level_m").unwrap())
}

fn point(second: i64) -> Point {
    let event_time = Timestamp::from_millis(BEGIN_MS + second * SECOND_MS);
    let quality = Quality::Good;
    Point { event_time, sequence: 0, value: second as f64, quality, received_at: event_time }
}

fn checkpoint(next: u64) -> Checkpoint {
    Checkpoint { epoch: "e".to_owned(), next }
}

/// Writes one point of each second to every series, a minute's summary of each, and commits.
async fn fill(store: &Store, seconds: std::ops::Range<i64>) {
    let next = seconds.end as u64;
    let (mut points, mut summaries) = (Vec::new(), Vec::new());
    for number in 0..OF {
        let (device, metric) = names(number);
        let id = store.series_id(&device, &metric).unwrap();
        points.extend(seconds.clone().map(|second| (id, point(second))));
        let start = point(seconds.start).event_time;
        let start = Timestamp::from_millis(start.as_millis().div_euclid(MINUTE_MS) * MINUTE_MS);
        summaries.push((id, Summary { start, tier: Tier::Minute, partial: Default::default() }));
    }
    store.write(&mut points).await.unwrap();
    store.commit(summaries, checkpoint(next)).await.unwrap();
}

async fn seconds(store: &Store, number: u32) -> Vec<i64> {
    let (device, metric) = names(number);
    let id = store.find(&device, &metric).unwrap();
    let points = store.points(id, Span::ALL, usize::MAX).await.unwrap();
    points.iter().map(|point| (point.event_time.as_millis() - BEGIN_MS) / SECOND_MS).collect()
}

#[tokio::test]
async fn nothing_committed_before_is_missed_whatever_the_writer_does() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    fill(&writer, 0..40).await;
    writer.seal().await.unwrap();
    fill(&writer, 40..80).await;

    let reader = read(folder.path());
    assert_eq!(reader.checkpoint().await.unwrap(), Some(checkpoint(80)));
    assert_eq!(reader.series().len(), OF as usize);
    let all: Vec<i64> = (0..80).collect();
    assert_eq!(seconds(&reader, 0).await, all);

    // What the reader holds in memory goes to chunks, newer points beside it, and late ones before.
    writer.seal().await.unwrap();
    fill(&writer, -20..0).await;
    fill(&writer, 80..120).await;
    writer.seal().await.unwrap();
    for number in 0..OF {
        let found = seconds(&reader, number).await;
        let of_then: Vec<i64> = found.iter().copied().filter(|at| all.contains(at)).collect();
        assert_eq!(of_then, all, "series {number}");
        assert!(found.is_sorted() && found.iter().all(|at| (-20..120).contains(at)));
    }
    let (device, metric) = names(7);
    let id = reader.find(&device, &metric).unwrap();
    let minutes = reader.summaries(id, Tier::Minute, Span::ALL, 99).await.unwrap();
    assert!(minutes.len() >= 2, "{} minutes", minutes.len());

    let later = read(folder.path());
    assert_eq!(seconds(&later, OF - 1).await, (-20..120).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_that_opens_during_sealing_sees_every_point_once() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    for round in 0..10 {
        fill(&writer, round * 5..(round + 1) * 5).await;
        let expected: Vec<i64> = (0..(round + 1) * 5).collect();
        let reading = async {
            for number in [0, OF / 2, OF - 1] {
                assert_eq!(seconds(&read(folder.path()), number).await, expected);
            }
        };
        let (sealed, ()) = tokio::join!(writer.seal(), reading);
        sealed.unwrap();
    }
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::open_to_read(folder.path().to_owned(), Config::default());
    assert!(matches!(missing, Err(StoreError::Io(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let writer = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    fill(&writer, 0..3).await;
    let reader = read(folder.path());
    let read_only = |outcome| assert!(matches!(outcome, Err(StoreError::ReadOnly)));
    read_only(reader.write(&mut vec![(SeriesId(0), point(9))]).await.map(drop));
    read_only(reader.commit(Vec::new(), checkpoint(9)).await);
    read_only(reader.seal().await);
    read_only(reader.retain(Timestamp::from_millis(i64::MAX)).await);
    let (device, metric) = names(OF);
    read_only(reader.series_id(&device, &metric).map(drop));
    read_only(reader.registered_series_id(&device, &metric).map(drop));
    assert_eq!(seconds(&reader, 1).await, [0, 1, 2]);
    assert_eq!(writer.series().len(), OF as usize);
}

#[tokio::test]
async fn a_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path().to_owned(), Config::default()).unwrap());
    let file = rusqlite::Connection::open(folder.path().join("sen.db")).unwrap();
    for (version, told) in [(0, "start the centre on it once"), (1_000, "knows up to")] {
        file.pragma_update(None, "user_version", version).unwrap();
        let refused = Store::open_to_read(folder.path().to_owned(), Config::default());
        let error = refused.err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
}
