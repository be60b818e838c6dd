//! How far a consumer of the readings has come.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Counts since the process started, and the position in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The next offset to be handled.
    pub next: u64,
    /// Readings handled.
    pub readings: u64,
    /// Of these, how many were new; the rest were repeats of known identities.
    pub new: u64,
    /// When the last record handled was heard; none before the first.
    pub heard_to: Option<Timestamp>,
}
