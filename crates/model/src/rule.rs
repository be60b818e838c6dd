//! Rules: a condition with a severity, its source, and what the operator is expected to do.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::alert::Severity;
use crate::condition::{Condition, When};
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
    /// Devices of any of these fields; empty = any field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// Devices with any of these tags; empty = with any or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Any of these metrics; empty = any metric (only sensible for absence).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// What the operator is expected to do: no response, no alarm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// One step after the other; at least one.
    pub steps: Vec<Text>,
    /// What happens if nobody acts.
    pub consequence: Text,
    /// How soon somebody must have acknowledged, in milliseconds.
    pub within_ms: i64,
}

/// Who gets to see what a rule finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It raises alerts.
    #[default]
    InForce,
    /// It is judged and recorded beside the others, and no operator sees it: a rule on trial.
    Shadow,
    /// It is only a part of others: composites, neighbours, sequences.
    Part,
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
    /// How bad it is. Of a rule with levels: the worst of them.
    pub severity: Severity,
    /// Which series it judges.
    #[serde(rename = "match", default)]
    pub selector: Selector,
    /// When it holds.
    pub condition: Condition,
    /// When it is judged at all; outside of it nothing is raised and what is open ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// The law, decision or bulletin the limit comes from, and how sure it is.
    pub source: String,
    /// The unit that must act.
    pub owner: Text,
    /// What the operator is expected to do: no response, no alarm.
    pub response: Response,
    /// Whether a returned episode waits for a person to acknowledge it before it leaves the list.
    /// Absent = yes for severities 1 and 2 (ISA-18.2), no for 3 and 4, so that notices which
    /// nobody must act on do not pile up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_acknowledgement: Option<bool>,
    /// Whether an acknowledged alert stays after its condition is gone until a person resets it.
    #[serde(default)]
    pub latched: bool,
    /// Who gets to see what it finds.
    #[serde(default)]
    pub standing: Standing,
    /// What alerts of several rules have in common: `flood`, `salinity`. Alerts of one cause in one
    /// area are rolled up. Absent = the rule stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Whether its alert about a device explains the silence of what depends on that device.
    #[serde(default)]
    pub explains: bool,
    /// The stage of the province its open alerts speak for, 2 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u8>,
}

impl Rule {
    /// A rule with nothing beyond what every rule has.
    pub fn new(
        id: RuleId,
        name: Text,
        field: Field,
        severity: Severity,
        selector: Selector,
        condition: Condition,
    ) -> Self {
        Self {
            id,
            name,
            field,
            severity,
            selector,
            condition,
            when: None,
            source: String::new(),
            owner: Text::default(),
            response: Response::default(),
            needs_acknowledgement: None,
            latched: false,
            standing: Standing::default(),
            cause: None,
            explains: false,
            stage: None,
        }
    }

    /// What tells one edition of the rule from another: a hash of everything that decides when an
    /// alert is raised. Wording may change without making a new version.
    pub fn version(&self) -> String {
        let mut hash = Sha256::new();
        // `Debug` of plain data is stable within a build of the same model, and shortest-float
        // printing keeps limits exact.
        hash.update(format!(
            "{:?}|{:?}|{:?}|{:?}",
            self.selector, self.condition, self.severity, self.when
        ));
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a returned episode of this severity waits for a person.
    pub fn needs_acknowledgement(&self, severity: Severity) -> bool {
        self.needs_acknowledgement.unwrap_or(severity <= Severity::HIGH)
    }

    /// What its alerts in one area are rolled up by.
    pub fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(self.id.as_str())
    }
}
