//! Alerts: one rule holding for one series, one record for each change of one episode.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::name::{AreaCode, DeviceId, Metric, RuleId};
use crate::registry::Field;
use crate::text::Text;
use crate::time::Timestamp;

/// 1 (critical) to 4 (low), as ISA-18.2 priorities; smaller is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Severity(u8);

impl Severity {
    /// 1: act at once.
    pub const CRITICAL: Self = Self(1);
    /// 2: act soon.
    pub const HIGH: Self = Self(2);
    /// 3: act within the shift.
    pub const MEDIUM: Self = Self(3);
    /// 4: know about it.
    pub const LOW: Self = Self(4);

    /// The number, 1 to 4.
    pub fn level(self) -> u8 {
        self.0
    }
}

/// A severity other than 1, 2, 3 or 4.
#[derive(Debug, thiserror::Error)]
#[error("severity {0} does not exist: use 1 (critical), 2 (high), 3 (medium) or 4 (low)")]
pub struct InvalidSeverity(u8);

impl TryFrom<u8> for Severity {
    type Error = InvalidSeverity;
    fn try_from(level: u8) -> Result<Self, Self::Error> {
        if (1..=4).contains(&level) { Ok(Self(level)) } else { Err(InvalidSeverity(level)) }
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> Self {
        severity.0
    }
}

/// The id of one episode: the same on replay, restart and redelivery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(CompactString);

impl AlertId {
    /// The id of the episode of `rule` (in this version) on a series that began at `started_at`.
    pub fn of_episode(
        rule: &RuleId,
        rule_version: &str,
        device: &DeviceId,
        metric: Option<&Metric>,
        started_at: Timestamp,
    ) -> Self {
        let metric = metric.map_or("", Metric::as_str);
        let mut hash = Sha256::new();
        // None of the parts can hold a newline, so the parts cannot run into each other.
        hash.update(format!(
            "{rule}\n{rule_version}\n{device}\n{metric}\n{}",
            started_at.as_millis()
        ));
        let digest = hash.finalize();
        let hex: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        Self(CompactString::new(hex))
    }

    /// An id as given from outside; unknown ids simply match no alert.
    pub fn from_text(text: &str) -> Self {
        Self(CompactString::new(text))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an episode stands (ISA-18.2 / IEC 62682).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition holds and nobody has taken it.
    Unacknowledged,
    /// The condition holds and somebody has taken it.
    Acknowledged,
    /// The condition no longer holds, and nobody had taken it: it stays on the list.
    ReturnedUnacknowledged,
    /// Over.
    Normal,
}

impl AlertState {
    /// Whether the alert still belongs on the list.
    pub fn is_open(self) -> bool {
        self != Self::Normal
    }

    /// The stable name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::ReturnedUnacknowledged => "returned_unacknowledged",
            Self::Normal => "normal",
        }
    }
}

/// What a record of the alert log says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The episode began.
    Raised,
    /// A person took it.
    Acknowledged,
    /// The condition no longer holds.
    Cleared,
    /// It had returned, nobody had taken it, and another alert stands in its place: it is over.
    Superseded,
}

impl Change {
    /// The stable name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Cleared => "cleared",
            Self::Superseded => "superseded",
        }
    }
}

/// Who acknowledged, when, and what they wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The person or screen.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Their note; may be empty.
    pub note: String,
}

/// One change of one alert, with the whole alert as it is after it: the fold of the log keeps the
/// record with the highest `rev` of each id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// The episode.
    pub id: AlertId,
    /// 1 for the raise, then one more for each change.
    pub rev: u32,
    /// What happened.
    #[serde(rename = "kind")]
    pub change: Change,
    /// Where the episode stands after it.
    pub state: AlertState,
    /// The rule that holds.
    pub rule: RuleId,
    /// Which edition of it.
    pub rule_version: String,
    /// How bad it is.
    pub severity: Severity,
    /// Which of the five fields it belongs to.
    pub field: Field,
    /// The device it is about.
    pub device: DeviceId,
    /// The metric it is about; none for a device that is silent altogether.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metric: Option<Metric>,
    /// The commune of the device; none if the registry does not know the device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area: Option<AreaCode>,
    /// The value that decided this change; none for absence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<f64>,
    /// The limit of the rule; none for absence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<f64>,
    /// Event time of this change.
    pub event_time: Timestamp,
    /// Event time at which the condition began to hold.
    pub started_at: Timestamp,
    /// Event time at which it ceased to hold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cleared_at: Option<Timestamp>,
    /// When Sen recorded this change.
    pub recorded_at: Timestamp,
    /// Who took it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acknowledgement: Option<Acknowledgement>,
    /// Whether the breach was found in data that came late (older than a live reading may be).
    #[serde(default)]
    pub late: bool,
    /// What to show, with place and value filled in.
    pub text: Text,
}
