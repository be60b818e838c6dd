//! The generator's own folder on disk, and the configuration in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

use super::values::{ALERTING, JUDGED, LIMIT, load_metric};

/// A folder that is removed, with everything in it, when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    used: AtomicU32,
}

impl Folder {
    /// A new folder below `parent`, which is made if it is not there.
    pub(super) fn new(parent: &Path) -> anyhow::Result<Self> {
        let path = parent.join(format!("sen-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path: path.canonicalize()?, used: AtomicU32::new(0) })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A name in it that was not used before.
    pub(super) fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(format!("{name}-{}", self.used.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// Copies the configuration in `from` and adds the generator's rule to it.
    pub(super) fn configure(&self, from: &Path) -> anyhow::Result<PathBuf> {
        let to = self.fresh("config")?;
        copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        let read = |name: &str| {
            let path = to.join(name);
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        let (devices, rules) = (read("devices.toml")?, read("rules.toml")?);
        let area = first_area(&devices).context("devices.toml names no area")?;
        let device = bench_device(area);
        std::fs::write(to.join("devices.toml"), format!("{devices}\n{device}"))?;
        std::fs::write(to.join("rules.toml"), format!("{rules}\n{}", bench_rule()))?;
        Ok(to)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn first_area(devices: &str) -> Option<&str> {
    let line = devices.lines().find_map(|line| line.strip_prefix("area = \""))?;
    line.split('"').next()
}

/// One registered device that measures anything: a rule may then name the generator's metrics.
fn bench_device(area: &str) -> String {
    format!(
        r#"
[kind.bench]
field = "environment"
interval_ms = 1_000
metrics = []

[[device]]
id = "bench-registered"
kind = "bench"
name = {{ vi = "Máy đo tải", en = "Load generator" }}
area = "{area}"
lat = 10.4
lon = 105.7
"#
    )
}

/// A rule that judges every reading of the generator; only those of [`ALERTING`] ever break it.
/// Nobody needs to acknowledge its alerts, so that they end when the value returns.
fn bench_rule() -> String {
    let metrics: Vec<String> = (0..JUDGED).map(load_metric).collect();
    format!(
        r#"
[[rule]]
id = "bench-limit"
name = {{ vi = "Đo tải", en = "Load measurement" }}
field = "environment"
severity = 3
metrics = ["{ALERTING}", "{}"]
at_least = {LIMIT}
source = "sen bench"
owner = {{ vi = "Người đo", en = "Whoever measures" }}
response = {{ steps = [{{ vi = "Không", en = "None" }}], consequence = {{ vi = "Không", en = "None" }}, within = "1h" }}
needs_acknowledgement = false
"#,
        metrics.join("\", \"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_once_and_all_of_it_goes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path()).unwrap();
        let (first, second) = (folder.fresh("data").unwrap(), folder.fresh("data").unwrap());
        assert!(first != second && first.is_dir() && second.is_dir());
        drop(folder);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_configuration_keeps_what_it_was_and_gains_a_rule() {
        let shipped = tempfile::tempdir().unwrap();
        std::fs::create_dir(shipped.path().join("map")).unwrap();
        std::fs::write(shipped.path().join("map/areas.json"), "{}").unwrap();
        let devices = "[[device]]\nid = \"a\"\narea = \"29971\"\n";
        std::fs::write(shipped.path().join("devices.toml"), devices).unwrap();
        std::fs::write(shipped.path().join("rules.toml"), "[owners]\n").unwrap();
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path()).unwrap();

        let config = folder.configure(shipped.path()).unwrap();

        assert!(config.join("map/areas.json").is_file());
        let table = |name: &str| -> toml::Table {
            std::fs::read_to_string(config.join(name)).unwrap().parse().unwrap()
        };
        let devices = table("devices.toml");
        let devices = devices["device"].as_array().unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!(devices[1]["area"].as_str(), Some("29971"));
        let rules = table("rules.toml");
        assert!(rules.contains_key("owners"));
        let metrics = rules["rule"][0]["metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), 1 + JUDGED);
    }
}
