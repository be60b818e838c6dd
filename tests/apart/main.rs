//! Stories of the centre apart: every role twice over three NATS servers, as `docker-compose.yml`
//! has it, under load, while processes are killed, stopped and paused.
//!
//! Each story has some fifteen processes, so they take turns.

mod audit;
mod bus;
mod eye;
mod kills;
mod load;
mod rolling;
mod screens;

use sen_tests::cluster::{Apart, Shape};
use sen_tests::judging::rule_text;
use sen_tests::trial;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

/// The device, the metric and the rule whose alert rises and clears again and again.
const SWING: &str = "trial-0";
const TRIAL: &str = "trial";

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other story of this binary runs.
async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// A whole centre with a rule of ours beside the shipped ones.
async fn centre() -> anyhow::Result<Apart> {
    let mut apart = Apart::prepare(&Shape::default())?;
    let lines = "metrics = [\"trial\"]\nseverity = 2\nat_least = 10\nclear = 5\nneeds_acknowledgement = false";
    let rule = rule_text(TRIAL, lines);
    apart.configure(|config| {
        trial::add(config, &trial::names("trial", 1), 1_000, std::slice::from_ref(&rule))
    })?;
    apart.start_servers().await?;
    apart.start_roles().await?;
    Ok(apart)
}

/// Now, as a device's clock would say it, in milliseconds UTC.
fn now_ms() -> i64 {
    sen_chassis::Clock::system().now_ms()
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

/// The ports on which devices reach the two endpoints.
fn endpoints(apart: &Apart) -> anyhow::Result<[u16; 2]> {
    let port = |number| -> anyhow::Result<u16> {
        let address = apart.mqtt(number)?;
        Ok(address.rsplit(':').next().unwrap_or_default().parse()?)
    };
    Ok([port(1)?, port(2)?])
}

/// Every item of a list of one gateway, page after page.
async fn all(apart: &Apart, gateway: usize, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut items = Vec::new();
    let joiner = if path.contains('?') { '&' } else { '?' };
    let mut next = path.to_owned();
    loop {
        let mut page = apart.get(gateway, &next).await?;
        items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        let Some(cursor) = page["next"].as_str() else { return Ok(items) };
        next = format!("{path}{joiner}cursor={cursor}");
    }
}
