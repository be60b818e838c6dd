//! Pure: engine and desk together, with what a checkpoint keeps of them. The shell feeds it
//! readings, commands and the time, and appends the records it gives, in order.
//!
//! Why a crash neither loses nor doubles an alert: readings are replayed from the checkpoint, the
//! engine is deterministic, ids are made of event time, and the desk, folded from the alert log,
//! knows what was recorded before the crash.

use std::collections::HashSet;
use std::sync::Arc;

use sen_model::{
    AlertId, AlertRecord, AlertState, Command, CommandOutcome, ReadingBatch, Registry, Rule,
    Severity, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::engine::{Counts, Engine, Timing};
use crate::hearing::Complaint;
use crate::memory::Memory;
use crate::transition::Transition;

/// What a checkpoint keeps beside the position in the readings.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Of this form; another one is not read.
    v: u32,
    memory: Memory,
    /// The rules in force from here on: what comes after is judged by them also the second time,
    /// so that an edit of the file just before a crash makes no other alerts of the same readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Rule>>,
    /// The open alerts as of `alerts_next`.
    open: Vec<AlertRecord>,
    /// The first offset of the alert log that may not be among them.
    pub(crate) alerts_next: u64,
}

/// The form of [`Saved`].
const FORM: u32 = 1;

impl Saved {
    /// Reads a checkpoint; `None` if it is of another form.
    pub(crate) fn decode(state: &[u8]) -> Option<Self> {
        serde_json::from_slice(state).ok().filter(|saved: &Self| saved.v == FORM)
    }

    /// The rules in force from here on.
    pub(crate) fn rules(&self) -> Option<&Vec<Rule>> {
        self.rules.as_ref()
    }

    /// The desk as it was; the log from `alerts_next` on is still to be folded into it.
    pub(crate) fn desk(&self) -> Desk {
        let mut desk = Desk::default();
        self.open.iter().cloned().for_each(|record| desk.fold(record));
        desk
    }

    /// The bytes of a checkpoint.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// Judges readings and keeps the desk.
pub(crate) struct Judge {
    engine: Engine,
    desk: Desk,
    registry: Arc<Registry>,
    transitions: Vec<Transition>,
}

impl Judge {
    /// Goes on from a checkpoint (from nothing at the first start) and the desk as the alert log
    /// has it.
    pub(crate) fn new(
        rules: &[Rule],
        registry: Arc<Registry>,
        timing: Timing,
        saved: Option<Saved>,
        desk: Desk,
        now: Timestamp,
    ) -> Self {
        let memory = saved.map_or_else(Memory::default, |saved| saved.memory);
        let mut engine = Engine::new(rules, Arc::clone(&registry), timing, memory, now);
        desk.open().into_iter().filter(|alert| holds(alert)).for_each(|alert| engine.adopt(alert));
        Self { engine, desk, registry, transitions: Vec::new() }
    }

    /// What a checkpoint must keep, once every record given so far is in the alert log, whose next
    /// offset is `alerts_next`, and what comes after is judged by `rules`.
    pub(crate) fn save(&self, alerts_next: u64, rules: &[Rule]) -> Saved {
        let open = self.desk.open().into_iter().cloned().collect();
        let rules = Some(rules.to_vec());
        Saved { v: FORM, memory: self.engine.memory(), rules, open, alerts_next }
    }

    /// Judges the readings of one packet.
    pub(crate) fn judge(
        &mut self,
        batch: &ReadingBatch,
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) {
        self.engine.judge(batch, &mut self.transitions);
        self.record(now, out);
    }

    /// Looks for silence, and for whatever else the clock decides. Call it only when every reading received before `now` has been judged.
    pub(crate) fn judge_silence(&mut self, now: Timestamp, out: &mut Vec<AlertRecord>) {
        self.engine.tick(now, &mut self.transitions);
        self.record(now, out);
    }

    /// Listening begins (again): silence is counted from here.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.engine.resume(now);
    }

    /// Carries out a command.
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) -> CommandOutcome {
        let (outcome, record) = self.desk.carry_out(command, now);
        out.extend(record);
        outcome
    }

    /// Puts other rules in force, from the next reading on, and closes what nobody watches any
    /// more.
    pub(crate) fn replace_rules(
        &mut self,
        rules: &[Rule],
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) {
        self.engine.replace(rules, Arc::clone(&self.registry), now);
        self.withdraw(now, out);
    }

    /// Closes the alerts whose condition nobody watches any more: their rule was changed or
    /// removed, or their device left the registry. Only when the replay has reached the head: until
    /// then the engine may yet find what the log has.
    pub(crate) fn withdraw(&mut self, now: Timestamp, out: &mut Vec<AlertRecord>) {
        let held: HashSet<AlertId> = self.engine.open().into_iter().collect();
        let lost: Vec<AlertRecord> = self
            .desk
            .open()
            .into_iter()
            .filter(|alert| holds(alert) && !held.contains(&alert.id))
            .cloned()
            .collect();
        for alert in lost {
            let rule = self.engine.rule(&alert.rule);
            let needs = rule.map_or(alert.severity <= Severity::HIGH, |rule| {
                rule.needs_acknowledgement(alert.severity)
            });
            self.desk.withdraw(&alert.id, needs, now, out);
        }
        self.desk.tidy(now, out);
    }

    /// How many alerts belong on the list.
    pub(crate) fn open_count(&self) -> usize {
        self.desk.open_count()
    }

    /// What the engine did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.engine.counts()
    }

    /// Rules that turned out not to be judgeable, each once.
    pub(crate) fn complaints(&mut self) -> Vec<Complaint> {
        self.engine.complaints()
    }

    fn record(&mut self, now: Timestamp, out: &mut Vec<AlertRecord>) {
        for transition in self.transitions.drain(..) {
            self.desk.apply(&transition, &self.registry, now, out);
        }
    }
}

/// Whether the condition of an alert still holds, as far as the log knows.
fn holds(alert: &AlertRecord) -> bool {
    matches!(alert.state, AlertState::Unacknowledged | AlertState::Acknowledged)
}

#[cfg(test)]
mod tests;
