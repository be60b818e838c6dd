//! A disk that fills up: Sen stops acknowledging before it is full, keeps its screens, and goes on
//! by itself when there is room again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_tests::centre::Centre;
use sen_tests::device::Device;
use sen_tests::{PATIENCE, wait_for};

use crate::{GAUGE, LEVEL, now_ms, stored};

/// Room that is left above the reserve, at least: others on the machine must not disturb the story.
const LEAST_ROOM_BYTES: u64 = 1 << 30;
const MOST_ROOM_BYTES: u64 = 8 << 30;

/// Somebody else's file that takes all the room, and half as much of the reserve.
struct Filler(PathBuf);

impl Filler {
    fn write(folder: &Path, room_bytes: u64) -> anyhow::Result<Self> {
        let file = folder.join("filler");
        let bytes = (room_bytes + room_bytes / 2).to_string();
        let status = Command::new("fallocate").args(["-l", &bytes]).arg(&file).status()?;
        ensure!(status.success(), "fallocate: {status}");
        Ok(Self(file))
    }

    fn remove(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(&self.0)?)
    }
}

fn free_bytes(folder: &Path) -> anyhow::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledgements_and_loses_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let free = free_bytes(folder.path())?;
    ensure!(free > 3 * LEAST_ROOM_BYTES, "this story needs 3 GiB of free disk");
    let room = (free / 4).clamp(LEAST_ROOM_BYTES, MOST_ROOM_BYTES);
    let reserve = (free - room).to_string();
    let reserve = [("SEN__LOG__RESERVE_BYTES", reserve.as_str())];
    let centre = Centre::on(folder.path().join("data"), &reserve)?;
    let begun_ms = now_ms() - 600_000;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    let first = device.report(GAUGE, LEVEL, begun_ms, 0.5);
    tokio::time::timeout(PATIENCE, first).await.context("there is room")??;

    let filler = Filler::write(folder.path(), room)?;
    wait_for("unreadiness", async || {
        // Each try needs a packet: an idle log does not look at the disk.
        let mut probe = Device::connect("probe-1", centre.mqtt_port()).await.ok()?;
        let report = probe.report("probe-1", LEVEL, now_ms(), 0.5);
        let answered = tokio::time::timeout(Duration::from_millis(300), report).await.is_ok();
        let (status, _) = centre.page("/readyz").await.ok()?;
        (!answered && status == 503).then_some(())
    })
    .await;
    assert_eq!(centre.page("/healthz").await?.0, 200, "the screens stay alive");
    assert!(!centre.all("/devices").await?.is_empty());

    // A reading that waits for its acknowledgement while the disk is full …
    let waiting = device.report(GAUGE, LEVEL, begun_ms + 1, 0.6);
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
    assert!(early.is_err(), "acknowledged on a full disk");
    // … gets it when there is room again, without anybody's help.
    filler.remove()?;
    tokio::time::timeout(PATIENCE, waiting).await.context("room again")??;
    wait_for("both readings", async || {
        let items = stored(&centre, GAUGE, LEVEL, begun_ms, begun_ms + 2).await.ok()?;
        (items.len() == 2).then_some(())
    })
    .await;
    wait_for("readiness", async || (centre.page("/readyz").await.ok()?.0 == 200).then_some(()))
        .await;
    Ok(())
}
