//! Rules: a condition with a severity, its source, and what the operator is expected to do.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::alert::Severity;
use crate::name::{AreaCode, DeviceId, Metric, RuleId};
use crate::registry::Field;
use crate::text::Text;

/// Which series a rule judges: every given part must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Any of these devices; empty = any device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// Devices of any of these kinds; empty = any kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Devices in any of these areas; empty = any area.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<AreaCode>,
    /// Any of these metrics; empty = any metric (only sensible for absence).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// Which side of a limit is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Wrong at or above the limit (`>=`).
    AtLeast(f64),
    /// Wrong above the limit (`>`).
    Above(f64),
    /// Wrong at or below the limit (`<=`).
    AtMost(f64),
    /// Wrong below the limit (`<`).
    Below(f64),
}

impl Bound {
    /// Whether `value` is on the wrong side.
    pub fn is_broken_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::Above(limit) => value > limit,
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
        }
    }

    /// The limit itself.
    pub fn limit(self) -> f64 {
        match self {
            Self::AtLeast(limit)
            | Self::Above(limit)
            | Self::AtMost(limit)
            | Self::Below(limit) => limit,
        }
    }

    /// Whether larger values are worse.
    pub fn is_upper(self) -> bool {
        matches!(self, Self::AtLeast(_) | Self::Above(_))
    }
}

/// When a rule holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// A value on the wrong side of a limit, continuously for `for_ms` of event time.
    Threshold {
        /// The limit and which side of it is wrong.
        bound: Bound,
        /// The value at which the episode ends (hysteresis): at or beyond it on the good side.
        /// Absent = as soon as the bound is no longer broken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clear: Option<f64>,
        /// How long the bound must be broken before the alert is raised, in event time.
        #[serde(default)]
        for_ms: i64,
        /// How long it must be good before the alert is cleared, in event time.
        #[serde(default)]
        clear_for_ms: i64,
    },
    /// No reading for longer than `missing_ms`; the time Sen itself was down is not counted.
    Absence {
        /// Silence longer than this raises the alert.
        missing_ms: i64,
    },
}

/// One rule of `rules.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id, stable over edits.
    pub id: RuleId,
    /// What the alert is called.
    pub name: Text,
    /// Which of the five fields it belongs to.
    pub field: Field,
    /// How bad it is.
    pub severity: Severity,
    /// Which series it judges.
    #[serde(rename = "match", default)]
    pub selector: Selector,
    /// When it holds.
    pub condition: Condition,
    /// The law, decision or bulletin the limit comes from, and how sure it is.
    pub source: String,
    /// The unit that must act.
    pub owner: Text,
    /// What the operator is expected to do: no response, no alarm.
    pub response: Text,
    /// Whether a returned episode waits for a person to acknowledge it before it leaves the list.
    /// Absent = yes for severities 1 and 2 (ISA-18.2), no for 3 and 4, so that notices which
    /// nobody must act on do not pile up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_acknowledgement: Option<bool>,
}

impl Rule {
    /// What tells one edition of the rule from another: a hash of everything that decides when an
    /// alert is raised. Wording may change without making a new version.
    pub fn version(&self) -> String {
        let mut hash = Sha256::new();
        // `Debug` of plain data is stable within a build of the same model, and shortest-float
        // printing keeps limits exact.
        hash.update(format!("{:?}|{:?}|{:?}", self.selector, self.condition, self.severity));
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a returned episode waits for a person.
    pub fn needs_acknowledgement(&self) -> bool {
        self.needs_acknowledgement.unwrap_or(self.severity <= Severity::HIGH)
    }
}
