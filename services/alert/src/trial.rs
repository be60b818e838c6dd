//! Pure: rules on trial. What they find is recorded beside the alerts, in a log of its own, and no
//! operator sees it: an episode begins and ends, and nobody takes it.

use std::collections::{BTreeMap, HashSet, VecDeque};

use sen_model::{AlertId, AlertRecord, Registry, Timestamp};

use crate::desk::MOST_CLOSED;
use crate::desk::lifecycle::{cleared, joined, raised, returned};
use crate::transition::Transition;
use crate::wording::{Unwatched, withdrawn};

/// The episodes of rules on trial, as their log has them.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    open: BTreeMap<AlertId, AlertRecord>,
    over: HashSet<AlertId>,
    /// Those that are over, oldest first.
    order: VecDeque<AlertId>,
}

impl Trial {
    /// Takes a record of the log; an older revision than the one held changes nothing.
    pub(crate) fn fold(&mut self, record: AlertRecord) {
        if self.over.contains(&record.id) {
            return;
        }
        if record.state.is_open() {
            let held = self.open.get(&record.id);
            if held.is_none_or(|held| held.rev < record.rev) {
                self.open.insert(record.id.clone(), record);
            }
            return;
        }
        self.open.remove(&record.id);
        self.over.insert(record.id.clone());
        self.order.push_back(record.id);
        while self.order.len() > MOST_CLOSED {
            if let Some(oldest) = self.order.pop_front() {
                self.over.remove(&oldest);
            }
        }
    }

    /// The open episodes.
    pub(crate) fn open(&self) -> impl Iterator<Item = &AlertRecord> {
        self.open.values()
    }

    /// Adds the record a transition makes, if it changes anything.
    pub(crate) fn apply(
        &mut self,
        transition: &Transition,
        registry: &Registry,
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) {
        let id = transition.episode();
        let record = match (transition, self.open.get(&id)) {
            (Transition::Raise { .. }, None) if !self.over.contains(&id) => {
                raised(transition, registry, now)
            }
            (Transition::Join { .. }, Some(held)) => joined(held, transition, registry, now),
            (Transition::Clear { .. }, Some(held)) => cleared(held, transition, registry, now),
            _ => None,
        };
        if let Some(record) = record {
            self.record(record, out);
        }
    }

    /// Ends an episode nobody watches any more.
    pub(crate) fn withdraw(
        &mut self,
        id: &AlertId,
        why: Unwatched,
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) {
        let Some(held) = self.open.get(id) else { return };
        if let Some(mut record) = returned(held, false, now, now) {
            record.text = withdrawn(held, why);
            self.record(record, out);
        }
    }

    /// Nobody takes what nobody sees: what has ended is over, whatever its rule says of people.
    fn record(&mut self, mut record: AlertRecord, out: &mut Vec<AlertRecord>) {
        if !record.holds() {
            record.state = sen_model::AlertState::Normal;
        }
        self.fold(record.clone());
        out.push(record);
    }
}
