//! Pure: timed shelves. One covers a rule over a series, of its level and milder, until its time
//! is up: an episode that begins meanwhile is on the shelf from its first record. A worse level is
//! told all the same.

use std::collections::HashMap;

use sen_model::alert::Shelving;
use sen_model::{AlertRecord, Change, Timestamp};

use super::lifecycle::is_due;
use super::list::Place;

/// The shelves whose time is not yet up, by place and level.
#[derive(Debug, Default)]
pub(super) struct Shelves(HashMap<Place, Vec<(u8, Shelving)>>);

impl Shelves {
    /// Takes a record of the alert log, in its order; every record may come again.
    pub(super) fn note(&mut self, record: &AlertRecord) {
        let shelving = record.shelving.as_ref().filter(|shelving| !shelving.one_shot);
        let is_settled = matches!(record.change, Change::Shelved | Change::Unshelved);
        if !is_settled && shelving.is_none() {
            return;
        }
        let place = Place::of(record);
        let there = self.0.entry(place.clone()).or_default();
        there.retain(|(level, _)| *level != record.level);
        there.extend(shelving.map(|shelving| (record.level, shelving.clone())));
        if there.is_empty() {
            self.0.remove(&place);
        }
    }

    /// The shelf an alert belongs on.
    pub(super) fn over(&self, alert: &AlertRecord, now: Timestamp) -> Option<Shelving> {
        if self.0.is_empty() {
            return None;
        }
        let there = self.0.get(&Place::of(alert))?;
        let covers =
            |(level, shelving): &&(u8, Shelving)| *level >= alert.level && !is_due(shelving, now);
        there.iter().find(covers).map(|(_, shelving)| shelving.clone())
    }

    /// Forgets those whose time is up.
    pub(super) fn pass_time(&mut self, now: Timestamp) {
        for there in self.0.values_mut() {
            there.retain(|(_, shelving)| !is_due(shelving, now));
        }
        self.0.retain(|_, there| !there.is_empty());
    }

    /// Whether an alert that is over still holds a shelf for what comes after it.
    pub(super) fn is_held_by(&self, alert: &AlertRecord, now: Timestamp) -> bool {
        alert.shelving.is_some() && alert.shelving == self.over(alert, now)
    }
}
