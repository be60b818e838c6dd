//! `kill -9` with a full log: how soon the next process works, and whether everything is there.

use std::time::Duration;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;
use sen_model::Timestamp;
use sen_model::time::DAY_MS;
use serde_json::Value;

use super::super::centre::{Bench, Centre};
use super::super::http;
use super::super::load::{self, Fleet, Span};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::super::values::ALERTING;
use super::start::first_alert_ms;

/// Devices that fill the log, each with ten series.
pub(super) const DEVICES: u64 = 100;
/// Packets of one device that wait for their PUBACK.
const WINDOW: usize = 100;
/// No run takes this long; it ends when every device has sent its packets.
const UNTIL_DONE: Span = Span { warm_up: Duration::ZERO, measured: Duration::from_secs(540) };
/// The device that shows how far the new process has come.
const PROBE: &str = "siren-probe";
/// How long the new process may take to catch up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most points of one answer of the API; a series has fewer here, or the check says so.
const POINTS: u64 = 10_000;

/// Fills, kills right after the last acknowledgement, starts again, counts.
pub(super) async fn recovery(bench: &Bench, readings: u64) -> anyhow::Result<Sample> {
    let folder = bench.folder.fresh("data")?;
    let centre = bench.start(&folder).await?;
    centre.ready().await?;
    let fleet = Fleet::plain(usize::try_from(DEVICES)?, Qos::AtLeastOnce);
    let senders = fleet.connect(centre.mqtt, bench.begun).await?;
    let filling = Stopwatch::start();
    let each = readings.div_ceil(DEVICES);
    let tally = load::saturate(senders, WINDOW, UNTIL_DONE, each).await?;
    let filled_s = filling.elapsed().as_secs_f64();
    let left = centre.totals().await?;
    centre.kill().await?;

    let centre = bench.start(&folder).await?;
    let said_addresses_ms = centre.said_addresses_ms;
    centre.ready().await?;
    let ready_ms = centre.since_exec.elapsed().as_secs_f64() * 1e3;
    let judged_ms = first_alert_ms(&centre, PROBE).await?;
    let stored_ms = stored_ms(&centre).await?;
    let usage = centre.usage()?;
    let found = count(&centre, &fleet).await?;
    centre.kill().await?;

    let backlog = left.accepted.saturating_sub(left.stored.min(left.evaluated));
    Ok(Sample::default()
        .typical("caught_up_ms", judged_ms.max(stored_ms))
        .typical("addresses_ms", said_addresses_ms)
        .typical("ready_ms", ready_ms)
        .typical("judged_ms", judged_ms)
        .typical("stored_ms", stored_ms)
        .typical("backlog_readings", backlog as f64)
        .typical("fill_s", filled_s)
        .worst("peak_rss_mb", usage.peak_rss_mb)
        .fault("acknowledged_but_lost", tally.acknowledged.saturating_sub(found))
        .fault("found_but_never_sent", found.saturating_sub(tally.sent)))
}

/// Milliseconds from exec until the probe's reading can be read back: the store takes readings in
/// the order of the log, so it has then taken all before.
async fn stored_ms(centre: &Centre) -> anyhow::Result<f64> {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        loop {
            pause.tick().await;
            // A series nobody has stored yet is not found: asked again until it is.
            if count_series(centre, PROBE, ALERTING).await.is_ok_and(|count| count > 0) {
                return centre.since_exec.elapsed().as_secs_f64() * 1e3;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.context("the store does not catch up")
}

/// Readings of the fleet that the store gives back.
async fn count(centre: &Centre, fleet: &Fleet) -> anyhow::Result<u64> {
    let mut found = 0;
    for index in 0..fleet.devices {
        for metric in fleet.metrics() {
            found += count_series(centre, &fleet.device(index), &metric).await?;
        }
    }
    Ok(found)
}

async fn count_series(centre: &Centre, device: &str, metric: &str) -> anyhow::Result<u64> {
    let now_ms = sen_chassis::Clock::system().now_ms();
    let time = |ms| Timestamp::from_millis(ms).to_string().replace('+', "%2B");
    let (from, to) = (time(now_ms - DAY_MS), time(now_ms + DAY_MS));
    let path = format!("/api/v1/series/{device}/{metric}/readings");
    let base = format!("{path}?from={from}&to={to}&max_points={POINTS}");
    let (mut found, mut next) = (0, base.clone());
    loop {
        let page: Value = http::get_json(centre.http, &next).await?;
        found += page["items"].as_array().context("items")?.len() as u64;
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("{base}&cursor={cursor}");
    }
    ensure!(found < POINTS, "{device}/{metric} has too many readings to be counted");
    Ok(found)
}
