//! Stories of the centre apart: every role twice over three NATS servers, as `docker-compose.yml`
//! has it, under load, while processes are killed, stopped and paused.
//!
//! Each story has some fifteen processes, so they take turns.

mod audit;
mod brokers;
mod bus;
mod crossing;
mod eye;
mod kills;
mod load;
mod rolling;
mod screens;
mod shared_config;

use sen_tests::asking::{GAUGE, LEVEL};
use sen_tests::cluster::{Apart, Shape};
use sen_tests::device::Device;
use sen_tests::judging::rule_text;
use sen_tests::trial;

/// The device, the metric and the rule whose alert rises and clears again and again.
const SWING: &str = "trial-0";
const TRIAL: &str = "trial";

/// Over and under alarm level III of the gauge.
const OVER_M: f64 = 1.7;
const UNDER_M: f64 = 0.8;
const MINUTE_MS: i64 = 60_000;

/// Two readings of one level, ten minutes apart: longer than any duration a rule asks for.
async fn report(port: u16, from_ms: i64, level: f64) -> anyhow::Result<()> {
    let mut device = Device::connect(GAUGE, port).await?;
    for at_ms in [from_ms, from_ms + 10 * MINUTE_MS] {
        device.report(GAUGE, LEVEL, at_ms, level).await?;
    }
    Ok(())
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

/// The ports on which devices reach the two endpoints.
fn endpoints(apart: &Apart) -> anyhow::Result<[u16; 2]> {
    let port = |number| -> anyhow::Result<u16> {
        let address = apart.mqtt(number)?;
        Ok(address.rsplit(':').next().unwrap_or_default().parse()?)
    };
    Ok([port(1)?, port(2)?])
}
