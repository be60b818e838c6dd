//! How the embedded store keeps its file.

use sen_model::{Metric, Tier};
use serde::Deserialize;

use crate::class::{self, Ages, Class};

/// How far back ingest takes readings, in days. Raw points are kept longer than that, because a
/// late reading recomputes its window from them.
pub(crate) const GUARD_DAYS: u32 = 30;

/// How the embedded store keeps its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Raw readings older than this are deleted, in days; more than the 30 ingest looks back.
    pub raw_days: u32,
    /// One-minute summaries older than this are deleted, in days; at least `raw_days`.
    pub minute_days: u32,
    /// ... of a quarter of an hour; at least `minute_days`, since they are made of minutes.
    pub quarter_days: u32,
    /// ... of an hour; at least `quarter_days`.
    pub hour_days: u32,
    /// ... of a day; at least `hour_days`.
    pub day_days: u32,
    /// Metrics that are kept for longer or shorter.
    #[serde(default)]
    pub class: Vec<Class>,
    /// Most series; a new one beyond it is refused.
    pub max_series: u32,
    /// Points kept in memory before they are sealed into chunks; 32 bytes each, and up to three
    /// times as many while they are being sealed.
    pub seal_points: u32,
    /// Where readings and summaries are kept beside this store, as one line; empty for nowhere.
    pub archive: String,
    /// File with the archive's token; empty if it wants none.
    pub archive_token_file: String,
    /// How many days the archive keeps what it has, where it can be told; 0 for ever.
    pub archive_days: u32,
}

impl Default for Config {
    /// As shipped in `config/sen.toml`.
    fn default() -> Self {
        Self {
            raw_days: 32,
            minute_days: 92,
            quarter_days: 400,
            hour_days: 1_830,
            day_days: 7_320,
            class: Vec::new(),
            max_series: 120_000,
            seal_points: 500_000,
            archive: String::new(),
            archive_token_file: String::new(),
            archive_days: 0,
        }
    }
}

impl Config {
    /// How many days summaries of a tier are kept.
    pub fn days_of(&self, tier: Tier) -> u32 {
        match tier {
            Tier::Minute => self.minute_days,
            Tier::QuarterHour => self.quarter_days,
            Tier::Hour => self.hour_days,
            Tier::Day => self.day_days,
        }
    }

    /// The fewest days that raw readings of any metric are kept.
    pub fn least_raw_days(&self) -> u32 {
        Ages::least_raw(self)
    }

    /// How many days raw readings of a metric are kept, or summaries of a tier.
    pub fn kept_days(&self, metric: &Metric, tier: Option<Tier>) -> u32 {
        let ages = Ages::of(self, metric);
        tier.map_or(ages.raw, |tier| ages.tiers[tier as usize])
    }

    /// Whether an archive is kept beside this store.
    pub fn is_archived(&self) -> bool {
        !self.archive.is_empty()
    }

    /// Every mistake in this section: key and what is wrong with it.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = class::check(self);
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
        let wrong = Config {
            raw_days: 30,
            minute_days: 1,
            quarter_days: 7,
            hour_days: 6,
            day_days: 5,
            max_series: 0,
            seal_points: 0,
            ..Config::default()
        };
        let keys: Vec<_> = wrong.check().into_iter().map(|(key, _)| key).collect();
        let all = ["raw_days", "minute_days", "hour_days", "day_days", "max_series", "seal_points"];
        assert_eq!(keys, all);
    }
}
