//! Pure: the open alerts by rule and series, and the order in which they give way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use sen_model::{AlertId, AlertRecord, AlertState, DeviceId, Metric, RuleId, Severity, Timestamp};

/// One rule, in whatever edition, over one series.
type Place = (RuleId, DeviceId, Option<Metric>);

/// Which alerts are open, without the alerts themselves.
#[derive(Debug, Default)]
pub(super) struct OpenList {
    by_place: HashMap<Place, BTreeSet<(Timestamp, AlertId)>>,
    /// Those that have returned: the least severe first, of these the oldest.
    returned: BTreeSet<(Reverse<Severity>, Timestamp, AlertId)>,
    len: usize,
}

impl OpenList {
    /// An alert is now as `new` says; before it was as `old` says.
    pub(super) fn change(&mut self, old: Option<&AlertRecord>, new: &AlertRecord) {
        if let Some(old) = old.filter(|old| old.state.is_open()) {
            self.remove(old);
        }
        if new.state.is_open() {
            self.insert(new);
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The newest open alert of the same rule and series: the others there give way to it.
    pub(super) fn newest(&self, alert: &AlertRecord) -> Option<(Timestamp, &AlertId)> {
        self.others(alert).next_back()
    }

    /// The open alerts of the same rule and series, this one too, oldest first.
    pub(super) fn others(
        &self,
        alert: &AlertRecord,
    ) -> impl DoubleEndedIterator<Item = (Timestamp, &AlertId)> {
        let there = self.by_place.get(&place(alert));
        there.into_iter().flatten().map(|(started_at, id)| (*started_at, id))
    }

    /// The one that goes first when there are too many.
    pub(super) fn least(&self) -> Option<&AlertId> {
        self.returned.first().map(|(_, _, id)| id)
    }

    /// Those that have returned.
    pub(super) fn returned(&self) -> impl Iterator<Item = &AlertId> {
        self.returned.iter().map(|(_, _, id)| id)
    }

    fn insert(&mut self, alert: &AlertRecord) {
        let there = self.by_place.entry(place(alert)).or_default();
        there.insert((alert.started_at, alert.id.clone()));
        if alert.state == AlertState::ReturnedUnacknowledged {
            self.returned.insert(rank(alert));
        }
        self.len += 1;
    }

    fn remove(&mut self, alert: &AlertRecord) {
        let place = place(alert);
        if let Some(there) = self.by_place.get_mut(&place) {
            there.remove(&(alert.started_at, alert.id.clone()));
            if there.is_empty() {
                self.by_place.remove(&place);
            }
        }
        self.returned.remove(&rank(alert));
        self.len -= 1;
    }
}

fn place(alert: &AlertRecord) -> Place {
    (alert.rule.clone(), alert.device.clone(), alert.metric.clone())
}

fn rank(alert: &AlertRecord) -> (Reverse<Severity>, Timestamp, AlertId) {
    (Reverse(alert.severity), alert.started_at, alert.id.clone())
}
