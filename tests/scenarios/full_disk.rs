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

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a tmpfs of 96 MiB. Needs the rights to mount, which test machines have.
    fn mount(at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=96m", "sen"])
            .arg(at)
            .status()?;
        ensure!(status.success(), "this story needs the right to mount a tmpfs: {status}");
        Ok(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the centre may still be closing its files.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledgements_and_loses_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = SmallDisk::mount(&folder.path().join("disk"))?;
    let reserve = [("SEN__LOG__RESERVE_BYTES", "33554432")];
    let centre = Centre::on(disk.0.join("data"), &reserve)?;
    let begun_ms = now_ms() - 600_000;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    device.report(GAUGE, LEVEL, begun_ms, 0.5).await?;

    // Somebody else's file leaves less than the reserve.
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![1_u8; 72 << 20])?;
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
    fs::remove_file(&filler)?;
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
