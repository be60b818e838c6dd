//! Pure: handing a shift over, with what is open at that moment.

use sen_model::{AlertId, AlertRecord, Entry, EntryId, Field, Timestamp};

use super::Desk;
use super::orders::{Refused, allow};
use super::{NAME_CHARS, cut, words};

/// Alerts of a kind that a report lists, at most: the worst and of these the oldest. All of them
/// are in the alert log.
const MOST_LISTED: usize = 500;
/// Longest text of a report, in characters.
const TEXT_CHARS: usize = 4_000;

impl Desk {
    /// The report of a shift that ends now.
    pub(super) fn shift(
        &self,
        to: &str,
        desk: Option<Field>,
        from: Timestamp,
        text: &str,
        now: Timestamp,
    ) -> Result<Entry, Refused> {
        allow(!to.trim().is_empty(), words::nobody_takes_it)?;
        allow(from < now, words::shift_in_future)?;
        let is_of_desk = |alert: &&AlertRecord| desk.is_none_or(|desk| desk == alert.field);
        let of_desk = || self.alerts.values().filter(is_of_desk);
        let open = || of_desk().filter(|alert| alert.state.is_open());
        let during = || of_desk().filter(|alert| self.was_raised_within(alert, from, now));
        let taken = during().filter(|alert| alert.acknowledgement.is_some());
        Ok(Entry::Shift {
            desk,
            from,
            until: now,
            to: cut(to.trim(), NAME_CHARS),
            text: cut(text.trim(), TEXT_CHARS),
            open: listed(open().filter(|alert| alert.is_shown())),
            shelved: listed(open().filter(|alert| alert.shelving.is_some())),
            suppressed: listed(open().filter(|alert| alert.suppression.is_some())),
            out_of_service: self.in_effect(now),
            raised: count(during()),
            acknowledged: count(taken),
        })
    }

    /// Whether the first record of an alert fell into a shift. Its later records do not say when
    /// that was; it was not before the alert began.
    fn was_raised_within(&self, alert: &AlertRecord, from: Timestamp, now: Timestamp) -> bool {
        let raised_at = self.raised_at.get(&alert.id).copied().unwrap_or(alert.started_at);
        from <= raised_at && raised_at <= now
    }

    /// The entries by which something is out of service or worked on.
    fn in_effect(&self, now: Timestamp) -> Vec<EntryId> {
        let has_begun = |entry: &Entry| !matches!(entry, Entry::Work { from, .. } if *from > now);
        let entries = self.entries.reaching().filter(|record| has_begun(&record.entry));
        entries.map(|record| record.id.clone()).collect()
    }
}

fn listed<'a>(alerts: impl Iterator<Item = &'a AlertRecord>) -> Vec<AlertId> {
    let mut alerts: Vec<_> =
        alerts.map(|alert| (alert.severity, alert.started_at, &alert.id)).collect();
    alerts.sort();
    alerts.into_iter().take(MOST_LISTED).map(|(_, _, id)| id.clone()).collect()
}

fn count<'a>(alerts: impl Iterator<Item = &'a AlertRecord>) -> u32 {
    u32::try_from(alerts.count()).unwrap_or(u32::MAX)
}
