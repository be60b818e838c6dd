//! Readings in any order, hours late or in a flood: the windows end as if all had come in time.

use std::time::Duration;

use anyhow::ensure;
use sen_tests::chance::Chance;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, reading};
use sen_tests::oracle::Report;
use sen_tests::wait_for;
use tokio::time::Instant;

use crate::{Centre, LEVEL, now_ms};

/// So that windows leave memory soon, and late readings meet what is on disk.
const FORGETFUL: [(&str, &str); 3] = [
    ("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "100"),
    ("SEN__AGGREGATE__HOT_MS", "120000"),
    ("SEN__STORE__SEAL_POINTS", "2000"),
];
/// What a device that was offline for six hours has kept.
const BACKLOG: i64 = 20_000;
const OFFLINE_MS: i64 = 6 * 3_600_000;
/// How long 99 of 100 readings of others may wait for an acknowledgement while somebody floods.
const OTHERS_WAIT: Duration = Duration::from_secs(10);

/// Readings of a device every so many milliseconds; the value tells which.
fn every(device: &str, begun_ms: i64, step_ms: i64, count: i64) -> Vec<Report> {
    let value = |n: i64| (n % 4_096) as f64 / 8_192.0;
    (0..count).map(|n| reading(device, LEVEL, begun_ms + n * step_ms, value(n))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_in_any_order_end_in_the_same_windows() -> anyhow::Result<()> {
    let centre = Centre::with(&FORGETFUL, &[])?;
    let mut ledger = Ledger::default();
    let mut chance = Chance::of(23);
    // A day, shuffled over all of it: nearly everything is beyond what is in memory. And an hour,
    // shuffled within a minute: nearly everything is within it.
    let mut far = every("shuffled-far", now_ms() - 86_400_000, 43_000, 2_000);
    chance.shuffle(&mut far);
    let mut near = every("shuffled-near", now_ms() - 3_600_000, 1_800, 2_000);
    near.chunks_mut(33).for_each(|minute| chance.shuffle(minute));
    for reports in [far, near] {
        let name = reports[0].series.device.to_string();
        let mut device = Device::connect(&name, centre.mqtt_port()).await?;
        for packet in reports.chunks(50) {
            ledger.report(&mut device, packet).await?;
        }
    }
    wait_for("windows to be recomputed", async || {
        let (_, metrics) = centre.page("/metrics").await.ok()?;
        let name = "sen_aggregate_late_total{how=\"recomputed\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(name))?;
        (count.parse::<u64>().ok()? > 0).then_some(())
    })
    .await;
    let audit = ledger.audit(centre, "shuffled readings").await?;
    ensure!(audit.stored == audit.acknowledged && audit.stored == 4_000, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_offline_floods_and_the_others_do_not_notice() -> anyhow::Result<()> {
    let centre = Centre::with(&FORGETFUL, &[])?;
    let mut ledger = Ledger::default();
    let mut back = Device::connect("offline-1", centre.mqtt_port()).await?;
    let mut other = Device::connect("other-1", centre.mqtt_port()).await?;
    let backlog = every("offline-1", now_ms() - OFFLINE_MS, OFFLINE_MS / BACKLOG, BACKLOG);
    let live = every("other-1", now_ms() - 60_000, 100, 400);
    ledger.note_sent(&backlog);
    ledger.note_sent(&live);
    let flood = async {
        for packet in backlog.chunks(500) {
            let payload = sen_tests::ledger::payload_of(packet);
            back.publish("sen/v1/offline-1/telemetry", &payload).await?;
        }
        anyhow::Ok(())
    };
    let others = async {
        let mut waits = Vec::new();
        for report in &live {
            let begun = Instant::now();
            other.report("other-1", LEVEL, report.time_ms, report.value).await?;
            waits.push(begun.elapsed());
        }
        waits.sort_unstable();
        anyhow::Ok(waits[waits.len() * 99 / 100])
    };
    let (flooded, waited) = tokio::join!(flood, others);
    flooded?;
    let waited = waited?;
    ensure!(waited < OTHERS_WAIT, "another device waited {waited:?}");
    ledger.note_acknowledged(&backlog);
    ledger.note_acknowledged(&live);
    let audit = ledger.audit(centre, "six hours at once").await?;
    ensure!(audit.stored == 20_400 && audit.acknowledged == 20_400, "{audit:?}");
    Ok(())
}
