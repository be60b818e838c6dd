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
use crate::people::{Called, Couriers, OpenNotes};
use crate::roster::Rota;
use crate::settings::{DeadMan, Heartbeat, OnCall};

/// The shadow rule that the probe raises and clears.
const PROBE: &str = "sen-probe";
/// Records that are searched at once at a start for one of the probe, from the newest backwards.
const SEARCHED: u64 = 1_000;
/// How long that search may take: a rule on trial may have left many records since the last one.
const SEARCH_TIME: Duration = Duration::from_secs(5);
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
    /// Whether somebody was reached with the news that alerting has stopped.
    pub(crate) is_alarmed: Arc<Mutex<bool>>,
    /// When people could last be called.
    pub(crate) called: Called,
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
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
                _ = ticks.tick() => None,
            };
            // However many other records come in between.
            let news = news.or_else(|| pulse.look(running_ms()));
            let is_well = pulse.is_well() && self.can_call();
            well.send_if_modified(|well| std::mem::replace(well, is_well) != is_well);
            if let Some(news) = news {
                calls = self.tell(news);
            }
        }
    }

    /// Whether people can be called: not so long ago their part of the service was at work, and
    /// the log took what it had to write.
    fn can_call(&self) -> bool {
        let last = *self.called.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() < Duration::from_millis(self.dead_man.silence_ms)
    }

    /// Whether there is a record of the probe, and a reader of those to come.
    async fn search(&self) -> Result<(bool, sen_log::Reader<AlertRecord>), ReadError> {
        let (head, floor, begun) = (self.shadow.head(), self.shadow.floor(), Instant::now());
        let (mut until, mut ever_seen) = (head + 1, false);
        while !ever_seen && until > floor && begun.elapsed() < SEARCH_TIME {
            let from = until.saturating_sub(SEARCHED).max(floor);
            let mut reader = self.shadow.read_from(from);
            while !ever_seen && reader.position() < until {
                let entries = reader.available(READ_RECORDS).await?;
                if entries.is_empty() {
                    break;
                }
                ever_seen = entries.iter().any(|entry| is_probe(&entry.record));
            }
            until = from;
        }
        Ok((ever_seen, self.shadow.read_from(head + 1)))
    }

    /// Calls everybody over every channel at once, each until it is taken. Only then are people
    /// told: a restart before that tells them again.
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
            let is_alarmed = Arc::clone(&self.is_alarmed);
            calls.spawn("dead man", async move {
                let seed = now.as_millis().unsigned_abs();
                let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST, seed);
                loop {
                    let (why, rest) = match courier.bring(&letter).await.brought {
                        Brought::Taken => {
                            *is_alarmed.lock().unwrap_or_else(PoisonError::into_inner) =
                                news == News::Stopped;
                            return Ok(());
                        }
                        // Whoever refuses now may have been set up wrongly, and nothing is left to
                        // turn to.
                        Brought::Refused(why) => (why, Duration::ZERO),
                        Brought::Again(why, rest) => (why, rest),
                    };
                    if backoff.is_fresh() {
                        tracing::error!(person, channel, why, "the dead man is not heard yet");
                    }
                    tokio::time::sleep(backoff.failed().max(rest)).await;
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

/// Gives a sign of life as long as the probe is well and people can be called.
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
