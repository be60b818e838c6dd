//! Pure: the alert desk. Folds the alert log and the desk's own log, and turns transitions,
//! commands and the passing of time into records of both.
//!
//! Lifecycle after ISA-18.2 / IEC 62682, one alert for one episode:
//!
//! ```text
//!  raise ─▶ unacknowledged ──acknowledge──▶ acknowledged
//!                │                               │
//!              clear                           clear
//!                ▼                               ▼
//!     returned unacknowledged ─acknowledge─▶ normal, or latched ─reset─▶ normal
//! ```
//! A rule that needs no acknowledgement goes from unacknowledged straight to where an acknowledged
//! one would go, and so does what was put aside when it ended: shelved by a person, suppressed by a
//! person or by what explains it, out of service. What is put aside is judged, counted and listed
//! all the same.
//!
//! The list has a bound, however much a series chatters while nobody is at the desk:
//! - Of one rule and level over one series, only the newest alert waits for a person: one that has
//!   returned or is latched ends as superseded as soon as there is a newer one, in the same append,
//!   after it.
//! - Beyond [`MOST_OPEN`] alerts, those that have returned end as superseded too, the least severe
//!   first and of these the oldest. An alert whose condition holds never gives way: there are at
//!   most as many of them as rules over series.
//!
//! Everything may be told twice: a raise of a known alert and a clear of a returned one change
//! nothing, and a command with a known key gets its first answer. `rev` counts up by one.
//!
//! Read in this order: `lifecycle` (one alert), `acts` (people and one alert), `orders` and
//! `shifts` (people and the desk), `explain` (suppression, out of service), `timers` (time),
//! `chatter`, `flood`, `stage`, `foreign`.

mod acts;
mod answers;
mod around;
mod chatter;
mod entries;
mod explain;
mod flood;
mod foreign;
pub(crate) mod lifecycle;
mod list;
mod orders;
mod shelves;
mod shifts;
mod stage;
mod timers;
mod words;

use std::collections::{HashMap, VecDeque};

use sen_model::{
    AlertId, AlertRecord, Change, Command, CommandOutcome, DeskRecord, DeviceId, Entry, EntryId,
    Order, Rule, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::records::Records;
use crate::transition::Transition;
use crate::wording::{Unwatched, displaced, superseded, withdrawn};
use answers::Answers;
pub(crate) use around::Around;
use chatter::Chatter;
pub(crate) use chatter::chattering;
pub(crate) use entries::MOST_ENDED;
use entries::{Entries, SEN, edition_id};
use flood::Floods;
use lifecycle::{cleared, joined, over, raised, returned};
use list::OpenList;
use shelves::Shelves;
use stage::Speaking;

/// Alerts that are over and still known: raising one of them again changes nothing. A replay
/// reaches back to a checkpoint, that is seconds; this is days.
pub(crate) const MOST_CLOSED: usize = 20_000;
/// Alerts on the list, at most, unless more conditions than that hold at once.
pub(crate) const MOST_OPEN: usize = 20_000;
/// Longest note kept, in characters: a record must fit into the log.
const NOTE_CHARS: usize = 1_000;
/// Longest name of a person kept, in characters.
const NAME_CHARS: usize = 100;

/// The desk as its logs have it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    around: Around,
    alerts: HashMap<AlertId, AlertRecord>,
    /// When the first record of an alert was made, where that is known.
    raised_at: HashMap<AlertId, Timestamp>,
    /// Those that are over, oldest first.
    closed: VecDeque<AlertId>,
    list: OpenList,
    shelves: Shelves,
    chatter: Chatter,
    floods: Floods,
    speaking: Speaking,
    entries: Entries,
    answers: Answers,
    /// When an alert of another system ends if it is told no more.
    ends: HashMap<AlertId, Timestamp>,
    /// Up to when time has passed; none before the first time.
    passed_to: Option<Timestamp>,
}

/// What a checkpoint keeps of the desk.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The open alerts, and those over whose shelf still stands.
    alerts: Vec<AlertRecord>,
    entries: Vec<DeskRecord>,
    editions: Vec<EntryId>,
}

/// How many open alerts are put aside, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) shelved: usize,
    pub(crate) suppressed: usize,
    pub(crate) out_of_service: usize,
    pub(crate) chattering: usize,
    pub(crate) flooded_desks: usize,
}

impl Desk {
    /// A desk that has heard of nothing.
    pub(crate) fn new(around: Around) -> Self {
        Self { around, ..Self::default() }
    }

    /// The same with what a checkpoint kept; the logs after it are still to be folded.
    pub(crate) fn resume(&mut self, kept: Kept) {
        let Kept { alerts, entries, editions } = kept;
        self.entries.know_editions(editions);
        alerts.into_iter().for_each(|record| self.fold(record));
        entries.into_iter().for_each(|record| self.fold_entry(record));
    }

    /// What a checkpoint must keep.
    pub(crate) fn kept(&self, now: Timestamp) -> Kept {
        let is_kept =
            |alert: &&AlertRecord| alert.state.is_open() || self.shelves.is_held_by(alert, now);
        let mut alerts: Vec<_> = self.alerts.values().filter(is_kept).cloned().collect();
        alerts.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        let editions = self.entries.editions().iter().cloned().collect();
        Kept { alerts, entries: self.entries.kept(), editions }
    }

    /// Takes a record of the alert log; an older revision than the one held changes nothing.
    pub(crate) fn fold(&mut self, record: AlertRecord) {
        self.shelves.note(&record);
        self.chatter.note(&record);
        self.floods.note(&record);
        if record.change == Change::Raised {
            self.raised_at.insert(record.id.clone(), record.recorded_at);
        }
        let held = self.alerts.get(&record.id);
        if held.is_some_and(|held| held.rev >= record.rev) {
            return;
        }
        let was_open = held.is_none_or(|held| held.state.is_open());
        if was_open && !record.state.is_open() {
            self.closed.push_back(record.id.clone());
        }
        self.list.change(held, &record);
        self.speaking.change(&self.around, held, &record);
        self.alerts.insert(record.id.clone(), record);
        while self.closed.len() > MOST_CLOSED {
            if let Some(oldest) = self.closed.pop_front() {
                self.alerts.remove(&oldest);
                self.raised_at.remove(&oldest);
            }
        }
    }

    /// Takes a record of the desk's log; an older revision than the one held changes nothing.
    pub(crate) fn fold_entry(&mut self, record: DeskRecord) {
        if self.entries.fold(record.clone()) {
            self.floods.enter(&record, &self.alerts);
        }
    }

    /// Every alert that belongs on the list, oldest first.
    pub(crate) fn open(&self) -> Vec<&AlertRecord> {
        let mut open: Vec<_> = self.alerts.values().filter(|alert| alert.state.is_open()).collect();
        open.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        open
    }

    /// The alerts whose condition the engine must answer for: it holds, and no other system told it.
    pub(crate) fn judged(&self) -> Vec<&AlertRecord> {
        let is_judged = |alert: &&AlertRecord| alert.holds() && !foreign::is_foreign(alert);
        self.open().into_iter().filter(is_judged).collect()
    }

    /// The alerts that people closed, as far as they are known.
    pub(crate) fn closed_by_people(&self) -> impl Iterator<Item = &AlertRecord> {
        self.alerts.values().filter(|alert| alert.closing.is_some())
    }

    /// How many devices a device depends on.
    pub(crate) fn depth(&self, device: &DeviceId) -> usize {
        self.around.above(device).len()
    }

    /// How many alerts belong on the list.
    pub(crate) fn open_count(&self) -> usize {
        self.list.len()
    }

    /// How many of them are put aside.
    pub(crate) fn standing(&self) -> Standing {
        let mut standing = Standing { flooded_desks: self.floods.count(), ..Standing::default() };
        for alert in self.alerts.values().filter(|alert| alert.state.is_open()) {
            standing.shelved += usize::from(alert.shelving.is_some());
            standing.suppressed += usize::from(alert.suppression.is_some());
            standing.out_of_service += usize::from(alert.out_of_service.is_some());
            standing.chattering += usize::from(alert.chattering);
        }
        standing
    }

    /// Other rules are in force: their editions are entered, each once for ever. At a start this
    /// comes before anything else that makes records.
    pub(crate) fn take_rules(&mut self, rules: &[Rule], now: Timestamp, out: &mut Records) {
        self.around.take_rules(rules);
        self.speaking = Speaking::default();
        for alert in self.alerts.values() {
            self.speaking.change(&self.around, None, alert);
        }
        let mut editions: Vec<(EntryId, Entry)> = Vec::new();
        for rule in self.around.rules() {
            let version = rule.version();
            let id = edition_id(&rule.id, &version);
            if !self.entries.editions().contains(&id) {
                editions.push((id, Entry::Edition { rule: Box::new(rule.clone()), version }));
            }
        }
        editions.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (id, entry) in editions {
            self.enter(self.entries.next(id, true, SEN, now, entry), out);
        }
    }

    /// Adds the records a transition makes, if it changes anything.
    pub(crate) fn apply(&mut self, transition: &Transition, now: Timestamp, out: &mut Records) {
        let id = transition.episode();
        let registry = &self.around.registry;
        match (transition, self.alerts.get(&id)) {
            (Transition::Raise { .. }, None) => {
                if let Some(record) = raised(transition, registry, now) {
                    self.raise(record, now, out);
                }
            }
            (Transition::Clear { .. }, Some(held)) => {
                if let Some(record) = cleared(held, transition, registry, now) {
                    self.record(record, out);
                }
            }
            (Transition::Join { .. }, Some(held)) => {
                if let Some(record) = joined(held, transition, registry, now) {
                    self.record(record, out);
                }
            }
            _ => {}
        }
        // Also after what was told before: a crash may have cut off what followed from it.
        self.follow(&id, now, out);
    }

    /// Takes up an alert that is known to hold, whatever became of its record elsewhere.
    pub(crate) fn take_up(&mut self, alert: AlertRecord, now: Timestamp, out: &mut Records) {
        if self.alerts.contains_key(&alert.id) {
            return;
        }
        let (id, rev, change) = (alert.id.clone(), 1, Change::Raised);
        self.raise(AlertRecord { rev, change, recorded_at: now, ..alert }, now, out);
        self.follow(&id, now, out);
    }

    /// Takes up a new alert, with what the desk knows of it beforehand: it may be born onto a shelf.
    fn raise(&mut self, mut record: AlertRecord, now: Timestamp, out: &mut Records) {
        record.drill = self.entries.is_drill();
        record.chattering = self.chatter.would(&record);
        record.shelving = self.shelves.over(&record, now);
        record.out_of_service = self.entries.out_of_service(&record);
        record.suppression = self.explanation(&record, now);
        self.record(record, out);
    }

    /// What follows from a change of an alert.
    fn follow(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
        self.make_way(id, now, out);
        self.unshelve_used(id, now, out);
        self.explain_around(id, now, out);
        self.hint(id, now, out);
        if let Some(field) = self.alerts.get(id).map(|alert| alert.field) {
            self.watch_flood(field, now, out);
        }
        self.advise(now, out);
    }

    /// Closes an alert nobody watches any more; nothing if it has returned.
    pub(crate) fn withdraw(
        &mut self,
        id: &AlertId,
        why: Unwatched,
        needs_acknowledgement: bool,
        now: Timestamp,
        out: &mut Records,
    ) {
        let Some(held) = self.alerts.get(id) else { return };
        let Some(mut record) = returned(held, needs_acknowledgement, now, now) else { return };
        record.text = withdrawn(held, why);
        self.record(record, out);
        self.follow(id, now, out);
    }

    /// Does whatever a crash kept from being done after what caused it.
    pub(crate) fn tidy(&mut self, now: Timestamp, out: &mut Records) {
        let open: Vec<AlertId> = self.open().into_iter().map(|alert| alert.id.clone()).collect();
        for id in open {
            self.make_way(&id, now, out);
            self.unshelve_used(&id, now, out);
            self.explain(&id, now, out);
        }
        self.advise(now, out);
    }

    /// Ends the alerts that have returned and that a newer one of the rule and series of `id`
    /// stands for; then those that are too many.
    fn make_way(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
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
        ended.into_iter().for_each(|record| self.record(record, out));
        while self.list.len() > MOST_OPEN {
            let least = self.list.least().and_then(|id| self.alerts.get(id));
            let Some(held) = least else { return };
            let Some(record) = over(held, held.event_time, now, displaced(held)) else { return };
            self.record(record, out);
        }
    }

    /// Carries out a command, with the records it makes.
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        now: Timestamp,
        out: &mut Records,
    ) -> CommandOutcome {
        let (key, order) = (&command.idempotency_key, &command.order);
        // Systems tell the same again and again, each time with another end: no need of keys.
        if !matches!(order, Order::Foreign { .. })
            && let Some(earlier) = self.answers.earlier(key, order)
        {
            return earlier;
        }
        let outcome = match order {
            Order::Foreign { told } => return self.hear(told, now, out),
            Order::Alert { alert, expected_rev, act } => {
                self.act(alert, *expected_rev, act, command, now, out)
            }
            Order::Desk { act } => self.order(act, command, now, out),
        };
        self.answers.remember(key, order.clone(), outcome.clone());
        outcome
    }

    /// Takes up a record of an alert and gives it out.
    fn record(&mut self, record: AlertRecord, out: &mut Records) {
        self.fold(record.clone());
        out.alerts.push(record);
    }

    /// Takes up a record of the desk's log and gives it out.
    fn enter(&mut self, record: DeskRecord, out: &mut Records) {
        self.fold_entry(record.clone());
        out.desk.push(record);
    }
}

fn cut(text: &str, most_chars: usize) -> String {
    text.chars().take(most_chars).collect()
}

#[cfg(test)]
mod tests;
