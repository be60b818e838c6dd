//! Many alerts at once: how soon they are on every screen, and what they cost while they are open.

use std::sync::Arc;
use std::time::Duration;

use super::super::centre::{Bench, Centre};
use super::super::load::{self, Alerting, Fleet, Pace, Span};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::super::screen::Screens;
use super::super::values::{SentTimes, load_metric};

/// Series of one device; the rule watches as many, and each raises one alert.
const SERIES_OF_A_DEVICE: usize = 100;
/// New alerts a second while the list is filled.
const FILL_PER_S: u64 = 1_000;
/// How long the last alerts may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Packets of one device that wait for their PUBACK.
const WINDOW: usize = 2;
/// No run takes this long; it ends when every device has sent its packets.
const UNTIL_DONE: Span = Span { warm_up: Duration::ZERO, measured: Duration::from_secs(300) };

/// Devices whose series raise so many alerts.
pub(super) fn devices(alerts: u64) -> u64 {
    alerts.div_ceil(SERIES_OF_A_DEVICE as u64)
}

/// A storm before the screens; then a long list of open alerts, and the memory it takes.
pub(super) async fn alerts(
    bench: &Bench,
    screens: u64,
    alerts: u64,
    seconds: u64,
    active: u64,
) -> anyhow::Result<Sample> {
    let centre = bench.start_empty().await?;
    let storm = fleet("siren", alerts)?;
    // Each series is known before: what is measured is the alert.
    report_all(bench, &centre, &storm).await?;
    let per_s = alerts as f64 / seconds as f64;
    let before = centre.usage()?;
    let (seen, missing) = raise(bench, &centre, &storm, (screens, alerts, per_s)).await?;
    let after = centre.usage()?;

    let standing = fleet("standing", active)?;
    report_all(bench, &centre, &standing).await?;
    let known = centre.usage()?;
    let (_, unseen) = raise(bench, &centre, &standing, (1, active, FILL_PER_S as f64)).await?;
    let full = centre.usage()?;
    centre.kill().await?;

    let rss_mb = (full.rss_mb - known.rss_mb) * 1e4 / active as f64;
    Ok(Sample::default()
        .latency(["alert_p50_ms", "alert_p99_ms", "alert_max_ms"], &seen.latency_us)
        .typical("cores", (after.cpu_s - before.cpu_s) / seconds as f64)
        .typical("rss_mb_per_10k_open", rss_mb)
        .worst("rss_mb", full.rss_mb)
        .fault("alerts_missing", missing + unseen)
        .fault("gaps", seen.gaps))
}

fn fleet(name: &'static str, alerts: u64) -> anyhow::Result<Fleet> {
    let metrics = Some((0..SERIES_OF_A_DEVICE).map(load_metric).collect());
    let devices = usize::try_from(devices(alerts))?;
    Ok(Fleet { name, metrics, ..Fleet::plain(devices, Qos::AtLeastOnce) })
}

/// One reading of each series, none of which breaks the limit.
async fn report_all(bench: &Bench, centre: &Centre, fleet: &Fleet) -> anyhow::Result<()> {
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let before = centre.totals().await?.accepted;
    let tally = load::saturate(senders, WINDOW, UNTIL_DONE, SERIES_OF_A_DEVICE as u64).await?;
    centre.digest(before + tally.sent).await.map(drop)
}

/// One alert of each series, and the screens that show it.
async fn raise(
    bench: &Bench,
    centre: &Centre,
    fleet: &Fleet,
    (screens, alerts, per_s): (u64, u64, f64),
) -> anyhow::Result<(super::super::screen::Tally, u64)> {
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let sent = Arc::new(SentTimes::new());
    let count = usize::try_from(screens)?;
    let watching =
        Screens::connect(centre.http, count, Arc::clone(&sent), bench.begun, Duration::ZERO);
    let watching = watching.await?;
    let lasts = Duration::from_secs_f64(alerts as f64 / per_s);
    let alerting = Some(Alerting { sent, returns: false });
    load::pace(senders, &Pace { per_s, lasts, alerts: alerting }).await?;
    watching.finish(PATIENCE).await
}
