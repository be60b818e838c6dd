//! Pure: rules about alerts. The second stage after the engine: takes the episodes of other rules,
//! their *parts*, and finds those of composites, neighbours and sequences.
//!
//! When a group holds is a function of when its parts held ([`stretch`], [`neighbours`],
//! [`sequence`]), by event time, and not of the order in which that became known. A part holds from
//! its raise to its clear, its own delays included; a group then begins when the condition of the
//! part that made it enough began, and is raised when that part was raised (and `for` later, once
//! event time has come that far). Outside its schedule it does not hold. Composites may be made of
//! composites; a rule that is made of itself is never judged.
//!
//! What is guaranteed, in each scope:
//! - Told in the order of their event times, and in any order over scopes, the parts give exactly
//!   those episodes. (Of one millisecond the raises go first; what only seems to hold between two
//!   of its transitions is told, and ended in it.)
//! - Told in any order that keeps each part's raise before its clear: at every moment an episode
//!   is open if and only if the group holds by what is known so far, so what never held is ended
//!   as soon as that is known; and every stretch over which it held is told.
//! - What was told keeps its id and its beginning, whatever comes late: an earlier beginning that
//!   becomes known later changes nothing, and a stretch that turns out to go on after its end was
//!   told goes on as another episode from there. What is told only when more is known than at its
//!   time is late, and so is what a late part makes whole.
//! - A repeat changes nothing, nor does a checkpoint taken and taken up anywhere.
//!
//! Bounds: [`MOST_HOLDING`] parts of each rule that hold ([`MOST_BESIDE`] of neighbours) and
//! [`MOST_PAST`] that are over in a scope, [`MOST_SCOPES`] scopes of a rule; what is older than the
//! memory is not judged.

mod group;
mod neighbours;
mod parts;
mod sequence;
mod stretch;
mod told;
mod watches;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sen_model::{AlertId, AlertRecord, Condition, Registry, RuleId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::found::{Change, Found};
use crate::scope::Place;
use crate::transition::Edition;
use group::{Circle, Group};
use neighbours::Nearby;
use parts::Heard;
pub(crate) use parts::{MOST_BESIDE, MOST_HOLDING};
use told::Told;

/// Parts of each rule that are over and still known, in each scope, at most.
const MOST_PAST: usize = 64;
/// Scopes of one rule in which something is remembered, at most: beyond it one in which nothing
/// holds is forgotten, and if there is none the part is not counted in.
const MOST_SCOPES: usize = 5_000;

/// An episode of some rule began or ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct News {
    pub(crate) rule: RuleId,
    pub(crate) id: AlertId,
    pub(crate) place: Place,
    pub(crate) what: Step,
}

/// Which of the two; times are event times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Its condition began, and it was raised.
    Raised { began: i64, raised: i64, late: bool },
    /// It was cleared, and its condition had ceased.
    Cleared { cleared: i64, ceased: i64 },
}

/// What the stage did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Parts that could not be counted in, or not any more, for want of room.
    pub(crate) refused: u64,
}

/// The group rules and what they remember.
#[derive(Debug)]
pub(crate) struct Groups {
    registry: Arc<Registry>,
    /// Parts before what is made of them.
    groups: Vec<Group>,
    /// Which groups a rule is a part of.
    fed: HashMap<RuleId, Vec<usize>>,
    /// Event time has come so far.
    now: i64,
    /// When, in event time, the first of them may have something to tell without further news.
    due: Option<i64>,
    counts: Counts,
}

/// What a checkpoint keeps of the groups.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupMemory {
    now: i64,
    /// By rule and version.
    rules: Vec<(RuleId, String, Circles)>,
}

/// Every scope in which something is remembered.
type Circles = Vec<(Place, Circle)>;

/// The rules that a condition is made of, if it is one of a group.
pub(crate) fn parts_of(condition: &Condition) -> Vec<&RuleId> {
    match condition {
        Condition::Composite { of, .. } => of.iter().collect(),
        Condition::Neighbours { of, .. } => vec![of],
        Condition::Sequence { first, then, .. } => vec![first, then],
        _ => Vec::new(),
    }
}

impl Groups {
    /// The group rules among these editions, with what was remembered under the same edition.
    pub(crate) fn new(editions: &[Edition], registry: Arc<Registry>, memory: GroupMemory) -> Self {
        let mut remembered: HashMap<(RuleId, String), Circles> =
            memory.rules.into_iter().map(|(id, version, it)| ((id, version), it)).collect();
        let group = |edition: &Edition| {
            let nearby = match edition.rule.condition {
                Condition::Neighbours { distance_m, .. } => Nearby::new(&registry, distance_m),
                _ => Nearby::default(),
            };
            let key = (edition.rule.id.clone(), edition.version.to_string());
            let circles = remembered.remove(&key).unwrap_or_default().into_iter().collect();
            Group { edition: edition.clone(), nearby, circles }
        };
        let groups: Vec<Group> = in_order(editions).into_iter().map(group).collect();
        let mut fed: HashMap<RuleId, Vec<usize>> = HashMap::new();
        for (number, group) in groups.iter().enumerate() {
            for part in parts_of(&group.edition.rule.condition) {
                let fed = fed.entry(part.clone()).or_default();
                if fed.last() != Some(&number) {
                    fed.push(number);
                }
            }
        }
        let now = memory.now;
        let mut groups = Self { registry, groups, fed, now, due: None, counts: Counts::default() };
        groups.set_due();
        groups
    }

    /// Whether a rule is a part of any group.
    pub(crate) fn is_part(&self, rule: &RuleId) -> bool {
        self.fed.contains_key(rule)
    }

    /// Takes in that an episode of some rule began or ended, and adds what follows from it.
    pub(crate) fn hear(&mut self, news: &News, out: &mut Vec<Found>) {
        self.feed(news, out);
        self.advance(self.now, out);
    }

    fn feed(&mut self, news: &News, out: &mut Vec<Found>) {
        for number in self.fed.get(&news.rule).cloned().unwrap_or_default() {
            let group = &mut self.groups[number];
            let Some(place) = group.circle_of(news, &self.registry) else { continue };
            match group.take(&place, news) {
                Heard::News => self.judge(number, &place, out),
                Heard::Displaced => {
                    self.counts.refused += 1;
                    self.judge(number, &place, out);
                }
                Heard::Known => {}
                Heard::Refused => self.counts.refused += 1,
            }
        }
    }

    /// Event time has come so far: what had to last may have lasted long enough.
    pub(crate) fn advance(&mut self, now: i64, out: &mut Vec<Found>) {
        self.now = self.now.max(now);
        while self.due.is_some_and(|due| due <= self.now) {
            for number in 0..self.groups.len() {
                let is_due = |circle: &Circle| circle.due.is_some_and(|due| due <= self.now);
                let circles = self.groups[number].circles.iter();
                let due = circles.filter(|(_, circle)| is_due(circle));
                let due: Vec<Place> = due.map(|(place, _)| place.clone()).collect();
                due.iter().for_each(|place| self.judge(number, place, out));
            }
            self.set_due();
        }
    }

    /// Event time has come no further than the clock, which may have been set back: what is told
    /// without further news is worked out anew from there.
    pub(crate) fn turn_back(&mut self, now: i64, out: &mut Vec<Found>) {
        if self.now <= now {
            return;
        }
        self.now = now;
        for number in 0..self.groups.len() {
            let places: Vec<Place> = self.groups[number].circles.keys().cloned().collect();
            places.iter().for_each(|place| self.judge(number, place, out));
        }
        self.set_due();
    }

    /// Ends the parts that hold as far as this stage knows and that nobody holds any more: their
    /// rule was changed or removed, or a crash lost what the clock had raised. Groups that are new
    /// learn which of the other groups hold.
    pub(crate) fn let_go(&mut self, held: &HashSet<AlertId>, now: Timestamp, out: &mut Vec<Found>) {
        let (at, from) = (now.as_millis(), out.len());
        for number in 0..self.groups.len() {
            // Those before it are settled.
            let own: HashSet<AlertId> = self.open().into_iter().collect();
            let places: Vec<Place> = self.groups[number].circles.keys().cloned().collect();
            for place in places {
                let Some(circle) = self.groups[number].circles.get_mut(&place) else { continue };
                for id in circle.parts.lost(|id| held.contains(id) || own.contains(id)) {
                    circle.parts.clear(&id, at, at, MOST_PAST);
                }
                self.judge(number, &place, out);
            }
            for news in self.groups[number].held(&self.registry) {
                self.feed(&news, out);
            }
        }
        for found in &mut out[from..] {
            if let Change::Cleared { ceased_at, event_time } = &mut found.what {
                (*ceased_at, *event_time) = (now, now);
            }
        }
        self.set_due();
    }

    /// Takes over an episode that a log knows to be open and that this memory has lost.
    pub(crate) fn adopt(&mut self, record: &AlertRecord) {
        let same = |group: &&mut Group| {
            let Edition { rule, version, .. } = &group.edition;
            rule.id == record.rule && **version == *record.rule_version
        };
        let Some(group) = self.groups.iter_mut().find(same) else { return };
        let (place, device) = group.circle_about(record);
        let circle = group.circles.entry(place).or_default();
        let began = record.started_at.as_millis();
        let is_known = |told: &Told| told.device == device && told.began == began;
        if !circle.told.iter().any(is_known) {
            circle.told.push(Told::adopted(device, began, record.members.clone()));
        }
    }

    /// The ids of the episodes this stage holds open.
    pub(crate) fn open(&self) -> Vec<AlertId> {
        let mut open = Vec::new();
        for group in &self.groups {
            for (place, circle) in &group.circles {
                let holding = circle.told.iter().filter(|told| told.holds());
                open.extend(holding.map(|told| group.id(place, told)));
            }
        }
        open
    }

    /// What it did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// A copy of what it remembers.
    pub(crate) fn memory(&self) -> GroupMemory {
        let remembered = |group: &Group| {
            let Edition { rule, version, .. } = &group.edition;
            let circles = group.circles.iter().map(|(place, it)| (place.clone(), it.clone()));
            (rule.id.clone(), version.to_string(), circles.collect())
        };
        GroupMemory { now: self.now, rules: self.groups.iter().map(remembered).collect() }
    }

    /// Brings what was told of one scope up to what is known, and passes it on to the groups that
    /// it is a part of.
    fn judge(&mut self, number: usize, place: &Place, out: &mut Vec<Found>) {
        let (findings, due) = self.groups[number].judge(place, &self.registry, self.now);
        self.due = [self.due, due].into_iter().flatten().min();
        for finding in findings {
            let found = self.groups[number].found(place, &finding, &self.registry);
            let news = news_of(&found);
            out.push(found);
            if let Some(news) = news {
                self.feed(&news, out);
            }
        }
    }

    fn set_due(&mut self) {
        let circles = self.groups.iter().flat_map(|group| group.circles.values());
        self.due = circles.filter_map(|circle| circle.due).min();
    }
}

/// The same as a part of other groups.
pub(crate) fn news_of(found: &Found) -> Option<News> {
    let what = match &found.what {
        Change::Joined { .. } => return None,
        Change::Raised { event_time, late, .. } => Step::Raised {
            began: found.started_at.as_millis(),
            raised: event_time.as_millis(),
            late: *late,
        },
        Change::Cleared { ceased_at, event_time } => {
            Step::Cleared { cleared: event_time.as_millis(), ceased: ceased_at.as_millis() }
        }
    };
    let (rule, place) = (found.edition.rule.id.clone(), found.place.clone());
    Some(News { rule, id: found.id(), place, what })
}

/// The group rules, parts before what is made of them. What is made of itself is left out.
fn in_order(editions: &[Edition]) -> Vec<&Edition> {
    let is_group = |edition: &&Edition| !parts_of(&edition.rule.condition).is_empty();
    let mut left: Vec<&Edition> = editions.iter().filter(is_group).collect();
    let mut ordered = Vec::with_capacity(left.len());
    loop {
        let waits_for = |part: &RuleId| left.iter().any(|other| other.rule.id == *part);
        let (ready, waiting): (Vec<&Edition>, Vec<&Edition>) = left
            .iter()
            .copied()
            .partition(|edition| !parts_of(&edition.rule.condition).into_iter().any(waits_for));
        if ready.is_empty() {
            return ordered;
        }
        ordered.extend(ready);
        left = waiting;
    }
}

#[cfg(test)]
mod tests;
