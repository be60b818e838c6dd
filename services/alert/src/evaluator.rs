//! Pure: everything that finds episodes, as one: the engine over readings, the count of happenings,
//! and the groups over what those two find. The same for life and for a backtest.

use std::sync::Arc;

use sen_model::{
    AlertId, AlertRecord, Condition, Event, ReadingBatch, Registry, Rule, RuleId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::engine::{Counts, Engine, Timing};
use crate::found::{Change, Found};
use crate::groups::{GroupMemory, Groups, News, Step, parts_of};
use crate::happenings::{EventMemory, Happenings};
use crate::hearing::Complaint;
use crate::memory::Memory;
use crate::scope::Place;
use crate::transition::{Edition, Subject, Transition};

/// What a checkpoint keeps of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Remembered {
    engine: Memory,
    #[serde(default)]
    groups: GroupMemory,
    #[serde(default)]
    events: EventMemory,
}

/// The stages and the rules they judge by.
pub(crate) struct Evaluator {
    engine: Engine,
    groups: Groups,
    happenings: Happenings,
    /// The rules that the engine does not judge.
    others: Vec<Arc<Rule>>,
    timing: Timing,
    /// What the engine found just now.
    fresh: Vec<Transition>,
    /// What the other stages found just now.
    found: Vec<Found>,
}

impl Evaluator {
    /// Judges by these rules, with what was remembered under the same edition of each.
    pub(crate) fn new(
        rules: &[Rule],
        registry: Arc<Registry>,
        timing: Timing,
        memory: Remembered,
        now: Timestamp,
    ) -> Self {
        let (singles, editions) = sorted(rules);
        let Remembered { engine, groups, events } = memory;
        let engine = Engine::new(&singles, Arc::clone(&registry), timing, engine, now);
        let groups = Groups::new(&editions, Arc::clone(&registry), groups);
        let late_after_ms = timing.late_after_ms;
        let happenings = Happenings::new(&editions, registry, late_after_ms, events, now);
        let others = others(editions);
        let (fresh, found) = (Vec::new(), Vec::new());
        Self { engine, groups, happenings, others, timing, fresh, found }
    }

    /// Puts other rules in force, from the next reading and event on.
    pub(crate) fn replace(&mut self, rules: &[Rule], registry: &Arc<Registry>, now: Timestamp) {
        let (singles, editions) = sorted(rules);
        self.engine.replace(&singles, Arc::clone(registry), now);
        self.groups = Groups::new(&editions, Arc::clone(registry), self.groups.memory());
        let events = self.happenings.memory();
        let late_after_ms = self.timing.late_after_ms;
        self.happenings =
            Happenings::new(&editions, Arc::clone(registry), late_after_ms, events, now);
        self.others = others(editions);
    }

    /// Judges the readings of one packet.
    pub(crate) fn judge(&mut self, batch: &ReadingBatch, out: &mut Vec<Transition>) {
        self.engine.judge(batch, &mut self.fresh);
        self.pass_on(out);
        let latest = batch.readings.iter().map(|reading| reading.event_time).max();
        let come = latest.unwrap_or(batch.received_at).min(batch.received_at);
        self.groups.advance(come.as_millis(), &mut self.found);
        self.tell(out);
    }

    /// Judges one event.
    pub(crate) fn hear(&mut self, event: &Event, out: &mut Vec<Transition>) {
        self.happenings.hear(event, &mut self.found);
        self.feed_found();
        let come = event.event_time.min(event.received_at);
        self.groups.advance(come.as_millis(), &mut self.found);
        self.tell(out);
    }

    /// What the clock alone decides: what has waited, windows that are over, silence, and the end
    /// of happenings. Call it only when everything received before `now` has been judged.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        self.engine.tick(now, &mut self.fresh);
        self.pass_on(out);
        self.happenings.judge_quiet(now, &mut self.found);
        self.feed_found();
        self.tell(out);
    }

    /// Listening begins (again): silence and quiet are counted from here.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.engine.resume(now);
        self.happenings.resume(now);
    }

    /// Nothing that is remembered lies ahead of the clock, which may have been set back. Not in a
    /// replay: what is heard there is of the past.
    pub(crate) fn turn_back(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        self.engine.turn_back(now, &mut self.fresh);
        self.pass_on(out);
        self.happenings.turn_back(now);
        self.groups.turn_back(now.as_millis(), &mut self.found);
        self.tell(out);
    }

    /// Takes over a silence that a log knows to be open.
    pub(crate) fn adopt(&mut self, record: &AlertRecord) {
        self.engine.adopt(record);
    }

    /// A person closed an alert: of happenings nobody else says when they are over.
    pub(crate) fn close(&mut self, record: &AlertRecord) {
        self.happenings.close(record);
    }

    /// Brings the groups in line with what is held by now, when the replay has reached the head or
    /// the rules have changed: parts of new groups, silences that were taken over from a log, open
    /// groups that a crash took from memory, and parts that nobody holds any more.
    pub(crate) fn align<'a>(
        &mut self,
        open: impl Iterator<Item = &'a AlertRecord>,
        now: Timestamp,
        out: &mut Vec<Transition>,
    ) {
        let engine = self.engine.held();
        let happenings: Vec<Found> = self.happenings.held().collect();
        let parts = engine.iter().map(|(subject, started_at)| held(subject, *started_at));
        let parts = parts.chain(happenings.iter().filter_map(crate::groups::news_of));
        let parts: Vec<News> = parts.collect();
        parts.iter().for_each(|news| self.groups.hear(news, &mut self.found));
        open.for_each(|record| self.groups.adopt(record));
        let ids = parts.into_iter().map(|news| news.id).collect();
        self.groups.let_go(&ids, now, &mut self.found);
        self.tell(out);
    }

    /// The ids of the episodes held open.
    pub(crate) fn open(&self) -> Vec<AlertId> {
        let engine = self.engine.open().into_iter();
        engine.chain(self.groups.open()).chain(self.happenings.open()).collect()
    }

    /// The rule of this id, in the edition now in force.
    pub(crate) fn rule(&self, id: &RuleId) -> Option<&Rule> {
        let other = || self.others.iter().find(|rule| rule.id == *id).map(|rule| &**rule);
        self.engine.rule(id).or_else(other)
    }

    /// What was done so far, by all stages.
    pub(crate) fn counts(&self) -> Counts {
        let (engine, groups, events) =
            (self.engine.counts(), self.groups.counts(), self.happenings.counts());
        Counts {
            evaluations: engine.evaluations + events.evaluations,
            forgotten: engine.forgotten + events.forgotten,
            refused: engine.refused + groups.refused + events.refused,
            ..engine
        }
    }

    /// Rules that turned out not to be judgeable, each once.
    pub(crate) fn complaints(&mut self) -> Vec<Complaint> {
        self.engine.complaints()
    }

    /// A copy of what is remembered.
    pub(crate) fn memory(&self) -> Remembered {
        Remembered {
            engine: self.engine.memory(),
            groups: self.groups.memory(),
            events: self.happenings.memory(),
        }
    }

    /// What the engine found goes to the groups, and out.
    fn pass_on(&mut self, out: &mut Vec<Transition>) {
        for transition in self.fresh.drain(..) {
            let news = news_of(&transition);
            out.push(transition);
            let Some(news) = news.filter(|news| self.groups.is_part(&news.rule)) else { continue };
            self.groups.hear(&news, &mut self.found);
            out.extend(self.found.drain(..).map(told));
        }
    }

    /// What was found of happenings goes to the groups, too.
    fn feed_found(&mut self) {
        for found in std::mem::take(&mut self.found) {
            let news = crate::groups::news_of(&found);
            self.found.push(found);
            if let Some(news) = news.filter(|news| self.groups.is_part(&news.rule)) {
                self.groups.hear(&news, &mut self.found);
            }
        }
    }

    fn tell(&mut self, out: &mut Vec<Transition>) {
        out.extend(self.found.drain(..).map(told));
    }
}

/// The rules that the engine judges, and the editions of the others.
fn sorted(rules: &[Rule]) -> (Vec<Rule>, Vec<Edition>) {
    let is_single = |rule: &&Rule| {
        !matches!(rule.condition, Condition::Events { .. }) && parts_of(&rule.condition).is_empty()
    };
    let (singles, others): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(is_single);
    let editions = others.into_iter().flat_map(Edition::all_of).collect();
    (singles.into_iter().cloned().collect(), editions)
}

fn others(editions: Vec<Edition>) -> Vec<Arc<Rule>> {
    editions.into_iter().map(|edition| edition.rule).collect()
}

/// A transition as a part of groups.
fn news_of(transition: &Transition) -> Option<News> {
    let (subject, started_at, what) = match transition {
        Transition::Raise { subject, started_at, event_time, late, .. } => {
            let (began, raised) = (started_at.as_millis(), event_time.as_millis());
            (subject, started_at, Step::Raised { began, raised, late: *late })
        }
        Transition::Clear { subject, started_at, ceased_at, event_time, .. } => {
            let (cleared, ceased) = (event_time.as_millis(), ceased_at.as_millis());
            (subject, started_at, Step::Cleared { cleared, ceased })
        }
        Transition::Join { .. } => return None,
    };
    Some(News {
        rule: subject.edition.rule.id.clone(),
        id: subject.episode(*started_at),
        place: Place::of(&subject.device, subject.area.as_ref()),
        what,
    })
}

/// An episode that the engine holds, as a part of groups: raised when its delay was over.
fn held(subject: &Subject, started_at: Timestamp) -> News {
    let delay_ms = match subject.edition.rule.condition {
        Condition::Absence { missing_ms } => missing_ms.saturating_add(1),
        Condition::Frozen { for_ms, .. } => for_ms,
        _ => subject.edition.limit.for_ms,
    };
    let raised = started_at.plus_ms(delay_ms).as_millis();
    News {
        rule: subject.edition.rule.id.clone(),
        id: subject.episode(started_at),
        place: Place::of(&subject.device, subject.area.as_ref()),
        what: Step::Raised { began: started_at.as_millis(), raised, late: false },
    }
}

/// What a stage found, as the desk takes it.
fn told(found: Found) -> Transition {
    let Found { edition, place, started_at, what } = found;
    let subject = Subject { edition, device: place.device, metric: None, area: place.area };
    match what {
        Change::Raised { event_time, count, members, late } => Transition::Raise {
            subject,
            started_at,
            event_time,
            value: Some(count as f64),
            late,
            members,
        },
        Change::Joined { members } => Transition::Join { subject, started_at, members },
        Change::Cleared { ceased_at, event_time } => {
            Transition::Clear { subject, started_at, ceased_at, event_time, value: None }
        }
    }
}

#[cfg(test)]
mod tests;
