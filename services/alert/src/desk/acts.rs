//! Pure: what people do to one alert.
//!
//! Of two people the first one counts: an alert that is no longer as the caller saw it is not
//! changed. What a person repeats because the answer was lost with us in a crash is answered as if
//! it had been the first try: the record says that it was done.

use sen_model::alert::{
    Acknowledgement, Assignment, Closing, Explanation, Note, Shelving, Suppression,
};
use sen_model::{
    Act, AlertId, AlertRecord, AlertState, Change, Changed, Command, CommandOutcome, Text,
    Timestamp,
};

use super::Desk;
use super::explain::is_person;
use super::lifecycle::{after_all, next};
use super::{NAME_CHARS, NOTE_CHARS, cut, foreign, words};
use crate::records::Records;

/// Notes an alert carries; older ones are in the log.
const MOST_NOTES: usize = 5;
/// How long a person may suppress an alert, in milliseconds.
const SUPPRESS_MOST_MS: i64 = 7 * 24 * 3_600_000;

/// What a note says of acts that leave nothing else behind, so that the record tells who did them.
const TAKEN_OFF: &str = "Đã bỏ giao việc.";
const OFF_SHELF: &str = "Đã bỏ tạm gác.";
const SHOWN_AGAIN: &str = "Đã cho hiện lại.";
const RESET: &str = "Đã đặt lại.";

/// Why an act changes nothing.
enum Refusal {
    /// Somebody was first.
    Stale,
    /// As the alert stands, it cannot be done.
    Because(Text),
}

impl Desk {
    /// Carries out an act.
    pub(super) fn act(
        &mut self,
        alert: &AlertId,
        expected_rev: Option<u32>,
        act: &Act,
        command: &Command,
        now: Timestamp,
        out: &mut Records,
    ) -> CommandOutcome {
        let Some(held) = self.alerts.get(alert) else { return CommandOutcome::Unknown };
        let held_now = || Box::new(held.clone());
        if is_own_repeat(held, act, command, expected_rev) {
            return CommandOutcome::Done(Changed::Alert(held_now()));
        }
        if !held.state.is_open() {
            return CommandOutcome::Over(held_now());
        }
        if expected_rev.is_some_and(|seen| seen != held.rev) {
            return CommandOutcome::Stale(held_now());
        }
        let record = match self.decide(held, act, command, now) {
            Ok(record) => record,
            Err(Refusal::Stale) => return CommandOutcome::Stale(held_now()),
            Err(Refusal::Because(why)) => return CommandOutcome::Refused(why),
        };
        self.record(record.clone(), out);
        self.follow(alert, now, out);
        let newest = self.alerts.get(alert).cloned().unwrap_or(record);
        CommandOutcome::Done(Changed::Alert(Box::new(newest)))
    }

    fn decide(
        &self,
        held: &AlertRecord,
        act: &Act,
        command: &Command,
        now: Timestamp,
    ) -> Result<AlertRecord, Refusal> {
        let (by, at) = (cut(&command.by, NAME_CHARS), command.at);
        let change = |change| AlertRecord { event_time: at, ..next(held, change, now) };
        Ok(match act {
            Act::Acknowledge { note } => {
                let state = acknowledged(held)?;
                let acknowledgement = Some(Acknowledgement { by, at, note: cut(note, NOTE_CHARS) });
                AlertRecord { state, acknowledgement, ..change(Change::Acknowledged) }
            }
            Act::Assign { to, note } => {
                let to = cut(to.trim(), NAME_CHARS);
                let note = if to.is_empty() { &said_with(TAKEN_OFF, note) } else { note };
                let assignment = (!to.is_empty()).then(|| Assignment { to, by: by.clone(), at });
                noted(AlertRecord { assignment, ..change(Change::Assigned) }, by, at, note)
            }
            Act::Note { text } => {
                said(text).map_err(|_| Refusal::Because(words::note_empty()))?;
                noted(change(Change::Noted), by, at, text)
            }
            Act::Shelve { reason, until, one_shot } => {
                let reason = said(reason)?;
                let until = within(*until, now, self.around.shelve_most_ms)?;
                allow(!one_shot || held.holds(), words::nothing_to_wait_for)?;
                let shelving = Some(Shelving { by, at, reason, until, one_shot: *one_shot });
                AlertRecord { shelving, ..change(Change::Shelved) }
            }
            Act::Unshelve => {
                allow(held.shelving.is_some(), words::not_shelved)?;
                let record = AlertRecord { shelving: None, ..change(Change::Unshelved) };
                noted(record, by, at, OFF_SHELF)
            }
            Act::Suppress { reason, until } => {
                let reason = said(reason)?;
                let until = Some(within(*until, now, SUPPRESS_MOST_MS)?);
                let why = Explanation::Person { by, reason };
                let suppression = Some(Suppression { why, at, until });
                AlertRecord { suppression, ..change(Change::Suppressed) }
            }
            Act::Unsuppress => {
                let held = held.suppression.as_ref();
                allow(held.is_some(), words::not_suppressed)?;
                allow(held.is_some_and(is_person), words::suppressed_by_design)?;
                let record = AlertRecord { suppression: None, ..change(Change::Unsuppressed) };
                noted(record, by, at, SHOWN_AGAIN)
            }
            Act::Reset { note } => {
                allow(held.state == AlertState::Latched, words::not_latched)?;
                let record = AlertRecord { state: AlertState::Normal, ..change(Change::Reset) };
                noted(record, by, at, &said_with(RESET, note))
            }
            Act::Close { cause, note } => {
                allow(!self.is_measured(held), words::still_holds)?;
                let note = cut(note, NOTE_CHARS);
                let closing = Some(Closing { by, at, cause: *cause, note });
                AlertRecord { state: AlertState::Normal, closing, ..change(Change::Closed) }
            }
        })
    }

    /// Whether readings say that the condition of an alert holds. Nobody measures the end of what
    /// another system told, nor that of happenings.
    fn is_measured(&self, alert: &AlertRecord) -> bool {
        alert.holds() && !foreign::is_foreign(alert) && !self.around.is_of_events(alert)
    }
}

fn acknowledged(held: &AlertRecord) -> Result<AlertState, Refusal> {
    match held.state {
        AlertState::Unacknowledged => Ok(AlertState::Acknowledged),
        AlertState::ReturnedUnacknowledged => Ok(after_all(held)),
        AlertState::Acknowledged | AlertState::Latched | AlertState::Normal => Err(Refusal::Stale),
    }
}

fn allow(may: bool, else_because: impl FnOnce() -> Text) -> Result<(), Refusal> {
    if may { Ok(()) } else { Err(Refusal::Because(else_because())) }
}

/// What a person wrote, cut to what the log takes; refused if it says nothing.
fn said(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    allow(!text.is_empty(), words::reason_missing)?;
    Ok(cut(text, NOTE_CHARS))
}

/// A time to come, not too far away.
fn within(until: Timestamp, now: Timestamp, most_ms: i64) -> Result<Timestamp, Refusal> {
    allow(until > now, words::time_past)?;
    allow(until.since_ms(now) <= most_ms, || words::too_long(most_ms))?;
    Ok(until)
}

/// What was done, and what the person wrote about it.
fn said_with(done: &str, note: &str) -> String {
    format!("{done} {}", note.trim())
}

/// With a note, if there is one.
fn noted(mut record: AlertRecord, by: String, at: Timestamp, text: &str) -> AlertRecord {
    let text = cut(text.trim(), NOTE_CHARS);
    if !text.is_empty() {
        record.notes.push(Note { by, at, text });
        let older = record.notes.len().saturating_sub(MOST_NOTES);
        record.notes.drain(..older);
    }
    record
}

/// Whether the last change of the alert is this act of this person, by what they had seen then.
fn is_own_repeat(
    held: &AlertRecord,
    act: &Act,
    command: &Command,
    expected_rev: Option<u32>,
) -> bool {
    let by = cut(&command.by, NAME_CHARS);
    let seen_before_it = expected_rev.is_none_or(|seen| seen.checked_add(1) == Some(held.rev));
    seen_before_it
        && match (act, held.change) {
            (Act::Acknowledge { .. }, Change::Acknowledged) => {
                held.acknowledgement.as_ref().is_some_and(|taken| taken.by == by)
            }
            (Act::Assign { to, .. }, Change::Assigned) => match &held.assignment {
                Some(given) => given.by == by && given.to == cut(to.trim(), NAME_CHARS),
                None => to.trim().is_empty() && is_noted_by(held, &by),
            },
            (Act::Note { text }, Change::Noted) => {
                let text = cut(text.trim(), NOTE_CHARS);
                held.notes.last().is_some_and(|last| last.by == by && last.text == text)
            }
            (Act::Shelve { until, one_shot, .. }, Change::Shelved) => {
                let same = (&by, until, one_shot);
                held.shelving.as_ref().is_some_and(|s| (&s.by, &s.until, &s.one_shot) == same)
            }
            (Act::Suppress { until, .. }, Change::Suppressed) => {
                held.suppression.as_ref().is_some_and(|held| {
                    let is_theirs =
                        matches!(&held.why, Explanation::Person { by: who, .. } if *who == by);
                    is_theirs && held.until == Some(*until)
                })
            }
            (Act::Close { cause, .. }, Change::Closed) => {
                held.closing.as_ref().is_some_and(|c| c.by == by && c.cause == *cause)
            }
            (Act::Unshelve, Change::Unshelved)
            | (Act::Unsuppress, Change::Unsuppressed)
            | (Act::Reset { .. }, Change::Reset) => is_noted_by(held, &by),
            _ => false,
        }
}

fn is_noted_by(held: &AlertRecord, by: &str) -> bool {
    held.notes.last().is_some_and(|last| last.by == by)
}
