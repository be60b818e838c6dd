//! The topics of the log, and how long each is kept below its cursors.

use sen_log::{Log, OpenError, Retention, Topic};
use sen_model::time::DAY_MS;
use sen_model::{
    AlertRecord, Delivery, DeskRecord, Event, OnCallRecord, Quarantined, ReadingBatch,
};

/// Readings are in the store once their cursors have passed; a day is kept for a second look.
pub(crate) const READINGS: Retention = Retention { keep_ms: DAY_MS, keep_bytes: 8 << 30 };
/// Events and quarantine have no other home yet.
pub(crate) const EVENTS: Retention = Retention { keep_ms: 90 * DAY_MS, keep_bytes: 4 << 30 };
/// A month to mend a device in; a hostile one must not fill the disk.
pub(crate) const QUARANTINE: Retention = Retention { keep_ms: 30 * DAY_MS, keep_bytes: 1 << 30 };
/// Who did what, when and why is kept for ever: alerts, what was decided at the desk, who was told
/// what, and who stood in for whom.
pub(crate) const FOR_EVER: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
/// What rules on trial find, and the probe's records each ten seconds.
pub(crate) const SHADOW: Retention = Retention { keep_ms: 90 * DAY_MS, keep_bytes: 1 << 30 };

/// All topics of a centre in one process.
#[derive(Clone)]
pub(crate) struct Topics {
    pub(crate) readings: Topic<ReadingBatch>,
    pub(crate) events: Topic<Event>,
    pub(crate) quarantine: Topic<Quarantined>,
    pub(crate) alerts: Topic<AlertRecord>,
    pub(crate) desk: Topic<DeskRecord>,
    pub(crate) shadow: Topic<AlertRecord>,
    pub(crate) deliveries: Topic<Delivery>,
    pub(crate) oncall: Topic<OnCallRecord>,
}

impl Topics {
    /// Opens or creates them.
    pub(crate) fn open(log: &Log) -> Result<Self, OpenError> {
        Ok(Self {
            readings: log.topic("readings", READINGS)?,
            events: log.topic("events", EVENTS)?,
            quarantine: log.topic("quarantine", QUARANTINE)?,
            alerts: log.vital_topic("alerts", FOR_EVER)?,
            desk: log.vital_topic("desk", FOR_EVER)?,
            shadow: log.vital_topic("shadow", SHADOW)?,
            deliveries: log.vital_topic("deliveries", FOR_EVER)?,
            oncall: log.vital_topic("oncall", FOR_EVER)?,
        })
    }
}
