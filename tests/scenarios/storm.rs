//! A storm of alerts before fifty screens: the critical ones come first, and in the end every
//! screen knows every alert.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_tests::device::Device;
use sen_tests::judging::rule_text;
use sen_tests::ledger::topic_of;
use sen_tests::screen::{Memory, Screen};
use sen_tests::trial::{add, names};
use serde_json::Value;
use tokio::time::Instant;

use crate::{Centre, now_ms};

const SCREENS: usize = 50;
/// The storm lasts so long, in as many packets.
const LASTS: Duration = Duration::from_secs(10);
const PACKETS: usize = 100;
/// Of so many metrics of a packet one is critical.
const CRITICAL_OF: usize = 10;

/// Room for devices and series that appear all at once.
const ROOMY: [(&str, &str); 2] =
    [("SEN__INGEST__MAX_NEW_SERIES_PER_MINUTE", "1000"), ("SEN__INGEST__MAX_CONNECTIONS", "2000")];

fn metric(number: usize) -> String {
    let kind = if number.is_multiple_of(CRITICAL_OF) { "critical" } else { "plain" };
    format!("{kind}_{number:02}")
}

fn rules(metrics: usize) -> Vec<String> {
    let rule = |id: &str, severity: u8, kind: &str| {
        let watched: Vec<String> =
            (0..metrics).map(metric).filter(|name| name.starts_with(kind)).collect();
        let lines = format!("metrics = {watched:?}\nseverity = {severity}\nat_least = 10");
        rule_text(id, &lines)
    };
    vec![rule("storm-critical", 1, "critical"), rule("storm-plain", 3, "plain")]
}

/// When the packet of each device was sent.
type Sent = Arc<Mutex<BTreeMap<String, Instant>>>;

/// Whether an alert is of the storm: a busy centre raises some about itself, too.
fn is_ours(alert: &Value) -> bool {
    alert["rule"].as_str().is_some_and(|rule| rule.starts_with("storm-"))
}

/// The ids of those of the storm.
fn ids<'a>(alerts: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    alerts
        .filter(|alert| is_ours(alert))
        .filter_map(|it| Some(it["id"].as_str()?.to_owned()))
        .collect()
}

/// Shows alerts until it knows `all`; gives what it knows, and how long each critical one took.
async fn watch(
    mut screen: Screen,
    sent: Sent,
    all: usize,
) -> anyhow::Result<(Memory, Vec<Duration>)> {
    let mut waits = Vec::new();
    let mut known = BTreeSet::new();
    while known.len() < all {
        let frame = screen.step().await?;
        known.extend(ids(std::iter::once(&frame)));
        if frame["type"] == "alert"
            && frame["rule"] == "storm-critical"
            && frame["kind"] == "raised"
        {
            let device = frame["device"].as_str().context("device")?;
            let sent = sent.lock().expect("no poison").get(device).copied();
            waits.push(sent.context("it was sent")?.elapsed());
        }
    }
    Ok((screen.cut(), waits))
}

/// As many alerts as packets have metrics, within ten seconds; gives the 99th percentile of how
/// long critical ones took to all screens, and how long all took.
async fn storm(metrics: usize) -> anyhow::Result<(Duration, Duration)> {
    // One after the other: two at once measure each other.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let centre = Centre::configured(&ROOMY, |config| {
        add(config, &names("trial", 1), 1_000, &rules(metrics))
    })?;
    let (sent, all) = (Sent::default(), metrics * PACKETS);
    let mut screens = tokio::task::JoinSet::new();
    for number in 0..SCREENS {
        let name = format!("wall-{number}");
        let mut screen = Screen::connect(centre.http(), &name, Memory::default()).await?;
        screen.until("live", |frame| frame["type"] == "live").await?;
        ensure!(screen.memory.alerts.is_empty(), "there were alerts before the storm");
        screens.spawn(watch(screen, Arc::clone(&sent), all));
    }
    let mut gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
    let begun = Instant::now();
    let mut pause = tokio::time::interval(LASTS / u32::try_from(PACKETS)?);
    for number in 0..PACKETS {
        pause.tick().await;
        let device = format!("storm-{number}");
        let values: BTreeMap<String, f64> = (0..metrics).map(|n| (metric(n), 12.0)).collect();
        let payload = serde_json::json!({"ts": now_ms(), "values": values}).to_string();
        sent.lock().expect("no poison").insert(device.clone(), Instant::now());
        gateway.publish(&topic_of(&device), &payload).await?;
    }
    let mut waits = Vec::new();
    let mut known: Vec<BTreeSet<String>> = Vec::new();
    let all_of_them = async {
        while let Some(screen) = screens.join_next().await {
            let (memory, critical) = screen??;
            let unique: BTreeSet<_> = memory.shown.iter().collect();
            ensure!(memory.shown.len() == unique.len(), "a screen showed something twice");
            waits.extend(critical);
            known.push(ids(memory.alerts.values()));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(3 * sen_tests::PATIENCE, all_of_them)
        .await
        .context("a screen lacks alerts")??;
    let took = begun.elapsed();
    let alerts = ids(centre.all("/alerts?state=all&limit=500").await?.iter());
    ensure!(alerts.len() == all, "{} alerts in place of {all}", alerts.len());
    ensure!(known.iter().all(|of_screen| *of_screen == alerts), "screens know other alerts");
    ensure!(waits.len() == SCREENS * PACKETS * metrics.div_ceil(CRITICAL_OF), "{}", waits.len());
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    println!(
        "{all} alerts in {LASTS:?} on {SCREENS} screens: critical ones {:?} at p50, {p99:?} at p99; \
         everything on every screen after {took:.1?}",
        waits[waits.len() / 2],
    );
    Ok((p99, took))
}

/// A debug build on a busy machine; `sen bench alerts` measures what is promised.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_alerts_in_ten_seconds_are_soon_on_every_screen() -> anyhow::Result<()> {
    let (p99, _) = storm(10).await?;
    ensure!(p99 < SOON, "critical alerts took {p99:?} at p99");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_thousand_alerts_in_ten_seconds_no_screen_misses_one() -> anyhow::Result<()> {
    storm(50).await.map(drop)
}
