//! `kill -9` in a loop: what was acknowledged is there exactly once, and so is every alert.

use std::collections::BTreeSet;

use sen_tests::centre::Centre;
use sen_tests::device::Device;
use sen_tests::screen::{Memory, Screen};
use sen_tests::wait_for;

use crate::{GAUGE, LEVEL, alerts_of, level_three, now_ms, stored};

/// How often the centre is killed in one story.
const KILLS: usize = 12;
/// Event time between two readings of an episode.
const STEP_MS: i64 = 600_000;
/// Alarm level III of Mỹ Tho, and safely over and under it.
const OVER_M: f64 = 1.75;
const UNDER_M: f64 = 0.9;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_reading_is_in_the_store_exactly_once() -> anyhow::Result<()> {
    let mut centre = Centre::start()?;
    let begun_ms = now_ms() - 600_000;
    let mut acknowledged = BTreeSet::new();
    let mut sent = 0_i64;
    for round in 0..KILLS {
        // Each round dies after another number of acknowledgements, in the middle of the next.
        let wanted = acknowledged.len() + 7 + round * 13 % 40;
        let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
        while acknowledged.len() < wanted {
            sent += 1;
            device.report(GAUGE, LEVEL, begun_ms + sent, value_of(sent)).await?;
            acknowledged.insert(begun_ms + sent);
        }
        // One more is on its way when the power goes: it may be there or not, but never half.
        sent += 1;
        device.report_unanswered(GAUGE, LEVEL, begun_ms + sent, value_of(sent)).await?;
        centre.restart()?;
    }

    let items = wait_for("every acknowledged reading", async || {
        let items = stored(&centre, GAUGE, LEVEL, begun_ms, begun_ms + sent + 1).await.ok()?;
        (items.len() >= acknowledged.len()).then_some(items)
    })
    .await;
    let times: Vec<i64> = items.iter().map(|item| time_ms(&item["event_time"])).collect();
    let unique: BTreeSet<i64> = times.iter().copied().collect();
    assert_eq!(times.len(), unique.len(), "a reading is there twice");
    let lost: Vec<_> = acknowledged.difference(&unique).collect();
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    for item in &items {
        let sent = time_ms(&item["event_time"]) - begun_ms;
        assert_eq!(item["value"].as_f64(), Some(value_of(sent)), "a value that was never sent");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_is_raised_and_cleared_exactly_once() -> anyhow::Result<()> {
    let mut centre = Centre::start()?;
    let rule = level_three(&centre).await?;
    let begun_ms = now_ms() - 9 * 3_600_000;
    let mut screen = Screen::connect(centre.http(), "story", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let mut memory = screen.cut();
    for round in 0..KILLS {
        let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
        // Ten minutes a step, in event time: longer than any duration a rule asks for.
        let episode_ms = begun_ms + i64::try_from(round)? * 4 * STEP_MS;
        for step in 0..4 {
            let value = if step < 2 { OVER_M } else { UNDER_M };
            device.report(GAUGE, LEVEL, episode_ms + step * STEP_MS, value).await?;
            if step == i64::try_from(round % 4)? {
                centre.restart()?;
                device = Device::connect(GAUGE, centre.mqtt_port()).await?;
            }
        }
        let mut screen = Screen::connect(centre.http(), "story", memory).await?;
        wait_for("the episode to be over", async || {
            let alerts = alerts_of(&centre, &rule).await.ok()?;
            let over = alerts.iter().filter(|alert| alert["cleared_at"].is_string()).count();
            (over == round + 1).then_some(())
        })
        .await;
        let head = centre.get("/screens").await?["head"].as_u64();
        screen.until("the head", |frame| frame["type"] == "live").await?;
        while screen.memory.position.as_ref().map(|(_, seq)| *seq) < head {
            screen.step().await?;
        }
        memory = screen.cut();
    }

    let alerts = alerts_of(&centre, &rule).await?;
    assert_eq!(alerts.len(), KILLS, "one alert for each episode: {alerts:#?}");
    let on_glass: Vec<_> =
        memory.shown.iter().filter(|(id, ..)| memory.alerts[id]["rule"] == rule.as_str()).collect();
    let unique: BTreeSet<_> = on_glass.iter().collect();
    assert_eq!(on_glass.len(), unique.len(), "a screen showed something twice");
    let kinds = |kind: &str| on_glass.iter().filter(|(.., k)| k == kind).count();
    assert_eq!((kinds("raised"), kinds("cleared")), (KILLS, KILLS), "{on_glass:#?}");
    Ok(())
}

/// Different for every reading, under every alarm level, and exact in binary.
fn value_of(sent: i64) -> f64 {
    0.25 + (sent % 512) as f64 / 1024.0
}

fn time_ms(text: &serde_json::Value) -> i64 {
    let time: sen_model::Timestamp = text.as_str().expect("a time").parse().expect("RFC 3339");
    time.as_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_costs_itself_only_and_is_told() -> anyhow::Result<()> {
    let mut centre = Centre::start()?;
    let begun_ms = now_ms() - 600_000;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    for sent in 0..50 {
        device.report(GAUGE, LEVEL, begun_ms + sent, value_of(sent)).await?;
    }
    // Killed before anything was committed to the store, so that the log must tell it all again;
    // and one bit of a reading in the middle has turned on the disk.
    centre.kill();
    let segment = std::fs::read_dir(centre.storage().join("log/readings"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .expect("the readings have a segment");
    let mut bytes = std::fs::read(&segment)?;
    let wanted = value_of(25).to_le_bytes();
    let place = bytes.windows(8).position(|bytes| bytes == wanted).expect("the value as it is");
    bytes[place] ^= 0x10;
    std::fs::write(&segment, bytes)?;
    centre.restart()?;

    wait_for("the others", async || {
        let items = stored(&centre, GAUGE, LEVEL, begun_ms, begun_ms + 50).await.ok()?;
        let values: Vec<_> = items.iter().filter_map(|item| item["value"].as_f64()).collect();
        let all_but_one: Vec<_> = (0..50).filter(|sent| *sent != 25).map(value_of).collect();
        (values == all_but_one).then_some(())
    })
    .await;
    wait_for("the alert about it", async || {
        let alerts = alerts_of(&centre, "sen-damage").await.ok()?;
        (alerts.len() == 1 && alerts[0]["state"] == "unacknowledged").then_some(())
    })
    .await;
    Ok(())
}
