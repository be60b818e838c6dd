//! Watching the watcher: follows the probe's records, calls people past the alert log when they
//! cease, and gives a sign of life to somebody outside while they come.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::{Clock, Shutdown, Tasks};
use sen_log::{ReadError, Topic};
use sen_model::{AlertRecord, Severity, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::channel::Brought;
use crate::deadman::{News, Pulse};
use crate::egress::{Egress, Request};
use crate::letter::{Letter, Words};
use crate::people::{Couriers, OpenNotes};
use crate::roster::Rota;
use crate::settings::{DeadMan, Heartbeat, OnCall};

/// The shadow rule that the probe raises and clears.
const PROBE: &str = "sen-probe";
/// The last records that are searched at a start for one of the probe.
const SEARCHED: u64 = 1_000;
const READ_RECORDS: usize = 256;
/// Pauses between two tries to reach somebody.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// What the watch needs.
pub(crate) struct Watch {
    pub(crate) shadow: Topic<AlertRecord>,
    pub(crate) dead_man: DeadMan,
    pub(crate) on: Arc<OnCall>,
    pub(crate) notes: watch::Receiver<OpenNotes>,
    pub(crate) couriers: Couriers,
    pub(crate) egress: Arc<Egress>,
    /// Whether people were told that alerting has stopped.
    pub(crate) is_alarmed: Arc<Mutex<bool>>,
    pub(crate) clock: Clock,
    pub(crate) tick: Duration,
}

impl Watch {
    /// Watches until asked to stop.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), ReadError> {
        let begun = Instant::now();
        let running_ms = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ever_seen, mut reader) = self.search().await?;
        let was_alarmed = *self.is_alarmed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pulse = Pulse::new(self.dead_man.silence_ms, ever_seen, was_alarmed, running_ms());
        let well = watch::Sender::new(false);
        let mut heart: Tasks<Infallible> = Tasks::new();
        if let Some(heartbeat) = self.dead_man.heartbeat.clone() {
            heart.spawn("heartbeat", beat(heartbeat, Arc::clone(&self.egress), well.subscribe()));
        }
        // Dropped when the news change: what was not told by then is no longer true.
        let mut calls: Tasks<Infallible> = Tasks::new();
        loop {
            let news = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                read = reader.next(READ_RECORDS) => match read {
                    Err(ReadError::BelowFloor { floor, .. }) => {
                        reader = self.shadow.read_from(floor);
                        None
                    }
                    read => {
                        let is_probe = read?.iter().any(|entry| is_probe(&entry.record));
                        is_probe.then(|| pulse.beat(running_ms())).flatten()
                    }
                },
                // Who was reached leaves the set; an empty one must not spin.
                Some(_) = calls.join_next() => None,
                () = tokio::time::sleep(self.tick) => pulse.look(running_ms()),
            };
            well.send_if_modified(|well| {
                std::mem::replace(well, pulse.is_well()) != pulse.is_well()
            });
            if let Some(news) = news {
                *self.is_alarmed.lock().unwrap_or_else(PoisonError::into_inner) =
                    news == News::Stopped;
                calls = self.tell(news);
            }
        }
    }

    /// Whether there was a record of the probe lately, and a reader of those to come.
    async fn search(&self) -> Result<(bool, sen_log::Reader<AlertRecord>), ReadError> {
        let from = self.shadow.head().saturating_sub(SEARCHED).max(self.shadow.floor());
        let mut reader = self.shadow.read_from(from);
        let mut ever_seen = false;
        loop {
            let entries = reader.available(READ_RECORDS).await?;
            if entries.is_empty() {
                return Ok((ever_seen, reader));
            }
            ever_seen |= entries.iter().any(|entry| is_probe(&entry.record));
        }
    }

    /// Calls everybody over every channel at once.
    fn tell(&self, news: News) -> Tasks<Infallible> {
        let now = Timestamp::from_millis(self.clock.now_ms());
        match news {
            News::Stopped => tracing::error!("the probe no longer comes through"),
            News::Well => tracing::info!("the probe comes through again"),
        }
        let mut calls = Tasks::new();
        for (person, channel) in self.recipients(now) {
            let Some(courier) = self.couriers.get(&channel).cloned() else { continue };
            let Some(to) = self.on.people.get(&person).cloned() else { continue };
            let letter = Letter {
                key: format!("{}-{}", letter_kind(news), now.as_millis()),
                channel: channel.clone(),
                to,
                browsers: Vec::new(),
                severity: Severity::CRITICAL,
                at: now,
                words: Words::about_alerting(news == News::Well, now),
            };
            calls.spawn("dead man", async move {
                let seed = now.as_millis().unsigned_abs();
                let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST, seed);
                loop {
                    match courier.bring(&letter).await.brought {
                        Brought::Taken => return Ok(()),
                        Brought::Refused(why) => {
                            tracing::error!(person, channel, why, "the dead man is not heard");
                            return Ok(());
                        }
                        Brought::Again(why, rest) => {
                            if backoff.is_fresh() {
                                tracing::warn!(person, channel, why, "trying again");
                            }
                            tokio::time::sleep(backoff.failed().max(rest)).await;
                        }
                    }
                }
            });
        }
        calls
    }

    /// People and channels, each pair once.
    fn recipients(&self, now: Timestamp) -> BTreeSet<(String, String)> {
        let notes: OpenNotes = self.notes.borrow().clone();
        let rota = Rota { on: &self.on, entries: &notes };
        let on_duty = self.dead_man.teams.iter().filter_map(|team| rota.who(team, now));
        let on_duty = on_duty.map(|on_duty| on_duty.person.to_owned());
        let people = self.dead_man.people.iter().cloned().chain(on_duty);
        let pairs = people.flat_map(|person| {
            let reachable = self.on.people.get(&person).cloned();
            let channels = self.dead_man.channels.iter().filter(move |channel| {
                reachable.as_ref().is_some_and(|contact| contact.has(channel))
            });
            channels.map(move |channel| (person.clone(), channel.clone()))
        });
        pairs.collect::<BTreeSet<_>>()
    }
}

fn letter_kind(news: News) -> &'static str {
    match news {
        News::Stopped => "stopped",
        News::Well => "well",
    }
}

fn is_probe(record: &AlertRecord) -> bool {
    record.rule.as_str() == PROBE
}

/// Gives a sign of life as long as the probe is well.
async fn beat(
    heartbeat: Heartbeat,
    egress: Arc<Egress>,
    mut well: watch::Receiver<bool>,
) -> Result<(), Infallible> {
    let mut ticks = tokio::time::interval(Duration::from_millis(heartbeat.every_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_heard = true;
    loop {
        if well.wait_for(|well| *well).await.is_err() {
            return Ok(());
        }
        ticks.tick().await;
        if !*well.borrow() {
            continue;
        }
        let request = Request {
            method: heartbeat.method.clone(),
            url: heartbeat.url.now(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let answer = egress.send(request).await;
        let is_heard = answer.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status));
        if was_heard && !is_heard {
            let status = answer.map(|answer| answer.status);
            tracing::warn!(?status, "nobody outside hears the sign of life");
        }
        was_heard = is_heard;
    }
}
