//! What can only be seen from inside: who waits for whom.

use std::time::Duration;

use sen_model::time::{MINUTE_MS, SECOND_MS};
use sen_model::{DeviceId, Metric, Quality, Timestamp};
use tokio::time::timeout;

use crate::{Checkpoint, Config, Point, SeriesId, Span, Store, Summary, Tier};

/// Longer than anything here takes; nobody waits for it when all is well.
const FOREVER: Duration = Duration::from_secs(30);

fn open(folder: &tempfile::TempDir) -> (Store, SeriesId) {
    let store = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    let device = DeviceId::new("device").unwrap();
    let id = store.series_id(&device, &Metric::new("level_m").unwrap()).unwrap();
    (store, id)
}

fn points(id: SeriesId, seconds: impl Iterator<Item = i64>) -> Vec<(SeriesId, Point)> {
    let at = |second| {
        let event_time = Timestamp::from_millis(second * SECOND_MS);
        let quality = Quality::Good;
        (id, Point { event_time, sequence: 0, value: 1.0, quality, received_at: event_time })
    };
    seconds.map(at).collect()
}

fn checkpoint(next: u64) -> Checkpoint {
    Checkpoint { epoch: "e".to_owned(), next }
}

#[tokio::test]
async fn a_repeat_that_meets_sealing_is_a_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = open(&folder);
    store.write(&mut points(id, 0..10)).await.unwrap();
    store.commit(Vec::new(), checkpoint(1)).await.unwrap();
    store.seal().await.unwrap();
    store.write(&mut points(id, 10..20)).await.unwrap();
    store.commit(Vec::new(), checkpoint(2)).await.unwrap();

    // The write has looked into the head and waits to look into the chunks, when all points go
    // from the one to the other.
    let turns = &store.0.readers.look_ups.turns;
    let held = turns.acquire().await.unwrap();
    let mut again = points(id, [5, 12, 15, 19, 20].into_iter());
    let seal = async {
        store.seal().await.unwrap();
        drop(held);
    };
    let (written, ()) = tokio::join!(biased; store.write(&mut again), seal);
    assert_eq!(written.unwrap().repeated, 4);
    assert_eq!(again, points(id, 20..21));
    assert_eq!(store.points(id, Span::ALL, 99).await.unwrap().len(), 21);
}

#[tokio::test]
async fn questions_of_people_do_not_make_the_writer_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = open(&folder);
    store.write(&mut points(id, 0..10)).await.unwrap();
    store.commit(Vec::new(), checkpoint(1)).await.unwrap();
    store.seal().await.unwrap();
    let turns = &store.0.readers.queries.turns;
    let _all = turns.acquire_many(turns.available_permits() as u32).await.unwrap();
    let mut again = points(id, 0..10);
    let written = timeout(FOREVER, store.write(&mut again)).await;
    assert_eq!(written.expect("it waits for people").unwrap().repeated, 10);
    let folded = timeout(FOREVER, store.fold(vec![(id, Span::ALL)])).await;
    assert_eq!(folded.expect("it waits for people").unwrap()[0].count, 10);
}

#[tokio::test]
async fn a_question_over_many_minutes_lets_others_go_between() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = open(&folder);
    let minute = |at: i64| {
        let start = Timestamp::from_millis(at * MINUTE_MS);
        let partial = crate::Partial { count: at as u64 + 1, ..crate::Partial::default() };
        (id, Summary { start, tier: Tier::Minute, partial })
    };
    // Two weeks and a minute: three turns.
    let all: Vec<_> = (0..20_161).map(minute).collect();
    store.commit(all.clone(), checkpoint(1)).await.unwrap();
    let expected: Vec<Summary> = all.into_iter().map(|(_, summary)| summary).collect();
    let ask = |limit| store.summaries(id, Tier::Minute, Span::ALL, limit);
    assert_eq!(ask(usize::MAX).await.unwrap(), expected);
    assert_eq!(ask(10_081).await.unwrap(), expected[..10_081]);
    assert_eq!(ask(0).await.unwrap(), []);

    // With one connection for all, a second question is answered before the first is through.
    let _one = store.0.readers.queries.turns.acquire().await.unwrap();
    let (mut first, mut second) = (Box::pin(ask(usize::MAX)), Box::pin(ask(1)));
    tokio::select! {
        biased;
        _ = &mut first => panic!("the second question waited for the whole first one"),
        answer = &mut second => assert_eq!(answer.unwrap(), expected[..1]),
    }
    assert_eq!(first.await.unwrap(), expected);
}
