//! Commands: what people and programs ask of the alert desk, and what became of it.

use serde::{Deserialize, Serialize};

use crate::alert::{AlertId, AlertRecord};
use crate::time::Timestamp;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Order {
    /// "I have seen it and take it."
    Acknowledge {
        /// A note for the next shift; may be empty.
        note: String,
    },
}

/// One order about one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The caller's key: the same key twice is carried out once.
    pub idempotency_key: String,
    /// The alert.
    pub alert: AlertId,
    /// The revision the caller saw; another one means somebody was first.
    pub expected_rev: Option<u32>,
    /// What is asked.
    pub order: Order,
    /// Who asks.
    pub by: String,
    /// When it was asked.
    pub at: Timestamp,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandOutcome {
    /// Carried out (now or at an earlier try with the same key): the alert after it.
    Done(AlertRecord),
    /// Refused: the alert is no longer as the caller saw it; here is how it is.
    Stale(AlertRecord),
    /// There is no such alert.
    Unknown,
    /// The alert is over; there is nothing left to do.
    Over(AlertRecord),
    /// Refused: the key was used before, for another alert or another order.
    KeyReused,
}
