//! From exec to the first alert.

use std::time::Duration;

use anyhow::Context;

use super::super::centre::{Bench, Centre};
use super::super::device::Device;
use super::super::packet::{Qos, Template};
use super::super::report::Sample;
use super::super::screen::Screen;
use super::super::values::{ALERTING, LIMIT};

/// How long the first alert may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A centre with nothing on disk; the reading is published as soon as the port answers.
pub(super) async fn start(bench: &Bench) -> anyhow::Result<Sample> {
    let centre = bench.start(&bench.folder.fresh("data")?).await?;
    let first_alert_ms = first_alert_ms(&centre, "siren-first").await?;
    let usage = centre.usage()?;
    let said_addresses_ms = centre.said_addresses_ms;
    centre.kill().await?;
    Ok(Sample::default()
        .typical("first_alert_ms", first_alert_ms)
        .typical("addresses_ms", said_addresses_ms)
        .typical("cpu_ms", usage.cpu_s * 1e3)
        .typical("rss_mb", usage.rss_mb))
}

/// Publishes a reading of `device` that breaks the limit, and waits for the alert on a screen;
/// milliseconds since exec. The alert service reads in order, so it has then judged all before.
pub(super) async fn first_alert_ms(centre: &Centre, device: &str) -> anyhow::Result<f64> {
    let raising = async {
        let (publisher, screen) =
            tokio::join!(Device::connect(centre.mqtt, device), Screen::hello(centre.http, device));
        let (mut publisher, mut screen) = (publisher?, screen?);
        let template = Template::new(device, &[ALERTING.to_owned()], Qos::AtLeastOnce);
        publisher.put(&template, sen_chassis::Clock::system().now_ms(), LIMIT, 0);
        publisher.flush().await?;
        screen.until_alert_of(device).await?;
        anyhow::Ok(centre.since_exec.elapsed().as_secs_f64() * 1e3)
    };
    tokio::time::timeout(PATIENCE, raising).await.context("no alert in time")?
}
