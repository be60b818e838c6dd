//! Devices and rules of a story's own, beside those that are shipped.

use std::fmt::Write;
use std::path::Path;

use sen_model::{AlertRecord, Registry, Rule, registry_file};

use crate::centre::append;
use crate::judging::parsed;
use crate::left::{self, Ends, FOR_EVER};

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
pub async fn alert_log_of(centre: impl Ends) -> anyhow::Result<Vec<AlertRecord>> {
    Ok(centre.end().await?.alerts)
}

/// The alert log below a folder that nobody holds.
pub async fn alert_log_in(folder: &Path) -> anyhow::Result<Vec<AlertRecord>> {
    let alerts = left::embedded(folder)?.vital_topic("alerts", FOR_EVER)?;
    left::all(&alerts).await
}
