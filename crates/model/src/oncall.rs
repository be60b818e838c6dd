//! On call: who is called when, what was delivered to whom, and what people change about it.

use serde::{Deserialize, Serialize};

use crate::alert::AlertId;
use crate::text::Text;
use crate::time::Timestamp;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not yet out; it is tried, and tried again.
    Waiting,
    /// The channel has taken it.
    Delivered,
    /// The channel will never take it, or time was up.
    Failed,
    /// The person acknowledged the alert.
    Acknowledged,
    /// No longer needed before it went out: somebody else took the alert, or it is over.
    Cancelled,
}

/// One message to one person over one channel: the newest record of each id counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Also the idempotency key towards the channel: the same at every try.
    pub id: String,
    /// 1 for the first record, then one more for each change.
    pub rev: u32,
    /// About which alert.
    pub alert: AlertId,
    /// By which step of the escalation, from 1.
    pub step: u32,
    /// To whom: the id of a person.
    pub person: String,
    /// Over which channel: `push`, `email`, the name of a webhook, …
    pub channel: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// When this was recorded.
    pub at: Timestamp,
    /// What the last try came to, without contact details; empty if there is nothing to say.
    pub detail: String,
}

/// What people change about who is on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OnCallEntry {
    /// Somebody stands in.
    Override {
        /// In which team.
        team: String,
        /// Who.
        person: String,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody cannot be called; the next one of the rotation is called in their place.
    Absence {
        /// Who.
        person: String,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Why; may be empty.
        reason: String,
    },
    /// A browser that takes push messages for a person (RFC 8030, 8291).
    Push {
        /// Who.
        person: String,
        /// Where the push service takes messages for it.
        endpoint: String,
        /// The browser's public key, base64url.
        p256dh: String,
        /// The browser's secret, base64url.
        auth: String,
    },
    /// A signed link was used; it works once.
    Redeemed {
        /// The alert.
        alert: AlertId,
        /// Who.
        person: String,
    },
}

/// One change of one entry of the on-call log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnCallRecord {
    /// The entry.
    pub id: String,
    /// 1 for the first, then one more for each change.
    pub rev: u32,
    /// Whether it still stands.
    pub open: bool,
    /// Who did it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub entry: OnCallEntry,
}

/// A person, without contact details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Stable id.
    pub id: String,
    /// What they are called.
    pub name: String,
    /// The channels they can be reached by, by name.
    pub channels: Vec<String>,
}

/// Who is on call in a team for a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who.
    pub person: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whether somebody stands in for the rotation's own.
    pub stands_in: bool,
}

/// A team and its turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Stable id.
    pub id: String,
    /// What it is called.
    pub name: Text,
    /// The present turn and those of the next two weeks, in order.
    pub turns: Vec<Turn>,
}

/// Who is on call now and next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// As of when.
    pub at: Timestamp,
    /// Everybody who can be on call.
    pub people: Vec<Person>,
    /// The teams.
    pub teams: Vec<Team>,
    /// Overrides and absences that stand; no push subscriptions.
    pub entries: Vec<OnCallRecord>,
}

/// A question to the notify service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCallAsk {
    /// Who is on call?
    Roster,
    /// Please note this.
    Change {
        /// The caller's key: the same key twice is carried out once.
        idempotency_key: String,
        /// Who asks.
        by: String,
        /// When.
        at: Timestamp,
        /// What.
        entry: OnCallEntry,
    },
    /// Please take that back.
    Cancel {
        /// The entry.
        id: String,
        /// Who asks.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// The public key for push subscriptions (RFC 8292), base64url.
    PushKey,
    /// What is this link about? Changes nothing: mail programs look into links by themselves.
    Look {
        /// The token of the link.
        token: String,
    },
    /// Use the link: the alert is to be acknowledged by its person.
    Redeem {
        /// The token of the link.
        token: String,
        /// When.
        at: Timestamp,
    },
}

/// What a signed link is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The alert.
    pub alert: AlertId,
    /// Whose link it is.
    pub person: String,
    /// Until when it works.
    pub until: Timestamp,
    /// Whether it was used before.
    pub used: bool,
}

/// The answer of the notify service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCallAnswer {
    /// Who is on call.
    Roster(Box<Roster>),
    /// Noted, and in the log.
    Changed(Box<OnCallRecord>),
    /// The key for push subscriptions.
    PushKey(String),
    /// What the link is about, and whether it was used before; after `Redeem` it is now, in any case.
    Link(Link),
    /// There is no such entry, or the link is not one of ours or too old.
    Unknown,
    /// Refused, and why.
    Refused(Text),
}
