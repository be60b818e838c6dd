//! When alerts are told: at the limit and once, at the true time however late, and at the right
//! time whatever happens to the centre.

use anyhow::ensure;
use sen_tests::chance::Chance;
use sen_tests::device::Device;
use sen_tests::judging::{episodes, must_agree, rule_text};
use sen_tests::ledger::{payload_of, reading, topic_of};
use sen_tests::oracle::Oracle;
use sen_tests::oracle::alerts::of_readings;
use sen_tests::screen::{Memory, Screen};
use sen_tests::trial::{add, alert_log_of, configuration, names};
use sen_tests::wait_for;
use serde_json::Value;

use crate::{Centre, GAUGE, LEVEL, alerts_of, level_three, now_ms, time_ms};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;

/// A centre with one rule of our own over the metric `trial`, and one device that is known.
fn on_trial(lines: &str) -> anyhow::Result<Centre> {
    let rule = rule_text("trial", &format!("metrics = [\"trial\"]\nseverity = 2\n{lines}"));
    Centre::configured(&[], |config| add(config, &names("trial", 1), 1_000, &[rule]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_at_the_limit_is_told_once_however_often_it_comes() -> anyhow::Result<()> {
    let centre = on_trial("at_least = 10\nclear = 5")?;
    let mut device = Device::connect("trial-0", centre.mqtt_port()).await?;
    let begun_ms = now_ms() - MINUTE_MS;
    // Just under; exactly at the limit; again a millisecond later, higher, and as a repeat.
    for (after_ms, value) in
        [(0, 9.999_999), (10, 10.0), (11, 10.0), (12, 11.0), (12, 11.0), (20, 5.000_001)]
    {
        device.report("trial-0", "trial", begun_ms + after_ms, value).await?;
    }
    device.report("trial-0", "trial", begun_ms + 30, 5.0).await?;
    wait_for("the end of the alert", async || {
        let alerts = alerts_of(&centre, "trial").await.ok()?;
        alerts.iter().any(|alert| alert["cleared_at"].is_string()).then_some(())
    })
    .await;
    let log = episodes(&alert_log_of(centre).await?)?;
    let told: Vec<_> = log
        .iter()
        .filter(|episode| episode.rule.as_str() == "trial")
        .map(|episode| (episode.start_ms - begun_ms, episode.end_ms.map(|end| end - begun_ms)))
        .collect();
    assert_eq!(told, [(10, Some(30))]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn times_ahead_raise_nothing_and_move_nothing() -> anyhow::Result<()> {
    let centre = on_trial("at_least = 10\nfor = \"10s\"\nclear_for = \"10s\"")?;
    let mut device = Device::connect("trial-0", centre.mqtt_port()).await?;
    let begun_ms = now_ms() - MINUTE_MS;
    let ahead =
        [begun_ms + 7 * MINUTE_MS, begun_ms + 24 * 60 * MINUTE_MS, 253_402_300_799_999, i64::MAX];
    // Between the readings of a breach that is not long enough, and of one that is.
    for (second, value) in [(0, 1.0), (1, 12.0), (5, 12.0), (6, 1.0), (20, 12.0), (30, 12.0)] {
        for at_ms in ahead {
            device.report("trial-0", "trial", at_ms, 99.0).await?;
        }
        device.report("trial-0", "trial", begun_ms + second * SECOND_MS, value).await?;
    }
    let alerts = wait_for("the alert", async || {
        let alerts = alerts_of(&centre, "trial").await.ok()?;
        (!alerts.is_empty()).then_some(alerts)
    })
    .await;
    let told = |alert: &Value| (time_ms(&alert["started_at"]), time_ms(&alert["event_time"]));
    let expected = [(begun_ms + 20 * SECOND_MS, begun_ms + 30 * SECOND_MS)];
    assert_eq!(alerts.iter().map(told).collect::<Vec<_>>(), expected);
    // What followed the breach ends it in its own time, too.
    for second in [40, 50] {
        device.report("trial-0", "trial", begun_ms + second * SECOND_MS, 1.0).await?;
    }
    wait_for("the end of it", async || {
        let alerts = alerts_of(&centre, "trial").await.ok()?;
        assert_eq!(alerts.len(), 1, "{alerts:#?}");
        let end = alerts[0]["cleared_at"].is_string().then(|| time_ms(&alerts[0]["cleared_at"]))?;
        assert_eq!(end, begun_ms + 40 * SECOND_MS);
        Some(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hours_at_once_tell_the_true_times_marked_late() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let rule = level_three(&centre).await?;
    // Two tides over alarm level III and one under it, a reading every ten seconds.
    let (begun_ms, step_ms) = (now_ms() - 6 * 60 * MINUTE_MS, 10 * SECOND_MS);
    let tide = |n: i64| 1.2 + 0.6 * (n as f64 / 2_160.0 * std::f64::consts::TAU * 2.5).sin();
    let reports: Vec<_> = (0..2_160)
        .map(|n| reading(GAUGE, LEVEL, begun_ms + n * step_ms, (tide(n) * 1e3).round() / 1e3))
        .collect();
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    for some in reports.chunks(500) {
        device.publish(&topic_of(GAUGE), &payload_of(some)).await?;
    }
    let (registry, mut rules) = configuration(&centre.config())?;
    rules.retain(|rule| rule.selector.metrics.iter().any(|metric| metric.as_str() == LEVEL));
    let expected = of_readings(&rules, &registry, &Oracle::of(reports), i64::MIN);
    ensure!(expected.iter().filter(|episode| episode.rule.as_str() == rule).count() >= 6);
    wait_for("every end", async || {
        let alerts = centre.all("/alerts?state=all").await.ok()?;
        let of_gauge = alerts.iter().filter(|alert| alert["device"] == GAUGE);
        (of_gauge.clone().count() == expected.len()
            && of_gauge.filter(|alert| alert["cleared_at"].is_string()).count()
                == expected.iter().filter(|episode| episode.end_ms.is_some()).count())
        .then_some(())
    })
    .await;
    let mut records = alert_log_of(centre).await?;
    records.retain(|record| record.device.as_str() == GAUGE && record.metric.is_some());
    must_agree(&episodes(&records)?, &expected)?;
    // What was over before anybody heard of it is marked; so is what has long been so.
    let last_ms = begun_ms + 2_159 * step_ms;
    for record in &records {
        let is_old = last_ms - record.started_at.as_millis() > 10 * MINUTE_MS;
        ensure!(record.late || !is_old, "not marked late: {record:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_in_any_order_within_the_wait_are_one_alert_each() -> anyhow::Result<()> {
    let lines = "metrics = [\"trial\"]\nseverity = 2\nat_least = 10\nclear = 5\nfor = \"15s\"\nclear_for = \"15s\"";
    let rules = [rule_text("trial", lines)];
    let wait = [("SEN__ALERT__WAIT_MS", "60000")];
    let centre =
        Centre::configured(&wait, |config| add(config, &names("trial", 1), 1_000, &rules))?;
    let begun_ms = now_ms() - 60 * MINUTE_MS;
    let mut chance = Chance::of(23);
    let mut reports: Vec<_> = (0..900)
        .map(|n| {
            let value = if (n / 30) % 2 == 0 { 12.0 } else { 1.0 };
            reading("trial-0", "trial", begun_ms + n * SECOND_MS, value)
        })
        .collect();
    let (registry, mut in_force) = configuration(&centre.config())?;
    in_force.retain(|rule| rule.id.as_str() == "trial");
    let expected = of_readings(&in_force, &registry, &Oracle::of(reports.clone()), i64::MIN);
    ensure!(expected.len() == 15, "{expected:#?}");
    reports.chunks_mut(30).for_each(|some| chance.shuffle(some));
    // What is measured long afterwards frees what waits.
    reports.push(reading("trial-0", "trial", begun_ms + 20 * MINUTE_MS, 1.0));
    let mut device = Device::connect("trial-0", centre.mqtt_port()).await?;
    for some in reports.chunks(20) {
        device.publish(&topic_of("trial-0"), &payload_of(some)).await?;
    }
    wait_for("every end", async || {
        let alerts = alerts_of(&centre, "trial").await.ok()?;
        let over = alerts.iter().filter(|alert| alert["cleared_at"].is_string()).count();
        (over == expected.len()).then_some(())
    })
    .await;
    let mut told = episodes(&alert_log_of(centre).await?)?;
    told.retain(|episode| episode.rule.as_str() == "trial");
    must_agree(&told, &expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_centre_killed_in_the_middle_of_a_duration_tells_it_in_time() -> anyhow::Result<()> {
    const FOR_MS: i64 = 20 * SECOND_MS;
    const EVERY_MS: u64 = 500;
    let mut centre = on_trial("at_least = 10\nfor = \"20s\"")?;
    let mut device = Device::connect("trial-0", centre.mqtt_port()).await?;
    let begun_ms = now_ms();
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(EVERY_MS));
    let mut was_killed = false;
    let mut reported = Vec::new();
    let raised = loop {
        pause.tick().await;
        let at_ms = now_ms();
        device.report("trial-0", "trial", at_ms, 12.0).await?;
        reported.push(at_ms);
        if !was_killed && at_ms - begun_ms > FOR_MS / 2 {
            centre.restart()?;
            // Who judges is back: what comes now is judged at once.
            centre.caught_up(0).await;
            device = Device::connect("trial-0", centre.mqtt_port()).await?;
            was_killed = true;
        }
        let alerts = alerts_of(&centre, "trial").await.unwrap_or_default();
        if let Some(alert) = alerts.first() {
            break alert.clone();
        }
        ensure!(at_ms - begun_ms < 5 * FOR_MS, "{} ms and no alert", at_ms - begun_ms);
    };
    ensure!(was_killed, "it was raised too early: {raised}");
    let (raised_ms, recorded_ms) =
        (time_ms(&raised["event_time"]), time_ms(&raised["recorded_at"]));
    ensure!(time_ms(&raised["started_at"]) == reported[0], "it starts with the breach: {raised}");
    let due = reported.iter().find(|at_ms| **at_ms >= reported[0] + FOR_MS);
    ensure!(due == Some(&raised_ms), "due at {due:?} of {reported:?}: {raised}");
    let told_ms = recorded_ms - raised_ms;
    ensure!(told_ms < 10 * SECOND_MS, "told {told_ms} ms after it was measured: {raised}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_was_away_learns_of_every_change_in_order() -> anyhow::Result<()> {
    let centre = on_trial("at_least = 10\nclear = 5\nneeds_acknowledgement = false")?;
    let mut screen = Screen::connect(centre.http(), "wall-1", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let memory = screen.cut();
    let mut device = Device::connect("trial-0", centre.mqtt_port()).await?;
    let begun_ms = now_ms() - MINUTE_MS;
    const TIMES: i64 = 30;
    for n in 0..TIMES {
        for (after_ms, value) in [(0, 12.0), (1, 1.0)] {
            device.report("trial-0", "trial", begun_ms + n * 10 + after_ms, value).await?;
        }
    }
    let mut screen = Screen::connect(centre.http(), "wall-1", memory).await?;
    assert_eq!(screen.mode, "resume");
    screen.until_count("trial", "cleared", usize::try_from(TIMES)?).await?;
    let shown = screen.cut();
    assert_eq!(shown.count("trial", "raised"), usize::try_from(TIMES)?);
    let starts: Vec<i64> = shown
        .shown
        .iter()
        .filter(|(id, _, kind)| kind == "raised" && shown.alerts[id]["rule"] == "trial")
        .map(|(id, ..)| time_ms(&shown.alerts[id]["started_at"]) - begun_ms)
        .collect();
    assert_eq!(starts, (0..TIMES).map(|n| n * 10).collect::<Vec<_>>());
    Ok(())
}
