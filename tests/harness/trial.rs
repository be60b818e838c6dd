//! Devices and rules of a story's own, beside those that are shipped.

use std::fmt::Write;
use std::path::Path;

use anyhow::ensure;
use rustix::process::Signal;
use sen_log::{Log, Retention};
use sen_model::{AlertRecord, Registry, Rule, registry_file};

use crate::centre::{Centre, append, copy};
use crate::judging::parsed;

/// Their kind.
pub const KIND: &str = "trial";
/// Where they stand: Mỹ Tho ward.
pub const AREA: &str = "28261";

/// Registers devices of a kind of their own, which may measure anything, and appends rules.
pub fn add(
    config: &Path,
    devices: &[String],
    interval_ms: i64,
    rules: &[String],
) -> anyhow::Result<()> {
    let mut text = format!(
        "[kind.{KIND}]\nfield = \"environment\"\ninterval_ms = {interval_ms}\nmetrics = []\n"
    );
    for id in devices {
        write!(
            text,
            r#"
[[device]]
id = "{id}"
kind = "{KIND}"
name = {{ vi = "Máy thử {id}", en = "Trial device {id}" }}
area = "{AREA}"
lat = 10.35
lon = 106.36
"#
        )?;
    }
    append(config, "devices.toml", &text)?;
    append(config, "rules.toml", &rules.concat())
}

/// The devices and the rules of a configuration.
pub fn configuration(config: &Path) -> anyhow::Result<(Registry, Vec<Rule>)> {
    let read = |name: &str| std::fs::read_to_string(config.join(name));
    let registry = registry_file::parse(&read("devices.toml")?, &read("places.toml")?);
    let registry = registry.map_err(|faults| anyhow::anyhow!("{faults:#?}"))?;
    let rules = parsed(&read("rules.toml")?, &registry);
    Ok((registry, rules))
}

/// Names of devices.
pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

/// Stops a centre and gives the alert log that it left.
pub async fn alert_log_of(mut centre: Centre) -> anyhow::Result<Vec<AlertRecord>> {
    centre.process().signal(Signal::TERM)?;
    let status = centre.process().wait()?;
    ensure!(status.success(), "the centre ended with {status}");
    let left = tempfile::tempdir()?;
    copy(&centre.storage().join("log"), &left.path().join("log"))?;
    alert_log_in(left.path()).await
}

/// The alert log below a folder that nobody holds.
pub async fn alert_log_in(folder: &Path) -> anyhow::Result<Vec<AlertRecord>> {
    let config =
        sen_log::Config { segment_bytes: 1 << 26, reserve_bytes: 0, record_bytes: 1 << 20 };
    let log = Log::open(folder.join("log"), config)?;
    let kept = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
    let alerts = log.vital_topic::<AlertRecord>("alerts", kept)?;
    let mut reader = alerts.read_from(alerts.floor());
    let mut records = Vec::new();
    loop {
        let entries = reader.available(1_000).await?;
        if entries.is_empty() {
            return Ok(records);
        }
        records.extend(entries.iter().map(|entry| (*entry.record).clone()));
    }
}
