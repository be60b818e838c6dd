//! From a packet to a record, over restarts, a failing disk and edits of the rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sen_alert::BindError;
use sen_model::{AlertState, Change, Changed, CommandOutcome};

use crate::house::{Centre, acknowledge, instant, lives, rule, until, within};

#[tokio::test]
async fn an_alert_rises_is_taken_and_goes() {
    let centre = Centre::new("life", &instant());
    let running = centre.run();
    centre.hear(&[(1, 1.5), (2, 1.62)]).await;
    let raised = centre.alerts(1).await.remove(0);
    assert_eq!(
        raised.text.vi,
        "Báo động: mực nước 1,62 m (ngưỡng 1,60 m) tại Trạm Mỹ Tho, Phường Mỹ Tho"
    );
    let answer = within("answer", running.ask.ask(acknowledge(&raised, "k"))).await.unwrap();
    let log = centre.alerts(2).await;
    let done = CommandOutcome::Done(Changed::Alert(Box::new(log[1].clone())));
    assert_eq!(answer, done, "answered when it is in the log");
    centre.hear(&[(9, 1.4)]).await;
    let log = centre.alerts(3).await;
    assert_eq!((log[2].state, log[2].rev), (AlertState::Normal, 3));
    running.stop().await;
}

#[tokio::test]
async fn stopping_judges_everything_first_and_going_on_judges_nothing_twice() {
    let centre = Centre::new("drain", &instant());
    let running = centre.run();
    running.stop().await;
    let running = centre.run();
    let many: Vec<(i64, f64)> =
        (0..5_000).map(|n| (n, if n % 2 == 0 { 1.7 } else { 1.0 })).collect();
    centre.hear(&many).await;
    running.stop().await;
    let log = centre.alerts(0).await;
    let count = |change| log.iter().filter(|record| record.change == change).count();
    let changes = [Change::Raised, Change::Cleared, Change::Superseded].map(count);
    assert_eq!(changes, [2_500, 2_500, 2_499], "one alert waits for a person");
    let (alert, _, _) = centre.bind().unwrap();
    assert_eq!(alert.progress().borrow().next, centre.readings.head() + 1);
    drop(alert);
    let mut running = centre.run();
    running.caught_up(&centre).await;
    running.stop().await;
    assert_eq!(centre.alerts.head(), 7_499);
}

#[tokio::test]
async fn killed_again_and_again_it_tells_every_alert_once() {
    let slow = rule("slow", "metrics = [\"water_level_m\"]\nat_least = 1.6\nfor = \"5ms\"");
    let mut centre = Centre::new("killed", &(instant() + &slow));
    let mut undisturbed = BTreeMap::new();
    for round in 0..40_i64 {
        let running = centre.run();
        // Every round an episode of both rules, begun in one life and ended in another.
        let start = round * 100;
        let second = if round % 3 == 0 { 1.8 } else { 1.7 };
        centre.hear(&[(start, 1.0), (start + 10, 1.7)]).await;
        if round % 2 == 0 {
            let mut progress = running.progress.clone();
            within("a step", progress.wait_for(|progress| progress.readings > 0)).await.unwrap();
        }
        centre.kill(running).await;
        centre.hear(&[(start + 15, second), (start + 20, 1.0)]).await;
        // Raised, cleared, and superseded by that of the next round.
        let records = if round < 39 { 3 } else { 2 };
        undisturbed.insert(("instant", start + 10), records);
        undisturbed.insert(("slow", start + 10), records);
    }
    let mut running = centre.run();
    running.caught_up(&centre).await;
    running.stop().await;
    let mut told = BTreeMap::new();
    let log = centre.alerts(0).await;
    for record in &log {
        let start = record.started_at.as_millis();
        let known = told.entry((record.rule.as_str(), start)).or_insert(0);
        *known += 1;
        assert_eq!(record.rev, *known, "in order and once: {record:?}");
    }
    assert_eq!(told, undisturbed);
}

#[tokio::test]
async fn while_the_disk_fails_it_goes_on_judging_and_tells_later() {
    let mut centre = Centre::new("failing", &instant());
    let mut running = centre.run();
    running.caught_up(&centre).await;
    until("well", || running.health.report().get("alert") == Some(&None)).await;
    fail::cfg("log::write::failing-alerts", "return(io)").unwrap();
    centre.hear(&[(1, 1.7), (2, 1.0), (3, 1.7)]).await;
    until("ill", || matches!(running.health.report().get("alert"), Some(Some(_)))).await;
    assert_eq!(centre.alerts.head(), 0);
    let before = *running.progress.borrow();
    assert!(before.next <= centre.readings.head(), "not told as judged before it is written");
    fail::remove("log::write::failing-alerts");
    let log = centre.alerts(4).await;
    let first = [(Change::Raised, 1), (Change::Cleared, 2)];
    assert_eq!(lives(&log)[..2], first);
    assert_eq!(lives(&log)[2..], [(Change::Raised, 3), (Change::Superseded, 3)]);
    running.caught_up(&centre).await;
    assert_eq!(running.health.report()["alert"], None);

    // Killed with a record that the disk did not take: the next life tells it.
    fail::cfg("log::write::failing-alerts", "return(io)").unwrap();
    centre.hear(&[(4, 1.0)]).await;
    until("ill", || matches!(running.health.report().get("alert"), Some(Some(_)))).await;
    centre.kill(running).await;
    fail::remove("log::write::failing-alerts");
    let running = centre.run();
    assert_eq!(lives(&centre.alerts(5).await)[4..], [(Change::Cleared, 4)]);
    running.stop().await;
}

#[tokio::test]
async fn rules_are_taken_whole_or_not_at_all_and_what_they_drop_is_closed() {
    let mut centre = Centre::new(
        "edit",
        &(instant() + &rule("high", "metrics = [\"water_level_m\"]\nat_least = 2.0")),
    );
    let mut running = centre.run();
    centre.hear(&[(1, 2.5)]).await;
    assert_eq!(centre.alerts(2).await.len(), 2);

    let broken = rule("other", "metrics = [\"water_level_m\"]\nat_least = 'much'");
    std::fs::write(centre.rule_file(), instant() + &broken).unwrap();
    until("told", || matches!(running.health.report().get("rules"), Some(Some(_)))).await;
    assert_eq!(running.rules.borrow().len(), 2, "the old set stays");

    std::fs::write(centre.rule_file(), instant()).unwrap();
    within("new rules", running.rules.wait_for(|rules| rules.len() == 1)).await.unwrap();
    assert_eq!(running.health.report()["rules"], None);
    let log = centre.alerts(3).await;
    assert_eq!((log[2].rule.as_str(), log[2].state), ("high", AlertState::ReturnedUnacknowledged));
    centre.kill(running).await;

    // Nothing is closed twice, and what stays goes on under its id.
    let running = centre.run();
    centre.hear(&[(5, 1.0)]).await;
    let log = centre.alerts(4).await;
    assert_eq!((log.len(), log[3].rule.as_str(), log[3].rev), (4, "instant", 2));
    running.stop().await;
}

#[tokio::test]
async fn a_replay_over_an_edit_makes_the_same_alerts() {
    let above = |limit: f64| {
        rule("edited", &format!("metrics = [\"water_level_m\"]\nat_least = {limit:.1}"))
    };
    let mut centre = Centre::new("replay", &above(2.0));
    // Nothing is saved by and by: the edit itself must save what came before it.
    centre.checkpoint_interval_ms = 600_000;
    let mut running = centre.run();
    centre.hear(&[(1, 1.9)]).await;
    running.caught_up(&centre).await;
    std::fs::write(centre.rule_file(), above(1.8)).unwrap();
    within("new rules", running.rules.changed()).await.unwrap();
    centre.hear(&[(2, 1.9)]).await;
    let before = centre.alerts(1).await;
    centre.kill(running).await;
    let mut running = centre.run();
    running.caught_up(&centre).await;
    running.stop().await;
    assert_eq!(centre.alerts(1).await, before);
    assert_eq!(before[0].started_at.as_millis(), 2, "the old edition judged what came before");
}

#[tokio::test]
async fn readings_since_the_checkpoint_are_judged_by_its_rules_whatever_the_file_says_now() {
    let above = |limit: f64| {
        rule("edited", &format!("metrics = [\"water_level_m\"]\nat_least = {limit:.1}"))
    };
    let centre = Centre::new("overtaken", &above(2.0));
    let mut running = centre.run();
    centre.hear(&[(1, 1.0)]).await;
    running.caught_up(&centre).await;
    running.stop().await;
    // After the checkpoint: a reading, then an edit, then a crash before the edit was seen.
    centre.hear(&[(2, 1.9)]).await;
    std::fs::write(centre.rule_file(), above(1.8)).unwrap();
    let mut running = centre.run();
    let wanted = Arc::clone(&running.rules.borrow());
    running.caught_up(&centre).await;
    within("new rules", running.rules.wait_for(|now| *now == wanted)).await.unwrap();
    centre.hear(&[(3, 1.9)]).await;
    let log = centre.alerts(1).await;
    assert_eq!(lives(&log), [(Change::Raised, 3)], "the reading at 2 belongs to the old edition");
    running.stop().await;
}

#[tokio::test]
async fn it_does_not_say_that_it_is_well_while_alerts_wait_for_the_disk() {
    let centre = Centre::new("unwell", &instant());
    // More than one step: the disk fails in the first, and the head is reached in the last.
    let many: Vec<(i64, f64)> = (0..3_000).map(|n| (n, 1.7)).collect();
    centre.hear(&many).await;
    fail::cfg("log::write::unwell-alerts", "return(io)").unwrap();
    let running = centre.run();
    until("judged", || running.progress.borrow().readings == 3_000).await;
    assert!(matches!(running.health.report().get("alert"), Some(Some(_))));
    fail::remove("log::write::unwell-alerts");
    centre.alerts(1).await;
    until("well", || running.health.report().get("alert") == Some(&None)).await;
    running.stop().await;
}

#[tokio::test]
async fn silence_is_told_by_the_clock_and_ended_by_a_reading() {
    let centre = Centre::new("silence", &rule("silent", "missing = \"30s\""));
    let mut running = centre.run();
    centre.hear(&[(1_000, 1.0)]).await;
    running.caught_up(&centre).await;
    // Jumps of the clock are not the device's silence; passing time is.
    centre.clock.set_ms(1_000_000);
    let now = centre.until_first_alert(1_000_000).await;
    assert!(now > 1_030_000, "only the time since the jump counts: {now}");
    let log = centre.alerts(1).await;
    assert_eq!((log[0].change, log[0].started_at.as_millis()), (Change::Raised, 1_000));
    assert!(log[0].text.vi.contains("không có số liệu từ"), "{}", log[0].text.vi);
    centre.hear(&[(now + 1, 1.0)]).await;
    let log = centre.alerts(2).await;
    assert_eq!((log[1].change, log[1].rev), (Change::Cleared, 2));
    running.stop().await;
}

#[tokio::test]
async fn nobody_is_silent_while_the_centre_itself_is_deaf() {
    let centre = Centre::new("deaf", &rule("silent", "missing = \"30s\""));
    let mut running = centre.run();
    centre.hear(&[(1_000, 1.0)]).await;
    running.caught_up(&centre).await;
    let mut now = 1_000;
    for (part, until_ms) in [("ingest", 200_000), ("broker:province", 400_000)] {
        running.health.ill(part, "it is away");
        while now < until_ms {
            now += 1_000;
            centre.clock.set_ms(now);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(*centre.alerts.watch().borrow(), 0, "silence was counted while deaf: {part}");
        running.health.well(part);
    }
    centre.until_first_alert(now).await;
    running.stop().await;
}

#[tokio::test]
async fn binding_tells_every_mistake_in_the_rules() {
    let text = instant().replace("severity = 1", "severity = 9").replace("1.6", "'high'");
    let centre = Centre::new("mistakes", &text);
    let Err(BindError::Problems(problems)) = centre.bind() else { panic!("bound") };
    assert_eq!(problems.len(), 2, "{problems:?}");
    std::fs::remove_file(centre.rule_file()).unwrap();
    assert!(matches!(centre.bind(), Err(BindError::RuleFile { .. })));
}
