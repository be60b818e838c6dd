//! A screen that was away shows all that happened; a centre that died resumes its screens.

use rumqttc::QoS;
use sen_tests::device::Device;
use sen_tests::screen::{Memory, Screen};

use crate::{Centre, GAUGE, LEVEL, level_three, now_ms};

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_rose_and_cleared_while_a_screen_was_away_is_shown() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let rule = level_three(&centre).await?;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    let mut screen = Screen::connect(centre.http(), "wall-1", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let memory = screen.cut();

    let begun_ms = now_ms() - 3_600_000;
    for (minutes, level) in [(0, 1.7), (10, 1.7), (20, 0.8), (30, 0.8)] {
        device.report(GAUGE, LEVEL, begun_ms + minutes * 60_000, level).await?;
    }
    let mut witness = Screen::connect(centre.http(), "witness", Memory::default()).await?;
    let over = |alert: &serde_json::Value| {
        alert["rule"] == rule.as_str() && alert["cleared_at"].is_string()
    };
    if !witness.memory.alerts.values().any(over) {
        witness
            .until("the end of the episode", |frame| {
                over(frame) || frame["items"].as_array().is_some_and(|items| items.iter().any(over))
            })
            .await?;
    }

    let mut screen = Screen::connect(centre.http(), "wall-1", memory).await?;
    assert_eq!(screen.mode, "resume");
    screen.until_alert(&rule, "raised").await?;
    screen.until_alert(&rule, "cleared").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_centre_that_was_killed_resumes_its_screens_without_a_snapshot() -> anyhow::Result<()> {
    let mut centre = Centre::start()?;
    let rule = level_three(&centre).await?;
    let begun_ms = now_ms() - 3_600_000;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    for minutes in [0, 10] {
        device.report(GAUGE, LEVEL, begun_ms + minutes * 60_000, 1.7).await?;
    }
    let mut screen = Screen::connect(centre.http(), "wall-1", Memory::default()).await?;
    screen.until("the alert", |frame| frame.to_string().contains(&rule)).await?;
    let memory = screen.cut();
    centre.restart()?;

    let mut screen = Screen::connect(centre.http(), "wall-1", memory).await?;
    assert_eq!(screen.mode, "resume", "the epoch outlives a crash");
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    for minutes in [20, 30] {
        device.report(GAUGE, LEVEL, begun_ms + minutes * 60_000, 0.8).await?;
    }
    screen.until_alert(&rule, "cleared").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_acknowledge_at_once_and_one_is_told_who_was_first() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let rule = level_three(&centre).await?;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    let mut screen = Screen::connect(centre.http(), "desk", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let begun_ms = now_ms() - 3_600_000;
    for minutes in [0, 10] {
        device.report(GAUGE, LEVEL, begun_ms + minutes * 60_000, 1.7).await?;
    }
    let raised = screen.until_alert(&rule, "raised").await?;
    let (id, rev) = (raised["id"].as_str().unwrap_or_default(), raised["rev"].as_u64());

    let (lan, minh) = tokio::join!(
        centre.acknowledge(id, "Lan", rev, "key-lan"),
        centre.acknowledge(id, "Minh", rev, "key-minh"),
    );
    let (lan, minh) = (lan?, minh?);
    let mut statuses = [lan.0, minh.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{lan:?} {minh:?}");
    let (winner, told) = if lan.0 == 200 { ("Lan", &minh.1) } else { ("Minh", &lan.1) };
    assert_eq!(told["current"]["acknowledgement"]["by"], winner, "{told}");

    let shown = screen.until_alert(&rule, "acknowledged").await?;
    assert_eq!(shown["acknowledgement"]["by"], winner);
    // The same key again is the same answer, not a second acknowledgement.
    let key = if winner == "Lan" { "key-lan" } else { "key-minh" };
    let (status, again) = centre.acknowledge(id, winner, rev, key).await?;
    assert_eq!((status, again["rev"].as_u64()), (200, shown["rev"].as_u64()), "{again}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sirens_get_open_alerts_as_retained_messages() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let rule = level_three(&centre).await?;
    let begun_ms = now_ms() - 3_600_000;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    for minutes in [0, 10] {
        device.report(GAUGE, LEVEL, begun_ms + minutes * 60_000, 1.7).await?;
    }
    let mut screen = Screen::connect(centre.http(), "desk", Memory::default()).await?;
    screen.until("the alert", |frame| frame.to_string().contains(&rule)).await?;

    // A siren that comes late still hears of what is open.
    let mut siren = Device::connect("siren-1", centre.mqtt_port()).await?;
    siren.subscribe("sen/v1/alerts/28261/#", QoS::AtLeastOnce).await?;
    let heard = loop {
        let message = siren.next().await?;
        let alert: serde_json::Value = serde_json::from_slice(&message.payload)?;
        if alert["rule"] == rule.as_str() {
            break message.topic;
        }
    };
    assert!(heard.starts_with("sen/v1/alerts/28261/"), "{heard}");
    Ok(())
}
