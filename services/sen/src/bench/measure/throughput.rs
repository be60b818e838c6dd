//! As many readings as the centre takes: acknowledged ones, and ones nobody acknowledges.

use std::time::Duration;

use sen_chassis::clock::Stopwatch;

use super::super::centre::Bench;
use super::super::load::{self, Fleet, Span};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::super::usage;

/// Not counted: the first connections' packets, the first growth of files.
const WARM_UP: Duration = Duration::from_secs(2);

/// Closed loop at QoS 1.
pub(super) async fn qos1(
    bench: &Bench,
    connections: u64,
    window: u64,
    seconds: u64,
) -> anyhow::Result<Sample> {
    let centre = bench.start_empty().await?;
    let fleet = Fleet::plain(usize::try_from(connections)?, Qos::AtLeastOnce);
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let span = Span { warm_up: WARM_UP, measured: Duration::from_secs(seconds) };
    let (before, own_before) = (centre.usage()?, usage::of(std::process::id())?);
    let tally = load::saturate(senders, usize::try_from(window)?, span, u64::MAX).await?;
    let own_s = usage::of(std::process::id())?.cpu_s - own_before.cpu_s;
    let loaded = Stopwatch::start();
    let totals = centre.digest(tally.acknowledged).await?;
    let behind_s = loaded.elapsed().as_secs_f64();
    let after = centre.usage()?;
    centre.kill().await?;

    let millions = tally.acknowledged as f64 / 1e6;
    Ok(Sample::default()
        .typical("readings_per_s", tally.counted as f64 / span.measured.as_secs_f64())
        .latency(["ack_p50_ms", "ack_p99_ms", "ack_max_ms"], &tally.latency_us)
        .typical("cpu_s_per_million", (after.cpu_s - before.cpu_s) / millions)
        .typical("generator_cpu_s_per_million", own_s / millions)
        .typical("catch_up_s", behind_s)
        .worst("peak_rss_mb", after.peak_rss_mb)
        .fault("acknowledged_but_lost", tally.acknowledged.saturating_sub(totals.accepted)))
}

/// As fast as the socket takes it, at QoS 0; only what the ledger shows counts.
pub(super) async fn qos0(bench: &Bench, connections: u64, readings: u64) -> anyhow::Result<Sample> {
    let centre = bench.start_empty().await?;
    let fleet = Fleet::plain(usize::try_from(connections)?, Qos::AtMostOnce);
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let (before, own_before) = (centre.usage()?, usage::of(std::process::id())?);
    let begun = Stopwatch::start();
    let (sent, devices) = load::pour(senders, readings).await?;
    let sent_s = begun.elapsed().as_secs_f64();
    let own_s = usage::of(std::process::id())?.cpu_s - own_before.cpu_s;
    let (kept, idle) = centre.settle(|totals| totals.accepted + totals.quarantined >= sent).await?;
    let kept_s = begun.elapsed().saturating_sub(idle).as_secs_f64();
    centre.digest(kept.accepted).await?;
    let digested_s = begun.elapsed().saturating_sub(idle).as_secs_f64();
    drop(devices);
    let after = centre.usage()?;
    centre.kill().await?;

    let millions = sent as f64 / 1e6;
    Ok(Sample::default()
        .typical("readings_per_s", kept.accepted as f64 / kept_s)
        .typical("sent_per_s", sent as f64 / sent_s)
        .typical("digested_per_s", kept.accepted as f64 / digested_s)
        .typical("cpu_s_per_million", (after.cpu_s - before.cpu_s) / millions)
        .typical("generator_cpu_s_per_million", own_s / millions)
        .worst("peak_rss_mb", after.peak_rss_mb)
        .worst("not_kept", sent.saturating_sub(kept.accepted) as f64))
}
