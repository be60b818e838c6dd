//! Pure: what the engine tells the desk.

use std::sync::Arc;

use sen_model::{AlertId, AreaCode, DeviceId, Metric, Rule, Timestamp};

/// A rule with its version worked out.
#[derive(Clone, Debug)]
pub(crate) struct Edition {
    pub(crate) rule: Arc<Rule>,
    pub(crate) version: Arc<str>,
}

/// One rule and what it judges: of which an episode is one stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) edition: Edition,
    pub(crate) device: DeviceId,
    /// None for a device that is silent altogether.
    pub(crate) metric: Option<Metric>,
    /// Where it is, if the registry cannot know: for the pseudo device of an area.
    pub(crate) area: Option<AreaCode>,
}

impl Subject {
    /// The id of the episode that began at `started_at`.
    pub(crate) fn episode(&self, started_at: Timestamp) -> AlertId {
        let Edition { rule, version } = &self.edition;
        AlertId::of_episode(&rule.id, version, &self.device, self.metric.as_ref(), started_at)
    }
}

/// An episode began or ended.
#[derive(Clone, Debug)]
pub(crate) enum Transition {
    /// The condition holds.
    Raise {
        subject: Subject,
        started_at: Timestamp,
        event_time: Timestamp,
        value: Option<f64>,
        late: bool,
        /// The episodes it is made of.
        members: Vec<AlertId>,
    },
    /// It is made of more episodes; all of them are given.
    Join { subject: Subject, started_at: Timestamp, members: Vec<AlertId> },
    /// It no longer holds.
    Clear {
        subject: Subject,
        started_at: Timestamp,
        ceased_at: Timestamp,
        event_time: Timestamp,
        value: Option<f64>,
    },
}
