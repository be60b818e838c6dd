//! Pure: what explains an alert, so that nobody has to act on it apart; and what is out of service.
//!
//! Both follow from what stands now (open alerts, entries of the desk, the time), so they are
//! worked out again whenever one of these changes, and a crash between a cause and what follows
//! from it is mended by working them out once more. Of several causes one is told, in this order:
//! a person, planned work, a dependency that is down, a worse level, a broader alert. A cause that
//! still holds is not exchanged for another of its kind.
//!
//! A dependency, a worse level and a broader alert explain only what holds: an alert that has
//! returned while it was explained is over, and one that waits for a person goes on waiting.

use std::collections::BTreeSet;

use sen_model::alert::{Explanation, Suppression};
use sen_model::{AlertId, AlertRecord, Change, DeviceId, Timestamp};

use super::Desk;
use super::lifecycle::next;
use super::list::Place;
use crate::records::Records;

impl Desk {
    /// What explains an alert now.
    pub(super) fn explanation(&self, alert: &AlertRecord, now: Timestamp) -> Option<Suppression> {
        let held = alert.suppression.as_ref();
        if let Some(held) = held.filter(|held| is_person(held) && !is_up(held, now)) {
            return Some(held.clone());
        }
        let (why, until) = match self.entries.work(alert, now) {
            Some((entry, until)) => (Explanation::Maintenance { entry }, Some(until)),
            None => (self.cause(alert)?, None),
        };
        let at = held.filter(|held| held.why == why).map_or(now, |held| held.at);
        Some(Suppression { why, at, until })
    }

    /// The other alert that explains one, if its condition holds.
    fn cause(&self, alert: &AlertRecord) -> Option<Explanation> {
        if !alert.holds() {
            return None;
        }
        self.dependency(alert).or_else(|| self.worse(alert)).or_else(|| self.broader(alert))
    }

    fn dependency(&self, alert: &AlertRecord) -> Option<Explanation> {
        let above = self.around.above(&alert.device);
        if above.is_empty() || !self.around.is_absence(alert) {
            return None;
        }
        let down = |device: &DeviceId| -> Vec<&AlertId> {
            let about = self.list.about(device);
            about.filter(|id| self.holding(id).is_some_and(|a| self.around.explains(a))).collect()
        };
        let before = match alert.suppression.as_ref().map(|held| &held.why) {
            Some(Explanation::Dependency { alert, device }) => Some((alert, device)),
            _ => None,
        };
        if let Some((cause, device)) = before
            && above.contains(device)
            && down(device).contains(&cause)
        {
            return alert.suppression.as_ref().map(|held| held.why.clone());
        }
        above.iter().find_map(|device| {
            let cause = down(device).first().copied()?.clone();
            Some(Explanation::Dependency { alert: cause, device: device.clone() })
        })
    }

    fn worse(&self, alert: &AlertRecord) -> Option<Explanation> {
        if alert.level == 0 {
            return None;
        }
        let place = Place::of(alert);
        let mut worse = self.list.levels(&place).rev().filter(|(level, _)| *level > alert.level);
        let cause = worse.find(|(_, id)| self.holding(id).is_some())?.1;
        Some(Explanation::Level { alert: cause.clone() })
    }

    fn broader(&self, alert: &AlertRecord) -> Option<Explanation> {
        let mut broader = self.list.broader(&alert.id).filter(|id| self.holding(id).is_some());
        let first = broader.next()?;
        let before = match alert.suppression.as_ref().map(|held| &held.why) {
            Some(Explanation::Member { alert }) => Some(alert),
            _ => None,
        };
        let cause = before.filter(|before| *before == first || broader.any(|id| id == *before));
        Some(Explanation::Member { alert: cause.unwrap_or(first).clone() })
    }

    /// An alert whose condition holds.
    fn holding(&self, id: &AlertId) -> Option<&AlertRecord> {
        self.alerts.get(id).filter(|alert| alert.holds())
    }

    /// Works out what explains an alert and puts that into its record, if it is something else.
    pub(super) fn explain(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
        let Some(held) = self.alerts.get(id).filter(|held| held.state.is_open()) else { return };
        let out_of_service = self.entries.out_of_service(held);
        if out_of_service != held.out_of_service {
            let is_out = out_of_service.is_some();
            let change = if is_out { Change::TakenOut } else { Change::PutBack };
            let record = AlertRecord { out_of_service, ..next(held, change, now) };
            self.record(record, out);
        }
        let Some(held) = self.alerts.get(id) else { return };
        let suppression = self.explanation(held, now);
        if suppression != held.suppression {
            let is_explained = suppression.is_some();
            let change = if is_explained { Change::Suppressed } else { Change::Unsuppressed };
            let record = AlertRecord { suppression, ..next(held, change, now) };
            self.record(record, out);
        }
    }

    /// Works out again what an alert may have to do with: itself, its other levels, what depends on
    /// its device, its members.
    pub(super) fn explain_around(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
        let Some(alert) = self.alerts.get(id) else { return };
        let mut touched: BTreeSet<AlertId> = alert.members.iter().cloned().collect();
        touched.insert(id.clone());
        if alert.level > 0 {
            touched.extend(self.list.levels(&Place::of(alert)).map(|(_, id)| id.clone()));
        }
        let below = self.around.below(&alert.device);
        if !below.is_empty() && self.around.explains(alert) {
            touched.extend(below.iter().flat_map(|device| self.list.about(device)).cloned());
        }
        touched.iter().for_each(|id| self.explain(id, now, out));
    }

    /// Works out again what explains every open alert.
    pub(super) fn explain_all(&mut self, now: Timestamp, out: &mut Records) {
        let open: Vec<AlertId> = self.open().into_iter().map(|alert| alert.id.clone()).collect();
        open.iter().for_each(|id| self.explain(id, now, out));
    }
}

/// Whether a person said so.
pub(super) fn is_person(suppression: &Suppression) -> bool {
    matches!(suppression.why, Explanation::Person { .. })
}

/// Whether its time is up.
pub(super) fn is_up(suppression: &Suppression, now: Timestamp) -> bool {
    suppression.until.is_some_and(|until| until <= now)
}
