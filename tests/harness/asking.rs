//! What many stories ask of a centre, and the gauge that many of them are about.

use serde_json::Value;

use crate::api::Api;
use crate::screen::is_of;

/// Mỹ Tho's gauge on the Tiền river, and what it measures.
pub const GAUGE: &str = "stn-my-tho";
/// See [`GAUGE`]: metres.
pub const LEVEL: &str = "water_level_m";

/// Now, as a device's clock would say it, in milliseconds UTC.
pub fn now_ms() -> i64 {
    sen_chassis::Clock::system().now_ms()
}

/// The id of the severest rule on the gauge's level, of which alarm level III is the critical one.
pub async fn level_three(centre: &Api) -> anyhow::Result<String> {
    let rules = centre.all("/rules").await?;
    let on_gauge = |rule: &&Value| {
        rule["severity"] == 1
            && rule["match"]["devices"].as_array().is_some_and(|d| d.contains(&GAUGE.into()))
    };
    let rule = rules.iter().find(on_gauge).expect("the shipped rules watch Mỹ Tho");
    Ok(rule["id"].as_str().expect("a rule has an id").to_owned())
}

/// The alerts of one rule, open or over; of one with levels, those of its critical level.
pub async fn alerts_of(centre: &Api, rule: &str) -> anyhow::Result<Vec<Value>> {
    let mut alerts = centre.all("/alerts?state=all").await?;
    alerts.retain(|alert| is_of(alert, rule));
    Ok(alerts)
}

/// A time as the API tells it, in milliseconds UTC.
pub fn time_ms(text: &Value) -> i64 {
    let time: sen_model::Timestamp = text.as_str().expect("a time").parse().expect("RFC 3339");
    time.as_millis()
}

/// A time as it stands in a query.
pub fn query_time(ms: i64) -> String {
    sen_model::Timestamp::from_millis(ms).to_string().replace('+', "%2B")
}

/// The readings of a series between two event times, as the API returns them.
pub async fn stored(
    centre: &Api,
    device: &str,
    metric: &str,
    from_ms: i64,
    to_ms: i64,
) -> anyhow::Result<Vec<Value>> {
    let (from, to) = (query_time(from_ms), query_time(to_ms));
    let path = format!("/series/{device}/{metric}/readings?from={from}&to={to}&max_points=10000");
    centre.all(&path).await
}
