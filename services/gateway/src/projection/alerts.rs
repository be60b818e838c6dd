//! Pure: the fold of the alert log: all open alerts, and the last ones that ended.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sen_model::{AlertId, AlertRecord, Timestamp};

use crate::view::View;

/// Ended alerts that are kept; older ones are only in the log.
pub const KEPT_ENDED: usize = 10_000;
/// Records of one alert whose positions are kept: the first one and the newest of the rest.
pub const KEPT_OFFSETS: usize = 64;

/// One alert as it is now.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its newest record.
    pub record: Arc<AlertRecord>,
    /// Where its records stand in the log, oldest first.
    pub offsets: Vec<u64>,
}

impl Held {
    /// Where it was raised: the order of lists, which never changes.
    pub fn raised_at(&self) -> u64 {
        self.offsets[0]
    }
}

/// The state of all alerts as of one offset.
#[derive(Debug, Default)]
pub struct Alerts {
    held: HashMap<AlertId, Held>,
    /// Those in `held` that ended, in the order of ending; may name some that were raised again.
    ended: VecDeque<AlertId>,
    as_of: u64,
}

impl Alerts {
    /// Takes the record at `offset`. A revision that is not above the one held changes nothing.
    pub fn apply(&mut self, offset: u64, record: Arc<AlertRecord>) {
        if offset <= self.as_of {
            return;
        }
        self.as_of = offset;
        let open = record.state.is_open();
        let id = record.id.clone();
        match self.held.get_mut(&id) {
            Some(held) if held.record.rev >= record.rev => return,
            Some(held) => {
                if held.offsets.len() >= KEPT_OFFSETS {
                    held.offsets.remove(1);
                }
                held.offsets.push(offset);
                held.record = record;
            }
            None => {
                self.held.insert(id.clone(), Held { record, offsets: vec![offset] });
            }
        }
        if !open {
            self.end(id);
        }
    }

    /// Everything up to `offset` was read, whether or not it could be understood.
    pub fn advance(&mut self, offset: u64) {
        self.as_of = self.as_of.max(offset);
    }

    /// The offset this state stands for.
    pub fn as_of(&self) -> u64 {
        self.as_of
    }

    /// One alert.
    pub fn get(&self, id: &AlertId) -> Option<&Held> {
        self.held.get(id)
    }

    /// Every alert that is held, newest first.
    pub fn newest_first(&self) -> Vec<&Held> {
        let mut all: Vec<&Held> = self.held.values().collect();
        all.sort_unstable_by_key(|held| std::cmp::Reverse(held.raised_at()));
        all
    }

    /// What a screen begins with: the open alerts of its view and those that ended since `since`,
    /// in the order they were raised.
    pub fn snapshot(&self, view: View, since: Timestamp) -> Vec<Arc<AlertRecord>> {
        let wanted = |held: &&Held| {
            let record = &held.record;
            view.shows(record) && (record.state.is_open() || record.recorded_at >= since)
        };
        let mut chosen: Vec<&Held> = self.held.values().filter(wanted).collect();
        chosen.sort_unstable_by_key(|held| held.raised_at());
        chosen.into_iter().map(|held| Arc::clone(&held.record)).collect()
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.held.values().filter(|held| held.record.state.is_open()).count()
    }

    fn end(&mut self, id: AlertId) {
        self.ended.push_back(id);
        while self.ended.len() > KEPT_ENDED {
            let Some(oldest) = self.ended.pop_front() else { return };
            let is_over = |held: &Held| !held.record.state.is_open();
            if self.held.get(&oldest).is_some_and(is_over) {
                self.held.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use sen_model::Field;

    fn fold(records: &[(u64, &str, u32)]) -> Alerts {
        let mut alerts = Alerts::default();
        for (offset, id, rev) in records {
            alerts.apply(*offset, Arc::new(sample::alert(id, *rev, Field::Environment)));
        }
        alerts
    }

    #[test]
    fn keeps_the_newest_revision_and_where_each_stands() {
        let alerts = fold(&[(1, "a", 1), (2, "b", 1), (4, "a", 2), (5, "a", 2), (6, "a", 1)]);
        let held = alerts.get(&AlertId::from_text("a")).unwrap();
        assert_eq!((held.record.rev, held.offsets.as_slice()), (2, [1, 4].as_slice()));
        assert_eq!((alerts.as_of(), alerts.open()), (6, 2));
        let order: Vec<u64> = alerts.newest_first().iter().map(|held| held.raised_at()).collect();
        assert_eq!(order, [2, 1]);
    }

    #[test]
    fn a_snapshot_holds_open_ones_and_those_that_ended_lately() {
        let alerts = fold(&[(1, "over", 1), (2, "over", 3), (3, "open", 1)]);
        let ids = |since_ms| -> Vec<String> {
            let records = alerts.snapshot(View::All, Timestamp::from_millis(since_ms));
            records.iter().map(|record| record.id.to_string()).collect()
        };
        assert_eq!(ids(3_000), ["over", "open"]);
        assert_eq!(ids(3_001), ["open"]);
        assert!(alerts.snapshot(View::Of(Field::Security), Timestamp::default()).is_empty());
    }

    #[test]
    fn memory_is_bounded_by_what_is_open() {
        let mut alerts = Alerts::default();
        for episode in 0..KEPT_ENDED as u64 + 50 {
            let id = format!("e{episode}");
            let first = 2 * episode + 1;
            alerts.apply(first, Arc::new(sample::alert(&id, 1, Field::Security)));
            alerts.apply(first + 1, Arc::new(sample::alert(&id, 3, Field::Security)));
        }
        alerts.apply(1 << 40, Arc::new(sample::alert("open", 1, Field::Security)));
        assert_eq!(alerts.newest_first().len(), KEPT_ENDED + 1);
        assert!(alerts.get(&AlertId::from_text("e0")).is_none());

        let mut chatter = Alerts::default();
        for rev in 1..500 {
            chatter.apply(u64::from(rev), Arc::new(sample::alert("c", rev, Field::Security)));
        }
        let held = chatter.get(&AlertId::from_text("c")).unwrap();
        assert_eq!(held.offsets.len(), KEPT_OFFSETS);
        assert_eq!((held.offsets[0], held.offsets[KEPT_OFFSETS - 1]), (1, 499));
    }
}
