//! Events, groups, rules on trial and backtests through the service.

use std::collections::BTreeMap;

use sen_model::alert::Explanation;
use sen_model::time::DAY_MS;
use sen_model::{
    AlertState, BacktestAnswer, BacktestAsk, Change, DeviceId, Event, Metric, Quality, Reading,
    ReadingBatch, Timestamp,
};
use sen_store::{Checkpoint, Point, SeriesId, Summary};

use crate::house::{Centre, instant, records, rule, until, within};

/// A rule about no device in particular.
fn over(id: &str, condition: &str) -> String {
    rule(id, condition).replace("devices = [\"stn-my-tho\"]\n", "")
}

fn fire() -> String {
    over(
        "fire",
        "events = [\"fire_smoke\"]\nleast = 2\nwithin = \"10m\"\nscope = \"area\"\nquiet = \"30s\"",
    )
}

fn smoke(id: &str, ms: i64) -> Event {
    Event {
        id: id.into(),
        device: DeviceId::new("stn-my-tho").unwrap(),
        kind: "fire_smoke".into(),
        event_time: Timestamp::from_millis(ms),
        received_at: Timestamp::from_millis(ms),
        text: String::new(),
        attributes: BTreeMap::new(),
    }
}

#[tokio::test]
async fn events_raise_an_alert_of_their_area_until_it_is_quiet() {
    let mut centre = Centre::new("fire", &fire());
    let running = centre.run();
    centre.events.append(vec![smoke("a", 1_000), smoke("a", 1_500)]).await.unwrap();
    centre.events.append(vec![smoke("b", 2_000)]).await.unwrap();
    let raised = centre.alerts(1).await.remove(0);
    assert_eq!(raised.device.as_str(), "area-28261");
    assert_eq!(raised.area.as_ref().map(|area| area.as_str()), Some("28261"));
    assert_eq!((raised.started_at.as_millis(), raised.event_time.as_millis()), (1_000, 2_000));
    assert_eq!(raised.text.vi, "Báo động: 2 sự việc trong 10 phút tại Phường Mỹ Tho");
    centre.kill(running).await;

    // The next life takes the events up where they were judged, and ends what is quiet.
    let running = centre.run();
    let mut now = 2_000;
    until("quiet", || {
        now += 1_000;
        centre.clock.set_ms(now);
        centre.alerts.head() >= 2
    })
    .await;
    assert!(now > 32_000, "{now}");
    centre.events.append(vec![smoke("b", 2_000)]).await.unwrap();
    let both = [smoke("c", now + 1), smoke("d", now + 2)];
    centre.events.append(both.to_vec()).await.unwrap();
    let log = centre.alerts(3).await;
    assert_eq!((log[1].change, log[1].id.clone(), log[1].rev), (Change::Cleared, raised.id, 2));
    assert_eq!(log[1].event_time.as_millis(), 32_000);
    assert_eq!((log[2].change, log[2].started_at.as_millis()), (Change::Raised, now + 1));
    running.stop().await;
}

#[tokio::test]
async fn killed_again_and_again_events_make_each_alert_once() {
    let mut centre = Centre::new("events-killed", &fire());
    for round in 0..20_i64 {
        let running = centre.run();
        let start = round * 100_000;
        centre.events.append(vec![smoke(&format!("a{round}"), start)]).await.unwrap();
        if round % 2 == 0 {
            centre.hear(&[(start, 1.0)]).await;
        }
        centre.kill(running).await;
        centre.events.append(vec![smoke(&format!("b{round}"), start + 5)]).await.unwrap();
    }
    let running = centre.run();
    let head = centre.events.head();
    until("judged", || centre.alerts.head() >= 39).await;
    running.stop().await;
    assert_eq!(head, 40);
    let mut told: BTreeMap<(i64, u32), Change> = BTreeMap::new();
    for record in centre.alerts(0).await {
        let known = told.insert((record.started_at.as_millis(), record.rev), record.change);
        assert_eq!(known, None, "{record:?}");
    }
    for round in 0..20 {
        let start = round * 100_000;
        assert_eq!(told.get(&(start, 1)), Some(&Change::Raised), "{start}");
        // The next event of the scope came after more than the quiet time.
        let ended = (round < 19).then_some(Change::Cleared);
        assert_eq!(told.get(&(start, 2)).copied(), ended, "{start}");
    }
}

#[tokio::test]
async fn a_group_names_its_members_and_explains_them() {
    let part = rule("fast", "metrics = [\"water_level_m\"]\nat_least = 1.8\nstanding = \"part\"");
    let both = over("both", "all_of = [\"instant\", \"fast\"]\nscope = \"device\"");
    let centre = Centre::new("members", &(instant() + &part + &both));
    let running = centre.run();
    centre.hear(&[(1, 1.7), (2, 1.9), (3, 1.7)]).await;
    let log = centre.alerts(5).await;
    let changes: Vec<_> = log.iter().map(|record| (record.rule.as_str(), record.change)).collect();
    assert_eq!(
        changes,
        [
            ("instant", Change::Raised),
            ("both", Change::Raised),
            ("instant", Change::Suppressed),
            ("both", Change::Cleared),
            ("instant", Change::Unsuppressed),
        ]
    );
    assert_eq!(log[1].members.len(), 2);
    assert!(log[1].members.contains(&log[0].id));
    let why = log[2].suppression.as_ref().map(|suppression| &suppression.why);
    assert_eq!(why, Some(&Explanation::Member { alert: log[1].id.clone() }));
    assert_eq!(log[3].state, AlertState::ReturnedUnacknowledged);
    running.stop().await;
}

#[tokio::test]
async fn the_beat_of_the_probe_is_recorded_in_the_shadow_and_nowhere_else() {
    let mut centre = Centre::new("probe", &instant());
    let beat = |ms: i64, value: f64| ReadingBatch {
        device: DeviceId::new("sen-probe").unwrap(),
        received_at: Timestamp::from_millis(ms),
        readings: vec![Reading {
            metric: Metric::new("beat").unwrap(),
            event_time: Timestamp::from_millis(ms),
            value,
            quality: Quality::Good,
            sequence: 0,
        }],
    };
    let running = centre.run();
    assert!(running.rules.borrow().iter().all(|rule| rule.id.as_str() != "sen-probe"));
    centre.readings.append(vec![beat(10, 1.0), beat(20, 0.0), beat(30, 1.0)]).await.unwrap();
    records(&centre.shadow, 3).await;
    centre.kill(running).await;
    let running = centre.run();
    centre.readings.append(vec![beat(40, 0.0), beat(50, 1.0)]).await.unwrap();
    let shadow = records(&centre.shadow, 5).await;
    let told: Vec<_> =
        shadow.iter().map(|record| (record.change, record.event_time.as_millis())).collect();
    assert_eq!(
        told,
        [10, 20, 30, 40, 50]
            .map(|ms| { (if ms % 20 == 10 { Change::Raised } else { Change::Cleared }, ms) })
    );
    assert!(shadow.iter().all(|record| record.rule.as_str() == "sen-probe"));
    assert_eq!(centre.alerts.head(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_backtest_is_answered_while_the_service_judges() {
    let centre = Centre::new("backtest", &instant());
    let begin = 20_780 * DAY_MS;
    let metric = Metric::new("water_level_m").unwrap();
    let id = centre.store.series_id(&DeviceId::new("stn-my-tho").unwrap(), &metric).unwrap();
    let point = |n: i64| {
        let event_time = Timestamp::from_millis(begin + n * 10_000);
        let value = if n % 100 < 10 { 1.9 } else { 1.0 };
        (
            id,
            Point {
                event_time,
                sequence: 0,
                value,
                quality: Quality::Good,
                received_at: event_time,
            },
        )
    };
    centre.store.write(&mut (0..1_000).map(point).collect()).await.unwrap();
    let checkpoint = Checkpoint { epoch: "e".into(), next: 1 };
    centre.store.commit(Vec::<(SeriesId, Summary)>::new(), checkpoint).await.unwrap();
    let running = centre.run();
    let ask = |rules: String, days: i64| BacktestAsk {
        rules,
        from: Timestamp::from_millis(begin),
        to: Timestamp::from_millis(begin + days * DAY_MS),
    };
    let higher = rule("high", "metrics = [\"water_level_m\"]\nat_least = 1.8");
    let answer = within("answer", running.backtests.ask(ask(higher, 1))).await.unwrap();
    let BacktestAnswer::Report(report) = answer else { panic!("{answer:?}") };
    assert_eq!((report.raised, report.readings), (10, 1_000));
    let removed: Vec<_> =
        report.rules.iter().map(|rule| (rule.rule.as_str(), rule.removed)).collect();
    assert_eq!(removed, [("high", 0), ("instant", 10)]);
    let bad = rule("high", "metrics = [\"water_level_m\"]\nat_least = 'much'");
    let answer = within("answer", running.backtests.ask(ask(bad, 1))).await.unwrap();
    let BacktestAnswer::Problems(problems) = answer else { panic!("{answer:?}") };
    assert!(problems[0].0.starts_with("rules.toml:"), "{problems:?}");
    let answer = within("answer", running.backtests.ask(ask(instant(), 93))).await.unwrap();
    assert!(matches!(answer, BacktestAnswer::Refused(_)), "{answer:?}");
    running.stop().await;
}
