//! What happens to the file: crashes between slices, damage, retention, limits.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use sen_model::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use sen_model::{DeviceId, Metric, Quality, Timestamp};
use sen_store::{Checkpoint, Config, Point, SeriesId, Span, Store, StoreError, Summary, Tier};

/// 2026-11-23T00:00:00Z.
const BEGIN_MS: i64 = 20_780 * DAY_MS;

fn open(folder: &Path) -> Store {
    Store::open(folder.to_owned(), Config::default()).unwrap()
}

fn series(store: &Store, number: u32) -> SeriesId {
    let device = DeviceId::new(format!("device-{number}")).unwrap();
    store.series_id(&device, &Metric::new("level_m").unwrap()).unwrap()
}

fn point(time_ms: i64) -> Point {
    // Full-mantissa values: they do not compress, so that files have a size.
    let value = ((time_ms as f64) * 0.618_033_988_749_895).sin();
    let event_time = Timestamp::from_millis(time_ms);
    let received_at = event_time.plus_ms(time_ms % 997);
    Point { event_time, sequence: 0, value, quality: Quality::Good, received_at }
}

fn checkpoint(next: u64) -> Checkpoint {
    Checkpoint { epoch: "e".to_owned(), next }
}

/// Writes `count` points, a second apart, to each of `of` series and commits.
async fn fill(store: &Store, of: u32, from_ms: i64, count: i64, next: u64) {
    for number in 0..of {
        let id = series(store, number);
        let times = (0..count).map(|at| from_ms + at * SECOND_MS);
        let mut points: Vec<_> = times.map(|time| (id, point(time))).collect();
        store.write(&mut points).await.unwrap();
        assert_eq!(points.len() as i64, count);
    }
    store.commit(Vec::new(), checkpoint(next)).await.unwrap();
}

async fn times(store: &Store, id: SeriesId) -> Vec<i64> {
    let points = store.points(id, Span::ALL, usize::MAX).await.unwrap();
    points.iter().map(|point| point.event_time.as_millis()).collect()
}

/// Orders sealing, but does not stay for the outcome.
async fn begin_to_seal(store: &Store) {
    tokio::select! {
        biased;
        sealed = store.seal() => sealed.unwrap(),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_crash_between_slices_loses_and_doubles_nothing() {
    // Enough series for several slices; the store is dropped while they are on their way.
    let (of, folder) = (1_000, tempfile::tempdir().unwrap());
    for round in 0..5_i64 {
        let store = open(folder.path());
        fill(&store, of, BEGIN_MS + round * 3 * SECOND_MS, 3, round as u64).await;
        begin_to_seal(&store).await;
        drop(store);
        let store = open(folder.path());
        let expected: Vec<_> = (0..3 * (round + 1)).map(|at| BEGIN_MS + at * SECOND_MS).collect();
        for number in 0..of {
            assert_eq!(times(&store, SeriesId(number)).await, expected, "series {number}");
        }
        let again = (0..of).map(|number| (SeriesId(number), point(BEGIN_MS))).collect::<Vec<_>>();
        let mut points = again;
        assert_eq!(store.write(&mut points).await.unwrap().repeated, of as usize);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_see_no_gap_and_no_double_while_points_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (id, ended) = (series(&store, 0), Arc::new(AtomicBool::new(false)));
    let (reading, stop) = (store.clone(), Arc::clone(&ended));
    let mut readers = tokio::task::JoinSet::new();
    readers.spawn(async move {
        let (mut before, mut rounds) = (0, 0_u32);
        // One more after the end, so that it has read at least once.
        while !stop.load(Ordering::SeqCst) || rounds == 0 {
            let seen = times(&reading, id).await;
            assert!(seen.len() >= before, "{} after {before}", seen.len());
            let expected: Vec<_> =
                (0..seen.len() as i64).map(|at| BEGIN_MS + at * SECOND_MS).collect();
            assert_eq!(seen, expected);
            (before, rounds) = (seen.len(), rounds + 1);
            tokio::task::yield_now().await;
        }
    });
    for round in 0..60 {
        fill(&store, 1, BEGIN_MS + round * 50 * SECOND_MS, 50, round as u64).await;
        store.seal().await.unwrap();
    }
    ended.store(true, Ordering::SeqCst);
    readers.join_next().await.unwrap().unwrap();
    assert_eq!(times(&store, id).await.len(), 3_000);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 1, BEGIN_MS, 10, 7).await;
    drop(store);
    std::fs::write(folder.path().join("sen.db"), vec![0x5a; 50_000]).unwrap();
    let store = open(folder.path());
    assert_eq!(store.checkpoint().await.unwrap(), None, "so that the log is read from its floor");
    assert_eq!(store.series(), []);
    assert!(folder.path().join("sen.db.damaged-1").exists());
    fill(&store, 1, BEGIN_MS, 10, 8).await;
    assert_eq!(times(&store, SeriesId(0)).await.len(), 10);
}

#[tokio::test]
async fn a_damaged_tail_row_costs_the_checkpoint_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 1, BEGIN_MS, 10, 7).await;
    fill(&store, 1, BEGIN_MS + DAY_MS, 10, 8).await;
    drop(store);
    let database = Connection::open(folder.path().join("sen.db")).unwrap();
    let damage = "UPDATE tail SET points = zeroblob(30) WHERE id = (SELECT min(id) FROM tail)";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    drop(database);
    let store = open(folder.path());
    assert_eq!(store.checkpoint().await.unwrap(), None);
    assert_eq!(times(&store, SeriesId(0)).await.len(), 10);
    // The replay: what is there is a repeat, what was lost comes back.
    fill(&store, 1, BEGIN_MS, 10, 9).await;
    assert_eq!(times(&store, SeriesId(0)).await.len(), 20);
}

#[tokio::test]
async fn a_damaged_chunk_costs_that_chunk_and_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 2, BEGIN_MS, 100, 1).await;
    store.seal().await.unwrap();
    let database = Connection::open(folder.path().join("sen.db")).unwrap();
    let damage = "UPDATE chunk SET points = zeroblob(30) WHERE series = 0";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    assert_eq!(times(&store, SeriesId(0)).await.len(), 0);
    assert_eq!(times(&store, SeriesId(1)).await.len(), 100);
    // Points that would join the damaged chunk are kept, and so is what is left of it.
    fill(&store, 2, BEGIN_MS + 100 * SECOND_MS, 100, 2).await;
    store.seal().await.unwrap();
    assert_eq!(times(&store, SeriesId(0)).await.len(), 100);
    assert_eq!(times(&store, SeriesId(1)).await.len(), 200);
    let kept: u32 =
        database.query_row("SELECT count(*) FROM damaged", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn retention_deletes_old_days_and_gives_their_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for day in 0..4 {
        fill(&store, 4, BEGIN_MS + day * DAY_MS, 40_000, day as u64).await;
        store.seal().await.unwrap();
    }
    let minute = |ms: i64| {
        let (start, partial) = (Timestamp::from_millis(ms), sen_store::Partial::default());
        (SeriesId(0), Summary { start, tier: Tier::Minute, partial })
    };
    let config = Config::default();
    let minutes = vec![minute(BEGIN_MS), minute(BEGIN_MS + DAY_MS), minute(BEGIN_MS + 2 * DAY_MS)];
    store.commit(minutes, checkpoint(9)).await.unwrap();

    let raw_ends = BEGIN_MS + 3 * DAY_MS + i64::from(config.raw_days) * DAY_MS;
    store.retain(Timestamp::from_millis(BEGIN_MS)).await.unwrap();
    let before = store.stats().disk_bytes;
    store.retain(Timestamp::from_millis(raw_ends)).await.unwrap();
    let after = store.stats().disk_bytes;
    assert!(after < before / 2, "{before} bytes before, {after} after");
    assert_eq!(times(&store, SeriesId(3)).await.first(), Some(&(BEGIN_MS + 3 * DAY_MS)));
    assert_eq!(times(&store, SeriesId(3)).await.len(), 40_000);

    // What is too old now is told, not stored, and stays so after a restart.
    let mut late = vec![(SeriesId(0), point(BEGIN_MS + 3 * DAY_MS - 1))];
    assert_eq!(store.write(&mut late).await.unwrap().expired, 1);
    drop(store);
    let store = open(folder.path());
    let mut late = vec![(SeriesId(0), point(BEGIN_MS + 3 * DAY_MS - 1))];
    assert_eq!(store.write(&mut late).await.unwrap().expired, 1);

    let minutes_end = BEGIN_MS + 2 * DAY_MS + i64::from(config.minute_days) * DAY_MS;
    store.retain(Timestamp::from_millis(minutes_end - MINUTE_MS)).await.unwrap();
    let left = store.summaries(SeriesId(0), Tier::Minute, Span::ALL, 9).await.unwrap();
    let left: Vec<_> = left.iter().map(|summary| summary.start.as_millis()).collect();
    assert_eq!(left, [BEGIN_MS + 2 * DAY_MS]);
    assert_eq!(store.latest_of_all().len(), 4, "the latest values stay known");
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let file = folder.path().join("sen.db");
    let database = Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let refused = Store::open(folder.path().to_owned(), Config::default());
    assert!(matches!(refused, Err(StoreError::Newer { version: 99, .. })));
    assert!(file.exists() && !folder.path().join("sen.db.damaged-1").exists());
}

#[tokio::test]
async fn a_series_too_many_is_refused_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { max_series: 2, ..Config::default() };
    let store = Store::open(folder.path().to_owned(), config).unwrap();
    let (first, second) = (series(&store, 0), series(&store, 1));
    let device = DeviceId::new("device-2").unwrap();
    let refused = store.series_id(&device, &Metric::new("level_m").unwrap());
    assert!(matches!(refused, Err(StoreError::TooManySeries { limit: 2 })));
    assert_eq!((series(&store, 0), series(&store, 1)), (first, second));
    assert_eq!(store.stats().series, 2);
}

#[tokio::test]
async fn a_backlog_in_any_order_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = series(&store, 0);
    fill(&store, 1, BEGIN_MS, 1_000, 1).await;
    // Backwards, each twice, in batches, before and among what is there.
    let backlog: Vec<i64> = (0..2_000).rev().map(|at| BEGIN_MS - 500_500 + at * 500).collect();
    for some in backlog.chunks(300) {
        let mut points: Vec<_> =
            some.iter().flat_map(|time| [(id, point(*time)), (id, point(*time))]).collect();
        store.write(&mut points).await.unwrap();
    }
    let seen = times(&store, id).await;
    let mut expected: Vec<i64> = (0..1_000).map(|at| BEGIN_MS + at * SECOND_MS).collect();
    expected.extend(&backlog);
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(seen, expected);
    let thinned = store.points_downsampled(id, Span::ALL, 100).await.unwrap();
    assert!(thinned.len() <= 100);
    let all = store.points(id, Span::ALL, usize::MAX).await.unwrap();
    assert_eq!(store.points_downsampled(id, Span::ALL, all.len()).await.unwrap(), all);
}

#[tokio::test]
async fn series_of_which_nothing_is_left_make_room_and_their_numbers_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let days = 92;
    let config = Config {
        max_series: 3,
        minute_days: days,
        quarter_days: days,
        hour_days: days,
        day_days: days,
        ..Config::default()
    };
    let opened = || Store::open(folder.path().to_owned(), config.clone()).unwrap();
    let metric = Metric::new("level_m").unwrap();
    let device = |number: u32| DeviceId::new(format!("device-{number}")).unwrap();
    let store = opened();
    fill(&store, 3, BEGIN_MS, 10, 1).await;
    // Daily summaries go by blocks of 512 days.
    let later = BEGIN_MS + (93 + 512) * DAY_MS;
    let mut alive = vec![(SeriesId(1), point(later))];
    store.write(&mut alive).await.unwrap();
    store.commit(Vec::new(), checkpoint(2)).await.unwrap();
    assert!(store.series_id(&device(3), &metric).is_err());
    assert_eq!(store.registered_series_id(&device(3), &metric).unwrap(), SeriesId(3));

    // Nothing is sealed: what has expired is still in tail rows on disk.
    store.retain(Timestamp::from_millis(later)).await.unwrap();
    assert_eq!(store.stats().series, 4, "only a commit forgets");
    store.commit(Vec::new(), checkpoint(3)).await.unwrap();
    let known: Vec<_> = store.series().into_iter().map(|(id, _)| id).collect();
    assert_eq!(known, [SeriesId(1), SeriesId(3)]);
    assert_eq!(store.series_id(&device(0), &metric).unwrap(), SeriesId(4), "a new number");
    store.commit(Vec::new(), checkpoint(4)).await.unwrap();
    drop(store);

    let store = opened();
    assert_eq!(store.checkpoint().await.unwrap(), Some(checkpoint(4)), "nothing was damaged");
    assert_eq!(store.series().len(), 3);
    assert_eq!(times(&store, SeriesId(1)).await, [later]);
    let reused = store.registered_series_id(&device(9), &metric).unwrap();
    assert!([SeriesId(0), SeriesId(2)].contains(&reused));
    assert_eq!(times(&store, reused).await, [0; 0]);
    let mut points = vec![(reused, point(later + 1))];
    store.write(&mut points).await.unwrap();
    store.commit(Vec::new(), checkpoint(5)).await.unwrap();
    drop(store);
    let store = opened();
    assert_eq!(store.find(&device(9), &metric), Some(reused));
    assert_eq!(times(&store, reused).await, [later + 1]);
}
