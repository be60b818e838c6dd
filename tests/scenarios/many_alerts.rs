//! Many alerts at once: none lost and none twice when the centre is killed among them, and exactly
//! one for each device that falls silent.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use sen_tests::chance::Chance;
use sen_tests::device::Device;
use sen_tests::judging::{episodes, rule_text};
use sen_tests::screen::{Memory, Screen};
use sen_tests::trial::{add, alert_log_of, names};
use sen_tests::wait_for;

use crate::crashes::RESTLESS;
use crate::{Centre, alerts_of, now_ms};

const DEVICES: usize = 100;
/// Alerts that are open whenever the centre dies.
const OPEN: usize = 20;
const KILLS: usize = Centre::often(10);

#[tokio::test(flavor = "multi_thread")]
async fn with_twenty_alerts_open_no_kill_loses_an_end_or_doubles_a_raise() -> anyhow::Result<()> {
    let rule = rule_text(
        "trial",
        "metrics = [\"trial\"]\nseverity = 2\nat_least = 10\nneeds_acknowledgement = false",
    );
    let mut centre = Centre::configured(&RESTLESS, |config| {
        add(config, &names("trial", DEVICES), 1_000, &[rule])
    })?;
    let begun_ms = now_ms() - 600_000;
    let mut screen = Screen::connect(centre.http(), "wall-1", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let mut memory = screen.cut();
    let mut chance = Chance::of(41);
    let mut expected = BTreeSet::new();
    for round in 0..=KILLS {
        // All devices report; twenty of them are over the limit in this round, others in the next.
        let over = |number: usize| (number + DEVICES - OPEN * round % DEVICES) % DEVICES < OPEN;
        let at_ms = begun_ms + i64::try_from(round)? * 10_000;
        let mut gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
        let killed_at = chance.below(DEVICES as u64) as usize;
        for number in 0..DEVICES {
            let (id, value) = (format!("trial-{number}"), if over(number) { 12.0 } else { 1.0 });
            if over(number) {
                expected.insert((id.clone(), at_ms));
            }
            if round < KILLS && number == killed_at {
                gateway.report_unanswered(&id, "trial", at_ms, value).await?;
                centre.restart()?;
                gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
            }
            gateway.report(&id, "trial", at_ms, value).await?;
        }
        let mut screen = Screen::connect(centre.http(), "wall-1", memory).await?;
        ensure!(screen.mode == "resume", "the screen begins anew: {}", screen.mode);
        screen.until_count("trial", "raised", expected.len()).await?;
        memory = screen.cut();
    }
    let unique: BTreeSet<_> = memory.shown.iter().collect();
    ensure!(memory.shown.len() == unique.len(), "a screen showed something twice");
    wait_for("the ends", async || {
        let open = alerts_of(&centre, "trial").await.ok()?;
        (open.iter().filter(|alert| alert["state"] != "normal").count() == OPEN).then_some(())
    })
    .await;
    let told = episodes(&alert_log_of(centre).await?)?;
    let told: Vec<_> = told.iter().filter(|episode| episode.rule.as_str() == "trial").collect();
    let starts: BTreeSet<_> =
        told.iter().map(|episode| (episode.device.to_string(), episode.start_ms)).collect();
    ensure!(starts == expected, "{} alerts, {} expected", starts.len(), expected.len());
    ensure!(told.len() == expected.len(), "an alert is there twice");
    for episode in told {
        // Each ends with the next round's reading; those of the last round are open.
        let next = episode.start_ms + 10_000;
        let is_last = episode.start_ms == begun_ms + i64::try_from(KILLS)? * 10_000;
        ensure!(episode.end_ms == (!is_last).then_some(next), "{episode:?}");
    }
    Ok(())
}

/// Longer than a busy machine keeps a device from being heard.
const MISSING: Duration = Duration::from_secs(30);
const PATIENCE_MS: i64 = 120_000;
const SPEAKING: usize = 21;
const SILENT: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn each_device_that_falls_silent_is_told_exactly_once() -> anyhow::Result<()> {
    let missing =
        format!("kinds = [\"trial\"]\nseverity = 4\nmissing = \"{}s\"", MISSING.as_secs());
    let rule = rule_text("silent-trial", &missing);
    let all = names("trial", SPEAKING + SILENT);
    let centre = Centre::configured(&[], |config| add(config, &all, 1_000, &[rule]))?;
    let mut gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
    let begun_ms = now_ms();
    for id in &all {
        gateway.report(id, "trial", begun_ms, 1.0).await?;
    }
    // The others go on; whoever is silent is told, and nobody else.
    let mut pause = tokio::time::interval(Duration::from_millis(500));
    let silent: BTreeSet<&str> = all[SPEAKING..].iter().map(String::as_str).collect();
    let speak = async |gateway: &mut Device| {
        for id in &all[..SPEAKING] {
            gateway.report(id, "trial", now_ms(), 1.0).await?;
        }
        alerts_of(&centre, "silent-trial").await
    };
    let alerts = loop {
        pause.tick().await;
        let alerts = speak(&mut gateway).await?;
        ensure!(now_ms() - begun_ms < PATIENCE_MS, "{} silences are told", alerts.len());
        if alerts.len() >= SILENT {
            break alerts;
        }
    };
    let told: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["device"].as_str()).collect();
    ensure!(told == silent && alerts.len() == SILENT, "{alerts:#?}");
    for id in &all[SPEAKING..] {
        gateway.report(id, "trial", now_ms(), 1.0).await?;
    }
    loop {
        pause.tick().await;
        let alerts = speak(&mut gateway).await?;
        ensure!(alerts.len() == SILENT, "{alerts:#?}");
        if alerts.iter().all(|alert| alert["cleared_at"].is_string()) {
            break;
        }
        ensure!(now_ms() - begun_ms < 2 * PATIENCE_MS, "not every silence has an end");
    }
    // Silence again is another episode, also told once; and our own absence is nobody's.
    let mut centre = centre;
    centre.kill();
    let away_ms = now_ms();
    wait_for("longer than a device may be silent", async || {
        (now_ms() - away_ms > i64::try_from(MISSING.as_millis()).ok()? + 1_000).then_some(())
    })
    .await;
    centre.restart()?;
    let mut gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
    for id in &all {
        gateway.report(id, "trial", now_ms(), 1.0).await?;
    }
    let records = alert_log_of(centre).await?;
    let silences = records.iter().filter(|record| record.rule.as_str() == "silent-trial");
    ensure!(silences.count() == 2 * SILENT, "{records:#?}");
    episodes(&records).map(drop)
}
