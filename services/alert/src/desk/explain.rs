//! Pure: what explains an alert, so that nobody has to act on it apart; and what is out of service.
//!
//! Both follow from what stands now (open alerts, entries of the desk, the time), so they are
//! worked out again whenever one of these changes, and a crash between a cause and what follows
//! from it is mended by working them out once more. Of several causes one is told, in this order:
//! a person, planned work, a dependency that is down, a worse level, a broader alert. A cause that
//! still holds is not exchanged for another of its kind.
//!
//! A dependency, a worse level and a broader alert explain only what holds: an alert that has
//! returned while it was explained is over, and one that waits for a person goes on waiting. And so
//! that nothing is hidden behind what is milder or hidden itself:
//!
//! - An alert is explained only by one that is at least as severe.
//! - What a person, planned work or the shelf has put aside explains nothing, nor does what is out
//!   of service. One exception: a dependency that is on the shelf or under planned work, both of
//!   which end by themselves, was put aside by somebody who knew what depends on it.
//! - A broader alert explains who joins it only until it is acknowledged: whoever took it has not
//!   seen the new one.
//!
//! What is explained itself may explain others: what explains it is shown, and stands for both.
//!
//! A composite of silences is explained by what explains all its members that hold: one dead
//! gateway is one alert.

use std::collections::BTreeSet;

use sen_model::alert::{Explanation, Suppression};
use sen_model::{AlertId, AlertRecord, AlertState, Change, DeviceId, Timestamp};

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
            None => (self.cause(alert, now)?, None),
        };
        let at = held.filter(|held| held.why == why).map_or(now, |held| held.at);
        Some(Suppression { why, at, until })
    }

    /// The other alert that explains one, if its condition holds.
    fn cause(&self, alert: &AlertRecord, now: Timestamp) -> Option<Explanation> {
        if !alert.holds() {
            return None;
        }
        let dependency = self.dependency(alert, now);
        dependency.or_else(|| self.worse(alert, now)).or_else(|| self.broader(alert, now))
    }

    fn dependency(&self, alert: &AlertRecord, now: Timestamp) -> Option<Explanation> {
        let down = match self.around.is_composite(alert) {
            true => self.down_above_all(alert),
            false => self.down_above(alert),
        };
        let may = |(id, _): &(AlertId, DeviceId)| self.explaining(id, alert, true, now).is_some();
        let before = match alert.suppression.as_ref().map(|held| &held.why) {
            Some(Explanation::Dependency { alert, device }) => Some((alert, device)),
            _ => None,
        };
        let mut down = down.into_iter().filter(may);
        let first = down.next()?;
        let is_before = |(id, device): &(AlertId, DeviceId)| before == Some((id, device));
        let same = if is_before(&first) { None } else { down.find(is_before) };
        let (alert, device) = same.unwrap_or(first);
        Some(Explanation::Dependency { alert, device })
    }

    /// The alerts that a silent device may be explained by: about what it depends on, the nearest
    /// first.
    fn down_above(&self, alert: &AlertRecord) -> Vec<(AlertId, DeviceId)> {
        if !self.around.is_absence(alert) {
            return Vec::new();
        }
        let about = |device: &DeviceId| {
            let device = device.clone();
            let is_cause = |id: &&AlertId| {
                self.alerts.get(id).is_some_and(|cause| self.around.explains(cause))
            };
            let causes = self.list.about(&device).filter(is_cause).cloned();
            causes.map(|id| (id, device.clone())).collect::<Vec<_>>()
        };
        self.around.above(&alert.device).iter().flat_map(about).collect()
    }

    /// Those that every member that holds may be explained by.
    fn down_above_all(&self, alert: &AlertRecord) -> Vec<(AlertId, DeviceId)> {
        let is_over = |id: &AlertId| self.alerts.get(id).is_some_and(|member| !member.holds());
        let mut members = alert.members.iter().filter(|id| !is_over(id)).map(|id| {
            let member = self.alerts.get(id);
            member.map_or_else(Vec::new, |member| self.down_above(member))
        });
        let mut common = members.next().unwrap_or_default();
        for down in members {
            common.retain(|cause| down.contains(cause));
        }
        common
    }

    fn worse(&self, alert: &AlertRecord, now: Timestamp) -> Option<Explanation> {
        if alert.level == 0 {
            return None;
        }
        let place = Place::of(alert);
        let mut worse = self.list.levels(&place).rev().filter(|(level, _)| *level > alert.level);
        let cause = worse.find(|(_, id)| self.explaining(id, alert, false, now).is_some())?.1;
        Some(Explanation::Level { alert: cause.clone() })
    }

    fn broader(&self, alert: &AlertRecord, now: Timestamp) -> Option<Explanation> {
        let before = match alert.suppression.as_ref().map(|held| &held.why) {
            Some(Explanation::Member { alert }) => Some(alert),
            _ => None,
        };
        let may = |id: &&AlertId| {
            let cause = self.explaining(id, alert, false, now);
            cause.is_some_and(|cause| {
                cause.state == AlertState::Unacknowledged || before == Some(*id)
            })
        };
        let mut broader = self.list.broader(&alert.id).filter(may);
        let first = broader.next()?;
        let cause = before.filter(|before| *before == first || broader.any(|id| id == *before));
        Some(Explanation::Member { alert: cause.unwrap_or(first).clone() })
    }

    /// An alert as the cause of another one: it holds, it is as severe, and it is not put aside.
    /// Looked at is what stands now, not what its record says, which may have to follow yet.
    fn explaining(
        &self,
        id: &AlertId,
        alert: &AlertRecord,
        is_dependency: bool,
        now: Timestamp,
    ) -> Option<&AlertRecord> {
        let cause = self.alerts.get(id)?;
        if !cause.holds() || cause.severity > alert.severity {
            return None;
        }
        let is_hidden = self.entries.out_of_service(cause).is_some()
            || cause.suppression.as_ref().is_some_and(|held| is_person(held) && !is_up(held, now));
        let is_put_aside = cause.shelving.is_some() || self.entries.work(cause, now).is_some();
        (!is_hidden && (is_dependency || !is_put_aside)).then_some(cause)
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
    /// its device, its members, and what it is a member of, with what that may explain.
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
        let broader: Vec<AlertId> =
            touched.iter().flat_map(|id| self.list.broader(id)).cloned().collect();
        touched.extend(broader);
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
