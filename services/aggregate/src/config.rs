//! How readings are aggregated.

use sen_chassis::Problem;
use sen_model::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use serde::Deserialize;

/// How readings are aggregated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a closed window stays in memory, in milliseconds of event time behind the newest
    /// reading of its series. Readings later than that recompute their window from raw.
    pub hot_ms: i64,
    /// How often what was read is made durable, in milliseconds. After a crash at most this much
    /// is replayed from the log.
    pub commit_interval_ms: u64,
    /// ... or after this many new readings, whichever comes first.
    pub commit_points: u64,
    /// Windows in memory or waiting for their commit, at most; some 300 bytes each. Beyond it a
    /// commit is made at once and the windows that can be recomputed are dropped.
    pub max_open_windows: usize,
}

impl Default for Config {
    /// As shipped in `config/sen.toml`.
    fn default() -> Self {
        Self {
            hot_ms: 10 * MINUTE_MS,
            commit_interval_ms: 30_000,
            commit_points: 500_000,
            max_open_windows: 150_000,
        }
    }
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, key: &str, message: &str| {
            if !holds {
                problems.push(Problem::new(format!("aggregate.{key}"), message));
            }
        };
        require((0..=DAY_MS).contains(&self.hot_ms), "hot_ms", "must be 0 to a day in ms");
        let interval = i64::try_from(self.commit_interval_ms).unwrap_or(i64::MAX);
        require(
            (100..=600 * SECOND_MS).contains(&interval),
            "commit_interval_ms",
            "must be 100 to 600000 (ten minutes)",
        );
        require(
            (1..=10_000_000).contains(&self.commit_points),
            "commit_points",
            "must be 1 to 10000000: they are kept in memory",
        );
        require(
            (1_000..=5_000_000).contains(&self.max_open_windows),
            "max_open_windows",
            "must be 1000 to 5000000: they are kept in memory",
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        assert_eq!(Config::default().check(), []);
        let wrong =
            Config { hot_ms: -1, commit_interval_ms: 0, commit_points: 0, max_open_windows: 0 };
        assert_eq!(wrong.check().len(), 4);
    }
}
