//! Memory with many live series.

use std::time::Duration;

use super::super::centre::Bench;
use super::super::load::{self, Fleet, Span};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::super::values::load_metric;

/// Series of one device: half of what the shipped limits allow.
pub(super) const METRICS_OF_A_DEVICE: u64 = 100;
/// Values of one packet: within the shipped limit of 64, and a divisor of the above.
const READINGS_OF_A_PACKET: u64 = 50;
/// Readings of each series.
const ROUNDS: u64 = 5;
/// Packets of one device that wait for their PUBACK.
const WINDOW: usize = 2;
/// No run takes this long; it ends when every device has sent its packets.
const UNTIL_DONE: Span = Span { warm_up: Duration::ZERO, measured: Duration::from_secs(300) };

/// Sends [`ROUNDS`] readings of each of `count` series and looks at the memory.
pub(super) async fn series(bench: &Bench, count: u64) -> anyhow::Result<Sample> {
    let centre = bench.start_empty().await?;
    let empty = centre.usage()?;
    let metrics: Vec<String> =
        (0..usize::try_from(METRICS_OF_A_DEVICE)?).map(load_metric).collect();
    let fleet = Fleet {
        devices: usize::try_from(count / METRICS_OF_A_DEVICE)?,
        readings_per_packet: usize::try_from(READINGS_OF_A_PACKET)?,
        metrics: Some(metrics),
        ..Fleet::plain(0, Qos::AtLeastOnce)
    };
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let connected = centre.usage()?;
    let packets = ROUNDS * METRICS_OF_A_DEVICE / READINGS_OF_A_PACKET;
    let tally = load::saturate(senders, WINDOW, UNTIL_DONE, packets).await?;
    let totals = centre.digest(tally.sent).await?;
    let full = centre.usage()?;
    centre.kill().await?;

    let per_series = (full.rss_mb - connected.rss_mb) * 1e6 / count as f64;
    Ok(Sample::default()
        .typical("rss_mb", full.rss_mb)
        .worst("peak_rss_mb", full.peak_rss_mb)
        .typical("rss_empty_mb", empty.rss_mb)
        .typical("rss_connected_mb", connected.rss_mb)
        .typical("bytes_per_series", per_series)
        .fault("acknowledged_but_lost", tally.acknowledged.saturating_sub(totals.accepted)))
}
