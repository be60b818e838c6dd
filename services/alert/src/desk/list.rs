//! Pure: which alerts are open, by what the desk looks for, and the order in which they give way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use sen_model::{AlertId, AlertRecord, AlertState, DeviceId, Metric, RuleId, Severity, Timestamp};

use super::foreign;

/// One rule, in whatever edition, over one series. Alerts of another system have no edition: what
/// stands there tells them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) rule: RuleId,
    pub(super) device: DeviceId,
    pub(super) metric: Option<Metric>,
    key: Option<String>,
}

impl Place {
    /// Where an alert is.
    pub(super) fn of(alert: &AlertRecord) -> Self {
        Self {
            rule: alert.rule.clone(),
            device: alert.device.clone(),
            metric: alert.metric.clone(),
            key: foreign::is_foreign(alert).then(|| alert.rule_version.clone()),
        }
    }
}

/// An open alert at a place: its level, when it began, its id.
type Slot = (u8, Timestamp, AlertId);

/// Which alerts are open, without the alerts themselves.
#[derive(Debug, Default)]
pub(super) struct OpenList {
    by_place: HashMap<Place, BTreeSet<Slot>>,
    by_device: HashMap<DeviceId, BTreeSet<AlertId>>,
    /// The broader alerts that count an alert among their members.
    by_member: HashMap<AlertId, BTreeSet<AlertId>>,
    foreign: BTreeSet<AlertId>,
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

    /// The newest open alert of the same rule, level and series: the others there give way to it.
    pub(super) fn newest(&self, alert: &AlertRecord) -> Option<(Timestamp, &AlertId)> {
        self.others(alert).next_back()
    }

    /// The open alerts of the same rule, level and series, this one too, oldest first.
    pub(super) fn others(
        &self,
        alert: &AlertRecord,
    ) -> impl DoubleEndedIterator<Item = (Timestamp, &AlertId)> {
        let (there, level) = (self.by_place.get(&Place::of(alert)), alert.level);
        let of_level = there.into_iter().flatten().filter(move |(its, _, _)| *its == level);
        of_level.map(|(_, started_at, id)| (*started_at, id))
    }

    /// The open alerts of the same rule and series, of every level, the mildest first.
    pub(super) fn levels(&self, place: &Place) -> impl DoubleEndedIterator<Item = (u8, &AlertId)> {
        self.by_place.get(place).into_iter().flatten().map(|(level, _, id)| (*level, id))
    }

    /// The open alerts about a device.
    pub(super) fn about(&self, device: &DeviceId) -> impl Iterator<Item = &AlertId> {
        self.by_device.get(device).into_iter().flatten()
    }

    /// The open alerts that count this one among their members.
    pub(super) fn broader(&self, member: &AlertId) -> impl Iterator<Item = &AlertId> {
        self.by_member.get(member).into_iter().flatten()
    }

    /// The open alerts of other systems.
    pub(super) fn foreign(&self) -> &BTreeSet<AlertId> {
        &self.foreign
    }

    /// The one that goes first when there are too many.
    pub(super) fn least(&self) -> Option<&AlertId> {
        self.returned.first().map(|(_, _, id)| id)
    }

    fn insert(&mut self, alert: &AlertRecord) {
        let id = &alert.id;
        self.by_place.entry(Place::of(alert)).or_default().insert(slot(alert));
        self.by_device.entry(alert.device.clone()).or_default().insert(id.clone());
        for member in &alert.members {
            self.by_member.entry(member.clone()).or_default().insert(id.clone());
        }
        if foreign::is_foreign(alert) {
            self.foreign.insert(id.clone());
        }
        if alert.state == AlertState::ReturnedUnacknowledged {
            self.returned.insert(rank(alert));
        }
        self.len += 1;
    }

    fn remove(&mut self, alert: &AlertRecord) {
        take(&mut self.by_place, &Place::of(alert), &slot(alert));
        take(&mut self.by_device, &alert.device, &alert.id);
        for member in &alert.members {
            take(&mut self.by_member, member, &alert.id);
        }
        self.foreign.remove(&alert.id);
        self.returned.remove(&rank(alert));
        self.len -= 1;
    }
}

/// Takes one out of a set among sets; an empty set goes too.
fn take<K: Eq + std::hash::Hash, V: Ord>(sets: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

fn slot(alert: &AlertRecord) -> Slot {
    (alert.level, alert.started_at, alert.id.clone())
}

fn rank(alert: &AlertRecord) -> (Reverse<Severity>, Timestamp, AlertId) {
    (Reverse(alert.severity), alert.started_at, alert.id.clone())
}
