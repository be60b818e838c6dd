//! The coarser tiers against a model that is too simple to be wrong: all minutes in a map, merged
//! anew for each question.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use sen_model::{DeviceId, Metric, Moment, Partial, Quality, Tier, Timestamp};
use sen_store::{Checkpoint, Config, SeriesId, Span, Store, Summary};

const SERIES: u32 = 3;
/// 29 February 2024, 00:00 UTC.
const LEAP_DAY_MS: i64 = 19_782 * DAY_MS;

/// What happens to a store.
#[derive(Clone, Debug)]
enum Step {
    /// Minutes that changed: series, an instant in the minute, a value more in it.
    Commit(Vec<(u32, i64, f64)>),
    /// Windows that end by then are rolled up.
    RollUp(i64),
    /// The process dies and comes back.
    Crash,
}

fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (0..40_i64).prop_map(|step| LEAP_DAY_MS + step * 7 * MINUTE_MS),
        3 => (-30..30_i64).prop_map(|step| step * 11 * MINUTE_MS),
        // Around the midnight of Vietnam, and far apart: other blocks.
        3 => (-3..3_i64, 0..40_i64).prop_map(|(at, week)| LEAP_DAY_MS - 7 * HOUR_MS + at * MINUTE_MS + week * 7 * DAY_MS),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let minutes = prop::collection::vec((0..SERIES, instant(), -50.0..50.0_f64), 0..30);
    let step = prop_oneof![
        6 => minutes.prop_map(Step::Commit),
        3 => instant().prop_map(Step::RollUp),
        1 => Just(Step::RollUp(i64::MAX)),
        2 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..14)
}

type Minutes = BTreeMap<(u32, Timestamp), Partial>;

fn open(folder: &Path) -> Store {
    let store = Store::open(folder.to_owned(), Config::default()).unwrap();
    for series in 0..SERIES {
        let device = DeviceId::new(format!("device-{series}")).unwrap();
        let id = store.series_id(&device, &Metric::new("level_m").unwrap()).unwrap();
        assert_eq!(id, SeriesId(series));
    }
    store
}

fn apply(model: &mut Minutes, changes: &[(u32, i64, f64)]) -> Vec<(SeriesId, Summary)> {
    let mut changed = BTreeMap::new();
    for (series, instant, value) in changes {
        let event_time = Timestamp::from_millis(*instant);
        let start = Tier::Minute.start_of(event_time);
        let partial = model.entry((*series, start)).or_default();
        partial.add(Moment { event_time, sequence: 0, value: *value }, Quality::Good);
        changed.insert((*series, start), partial.clone());
    }
    let summary = |((series, start), partial)| {
        (SeriesId(series), Summary { start, tier: Tier::Minute, partial })
    };
    changed.into_iter().map(summary).collect()
}

fn expected(model: &Minutes, series: u32, tier: Tier, span: Span) -> Vec<Summary> {
    let mut windows: BTreeMap<Timestamp, Partial> = BTreeMap::new();
    for ((_, minute), partial) in model.iter().filter(|((of, _), _)| *of == series) {
        windows.entry(tier.start_of(*minute)).or_default().merge(partial);
    }
    let inside = windows.into_iter().filter(|(start, _)| span.contains(*start));
    inside.map(|(start, partial)| Summary { start, tier, partial }).collect()
}

async fn compare(store: &Store, model: &Minutes) {
    let inside = Span {
        from: Timestamp::from_millis(-2 * HOUR_MS),
        to: Timestamp::from_millis(LEAP_DAY_MS + HOUR_MS),
    };
    for (series, tier) in (0..SERIES).flat_map(|series| Tier::ALL.map(|tier| (series, tier))) {
        for (span, limit) in [(Span::ALL, usize::MAX), (inside, usize::MAX), (Span::ALL, 3)] {
            let found = store.summaries(SeriesId(series), tier, span, limit).await.unwrap();
            let mut all = expected(model, series, tier, span);
            all.truncate(limit);
            assert_eq!(found, all, "{tier} of series {series} in {span:?}");
        }
    }
}

async fn live(folder: &Path, steps: Vec<Step>) {
    let mut model = Minutes::new();
    let mut store = open(folder);
    for (next, step) in (1..).zip(steps) {
        match step {
            Step::Commit(changes) => {
                let minutes = apply(&mut model, &changes);
                let checkpoint = Checkpoint { epoch: "e".to_owned(), next };
                store.commit(minutes, checkpoint).await.unwrap();
            }
            Step::RollUp(until) => store.roll_up(Timestamp::from_millis(until)).await.unwrap(),
            Step::Crash => {
                drop(store);
                store = open(folder);
            }
        }
        compare(&store, &model).await;
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
}

fn cases() -> u32 {
    ProptestConfig::default().cases
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(cases() / 4) })]
    #[test]
    fn every_tier_is_the_merge_of_its_minutes_at_every_moment(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        block_on(live(folder.path(), steps));
    }
}

/// One minute with one value.
fn minute(series: u32, instant: i64, value: f64) -> (u32, i64, f64) {
    (series, instant, value)
}

async fn commit(store: &Store, model: &mut Minutes, changes: &[(u32, i64, f64)]) {
    let minutes = apply(model, changes);
    let checkpoint = Checkpoint { epoch: "e".to_owned(), next: 1 };
    store.commit(minutes, checkpoint).await.unwrap();
}

#[tokio::test]
async fn a_year_of_minutes_is_rolled_up_in_slices_and_corrected_by_late_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut model) = (open(folder.path()), Minutes::new());
    let year: Vec<_> = (0..366 * 24).map(|hour| minute(1, hour * HOUR_MS, hour as f64)).collect();
    commit(&store, &mut model, &year).await;
    store.roll_up(Timestamp::from_millis(366 * DAY_MS)).await.unwrap();
    compare(&store, &model).await;
    // One reading of half a year ago.
    commit(&store, &mut model, &[minute(1, 180 * DAY_MS + 5, -1.0)]).await;
    compare(&store, &model).await;
    store.roll_up(Timestamp::from_millis(366 * DAY_MS)).await.unwrap();
    compare(&store, &model).await;
}

#[tokio::test]
async fn a_file_of_the_first_version_gets_its_coarser_tiers() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Minutes::new();
    let store = open(folder.path());
    let minutes: Vec<_> =
        (0..200).map(|at| minute(at % 3, at as i64 * 13 * MINUTE_MS, 1.5)).collect();
    commit(&store, &mut model, &minutes).await;
    drop(store);
    let file = rusqlite::Connection::open(folder.path().join("sen.db")).unwrap();
    file.execute_batch("DROP TABLE quarter; DROP TABLE hour; DROP TABLE day; DROP TABLE stale; DROP TABLE unsent; PRAGMA user_version = 1").unwrap();
    drop(file);
    compare(&open(folder.path()), &model).await;
}

#[tokio::test]
async fn each_tier_is_kept_for_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut model) = (open(folder.path()), Minutes::new());
    let keep = Config::default();
    let now = Timestamp::from_millis(30_000 * DAY_MS);
    // A minute a week for forty years.
    let weeks: Vec<_> =
        (0..2_080).map(|week| minute(0, now.as_millis() - week * 7 * DAY_MS - 1, 2.0)).collect();
    commit(&store, &mut model, &weeks).await;
    store.roll_up(now).await.unwrap();
    store.retain(now).await.unwrap();
    for tier in Tier::ALL {
        let floor = now.plus_ms(-i64::from(keep.days_of(tier)) * DAY_MS);
        let span = Span { from: floor, to: now };
        let found = store.summaries(SeriesId(0), tier, Span::ALL, usize::MAX).await.unwrap();
        let kept: Vec<_> = found.iter().filter(|one| span.contains(one.start)).cloned().collect();
        assert_eq!(kept, expected(&model, 0, tier, span), "{tier}");
        // Whole blocks go: at most one more.
        let oldest = found.first().unwrap().start;
        assert!(oldest >= floor.plus_ms(-513 * DAY_MS), "{tier}: {oldest}");
    }
}

#[tokio::test]
async fn the_archive_is_owed_every_window_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config { archive: "victoriametrics+http://127.0.0.1:1".to_owned(), ..Config::default() };
    let store = Store::open(folder.path().to_owned(), config).unwrap();
    let id =
        store.series_id(&DeviceId::new("device-0").unwrap(), &Metric::new("m").unwrap()).unwrap();
    assert_eq!(id, SeriesId(0));
    let mut model = Minutes::new();
    let end = Timestamp::from_millis(2 * DAY_MS);
    commit(&store, &mut model, &[minute(0, 0, 1.0), minute(0, 61_000, 2.0)]).await;
    let owed = store.unsent(Timestamp::from_millis(MINUTE_MS), 9).await.unwrap();
    assert_eq!(owed.len(), 1, "the second minute has not ended");
    let owed = store.unsent(end, 9).await.unwrap();
    // The first changes after it was read: it is still owed.
    commit(&store, &mut model, &[minute(0, 1, 3.0)]).await;
    store.sent(owed).await.unwrap();
    let owed = store.unsent(end, 9).await.unwrap();
    let all = expected(&model, 0, Tier::Minute, Span::ALL);
    assert_eq!(owed.iter().filter_map(|one| one.summary.clone()).collect::<Vec<_>>(), all[..1]);
    store.sent(owed).await.unwrap();
    store.roll_up(end).await.unwrap();
    let owed = store.unsent(end, 9).await.unwrap();
    let tiers: Vec<_> = owed.iter().filter_map(|one| Some(one.summary.as_ref()?.tier)).collect();
    assert_eq!(tiers, [Tier::Day, Tier::Hour, Tier::QuarterHour]);
    assert_eq!(owed[0].summary.as_ref().unwrap(), &expected(&model, 0, Tier::Day, Span::ALL)[0]);
    store.sent(owed).await.unwrap();
    assert_eq!(store.unsent(end, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_damaged_summary_costs_itself_and_no_roll_up() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut model) = (open(folder.path()), Minutes::new());
    let minutes: Vec<_> = (0..3_000).map(|at| minute(1, at * MINUTE_MS, 1.0)).collect();
    commit(&store, &mut model, &minutes).await;
    store.roll_up(Timestamp::from_millis(HOUR_MS)).await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(folder.path().join("sen.db")).unwrap();
    // An hour that can be made again, and a minute of the next one that cannot.
    file.execute("UPDATE hour SET partial = x'ff' WHERE start = 0", []).unwrap();
    file.execute("UPDATE minute SET partial = x'ff' WHERE start = 3660000", []).unwrap();
    drop(file);
    let store = open(folder.path());
    store.roll_up(Timestamp::from_millis(2 * DAY_MS)).await.unwrap();
    model.remove(&(1, Timestamp::from_millis(3_660_000)));
    compare(&store, &model).await;
}
