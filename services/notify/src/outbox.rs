//! What waits to go out, made into messages. Pure: time is an input.
//!
//! Deliveries to one person over one channel that wait together go out as one message: the
//! *parcel*. Its members and its key stay the same at every try, as long as the process lives. A person gets at most one message
//! in a while over a channel; what comes in between waits and joins the next one. Critical alerts
//! never wait: they go at once, and take along what waits.

use std::collections::BTreeMap;
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_model::{AlertId, DeliveryState, Severity, Timestamp};
use sha2::{Digest, Sha256};

use crate::escalation::Book;
use crate::settings::PUSH;

/// Messages on their way at a time over one channel; critical ones have some places more.
const PLACES: usize = 4;
const CRITICAL_PLACES: usize = 4;
/// The first pause before a message is tried again.
pub(crate) const RETRY_FIRST: Duration = Duration::from_secs(1);

/// A person and a channel.
type Group = (String, String);
/// A delivery that waits, the worst and oldest first: how bad its alert is, since when it waits, and
/// which it is.
type Waiting = (Severity, Timestamp, (AlertId, String));

/// How the outbox behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// A person gets at most one message in this time over a channel, critical ones aside.
    pub(crate) gather_ms: i64,
    /// The longest pause between two tries.
    pub(crate) retry_most: Duration,
    /// After this time a delivery that waits has failed.
    pub(crate) give_up_ms: i64,
}

/// One message on its way.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// The idempotency key: the same at every try, and of one delivery alone also after a restart.
    pub(crate) key: String,
    pub(crate) person: String,
    pub(crate) channel: String,
    /// The deliveries it carries out, worst alert first.
    pub(crate) members: Vec<(AlertId, String)>,
    severity: Severity,
    next_try: Timestamp,
    is_under_way: bool,
    backoff: Backoff,
}

/// Every message that is not yet out.
#[derive(Debug)]
pub(crate) struct Outbox {
    pace: Pace,
    parcels: BTreeMap<u64, Parcel>,
    next_number: u64,
    /// When a person last got a message over a channel.
    last: BTreeMap<Group, Timestamp>,
    /// Until when a channel is left alone, because its other side asked for that.
    rests: BTreeMap<String, Timestamp>,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The channel has taken it.
    Taken,
    /// It is to be tried again, after this long at least.
    Again(Duration),
    /// It will never be taken.
    Refused,
}

/// What becomes of each member of a parcel after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: DeliveryState,
    pub(crate) has_given_up: bool,
}

impl Outbox {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            parcels: BTreeMap::new(),
            next_number: 0,
            last: BTreeMap::new(),
            rests: BTreeMap::new(),
        }
    }

    /// How it behaves.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Makes parcels of what waits, as far as its time has come.
    pub(crate) fn gather(&mut self, book: &mut Book, now: Timestamp) {
        let mut groups: BTreeMap<Group, Vec<Waiting>> = BTreeMap::new();
        book.fresh.retain(|(alert, id)| {
            let Some(case) = book.cases.get(alert) else { return false };
            let Some(known) = case.deliveries.get(id) else { return false };
            let severity = case.alert.as_ref().map_or(Severity::LOW, |alert| alert.severity);
            let delivery = &known.delivery;
            let group = (delivery.person.clone(), delivery.channel.clone());
            let member = (alert.clone(), id.clone());
            groups.entry(group).or_default().push((severity, known.since, member));
            true
        });
        for (group, mut waiting) in groups {
            waiting.sort();
            let is_critical =
                waiting.first().is_some_and(|(worst, ..)| *worst == Severity::CRITICAL);
            if !is_critical && self.free_at(&group) > now {
                continue;
            }
            waiting.iter().for_each(|(.., member)| {
                book.fresh.remove(member);
            });
            self.pack(group, waiting, now);
        }
        let gather_ms = self.pace.gather_ms;
        self.last.retain(|_, last| last.plus_ms(gather_ms) > now);
        self.rests.retain(|_, rest| *rest > now);
    }

    fn free_at(&self, group: &Group) -> Timestamp {
        let last = self.last.get(group);
        last.map_or(Timestamp::from_millis(i64::MIN), |last| last.plus_ms(self.pace.gather_ms))
    }

    fn pack(&mut self, group: Group, waiting: Vec<Waiting>, now: Timestamp) {
        let Some(severity) = waiting.first().map(|(severity, ..)| *severity) else { return };
        let members: Vec<_> = waiting.into_iter().map(|(.., member)| member).collect();
        let key = key_of(&members);
        let seed = key.bytes().fold(0, |seed: u64, byte| seed.rotate_left(5) ^ u64::from(byte));
        self.last.insert(group.clone(), now);
        let (person, channel) = group;
        let parcel = Parcel {
            key,
            person,
            channel,
            members,
            severity,
            next_try: now,
            is_under_way: false,
            backoff: Backoff::new(
                RETRY_FIRST.min(self.pace.retry_most),
                self.pace.retry_most,
                seed,
            ),
        };
        self.parcels.insert(self.next_number, parcel);
        self.next_number += 1;
    }

    /// The parcels to be sent now, the worst first, as far as their channels have places; they are
    /// under way from now on. Members that no longer wait have left them. While the log owes how
    /// the last try of a member ended there is no other: it would be recorded under the same
    /// revision, and one of the two would be lost.
    pub(crate) fn start(&mut self, book: &mut Book, now: Timestamp) -> Vec<u64> {
        let mut busy: BTreeMap<String, usize> = BTreeMap::new();
        for parcel in self.parcels.values().filter(|parcel| parcel.is_under_way) {
            *busy.entry(parcel.channel.clone()).or_default() += 1;
        }
        self.parcels.retain(|_, parcel| {
            if !parcel.is_under_way {
                parcel.members.retain(|(alert, id)| {
                    let known = book.known(alert, id);
                    known.is_some_and(|known| known.delivery.state == DeliveryState::Waiting)
                });
            }
            !parcel.members.is_empty()
        });
        let mut ready: Vec<_> = self
            .parcels
            .iter()
            .filter(|(_, parcel)| !parcel.is_under_way && self.may_go_at(parcel) <= now)
            .filter(|(_, parcel)| {
                !parcel.members.iter().any(|(alert, id)| book.is_under_way(alert, id))
            })
            .map(|(number, parcel)| (parcel.severity, parcel.next_try, *number))
            .collect();
        ready.sort_unstable();
        ready.retain(|(severity, _, number)| {
            let Some(parcel) = self.parcels.get_mut(number) else { return false };
            let more = if *severity == Severity::CRITICAL { CRITICAL_PLACES } else { 0 };
            let taken = busy.entry(parcel.channel.clone()).or_default();
            if *taken >= PLACES + more {
                return false;
            }
            *taken += 1;
            parcel.is_under_way = true;
            for (alert, id) in &parcel.members {
                book.set_out(alert, id);
            }
            true
        });
        ready.into_iter().map(|(.., number)| number).collect()
    }

    /// When a parcel may go. A receiver that wants a rest means all that we send it, and critical
    /// messages too: whoever goes on is blocked for longer. The next channel of the step is called
    /// meanwhile. Push messages go to many receivers, so that one of them says nothing of the rest.
    fn may_go_at(&self, parcel: &Parcel) -> Timestamp {
        let rest = self.rests.get(&parcel.channel).copied();
        rest.map_or(parcel.next_try, |rest| rest.max(parcel.next_try))
    }

    /// The wall clock was set by so much: what is waited for moves with it.
    pub(crate) fn clock_was_set(&mut self, by_ms: i64) {
        let tries = self.parcels.values_mut().map(|parcel| &mut parcel.next_try);
        for at in tries.chain(self.last.values_mut()).chain(self.rests.values_mut()) {
            *at = at.plus_ms(by_ms);
        }
    }

    /// A parcel by its number.
    pub(crate) fn parcel(&self, number: u64) -> Option<&Parcel> {
        self.parcels.get(&number)
    }

    /// Takes how a try ended; tells each member and what becomes of it.
    pub(crate) fn ended(
        &mut self,
        number: u64,
        ended: Ended,
        book: &Book,
        now: Timestamp,
    ) -> Vec<(AlertId, String, Verdict)> {
        let Some(parcel) = self.parcels.get_mut(&number) else { return Vec::new() };
        let give_up_ms = self.pace.give_up_ms;
        let is_old = |(alert, id): &(AlertId, String)| {
            book.known(alert, id).is_none_or(|known| now.since_ms(known.since) >= give_up_ms)
        };
        let verdict = |member: &(AlertId, String)| {
            let has_given_up = matches!(ended, Ended::Again(_)) && is_old(member);
            let state = match ended {
                Ended::Taken => DeliveryState::Delivered,
                Ended::Again(_) if !has_given_up => DeliveryState::Waiting,
                _ => DeliveryState::Failed,
            };
            (member.0.clone(), member.1.clone(), Verdict { state, has_given_up })
        };
        let verdicts: Vec<_> = parcel.members.iter().map(verdict).collect();
        match ended {
            Ended::Again(at_least) => {
                let pause = parcel.backoff.failed().max(at_least);
                parcel.next_try = after(now, pause);
                if !at_least.is_zero() && parcel.channel != PUSH {
                    let rest = self.rests.entry(parcel.channel.clone()).or_insert(now);
                    *rest = (*rest).max(after(now, at_least));
                }
                parcel.is_under_way = false;
            }
            Ended::Taken | Ended::Refused => {
                self.parcels.remove(&number);
            }
        }
        verdicts
    }

    /// When something is to be done next. What only waits for a place goes out when a try ends.
    pub(crate) fn wake(&self, book: &Book, now: Timestamp) -> Option<Timestamp> {
        let tries = self.parcels.values().filter(|parcel| !parcel.is_under_way);
        let tries = tries.map(|parcel| self.may_go_at(parcel));
        let held = book.fresh.iter().filter_map(|(alert, id)| {
            let delivery = &book.known(alert, id)?.delivery;
            Some(self.free_at(&(delivery.person.clone(), delivery.channel.clone())))
        });
        tries.chain(held).filter(|moment| *moment > now).min()
    }

    /// How many messages are not yet out.
    pub(crate) fn len(&self) -> usize {
        self.parcels.len()
    }
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.plus_ms(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

/// The key of a message: of one delivery its id; of several what only they together have.
fn key_of(members: &[(AlertId, String)]) -> String {
    if let [(_, id)] = members {
        return id.clone();
    }
    let mut ids: Vec<&str> = members.iter().map(|(_, id)| id.as_str()).collect();
    ids.sort_unstable();
    let digest = Sha256::digest(ids.join("\n"));
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
