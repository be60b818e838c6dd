//! The end of the log is torn: what was being written when the process died, and worse.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use sen_tests::centre::Centre;
use sen_tests::chance::Chance;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, payload_of, reading, topic_of};
use sen_tests::oracle::Report;
use sen_tests::wait_for;

use crate::crashes::value_of;
use crate::{GAUGE, LEVEL, alerts_of, now_ms, stored};

const DEVICE: &str = "torn-1";

/// Some readings, beginning with this number.
fn some(begun_ms: i64, from: i64, count: i64) -> Vec<Report> {
    let value = |n: i64| 0.25 + n as f64 / 1024.0;
    (from..from + count).map(|n| reading(DEVICE, LEVEL, begun_ms + n * 900, value(n))).collect()
}

/// The segment of readings that is being written.
fn last_segment(storage: &Path) -> anyhow::Result<PathBuf> {
    let segments = fs::read_dir(storage.join("log/readings"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"));
    segments.max().context("the readings have a segment")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_half_written_costs_nothing_and_its_place_is_used_again() -> anyhow::Result<()> {
    let mut centre = Centre::start()?;
    let mut ledger = Ledger::default();
    let begun_ms = now_ms() - 3_600_000;
    let mut chance = Chance::of(11);
    for round in 0..6 {
        let mut device = Device::connect(DEVICE, centre.mqtt_port()).await?;
        let first = round * 200;
        ledger.report(&mut device, &some(begun_ms, first, 20)).await?;
        let before = fs::metadata(last_segment(centre.storage())?)?.len();
        // The record that was being written. Nobody has noted its acknowledgement.
        let torn = some(begun_ms, first + 20, 150);
        ledger.note_sent(&torn);
        device.publish(&topic_of(DEVICE), &payload_of(&torn)).await?;
        centre.kill();
        let segment = last_segment(centre.storage())?;
        let record = fs::metadata(&segment)?.len() - before;
        ensure!(record > 4_096, "a record of {record} bytes");
        let cut = 1 + chance.below(4_095);
        OpenOptions::new().write(true).open(&segment)?.set_len(before + record - cut)?;
        centre.restart()?;
    }
    let mut device = Device::connect(DEVICE, centre.mqtt_port()).await?;
    ledger.report(&mut device, &some(begun_ms, 2_000, 50)).await?;
    let audit = ledger.audit(centre, "half written records").await?;
    ensure!(audit.acknowledged == 6 * 20 + 50, "{audit:?}");
    Ok(())
}

/// Here the disk lost what it had promised to keep. What the store holds already stays, and what is
/// reported from now on is stored although offsets of the log are given out a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_is_begun_anew_and_the_store_goes_on() -> anyhow::Result<()> {
    let mut centre = Centre::start()?;
    let mut ledger = Ledger::default();
    let begun_ms = now_ms() - 3_600_000;
    let mut chance = Chance::of(11);
    for round in 0..4 {
        let mut device = Device::connect(DEVICE, centre.mqtt_port()).await?;
        for packet in 0..10 {
            let reports = some(begun_ms, round * 100 + packet * 10, 10);
            ledger.report(&mut device, &reports).await?;
        }
        centre.process().signal(Signal::TERM)?;
        centre.process().wait()?;
        let segment = last_segment(centre.storage())?;
        let bytes = fs::metadata(&segment)?.len();
        let cut = 1 + chance.below(4_095.min(bytes / 2));
        OpenOptions::new().write(true).open(&segment)?.set_len(bytes - cut)?;
        centre.restart()?;
    }
    let mut device = Device::connect(DEVICE, centre.mqtt_port()).await?;
    ledger.report(&mut device, &some(begun_ms, 1_000, 50)).await?;
    let audit = ledger.audit(centre, "logs that lost their end").await?;
    ensure!(audit.stored == audit.acknowledged && audit.stored == 450, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_costs_itself_only_and_is_told() -> anyhow::Result<()> {
    let mut centre = Centre::with(&[("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "600000")], &[])?;
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
