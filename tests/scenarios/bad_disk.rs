//! A disk that loses power, fills up, turns read-only or slow: a disk of our own, under the real
//! binary. Whatever it does, what was acknowledged is stored in the end.

use std::time::Duration;

use anyhow::ensure;
use sen_tests::centre::Centre;
use sen_tests::chance::Chance;
use sen_tests::device::Device;
use sen_tests::mount::Mount;
use sen_tests::wait_for;

use crate::crashes::RESTLESS;
use crate::fleet::Fleet;
use crate::{GAUGE, LEVEL, now_ms};

/// How often the power goes in one story.
const CUTS: usize = 8;
/// How long `fsync` takes on the slow disk.
const SLOW: Duration = Duration::from_millis(200);

/// Room the log leaves; the disk of these stories is a small one.
const RESERVE: (&str, &str) = ("SEN__LOG__RESERVE_BYTES", "4194304");

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let Some(mut disk) = Mount::new()? else { return Ok(()) };
    let mut centre = Centre::on(disk.path().join("data"), &[&RESTLESS[..], &[RESERVE]].concat())?;
    let mut fleet = Fleet::of(4);
    let mut chance = Chance::of(12);
    for round in 0..CUTS {
        fleet.report_to(centre.mqtt_port());
        fleet.acknowledged(150 + round * 111 % 400).await;
        centre.kill();
        fleet.stop().await;
        disk.cut_power(&mut chance)?;
        centre.restart()?;
    }
    fleet.report_to(centre.mqtt_port());
    fleet.acknowledged(100).await;
    let audit = fleet.audit(centre, "power cuts").await?;
    ensure!(audit.acknowledged > 150 * CUTS && audit.windows > 0, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_room_lags_and_catches_up_by_itself() -> anyhow::Result<()> {
    let Some(disk) = Mount::new()? else { return Ok(()) };
    // Only the store is on the small disk: the log has room all the time.
    let folder = tempfile::tempdir()?;
    std::os::unix::fs::symlink(disk.path(), folder.path().join("store"))?;
    let centre = Centre::on(folder.path().to_owned(), &RESTLESS)?;
    let mut fleet = Fleet::of(4);
    fleet.report_to(centre.mqtt_port());
    fleet.acknowledged(300).await;
    let free = disk.free_bytes();
    disk.change(|condition| condition.capacity_bytes -= free);
    store_is_well(&centre, false).await;
    fleet.acknowledged(1_000).await;
    ensure!(centre.page("/healthz").await?.0 == 200, "the screens stay alive");
    ensure!(!centre.all("/devices").await?.is_empty(), "and know the devices");

    disk.change(|condition| condition.capacity_bytes += free);
    store_is_well(&centre, true).await;
    fleet.acknowledged(100).await;
    let audit = fleet.audit(centre, "store without room").await?;
    ensure!(audit.stored >= audit.acknowledged, "{audit:?}");
    Ok(())
}

async fn store_is_well(centre: &Centre, well: bool) {
    wait_for("the state of the store", async || {
        let (_, report) = centre.page("/readyz").await.ok()?;
        let report: serde_json::Value = serde_json::from_str(&report).ok()?;
        (report["parts"].get("store")?.is_null() == well).then_some(())
    })
    .await;
}

/// As a file system does when it finds itself damaged: files stay open, and no write succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_stops_acknowledgements_and_nothing_else() -> anyhow::Result<()>
{
    let Some(disk) = Mount::new()? else { return Ok(()) };
    let mut centre = Centre::on(disk.path().join("data"), &[&RESTLESS[..], &[RESERVE]].concat())?;
    let mut fleet = Fleet::of(4);
    fleet.report_to(centre.mqtt_port());
    fleet.acknowledged(300).await;
    disk.change(|condition| condition.read_only = true);
    wait_for("unreadiness", async || (centre.page("/readyz").await.ok()?.0 == 503).then_some(()))
        .await;
    let mut probe = Device::connect("probe-1", centre.mqtt_port()).await.ok();
    if let Some(probe) = &mut probe {
        let report = probe.report(GAUGE, LEVEL, now_ms(), 0.5);
        let answered = tokio::time::timeout(Duration::from_secs(1), report).await;
        ensure!(!matches!(answered, Ok(Ok(()))), "acknowledged on a disk that takes nothing");
    }
    ensure!(centre.page("/healthz").await?.0 == 200, "the screens stay alive");
    drop(probe);

    disk.change(|condition| condition.read_only = false);
    // A file system that was mended is mounted anew, and Sen started again.
    centre.kill();
    fleet.stop().await;
    centre.restart()?;
    fleet.report_to(centre.mqtt_port());
    fleet.acknowledged(100).await;
    fleet.audit(centre, "read-only disk").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_slow_disk_acknowledgements_take_as_long_as_the_disk() -> anyhow::Result<()> {
    let Some(disk) = Mount::new()? else { return Ok(()) };
    let mut centre = Centre::on(disk.path().join("data"), &[RESERVE])?;
    let mut fleet = Fleet::of(8);
    fleet.report_to(centre.mqtt_port());
    fleet.acknowledged(100).await;
    disk.change(|condition| condition.sync_delay = SLOW);
    let mut device = Device::connect("slow-disk", centre.mqtt_port()).await?;
    for n in 0..5 {
        let begun = tokio::time::Instant::now();
        let report = sen_tests::ledger::reading("slow-disk", LEVEL, now_ms() - n, 0.5);
        fleet.ledger().note_sent(std::slice::from_ref(&report));
        device.report("slow-disk", LEVEL, report.time_ms, report.value).await?;
        fleet.ledger().note_acknowledged(&[report]);
        ensure!(begun.elapsed() >= SLOW, "acknowledged before its fsync had returned");
    }
    fleet.acknowledged(400).await;
    ensure!(resident_mib(&mut centre)? < 512, "{} MiB resident", resident_mib(&mut centre)?);
    disk.change(|condition| condition.sync_delay = Duration::ZERO);
    fleet.audit(centre, "slow disk").await?;
    Ok(())
}

/// Memory of the centre's process that is in use, in MiB.
fn resident_mib(centre: &mut Centre) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", centre.process().id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib / 1_024).ok_or_else(|| anyhow::anyhow!("no VmRSS"))
}
