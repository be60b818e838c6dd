//! The audit at the end of a story: both gateways and the archive have every acknowledged reading,
//! and the alert log tells every episode once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use sen_model::AlertRecord;
use sen_tests::asking::{query_time, time_ms};
use sen_tests::cluster::{ARCHIVE, Apart};
use sen_tests::judging::{episodes, must_agree};
use sen_tests::ledger::Timed;
use sen_tests::left::{self, FOR_EVER};
use sen_tests::oracle::Oracle;
use sen_tests::oracle::alerts::of_readings;
use sen_tests::trial::configuration;
use sen_tests::wait_for;
use serde_json::Value;

use crate::eye::Eye;
use crate::load::Book;
use crate::{SWING, TRIAL};

/// How many of those that lack are told.
const TOLD: usize = 3;

/// Holds what the centre has against what was acknowledged.
pub(crate) async fn audit(apart: &Apart, book: &Book, eye: Option<&Eye>) -> anyhow::Result<()> {
    let series: BTreeSet<_> =
        book.acknowledged.iter().map(|(_, report)| report.series.clone()).collect();
    for series in &series {
        let (device, metric) = (series.device.as_str(), series.metric.as_str());
        let (sent, acknowledged) = book.ledger.values_of(device);
        for gateway in 1..=2 {
            let place = format!("gateway-{gateway}");
            settled(&place, device, &acknowledged, async || {
                stored(apart, gateway, device, metric, &acknowledged).await
            })
            .await?
            .must_be_of(&sent)?;
        }
        settled(ARCHIVE, device, &acknowledged, async || archived(apart, device, metric).await)
            .await?
            .must_be_of(&sent)?;
    }
    let count = alerts(apart, book).await?;
    if let Some(eye) = eye {
        wait_for("a screen to show the end of every alert", async || {
            (eye.sight().memory.count(TRIAL, "cleared") >= count).then_some(())
        })
        .await;
        let on_glass = {
            let sight = eye.sight();
            (sight.memory.count(TRIAL, "raised"), sight.memory.count(TRIAL, "cleared"))
        };
        ensure!(on_glass == (count, count), "{on_glass:?} on the glass, {count} episodes");
        eye.must_have_resumed()?;
    }
    println!("{} acknowledged readings are all there; {count} alerts", book.acknowledged.len());
    Ok(())
}

/// What is somewhere of one device.
struct There {
    place: String,
    readings: Vec<Timed>,
}

impl There {
    /// Nothing is there twice, and nothing that was never sent.
    fn must_be_of(self, sent: &BTreeSet<Timed>) -> anyhow::Result<()> {
        let Self { place, readings } = self;
        let unique: BTreeSet<_> = readings.iter().copied().collect();
        ensure!(unique.len() == readings.len(), "{place}: a reading is there twice");
        let strange: Vec<_> = unique.difference(sent).take(TOLD).collect();
        ensure!(strange.is_empty(), "{place}: never sent: {strange:?}");
        Ok(())
    }
}

/// Waits until a place has all of these; tells which lack if it never does.
async fn settled<F>(
    place: &str,
    device: &str,
    acknowledged: &BTreeSet<Timed>,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<There>
where
    F: Future<Output = anyhow::Result<Vec<Timed>>>,
{
    let mut seen = "it was never asked".to_owned();
    let looking = async {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(500));
        loop {
            pause.tick().await;
            seen = match look().await {
                Ok(readings) => {
                    let there: BTreeSet<_> = readings.iter().copied().collect();
                    let lost: Vec<_> = acknowledged.difference(&there).collect();
                    if lost.is_empty() {
                        return There { place: format!("{place}, {device}"), readings };
                    }
                    let some = &lost[..lost.len().min(TOLD)];
                    format!("{} of {} lack: {some:?}", lost.len(), acknowledged.len())
                }
                Err(error) => format!("{error:#}"),
            };
        }
    };
    let looked = tokio::time::timeout(sen_tests::PATIENCE, looking).await;
    looked.with_context(|| format!("{place}, {device}: {seen}"))
}

/// What a gateway answers of a series.
async fn stored(
    apart: &Apart,
    gateway: usize,
    device: &str,
    metric: &str,
    acknowledged: &BTreeSet<Timed>,
) -> anyhow::Result<Vec<Timed>> {
    let first_ms = acknowledged.first().context("it was acknowledged something")?.0;
    let last_ms = acknowledged.last().context("it was acknowledged something")?.0;
    let (from, to) = (query_time(first_ms), query_time(last_ms + 1));
    let path = format!("/series/{device}/{metric}/readings?from={from}&to={to}&limit=10000");
    let items = apart.api(gateway)?.all(&path).await?;
    let timed =
        |item: &Value| Some((time_ms(&item["event_time"]), item["value"].as_f64()?.to_bits()));
    Ok(items.iter().filter_map(timed).collect())
}

/// What the archive has of a series.
async fn archived(apart: &Apart, device: &str, metric: &str) -> anyhow::Result<Vec<Timed>> {
    let address = apart.part(ARCHIVE)?.address(8428);
    let selector = format!("reading_value{{device=\"{device}\",metric=\"{metric}\"}}");
    let selector: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let asked = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
        ureq::get(&format!("http://{address}/internal/force_flush")).call()?;
        let url = format!("http://{address}/api/v1/export?match%5B%5D={selector}");
        Ok(ureq::get(&url).call()?.body_mut().read_to_string()?)
    });
    let mut samples = BTreeMap::new();
    for line in asked.await??.lines() {
        let line: Value = serde_json::from_str(line)?;
        let times = line["timestamps"].as_array().into_iter().flatten();
        let values = line["values"].as_array().into_iter().flatten();
        for (at, value) in times.zip(values) {
            // Sent again is written again: that is the archive's way of changing nothing.
            samples.insert(at.as_i64().context("a time")?, value.as_f64().context("a value")?);
        }
    }
    Ok(samples.into_iter().map(|(at, value)| (at, value.to_bits())).collect())
}

/// The alert log tells the episodes that follow from the readings, each once; both gateways answer
/// with them. Gives how many there are.
async fn alerts(apart: &Apart, book: &Book) -> anyhow::Result<usize> {
    let (registry, mut rules) = configuration(&apart.part("alert-1")?.path("/etc/sen"))?;
    rules.retain(|rule| rule.id.as_str() == TRIAL);
    let reports = book.acknowledged.iter().map(|(_, report)| report.clone());
    let reports = reports.filter(|report| report.series.device.as_str() == SWING);
    let expected = of_readings(&rules, &registry, &Oracle::of(reports), i64::MIN);
    for gateway in 1..=2 {
        wait_for("a gateway to tell the end of every alert", async || {
            let mut alerts = apart.api(gateway).ok()?.all("/alerts?state=all").await.ok()?;
            alerts.retain(|alert| alert["rule"] == TRIAL && alert["cleared_at"].is_string());
            (alerts.len() >= expected.len()).then_some(())
        })
        .await;
    }
    let mut told = episodes(&alert_log(apart).await?)?;
    told.retain(|episode| episode.rule.as_str() == TRIAL);
    must_agree(&told, &expected)?;
    Ok(expected.len())
}

/// The whole alert log, from the servers.
async fn alert_log(apart: &Apart) -> anyhow::Result<Vec<AlertRecord>> {
    let log = apart.log().await?;
    let records = left::all(&log.vital_topic("alerts", FOR_EVER)?).await;
    log.close().await;
    records
}
