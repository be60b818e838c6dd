//! Pure: what the stages beside the engine find: groups of alerts, and happenings.

use sen_model::{AlertId, Timestamp};

use crate::scope::Place;
use crate::transition::Edition;

/// An episode of a rule about a place.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) edition: Edition,
    pub(crate) place: Place,
    pub(crate) started_at: Timestamp,
    pub(crate) what: Change,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// It began. `count` is how many happenings or parts made it.
    Raised { event_time: Timestamp, count: usize, members: Vec<AlertId>, late: bool },
    /// It has more members; all of them are given.
    Joined { members: Vec<AlertId> },
    /// It is over.
    Cleared { ceased_at: Timestamp, event_time: Timestamp },
}

impl Found {
    /// The id of the episode.
    pub(crate) fn id(&self) -> AlertId {
        let Edition { rule, version, .. } = &self.edition;
        AlertId::of_episode(&rule.id, version, &self.place.device, None, self.started_at)
    }
}
