//! Alerts: one rule holding for one series, one record for each change of one episode.

use std::collections::BTreeMap;
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
    /// The condition no longer holds and somebody had taken it, but the rule latches: it stays on
    /// the list until a person resets it.
    Latched,
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
            Self::Latched => "latched",
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
    /// Somebody is to see to it.
    Assigned,
    /// A person wrote something down.
    Noted,
    /// Put aside for a while by a person.
    Shelved,
    /// Back from the shelf: by a person, because its time was up, or because its one shot was.
    Unshelved,
    /// Put aside by design, or by a person: another alert or planned work explains it.
    Suppressed,
    /// No longer explained.
    Unsuppressed,
    /// Its rule, device or area was taken out of service.
    TakenOut,
    /// It is back in service.
    PutBack,
    /// A latched alert was reset.
    Reset,
    /// A person closed it and said why.
    Closed,
    /// What it says changed while its condition holds: a worse value, more members.
    Updated,
}

impl Change {
    /// The stable name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Cleared => "cleared",
            Self::Superseded => "superseded",
            Self::Assigned => "assigned",
            Self::Noted => "noted",
            Self::Shelved => "shelved",
            Self::Unshelved => "unshelved",
            Self::Suppressed => "suppressed",
            Self::Unsuppressed => "unsuppressed",
            Self::TakenOut => "taken_out",
            Self::PutBack => "put_back",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Updated => "updated",
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

/// Put aside for a while by a person (ISA-18.2): still judged, counted and listed as shelved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shelving {
    /// The person.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why; never empty.
    pub reason: String,
    /// Until when; it comes back by itself then.
    pub until: Timestamp,
    /// Whether it comes back already when its condition ends: the next episode is told again.
    #[serde(default)]
    pub one_shot: bool,
}

/// What explains an alert, so that nobody needs to act on it apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Explanation {
    /// A worse level of the same rule over the same series.
    Level {
        /// That alert.
        alert: AlertId,
    },
    /// What its device depends on (gateway, power, uplink) is down.
    Dependency {
        /// The alert about it.
        alert: AlertId,
        /// What is down.
        device: DeviceId,
    },
    /// A broader alert counts it among its members.
    Member {
        /// That alert.
        alert: AlertId,
    },
    /// Planned work.
    Maintenance {
        /// The id of the desk's entry.
        entry: String,
    },
    /// A person said so.
    Person {
        /// Who.
        by: String,
        /// Why; never empty.
        reason: String,
    },
}

/// Put aside by design or by a person: still judged, counted and listed as suppressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suppression {
    /// What explains it.
    #[serde(flatten)]
    pub why: Explanation,
    /// Since when.
    pub at: Timestamp,
    /// Until when, if that is settled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// Who is to see to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The person or unit.
    pub to: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a person wrote down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The person.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What they wrote; shown as text, never as markup.
    pub text: String,
}

/// Why a person closed an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What was wrong has been mended.
    Resolved,
    /// There was nothing wrong: the sensor or the rule was.
    FalseAlarm,
    /// It was planned: work, a drill.
    Planned,
    /// Another alert or case covers it.
    Duplicate,
    /// It was handed to another unit, which answers for it now.
    HandedOver,
}

impl Cause {
    /// The stable name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::FalseAlarm => "false_alarm",
            Self::Planned => "planned",
            Self::Duplicate => "duplicate",
            Self::HandedOver => "handed_over",
        }
    }
}

/// How an alert was closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// The person.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// In their words; may be empty.
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
    /// Which level of the rule, from 1, the mildest; 0 for a rule without levels.
    #[serde(default)]
    pub level: u8,
    /// What alerts of one cause in one area have in common: screens roll them up by it.
    #[serde(default)]
    pub group: String,
    /// Whether it stays until a person resets it.
    #[serde(default)]
    pub latched: bool,
    /// Whether it chatters: it has come and gone too often within a minute.
    #[serde(default)]
    pub chattering: bool,
    /// Whether it belongs to a drill.
    #[serde(default)]
    pub drill: bool,
    /// On the shelf.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shelving: Option<Shelving>,
    /// Suppressed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suppression: Option<Suppression>,
    /// The id of the desk's entry by which it is out of service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub out_of_service: Option<String>,
    /// Who is to see to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assignment: Option<Assignment>,
    /// The last notes, oldest first; all of them are in the log.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<Note>,
    /// How it was closed, if a person did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub closing: Option<Closing>,
    /// The alerts that a broader one is made of; the first ones, where there are many.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub members: Vec<AlertId>,
    /// What came with it from outside: labels of another system, attributes of an event.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub attributes: BTreeMap<String, String>,
}

impl AlertRecord {
    /// The record of a raise with nothing beyond what every alert has.
    pub fn raised(
        id: AlertId,
        rule: RuleId,
        rule_version: String,
        severity: Severity,
        field: Field,
        device: DeviceId,
        started_at: Timestamp,
    ) -> Self {
        Self {
            id,
            rev: 1,
            change: Change::Raised,
            state: AlertState::Unacknowledged,
            rule,
            rule_version,
            severity,
            field,
            device,
            metric: None,
            area: None,
            value: None,
            limit: None,
            event_time: started_at,
            started_at,
            cleared_at: None,
            recorded_at: started_at,
            acknowledgement: None,
            late: false,
            text: Text::default(),
            level: 0,
            group: String::new(),
            latched: false,
            chattering: false,
            drill: false,
            shelving: None,
            suppression: None,
            out_of_service: None,
            assignment: None,
            notes: Vec::new(),
            closing: None,
            members: Vec::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// Whether it is on the list that people work from: open, and neither shelved, suppressed nor
    /// out of service (OPC UA Part 9 calls those three together *SuppressedOrShelved*).
    pub fn is_shown(&self) -> bool {
        self.state.is_open()
            && self.shelving.is_none()
            && self.suppression.is_none()
            && self.out_of_service.is_none()
    }

    /// Whether its condition holds.
    pub fn holds(&self) -> bool {
        matches!(self.state, AlertState::Unacknowledged | AlertState::Acknowledged)
    }
}
