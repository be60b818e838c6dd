//! How the embedded store keeps its file.

use serde::Deserialize;

/// How far back ingest takes readings, in days. Raw points are kept longer than that, because a
/// late reading recomputes its window from them.
const GUARD_DAYS: u32 = 30;

/// How the embedded store keeps its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Raw readings older than this are deleted, in days; more than the 30 ingest looks back.
    pub raw_days: u32,
    /// One-minute summaries older than this are deleted, in days; at least `raw_days`.
    pub minute_days: u32,
    /// Most series; a new one beyond it is refused.
    pub max_series: u32,
    /// Points kept in memory before they are sealed into chunks; 32 bytes each, and up to twice
    /// as many while they are being sealed.
    pub seal_points: u32,
}

impl Default for Config {
    /// As shipped in `config/sen.toml`.
    fn default() -> Self {
        Self { raw_days: 32, minute_days: 92, max_series: 120_000, seal_points: 500_000 }
    }
}

impl Config {
    /// Every mistake in this section: key and what is wrong with it.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.raw_days <= GUARD_DAYS {
            let message = format!(
                "{} days are too few: readings are taken up to {GUARD_DAYS} days late, and their windows are recomputed from raw",
                self.raw_days
            );
            problems.push(("raw_days", message));
        }
        if self.minute_days < self.raw_days {
            let message = "must be at least `store.raw_days`".to_owned();
            problems.push(("minute_days", message));
        }
        if self.max_series == 0 || self.max_series > 10_000_000 {
            problems.push(("max_series", "must be 1 to 10,000,000".to_owned()));
        }
        if !(1_000..=50_000_000).contains(&self.seal_points) {
            problems.push(("seal_points", "must be 1,000 to 50,000,000".to_owned()));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        assert_eq!(Config::default().check(), []);
        let wrong = Config { raw_days: 30, minute_days: 1, max_series: 0, seal_points: 0 };
        let keys: Vec<_> = wrong.check().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["raw_days", "minute_days", "max_series", "seal_points"]);
    }
}
