//! What begins in one process and ends in another, by whichever way it goes.

use anyhow::{Context, ensure};
use rumqttc::QoS;
use sen_tests::asking::{alerts_of, level_three, now_ms};
use sen_tests::cluster::{Apart, turn};
use sen_tests::device::Device;
use sen_tests::screen::is_of;
use sen_tests::wait_for;
use serde_json::{Value, json};

use crate::{MINUTE_MS, OVER_M, UNDER_M, centre, endpoints, report};

/// Where the gauge stands.
const SIRENS: &str = "sen/v1/alerts/28261/#";
/// How often two people reach for the same alert.
const ROUNDS: i64 = 6;

/// A siren at an endpoint, by its port.
async fn siren(name: &str, port: u16) -> anyhow::Result<Device> {
    let mut siren = Device::connect(name, port).await?;
    siren.subscribe(SIRENS, QoS::AtLeastOnce).await?;
    Ok(siren)
}

/// The topic of the first message that a siren hears of a rule, of its critical level, and that is as
/// wanted.
async fn hears(
    siren: &mut Device,
    rule: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<String> {
    let hearing = async {
        loop {
            let message = siren.next().await?;
            let Ok(alert) = serde_json::from_slice::<Value>(&message.payload) else { continue };
            if is_of(&alert, rule) && wanted(&alert) {
                return anyhow::Ok(message.topic);
            }
        }
    };
    tokio::time::timeout(sen_tests::PATIENCE, hearing).await.context("a siren hears nothing")?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_siren_at_any_endpoint_hears_what_one_process_tells() -> anyhow::Result<()> {
    let _turn = turn().await;
    let mut apart = centre().await?;
    let rule = level_three(&apart.api(1)?).await?;
    let ports = endpoints(&apart)?;
    let begun_ms = now_ms() - 60 * MINUTE_MS;
    let mut sirens = [siren("siren-1", ports[0]).await?, siren("siren-2", ports[1]).await?];
    report(ports[0], begun_ms, OVER_M).await?;
    let [one, two] = &mut sirens;
    let (topic, other) =
        tokio::try_join!(hears(one, &rule, |_| true), hears(two, &rule, |_| true))?;
    ensure!(topic == other, "{topic} and {other}");

    // One that comes late, to an endpoint that has just been started, while nobody tells anything.
    for name in ["notify-1", "notify-2", "ingest-2"] {
        apart.part_mut(name)?.kill();
    }
    let part = apart.part_mut("ingest-2")?;
    part.start()?;
    part.well().await;
    let mut late = siren("siren-3", ports[1]).await?;
    ensure!(hears(&mut late, &rule, |_| true).await? == topic, "another topic");

    // Who tells comes back and goes on: the end is heard at both endpoints.
    apart.part_mut("notify-2")?.start()?;
    report(ports[1], begun_ms + 20 * MINUTE_MS, UNDER_M).await?;
    let [here, _] = &mut sirens;
    // Both at once: a siren that nobody listens to does not answer for its line.
    let is_over = |alert: &Value| alert["cleared_at"].is_string();
    tokio::try_join!(hears(here, &rule, is_over), hears(&mut late, &rule, is_over))?;
    Ok(())
}

/// The alert of the rule that is not acknowledged yet, once both gateways show it.
async fn open_alert(apart: &Apart, rule: &str) -> anyhow::Result<Value> {
    let mut shown = Vec::new();
    for gateway in 1..=2 {
        let api = apart.api(gateway)?;
        shown.push(
            wait_for("both gateways to show the alert", async || {
                let alerts = alerts_of(&api, rule).await.ok()?;
                alerts.into_iter().find(|alert| alert["state"] == "unacknowledged")
            })
            .await,
        );
    }
    ensure!(shown[0]["id"] == shown[1]["id"] && shown[0]["rev"] == shown[1]["rev"], "{shown:?}");
    Ok(shown.swap_remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_at_two_gateways_reach_for_one_alert_and_one_has_it() -> anyhow::Result<()> {
    let _turn = turn().await;
    let apart = centre().await?;
    let desks = [apart.api(1)?, apart.api(2)?];
    let rule = level_three(&desks[0]).await?;
    let ports = endpoints(&apart)?;
    let begun_ms = now_ms() - ROUNDS * 40 * MINUTE_MS - 10 * MINUTE_MS;
    for round in 0..ROUNDS {
        let from_ms = begun_ms + round * 40 * MINUTE_MS;
        report(ports[0], from_ms, OVER_M).await?;
        let alert = open_alert(&apart, &rule).await?;
        let (id, rev) = (alert["id"].as_str().context("an id")?, alert["rev"].as_u64());
        let keys = [format!("key-lan-{round}"), format!("key-minh-{round}")];
        let (lan, minh) = tokio::join!(
            desks[0].acknowledge(id, "Lan", rev, &keys[0]),
            desks[1].acknowledge(id, "Minh", rev, &keys[1]),
        );
        let (lan, minh) = (lan?, minh?);
        let mut statuses = [lan.0, minh.0];
        statuses.sort_unstable();
        ensure!(statuses == [200, 409], "{lan:?} {minh:?}");
        let (winner, by, won, told) =
            if lan.0 == 200 { (0, "Lan", &lan.1, &minh.1) } else { (1, "Minh", &minh.1, &lan.1) };
        ensure!(told["current"]["acknowledgement"]["by"] == by, "{told}");
        // The same order again, at either gateway, is the same answer and no second deed.
        for desk in &desks {
            let (status, again) = desk.acknowledge(id, by, rev, &keys[winner]).await?;
            ensure!(status == 200 && again["rev"] == won["rev"], "{status} {again}");
            let other = json!({"by": by, "to": by, "note": ""});
            let path = format!("/alerts/{id}/assign");
            let (status, reused) = desk.post(&path, &keys[winner], None, other).await?;
            ensure!(status == 422, "a key is good for one order: {status} {reused}");
        }
        report(ports[1], from_ms + 20 * MINUTE_MS, UNDER_M).await?;
        for desk in &desks {
            wait_for("the end of it, acknowledged once", async || {
                let alert = desk.get(&format!("/alerts/{id}")).await.ok()?;
                let history = alert["history"].as_array()?;
                let taken = history.iter().filter(|one| one["kind"] == "acknowledged").count();
                assert!(taken <= 1, "acknowledged twice: {alert}");
                (taken == 1 && history.iter().any(|one| one["kind"] == "cleared")).then_some(())
            })
            .await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_sent_to_two_gateways_at_once_is_done_once() -> anyhow::Result<()> {
    let _turn = turn().await;
    let apart = centre().await?;
    let desks = [apart.api(1)?, apart.api(2)?];
    let begun_ms = now_ms();
    for round in 0..ROUNDS {
        let key = format!("key-shift-{round}");
        let body = json!({
            "by": "Lan", "to": "Minh", "desk": null, "text": format!("ca {round}"),
            "from": sen_model::Timestamp::from_millis(begun_ms).to_string(),
        });
        let (one, other) = tokio::join!(
            desks[0].post("/shifts", &key, None, body.clone()),
            desks[1].post("/shifts", &key, None, body),
        );
        let (one, other) = (one?, other?);
        ensure!((one.0, other.0) == (200, 200), "{one:?} {other:?}");
        ensure!(one.1["id"] == other.1["id"], "two deeds: {one:?} {other:?}");
        for desk in &desks {
            wait_for("the hand-over on both desks", async || {
                let shifts = desk.all("/shifts").await.ok()?;
                assert!(shifts.len() as i64 <= round + 1, "twice: {shifts:?}");
                (shifts.len() as i64 == round + 1).then_some(())
            })
            .await;
        }
    }
    Ok(())
}
