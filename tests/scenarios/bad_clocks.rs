//! Devices whose clock is wrong: what they say is kept in quarantine with its reason, and the
//! windows and watermarks of everybody, of their own series too, stay where they are.

use std::collections::BTreeMap;

use anyhow::ensure;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, reading, topic_of};
use sen_tests::wait_for;

use crate::{Centre, LEVEL, now_ms};

const DEVICE: &str = "clock-1";
const MINUTE_MS: i64 = 60_000;
/// 9999-12-31T23:59:59Z.
const YEAR_9999_MS: i64 = 253_402_300_799_000;

/// A packet whose `ts` is this text.
fn at(ts: &str) -> String {
    format!("{{\"ts\": {ts}, \"values\": {{\"{LEVEL}\": 99}}}}")
}

/// How many readings of this process were late, by its own count.
async fn late(centre: &Centre) -> anyhow::Result<u64> {
    let (_, metrics) = centre.page("/metrics").await?;
    let lines = metrics.lines().filter(|line| line.starts_with("sen_aggregate_late_total"));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// Sends packets that must end in quarantine between good readings of the same series and of
/// another one; then everything good must be stored and counted as in time.
async fn among_good_readings(bad: &[(String, &'static str)], story: &str) -> anyhow::Result<()> {
    let centre = Centre::with(&[("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "100")], &[])?;
    let mut ledger = Ledger::default();
    let mut faulty = Device::connect(DEVICE, centre.mqtt_port()).await?;
    let mut honest = Device::connect("honest-1", centre.mqtt_port()).await?;
    let begun_ms = now_ms() - bad.len() as i64 * MINUTE_MS;
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, (payload, reason)) in bad.iter().enumerate() {
        let time_ms = begun_ms + number as i64 * MINUTE_MS;
        ledger.report(&mut faulty, &[reading(DEVICE, LEVEL, time_ms, 0.5)]).await?;
        ledger.refused(&mut faulty, &topic_of(DEVICE), payload).await?;
        ledger.report(&mut honest, &[reading("honest-1", LEVEL, time_ms, 0.75)]).await?;
        *reasons.entry(reason).or_default() += 1;
    }
    wait_for("every refusal with its reason", async || {
        let counts = centre.get("/quarantine").await.ok()?["counts"].clone();
        reasons.iter().all(|(reason, count)| counts[reason].as_u64() == Some(*count)).then_some(())
    })
    .await;
    centre.caught_up(0).await;
    // A watermark that one of them had moved would have made the next good reading late.
    ensure!(late(&centre).await? == 0, "good readings were taken for late ones");
    let audit = ledger.audit(centre, story).await?;
    ensure!(audit.stored == audit.acknowledged && audit.stored == 2 * bad.len(), "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_from_the_future_move_nobodys_clock() -> anyhow::Result<()> {
    let ahead = |ms: i64| (at(&(now_ms() + ms).to_string()), "too_far_ahead");
    let bad = [
        ahead(15 * MINUTE_MS),
        ahead(24 * 60 * MINUTE_MS),
        (at(&YEAR_9999_MS.to_string()), "too_far_ahead"),
        (at(&i64::MAX.to_string()), "too_far_ahead"),
        (at(&(i64::MAX - 1).to_string()), "too_far_ahead"),
    ];
    among_good_readings(&bad, "readings from the future").await
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_are_no_times_are_kept_with_their_reason() -> anyhow::Result<()> {
    let old = |ts: i64| (at(&ts.to_string()), "too_old");
    let shape = |ts: &str| (at(ts), "bad_shape");
    let bad = [
        old(0),
        old(-1),
        old(-86_400_000),
        old(i64::MIN),
        old(now_ms() / 1_000),
        old(now_ms() - 31 * 24 * 60 * MINUTE_MS),
        shape("\"2026-11-23T00:00:00+07:00\""),
        shape("\"yesterday\""),
        shape("\"\""),
        shape("null"),
        shape("[1]"),
        shape("1e400"),
        shape("9223372036854775808"),
        shape("1790000000000.5"),
    ];
    among_good_readings(&bad, "times that are no times").await
}
