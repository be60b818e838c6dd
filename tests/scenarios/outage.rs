//! The archive's server dies in the middle of batches, again and again, or hangs, or cannot be
//! reached: devices do not notice, and in the end it holds every reading that was acknowledged.

use std::collections::BTreeSet;

use anyhow::ensure;
use rustix::process::Signal;
use sen_tests::centre::Centre;
use sen_tests::victoria::Victoria;
use sen_tests::wait_for;

use crate::LEVEL;
use crate::fleet::Fleet;
use crate::line::Line;

const DEVICES: usize = 3;
const KILLS: usize = 10;

fn archived_in(victoria: &Victoria) -> anyhow::Result<Centre> {
    archived_at(&victoria.location())
}

fn archived_at(location: &str) -> anyhow::Result<Centre> {
    let variables =
        [("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "200"), ("SEN__STORE__ARCHIVE", location)];
    Centre::with(&variables, &[])
}

/// Waits until the archive holds what was acknowledged, each reading with its value, and nothing
/// that was never sent.
async fn holds_all(victoria: &Victoria, fleet: &Fleet) {
    for number in 0..DEVICES {
        let device = format!("fleet-{number}");
        let (sent, acknowledged) = fleet.ledger().values_of(&device);
        let selector = format!("reading_value{{device=\"{device}\",metric=\"{LEVEL}\"}}");
        wait_for("the archive to hold every reading", async || {
            let samples = victoria.samples(&selector).await.ok()?;
            let held: BTreeSet<(i64, u64)> =
                samples.iter().map(|(time_ms, value)| (*time_ms, value.to_bits())).collect();
            assert!(held.is_subset(&sent), "the archive holds what was never sent");
            acknowledged.is_subset(&held).then_some(())
        })
        .await;
    }
}

/// Waits until all of the log but what is on its way is in the store.
async fn the_store_keeps_up(centre: &Centre) {
    wait_for("all of the log in the store", async || {
        let positions = centre.get("/ledger").await.ok()?["positions"].clone();
        (positions["stored"].as_u64()? + 50 > positions["head"].as_u64()?).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_killed_again_and_again_ends_with_every_reading() -> anyhow::Result<()> {
    let mut victoria = Victoria::start().await?;
    let centre = archived_in(&victoria)?;
    let mut fleet = Fleet::of(DEVICES);
    for _ in 0..KILLS {
        fleet.report_to(centre.mqtt_port());
        fleet.acknowledged(150).await;
        victoria.kill();
        fleet.acknowledged(50).await;
        victoria.restart().await?;
        fleet.stop().await;
    }
    holds_all(&victoria, &fleet).await;
    let audit = fleet.audit(centre, "archive killed").await?;
    ensure!(audit.stored == audit.acknowledged, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_hangs_keeps_nobody_waiting() -> anyhow::Result<()> {
    let mut victoria = Victoria::start().await?;
    let centre = archived_in(&victoria)?;
    let mut fleet = Fleet::of(DEVICES);
    fleet.report_to(centre.mqtt_port());
    fleet.acknowledged(150).await;
    victoria.process().signal(Signal::STOP)?;
    fleet.acknowledged(1_500).await;
    the_store_keeps_up(&centre).await;
    ensure!(centre.page("/healthz").await?.0 == 200, "the screens stay alive");
    victoria.process().signal(Signal::CONT)?;
    fleet.stop().await;
    holds_all(&victoria, &fleet).await;
    let audit = fleet.audit(centre, "archive hung").await?;
    ensure!(audit.stored == audit.acknowledged, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_reached_is_caught_up() -> anyhow::Result<()> {
    let victoria = Victoria::start().await?;
    let far = victoria.location();
    let far = far.rsplit('/').next().unwrap_or_default();
    let line = Line::to(far).await?;
    let centre = archived_at(&format!("victoriametrics+http://{}", line.near()))?;
    let mut fleet = Fleet::of(DEVICES);
    for break_line in [Line::cut, Line::fall_silent] {
        fleet.report_to(centre.mqtt_port());
        fleet.acknowledged(150).await;
        break_line(&line);
        fleet.acknowledged(500).await;
        the_store_keeps_up(&centre).await;
        fleet.stop().await;
        wait_for("the archive to be missed", async || {
            let report = centre.page("/readyz").await.ok()?.1;
            let report: serde_json::Value = serde_json::from_str(&report).ok()?;
            report["parts"]["archive"].is_string().then_some(())
        })
        .await;
        line.mend();
        holds_all(&victoria, &fleet).await;
    }
    let audit = fleet.audit(centre, "archive out of reach").await?;
    ensure!(audit.stored == audit.acknowledged, "{audit:?}");
    Ok(())
}
