//! The store against a model that is too simple to be wrong: a sorted map of all points.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sen_model::time::DAY_MS;
use sen_model::{DeviceId, Metric, Partial, Quality, Timestamp};
use sen_store::{Checkpoint, Config, Point, SeriesId, Span, Store, Summary, Tier, Written};

/// Series of the histories.
const SERIES: u32 = 3;
/// 29 February 2024.
const LEAP_DAY_MS: i64 = 19_782 * DAY_MS;

/// What happens to a store.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(SeriesId, Point)>),
    Commit,
    Seal,
    /// The process dies: what was not committed comes again from the log.
    Crash,
}

fn point() -> impl Strategy<Value = (SeriesId, Point)> {
    let time = prop_oneof![
        6 => (0..40_i64).prop_map(|step| LEAP_DAY_MS + step * 1_000),
        3 => -20..20_i64,
        2 => (0..4_i64, -2..2_i64).prop_map(|(day, ms)| LEAP_DAY_MS + day * DAY_MS + ms),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ];
    let quality =
        prop_oneof![8 => Just(Quality::Good), 1 => Just(Quality::Suspect), 1 => Just(Quality::Bad)];
    (0..SERIES, time, 0..2_u32, -1e9..1e9_f64, quality, 0..5_000_i64).prop_map(
        |(series, time, sequence, value, quality, lag)| {
            let event_time = Timestamp::from_millis(time);
            let received_at = event_time.plus_ms(lag);
            (SeriesId(series), Point { event_time, sequence, value, quality, received_at })
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec(point(), 0..40).prop_map(Step::Write),
        3 => Just(Step::Commit),
        2 => Just(Step::Seal),
        2 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..16)
}

type Model = BTreeMap<(u32, i64, u32), Point>;

fn key((series, point): &(SeriesId, Point)) -> (u32, i64, u32) {
    (series.0, point.event_time.as_millis(), point.sequence)
}

/// What the model takes of a batch as new.
fn take(model: &mut Model, batch: &[(SeriesId, Point)]) -> Vec<(SeriesId, Point)> {
    let new = |entry: &&(SeriesId, Point)| {
        let known = model.contains_key(&key(entry));
        if !known {
            model.insert(key(entry), entry.1);
        }
        !known
    };
    batch.iter().filter(new).copied().collect()
}

fn points_of(model: &Model, series: u32) -> Vec<Point> {
    model.iter().filter(|(key, _)| key.0 == series).map(|(_, point)| *point).collect()
}

fn config() -> Config {
    // Many passes of sealing in a short history; nothing expires.
    Config { seal_points: 30, raw_days: u32::MAX, minute_days: u32::MAX, ..Config::default() }
}

fn open(folder: &std::path::Path) -> Store {
    let store = Store::open(folder.to_owned(), config()).unwrap();
    for series in 0..SERIES {
        let device = DeviceId::new(format!("device-{series}")).unwrap();
        let id = store.series_id(&device, &Metric::new("level_m").unwrap()).unwrap();
        assert_eq!(id, SeriesId(series));
    }
    store
}

async fn write(store: &Store, model: &mut Model, batch: &[(SeriesId, Point)]) {
    let expected = take(model, batch);
    let mut points = batch.to_vec();
    let written = store.write(&mut points).await.unwrap();
    assert_eq!(points, expected, "what was new");
    assert_eq!(written, Written { repeated: batch.len() - expected.len(), expired: 0 });
}

async fn compare(store: &Store, model: &Model) {
    for series in 0..SERIES {
        let (id, expected) = (SeriesId(series), points_of(model, series));
        assert_eq!(store.points(id, Span::ALL, usize::MAX).await.unwrap(), expected);
        let latest = store.latest_of_all().into_iter().find(|(of, _)| *of == id);
        assert_eq!(latest.map(|(_, point)| point), expected.last().copied());
        let span = Span {
            from: Timestamp::from_millis(-3),
            to: Timestamp::from_millis(LEAP_DAY_MS + DAY_MS),
        };
        let inside: Vec<Point> =
            expected.iter().filter(|point| span.contains(point.event_time)).copied().collect();
        assert_eq!(store.points(id, span, 7).await.unwrap(), inside[..inside.len().min(7)]);
        let identities: Vec<_> =
            expected.iter().map(|point| (id, point.event_time, point.sequence)).collect();
        let stored = store.stored(&identities).await.unwrap();
        assert_eq!(stored.into_iter().flatten().collect::<Vec<_>>(), expected);
        let unknown = (id, Timestamp::from_millis(12_345), 7);
        assert_eq!(store.stored(&[unknown]).await.unwrap(), [None]);
        let mut folded = Partial::default();
        inside.iter().for_each(|point| folded.add(point.moment(), point.quality));
        assert_eq!(store.fold(vec![(id, span)]).await.unwrap(), [folded]);
    }
}

async fn live(folder: &std::path::Path, steps: Vec<Step>) {
    let (mut model, mut durable) = (Model::new(), Model::new());
    let mut replay: Vec<Vec<(SeriesId, Point)>> = Vec::new();
    let mut commits = 0;
    let mut store = open(folder);
    for step in steps {
        match step {
            Step::Write(batch) => {
                write(&store, &mut model, &batch).await;
                replay.push(batch);
            }
            Step::Commit => {
                commits += 1;
                let checkpoint = Checkpoint { epoch: "e".to_owned(), next: commits };
                store.commit(Vec::new(), checkpoint).await.unwrap();
                durable = model.clone();
                replay.clear();
            }
            Step::Seal => store.seal().await.unwrap(),
            Step::Crash => {
                drop(store);
                store = open(folder);
                let next = store.checkpoint().await.unwrap().map(|checkpoint| checkpoint.next);
                assert_eq!(next, (commits > 0).then_some(commits));
                model = durable.clone();
                compare(&store, &model).await;
                for batch in &replay {
                    write(&store, &mut model, batch).await;
                }
            }
        }
        compare(&store, &model).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(96) })]
    #[test]
    fn any_history_ends_as_the_set_of_its_points(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live(folder.path(), steps));
    }
}

#[tokio::test]
async fn summaries_replace_earlier_ones_and_are_found_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let summary = |minute: i64, value: f64| {
        let start = Timestamp::from_millis(minute * 60_000);
        let mut partial = Partial::default();
        let moment = sen_model::Moment { event_time: start, sequence: 0, value };
        partial.add(moment, Quality::Good);
        (SeriesId(1), Summary { start, tier: Tier::Minute, partial })
    };
    let checkpoint = |next| Checkpoint { epoch: "e".to_owned(), next };
    let first = vec![summary(-2, 1.0), summary(0, 2.0), summary(7, 3.0)];
    store.commit(first, checkpoint(1)).await.unwrap();
    store.commit(vec![summary(0, 9.0)], checkpoint(2)).await.unwrap();
    drop(store);
    let store = open(folder.path());
    let all = store.summaries(SeriesId(1), Tier::Minute, Span::ALL, 100).await.unwrap();
    let expected = [summary(-2, 1.0), summary(0, 9.0), summary(7, 3.0)].map(|(_, summary)| summary);
    assert_eq!(all, expected);
    let two = store.summaries(SeriesId(1), Tier::Minute, Span::ALL, 2).await.unwrap();
    assert_eq!(two, expected[..2]);
    assert_eq!(store.summaries(SeriesId(0), Tier::Minute, Span::ALL, 9).await.unwrap(), []);
}
