//! Calling people: the shell around the escalation, the outbox and the on-call log.
//!
//! One task owns all of it. What is due is written to the topic `deliveries` before anything is
//! sent; a message that is sent and not yet recorded when the process ends is sent again, with the
//! same key. The checkpoint only saves reading: the topics tell everything.

mod answers;
mod start;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::call::Answerer;
use sen_chassis::clock::Stopwatch;
use sen_chassis::{Clock, Shutdown, Tasks};
use sen_log::{AppendError, Cursor, Entry, Offset, ReadError, Topic};
use sen_model::{
    AlertId, AlertRecord, Delivery, DeliveryState, OnCallAnswer, OnCallAsk, OnCallRecord, Rule,
    Severity, Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::channel::{Brought, Trip};
use crate::escalation::Book;
use crate::letter::{Letter, Subscription, TOLD, Told, Words};
use crate::link::{Claim, Seal};
use crate::notes::{LINK_MS, Notes};
use crate::outbox::{Ended, Outbox, Parcel, RETRY_FIRST};
use crate::roster::Rota;
use crate::settings::{OnCall, PUSH};
use crate::wall::Wall;

pub(crate) use start::{Couriers, couriers, start};

/// Records read at once.
const READ_RECORDS: usize = 256;
/// Tries that have ended and are not yet looked at.
const ENDED_TRIES: usize = 64;
/// How often what is open is saved: what is read again at a start.
const CHECKPOINT: Duration = Duration::from_secs(60);
/// Messages that one browser took and others are still told of.
const MOST_STRAGGLERS: usize = 64;
/// How long the other browsers are told, if deliveries are not given up sooner.
const STRAGGLING: Duration = Duration::from_secs(600);
/// How long messages under way may take when we are asked to stop.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// What others see of the on-call log.
pub(crate) type OpenNotes = Arc<BTreeMap<String, OnCallRecord>>;

/// When this part of the service was last at work with a log that takes what it writes.
pub(crate) type Called = Arc<Mutex<Stopwatch>>;

/// What the checkpoint keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    deliveries_next: Offset,
    notes_next: Offset,
    book: Book,
    notes: Notes,
    /// Whether people were told that alerting has stopped.
    is_alarmed: bool,
}

/// The topics it reads and writes, and where it answers.
pub(crate) struct Wires {
    pub(crate) alerts: Topic<AlertRecord>,
    pub(crate) cursor: Cursor,
    pub(crate) deliveries: Topic<Delivery>,
    pub(crate) oncall: Topic<OnCallRecord>,
    pub(crate) asks: Answerer<OnCallAsk, OnCallAnswer>,
    pub(crate) rules: watch::Receiver<Arc<Vec<Rule>>>,
    pub(crate) clock: Clock,
}

/// What it goes by.
pub(crate) struct Terms {
    pub(crate) on: Arc<OnCall>,
    pub(crate) couriers: Couriers,
    pub(crate) seal: Seal,
    /// The public key for push subscriptions.
    pub(crate) push_key: String,
    /// Where people reach the screens; links begin with it.
    pub(crate) public_url: Option<String>,
    /// The longest pause between two looks at the clock.
    pub(crate) tick: Duration,
}

/// Calls people.
pub(crate) struct People {
    wires: Wires,
    terms: Terms,
    book: Book,
    outbox: Outbox,
    notes: Notes,
    told_notes: watch::Sender<OpenNotes>,
    /// Shared with the dead man's watch, which sets it.
    is_alarmed: Arc<Mutex<bool>>,
    called: Called,
    /// The next record of each topic.
    next: Offset,
    deliveries_next: Offset,
    notes_next: Offset,
    running: Stopwatch,
    wall: Wall,
    /// How tries ended, until it is recorded.
    outgoing: Vec<Delivery>,
    is_failing: bool,
    /// Another process writes our logs.
    fenced: Option<AppendError>,
    tries: Tasks<Infallible>,
    /// Browsers that are told later than the first one of their person.
    stragglers: Tasks<Infallible>,
    /// Rosters that are worked out.
    rosters: Tasks<Infallible>,
    ended: (mpsc::Sender<Came>, mpsc::Receiver<Came>),
}

/// A try that has ended.
struct Came {
    parcel: u64,
    trip: Trip,
    letter: Option<Letter>,
}

/// Running time in milliseconds.
fn running_ms(running: Stopwatch) -> i64 {
    i64::try_from(running.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// Why people can no longer be called.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// A topic cannot be read.
    #[error("cannot read the log")]
    Read(#[from] ReadError),
    /// Another process writes these logs now: it calls people, and this one must not.
    #[error("another process calls people now")]
    Fenced(#[source] AppendError),
    /// A try did not end as it should: a bug.
    #[error("a courier broke down")]
    Courier(#[from] sen_chassis::tasks::TaskError<Infallible>),
}

impl People {
    /// Calls people until asked to stop, then takes the alerts there were until then, waits a little for what
    /// is under way, and saves.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), PeopleError> {
        let mut alerts = self.wires.alerts.read_from(self.next);
        let mut checkpoints = tokio::time::interval(CHECKPOINT);
        checkpoints.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.step().await;
            if let Some(error) = self.fenced.take() {
                return Err(PeopleError::Fenced(error));
            }
            let pause = self.pause();
            tokio::select! {
                () = shutdown.requested() => break,
                read = alerts.next(READ_RECORDS) => match read {
                    Err(ReadError::BelowFloor { wanted, floor }) => {
                        tracing::error!(wanted, floor, "alerts were deleted before they were read");
                        alerts = self.wires.alerts.read_from(floor);
                    }
                    read => self.take(&read?),
                },
                Some((ask, reply)) = self.wires.asks.next() => {
                    self.answer(ask, reply).await;
                }
                Some(came) = self.ended.1.recv() => {
                    self.came_back(came).await;
                    // One write for all that have ended.
                    self.all_came_back().await;
                }
                Some(joined) = self.tries.join_next() => {
                    joined?;
                }
                Some(joined) = self.stragglers.join_next() => {
                    joined?;
                }
                Some(joined) = self.rosters.join_next() => {
                    joined?;
                }
                _ = checkpoints.tick() => self.save().await,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let last = self.wires.alerts.head();
        while alerts.position() <= last {
            let entries = alerts.available(READ_RECORDS).await?;
            if entries.is_empty() {
                break;
            }
            self.take(&entries);
        }
        self.step().await;
        let _ = tokio::time::timeout(STOP_WAIT, self.wait_for_tries()).await;
        self.step().await;
        self.save().await;
        Ok(())
    }

    async fn wait_for_tries(&mut self) {
        while !self.tries.is_empty() {
            tokio::select! {
                Some(came) = self.ended.1.recv() => self.came_back(came).await,
                _ = self.tries.join_next() => {}
            }
        }
        self.all_came_back().await;
    }

    async fn all_came_back(&mut self) {
        while let Ok(came) = self.ended.1.try_recv() {
            self.came_back(came).await;
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wires.clock.now_ms())
    }

    fn take(&mut self, entries: &[Entry<AlertRecord>]) {
        for entry in entries {
            self.book.fold_alert(&entry.record, &self.terms.on.policies);
            self.next = entry.offset + 1;
        }
    }

    /// Moves every wait when the wall clock was set, and saves where they are now.
    async fn follow_clock(&mut self) {
        let Some(set_by) = self.wall.turn(self.now(), running_ms(self.running)) else { return };
        tracing::warn!(set_by_ms = set_by, "the clock was set: what is waited for moves with it");
        self.book.clock_was_set(set_by);
        self.outbox.clock_was_set(set_by);
        self.save().await;
    }

    /// Writes what is due, then sends what may be sent.
    async fn step(&mut self) {
        self.follow_clock().await;
        let now = self.now();
        loop {
            let open = self.told_notes.borrow().clone();
            let due = self.book.due(Rota { on: &self.terms.on, entries: &open }, now);
            if (due.is_empty() && self.outgoing.is_empty()) || !self.record(due).await {
                break;
            }
        }
        for alert in self.book.newly_unanswered() {
            tracing::warn!(%alert, "nobody has answered: every step and repetition is over");
        }
        metrics::gauge!("sen_notify_unanswered").set(self.book.unanswered() as f64);
        self.outbox.gather(&mut self.book, now);
        for number in self.outbox.start(&mut self.book, now) {
            self.send(number, now);
        }
        self.book.prune();
        if !self.is_failing {
            *self.called.lock().unwrap_or_else(PoisonError::into_inner) = Stopwatch::start();
        }
        metrics::gauge!("sen_notify_messages_waiting").set(self.outbox.len() as f64);
    }

    /// Writes the records, after those that are still owed; they count when they are durable.
    async fn record(&mut self, due: Vec<Delivery>) -> bool {
        let mut records = self.outgoing.clone();
        records.extend(due);
        match self.wires.deliveries.append(records.clone()).await {
            Ok(offsets) => {
                self.outgoing.clear();
                self.deliveries_next = offsets.end;
                records.iter().for_each(|record| self.recorded(record));
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("deliveries are recorded again");
                }
                true
            }
            Err(error) => {
                if matches!(error, AppendError::Fenced(_)) {
                    self.fenced = Some(error.clone());
                }
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "deliveries cannot be recorded: nobody new is called");
                }
                false
            }
        }
    }

    fn recorded(&mut self, record: &Delivery) {
        self.book.fold_delivery(record);
        let state = format!("{:?}", record.state).to_lowercase();
        let channel = record.channel.clone();
        metrics::counter!("sen_notify_deliveries_total", "channel" => channel, "state" => state)
            .increment(1);
        let Delivery { alert, step, person, channel, state, attempts, detail, .. } = record;
        if *state == DeliveryState::Failed {
            tracing::warn!(%alert, step, person, channel, attempts, detail, "not delivered");
        } else {
            tracing::debug!(%alert, step, person, channel, ?state, attempts, detail, "delivery");
        }
    }

    /// Starts a try.
    fn send(&mut self, number: u64, now: Timestamp) {
        let Some(parcel) = self.outbox.parcel(number) else { return };
        let letter = self.letter(parcel, now);
        let courier = self.terms.couriers.get(&parcel.channel).cloned();
        let results = self.ended.0.clone();
        self.tries.spawn("courier", async move {
            let trip = match (&letter, courier) {
                (Some(letter), Some(courier)) => courier.bring(letter).await,
                _ => Brought::Refused("no such person or channel any more".to_owned()).into(),
            };
            // The receiver is gone only when the service ends.
            let _ = results.send(Came { parcel: number, trip, letter }).await;
            Ok(())
        });
    }

    fn letter(&self, parcel: &Parcel, now: Timestamp) -> Option<Letter> {
        let to = Arc::clone(self.terms.on.people.get(&parcel.person)?);
        let rules = self.wires.rules.borrow().clone();
        let prepared = parcel.members.iter().take(TOLD);
        let told: Vec<Told> =
            prepared.filter_map(|(alert, id)| self.told(alert, id, &rules)).collect();
        let severity = told.first().map_or(Severity::LOW, |told| told.alert.severity);
        let browsers =
            if parcel.channel == PUSH { self.notes.browsers(&parcel.person) } else { Vec::new() };
        Some(Letter {
            key: parcel.key.clone(),
            channel: parcel.channel.clone(),
            to,
            browsers,
            severity,
            at: now,
            words: Words::about(told, parcel.members.len())?,
        })
    }

    fn told(&self, alert: &AlertId, id: &str, rules: &[Rule]) -> Option<Told> {
        let case = self.book.cases.get(alert)?;
        let known = case.deliveries.get(id)?;
        let link = self.terms.public_url.as_ref().map_or_else(String::new, |url| {
            let claim = Claim {
                delivery: id.to_owned(),
                alert: alert.clone(),
                person: known.delivery.person.clone(),
                until: known.since.plus_ms(LINK_MS),
            };
            format!("{}/a/{}", url.trim_end_matches('/'), self.terms.seal.token(&claim))
        });
        Some(Told::new(Arc::clone(case.alert.as_ref()?), known.delivery.step, link, rules))
    }

    /// Takes how a try ended.
    async fn came_back(&mut self, came: Came) {
        self.follow_clock().await;
        let now = self.now();
        came.trip.took.iter().for_each(|entry| self.notes.took(entry));
        if let (Brought::Taken, Some(letter)) = (&came.trip.brought, came.letter) {
            self.tell_the_rest(letter, came.trip.again);
        }
        let (ended, why) = match came.trip.brought {
            Brought::Taken => (Ended::Taken, String::new()),
            Brought::Again(why, rest) => (Ended::Again(rest), why),
            Brought::Refused(why) => (Ended::Refused, why),
        };
        for (alert, id, verdict) in self.outbox.ended(came.parcel, ended, &self.book, now) {
            let detail =
                if verdict.has_given_up { format!("time was up: {why}") } else { why.clone() };
            let record = self.book.came_back(&alert, &id, verdict.state, &detail, now);
            self.outgoing.extend(record);
        }
        let gone = came.trip.gone.iter();
        let ended: Vec<_> = gone.filter_map(|entry| self.notes.ended(entry, "sen", now)).collect();
        // If that fails, the next message to this person finds them gone again.
        self.note(ended).await;
    }

    /// Goes on with the browsers that did not take a message which another one took. They are not
    /// recorded, and not told again after a restart: their person has the message.
    fn tell_the_rest(&mut self, letter: Letter, browsers: Vec<Subscription>) {
        let Some(courier) = self.terms.couriers.get(&letter.channel).cloned() else { return };
        if browsers.is_empty() || self.stragglers.len() >= MOST_STRAGGLERS {
            return;
        }
        let pace = self.outbox.pace();
        let most = STRAGGLING.min(Duration::from_millis(pace.give_up_ms.max(0).unsigned_abs()));
        let mut backoff =
            Backoff::new(RETRY_FIRST.min(pace.retry_most), pace.retry_most, self.next);
        let mut letter = Letter { browsers, ..letter };
        let begun = Stopwatch::start();
        self.stragglers.spawn("stragglers", async move {
            while !letter.browsers.is_empty() && begun.elapsed() < most {
                tokio::time::sleep(backoff.failed()).await;
                letter.browsers = courier.bring(&letter).await.again;
            }
            Ok(())
        });
    }

    /// Whether people were told that alerting has stopped: read at start, set by the watch.
    pub(crate) fn alarmed(&self) -> Arc<Mutex<bool>> {
        Arc::clone(&self.is_alarmed)
    }

    /// When people could last be called.
    pub(crate) fn called(&self) -> Called {
        Arc::clone(&self.called)
    }

    /// What stands in the on-call log, now and later.
    pub(crate) fn notes(&self) -> watch::Receiver<OpenNotes> {
        self.told_notes.subscribe()
    }

    /// How long nothing is to be done if nothing happens.
    fn pause(&self) -> Duration {
        let now = self.now();
        let wakes = [self.book.wake(), self.outbox.wake(&self.book, now)];
        let until = wakes.into_iter().flatten().min().map_or(i64::MAX, |wake| wake.since_ms(now));
        let until = u64::try_from(until.max(1)).unwrap_or(1);
        Duration::from_millis(until).min(self.terms.tick)
    }

    /// Saves what is open; a start reads on from there.
    async fn save(&mut self) {
        if !self.outgoing.is_empty() {
            // The checkpoint would be ahead of what is recorded.
            return;
        }
        let now = self.now();
        self.notes.prune(now);
        self.publish_notes();
        let saved = Saved {
            deliveries_next: self.deliveries_next,
            notes_next: self.notes_next,
            book: self.book.clone(),
            notes: self.notes.clone(),
            is_alarmed: *self.is_alarmed.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let state = match serde_json::to_vec(&saved) {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(%error, "what is open cannot be written down");
                return;
            }
        };
        match self.wires.cursor.save(self.next, state).await {
            Err(error @ AppendError::Fenced(_)) => self.fenced = Some(error),
            Err(error) => {
                tracing::warn!(%error, "what is open is not saved: the next start reads more");
            }
            Ok(()) => {}
        }
    }

    fn publish_notes(&self) {
        self.told_notes.send_replace(Arc::new(self.notes.open()));
    }
}
