//! What people do, in the logs: both topics before the answer, and what a restart makes of it.

use sen_chassis::call::Caller;
use sen_model::{
    Act, AlertRecord, AlertState, Change, Changed, Command, CommandOutcome, DeskAct, DeskRecord,
    DeviceId, Entry, Order, Reach, RuleId, Timestamp,
};

use crate::house::{Centre, HOUR_MS, command, instant, rule, until, within};

fn order(key: &str, act: DeskAct) -> Command {
    Command {
        idempotency_key: key.into(),
        order: Order::Desk { act },
        by: "Lan".into(),
        at: Timestamp::from_millis(5),
    }
}

async fn ask(centre: &Caller<Command, CommandOutcome>, command: Command) -> Changed {
    match within("answer", centre.ask(command)).await.unwrap() {
        CommandOutcome::Done(changed) => changed,
        other => panic!("{other:?}"),
    }
}

fn alert(changed: Changed) -> AlertRecord {
    match changed {
        Changed::Alert(record) => *record,
        Changed::Desk(record) => panic!("{record:?}"),
    }
}

fn entry(changed: Changed) -> DeskRecord {
    match changed {
        Changed::Desk(record) => *record,
        Changed::Alert(record) => panic!("{record:?}"),
    }
}

fn take_out() -> Command {
    let device = Some(DeviceId::new("stn-my-tho").unwrap());
    let reach = Reach { device, ..Reach::default() };
    order("out", DeskAct::TakeOut { reach, reason: "thay cảm biến".into() })
}

/// Entries of the desk's log but editions of rules.
fn own(entries: &[DeskRecord]) -> Vec<&DeskRecord> {
    entries.iter().filter(|record| !matches!(record.entry, Entry::Edition { .. })).collect()
}

#[tokio::test]
async fn an_order_is_in_both_logs_before_it_is_answered_and_outlives_a_kill() {
    let mut centre = Centre::new("service-out", &instant());
    let mut running = centre.run();
    centre.hear(&[(1, 1.7)]).await;
    centre.alerts(1).await;
    let taken = entry(ask(&running.ask, take_out()).await);
    let (alerts, entries) = (centre.alerts(0).await, centre.entries(0).await);
    assert_eq!(own(&entries), [&taken]);
    assert_eq!(alerts[1].change, Change::TakenOut);
    assert_eq!(alerts[1].out_of_service.as_deref(), Some(taken.id.as_str()));
    running.caught_up(&centre).await;
    centre.kill(running).await;

    // The same order by the same key: it was carried out before.
    let mut running = centre.run();
    assert_eq!(entry(ask(&running.ask, take_out()).await), taken);
    centre.hear(&[(2, 1.0), (3, 1.8)]).await;
    let alerts = centre.alerts(4).await;
    let told: Vec<_> = alerts[2..].iter().map(|r| (r.change, r.state, r.is_shown())).collect();
    let quietly = (Change::Cleared, AlertState::Normal, false);
    assert_eq!(told, [quietly, (Change::Raised, AlertState::Unacknowledged, false)]);
    let put_back = order("back", DeskAct::PutBack { entry: taken.id.clone() });
    assert_eq!(entry(ask(&running.ask, put_back).await).rev, 2);
    assert!(centre.alerts(5).await[4].is_shown());
    running.caught_up(&centre).await;
    running.stop().await;
    assert_eq!(own(&centre.entries(0).await).len(), 2);
    assert_eq!(centre.alerts.head(), 5, "and nothing else");
}

#[tokio::test]
async fn a_shelf_ends_on_time_though_the_centre_was_killed_in_the_middle_of_it() {
    let mut centre = Centre::new("service-shelf", &instant());
    let mut running = centre.run();
    centre.hear(&[(1, 1.7)]).await;
    let raised = centre.alerts(1).await.remove(0);
    let until_ms = Timestamp::from_millis(HOUR_MS);
    let act = Act::Shelve { reason: "sửa trạm".into(), until: until_ms, one_shot: false };
    let shelved = alert(ask(&running.ask, command(&raised, "s", act)).await);
    assert_eq!((shelved.rev, shelved.is_shown()), (2, false));
    running.caught_up(&centre).await;
    centre.kill(running).await;

    // Over, and again: the next episode is on the shelf from its first record.
    let mut running = centre.run();
    centre.hear(&[(2, 1.0), (3, 1.9)]).await;
    let alerts = centre.alerts(4).await;
    assert_eq!((alerts[3].change, &alerts[3].shelving), (Change::Raised, &shelved.shelving));
    running.caught_up(&centre).await;
    centre.clock.set_ms(HOUR_MS - 1);
    centre.kill(running).await;

    let mut running = centre.run();
    running.caught_up(&centre).await;
    until("well", || running.health.report().get("alert") == Some(&None)).await;
    assert_eq!(centre.alerts.head(), 4, "not yet");
    centre.clock.set_ms(HOUR_MS);
    let alerts = centre.alerts(5).await;
    assert_eq!((alerts[4].change, alerts[4].is_shown()), (Change::Unshelved, true));
    running.stop().await;
    assert_eq!(centre.alerts.head(), 5);
}

#[tokio::test]
async fn editions_are_entered_once_whatever_happens() {
    let second = rule("high", "metrics = [\"water_level_m\"]\nat_least = 2.0");
    let mut centre = Centre::new("service-editions", &instant());
    for _ in 0..2 {
        let running = centre.run();
        assert_eq!(centre.entries(1).await.len(), 1);
        until("well", || running.health.report().get("alert") == Some(&None)).await;
        centre.kill(running).await;
    }
    let mut running = centre.run();
    running.caught_up(&centre).await;
    std::fs::write(centre.rule_file(), instant() + &second).unwrap();
    let entries = centre.entries(2).await;
    let Entry::Edition { rule, version } = &entries[1].entry else { panic!("{entries:?}") };
    assert_eq!((rule.id.as_str(), version), ("high", &rule.version()));
    std::fs::write(centre.rule_file(), instant()).unwrap();
    within("rules", running.rules.wait_for(|rules| rules.len() == 1)).await.unwrap();
    std::fs::write(centre.rule_file(), instant() + &second).unwrap();
    within("rules", running.rules.wait_for(|rules| rules.len() == 2)).await.unwrap();
    running.stop().await;
    assert_eq!(centre.desk.head(), 2);
}

#[tokio::test]
async fn a_step_of_the_clock_raises_nothing_and_ends_only_what_is_due_by_it() {
    let rules = instant() + &rule("silent", "missing = \"30s\"");
    let centre = Centre::new("service-step", &rules);
    centre.clock.set_ms(10 * HOUR_MS);
    let mut running = centre.run();
    centre.hear(&[(10 * HOUR_MS, 1.7)]).await;
    let raised = centre.alerts(1).await.remove(0);
    let act = Act::Shelve {
        reason: "sửa trạm".into(),
        until: Timestamp::from_millis(12 * HOUR_MS),
        one_shot: false,
    };
    ask(&running.ask, command(&raised, "s", act)).await;
    running.caught_up(&centre).await;
    for (n, step) in [(1, 11 * HOUR_MS), (2, 9 * HOUR_MS), (3, 11 * HOUR_MS)] {
        centre.clock.set_ms(step);
        // Work that covers nothing ends in time: then the time of the step has passed.
        let [from, until] = [step, step + 1].map(Timestamp::from_millis);
        let reach = Reach { rule: Some(RuleId::new("silent").unwrap()), ..Reach::default() };
        let act = DeskAct::PlanWork { reach, from, until, reason: "đánh dấu".into() };
        ask(&running.ask, order(&format!("work-{n}"), act)).await;
        centre.clock.set_ms(step + 1);
        centre.entries(2 + 2 * n).await;
        assert_eq!(centre.alerts.head(), 2, "after a step to {step}");
    }
    centre.clock.set_ms(12 * HOUR_MS);
    let alerts = centre.alerts(3).await;
    assert_eq!(alerts[2].change, Change::Unshelved, "due by the step");
    running.stop().await;
    assert_eq!(centre.alerts.head(), 3);
}
