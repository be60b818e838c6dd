//! Pure: what people do at the desk, not to one alert: the stage, out of service, planned work,
//! drills; handing over is in `shifts`.
//!
//! The id of an entry that a person makes is made of the key of the command, so that the log tells
//! a repeat even after a restart.

use sen_model::{
    Changed, Command, CommandOutcome, DeskAct, DeskRecord, Entry, EntryId, Reach, Text, Timestamp,
};
use sha2::{Digest, Sha256};

use super::Desk;
use super::stage::{STAGE, STAGES};
use super::{NAME_CHARS, NOTE_CHARS, cut, words};
use crate::records::Records;

/// Entries of one kind in force at a time, at most.
const MOST_IN_FORCE: usize = 500;
/// How far ahead planned work may end, in milliseconds.
const WORK_MOST_MS: i64 = 92 * 24 * 3_600_000;
/// The id of the entry of the drill.
const DRILL: &str = "drill";

/// What an order comes to.
pub(super) enum Ruling {
    /// A new record.
    Enter(Box<DeskRecord>),
    /// It has been carried out before.
    Stands(Box<DeskRecord>),
    /// There is no such entry.
    Unknown,
}

/// Why an order is refused, in both languages.
pub(super) type Refused = Text;

impl Desk {
    /// Carries out what is asked of the desk.
    pub(super) fn order(
        &mut self,
        act: &DeskAct,
        command: &Command,
        now: Timestamp,
        out: &mut Records,
    ) -> CommandOutcome {
        match self.rule_on(act, command, now) {
            Err(why) => CommandOutcome::Refused(why),
            Ok(Ruling::Unknown) => CommandOutcome::Unknown,
            Ok(Ruling::Stands(record)) => CommandOutcome::Done(Changed::Desk(record)),
            Ok(Ruling::Enter(record)) => {
                let is_about_alerts =
                    matches!(record.entry, Entry::OutOfService { .. } | Entry::Work { .. });
                self.enter((*record).clone(), out);
                if is_about_alerts {
                    self.explain_all(now, out);
                    self.advise(now, out);
                }
                CommandOutcome::Done(Changed::Desk(record))
            }
        }
    }

    fn rule_on(&self, act: &DeskAct, command: &Command, now: Timestamp) -> Result<Ruling, Refused> {
        match act {
            DeskAct::SetStage { stage, reason } => self.set_stage(*stage, reason, command, now),
            DeskAct::TakeOut { reach, reason } => {
                let entry = Entry::OutOfService { reach: reach.clone(), reason: said(reason)? };
                self.check_reach(reach)?;
                self.check_room("out-")?;
                Ok(self.make("out", entry, true, command, now))
            }
            DeskAct::PutBack { entry } => {
                self.end(entry, command, now, |e| matches!(e, Entry::OutOfService { .. }))
            }
            DeskAct::PlanWork { reach, from, until, reason } => {
                let (reach, from, until) = (reach.clone(), *from, *until);
                allow(from < until, words::ends_before_it_begins)?;
                self.check_reach(&reach)?;
                self.check_room("work-")?;
                let entry = Entry::Work { reach, from, until, reason: said(reason)? };
                let ruling = self.make("work", entry, true, command, now);
                if matches!(ruling, Ruling::Enter(_)) {
                    allow(until > now, words::time_past)?;
                    allow(until.since_ms(now) <= WORK_MOST_MS, || words::too_long(WORK_MOST_MS))?;
                }
                Ok(ruling)
            }
            DeskAct::EndWork { entry } => {
                self.end(entry, command, now, |e| matches!(e, Entry::Work { .. }))
            }
            DeskAct::HandOver { to, desk, from, text } => {
                let shift = self.shift(to, *desk, *from, text, now)?;
                Ok(self.make("shift", shift, false, command, now))
            }
            DeskAct::SetDrill { on, reason } => self.set_drill(*on, reason, command, now),
        }
    }

    fn set_stage(
        &self,
        stage: u8,
        reason: &str,
        command: &Command,
        now: Timestamp,
    ) -> Result<Ruling, Refused> {
        allow(STAGES.contains(&stage), words::no_such_stage)?;
        let entry = Entry::Stage { stage, reason: said(reason)? };
        Ok(self.set(STAGE, true, entry, command, now))
    }

    fn set_drill(
        &self,
        on: bool,
        reason: &str,
        command: &Command,
        now: Timestamp,
    ) -> Result<Ruling, Refused> {
        let entry = Entry::Drill { reason: said(reason)? };
        let ruling = self.set(DRILL, on, entry, command, now);
        if matches!(ruling, Ruling::Enter(_)) {
            allow(on || self.entries.is_drill(), words::no_drill)?;
            allow(!on || !self.entries.is_drill(), words::drill_is_on)?;
        }
        Ok(ruling)
    }

    /// An entry there is one of: set anew, unless the same person has just set it so.
    fn set(&self, id: &str, open: bool, entry: Entry, command: &Command, now: Timestamp) -> Ruling {
        let (id, by) = (EntryId::from_text(id), cut(&command.by, NAME_CHARS));
        match self.entries.get(&id) {
            Some(held) if (held.open, &held.by, &held.entry) == (open, &by, &entry) => {
                Ruling::Stands(Box::new(held.clone()))
            }
            _ => Ruling::Enter(Box::new(self.entries.next(id, open, &by, now, entry))),
        }
    }

    /// A new entry, unless this command made it before.
    fn make(
        &self,
        kind: &str,
        entry: Entry,
        open: bool,
        command: &Command,
        now: Timestamp,
    ) -> Ruling {
        let id = id_of(kind, &command.idempotency_key);
        match self.entries.get(&id) {
            Some(held) => Ruling::Stands(Box::new(held.clone())),
            None => {
                let by = cut(&command.by, NAME_CHARS);
                Ruling::Enter(Box::new(self.entries.next(id, open, &by, now, entry)))
            }
        }
    }

    fn end(
        &self,
        id: &EntryId,
        command: &Command,
        now: Timestamp,
        is_meant: impl Fn(&Entry) -> bool,
    ) -> Result<Ruling, Refused> {
        let held = self.entries.get(id).filter(|held| is_meant(&held.entry));
        let Some(held) = held else { return Ok(Ruling::Unknown) };
        let by = cut(&command.by, NAME_CHARS);
        if held.open {
            let next = self.entries.next(id.clone(), false, &by, now, held.entry.clone());
            return Ok(Ruling::Enter(Box::new(next)));
        }
        allow(held.by == by, words::ended_before)?;
        Ok(Ruling::Stands(Box::new(held.clone())))
    }

    /// Every part of a reach must be known, or a mistyped one would reach nothing and nobody would
    /// notice.
    fn check_reach(&self, reach: &Reach) -> Result<(), Refused> {
        allow(!reach.is_empty(), words::reaches_everything)?;
        let Reach { rule, device, area } = reach;
        if let Some(rule) = rule {
            let is_known =
                self.around.has_rule(rule) || self.alerts.values().any(|alert| alert.rule == *rule);
            allow(is_known, || words::reaches_nothing(rule.as_str()))?;
        }
        if let Some(device) = device {
            let is_known = self.around.registry.device(device).is_some()
                || self.list.about(device).next().is_some();
            allow(is_known, || words::reaches_nothing(device.as_str()))?;
        }
        if let Some(area) = area {
            let registry = &self.around.registry;
            let is_known =
                registry.area(area).is_some() || registry.devices().any(|d| d.area == *area);
            allow(is_known, || words::reaches_nothing(area.as_str()))?;
        }
        Ok(())
    }

    fn check_room(&self, kind: &str) -> Result<(), Refused> {
        let in_force = self.entries.reaching().filter(|r| r.id.as_str().starts_with(kind)).count();
        allow(in_force < MOST_IN_FORCE, || words::too_many(MOST_IN_FORCE))
    }
}

/// The id of the entry that the command of a key makes.
fn id_of(kind: &str, key: &str) -> EntryId {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    EntryId::from_text(format!("{kind}-{hex}"))
}

pub(super) fn allow(may: bool, else_because: impl FnOnce() -> Text) -> Result<(), Refused> {
    if may { Ok(()) } else { Err(else_because()) }
}

/// What a person wrote, cut to what the log takes; refused if it says nothing.
pub(super) fn said(text: &str) -> Result<String, Refused> {
    let text = text.trim();
    allow(!text.is_empty(), words::reason_missing)?;
    Ok(cut(text, NOTE_CHARS))
}
