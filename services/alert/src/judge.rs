//! Pure: what finds episodes and the desk together, with what a checkpoint keeps of them. The shell
//! feeds it readings, events, commands and the time, and appends the records it gives, in order.
//!
//! Why a crash neither loses nor doubles an alert: readings and events are replayed from the
//! checkpoint, judging them is deterministic, ids are made of event time, and the desk, folded from
//! the alert log, knows what was recorded before the crash.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use sen_model::{
    AlertId, AlertRecord, Changed, Command, CommandOutcome, DeskRecord, DeviceId, Event,
    ReadingBatch, Registry, Rule, Severity, Standing, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::builtin::probe;
use crate::desk::{self, Desk, Kept};
use crate::engine::{Counts, Timing};
use crate::evaluator::{Evaluator, Remembered};
use crate::hearing::Complaint;
use crate::records::Records;
use crate::transition::{Edition, Transition};
use crate::trial::Trial;
use crate::wording::Unwatched;

/// The next offsets of the logs the judge writes: everything before them was folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nexts {
    pub(crate) alerts: u64,
    pub(crate) desk: u64,
    pub(crate) shadow: u64,
}

/// What a checkpoint keeps beside the position in the readings.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Of this form; another one is not read.
    v: u32,
    memory: Remembered,
    /// The rules in force from here on: what comes after is judged by them also the second time,
    /// so that an edit of the file just before a crash makes no other alerts of the same readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Rule>>,
    /// The desk as of `nexts`.
    desk: Kept,
    /// The open episodes of rules on trial as of `nexts`.
    trial: Vec<AlertRecord>,
    /// The first offsets of the logs that may not be among these.
    pub(crate) nexts: Nexts,
    /// The first event that is not judged; of the readings the cursor says it.
    pub(crate) events_next: u64,
}

/// The form of [`Saved`].
const FORM: u32 = 3;

impl Saved {
    /// Reads a checkpoint; `None` if it is of another form.
    pub(crate) fn decode(state: &[u8]) -> Option<Self> {
        serde_json::from_slice(state).ok().filter(|saved: &Self| saved.v == FORM)
    }

    /// The rules in force from here on.
    pub(crate) fn rules(&self) -> Option<&Vec<Rule>> {
        self.rules.as_ref()
    }

    /// The bytes of a checkpoint.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// What the logs say, from a checkpoint on or from their beginning.
#[derive(Debug, Default)]
pub(crate) struct Past {
    memory: Remembered,
    desk: Desk,
    trial: Trial,
}

impl Past {
    /// The past up to a checkpoint; without one, nothing. The logs after it are still to be folded.
    pub(crate) fn new(saved: Option<Saved>, around: desk::Around) -> Self {
        let mut past = Self { desk: Desk::new(around), ..Self::default() };
        if let Some(saved) = saved {
            past.memory = saved.memory;
            past.desk.resume(saved.desk);
            saved.trial.into_iter().for_each(|record| past.trial.fold(record));
        }
        past
    }

    /// Takes a record of the alert log.
    pub(crate) fn alert(&mut self, record: AlertRecord) {
        self.desk.fold(record);
    }

    /// Takes a record of the desk's log, after those of the alert log.
    pub(crate) fn entry(&mut self, record: DeskRecord) {
        self.desk.fold_entry(record);
    }

    /// Takes a record of the log of rules on trial.
    pub(crate) fn trial(&mut self, record: AlertRecord) {
        self.trial.fold(record);
    }
}

/// Judges readings and keeps the desk.
pub(crate) struct Judge {
    evaluator: Evaluator,
    desk: Desk,
    trial: Trial,
    registry: Arc<Registry>,
    transitions: Vec<Transition>,
}

impl Judge {
    /// Goes on from the past, by these rules.
    pub(crate) fn new(
        rules: &[Rule],
        registry: Arc<Registry>,
        timing: Timing,
        past: Past,
        now: Timestamp,
        out: &mut Records,
    ) -> Self {
        let Past { memory, mut desk, trial } = past;
        let all = with_own(rules);
        let mut evaluator = Evaluator::new(&all, Arc::clone(&registry), timing, memory, now);
        desk.judged().into_iter().chain(trial.open()).for_each(|alert| evaluator.adopt(alert));
        desk.closed_by_people().for_each(|alert| evaluator.close(alert));
        desk.take_rules(rules, now, out);
        Self { evaluator, desk, trial, registry, transitions: Vec::new() }
    }

    /// What a checkpoint must keep, once every record given so far is in its log, whose next
    /// offsets are `nexts`, and what comes after is judged by `rules`.
    pub(crate) fn save(
        &self,
        nexts: Nexts,
        events_next: u64,
        rules: &[Rule],
        now: Timestamp,
    ) -> Saved {
        let trial = self.trial.open().cloned().collect();
        let (memory, desk) = (self.evaluator.memory(), self.desk.kept(now));
        Saved { v: FORM, memory, rules: Some(rules.to_vec()), desk, trial, nexts, events_next }
    }

    /// Judges the readings of one packet.
    pub(crate) fn judge(&mut self, batch: &ReadingBatch, now: Timestamp, out: &mut Records) {
        self.evaluator.judge(batch, &mut self.transitions);
        self.record(now, out);
    }

    /// Judges one event.
    pub(crate) fn hear(&mut self, event: &Event, now: Timestamp, out: &mut Records) {
        self.evaluator.hear(event, &mut self.transitions);
        self.record(now, out);
    }

    /// Looks for silence, and for whatever else the clock decides. Call it only when every reading
    /// received before `now` has been judged.
    pub(crate) fn judge_silence(&mut self, now: Timestamp, out: &mut Records) {
        self.evaluator.tick(now, &mut self.transitions);
        self.record(now, out);
    }

    /// Listening begins (again): silence is counted from here, and nothing that is remembered lies
    /// ahead. Only when the replay has reached the head.
    pub(crate) fn resume(&mut self, now: Timestamp, out: &mut Records) {
        self.evaluator.resume(now);
        self.evaluator.turn_back(now, &mut self.transitions);
        self.record(now, out);
    }

    /// Does what is due at the desk. Call it only when the replay has reached the head.
    pub(crate) fn pass_time(&mut self, now: Timestamp, out: &mut Records) {
        self.desk.pass_time(now, out);
    }

    /// Carries out a command.
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        now: Timestamp,
        out: &mut Records,
    ) -> CommandOutcome {
        let outcome = self.desk.carry_out(command, now, out);
        if let CommandOutcome::Done(Changed::Alert(alert)) = &outcome
            && alert.closing.is_some()
        {
            self.evaluator.close(alert);
        }
        outcome
    }

    /// Puts other rules in force, from the next reading on, and closes what nobody watches any
    /// more.
    pub(crate) fn replace_rules(&mut self, rules: &[Rule], now: Timestamp, out: &mut Records) {
        self.evaluator.replace(&with_own(rules), &self.registry, now);
        self.desk.take_rules(rules, now, out);
        self.withdraw(now, out);
    }

    /// Closes the alerts whose condition nobody watches any more: their rule was changed or
    /// removed, or their device left the registry. Only when the replay has reached the head: until
    /// then the engine may yet find what the log has.
    pub(crate) fn withdraw(&mut self, now: Timestamp, out: &mut Records) {
        let known = self.desk.judged().into_iter().chain(self.trial.open());
        self.evaluator.align(known, now, &mut self.transitions);
        self.record(now, out);
        let held: HashSet<AlertId> = self.evaluator.open().into_iter().collect();
        for alert in self.lost(self.desk.judged().into_iter(), &held, Standing::InForce) {
            let rule = self.evaluator.rule(&alert.rule);
            let needs = rule.map_or(alert.severity <= Severity::HIGH, |rule| {
                rule.needs_acknowledgement(alert.severity)
            });
            self.desk.withdraw(&alert.id, self.why(&alert, Standing::InForce), needs, now, out);
        }
        for alert in self.lost(self.trial.open(), &held, Standing::Shadow) {
            let why = self.why(&alert, Standing::Shadow);
            self.trial.withdraw(&alert.id, why, now, &mut out.shadow);
            // A rule that has passed its trial: what it holds now is an alert from now on.
            if held.contains(&alert.id) && self.has(&alert, Standing::InForce) {
                self.desk.take_up(alert, now, out);
            }
        }
        self.desk.tidy(now, out);
    }

    /// Those that no rule of their standing holds open any more.
    fn lost<'a>(
        &self,
        open: impl Iterator<Item = &'a AlertRecord>,
        held: &HashSet<AlertId>,
        standing: Standing,
    ) -> Vec<AlertRecord> {
        let is_lost =
            |alert: &&AlertRecord| !held.contains(&alert.id) || !self.has(alert, standing);
        open.filter(is_lost).cloned().collect()
    }

    /// Why the condition of an alert, whose rule had this standing, is not watched any more.
    fn why(&self, alert: &AlertRecord, standing: Standing) -> Unwatched {
        let is_same = |rule: &Rule| {
            let mut editions = Edition::all_of(rule).into_iter();
            editions.any(|edition| *edition.version == *alert.rule_version)
        };
        let rule = self.evaluator.rule(&alert.rule).filter(|rule| rule.standing == standing);
        match rule.is_some_and(is_same) {
            true => Unwatched::Lost,
            false => Unwatched::RuleChanged,
        }
    }

    /// Whether the rule of an alert is in force with a standing.
    fn has(&self, alert: &AlertRecord, standing: Standing) -> bool {
        self.evaluator.rule(&alert.rule).is_some_and(|rule| rule.standing == standing)
    }

    /// How many alerts belong on the list.
    pub(crate) fn open_count(&self) -> usize {
        self.desk.open_count()
    }

    /// How many of them are put aside.
    pub(crate) fn standing(&self) -> desk::Standing {
        self.desk.standing()
    }

    /// What the engine did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.evaluator.counts()
    }

    /// Rules that turned out not to be judgeable, each once.
    pub(crate) fn complaints(&mut self) -> Vec<Complaint> {
        self.evaluator.complaints()
    }

    /// Takes what the engine found to where the standing of its rule says.
    fn record(&mut self, now: Timestamp, out: &mut Records) {
        causes_first(&mut self.transitions, |device| self.desk.depth(device));
        for transition in self.transitions.drain(..) {
            match transition.subject().edition.rule.standing {
                Standing::InForce => self.desk.apply(&transition, now, out),
                Standing::Shadow => {
                    self.trial.apply(&transition, &self.registry, now, &mut out.shadow);
                }
                Standing::Part => {}
            }
        }
    }
}

/// The rules of the file, and the centre's own.
fn with_own(rules: &[Rule]) -> Vec<Rule> {
    rules.iter().cloned().chain(probe()).collect()
}

/// Of episodes that begin together, those that explain others go first, so that what is explained
/// is so from its first record: worse levels before milder ones, what others depend on before them.
fn causes_first(transitions: &mut [Transition], depth: impl Fn(&DeviceId) -> usize) {
    let is_raise = |transition: &Transition| matches!(transition, Transition::Raise { .. });
    for run in transitions.chunk_by_mut(|a, b| is_raise(a) && is_raise(b)) {
        if run.len() > 1 {
            run.sort_by_cached_key(|transition| {
                let subject = transition.subject();
                let (rule, level) = (subject.edition.rule.id.clone(), subject.edition.level);
                let device = subject.device.clone();
                let series = (depth(&device), device, rule, subject.metric.clone());
                (series, Reverse(level), transition.started_at())
            });
        }
    }
}

#[cfg(test)]
mod tests;
