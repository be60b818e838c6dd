//! Pure: the entries of the desk, as its log has them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sen_model::{AlertRecord, DeskRecord, Entry, EntryId, RuleId, Timestamp};

/// Entries that have ended and are still known, at most: asking for one of them again does nothing.
pub(crate) const MOST_ENDED: usize = 1_000;
/// Who does what nobody asked for.
pub(super) const SEN: &str = "sen";

/// What stands, and what has ended lately.
#[derive(Debug, Default)]
pub(super) struct Entries {
    known: BTreeMap<EntryId, DeskRecord>,
    /// Those of `known` that may be forgotten, oldest first.
    ended: VecDeque<EntryId>,
    /// Those of `known` that are about alerts and stand: out of service, and planned work.
    reaching: BTreeSet<EntryId>,
    /// Editions of rules that were entered; the rules themselves are in the log.
    editions: BTreeSet<EntryId>,
}

impl Entries {
    /// Takes a record of the desk's log; an older revision than the one held changes nothing.
    pub(super) fn fold(&mut self, record: DeskRecord) -> bool {
        if let Entry::Edition { .. } = record.entry {
            return self.editions.insert(record.id);
        }
        let held = self.known.get(&record.id);
        if held.is_some_and(|held| held.rev >= record.rev) {
            return false;
        }
        let is_reaching = matches!(record.entry, Entry::OutOfService { .. } | Entry::Work { .. });
        if record.open && is_reaching {
            self.reaching.insert(record.id.clone());
        } else {
            self.reaching.remove(&record.id);
        }
        if !record.open && !is_lasting(&record.entry) {
            self.ended.push_back(record.id.clone());
        }
        self.known.insert(record.id.clone(), record);
        while self.ended.len() > MOST_ENDED {
            if let Some(oldest) = self.ended.pop_front() {
                self.known.remove(&oldest);
            }
        }
        true
    }

    /// What a checkpoint must keep: all that stands, and what may stand again.
    pub(super) fn kept(&self) -> Vec<DeskRecord> {
        let is_kept = |record: &&DeskRecord| record.open || is_lasting(&record.entry);
        self.known.values().filter(is_kept).cloned().collect()
    }

    /// The editions that were entered.
    pub(super) fn editions(&self) -> &BTreeSet<EntryId> {
        &self.editions
    }

    /// Takes over the editions of a checkpoint.
    pub(super) fn know_editions(&mut self, editions: impl IntoIterator<Item = EntryId>) {
        self.editions.extend(editions);
    }

    /// An entry, whether it stands or has ended.
    pub(super) fn get(&self, id: &EntryId) -> Option<&DeskRecord> {
        self.known.get(id)
    }

    /// The next record of an entry.
    pub(super) fn next(
        &self,
        id: EntryId,
        open: bool,
        by: &str,
        at: Timestamp,
        entry: Entry,
    ) -> DeskRecord {
        let rev = self.known.get(&id).map_or(0, |held| held.rev) + 1;
        DeskRecord { id, rev, open, by: by.to_owned(), at, entry }
    }

    /// Every entry that is known, but editions.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeMap<EntryId, DeskRecord> {
        &self.known
    }

    /// How many hints were ever given.
    pub(super) fn hints(&self) -> usize {
        self.known.values().filter(|r| matches!(r.entry, Entry::Hint { .. })).count()
    }

    /// What is out of service or worked on, or will be.
    pub(super) fn reaching(&self) -> impl Iterator<Item = &DeskRecord> {
        self.reaching.iter().filter_map(|id| self.known.get(id))
    }

    /// By which entry an alert is out of service; by the one before, as long as that stands.
    pub(super) fn out_of_service(&self, alert: &AlertRecord) -> Option<String> {
        let mut covering = self.reaching().filter(|record| match &record.entry {
            Entry::OutOfService { reach, .. } => reach.covers(alert),
            _ => false,
        });
        let first = covering.next()?;
        let is_before =
            |record: &&DeskRecord| alert.out_of_service.as_deref() == Some(record.id.as_str());
        let by = Some(first).filter(is_before).or_else(|| covering.find(is_before));
        Some(by.unwrap_or(first).id.to_string())
    }

    /// The planned work that an alert falls into, and until when. Work that has begun for an alert
    /// does not end for it because the clock was set back.
    pub(super) fn work(&self, alert: &AlertRecord, now: Timestamp) -> Option<(String, Timestamp)> {
        let before = alert.suppression.as_ref().map(|suppression| &suppression.why);
        let has_begun = |id: &EntryId, from: Timestamp| match before {
            Some(sen_model::alert::Explanation::Maintenance { entry }) => {
                from <= now || entry == id.as_str()
            }
            _ => from <= now,
        };
        self.reaching().find_map(|record| match &record.entry {
            Entry::Work { reach, from, until, .. } => {
                let is_on = has_begun(&record.id, *from) && now < *until && reach.covers(alert);
                is_on.then(|| (record.id.to_string(), *until))
            }
            _ => None,
        })
    }

    /// Whether a drill is on.
    pub(super) fn is_drill(&self) -> bool {
        self.known.get(&EntryId::from_text("drill")).is_some_and(|record| record.open)
    }

    /// The works whose time is up.
    pub(super) fn works_done(&self, now: Timestamp) -> Vec<DeskRecord> {
        let is_done = |record: &&DeskRecord| match record.entry {
            Entry::Work { until, .. } => until <= now,
            _ => false,
        };
        self.reaching().filter(is_done).cloned().collect()
    }

    /// Whether work begins or ends between two times, whichever is first.
    pub(super) fn has_edge(&self, one: Timestamp, other: Timestamp) -> bool {
        let (first, last) = (one.min(other), one.max(other));
        self.reaching().any(|record| match record.entry {
            Entry::Work { from, until, .. } => {
                [from, until].into_iter().any(|edge| first < edge && edge <= last)
            }
            _ => false,
        })
    }
}

/// Whether an entry may stand again under its id after it has ended.
fn is_lasting(entry: &Entry) -> bool {
    matches!(
        entry,
        Entry::Stage { .. } | Entry::StageAdvice { .. } | Entry::Drill { .. } | Entry::Hint { .. }
    )
}

/// The id of the entry of an edition.
pub(super) fn edition_id(rule: &RuleId, version: &str) -> EntryId {
    EntryId::from_text(format!("edition-{rule}-{version}"))
}
