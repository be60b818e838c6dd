//! At a steady rate: what readings cost, and how soon alerts are on the screens.

use std::sync::Arc;
use std::time::Duration;

use super::super::centre::Bench;
use super::super::load::{self, Alerting, Fleet, Pace};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::super::screen::Screens;
use super::super::values::SentTimes;

/// Devices of the plain load: with their metrics, about a thousand live series.
pub(super) const DEVICES: u64 = 100;
/// Seconds between two changes of one device, long compared with any latency that is acceptable.
const CHANGE_EVERY_S: u64 = 4;
/// Alerts of the first seconds are expected but their latency does not count.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the last alerts may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of both fleets.
pub(super) fn connections(alerts_per_s: u64) -> u64 {
    DEVICES + alerts_per_s * CHANGE_EVERY_S
}

/// CPU of the whole way of a reading: MQTT, log, store, rules, and the ticks of one screen.
pub(super) async fn cpu(bench: &Bench, rate: u64, seconds: u64) -> anyhow::Result<Sample> {
    let centre = bench.start_empty().await?;
    let fleet = Fleet::plain(usize::try_from(DEVICES)?, Qos::AtLeastOnce);
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let none = Arc::new(SentTimes::new());
    let screens = Screens::connect(centre.http, 1, none, bench.begun, Duration::ZERO).await?;
    let plan = Pace { per_s: rate as f64, lasts: Duration::from_secs(seconds), alerts: None };

    let before = centre.usage()?;
    let tally = load::pace(senders, &plan).await?;
    let totals = centre.digest(tally.sent).await?;
    let after = centre.usage()?;
    let (seen, _) = screens.finish(PATIENCE).await?;
    centre.kill().await?;

    let cpu_s = after.cpu_s - before.cpu_s;
    Ok(Sample::default()
        .typical("cpu_s_per_million", cpu_s * 1e6 / tally.sent as f64)
        .typical("cores", cpu_s / seconds as f64)
        .typical("readings_per_s", tally.acknowledged as f64 / seconds as f64)
        .latency(["ack_p50_ms", "ack_p99_ms", "ack_max_ms"], &tally.latency_us)
        .worst("generator_behind_ms", tally.behind_us as f64 / 1e3)
        .typical("screen_frames", seen.frames as f64)
        .worst("rss_mb", after.rss_mb)
        .fault("acknowledged_but_lost", tally.acknowledged.saturating_sub(totals.accepted)))
}

/// Readings that raise and clear alerts, among others that do not, and the screens that show it.
pub(super) async fn alerts(
    bench: &Bench,
    screens: u64,
    rate: u64,
    alerts: u64,
    seconds: u64,
) -> anyhow::Result<Sample> {
    let centre = bench.start_empty().await?;
    let plain = Fleet::plain(usize::try_from(DEVICES)?, Qos::AtLeastOnce);
    let plain = plain.connect(centre.mqtt, bench.begun).await?;
    let changing = Fleet::alerting(usize::try_from(alerts * CHANGE_EVERY_S)?);
    let changing = changing.connect(centre.mqtt, bench.begun).await?;
    let sent = Arc::new(SentTimes::new());
    let lasts = Duration::from_secs(seconds);
    let load = Pace { per_s: rate as f64, lasts, alerts: None };
    let alerting = Some(Alerting { sent: Arc::clone(&sent), returns: true });
    let change = Pace { per_s: alerts as f64, lasts, alerts: alerting };
    let count = usize::try_from(screens)?;
    let watching = Screens::connect(centre.http, count, sent, bench.begun, WARM_UP).await?;

    let before = centre.usage()?;
    let (load, change) = tokio::try_join!(load::pace(plain, &load), load::pace(changing, &change))?;
    let after = centre.usage()?;
    let (seen, missing) = watching.finish(PATIENCE).await?;
    centre.kill().await?;

    let seconds = seconds as f64;
    Ok(Sample::default()
        .latency(["alert_p50_ms", "alert_p99_ms", "alert_max_ms"], &seen.latency_us)
        .latency(["ack_p50_ms", "ack_p99_ms", "ack_max_ms"], &load.latency_us)
        .typical("frames_per_s", seen.frames as f64 / seconds)
        .typical("mb_per_s", seen.bytes as f64 / 1e6 / seconds)
        .typical("cores", (after.cpu_s - before.cpu_s) / seconds)
        .worst("rss_mb", after.rss_mb)
        .worst("generator_behind_ms", load.behind_us.max(change.behind_us) as f64 / 1e3)
        .fault("alerts_missing", missing)
        .fault("gaps", seen.gaps))
}
