//! Commands: what people and programs ask of the alert desk, and what became of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertId, AlertRecord, Cause, Severity};
use crate::desk::{DeskRecord, EntryId, Reach};
use crate::name::{AreaCode, DeviceId};
use crate::registry::Field;
use crate::text::Text;
use crate::time::Timestamp;

/// What a person does to one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Act {
    /// "I have seen it and take it."
    Acknowledge {
        /// A note for the next shift; may be empty.
        note: String,
    },
    /// "You see to it."
    Assign {
        /// The person or unit; empty = nobody any more.
        to: String,
        /// May be empty.
        note: String,
    },
    /// Something to write down.
    Note {
        /// Never empty.
        text: String,
    },
    /// "Not now."
    Shelve {
        /// Never empty.
        reason: String,
        /// Until when; the desk limits how long.
        until: Timestamp,
        /// Whether it comes back already when the condition ends.
        one_shot: bool,
    },
    /// Back from the shelf.
    Unshelve,
    /// "It is explained."
    Suppress {
        /// Never empty.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
    /// No longer explained; only what a person suppressed.
    Unsuppress,
    /// A latched alert whose condition is gone may leave.
    Reset {
        /// May be empty.
        note: String,
    },
    /// It is over, and why. Refused while its condition is measured to hold.
    Close {
        /// Why.
        cause: Cause,
        /// May be empty.
        note: String,
    },
}

impl Act {
    /// The stable name, as in the path of the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acknowledge { .. } => "acknowledge",
            Self::Assign { .. } => "assign",
            Self::Note { .. } => "note",
            Self::Shelve { .. } => "shelve",
            Self::Unshelve => "unshelve",
            Self::Suppress { .. } => "suppress",
            Self::Unsuppress => "unsuppress",
            Self::Reset { .. } => "reset",
            Self::Close { .. } => "close",
        }
    }
}

/// What a person does at the desk, not to one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeskAct {
    /// Sets the province's stage.
    SetStage {
        /// 1 to 5.
        stage: u8,
        /// Never empty.
        reason: String,
    },
    /// Takes alerts out of service until somebody puts them back.
    TakeOut {
        /// Which.
        reach: Reach,
        /// Never empty.
        reason: String,
    },
    /// Puts back what was taken out.
    PutBack {
        /// The entry.
        entry: EntryId,
    },
    /// Plans work during which alerts are suppressed.
    PlanWork {
        /// Which alerts.
        reach: Reach,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Never empty.
        reason: String,
    },
    /// The work is off, or done early.
    EndWork {
        /// The entry.
        entry: EntryId,
    },
    /// Hands the shift over.
    HandOver {
        /// Who takes it.
        to: String,
        /// The desk; none = all fields.
        desk: Option<Field>,
        /// When the shift began.
        from: Timestamp,
        /// In their words.
        text: String,
    },
    /// Begins or ends a drill: what is raised meanwhile is marked as one.
    SetDrill {
        /// Whether it begins.
        on: bool,
        /// Never empty.
        reason: String,
    },
}

/// An alert that another system judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// Which system, such as `alertmanager`.
    pub system: String,
    /// Its name for the kind of alert; becomes the rule `<system>-<name>`.
    pub name: String,
    /// What tells one alert of that name from another: the hash of its labels.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// Which desk sees to it.
    pub field: Field,
    /// The device it names, if any.
    pub device: Option<DeviceId>,
    /// The commune it names, if any.
    pub area: Option<AreaCode>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended or will be taken to have ended.
    pub ends_at: Timestamp,
    /// What to show.
    pub text: Text,
    /// Its labels and annotations.
    pub attributes: BTreeMap<String, String>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum Order {
    /// Something about one alert.
    Alert {
        /// The alert.
        alert: AlertId,
        /// The revision the caller saw; another one means somebody was first.
        expected_rev: Option<u32>,
        /// What.
        act: Act,
    },
    /// Something about the desk.
    Desk {
        /// What.
        act: DeskAct,
    },
    /// Another system tells of an alert. Told again and again, it changes nothing.
    Foreign {
        /// The alert as it tells it.
        told: Foreign,
    },
}

/// One order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The caller's key: the same key twice is carried out once.
    pub idempotency_key: String,
    /// What is asked.
    pub order: Order,
    /// Who asks.
    pub by: String,
    /// When it was asked.
    pub at: Timestamp,
}

/// What a command changed, as it is after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Changed {
    /// An alert.
    Alert(Box<AlertRecord>),
    /// An entry of the desk.
    Desk(Box<DeskRecord>),
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// Carried out (now or at an earlier try with the same key).
    Done(Changed),
    /// Refused: the alert is no longer as the caller saw it; here is how it is.
    Stale(Box<AlertRecord>),
    /// There is no such alert or entry.
    Unknown,
    /// The alert is over; there is nothing left to do.
    Over(Box<AlertRecord>),
    /// Refused: as the alert or the desk stands, that cannot be done; the reason, in both
    /// languages.
    Refused(Text),
    /// Refused: the key was used before, for another alert or another order.
    KeyReused,
}
