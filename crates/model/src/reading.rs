//! Readings: one value of one series at one event time (SensorThings *Observation*).

use serde::{Deserialize, Serialize};

use crate::name::{DeviceId, Metric};
use crate::time::Timestamp;

/// How far a value can be trusted, decided once, at ingest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Passed every check.
    #[default]
    Good,
    /// Outside the plausible range of its metric, frozen, or a spike: kept, shown with "?", and
    /// raises no alert.
    Suspect,
    /// The device itself says it is calibrating or faulty.
    Bad,
}

/// One value of one series at one event time.
///
/// Identity: (device, metric, event time, sequence). Two readings with the same identity are one:
/// the first that reached the log counts, a retransmission changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What was measured.
    pub metric: Metric,
    /// When it was measured, by the device's word; the arrival time where it gave none.
    pub event_time: Timestamp,
    /// The value in the metric's unit; always finite, at most 1e12 in magnitude, and never minus
    /// zero.
    pub value: f64,
    /// How far to trust it.
    pub quality: Quality,
    /// Tells readings of the same millisecond apart; 0 where the device gives none.
    pub sequence: u32,
}

/// The readings of one packet: what the log keeps as one record and acknowledges as one.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadingBatch {
    /// Who sent it.
    pub device: DeviceId,
    /// When Sen heard it.
    pub received_at: Timestamp,
    /// At least one.
    pub readings: Vec<Reading>,
}
