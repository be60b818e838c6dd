//! Pure: the fold of the desk's log: what stands, what stood lately, and the rules as they were.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use sen_model::{DeskRecord, Entry, EntryId, Field, Rule, RuleId};

/// Entries of one kind that ended and are kept; older ones are only in the log.
pub const KEPT_ENDED: usize = 1_000;
/// Changes of the stage that are kept.
pub const KEPT_STAGES: usize = 500;
/// Editions of rules that are kept, the newest ones.
pub const KEPT_EDITIONS: usize = 10_000;

/// What an entry is about: the lists of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The province's stage.
    Stage,
    /// What the rules suggest for it.
    Advice,
    /// Alerts out of service.
    OutOfService,
    /// Planned work.
    Work,
    /// A drill.
    Drill,
    /// A flood of alerts.
    Flood,
    /// A shift that was handed over.
    Shift,
    /// An alert that chatters.
    Hint,
    /// An edition of a rule.
    Edition,
}

impl Kind {
    /// The kind of an entry.
    pub fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Stage { .. } => Self::Stage,
            Entry::StageAdvice { .. } => Self::Advice,
            Entry::OutOfService { .. } => Self::OutOfService,
            Entry::Work { .. } => Self::Work,
            Entry::Drill { .. } => Self::Drill,
            Entry::Flood { .. } => Self::Flood,
            Entry::Shift { .. } => Self::Shift,
            Entry::Hint { .. } => Self::Hint,
            Entry::Edition { .. } => Self::Edition,
        }
    }
}

/// One entry as it is now.
#[derive(Clone, Debug)]
pub struct HeldEntry {
    /// Its newest record.
    pub record: Arc<DeskRecord>,
    /// Where it was begun: the order of lists, which never changes.
    pub begun_at: u64,
}

/// The state of the desk as of one offset.
#[derive(Debug, Default)]
pub struct Desk {
    held: HashMap<EntryId, HeldEntry>,
    /// The ids in the order they were begun.
    order: BTreeMap<(Kind, u64), EntryId>,
    /// Those that ended, in the order of ending; may name some that were begun again.
    ended: BTreeMap<Kind, VecDeque<EntryId>>,
    stages: VecDeque<Arc<DeskRecord>>,
    editions: HashMap<(RuleId, String), Arc<DeskRecord>>,
    edition_order: VecDeque<(RuleId, String)>,
    as_of: u64,
}

impl Desk {
    /// Takes the record at `offset`. A revision that is not above the one held changes nothing.
    pub fn apply(&mut self, offset: u64, record: Arc<DeskRecord>) {
        if offset <= self.as_of {
            return;
        }
        self.as_of = offset;
        if let Entry::Edition { rule, version } = &record.entry {
            let key = (rule.id.clone(), version.clone());
            return self.keep_edition(key, record);
        }
        let kind = Kind::of(&record.entry);
        let held = self.held.get(&record.id);
        if held.is_some_and(|held| held.record.rev >= record.rev) {
            return;
        }
        let begun_at = held.map_or(offset, |held| held.begun_at);
        self.order.insert((kind, begun_at), record.id.clone());
        if kind == Kind::Stage {
            self.stages.push_back(Arc::clone(&record));
            if self.stages.len() > KEPT_STAGES {
                self.stages.pop_front();
            }
        }
        if !record.open {
            self.end(kind, record.id.clone());
        }
        self.held.insert(record.id.clone(), HeldEntry { record, begun_at });
    }

    /// Everything up to `offset` was read, whether or not it could be understood.
    pub fn advance(&mut self, offset: u64) {
        self.as_of = self.as_of.max(offset);
    }

    /// One entry.
    pub fn get(&self, id: &EntryId) -> Option<&Arc<DeskRecord>> {
        self.held.get(id).map(|held| &held.record)
    }

    /// Every entry of a kind that is held, the last one begun first.
    pub fn newest_first(&self, kind: Kind) -> impl Iterator<Item = &HeldEntry> {
        let all = self.order.range((kind, 0)..=(kind, u64::MAX)).rev();
        all.filter_map(|(_, id)| self.held.get(id))
    }

    /// Entries of a kind that stand, the last one begun first.
    pub fn open(&self, kind: Kind) -> impl Iterator<Item = &Arc<DeskRecord>> {
        self.newest_first(kind).map(|held| &held.record).filter(|record| record.open)
    }

    /// The stage as it was set, newest first.
    pub fn stages(&self) -> impl Iterator<Item = &Arc<DeskRecord>> {
        self.stages.iter().rev()
    }

    /// A rule as it was in one of its editions.
    pub fn edition(&self, rule: &RuleId, version: &str) -> Option<&Rule> {
        let record = self.editions.get(&(rule.clone(), version.to_owned()))?;
        match &record.entry {
            Entry::Edition { rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// When the last shift of a desk was handed over; one of all desks ends the shift of each.
    pub fn last_shift(&self, wanted: Option<Field>) -> Option<&Arc<DeskRecord>> {
        let is_its = |record: &&Arc<DeskRecord>| match &record.entry {
            Entry::Shift { desk, .. } => desk.is_none() || *desk == wanted,
            _ => false,
        };
        self.newest_first(Kind::Shift).map(|held| &held.record).find(is_its)
    }

    fn keep_edition(&mut self, key: (RuleId, String), record: Arc<DeskRecord>) {
        if self.editions.insert(key.clone(), record).is_none() {
            self.edition_order.push_back(key);
        }
        while self.edition_order.len() > KEPT_EDITIONS {
            if let Some(oldest) = self.edition_order.pop_front() {
                self.editions.remove(&oldest);
            }
        }
    }

    fn end(&mut self, kind: Kind, id: EntryId) {
        let ended = self.ended.entry(kind).or_default();
        ended.push_back(id);
        while ended.len() > KEPT_ENDED {
            let Some(oldest) = ended.pop_front() else { return };
            let is_over = |held: &HeldEntry| !held.record.open;
            if self.held.get(&oldest).is_some_and(is_over)
                && let Some(held) = self.held.remove(&oldest)
            {
                self.order.remove(&(kind, held.begun_at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn stage(rev: u32, stage: u8) -> Arc<DeskRecord> {
        let entry = Entry::Stage { stage, reason: "Mưa lớn".into() };
        Arc::new(sample::entry("stage", rev, true, entry))
    }

    fn work(id: &str, rev: u32, open: bool) -> Arc<DeskRecord> {
        Arc::new(sample::entry(id, rev, open, sample::work()))
    }

    #[test]
    fn keeps_the_newest_revision_of_each_entry_in_the_order_they_were_begun() {
        let mut desk = Desk::default();
        desk.apply(1, work("work-a", 1, true));
        desk.apply(2, work("work-b", 1, true));
        desk.apply(3, work("work-a", 2, false));
        desk.apply(4, work("work-a", 1, true));
        desk.apply(3, work("work-b", 9, false));
        let ids = |open: bool| -> Vec<(String, u32)> {
            let all = desk.newest_first(Kind::Work).map(|held| &held.record);
            let all = all.filter(|record| !open || record.open);
            all.map(|record| (record.id.to_string(), record.rev)).collect()
        };
        assert_eq!(ids(false), [("work-b".to_owned(), 1), ("work-a".to_owned(), 2)]);
        assert_eq!(ids(true), [("work-b".to_owned(), 1)]);
        assert_eq!(desk.open(Kind::Work).count(), 1);
        assert!(desk.newest_first(Kind::Drill).next().is_none());
    }

    #[test]
    fn the_stage_has_a_history_of_bounded_length() {
        let mut desk = Desk::default();
        for rev in 1..=KEPT_STAGES as u32 + 7 {
            desk.apply(u64::from(rev), stage(rev, (rev % 5 + 1) as u8));
        }
        let revs: Vec<u32> = desk.stages().map(|record| record.rev).collect();
        assert_eq!((revs.len(), revs[0]), (KEPT_STAGES, KEPT_STAGES as u32 + 7));
        assert_eq!(desk.open(Kind::Stage).count(), 1);
    }

    #[test]
    fn an_edition_is_found_by_its_rule_and_version() {
        let mut desk = Desk::default();
        let mut rule = sample::rule("flood");
        for (offset, version) in ["v1", "v2"].into_iter().enumerate() {
            rule.source = format!("edition {version}");
            let entry =
                Entry::Edition { rule: Box::new(rule.clone()), version: version.to_owned() };
            let id = format!("edition-flood-{version}");
            desk.apply(offset as u64 + 1, Arc::new(sample::entry(&id, 1, true, entry)));
        }
        assert_eq!(desk.edition(&rule.id, "v1").unwrap().source, "edition v1");
        assert_eq!(desk.edition(&rule.id, "v2").unwrap().source, "edition v2");
        assert!(desk.edition(&rule.id, "v3").is_none());
    }

    #[test]
    fn memory_is_bounded_by_what_stands() {
        let mut desk = Desk::default();
        for n in 0..KEPT_ENDED as u64 + 50 {
            desk.apply(2 * n + 1, work(&format!("work-{n}"), 1, true));
            desk.apply(2 * n + 2, work(&format!("work-{n}"), 2, false));
        }
        desk.apply(1 << 40, work("stands", 1, true));
        assert_eq!(desk.newest_first(Kind::Work).count(), KEPT_ENDED + 1);
        assert!(desk.get(&EntryId::from_text("work-0")).is_none());
        assert!(desk.get(&EntryId::from_text("stands")).is_some());
    }

    #[test]
    fn a_shift_of_all_desks_ends_that_of_each() {
        let mut desk = Desk::default();
        let shift = |id: &str, desk: Option<Field>| {
            Arc::new(sample::entry(id, 1, false, sample::shift(desk)))
        };
        desk.apply(1, shift("shift-1", Some(Field::Security)));
        assert_eq!(desk.last_shift(Some(Field::Security)).unwrap().id.as_str(), "shift-1");
        assert!(desk.last_shift(Some(Field::Transport)).is_none());
        assert!(desk.last_shift(None).is_none());
        desk.apply(2, shift("shift-2", None));
        for wanted in [None, Some(Field::Security), Some(Field::Transport)] {
            assert_eq!(desk.last_shift(wanted).unwrap().id.as_str(), "shift-2");
        }
    }
}
