//! `kill -9` in a loop: what was acknowledged is there exactly once, and so is every alert.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sen_tests::device::Device;
use sen_tests::screen::{Memory, Screen};
use sen_tests::wait_for;

use crate::{Centre, GAUGE, LEVEL, alerts_of, level_three, now_ms, query_time, stored, time_ms};

/// How often the centre is killed in one story.
const KILLS: usize = Centre::often(12);
/// Event time between two readings of one device in the first story: many to a minute.
const SPACING_MS: i64 = 700;
/// Event time between two readings of an episode.
const STEP_MS: i64 = 600_000;
/// Alarm level III of Mỹ Tho, and safely over and under it.
const OVER_M: f64 = 1.75;
const UNDER_M: f64 = 0.9;

/// Everything that is done now and then is done all the time, so that the kills meet it.
pub(crate) const RESTLESS: [(&str, &str); 5] = [
    ("SEN__LOG__RECORD_BYTES", "65536"),
    ("SEN__LOG__SEGMENT_BYTES", "65536"),
    ("SEN__STORE__SEAL_POINTS", "1000"),
    ("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "100"),
    ("SEN__ALERT__CHECKPOINT_INTERVAL_MS", "100"),
];

/// How many devices report at a time.
pub(crate) const DEVICES: usize = 4;

/// By device, what was sent and what of it was acknowledged; numbers count from 1.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) sent: [i64; DEVICES],
    pub(crate) acknowledged: [BTreeSet<i64>; DEVICES],
}

impl Ledger {
    pub(crate) fn total(&self) -> usize {
        self.acknowledged.iter().map(BTreeSet::len).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_reading_is_in_the_store_exactly_once() -> anyhow::Result<()> {
    let mut centre = Centre::with(&RESTLESS, &[])?;
    let begun_ms = now_ms() - 3_600_000;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for round in 0..KILLS {
        let wanted = ledger.lock().expect("no poison").total() + 300 + round * 37 % 500;
        let mut devices = tokio::task::JoinSet::new();
        for number in 0..DEVICES {
            devices.spawn(report_until_killed(
                centre.mqtt_port(),
                number,
                begun_ms,
                ledger.clone(),
            ));
        }
        wait_for("enough acknowledgements", async || {
            (ledger.lock().expect("no poison").total() >= wanted).then_some(())
        })
        .await;
        centre.kill();
        while devices.join_next().await.is_some() {}
        centre.restart()?;
    }
    for number in 0..DEVICES {
        let (sent, acknowledged) = {
            let ledger = ledger.lock().expect("no poison");
            (ledger.sent[number], ledger.acknowledged[number].clone())
        };
        all_there_once(&centre, &name_of(number), begun_ms, sent, &acknowledged).await?;
    }
    Ok(())
}

/// Reports one reading after the other, each fifth of them twice, until the connection ends.
pub(crate) async fn report_until_killed(
    port: u16,
    number: usize,
    begun_ms: i64,
    ledger: Arc<Mutex<Ledger>>,
) {
    let name = name_of(number);
    let Ok(mut device) = Device::connect(&name, port).await else { return };
    loop {
        let sent = {
            let mut ledger = ledger.lock().expect("no poison");
            ledger.sent[number] += 1;
            ledger.sent[number]
        };
        let at_ms = begun_ms + sent * SPACING_MS;
        for _ in 0..1 + i64::from(sent % 5 == 0) {
            if device.report(&name, LEVEL, at_ms, value_of(sent)).await.is_err() {
                return;
            }
        }
        ledger.lock().expect("no poison").acknowledged[number].insert(sent);
    }
}

/// Every acknowledged reading, none twice, none that was never sent; and the minutes agree.
pub(crate) async fn all_there_once(
    centre: &Centre,
    device: &str,
    begun_ms: i64,
    sent: i64,
    acknowledged: &BTreeSet<i64>,
) -> anyhow::Result<()> {
    let end_ms = begun_ms + (sent + 1) * SPACING_MS;
    let number = |item: &serde_json::Value| (time_ms(&item["event_time"]) - begun_ms) / SPACING_MS;
    let items = wait_for("every acknowledged reading", async || {
        let items = stored(centre, device, LEVEL, begun_ms, end_ms).await.ok()?;
        let there: BTreeSet<i64> = items.iter().map(number).collect();
        acknowledged.is_subset(&there).then_some(items)
    })
    .await;
    let numbers: Vec<i64> = items.iter().map(number).collect();
    let unique: BTreeSet<i64> = numbers.iter().copied().collect();
    assert_eq!(numbers.len(), unique.len(), "{device}: a reading is there twice");
    for item in &items {
        assert_eq!(item["value"].as_f64(), Some(value_of(number(item))), "{device}: never sent");
    }
    wait_for("minutes that agree with the readings", async || {
        let (from, to) = (query_time(begun_ms - 60_000), query_time(end_ms + 60_000));
        let path = format!("/series/{device}/{LEVEL}/summaries?from={from}&to={to}");
        let minutes = centre.all(&path).await.ok()?;
        let counted: u64 = minutes.iter().filter_map(|minute| minute["count"].as_u64()).sum();
        assert!(counted <= items.len() as u64, "{device}: a minute counts a reading twice");
        (counted == items.len() as u64).then_some(())
    })
    .await;
    Ok(())
}

pub(crate) fn name_of(number: usize) -> String {
    format!("gauge-{number}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_is_raised_and_cleared_exactly_once() -> anyhow::Result<()> {
    let mut centre = Centre::with(&RESTLESS, &[])?;
    let rule = level_three(&centre).await?;
    let begun_ms = now_ms() - 9 * 3_600_000;
    let mut screen = Screen::connect(centre.http(), "story", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let mut memory = screen.cut();
    for round in 0..KILLS {
        let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
        // Ten minutes a step, in event time: longer than any duration a rule asks for.
        let episode_ms = begun_ms + i64::try_from(round)? * 4 * STEP_MS;
        for step in 0..4 {
            let value = if step < 2 { OVER_M } else { UNDER_M };
            device.report(GAUGE, LEVEL, episode_ms + step * STEP_MS, value).await?;
            if step == i64::try_from(round % 4)? {
                centre.restart()?;
                device = Device::connect(GAUGE, centre.mqtt_port()).await?;
            }
        }
        let mut screen = Screen::connect(centre.http(), "story", memory).await?;
        wait_for("the episode to be over", async || {
            let alerts = alerts_of(&centre, &rule).await.ok()?;
            let over = alerts.iter().filter(|alert| alert["cleared_at"].is_string()).count();
            (over == round + 1).then_some(())
        })
        .await;
        screen.until_count(&rule, "cleared", round + 1).await?;
        memory = screen.cut();
    }

    let alerts = alerts_of(&centre, &rule).await?;
    assert_eq!(alerts.len(), KILLS, "one alert for each episode: {alerts:#?}");
    let unique: BTreeSet<_> = memory.shown.iter().collect();
    assert_eq!(memory.shown.len(), unique.len(), "a screen showed something twice");
    let on_glass = (memory.count(&rule, "raised"), memory.count(&rule, "cleared"));
    assert_eq!(on_glass, (KILLS, KILLS), "{:#?}", memory.shown);
    Ok(())
}

/// Different for every reading, under every alarm level, and exact in binary.
pub(crate) fn value_of(sent: i64) -> f64 {
    0.25 + (sent % 512) as f64 / 1024.0
}
