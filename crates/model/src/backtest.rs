//! Backtests: what a set of rules would have raised over stored history.

use serde::{Deserialize, Serialize};

use crate::alert::{AlertId, Severity};
use crate::name::{AreaCode, DeviceId, Metric, RuleId};
use crate::time::Timestamp;

/// What to try, over which time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacktestAsk {
    /// A whole `rules.toml`.
    pub rules: String,
    /// From when, by event time.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// One episode it would have raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The id it would have had.
    pub id: AlertId,
    /// The rule.
    pub rule: RuleId,
    /// How bad.
    pub severity: Severity,
    /// The device.
    pub device: DeviceId,
    /// The metric.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metric: Option<Metric>,
    /// The commune.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area: Option<AreaCode>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none if it still held at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Timestamp>,
    /// Whether it belongs to a chatter: one of three raises within a minute (ISA-18.2).
    pub chatter: bool,
}

/// What one rule came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleTrial {
    /// The rule.
    pub rule: RuleId,
    /// Episodes.
    pub raised: u64,
    /// Of these, chatter.
    pub chatter: u64,
    /// Median and longest duration of those that ended, in milliseconds.
    pub median_ms: Option<i64>,
    /// The longest.
    pub longest_ms: Option<i64>,
    /// The same rule in force: how many it raised over the same history; none if there is none.
    pub in_force: Option<u64>,
    /// Episodes that only the tried rule raised.
    pub added: u64,
    /// Episodes that only the rule in force raised.
    pub removed: u64,
}

/// What came of a backtest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BacktestReport {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Readings judged.
    pub readings: u64,
    /// Series judged.
    pub series: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Every episode, in order of their start; the first ones, where there are many.
    pub trials: Vec<Trial>,
    /// How many there are in all.
    pub raised: u64,
    /// Of these, chatter.
    pub chatter: u64,
    /// By rule, most first.
    pub rules: Vec<RuleTrial>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BacktestAnswer {
    /// What came of it.
    Report(Box<BacktestReport>),
    /// Mistakes in the rules: where and what.
    Problems(Vec<(String, String)>),
    /// It cannot be done, and why.
    Refused(String),
}
