//! Stories: each starts the real binary with real parts around it and reads like what happened.

mod alerts;
mod archive;
mod backup;
mod bad_clocks;
mod bad_disk;
mod bad_input;
mod behind_a_broker;
mod broken_brokers;
mod broken_lines;
mod clients;
mod configuration;
mod crash_points;
mod crashes;
mod day_killed;
mod dead_man;
mod desk;
mod edge;
mod exports;
mod failing_webhook;
mod fleet;
mod full_disk;
mod hostile;
mod late;
mod many_alerts;
mod newcomer;
mod oracle_run;
mod outage;
mod repeats;
mod screens;
mod storm;
mod torn_log;
mod traces;

use sen_tests::centre::Centre;
use sen_tests::screen::is_of;
use serde_json::Value;

/// Mỹ Tho's gauge on the Tiền river, and what it measures.
const GAUGE: &str = "stn-my-tho";
const LEVEL: &str = "water_level_m";

/// Now, as a device's clock would say it, in milliseconds UTC.
fn now_ms() -> i64 {
    sen_chassis::Clock::system().now_ms()
}

/// The id of the severest rule on the gauge's level, of which alarm level III is the critical one.
async fn level_three(centre: &Centre) -> anyhow::Result<String> {
    let rules = centre.all("/rules").await?;
    let on_gauge = |rule: &&Value| {
        rule["severity"] == 1
            && rule["match"]["devices"].as_array().is_some_and(|d| d.contains(&GAUGE.into()))
    };
    let rule = rules.iter().find(on_gauge).expect("the shipped rules watch Mỹ Tho");
    Ok(rule["id"].as_str().expect("a rule has an id").to_owned())
}

/// The alerts of one rule, open or over; of one with levels, those of its critical level.
async fn alerts_of(centre: &Centre, rule: &str) -> anyhow::Result<Vec<Value>> {
    let mut alerts = centre.all("/alerts?state=all").await?;
    alerts.retain(|alert| is_of(alert, rule));
    Ok(alerts)
}

/// A time as the API tells it, in milliseconds UTC.
fn time_ms(text: &Value) -> i64 {
    let time: sen_model::Timestamp = text.as_str().expect("a time").parse().expect("RFC 3339");
    time.as_millis()
}

/// A time as it stands in a query.
fn query_time(ms: i64) -> String {
    sen_model::Timestamp::from_millis(ms).to_string().replace('+', "%2B")
}

/// The readings of a series between two event times, as the API returns them.
async fn stored(
    centre: &Centre,
    device: &str,
    metric: &str,
    from_ms: i64,
    to_ms: i64,
) -> anyhow::Result<Vec<Value>> {
    let (from, to) = (query_time(from_ms), query_time(to_ms));
    let path = format!("/series/{device}/{metric}/readings?from={from}&to={to}&max_points=10000");
    centre.all(&path).await
}
