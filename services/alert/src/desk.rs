//! Pure: the alert desk. Folds the alert log, and turns transitions and commands into records.
//!
//! Lifecycle after ISA-18.2, one alert for one episode:
//!
//! ```text
//!  raise ─▶ unacknowledged ──acknowledge──▶ acknowledged
//!                │                               │
//!              clear                           clear
//!                ▼                               ▼
//!     returned unacknowledged ─acknowledge─▶ normal
//! ```
//! A rule that needs no acknowledgement goes from unacknowledged straight to normal.
//!
//! Everything may be told twice: a raise of a known alert and a clear of a returned one change
//! nothing, and a command with a known key gets its first answer. `rev` counts up by one.

use std::collections::{HashMap, VecDeque};

use sen_model::alert::Acknowledgement;
use sen_model::{
    AlertId, AlertRecord, AlertState, Change, Command, CommandOutcome, Condition, Order, Registry,
    Timestamp,
};

use crate::transition::{Subject, Transition};
use crate::wording::{Scene, withdrawn};

/// Alerts that are over and still known: raising one of them again changes nothing. A replay
/// reaches back to a checkpoint, that is seconds; this is days.
pub(crate) const MOST_CLOSED: usize = 20_000;
/// Keys of commands whose answers are remembered.
const MOST_ANSWERS: usize = 10_000;
/// Longest note kept, in characters: a record must fit into the log.
const NOTE_CHARS: usize = 1_000;
/// Longest name of a person kept, in characters.
const NAME_CHARS: usize = 100;

/// The alerts as the log has them.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    alerts: HashMap<AlertId, AlertRecord>,
    /// Those that are over, oldest first.
    closed: VecDeque<AlertId>,
    answers: HashMap<String, CommandOutcome>,
    /// Their keys, oldest first.
    keys: VecDeque<String>,
}

impl Desk {
    /// Takes a record of the log; an older revision than the one held changes nothing.
    pub(crate) fn fold(&mut self, record: AlertRecord) {
        let held = self.alerts.get(&record.id);
        if held.is_some_and(|held| held.rev >= record.rev) {
            return;
        }
        let was_open = held.is_none_or(|held| held.state.is_open());
        if was_open && !record.state.is_open() {
            self.closed.push_back(record.id.clone());
        }
        self.alerts.insert(record.id.clone(), record);
        while self.closed.len() > MOST_CLOSED {
            if let Some(oldest) = self.closed.pop_front() {
                self.alerts.remove(&oldest);
            }
        }
    }

    /// Every alert that belongs on the list, oldest first.
    pub(crate) fn open(&self) -> Vec<&AlertRecord> {
        let mut open: Vec<_> = self.alerts.values().filter(|alert| alert.state.is_open()).collect();
        open.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        open
    }

    /// How many alerts belong on the list.
    pub(crate) fn open_count(&self) -> usize {
        self.alerts.len() - self.closed.len()
    }

    /// The record a transition makes, if it changes anything.
    pub(crate) fn apply(
        &mut self,
        transition: &Transition,
        registry: &Registry,
        now: Timestamp,
    ) -> Option<AlertRecord> {
        let record = match transition {
            Transition::Raise { subject, started_at, .. } => {
                let id = subject.episode(*started_at);
                if self.alerts.contains_key(&id) {
                    return None;
                }
                raised(id, transition, registry, now)?
            }
            Transition::Clear { subject, started_at, ceased_at, event_time, value } => {
                let held = self.alerts.get(&subject.episode(*started_at))?;
                let Subject { edition, device, metric } = subject;
                let text =
                    Scene::new(registry, &edition.rule, device, metric.as_ref()).cleared(*value);
                let needs = edition.rule.needs_acknowledgement();
                let mut record = returned(held, needs, *event_time, *ceased_at, now)?;
                record.text = text;
                record.value = *value;
                record
            }
        };
        self.fold(record.clone());
        Some(record)
    }

    /// The record that closes an alert nobody watches any more; nothing if it has returned.
    pub(crate) fn withdraw(
        &mut self,
        id: &AlertId,
        needs_acknowledgement: bool,
        now: Timestamp,
    ) -> Option<AlertRecord> {
        let held = self.alerts.get(id)?;
        let mut record = returned(held, needs_acknowledgement, now, now, now)?;
        record.text = withdrawn(held);
        self.fold(record.clone());
        Some(record)
    }

    /// Carries out a command: the answer, and the record if it changes anything.
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        now: Timestamp,
    ) -> (CommandOutcome, Option<AlertRecord>) {
        if let Some(answer) = self.answers.get(&command.idempotency_key) {
            return (answer.clone(), None);
        }
        let (answer, record) = match self.alerts.get(&command.alert) {
            None => (CommandOutcome::Unknown, None),
            Some(held) => decide(held, command, now),
        };
        if let Some(record) = &record {
            self.fold(record.clone());
        }
        self.remember(command.idempotency_key.clone(), answer.clone());
        (answer, record)
    }

    fn remember(&mut self, key: String, answer: CommandOutcome) {
        self.keys.push_back(key.clone());
        self.answers.insert(key, answer);
        while self.keys.len() > MOST_ANSWERS {
            if let Some(oldest) = self.keys.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }
}

fn raised(
    id: AlertId,
    transition: &Transition,
    registry: &Registry,
    now: Timestamp,
) -> Option<AlertRecord> {
    let Transition::Raise { subject, started_at, event_time, value, late } = transition else {
        return None;
    };
    let Subject { edition, device, metric } = subject;
    let rule = &edition.rule;
    let scene = Scene::new(registry, rule, device, metric.as_ref());
    Some(AlertRecord {
        id,
        rev: 1,
        change: Change::Raised,
        state: AlertState::Unacknowledged,
        rule: rule.id.clone(),
        rule_version: edition.version.to_string(),
        severity: rule.severity,
        field: rule.field,
        device: device.clone(),
        metric: metric.clone(),
        area: scene.area(),
        value: *value,
        limit: match rule.condition {
            Condition::Threshold { bound, .. } => Some(bound.limit()),
            Condition::Absence { .. } => None,
        },
        event_time: *event_time,
        started_at: *started_at,
        cleared_at: None,
        recorded_at: now,
        acknowledgement: None,
        late: *late,
        text: scene.raised(*value, *started_at),
    })
}

/// The alert with its condition gone; nothing if it was gone before.
fn returned(
    held: &AlertRecord,
    needs_acknowledgement: bool,
    event_time: Timestamp,
    ceased_at: Timestamp,
    now: Timestamp,
) -> Option<AlertRecord> {
    let state = match held.state {
        AlertState::Unacknowledged if needs_acknowledgement => AlertState::ReturnedUnacknowledged,
        AlertState::Unacknowledged | AlertState::Acknowledged => AlertState::Normal,
        AlertState::ReturnedUnacknowledged | AlertState::Normal => return None,
    };
    Some(AlertRecord {
        rev: held.rev + 1,
        change: Change::Cleared,
        state,
        event_time,
        cleared_at: Some(ceased_at),
        recorded_at: now,
        ..held.clone()
    })
}

fn decide(
    held: &AlertRecord,
    command: &Command,
    now: Timestamp,
) -> (CommandOutcome, Option<AlertRecord>) {
    let Order::Acknowledge { note } = &command.order;
    let is_as_seen = command.expected_rev.is_none_or(|seen| seen == held.rev);
    let state = match held.state {
        AlertState::Unacknowledged if is_as_seen => AlertState::Acknowledged,
        AlertState::ReturnedUnacknowledged if is_as_seen => AlertState::Normal,
        // An earlier try of the same person whose answer was lost with us in a crash.
        _ if is_own_repeat(held, command) => return (CommandOutcome::Done(held.clone()), None),
        AlertState::Normal => return (CommandOutcome::Over(held.clone()), None),
        _ => return (CommandOutcome::Stale(held.clone()), None),
    };
    let (by, note) = (cut(&command.by, NAME_CHARS), cut(note, NOTE_CHARS));
    let record = AlertRecord {
        rev: held.rev + 1,
        change: Change::Acknowledged,
        state,
        event_time: command.at,
        recorded_at: now,
        acknowledgement: Some(Acknowledgement { by, at: command.at, note }),
        ..held.clone()
    };
    (CommandOutcome::Done(record.clone()), Some(record))
}

fn is_own_repeat(held: &AlertRecord, command: &Command) -> bool {
    let seen_before_it =
        command.expected_rev.is_none_or(|seen| seen.checked_add(1) == Some(held.rev));
    held.change == Change::Acknowledged
        && seen_before_it
        && held
            .acknowledgement
            .as_ref()
            .is_some_and(|taken| taken.by == cut(&command.by, NAME_CHARS))
}

fn cut(text: &str, most_chars: usize) -> String {
    text.chars().take(most_chars).collect()
}

#[cfg(test)]
mod tests;
