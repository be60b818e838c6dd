//! Pure: rules about events. Counts happenings within event time in a scope, and holds an episode
//! open until none has come for a while.
//!
//! - An episode is raised by the event that makes it enough: so many (that differ in what the rule
//!   names) within `within_ms` of event time. It begins with the first of them. What was counted
//!   in one episode counts in no other.
//! - Outside the schedule of the rule nothing counts, and what is open ends.
//! - It ends when nothing that counts has been *received* for `quiet_ms`: by the clock, not
//!   counting the time we did not listen; or, at the latest, when something is received that came
//!   so long after the last. So the events alone, in the order of the log, settle which episodes
//!   there are: a replay makes the same ids whenever the clock was looked at.
//! - It ends, too, when a person closes its alert: with what was received by then, so that what
//!   comes afterwards is another one. A replay is told beforehand what was closed, and ends it with
//!   the same event.
//! - A repeat of an event changes nothing as long as it is remembered: the last [`MOST_SEEN`] of a
//!   scope, for a day or the time of the rule if that is longer. What is older is not judged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sen_model::condition::Scope;
use sen_model::time::DAY_MS;
use sen_model::{
    AlertId, AlertRecord, AreaCode, Condition, Device, Event, Registry, Rule, RuleId, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::found::{Change, Found};
use crate::schedule;
use crate::scope::Place;
use crate::selection::selects;
use crate::transition::Edition;

/// Events remembered in each scope of a rule, and so the most that can be counted.
pub(crate) const MOST_SEEN: usize = 512;
/// Scopes of one rule in which something is remembered, at most: beyond it the one that was quiet
/// for the longest is forgotten, and if none is quiet the event is not judged.
const MOST_SCOPES: usize = 5_000;
/// The attribute by which a reporter says where it happened, as the code of a commune; otherwise
/// it is where the reporter stands.
const AREA: &str = "area";
/// What `distinct` calls the reporter.
const REPORTER: &str = "device";

/// What was done since the stage was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// A rule looked at an event.
    pub(crate) evaluations: u64,
    /// Events older than the memory of their scope.
    pub(crate) forgotten: u64,
    /// Events that could not be judged for want of room for their scope.
    pub(crate) refused: u64,
}

/// An event that counted: when it happened, which it is, and in what it differs from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Seen(i64, u64, u64);

/// One scope of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Spell {
    /// In order of event time.
    #[serde(rename = "s")]
    seen: Vec<Seen>,
    /// What happened up to here is forgotten.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    floor: Option<i64>,
    /// What happened up to here was counted in an episode that is over.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<i64>,
    /// When the last one that counts was received.
    #[serde(rename = "h")]
    heard: i64,
    /// The beginning of the latest episode, and whether it is open.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    episode: Option<(i64, bool)>,
    /// When a person closed the open episode.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    closed: Option<i64>,
}

/// One rule with what it remembers.
#[derive(Debug)]
struct Counting {
    edition: Edition,
    spells: BTreeMap<Place, Spell>,
    /// When episodes were closed that a replay has yet to find.
    closings: HashMap<AlertId, i64>,
}

/// The event rules and what they remember.
#[derive(Debug)]
pub(crate) struct Happenings {
    registry: Arc<Registry>,
    rules: Vec<Counting>,
    by_kind: HashMap<String, Vec<usize>>,
    late_after_ms: i64,
    resumed_at: Timestamp,
    counts: Counts,
}

/// What a checkpoint keeps of the happenings.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventMemory(Vec<(RuleId, String, Spells)>);

/// Every scope in which something is remembered.
type Spells = Vec<(Place, Spell)>;

impl Happenings {
    /// The event rules among these editions, with what was remembered under the same edition.
    pub(crate) fn new(
        editions: &[Edition],
        registry: Arc<Registry>,
        late_after_ms: i64,
        memory: EventMemory,
        now: Timestamp,
    ) -> Self {
        let mut remembered: HashMap<(RuleId, String), Spells> =
            memory.0.into_iter().map(|(id, version, spells)| ((id, version), spells)).collect();
        let mut by_kind: HashMap<String, Vec<usize>> = HashMap::new();
        let mut rules = Vec::new();
        for edition in editions {
            let Condition::Events { kinds, .. } = &edition.rule.condition else { continue };
            for kind in kinds {
                by_kind.entry(kind.clone()).or_default().push(rules.len());
            }
            let key = (edition.rule.id.clone(), edition.version.to_string());
            let spells = remembered.remove(&key).unwrap_or_default().into_iter().collect();
            let closings = HashMap::new();
            rules.push(Counting { edition: edition.clone(), spells, closings });
        }
        let counts = Counts::default();
        Self { registry, rules, by_kind, late_after_ms, resumed_at: now, counts }
    }

    /// Judges one event.
    pub(crate) fn hear(&mut self, event: &Event, out: &mut Vec<Found>) {
        let known = self.registry.device(&event.device);
        for number in self.by_kind.get(&event.kind).into_iter().flatten() {
            let counting = &mut self.rules[*number];
            if !counting.is_about(event, known) {
                continue;
            }
            let Some((place, seen)) = counting.counts_as(event, &self.registry) else { continue };
            self.counts.evaluations += 1;
            let is_late = event.received_at.since_ms(event.event_time) > self.late_after_ms;
            match counting.take(&place, seen, event.received_at.as_millis(), is_late, out) {
                Taken::Judged => {}
                Taken::Forgotten => self.counts.forgotten += 1,
                Taken::Refused => self.counts.refused += 1,
            }
        }
    }

    /// A person closed an alert: its episode ends with what was received by then, also if a replay
    /// has yet to find it. An alert of another rule, or of an episode that is over, changes nothing.
    pub(crate) fn close(&mut self, record: &AlertRecord) {
        let is_its = |counting: &&mut Counting| {
            let Edition { rule, version, .. } = &counting.edition;
            rule.id == record.rule && **version == *record.rule_version
        };
        if let Some(counting) = self.rules.iter_mut().find(is_its) {
            counting.close(record);
        }
    }

    /// Listening begins (again): quiet is counted from here.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.resumed_at = now;
    }

    /// Nothing was heard ahead of the clock, which may have been set back.
    pub(crate) fn turn_back(&mut self, now: Timestamp) {
        let spells = self.rules.iter_mut().flat_map(|counting| counting.spells.values_mut());
        spells.for_each(|spell| spell.heard = spell.heard.min(now.as_millis()));
    }

    /// Ends what has been quiet for long enough. Call it only when every event received before
    /// `now` has been judged.
    pub(crate) fn judge_quiet(&mut self, now: Timestamp, out: &mut Vec<Found>) {
        for counting in &mut self.rules {
            let Counting { edition, spells, .. } = counting;
            let Condition::Events { quiet_ms, .. } = edition.rule.condition else { continue };
            for (place, spell) in spells.iter_mut().filter(|(_, spell)| spell.is_open()) {
                let counted_from = spell.heard.max(self.resumed_at.as_millis());
                let is_quiet = now.as_millis().saturating_sub(counted_from) > quiet_ms;
                let closes = spell.closes(&edition.rule).filter(|at| *at <= now.as_millis());
                let quiet = is_quiet.then_some(spell.heard.saturating_add(quiet_ms));
                let closed = spell.closed.filter(|at| *at < now.as_millis());
                let over = [quiet, closes, closed].into_iter().flatten().min();
                let over = over.and_then(|at| spell.end(at));
                out.extend(over.map(|over| over.found(edition, place)));
            }
        }
    }

    /// The ids of the episodes this stage holds open.
    pub(crate) fn open(&self) -> Vec<AlertId> {
        self.held().map(|found| found.id()).collect()
    }

    /// The episodes this stage holds open, as if each had been raised when it began.
    pub(crate) fn held(&self) -> impl Iterator<Item = Found> {
        let spells = self.rules.iter().flat_map(|counting| {
            counting.spells.iter().map(move |(place, spell)| (&counting.edition, place, spell))
        });
        spells.filter(|(_, _, spell)| spell.is_open()).filter_map(|(edition, place, spell)| {
            let began = spell.episode?.0;
            let made = Made { began, enough: began, count: 0 };
            Some(Over::Not { made, late: false }.found(edition, place))
        })
    }

    /// What it did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// A copy of what it remembers.
    pub(crate) fn memory(&self) -> EventMemory {
        let remembered = |counting: &Counting| {
            let Edition { rule, version, .. } = &counting.edition;
            let spells =
                counting.spells.iter().map(|(place, spell)| (place.clone(), spell.clone()));
            (rule.id.clone(), version.to_string(), spells.collect())
        };
        EventMemory(self.rules.iter().map(remembered).collect())
    }
}

enum Taken {
    Judged,
    Forgotten,
    Refused,
}

impl Counting {
    fn is_about(&self, event: &Event, known: Option<&Device>) -> bool {
        let Condition::Events { attributes, .. } = &self.edition.rule.condition else {
            return false;
        };
        let has = |(key, value): &(String, String)| event.attributes.get(key) == Some(value);
        let when = self.edition.rule.when.as_ref();
        selects(&self.edition.rule.selector, &event.device, known)
            && attributes.iter().all(has)
            && when.is_none_or(|when| schedule::covers(when, event.event_time))
    }

    /// The scope an event counts in, and as what; none if it is in no such scope, or has nothing
    /// by which to differ from others.
    fn counts_as(&self, event: &Event, registry: &Registry) -> Option<(Place, Seen)> {
        let Condition::Events { scope, distinct, .. } = &self.edition.rule.condition else {
            return None;
        };
        let id = fingerprint(&format!("{}\n{}", event.device, event.id));
        let differs = match distinct.as_deref() {
            None => id,
            Some(REPORTER) => fingerprint(event.device.as_str()),
            Some(attribute) => fingerprint(event.attributes.get(attribute)?),
        };
        let place = match scope {
            Scope::Device => Place::device(&event.device),
            Scope::Area => Place::area(&area_of(event, registry)?)?,
            Scope::Province => Place::province()?,
        };
        Some((place, Seen(event.event_time.as_millis(), id, differs)))
    }

    fn close(&mut self, record: &AlertRecord) {
        let (began, at) = (record.started_at.as_millis(), record.recorded_at.as_millis());
        let area = record.area.as_ref().filter(|_| Place::is_pseudo(&record.device));
        let spell = self.spells.get_mut(&Place::of(&record.device, area));
        match spell.and_then(|spell| Some((spell.episode?, &mut spell.closed))) {
            Some(((latest, true), closed)) if latest == began => *closed = Some(at),
            Some(((latest, _), _)) if latest >= began => {}
            _ => drop(self.closings.insert(record.id.clone(), at)),
        }
    }

    fn take(
        &mut self,
        place: &Place,
        seen: Seen,
        received: i64,
        is_late: bool,
        out: &mut Vec<Found>,
    ) -> Taken {
        let Condition::Events { least, within_ms, quiet_ms, .. } = self.edition.rule.condition
        else {
            return Taken::Judged;
        };
        if !self.has_room_for(place) {
            return Taken::Refused;
        }
        let spell = self.spells.entry(place.clone()).or_default();
        if spell.floor >= Some(seen.0) {
            return Taken::Forgotten;
        }
        if spell.seen.iter().any(|known| known.1 == seen.1) {
            return Taken::Judged;
        }
        let mut told = Vec::new();
        let quiet = spell.heard.saturating_add(quiet_ms);
        let closes = spell.closes(&self.edition.rule).filter(|at| *at <= received);
        let quiet = Some(quiet).filter(|at| *at < received);
        let closed = spell.closed.filter(|at| *at < received);
        let over = [quiet, closes, closed].into_iter().flatten().min();
        told.extend(over.and_then(|at| spell.end(at)));
        let is_newest = spell.seen.last().is_none_or(|last| last.0 <= seen.0);
        let at = spell.seen.partition_point(|known| *known < seen);
        spell.seen.insert(at, seen);
        spell.heard = received;
        let made = spell.raise(seen, least as usize, within_ms);
        told.extend(made.map(|made| Over::Not { made, late: is_late || !is_newest }));
        spell.forget(within_ms);
        let told = told.into_iter().map(|told| told.found(&self.edition, place));
        for found in told {
            if let Change::Raised { .. } = found.what {
                spell.closed = self.closings.remove(&found.id());
            }
            out.push(found);
        }
        Taken::Judged
    }

    fn has_room_for(&mut self, place: &Place) -> bool {
        if self.spells.len() < MOST_SCOPES || self.spells.contains_key(place) {
            return true;
        }
        let quiet = self.spells.iter().filter(|(_, spell)| !spell.is_open());
        let oldest = quiet.min_by_key(|(_, spell)| spell.heard).map(|(place, _)| place.clone());
        oldest.is_some_and(|oldest| self.spells.remove(&oldest).is_some())
    }
}

/// What made an episode: its beginning, when there were enough, and how many there were.
struct Made {
    began: i64,
    enough: i64,
    count: usize,
}

/// Whether an episode is over.
enum Over {
    Not { made: Made, late: bool },
    Ended { began: i64, last: i64, ended: i64 },
}

impl Over {
    fn found(self, edition: &Edition, place: &Place) -> Found {
        let time = Timestamp::from_millis;
        let (began, what) = match self {
            Self::Not { made, late } => {
                let (event_time, members) = (time(made.enough), Vec::new());
                (made.began, Change::Raised { event_time, count: made.count, members, late })
            }
            Self::Ended { began, last, ended } => {
                let (ceased_at, event_time) = (time(last.max(began)), time(ended.max(began)));
                (began, Change::Cleared { ceased_at, event_time })
            }
        };
        Found { edition: edition.clone(), place: place.clone(), started_at: time(began), what }
    }
}

impl Spell {
    fn is_open(&self) -> bool {
        self.episode.is_some_and(|(_, is_open)| is_open)
    }

    /// From when on the rule is not judged, at or after what was heard last.
    fn closes(&self, rule: &Rule) -> Option<i64> {
        let when = rule.when.as_ref().filter(|_| self.is_open())?;
        schedule::closes(when, Timestamp::from_millis(self.heard)).map(Timestamp::as_millis)
    }

    /// The open episode is over; what was counted in it counts no more.
    fn end(&mut self, ended: i64) -> Option<Over> {
        let (began, is_open) = self.episode.as_mut()?;
        std::mem::replace(is_open, false).then_some(())?;
        self.closed = None;
        let last = self.seen.last().map_or(*began, |last| last.0);
        self.after = self.after.max(Some(last));
        Some(Over::Ended { began: *began, last, ended })
    }

    /// Whether an event just taken in makes an episode.
    fn raise(&mut self, new: Seen, least: usize, within_ms: i64) -> Option<Made> {
        if self.is_open() || self.after >= Some(new.0) {
            return None;
        }
        let earliest = new.0.saturating_sub(within_ms);
        let counted =
            self.seen.partition_point(|seen| seen.0 < earliest || self.after >= Some(seen.0));
        let counting = &self.seen[counted..];
        let made = counting.iter().enumerate().find_map(|(place, first)| {
            let last = first.0.saturating_add(within_ms);
            (first.0 <= new.0).then(|| enough(&counting[place..], last, least))?
        })?;
        // Ids are made of beginnings: no two may be the same.
        let began = match self.episode {
            Some((earlier, _)) if earlier == made.began => made.began.saturating_add(1),
            _ => made.began,
        };
        self.episode = Some((began, true));
        Some(Made { began, ..made })
    }

    fn forget(&mut self, within_ms: i64) {
        let newest = self.seen.last().map_or(i64::MIN, |last| last.0);
        let horizon = newest.saturating_sub(within_ms.max(DAY_MS));
        let old = self.seen.partition_point(|seen| seen.0 < horizon);
        let old = old.max(self.seen.len().saturating_sub(MOST_SEEN));
        let gone = self.seen.drain(..old).next_back();
        self.floor = self.floor.max(gone.map(|gone| gone.0));
    }
}

/// Whether there are enough different ones among events up to `last`.
fn enough(events: &[Seen], last: i64, least: usize) -> Option<Made> {
    let inside = &events[..events.partition_point(|event| event.0 <= last)];
    let mut different = Vec::new();
    let mut reached = None;
    for event in inside {
        if !different.contains(&event.2) {
            different.push(event.2);
            if different.len() == least.max(1) {
                reached = Some(event.0);
            }
        }
    }
    let (began, count) = (inside.first()?.0, different.len());
    reached.map(|enough| Made { began, enough, count })
}

/// The commune an event happened in.
fn area_of(event: &Event, registry: &Registry) -> Option<AreaCode> {
    let said = event.attributes.get(AREA).and_then(|code| AreaCode::new(code).ok());
    let said = said.filter(|code| registry.area(code).is_some());
    said.or_else(|| Some(registry.device(&event.device)?.area.clone()))
}

/// Sixty-four bits of a text: of some hundred texts no two have the same.
fn fingerprint(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests;
