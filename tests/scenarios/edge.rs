//! A commune forwards to its province over a line that is cut, falls silent and comes back, while
//! either of them dies: the commune goes on by itself, and in the end the province has every
//! reading, once, and of each device in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;
use sen_model::ReadingBatch;
use sen_tests::centre::Centre as Commune;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, reading};
use sen_tests::wait_for;
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::line::Line;
use crate::{Centre, GAUGE, LEVEL, alerts_of, level_three, now_ms};

const DEVICES: usize = 3;
/// By when a line that fell silent must be told; what is above ten seconds is for a busy machine.
const NOTICED: Duration = Duration::from_secs(15);

/// A commune that forwards over this line under this name.
fn commune(line: &Line, name: &str) -> anyhow::Result<Commune> {
    let near = line.near();
    let variables = [
        ("SEN__UPSTREAM__BROKER", near.as_str()),
        ("SEN__UPSTREAM__CLIENT_ID", name),
        ("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "200"),
    ];
    Commune::with(&variables, &[])
}

/// What the commune says about its line; none while all is well.
async fn trouble(commune: &Commune) -> anyhow::Result<Option<String>> {
    let report: Value = serde_json::from_str(&commune.page("/readyz").await?.1)?;
    let part = report["parts"].get("upstream").context("it has an upstream")?;
    Ok(part.as_str().map(str::to_owned))
}

async fn line_is(commune: &Commune, well: bool) {
    wait_for(if well { "a line that is up" } else { "a line that is down" }, async || {
        (trouble(commune).await.ok()?.is_none() == well).then_some(())
    })
    .await;
}

/// Of each device the readings of a log in order, each where it was heard first.
fn firsts(heard: &[ReadingBatch]) -> BTreeMap<String, Vec<Short>> {
    let (mut seen, mut firsts) = (BTreeSet::new(), BTreeMap::<String, Vec<Short>>::new());
    for batch in heard {
        for one in &batch.readings {
            let short = (
                one.metric.to_string(),
                one.event_time.as_millis(),
                one.sequence,
                one.value.to_bits(),
            );
            let device = batch.device.to_string();
            if seen.insert((device.clone(), short.0.clone(), short.1, short.2)) {
                firsts.entry(device).or_default().push(short);
            }
        }
    }
    firsts
}

/// Metric, event time, sequence and bits of the value.
type Short = (String, i64, u32, u64);

/// Waits until the province has of each of these devices what the commune has, in the same order.
async fn province_has_all(province: &Centre, commune: &Commune, devices: &[&str]) {
    wait_for("every reading in the province, in order", async || {
        let here = firsts(&commune.heard().await.ok()?);
        let there = firsts(&province.heard().await.ok()?);
        for device in devices {
            let (here, there) = (here.get(*device)?, there.get(*device)?);
            assert!(here.starts_with(there), "{device} is out of order, or has what never was");
            if here.len() > there.len() {
                return None;
            }
        }
        Some(())
    })
    .await;
}

async fn report(device: &mut Device, at_ms: i64, value: f64, fleet: &Fleet) -> anyhow::Result<()> {
    let one = [reading(GAUGE, LEVEL, at_ms, value)];
    fleet.ledger().note_sent(&one);
    device.report(GAUGE, LEVEL, at_ms, value).await?;
    fleet.ledger().note_acknowledged(&one);
    Ok(())
}

/// The fleet stops; what it sent and what was acknowledged.
async fn ledger_of(fleet: &mut Fleet) -> Ledger {
    fleet.stop().await;
    std::mem::take(&mut *fleet.ledger())
}

const FLEET: [&str; DEVICES] = ["fleet-0", "fleet-1", "fleet-2"];

#[tokio::test(flavor = "multi_thread")]
async fn a_commune_cut_off_goes_on_alone_and_the_province_ends_with_everything()
-> anyhow::Result<()> {
    let province = Centre::start()?;
    let line = Line::to(province.mqtt()).await?;
    let commune = commune(&line, "tan-thoi")?;
    let other = self::commune(&line, "my-loi")?;
    let mut fleet = Fleet::of(DEVICES);
    fleet.report_to(commune.mqtt_port());
    fleet.acknowledged(150).await;
    line_is(&commune, true).await;
    line_is(&other, true).await;

    line.cut();
    line_is(&commune, false).await;
    fleet.acknowledged(600).await;
    // People here are warned by their own centre, as ever.
    let mut gauge = Device::connect("gauge", commune.mqtt_port()).await?;
    let rule = level_three(&commune).await?;
    let rising_ms = now_ms() - 10 * 60_000;
    for minute in 0..10 {
        report(&mut gauge, rising_ms + minute * 60_000, 1.75, &fleet).await?;
    }
    wait_for("the alert of the commune", async || {
        (!alerts_of(&commune, &rule).await.ok()?.is_empty()).then_some(())
    })
    .await;
    ensure!(alerts_of(&province, &rule).await?.is_empty(), "the province cannot know yet");
    let happening = json!({"kind": "crowd", "ts": now_ms(), "id": "cam-1-7", "text": "đông người",
        "attributes": {"people": "120"}});
    gauge.publish("sen/v1/cam-1/event", &happening.to_string()).await?;
    // The province has devices of its own, and another commune.
    let mut own = Device::connect("own", province.mqtt_port()).await?;
    own.report("province-own", LEVEL, now_ms(), 0.5).await?;
    let mut far = Device::connect("far", other.mqtt_port()).await?;
    far.report("other-1", LEVEL, now_ms(), 0.75).await?;

    line.mend();
    line_is(&commune, true).await;
    fleet.acknowledged(60).await;
    let mut ledger = ledger_of(&mut fleet).await;
    province_has_all(&province, &commune, &[FLEET.as_slice(), &[GAUGE]].concat()).await;
    province_has_all(&province, &other, &["other-1"]).await;
    wait_for("the same alert in the province", async || {
        (!alerts_of(&province, &rule).await.ok()?.is_empty()).then_some(())
    })
    .await;
    wait_for("the event in the province", async || {
        let events = province.all("/events").await.ok()?;
        let found = events.iter().find(|event| event["id"] == "cam-1-7")?;
        assert_eq!(found["text"], "đông người");
        (found["attributes"]["people"] == "120").then_some(())
    })
    .await;
    // What the centres say of themselves is told apart; their probes are not forwarded.
    let there = wait_for("what the province has heard", async || province.heard().await.ok()).await;
    let there = firsts(&there);
    for name in ["sen-centre", "sen-centre-tan-thoi", "sen-centre-my-loi"] {
        ensure!(there.contains_key(name), "{name} reports");
    }
    ledger.audit(commune, "commune cut off: commune").await?;
    for (device, value) in [("province-own", 0.5), ("other-1", 0.75)] {
        let at_ms = there[device][0].1;
        let one = [reading(device, LEVEL, at_ms, value)];
        ledger.note_sent(&one);
        ledger.note_acknowledged(&one);
    }
    let audit = ledger.audit(province, "commune cut off: province").await?;
    ensure!(audit.stored == audit.sent, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn either_of_them_killed_while_forwarding_costs_nothing() -> anyhow::Result<()> {
    let mut province = Centre::start()?;
    let line = Line::to(province.mqtt()).await?;
    let mut commune = commune(&line, "tan-thoi")?;
    let mut fleet = Fleet::of(DEVICES);
    for _ in 0..4 {
        fleet.report_to(commune.mqtt_port());
        fleet.acknowledged(100).await;
        province.kill();
        fleet.acknowledged(100).await;
        province.restart()?;
        fleet.acknowledged(30).await;
        commune.kill();
        fleet.stop().await;
        commune.restart()?;
    }
    line_is(&commune, true).await;
    province_has_all(&province, &commune, &FLEET).await;
    let ledger = ledger_of(&mut fleet).await;
    ledger.audit(commune, "edge killed: commune").await?;
    ledger.audit(province, "edge killed: province").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_falls_silent_is_noticed_and_returned_to() -> anyhow::Result<()> {
    let province = Centre::start()?;
    let line = Line::to(province.mqtt()).await?;
    let commune = commune(&line, "tan-thoi")?;
    let mut fleet = Fleet::of(DEVICES);
    fleet.report_to(commune.mqtt_port());
    fleet.acknowledged(100).await;
    line_is(&commune, true).await;

    line.fall_silent();
    let silent = Stopwatch::start();
    line_is(&commune, false).await;
    let noticed = silent.elapsed();
    println!("a silent line was noticed after {noticed:?}");
    ensure!(noticed < NOTICED, "noticed only after {noticed:?}");
    fleet.acknowledged(100).await;
    // What was under way in the old connection comes late, beside the new one.
    line.mend();
    line_is(&commune, true).await;
    fleet.acknowledged(100).await;

    // The same with nothing on the way: a province that hangs.
    fleet.stop().await;
    province_has_all(&province, &commune, &FLEET).await;
    province.pause()?;
    let silent = Stopwatch::start();
    line_is(&commune, false).await;
    let noticed = silent.elapsed();
    println!("a province that hangs was noticed after {noticed:?}");
    ensure!(noticed < NOTICED, "noticed only after {noticed:?}");
    province.resume()?;
    fleet.report_to(commune.mqtt_port());
    fleet.acknowledged(100).await;
    line_is(&commune, true).await;
    let ledger = ledger_of(&mut fleet).await;
    province_has_all(&province, &commune, &FLEET).await;
    ledger.audit(commune, "edge silent: commune").await?;
    ledger.audit(province, "edge silent: province").await?;
    Ok(())
}
