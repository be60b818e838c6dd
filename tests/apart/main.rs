//! Stories of the centre apart: every role twice over three NATS servers, as `docker-compose.yml`
//! has it, under load, while processes are killed, stopped and paused.
//!
//! Each story has some fifteen processes, so they take turns.

mod audit;
mod brokers;
mod bus;
mod calls;
mod crossing;
mod eye;
mod full_bus;
mod kills;
mod load;
mod paused;
mod rolling;
mod screens;
mod shared_config;

use calls::{CALL, Called, caller};
use sen_tests::api::Api;
use sen_tests::asking::{GAUGE, LEVEL};
use sen_tests::cluster::{Apart, Shape};
use sen_tests::device::Device;
use sen_tests::judging::rule_text;
use sen_tests::{trial, wait_for};

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

/// A whole centre with rules of ours beside the shipped ones, which calls nobody.
async fn centre() -> anyhow::Result<Apart> {
    with(None, 0).await
}

/// As [`centre`], with so many devices about which somebody is called.
async fn centre_calling(called: &Called, callers: usize) -> anyhow::Result<Apart> {
    with(Some(called), callers).await
}

async fn with(called: Option<&Called>, callers: usize) -> anyhow::Result<Apart> {
    let mut apart = laid_out(called, callers)?;
    apart.start_servers().await?;
    apart.start_roles().await?;
    Ok(apart)
}

/// As [`with`], but nothing is started yet.
fn laid_out(called: Option<&Called>, callers: usize) -> anyhow::Result<Apart> {
    let apart = Apart::prepare(&Shape::default())?;
    let swing = "metrics = [\"trial\"]\nseverity = 2\nat_least = 10\nclear = 5\nneeds_acknowledgement = false";
    let call = format!("metrics = [\"{CALL}\"]\nseverity = 1\nat_least = 10");
    let rules = [rule_text(TRIAL, swing), rule_text(CALL, &call)];
    let devices: Vec<_> = [SWING.to_owned()].into_iter().chain((0..callers).map(caller)).collect();
    apart.configure(|config| {
        if let Some(called) = called {
            called.configure(config)?;
        }
        trial::add(config, &devices, 1_000, &rules)
    })?;
    Ok(apart)
}

/// Whether an instance tells that it holds a lease.
async fn holds(apart: &Apart, name: &str, lease: &str) -> bool {
    let line = format!("sen_lease_held{{lease=\"{lease}\"}} 1");
    let Ok(admin) = apart.admin(name) else { return false };
    let page = Api::at(admin).page("/metrics").await;
    page.is_ok_and(|(_, metrics)| metrics.lines().any(|it| it == line))
}

/// Which instance of a role, 1 or 2, holds a lease; waits while nobody does.
async fn holder(apart: &Apart, role: &str, lease: &str) -> usize {
    wait_for(&format!("an {role} to hold {lease}"), async || {
        for number in 1..=2 {
            if holds(apart, &format!("{role}-{number}"), lease).await {
                return Some(number);
            }
        }
        None
    })
    .await
}

/// The ports on which devices reach the two endpoints.
fn endpoints(apart: &Apart) -> anyhow::Result<[u16; 2]> {
    let port = |number| -> anyhow::Result<u16> {
        let address = apart.mqtt(number)?;
        Ok(address.rsplit(':').next().unwrap_or_default().parse()?)
    };
    Ok([port(1)?, port(2)?])
}
