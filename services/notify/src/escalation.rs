//! Who is to be told of which alert, and when. Pure: the records of the topics `alerts` and
//! `deliveries` in, the deliveries that are due out; time is an input.
//!
//! An alert that is shown and that nobody has acknowledged calls the steps of its policy one after
//! the other, each once: a step that brought no answer in its time, or failed for good, gives way
//! to the next. A repetition waits for the time that the policy gives to a round, however fast the
//! channels failed. When all of it brought no answer, the alert counts as unanswered; a critical one
//! begins again after a pause. What was done is known by the deliveries alone, whose ids follow from
//! the alert, the change that began the escalation, the step and the channel. So a restart goes on
//! exactly where it was, and nothing is decided twice.
//!
//! An alert that another one explained for a while goes on where it was when it comes back in time:
//! a gateway that comes and goes does not begin the escalation anew each time. What a person put
//! aside begins again from the first step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sen_model::alert::Explanation;
use sen_model::{AlertId, AlertRecord, AlertState, Delivery, DeliveryState, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::policy::{Policy, Who, not_before};
use crate::roster::Rota;
use crate::settings::APP;

/// Whom a delivery names when there is nobody to call.
const NOBODY: &str = "nobody";

/// The change of an alert at which it began to need somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    rev: u32,
    at: Timestamp,
}

/// A delivery, and since when there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Its newest record.
    pub(crate) delivery: Delivery,
    /// When the first of its records was made: an answer is waited for from then on.
    pub(crate) since: Timestamp,
    /// Whether it is on its way at this moment, or the record of how that ended is still owed to
    /// the log: until it is there, nothing else becomes of the delivery.
    #[serde(skip)]
    is_under_way: bool,
    /// Tries so far; the first, second, fourth, eighth … that fails is recorded.
    #[serde(skip)]
    tries: u32,
}

/// An alert with what was delivered about it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Case {
    /// Its newest record; none while only deliveries are known.
    pub(crate) alert: Option<Arc<AlertRecord>>,
    /// Set while the alert needs somebody.
    begun: Option<Begun>,
    /// What it had begun when another alert explained it, and when that was.
    #[serde(default)]
    interrupted: Option<(Begun, Timestamp)>,
    /// Whether every step and repetition went by without an answer.
    #[serde(skip)]
    is_unanswered: bool,
    /// By id.
    pub(crate) deliveries: BTreeMap<String, Known>,
    /// When something may be due next; `None` = now.
    #[serde(skip)]
    wake: Option<Timestamp>,
}

/// Every alert that is open or still has deliveries to settle.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Book {
    pub(crate) cases: BTreeMap<AlertId, Case>,
    /// Deliveries that wait and that nobody has taken up yet.
    #[serde(skip)]
    pub(crate) fresh: BTreeSet<(AlertId, String)>,
    /// See [`Book::newly_unanswered`]; taken after each look at what is due.
    #[serde(skip)]
    unanswered: Vec<AlertId>,
}

/// What an escalation comes to for now.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    /// When it goes on, if it does.
    at: Option<Timestamp>,
    /// Whether everything was done and nobody has answered.
    is_unanswered: bool,
}

impl Next {
    /// The next call is due at `due_at`, and nobody has answered if it is later than `over_at`.
    fn of(due_at: Option<Timestamp>, over_at: Option<Timestamp>, now: Timestamp) -> Self {
        let is_unanswered = over_at.is_some_and(|over_at| over_at <= now);
        let over_at = over_at.filter(|_| !is_unanswered);
        Self { at: due_at.into_iter().chain(over_at).min(), is_unanswered }
    }
}

/// The id of a delivery.
pub(crate) fn delivery_id(alert: &AlertId, began: u32, step: u32, channel: &str) -> String {
    // None of the parts can hold a newline, so the parts cannot run into each other.
    let digest = Sha256::digest(format!("{alert}\n{began}\n{step}\n{channel}"));
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether nobody has taken an alert yet.
fn is_untaken(alert: &AlertRecord) -> bool {
    matches!(alert.state, AlertState::Unacknowledged | AlertState::ReturnedUnacknowledged)
}

/// Whether an alert needs somebody: it is on the list, and nobody has taken it.
fn needs_somebody(alert: &AlertRecord) -> bool {
    is_untaken(alert) && alert.is_shown()
}

/// Whether only another alert keeps it off the list, and no person.
fn is_explained(alert: &AlertRecord) -> bool {
    let by_another = alert.suppression.as_ref().is_some_and(|suppression| {
        matches!(
            suppression.why,
            Explanation::Level { .. } | Explanation::Dependency { .. } | Explanation::Member { .. }
        )
    });
    by_another && is_untaken(alert) && alert.shelving.is_none() && alert.out_of_service.is_none()
}

impl Book {
    /// Takes the next record of the topic `alerts`; one that is known already changes nothing.
    pub(crate) fn fold_alert(&mut self, record: &Arc<AlertRecord>, policies: &[Policy]) {
        if !record.state.is_open() && !self.cases.contains_key(&record.id) {
            return;
        }
        let case = self.cases.entry(record.id.clone()).or_default();
        if case.alert.as_ref().is_some_and(|known| known.rev >= record.rev) {
            return;
        }
        case.turn(record, policies);
        case.alert = Some(Arc::clone(record));
        case.wake = None;
    }

    /// Takes the next record of the topic `deliveries`.
    pub(crate) fn fold_delivery(&mut self, delivery: &Delivery) {
        let case = self.cases.entry(delivery.alert.clone()).or_default();
        case.wake = None;
        let key = (delivery.alert.clone(), delivery.id.clone());
        match case.deliveries.get_mut(&delivery.id) {
            Some(known) if known.delivery.rev >= delivery.rev => return,
            Some(known) => {
                if known.delivery.state != DeliveryState::Waiting
                    && delivery.state == DeliveryState::Waiting
                {
                    // It begins anew, with the time that has gone by.
                    self.fresh.insert(key.clone());
                }
                known.delivery = delivery.clone();
                known.tries = known.tries.max(delivery.attempts);
                known.is_under_way = false;
            }
            None => {
                let (since, tries) = (delivery.at, delivery.attempts);
                let delivery = delivery.clone();
                let known = Known { delivery, since, is_under_way: false, tries };
                case.deliveries.insert(key.1.clone(), known);
                self.fresh.insert(key.clone());
            }
        }
        if delivery.state != DeliveryState::Waiting {
            self.fresh.remove(&key);
        }
    }

    /// After a checkpoint was read: what waits is to be taken up again.
    pub(crate) fn take_up(&mut self) {
        for (alert, case) in &mut self.cases {
            for (id, known) in &mut case.deliveries {
                known.tries = known.delivery.attempts;
                if known.delivery.state == DeliveryState::Waiting {
                    self.fresh.insert((alert.clone(), id.clone()));
                }
            }
        }
    }

    /// A delivery, if it is known.
    pub(crate) fn known(&self, alert: &AlertId, id: &str) -> Option<&Known> {
        self.cases.get(alert)?.deliveries.get(id)
    }

    /// Whether a delivery is on its way, or how that ended is not yet recorded.
    pub(crate) fn is_under_way(&self, alert: &AlertId, id: &str) -> bool {
        self.known(alert, id).is_some_and(|known| known.is_under_way)
    }

    /// A delivery is on its way from now on.
    pub(crate) fn set_out(&mut self, alert: &AlertId, id: &str) {
        let case = self.cases.get_mut(alert);
        if let Some(known) = case.and_then(|case| case.deliveries.get_mut(id)) {
            known.is_under_way = true;
        }
    }

    /// A try of a delivery has ended; gives the record of it. A failed try that changes nothing is
    /// recorded as the first, the second, the fourth … only: an hour without a relay must not fill
    /// the log.
    pub(crate) fn came_back(
        &mut self,
        alert: &AlertId,
        id: &str,
        state: DeliveryState,
        detail: &str,
        now: Timestamp,
    ) -> Option<Delivery> {
        let case = self.cases.get_mut(alert)?;
        let known = case.deliveries.get_mut(id)?;
        known.tries = known.tries.saturating_add(1);
        if state == DeliveryState::Waiting && !known.tries.is_power_of_two() {
            known.is_under_way = false;
            case.wake = None;
            return None;
        }
        Some(Delivery {
            rev: known.delivery.rev + 1,
            state,
            attempts: known.tries,
            at: now,
            detail: detail.to_owned(),
            ..known.delivery.clone()
        })
    }

    /// The records that are due now. They count when they are folded; until then they are due
    /// again.
    pub(crate) fn due(&mut self, rota: Rota<'_>, now: Timestamp) -> Vec<Delivery> {
        let mut records = Vec::new();
        for case in self.cases.values_mut() {
            if case.wake.is_some_and(|wake| wake > now) {
                continue;
            }
            let before = records.len();
            case.settle(rota, now, &mut records);
            let next = case.escalate(rota, now, &mut records);
            if records.len() == before {
                case.wake = Some(next.at.unwrap_or(Timestamp::from_millis(i64::MAX)));
                if next.is_unanswered && !case.is_unanswered {
                    self.unanswered.extend(case.alert.as_ref().map(|alert| alert.id.clone()));
                }
                case.is_unanswered = next.is_unanswered;
            }
        }
        records
    }

    /// The alerts that have become unanswered since this was last asked.
    pub(crate) fn newly_unanswered(&mut self) -> Vec<AlertId> {
        std::mem::take(&mut self.unanswered)
    }

    /// How many alerts nobody has answered, after every step and repetition.
    pub(crate) fn unanswered(&self) -> usize {
        self.cases.values().filter(|case| case.is_unanswered).count()
    }

    /// When something will be due next.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        self.cases.values().filter_map(|case| case.wake).min()
    }

    /// The wall clock was set by so much: what is waited for moves with it.
    pub(crate) fn clock_was_set(&mut self, by_ms: i64) {
        let shift = |at: &mut Timestamp| *at = at.plus_ms(by_ms);
        for case in self.cases.values_mut() {
            case.wake = None;
            case.begun.iter_mut().for_each(|begun| shift(&mut begun.at));
            if let Some((begun, left_at)) = &mut case.interrupted {
                shift(&mut begun.at);
                shift(left_at);
            }
            for known in case.deliveries.values_mut() {
                shift(&mut known.since);
                shift(&mut known.delivery.at);
            }
        }
    }

    /// Forgets what is over and settled.
    pub(crate) fn prune(&mut self) {
        self.cases.retain(|_, case| {
            let is_open = case.alert.as_ref().is_some_and(|alert| alert.state.is_open());
            let waits = |known: &Known| known.delivery.state == DeliveryState::Waiting;
            is_open || case.deliveries.values().any(waits)
        });
    }
}

impl Case {
    /// The alert changes: whether it needs somebody, and since when.
    fn turn(&mut self, record: &AlertRecord, policies: &[Policy]) {
        if needs_somebody(record) {
            let interrupted = self.interrupted.take();
            if self.begun.is_none() {
                let policy = policies.iter().find(|policy| policy.covers(record));
                let length_ms = policy.map_or(0, Policy::length_ms);
                let in_time = interrupted
                    .filter(|(_, left_at)| record.recorded_at.since_ms(*left_at) <= length_ms);
                let anew = Begun { rev: record.rev, at: record.recorded_at };
                self.begun = Some(in_time.map_or(anew, |(begun, _)| begun));
            }
        } else if is_explained(record) {
            let begun = self.begun.take().map(|begun| (begun, record.recorded_at));
            self.interrupted = begun.or(self.interrupted);
        } else {
            (self.begun, self.interrupted) = (None, None);
        }
    }

    /// Marks what its person acknowledged, and cancels what is no longer needed.
    fn settle(&self, rota: Rota<'_>, now: Timestamp, records: &mut Vec<Delivery>) {
        let taken_by = self.alert.as_ref().and_then(|alert| alert.acknowledgement.as_ref());
        for known in self.deliveries.values() {
            let delivery = &known.delivery;
            let is_waiting = delivery.state == DeliveryState::Waiting;
            let took_it = || {
                let contact = rota.on.people.get(&delivery.person)?;
                taken_by.filter(|taken| contact.is(&taken.by))
            };
            if known.is_under_way {
                // How it ended is recorded first.
                continue;
            }
            let ends_as = if (is_waiting || delivery.state == DeliveryState::Delivered)
                && took_it().is_some()
            {
                DeliveryState::Acknowledged
            } else if is_waiting && self.begun.is_none() {
                DeliveryState::Cancelled
            } else {
                continue;
            };
            records.push(Delivery {
                rev: delivery.rev + 1,
                state: ends_as,
                at: now,
                ..delivery.clone()
            });
        }
    }

    /// Adds the deliveries that are due; tells when it goes on.
    fn escalate(&self, rota: Rota<'_>, now: Timestamp, records: &mut Vec<Delivery>) -> Next {
        let Some((alert, begun)) = self.alert.as_deref().zip(self.begun) else {
            return Next::default();
        };
        let policy = rota.on.policies.iter().find(|policy| policy.covers(alert));
        let Some(policy) = policy else { return Next::default() };
        let mut free_at = begun.at.plus_ms(policy.delay_ms);
        let mut round_at = free_at;
        // When the last of the policy's own rounds has brought no answer.
        let mut over_at = None;
        for round in 0.. {
            if round == policy.repeat + 1 {
                over_at = Some(free_at);
            }
            if round > 0 {
                match policy.next_round(round, alert.severity, round_at) {
                    Some(at) => free_at = free_at.max(at),
                    None => return Next::of(None, over_at, now),
                }
            }
            for (nth, call) in calls(policy, round).enumerate() {
                let (number, who, channel, wait_ms) = call;
                let id = delivery_id(&alert.id, begun.rev, number, channel);
                let known = self.deliveries.get(&id);
                let was_cancelled =
                    |known: &&Known| known.delivery.state == DeliveryState::Cancelled;
                if let Some(known) = known.filter(|known| !was_cancelled(known)) {
                    free_at = known.since.plus_ms(wait_ms);
                    if known.delivery.state == DeliveryState::Failed {
                        // It will bring no answer.
                        free_at = free_at.min(known.delivery.at);
                    }
                    if nth == 0 {
                        round_at = known.since;
                    }
                    continue;
                }
                let due_at = not_before(&rota.on.quiet, alert.severity, free_at);
                if due_at > now {
                    return Next::of(Some(due_at), over_at, now);
                }
                let (person, state, detail) = begin(rota, who, channel, now);
                free_at = if state == DeliveryState::Failed { now } else { now.plus_ms(wait_ms) };
                if nth == 0 {
                    round_at = now;
                }
                let at_once = u32::from(state == DeliveryState::Delivered);
                records.push(Delivery {
                    id,
                    // What was cancelled while another alert explained this one begins anew.
                    rev: known.map_or(0, |known| known.delivery.rev) + 1,
                    alert: alert.id.clone(),
                    step: number,
                    person,
                    channel: channel.to_owned(),
                    state,
                    attempts: known.map_or(0, |known| known.delivery.attempts) + at_once,
                    at: now,
                    detail,
                });
            }
        }
        Next::default()
    }
}

/// Every call of one round of a policy: the step's number, whom, over what, and how long an answer
/// is waited for.
fn calls(policy: &Policy, round: u32) -> impl Iterator<Item = (u32, &Who, &str, i64)> {
    policy.round(round).flat_map(|(number, step)| {
        step.channels.iter().map(move |channel| (number, &step.who, channel.as_str(), step.wait_ms))
    })
}

/// Who is called, and how that begins: it fails at once if nobody can be.
fn begin(
    rota: Rota<'_>,
    who: &Who,
    channel: &str,
    now: Timestamp,
) -> (String, DeliveryState, String) {
    let failed = |person: &str, why: String| (person.to_owned(), DeliveryState::Failed, why);
    let person = match who {
        Who::Person(person) if rota.is_absent(person, now) => {
            return failed(person, "absent".to_owned());
        }
        Who::Person(person) => person.as_str(),
        Who::Team(team) => match rota.who(team, now) {
            Some(on_duty) => on_duty.person,
            None => return failed(NOBODY, format!("nobody of team {team} is there")),
        },
    };
    let is_reachable = rota.on.people.get(person).is_some_and(|contact| contact.has(channel));
    if !is_reachable {
        return failed(person, format!("cannot be reached by {channel}"));
    }
    // The screens show the alert by themselves.
    let state = if channel == APP { DeliveryState::Delivered } else { DeliveryState::Waiting };
    (person.to_owned(), state, String::new())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod stories;
