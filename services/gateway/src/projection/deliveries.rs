//! Pure: the fold of the deliveries: what went to whom about which alert.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use sen_model::{AlertId, Delivery};

/// Deliveries that are kept, the last ones begun; older ones are only in the log.
pub const KEPT: usize = 50_000;

/// One delivery as it is now.
#[derive(Clone, Debug)]
struct Held {
    record: Arc<Delivery>,
    begun_at: u64,
}

/// The state of all deliveries as of one offset.
#[derive(Debug, Default)]
pub struct Deliveries {
    held: HashMap<String, Held>,
    order: BTreeMap<u64, String>,
    by_alert: HashMap<AlertId, Vec<String>>,
    by_person: HashMap<String, VecDeque<String>>,
    as_of: u64,
}

impl Deliveries {
    /// Takes the record at `offset`. A revision that is not above the one held changes nothing.
    pub fn apply(&mut self, offset: u64, record: Arc<Delivery>) {
        if offset <= self.as_of {
            return;
        }
        self.as_of = offset;
        if let Some(held) = self.held.get_mut(&record.id) {
            if held.record.rev < record.rev {
                held.record = record;
            }
            return;
        }
        let id = record.id.clone();
        self.order.insert(offset, id.clone());
        self.by_alert.entry(record.alert.clone()).or_default().push(id.clone());
        self.by_person.entry(record.person.clone()).or_default().push_back(id.clone());
        self.held.insert(id, Held { record, begun_at: offset });
        while self.held.len() > KEPT && self.forget_oldest() {}
    }

    /// Everything up to `offset` was read, whether or not it could be understood.
    pub fn advance(&mut self, offset: u64) {
        self.as_of = self.as_of.max(offset);
    }

    /// What went out about an alert, in order.
    pub fn of_alert(&self, alert: &AlertId) -> Vec<Arc<Delivery>> {
        let ids = self.by_alert.get(alert).into_iter().flatten();
        ids.filter_map(|id| self.held.get(id)).map(|held| Arc::clone(&held.record)).collect()
    }

    /// What went to a person, the last first.
    pub fn of_person(&self, person: &str) -> impl Iterator<Item = (u64, &Arc<Delivery>)> {
        let ids = self.by_person.get(person).into_iter().flatten().rev();
        ids.filter_map(|id| self.held.get(id)).map(|held| (held.begun_at, &held.record))
    }

    /// Everything, the last begun first, each with its place in the list.
    pub fn newest_first(&self) -> impl Iterator<Item = (u64, &Arc<Delivery>)> {
        let held = self.order.iter().rev().filter_map(|(_, id)| self.held.get(id));
        held.map(|held| (held.begun_at, &held.record))
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, id)) = self.order.pop_first() else { return false };
        let Some(held) = self.held.remove(&id) else { return true };
        let (alert, person) = (&held.record.alert, &held.record.person);
        if let Some(ids) = self.by_alert.get_mut(alert) {
            ids.retain(|one| *one != id);
            if ids.is_empty() {
                self.by_alert.remove(alert);
            }
        }
        // The oldest of all is the oldest of its person.
        if let Some(ids) = self.by_person.get_mut(person) {
            ids.pop_front();
            if ids.is_empty() {
                self.by_person.remove(person);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use sen_model::DeliveryState;

    #[test]
    fn deliveries_are_found_by_alert_and_by_person() {
        let mut all = Deliveries::default();
        all.apply(1, Arc::new(sample::delivery("d1", 1, "a", "lan")));
        all.apply(2, Arc::new(sample::delivery("d2", 1, "a", "minh")));
        all.apply(3, Arc::new(sample::delivery("d3", 1, "b", "lan")));
        let mut done = sample::delivery("d1", 2, "a", "lan");
        done.state = DeliveryState::Delivered;
        all.apply(4, Arc::new(done));
        all.apply(5, Arc::new(sample::delivery("d1", 1, "a", "lan")));
        all.apply(4, Arc::new(sample::delivery("d9", 1, "a", "lan")));
        let of_a = all.of_alert(&AlertId::from_text("a"));
        let shown: Vec<_> = of_a.iter().map(|one| (one.id.as_str(), one.state)).collect();
        assert_eq!(shown, [("d1", DeliveryState::Delivered), ("d2", DeliveryState::Waiting)]);
        let of_lan: Vec<&str> = all.of_person("lan").map(|(_, one)| one.id.as_str()).collect();
        assert_eq!(of_lan, ["d3", "d1"]);
        let every: Vec<u64> = all.newest_first().map(|(place, _)| place).collect();
        assert_eq!(every, [3, 2, 1]);
        assert!(all.of_person("nobody").next().is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let mut all = Deliveries::default();
        for n in 0..KEPT as u64 + 100 {
            let (id, alert) = (format!("d{n}"), format!("a{}", n / 2));
            all.apply(n + 1, Arc::new(sample::delivery(&id, 1, &alert, "lan")));
        }
        assert_eq!((all.held.len(), all.order.len()), (KEPT, KEPT));
        assert_eq!(all.of_person("lan").count(), KEPT);
        assert!(all.of_alert(&AlertId::from_text("a0")).is_empty());
        assert_eq!(all.by_alert.len(), KEPT / 2);
    }
}
