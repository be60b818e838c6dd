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
//! The list has a bound, however much a series chatters while nobody is at the desk:
//! - Of one rule over one series, only the newest alert waits for a person: one that has returned
//!   ends as superseded as soon as there is a newer one, in the same append, after it.
//! - Beyond [`MOST_OPEN`] alerts, those that have returned end as superseded too, the least severe
//!   first and of these the oldest. An alert whose condition holds never gives way: there are at
//!   most as many of them as rules over series.
//!
//! Everything may be told twice: a raise of a known alert and a clear of a returned one change
//! nothing, and a command with a known key gets its first answer. `rev` counts up by one.

mod list;

use std::collections::{HashMap, VecDeque};

use sen_model::alert::Acknowledgement;
use sen_model::{
    Act, AlertId, AlertRecord, AlertState, Change, Changed, Command, CommandOutcome, Order,
    Registry, Text, Timestamp,
};

use crate::transition::{Subject, Transition};
use crate::wording::{Scene, displaced, superseded, withdrawn};
use list::OpenList;

/// Alerts that are over and still known: raising one of them again changes nothing. A replay
/// reaches back to a checkpoint, that is seconds; this is days.
pub(crate) const MOST_CLOSED: usize = 20_000;
/// Alerts on the list, at most, unless more conditions than that hold at once.
pub(crate) const MOST_OPEN: usize = 20_000;
/// Keys of commands whose answers are remembered.
const MOST_ANSWERS: usize = 10_000;
/// Longest note kept, in characters: a record must fit into the log.
const NOTE_CHARS: usize = 1_000;
/// Longest name of a person kept, in characters.
const NAME_CHARS: usize = 100;

/// What a key was used for, and what became of it.
#[derive(Debug)]
struct Answer {
    order: Order,
    outcome: CommandOutcome,
}

/// The alerts as the log has them.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    alerts: HashMap<AlertId, AlertRecord>,
    /// Those that are over, oldest first.
    closed: VecDeque<AlertId>,
    list: OpenList,
    answers: HashMap<String, Answer>,
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
        self.list.change(held, &record);
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
        self.list.len()
    }

    /// Adds the records a transition makes, if it changes anything.
    pub(crate) fn apply(
        &mut self,
        transition: &Transition,
        registry: &Registry,
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) {
        let (Transition::Raise { subject, started_at, .. }
        | Transition::Join { subject, started_at, .. }
        | Transition::Clear { subject, started_at, .. }) = transition;
        let id = subject.episode(*started_at);
        let record = match (transition, self.alerts.get(&id)) {
            (Transition::Raise { .. }, None) => raised(id.clone(), transition, registry, now),
            (Transition::Clear { .. }, Some(held)) => cleared(held, transition, registry, now),
            _ => None,
        };
        if let Some(record) = record {
            self.fold(record.clone());
            out.push(record);
        }
        // Also after what was told before: a crash may have cut off what followed from it.
        self.make_way(&id, now, out);
    }

    /// Closes an alert nobody watches any more; nothing if it has returned.
    pub(crate) fn withdraw(
        &mut self,
        id: &AlertId,
        needs_acknowledgement: bool,
        now: Timestamp,
        out: &mut Vec<AlertRecord>,
    ) {
        let Some(held) = self.alerts.get(id) else { return };
        let Some(mut record) = returned(held, needs_acknowledgement, now, now, now) else { return };
        record.text = withdrawn(held);
        self.fold(record.clone());
        out.push(record);
        self.make_way(id, now, out);
    }

    /// Ends whatever a crash kept from giving way.
    pub(crate) fn tidy(&mut self, now: Timestamp, out: &mut Vec<AlertRecord>) {
        let returned: Vec<AlertId> = self.list.returned().cloned().collect();
        returned.iter().for_each(|id| self.make_way(id, now, out));
    }

    /// Ends the alerts that have returned and that a newer one of the rule and series of `id`
    /// stands for; then those that are too many.
    fn make_way(&mut self, id: &AlertId, now: Timestamp, out: &mut Vec<AlertRecord>) {
        let mut ended = Vec::new();
        if let Some(alert) = self.alerts.get(id)
            && let Some((started_at, newest)) = self.list.newest(alert)
        {
            let older = self.list.others(alert).filter(|(_, other)| *other != newest);
            ended.extend(older.filter_map(|(_, other)| {
                let held = self.alerts.get(other)?;
                over(held, started_at, now, superseded(held))
            }));
        }
        self.end(ended, out);
        while self.list.len() > MOST_OPEN {
            let least = self.list.least().and_then(|id| self.alerts.get(id));
            let Some(held) = least else { return };
            let Some(record) = over(held, held.event_time, now, displaced(held)) else { return };
            self.end(vec![record], out);
        }
    }

    fn end(&mut self, records: Vec<AlertRecord>, out: &mut Vec<AlertRecord>) {
        records.iter().cloned().for_each(|record| self.fold(record));
        out.extend(records);
    }

    /// Carries out a command: the answer, and the record if it changes anything.
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        now: Timestamp,
    ) -> (CommandOutcome, Option<AlertRecord>) {
        if let Some(earlier) = self.answers.get(&command.idempotency_key) {
            let is_same = earlier.order == command.order;
            let outcome = if is_same { earlier.outcome.clone() } else { CommandOutcome::KeyReused };
            return (outcome, None);
        }
        let Order::Alert { alert, expected_rev, act } = &command.order else {
            return (CommandOutcome::Unknown, None);
        };
        let (outcome, record) = match self.alerts.get(alert) {
            None => (CommandOutcome::Unknown, None),
            Some(held) => decide(held, command, *expected_rev, act, now),
        };
        if let Some(record) = &record {
            self.fold(record.clone());
        }
        let answer = Answer { order: command.order.clone(), outcome: outcome.clone() };
        self.remember(command.idempotency_key.clone(), answer);
        (outcome, record)
    }

    fn remember(&mut self, key: String, answer: Answer) {
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
    let Transition::Raise { subject, started_at, event_time, value, late, .. } = transition else {
        return None;
    };
    let Subject { edition, device, metric, .. } = subject;
    let rule = &edition.rule;
    let scene = Scene::new(registry, subject);
    let version = edition.version.to_string();
    let (rule_id, severity) = (rule.id.clone(), edition.severity);
    Some(AlertRecord {
        metric: metric.clone(),
        area: scene.area(),
        value: *value,
        limit: edition.known_limit(),
        level: edition.level,
        event_time: *event_time,
        recorded_at: now,
        late: *late,
        text: scene.raised(*value, *started_at),
        ..AlertRecord::raised(
            id,
            rule_id,
            version,
            severity,
            rule.field,
            device.clone(),
            *started_at,
        )
    })
}

fn cleared(
    held: &AlertRecord,
    transition: &Transition,
    registry: &Registry,
    now: Timestamp,
) -> Option<AlertRecord> {
    let Transition::Clear { subject, ceased_at, event_time, value, .. } = transition else {
        return None;
    };
    let needs = subject.edition.rule.needs_acknowledgement(held.severity);
    let mut record = returned(held, needs, *event_time, *ceased_at, now)?;
    record.text = Scene::new(registry, subject).cleared(*value, *event_time);
    record.value = *value;
    Some(record)
}

/// The alert ended because another one counts for more; nothing unless it has returned.
fn over(
    held: &AlertRecord,
    event_time: Timestamp,
    now: Timestamp,
    text: Text,
) -> Option<AlertRecord> {
    (held.state == AlertState::ReturnedUnacknowledged).then(|| AlertRecord {
        rev: held.rev + 1,
        change: Change::Superseded,
        state: AlertState::Normal,
        event_time: held.event_time.max(event_time),
        recorded_at: now,
        text,
        ..held.clone()
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
        AlertState::ReturnedUnacknowledged | AlertState::Latched | AlertState::Normal => {
            return None;
        }
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
    expected_rev: Option<u32>,
    act: &Act,
    now: Timestamp,
) -> (CommandOutcome, Option<AlertRecord>) {
    let held_now = || Box::new(held.clone());
    let Act::Acknowledge { note } = act else { return (CommandOutcome::Unknown, None) };
    let is_as_seen = expected_rev.is_none_or(|seen| seen == held.rev);
    let state = match held.state {
        AlertState::Unacknowledged if is_as_seen => AlertState::Acknowledged,
        AlertState::ReturnedUnacknowledged if is_as_seen => AlertState::Normal,
        // An earlier try of the same person whose answer was lost with us in a crash.
        _ if is_own_repeat(held, command, expected_rev) => {
            return (CommandOutcome::Done(Changed::Alert(held_now())), None);
        }
        AlertState::Normal => return (CommandOutcome::Over(held_now()), None),
        _ => return (CommandOutcome::Stale(held_now()), None),
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
    (CommandOutcome::Done(Changed::Alert(Box::new(record.clone()))), Some(record))
}

fn is_own_repeat(held: &AlertRecord, command: &Command, expected_rev: Option<u32>) -> bool {
    let seen_before_it = expected_rev.is_none_or(|seen| seen.checked_add(1) == Some(held.rev));
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
