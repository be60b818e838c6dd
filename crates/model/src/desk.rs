//! The desk's own log: what is decided or found about the whole centre rather than one alert.
//! One record for each change of one entry, with the whole entry as it is after it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertId, AlertRecord};
use crate::name::{AreaCode, DeviceId, Metric, RuleId};
use crate::registry::Field;
use crate::rule::Rule;
use crate::text::Text;
use crate::time::Timestamp;

/// The id of an entry: `stage`, `stage-advice`, `drill`, `out-…`, `work-…`, `flood-…`, `shift-…`,
/// `hint-…`, `edition-<rule>-<version>`. It fits into a path of the API as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(String);

impl EntryId {
    /// An id as given; unknown ids simply match no entry.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which alerts planned work or a taking out of service is about: all that is given must match; at
/// least one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reach {
    /// Alerts of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// Alerts about this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Alerts in this area.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<AreaCode>,
}

impl Reach {
    /// Whether nothing is given, which would reach everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is about an alert.
    pub fn covers(&self, alert: &AlertRecord) -> bool {
        !self.is_empty()
            && self.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
            && self.device.as_ref().is_none_or(|device| *device == alert.device)
            && self.area.as_ref().is_none_or(|area| Some(area) == alert.area.as_ref())
    }
}

/// How many alerts of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// A rule, an area, a group.
    pub of: String,
    /// How many.
    pub count: u32,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The province's stage, 1 to 5 after the levels of disaster risk.
    Stage {
        /// 1 to 5.
        stage: u8,
        /// Why.
        reason: String,
    },
    /// What the rules suggest for the stage; a person decides.
    StageAdvice {
        /// 1 to 5.
        stage: u8,
        /// The alerts that speak for it.
        alerts: Vec<AlertId>,
    },
    /// Alerts taken out of service.
    OutOfService {
        /// Which.
        reach: Reach,
        /// Why.
        reason: String,
    },
    /// Planned work, during which alerts are suppressed.
    Work {
        /// Which.
        reach: Reach,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// A drill is on.
    Drill {
        /// Why.
        reason: String,
    },
    /// More alerts than a person at this desk can handle (ISA-18.2: ten in ten minutes).
    Flood {
        /// The desk.
        desk: Field,
        /// When it began: the first of the alerts that made it.
        started_at: Timestamp,
        /// When it ended.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ended_at: Option<Timestamp>,
        /// The alert that came first.
        first_out: AlertId,
        /// New alerts so far.
        raised: u32,
        /// Most new alerts within ten minutes.
        peak: u32,
        /// By rule, most first.
        by_rule: Vec<Tally>,
        /// By area, most first.
        by_area: Vec<Tally>,
    },
    /// A shift that was handed over, with what was open at that moment.
    Shift {
        /// The desk; none = all fields.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        desk: Option<Field>,
        /// When it began.
        from: Timestamp,
        /// When it was handed over.
        until: Timestamp,
        /// Who takes it.
        to: String,
        /// In their words.
        text: String,
        /// Open alerts on the list.
        open: Vec<AlertId>,
        /// Shelved ones.
        shelved: Vec<AlertId>,
        /// Suppressed ones.
        suppressed: Vec<AlertId>,
        /// Entries by which something is out of service or worked on.
        out_of_service: Vec<EntryId>,
        /// Alerts raised during the shift.
        raised: u32,
        /// Of these, acknowledged.
        acknowledged: u32,
    },
    /// An alert chatters, and what would end that.
    Hint {
        /// The rule.
        rule: RuleId,
        /// The device.
        device: DeviceId,
        /// The metric.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        metric: Option<Metric>,
        /// Raises within the minute that gave it away.
        raises: u32,
        /// The value at which the alert had better clear.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        clear: Option<f64>,
        /// How long the breach had better last, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        for_ms: Option<i64>,
        /// How long it had better be good, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        clear_for_ms: Option<i64>,
        /// The same in words.
        text: Text,
    },
    /// An edition of a rule that came into force: what alerts of it were judged by.
    Edition {
        /// The rule.
        rule: Box<Rule>,
        /// Its version.
        version: String,
    },
}

/// One change of one entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeskRecord {
    /// The entry.
    pub id: EntryId,
    /// 1 for the first, then one more for each change.
    pub rev: u32,
    /// Whether it still stands; what has ended stays as history.
    pub open: bool,
    /// Who did it; `sen` for what the centre finds by itself.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub entry: Entry,
}
