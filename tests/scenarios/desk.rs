//! People at the desk: whatever they do is done once, is refused when they saw something old, and
//! is told for ever, over crashes too.

use anyhow::ensure;
use sen_tests::device::Device;
use sen_tests::judging::{episodes, rule_text};
use sen_tests::screen::{Memory, Screen};
use sen_tests::trial::{AREA, add, alert_log_of, names};
use sen_tests::wait_for;
use serde_json::{Value, json};

use crate::{Centre, alerts_of, now_ms};

const DEVICES: usize = 8;
const SECOND_MS: i64 = 1_000;

/// A desk with two rules over devices of our own: a plain one, and one whose alerts latch.
fn desk() -> anyhow::Result<Centre> {
    let rule = |id: &str, metric: &str, more: &str| {
        let lines = format!("metrics = [\"{metric}\"]\nseverity = 2\nat_least = 10\n{more}");
        rule_text(id, &lines)
    };
    let rules = [rule("trial", "trial", ""), rule("latching", "latching", "latched = true")];
    let restless = [("SEN__ALERT__CHECKPOINT_INTERVAL_MS", "100"), ("SEN__ALERT__TICK_MS", "100")];
    Centre::configured(&restless, |config| add(config, &names("trial", DEVICES), 600_000, &rules))
}

/// One value of one metric of a device, now.
async fn report(centre: &Centre, device: &str, metric: &str, value: f64) -> anyhow::Result<()> {
    let mut gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
    gateway.report(device, metric, now_ms(), value).await
}

/// The alert of a rule about a device, once it is as wanted.
async fn alert_that(
    centre: &Centre,
    rule: &str,
    device: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    wait_for(&format!("{rule} of {device}"), async || {
        let alerts = alerts_of(centre, rule).await.ok()?;
        alerts.into_iter().find(|alert| alert["device"] == device && wanted(alert))
    })
    .await
}

/// A new alert of a rule about a device.
async fn raised(centre: &Centre, rule: &str, device: &str) -> anyhow::Result<Value> {
    report(centre, device, rule, 12.0).await?;
    Ok(alert_that(centre, rule, device, |alert| alert["state"] == "unacknowledged").await)
}

/// Does something to an alert as it was seen.
async fn act(
    centre: &Centre,
    alert: &Value,
    act: &str,
    key: &str,
    body: Value,
) -> anyhow::Result<(u16, Value)> {
    let (id, rev) = (alert["id"].as_str().unwrap_or_default(), alert["rev"].as_u64());
    centre.post(&format!("/alerts/{id}/{act}"), key, rev, body).await
}

/// As [`act`], and it must be done.
async fn done(centre: &Centre, alert: &Value, what: &str, body: Value) -> anyhow::Result<Value> {
    let key = format!("key-{what}-{}-{}", alert["id"], alert["rev"]);
    let (status, answer) = act(centre, alert, what, &key, body).await?;
    ensure!(status == 200, "{what}: {status} {answer}");
    ensure!(answer["rev"].as_u64() == alert["rev"].as_u64().map(|rev| rev + 1), "{answer}");
    Ok(answer)
}

fn time(ms: i64) -> String {
    sen_model::Timestamp::from_millis(ms).to_string()
}

/// Whether the list that people work from has an alert.
async fn is_listed(centre: &Centre, alert: &Value) -> bool {
    let open = centre.all("/alerts?state=open").await.unwrap_or_default();
    open.iter().any(|one| one["id"] == alert["id"])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_on_an_alert_is_told_with_who_when_and_why() -> anyhow::Result<()> {
    let centre = desk()?;
    let mut alert = raised(&centre, "trial", "trial-0").await?;
    let later = time(now_ms() + 600_000);
    let acts = [
        ("assign", json!({"by": "Lan", "to": "Đội trực sông", "note": "xem giúp"}), "assigned"),
        ("note", json!({"by": "Lan", "text": "đã gọi trạm"}), "noted"),
        ("shelve", json!({"by": "Lan", "reason": "bảo trì", "until": later}), "shelved"),
        ("unshelve", json!({"by": "Minh"}), "unshelved"),
        ("suppress", json!({"by": "Minh", "reason": "đã rõ", "until": later}), "suppressed"),
        ("unsuppress", json!({"by": "Minh"}), "unsuppressed"),
        ("acknowledge", json!({"by": "Minh", "note": "đang xử lý"}), "acknowledged"),
    ];
    for (what, body, kind) in &acts {
        alert = done(&centre, &alert, what, body.clone()).await?;
        ensure!(alert["kind"] == *kind, "{alert}");
    }
    // What holds cannot be closed by a word; what is over can.
    let close = json!({"by": "Lan", "cause": "resolved", "note": "nước đã rút"});
    let (status, refused) = act(&centre, &alert, "close", "key-close-early", close.clone()).await?;
    ensure!(status == 409, "{status} {refused}");
    ensure!(refused["text"]["vi"].is_string() && refused["text"]["en"].is_string(), "{refused}");

    let latching = raised(&centre, "latching", "trial-1").await?;
    done(&centre, &latching, "acknowledge", json!({"by": "Lan", "note": ""})).await?;
    report(&centre, "trial-1", "latching", 1.0).await?;
    let latched =
        alert_that(&centre, "latching", "trial-1", |alert| alert["state"] == "latched").await;
    let reset =
        done(&centre, &latched, "reset", json!({"by": "Lan", "note": "đã kiểm tra"})).await?;
    ensure!(reset["state"] == "normal" && reset["kind"] == "reset", "{reset}");

    let returned = raised(&centre, "trial", "trial-2").await?;
    report(&centre, "trial-2", "trial", 1.0).await?;
    let returned = alert_that(&centre, "trial", "trial-2", |alert| {
        alert["id"] == returned["id"] && alert["state"] == "returned_unacknowledged"
    })
    .await;
    let closed = done(&centre, &returned, "close", close).await?;
    ensure!(closed["state"] == "normal" && closed["closing"]["cause"] == "resolved", "{closed}");

    // The trail of the first one, oldest first, with everybody's name and words.
    let path = format!("/alerts/{}", alert["id"].as_str().unwrap_or_default());
    let trail = centre.get(&path).await?["history"].to_string();
    for (_, body, kind) in &acts {
        ensure!(trail.contains(&format!("\"kind\":\"{kind}\"")), "{kind}: {trail}");
        for words in ["reason", "text", "note", "to"].iter().filter_map(|key| body[*key].as_str()) {
            ensure!(words.is_empty() || trail.contains(words), "`{words}`: {trail}");
        }
    }
    episodes(&alert_log_of(centre).await?).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_on_what_was_seen_too_long_ago_is_refused_and_a_repeat_is_not_done_twice()
-> anyhow::Result<()> {
    let mut centre = desk()?;
    let seen = raised(&centre, "trial", "trial-0").await?;
    let body = json!({"by": "Lan", "note": "tôi nhận"});
    let (status, taken) = act(&centre, &seen, "acknowledge", "key-lan", body.clone()).await?;
    ensure!(status == 200 && taken["rev"] == 2, "{status} {taken}");
    let other = json!({"by": "Minh", "to": "Minh", "note": ""});
    let (status, stale) = act(&centre, &seen, "assign", "key-minh", other.clone()).await?;
    ensure!(status == 409 && stale["current"]["rev"] == 2, "{status} {stale}");
    let (status, reused) = act(&centre, &taken, "assign", "key-lan", other).await?;
    ensure!(status == 422, "a key is good for one order: {status} {reused}");
    for life in 0..3 {
        let (status, again) = act(&centre, &seen, "acknowledge", "key-lan", body.clone()).await?;
        ensure!(status == 200 && again["rev"] == 2, "in life {life}: {status} {again}");
        centre.restart()?;
        alert_that(&centre, "trial", "trial-0", |_| true).await;
    }
    let (status, gone) = centre
        .post("/alerts/00000000000000000000/acknowledge", "key-nobody", None, body.clone())
        .await?;
    ensure!(status == 404, "{status} {gone}");
    let records = alert_log_of(centre).await?;
    let of_it = records.iter().filter(|record| record.id.as_str() == seen["id"]);
    ensure!(of_it.count() == 2, "raised and taken, once each");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_shelf_comes_back_by_itself() -> anyhow::Result<()> {
    let mut centre = desk()?;
    let alert = raised(&centre, "trial", "trial-0").await?;
    let until_ms = now_ms() + 10 * SECOND_MS;
    let body = json!({"by": "Lan", "reason": "đang sửa", "until": time(until_ms)});
    let shelved = done(&centre, &alert, "shelve", body).await?;
    ensure!(shelved["shelving"]["by"] == "Lan", "{shelved}");
    wait_for("it to leave the list", async || (!is_listed(&centre, &alert).await).then_some(()))
        .await;
    // Nobody remembers but the log.
    centre.restart()?;
    let back = alert_that(&centre, "trial", "trial-0", |alert| alert["kind"] == "unshelved").await;
    ensure!(now_ms() >= until_ms, "too early: {back}");
    ensure!(back["shelving"].is_null() && is_listed(&centre, &alert).await, "{back}");

    // With one shot it comes back as soon as it is over: the next episode is told.
    let body = json!({"by": "Lan", "reason": "nhiễu", "until": time(now_ms() + 600_000), "one_shot": true});
    done(&centre, &back, "shelve", body).await?;
    report(&centre, "trial-0", "trial", 1.0).await?;
    report(&centre, "trial-0", "trial", 12.0).await?;
    // The one before may still be shown for a moment.
    let next = alert_that(&centre, "trial", "trial-0", |one| one["id"] != alert["id"]).await;
    ensure!(next["state"] == "unacknowledged" && next["shelving"].is_null(), "{next}");
    wait_for("the next one on the list", async || is_listed(&centre, &next).await.then_some(()))
        .await;
    episodes(&alert_log_of(centre).await?).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_service_stays_so_over_a_restart_until_it_is_put_back() -> anyhow::Result<()>
{
    let mut centre = desk()?;
    let body = json!({"by": "Lan", "reach": {"device": "trial-3"}, "reason": "tháo cảm biến"});
    let (status, entry) = centre.post("/out-of-service", "key-out", None, body.clone()).await?;
    ensure!(status == 200 && entry["open"] == true, "{status} {entry}");
    let (_, again) = centre.post("/out-of-service", "key-out", None, body).await?;
    ensure!(again["id"] == entry["id"] && again["rev"] == entry["rev"], "{again}");
    centre.restart()?;
    let quiet = raised(&centre, "trial", "trial-3").await?;
    ensure!(quiet["out_of_service"] == entry["id"], "{quiet}");
    let loud = raised(&centre, "trial", "trial-4").await?;
    ensure!(!is_listed(&centre, &quiet).await && is_listed(&centre, &loud).await);
    let id = entry["id"].as_str().unwrap_or_default();
    let back = json!({"by": "Minh"});
    let path = format!("/out-of-service/{id}/put-back");
    let (status, entry) = centre.post(&path, "key-back", None, back).await?;
    ensure!(status == 200 && entry["open"] == false && entry["by"] == "Minh", "{status} {entry}");
    alert_that(&centre, "trial", "trial-3", |alert| alert["kind"] == "put_back").await;
    wait_for("it on the list", async || is_listed(&centre, &quiet).await.then_some(())).await;
    episodes(&alert_log_of(centre).await?).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_work_keeps_its_alerts_off_the_list_and_screens_know() -> anyhow::Result<()> {
    let mut centre = desk()?;
    let now = now_ms();
    let body = json!({
        "by": "Lan", "reach": {"area": AREA, "rule": "trial"}, "reason": "thay cáp",
        "from": time(now - SECOND_MS), "until": time(now + 600_000),
    });
    let (status, work) = centre.post("/works", "key-work", None, body).await?;
    ensure!(status == 200 && work["open"] == true, "{status} {work}");
    let quiet = raised(&centre, "trial", "trial-5").await?;
    ensure!(quiet["suppression"]["cause"] == "maintenance", "{quiet}");
    let loud = raised(&centre, "latching", "trial-5").await?;
    ensure!(loud["suppression"].is_null(), "another rule is not planned: {loud}");
    centre.restart()?;
    let mut screen = Screen::connect(centre.http(), "wall-1", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    let id = quiet["id"].as_str().unwrap_or_default();
    ensure!(screen.memory.alerts[id]["suppression"]["cause"] == "maintenance");
    let path = format!("/works/{}/end", work["id"].as_str().unwrap_or_default());
    let (status, ended) = centre.post(&path, "key-end", None, json!({"by": "Lan"})).await?;
    ensure!(status == 200 && ended["open"] == false, "{status} {ended}");
    screen.until_alert("trial", "unsuppressed").await?;
    wait_for("it on the list", async || is_listed(&centre, &quiet).await.then_some(())).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_is_handed_over_with_what_is_open_shelved_and_out_of_service() -> anyhow::Result<()>
{
    let mut centre = desk()?;
    let begun_ms = now_ms();
    let open = raised(&centre, "trial", "trial-0").await?;
    let shelved = raised(&centre, "trial", "trial-1").await?;
    let until = time(now_ms() + 600_000);
    done(&centre, &shelved, "shelve", json!({"by": "Lan", "reason": "nhiễu", "until": until}))
        .await?;
    let out = json!({"by": "Lan", "reach": {"device": "trial-2"}, "reason": "hỏng"});
    let (status, out) = centre.post("/out-of-service", "key-out", None, out).await?;
    ensure!(status == 200, "{status} {out}");
    let stage = json!({"by": "Lan", "stage": 3, "reason": "triều cường"});
    let (status, stage) = centre.post("/stage", "key-stage", None, stage).await?;
    ensure!(status == 200, "{status} {stage}");

    let body = json!({
        "by": "Lan", "to": "Minh", "desk": null, "from": time(begun_ms), "text": "Theo dõi trạm 0",
    });
    let (status, shift) = centre.post("/shifts", "key-shift", None, body.clone()).await?;
    ensure!(status == 200, "{status} {shift}");
    let entry = &shift["entry"];
    let has = |list: &str, id: &Value| entry[list].as_array().is_some_and(|ids| ids.contains(id));
    ensure!(has("open", &open["id"]) && !has("open", &shelved["id"]), "{shift}");
    ensure!(has("shelved", &shelved["id"]) && has("out_of_service", &out["id"]), "{shift}");
    ensure!(entry["to"] == "Minh" && entry["raised"].as_u64() >= Some(2), "{shift}");
    for _ in 0..2 {
        centre.restart()?;
        let (status, again) = centre.post("/shifts", "key-shift", None, body.clone()).await?;
        ensure!(status == 200 && again["id"] == shift["id"], "{status} {again}");
        // It is answered by who judges; the gateway may still be reading what the desk was.
        let shifts = wait_for("the desk", async || centre.all("/shifts").await.ok()).await;
        ensure!(shifts.len() == 1 && shifts[0]["entry"]["text"] == "Theo dõi trạm 0", "{shifts:?}");
        ensure!(centre.get("/stage").await?["stage"] == 3);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_raised_in_a_drill_says_so() -> anyhow::Result<()> {
    let centre = desk()?;
    let before = raised(&centre, "trial", "trial-0").await?;
    let body = |on: bool| json!({"by": "Lan", "on": on, "reason": "diễn tập quý IV"});
    let (status, drill) = centre.post("/drill", "key-on", None, body(true)).await?;
    ensure!(status == 200 && drill["open"] == true, "{status} {drill}");
    let during = raised(&centre, "trial", "trial-1").await?;
    let (status, drill) = centre.post("/drill", "key-off", None, body(false)).await?;
    ensure!(status == 200 && drill["open"] == false, "{status} {drill}");
    let after = raised(&centre, "trial", "trial-2").await?;
    let marks = [before, during, after].map(|alert| alert["drill"].as_bool());
    ensure!(marks == [Some(false), Some(true), Some(false)], "{marks:?}");
    Ok(())
}
