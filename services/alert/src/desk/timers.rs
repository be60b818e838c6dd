//! Pure: what the passing of time does at the desk, and nothing else does: shelves and suppressions
//! whose time is up, planned work that begins and ends, alerts of other systems that were not told
//! again, floods that ebb away. The times are those of the wall clock, because people wrote them
//! down; where it was set forward, what is due by it is due, and where it was set back, later.

use sen_model::{AlertId, AlertRecord, Change, DeskRecord, Timestamp};

use super::Desk;
use super::entries::SEN;
use super::explain::{is_person, is_up};
use super::lifecycle::{is_due, next};
use crate::records::Records;

impl Desk {
    /// Does what is due. The first call after a start also mends what a crash cut off.
    pub(crate) fn pass_time(&mut self, now: Timestamp, out: &mut Records) {
        let has_edge = match self.passed_to {
            None => true,
            Some(before) => self.entries.has_edge(before, now),
        };
        self.passed_to = Some(now);
        for done in self.entries.works_done(now) {
            let DeskRecord { id, entry, .. } = done;
            self.enter(self.entries.next(id, false, SEN, now, entry), out);
        }
        self.unshelve_due(now, out);
        self.shelves.pass_time(now);
        self.end_untold(now, out);
        if has_edge {
            self.explain_all(now, out);
        } else {
            self.unexplain_due(now, out);
        }
        self.watch_floods(now, out);
        self.advise(now, out);
    }

    fn unshelve_due(&mut self, now: Timestamp, out: &mut Records) {
        let is_back = |alert: &AlertRecord| {
            let shelving = alert.shelving.as_ref();
            shelving.is_some_and(|shelving| is_due(shelving, now) || is_used(alert))
        };
        for id in self.open_where(is_back) {
            self.take_off_shelf(&id, now, out);
        }
    }

    /// A one-shot shelf is used when the condition is gone.
    pub(super) fn unshelve_used(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
        if self.alerts.get(id).is_some_and(|alert| alert.state.is_open() && is_used(alert)) {
            self.take_off_shelf(id, now, out);
        }
    }

    fn take_off_shelf(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
        let Some(held) = self.alerts.get(id) else { return };
        let record = AlertRecord { shelving: None, ..next(held, Change::Unshelved, now) };
        self.record(record, out);
        self.explain_around(id, now, out);
    }

    fn unexplain_due(&mut self, now: Timestamp, out: &mut Records) {
        let is_back = |alert: &AlertRecord| {
            let suppression = alert.suppression.as_ref();
            suppression.is_some_and(|held| is_person(held) && is_up(held, now))
        };
        for id in self.open_where(is_back) {
            self.explain_around(&id, now, out);
        }
    }

    /// The ids of open alerts, oldest first, so that the log has one order.
    fn open_where(&self, is_meant: impl Fn(&AlertRecord) -> bool) -> Vec<AlertId> {
        let open = self.alerts.values().filter(|alert| alert.state.is_open() && is_meant(alert));
        let mut found: Vec<_> = open.map(|alert| (alert.started_at, alert.id.clone())).collect();
        found.sort();
        found.into_iter().map(|(_, id)| id).collect()
    }
}

fn is_used(alert: &AlertRecord) -> bool {
    !alert.holds() && alert.shelving.as_ref().is_some_and(|shelving| shelving.one_shot)
}
