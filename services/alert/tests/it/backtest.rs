//! Backtests over a store with a known history: what they count, and what they leave out.

use std::ops::ControlFlow;
use std::sync::Arc;

use sen_alert::backtest::{Backtest, BacktestError};
use sen_model::backtest::RuleTrial;
use sen_model::condition::Scope;
use sen_model::time::{DAY_MS, SECOND_MS};
use sen_model::{
    BacktestReport, Bound, Condition, DeviceId, Field, Limit, Metric, Quality, Registry, Rule,
    RuleId, Selector, Severity, Standing, Text, Timestamp,
};
use sen_store::{Checkpoint, Config, Point, Store, Summary};

/// 2026-11-23T00:00:00Z.
const BEGIN_MS: i64 = 20_780 * DAY_MS;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(BEGIN_MS + second * SECOND_MS)
}

fn level_m() -> Metric {
    Metric::new("level_m").unwrap()
}

fn point(second: i64, value: f64) -> Point {
    let event_time = at(second);
    // Heard much later: a backtest takes each as if it had come in time.
    let received_at = event_time.plus_ms(DAY_MS);
    Point { event_time, sequence: 0, value, quality: Quality::Good, received_at }
}

/// A store in which these devices measured these levels.
async fn history(of: &[(&str, Vec<(i64, f64)>)]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_owned(), Config::default()).unwrap();
    for (device, levels) in of {
        let device = DeviceId::new(device).unwrap();
        let id = store.series_id(&device, &level_m()).unwrap();
        let mut points =
            levels.iter().map(|(second, value)| (id, point(*second, *value))).collect();
        store.write(&mut points).await.unwrap();
    }
    let checkpoint = Checkpoint { epoch: "e".into(), next: 1 };
    store.commit(Vec::<(sen_store::SeriesId, Summary)>::new(), checkpoint).await.unwrap();
    (folder, store)
}

/// Two hours at ten seconds: at 2.0 where `is_high`, else at 1.0.
fn levels(is_high: impl Fn(i64) -> bool) -> Vec<(i64, f64)> {
    let second = |n: i64| n * 10;
    (0..720).map(|n| (second(n), if is_high(second(n)) { 2.0 } else { 1.0 })).collect()
}

/// High from 600 to 900, and three times for one reading within a minute.
fn station() -> Vec<(i64, f64)> {
    levels(|second| (600..900).contains(&second) || [3_000, 3_020, 3_040].contains(&second))
}

fn rule(id: &str, condition: Condition) -> Rule {
    let selector = match condition {
        Condition::Threshold { .. } => Selector { metrics: vec![level_m()], ..Selector::default() },
        _ => Selector::default(),
    };
    let name = Text::new("Mực nước cao", "High water");
    let id = RuleId::new(id).unwrap();
    Rule::new(id, name, Field::Environment, Severity::HIGH, selector, condition)
}

fn high(for_seconds: i64) -> Condition {
    let for_ms = for_seconds * SECOND_MS;
    let bound = Bound::AtLeast(1.6);
    Condition::Threshold { limit: Limit { bound, clear: None, for_ms, clear_for_ms: 0 } }
}

async fn backtest(
    store: &Store,
    tried: Vec<Rule>,
    in_force: Vec<Rule>,
    seconds: (i64, i64),
) -> Result<BacktestReport, BacktestError> {
    let registry = Arc::new(Registry::default());
    let (from, to) = (at(seconds.0), at(seconds.1));
    let backtest = Backtest { store: store.clone(), registry, tried, in_force, from, to };
    backtest.run(|_| ControlFlow::Continue(())).await
}

/// Rule, device, beginning and end of what would have been raised.
fn lines(report: &BacktestReport) -> Vec<String> {
    let second = |time: Timestamp| time.since_ms(at(0)) / SECOND_MS;
    let line = |trial: &sen_model::backtest::Trial| {
        let ended = trial.ended_at.map_or("…".to_owned(), |ended| second(ended).to_string());
        format!("{} {} {}-{ended}", trial.rule, trial.device, second(trial.started_at))
    };
    report.trials.iter().map(line).collect()
}

#[tokio::test]
async fn a_known_history_gives_known_counts() {
    let (_folder, store) = history(&[("stn-a", station()), ("stn-b", levels(|_| false))]).await;
    let tried = vec![rule("high", high(0)), rule("new", high(30))];
    let in_force = vec![rule("high", high(30)), rule("old", high(0))];
    let report = backtest(&store, tried, in_force, (0, 7_200)).await.unwrap();
    assert_eq!((report.readings, report.series), (1_440, 2));
    assert_eq!((report.raised, report.chatter), (5, 3));
    assert_eq!(
        lines(&report)[2..],
        ["high stn-a 3000-3010", "high stn-a 3020-3030", "high stn-a 3040-3050"]
    );
    assert!(report.trials[2..].iter().all(|trial| trial.chatter));
    assert!(lines(&report)[..2].contains(&"new stn-a 600-900".to_owned()));
    let of = |id: &str| report.rules.iter().find(|rule| rule.rule.as_str() == id).unwrap().clone();
    let trial =
        |id: &str, raised, chatter, lasted: Option<(i64, i64)>, in_force, added, removed| {
            RuleTrial {
                rule: RuleId::new(id).unwrap(),
                raised,
                chatter,
                median_ms: lasted.map(|lasted| lasted.0 * SECOND_MS),
                longest_ms: lasted.map(|lasted| lasted.1 * SECOND_MS),
                in_force,
                added,
                removed,
            }
        };
    assert_eq!(of("high"), trial("high", 4, 3, Some((10, 300)), Some(1), 3, 0));
    assert_eq!(of("new"), trial("new", 1, 0, Some((300, 300)), None, 1, 0));
    assert_eq!(of("old"), trial("old", 0, 0, None, Some(4), 0, 4));
    assert_eq!(report.rules[0].rule.as_str(), "high", "most first");
}

#[tokio::test]
async fn it_warms_up_and_counts_what_is_raised_within() {
    let (_folder, store) = history(&[("stn-a", station())]).await;
    let told = |rules, seconds| {
        let store = &store;
        async move { lines(&backtest(store, rules, Vec::new(), seconds).await.unwrap()) }
    };
    // Begun before and raised within; raised before; still open at the end.
    assert_eq!(told(vec![rule("slow", high(240))], (800, 7_200)).await, ["slow stn-a 600-900"]);
    assert_eq!(told(vec![rule("fast", high(0))], (800, 2_000)).await, [""; 0]);
    assert_eq!(told(vec![rule("fast", high(0))], (500, 800)).await, ["fast stn-a 600-…"]);
    let empty = backtest(&store, Vec::new(), Vec::new(), (5, 5)).await;
    assert!(matches!(empty, Err(BacktestError::Empty { .. })), "{empty:?}");
}

#[tokio::test]
async fn silence_counts_but_not_while_the_centre_was_down() {
    let without = |from: i64, to: i64, levels: Vec<(i64, f64)>| -> Vec<(i64, f64)> {
        levels.into_iter().filter(|(second, _)| !(from..to).contains(second)).collect()
    };
    // Both silent from 4,000 to 5,000: the centre was down. One of them from 1,000 to 1,500, too.
    let steady = without(4_000, 5_000, levels(|_| false));
    let gone = without(1_000, 1_500, steady.clone());
    let (_folder, store) = history(&[("stn-a", steady), ("stn-b", gone)]).await;
    let silent = rule("silent", Condition::Absence { missing_ms: 120 * SECOND_MS });
    let report = backtest(&store, vec![silent], Vec::new(), (0, 7_200)).await.unwrap();
    assert_eq!(lines(&report), ["silent stn-b 990-1500"]);
}

#[tokio::test]
async fn groups_are_judged_and_their_parts_are_not_told() {
    let later = levels(|second| (700..1_000).contains(&second));
    let (_folder, store) = history(&[("stn-a", station()), ("stn-b", later)]).await;
    let part = Rule { standing: Standing::Part, ..rule("high", high(0)) };
    let of = vec![part.id.clone()];
    let both = Condition::Composite { of, least: 2, scope: Scope::Province, for_ms: 0 };
    let rules = vec![rule("both", both), part];
    let report = backtest(&store, rules, Vec::new(), (0, 7_200)).await.unwrap();
    assert_eq!(lines(&report), ["both province 700-900"]);
    assert_eq!(report.rules.len(), 1);
}

#[tokio::test]
async fn many_readings_of_one_series_are_judged_once_each() {
    // Far more than are read of one series at once.
    let mut dense: Vec<(i64, f64)> = Vec::new();
    dense.extend((0..20_000).map(|second| (second, if second % 100 < 50 { 1.0 } else { 2.0 })));
    let others: Vec<(String, Vec<(i64, f64)>)> =
        (0..400).map(|n| (format!("stn-{n}"), vec![(1, 1.0)])).collect();
    let mut all: Vec<(&str, Vec<(i64, f64)>)> = vec![("dense", dense)];
    all.extend(others.iter().map(|(device, levels)| (device.as_str(), levels.clone())));
    let (_folder, store) = history(&all).await;
    let rules = vec![rule("high", high(0))];
    let report = backtest(&store, rules, Vec::new(), (0, 20_000)).await.unwrap();
    assert_eq!((report.readings, report.raised), (20_400, 200));
}

#[tokio::test]
async fn it_stops_when_nobody_wants_it_any_more() {
    let (_folder, store) = history(&[("stn-a", station())]).await;
    let registry = Arc::new(Registry::default());
    let tried = vec![rule("high", high(0))];
    let (from, to) = (at(0), at(7_200));
    let backtest = Backtest { store, registry, tried, in_force: Vec::new(), from, to };
    let stopped = backtest.run(|_| ControlFlow::Break(())).await;
    assert!(matches!(stopped, Err(BacktestError::Stopped(_))), "{stopped:?}");
}
