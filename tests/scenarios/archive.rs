//! An archive beside the store: a real VictoriaMetrics that is fed, killed, and caught up.

use std::fs;
use std::process::Command;

use sen_model::time::{HOUR_MS, MINUTE_MS};
use sen_tests::centre::{Centre, binary};
use sen_tests::device::Device;
use sen_tests::victoria::Victoria;
use sen_tests::wait_for;

use crate::{GAUGE, LEVEL, alerts_of, now_ms, stored};

/// Minutes soon after they have ended.
const QUICK: (&str, &str) = ("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "200");

/// Publishes a level each minute from `from_ms` on, and returns what the store must have.
async fn publish(
    device: &mut Device,
    from_ms: i64,
    minutes: i64,
) -> anyhow::Result<Vec<(i64, f64)>> {
    let mut sent = Vec::new();
    for minute in 0..minutes {
        let (ts, value) = (from_ms + minute * MINUTE_MS, (500 + minute) as f64 / 1_000.0);
        device.report(GAUGE, LEVEL, ts, value).await?;
        sent.push((ts, value));
    }
    Ok(sent)
}

fn readings() -> String {
    format!("reading_value{{device=\"{GAUGE}\",metric=\"{LEVEL}\"}}")
}

fn summaries(tier: &str, column: &str) -> String {
    format!("summary_{column}{{device=\"{GAUGE}\",metric=\"{LEVEL}\",tier=\"{tier}\"}}")
}

async fn wait_for_readings(victoria: &Victoria, all: &[(i64, f64)]) {
    wait_for("the archive to hold every reading", async || {
        (victoria.samples(&readings()).await.ok()? == all).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_archive_gets_readings_and_the_summaries_of_every_tier() -> anyhow::Result<()> {
    let victoria = Victoria::start().await?;
    let centre = Centre::with(&[QUICK, ("SEN__STORE__ARCHIVE", &victoria.location())], &[])?;
    let mut device = Device::connect("gauge", centre.mqtt_port()).await?;
    let from_ms = (now_ms() - 6 * HOUR_MS) / HOUR_MS * HOUR_MS;
    let sent = publish(&mut device, from_ms, 120).await?;
    wait_for_readings(&victoria, &sent).await;
    for (tier, windows) in [("1m", 120), ("15m", 8), ("1h", 2)] {
        wait_for("the archive to hold every summary", async || {
            let counts = victoria.samples(&summaries(tier, "count")).await.ok()?;
            let readings: f64 = counts.iter().map(|(_, count)| count).sum();
            (counts.len() == windows && readings == 120.0).then_some(())
        })
        .await;
    }
    let largest = victoria.samples(&summaries("1h", "max")).await?;
    assert_eq!(largest.iter().map(|(_, max)| *max).collect::<Vec<_>>(), [0.559, 0.619]);
    Ok(())
}

#[tokio::test]
async fn while_the_archive_is_away_nothing_waits_but_the_archive() -> anyhow::Result<()> {
    let mut victoria = Victoria::start().await?;
    let mut centre = Centre::with(&[QUICK, ("SEN__STORE__ARCHIVE", &victoria.location())], &[])?;
    let rules = centre.config().join("rules.toml");
    // Told after two seconds here, not after two minutes.
    let text =
        fs::read_to_string(&rules)?.replace("above = 120\nclear = 30", "above = 2\nclear = 1");
    fs::write(&rules, text)?;
    centre.restart()?;
    let mut device = Device::connect("gauge", centre.mqtt_port()).await?;
    let from_ms = now_ms() - 5 * HOUR_MS;
    let mut sent = publish(&mut device, from_ms, 60).await?;
    wait_for_readings(&victoria, &sent).await;

    victoria.kill();
    sent.append(&mut publish(&mut device, from_ms + HOUR_MS, 60).await?);
    // Acknowledged, stored and readable all the same …
    wait_for("the store to hold every reading", async || {
        let items = stored(&centre, GAUGE, LEVEL, from_ms, now_ms()).await.ok()?;
        (items.len() == sent.len()).then_some(())
    })
    .await;
    // … and every screen is told.
    wait_for("an alert about the archive", async || {
        let alerts = alerts_of(&centre, "sen-archive").await.ok()?;
        alerts.iter().any(|alert| alert["state"] == "unacknowledged").then_some(())
    })
    .await;
    let (status, ready) = centre.page("/readyz").await?;
    assert!(ready.contains("archive"), "{status} {ready}");

    // The centre dies, too: what is lacking waits in the log.
    centre.restart()?;
    victoria.restart().await?;
    wait_for_readings(&victoria, &sent).await;
    wait_for("the alert about the archive to end", async || {
        let alerts = alerts_of(&centre, "sen-archive").await.ok()?;
        let is_over = |alert: &serde_json::Value| alert["state"] != "unacknowledged";
        alerts.iter().all(is_over).then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_copy_sends_what_was_there_before_the_archive() -> anyhow::Result<()> {
    let victoria = Victoria::start().await?;
    let centre = Centre::with(&[QUICK], &[])?;
    let mut device = Device::connect("gauge", centre.mqtt_port()).await?;
    let from_ms = (now_ms() - 30 * HOUR_MS) / HOUR_MS * HOUR_MS;
    let sent = publish(&mut device, from_ms, 90).await?;
    wait_for("the minutes to be committed", async || {
        let minutes =
            centre.all(&format!("/series/{GAUGE}/{LEVEL}/summaries?from={from_ms}")).await;
        (minutes.ok()?.len() == 90).then_some(())
    })
    .await;
    // Beside the running centre, twice: the second time changes nothing.
    for _ in 0..2 {
        let copied = Command::new(binary())
            .args(["store", "copy", "--config"])
            .arg(centre.config())
            .arg("--data")
            .arg(centre.storage())
            .env("SEN__STORE__ARCHIVE", victoria.location())
            .output()?;
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    }
    assert_eq!(victoria.samples(&readings()).await?, sent);
    assert_eq!(victoria.samples(&summaries("1m", "count")).await?.len(), 90);
    let hours = victoria.samples(&summaries("1h", "count")).await?;
    assert_eq!(hours.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [60.0, 30.0]);
    Ok(())
}
