//! The life of one screen's connection: hello, welcome, replay, live.
//!
//! Nothing is queued for a screen. The connection reads the alert log by cursor and waits on the
//! head; telemetry waits as a position. A screen that takes nothing holds up this task only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use sen_chassis::Shutdown;
use sen_log::{Offset, ReadError, Reader};
use sen_model::AlertRecord;
use sen_model::time::HOUR_MS;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::Holders;
use super::link::{Ending, Link};
use super::snapshot::parts;
use crate::centre::{Centre, read};
use crate::sequencer::Sequencer;
use crate::ticks::Lane;
use crate::view::View;
use crate::wire::{self, CloseCode, FromScreen, FromServer, Hello, Mode, Start, Welcome};

/// Records taken from the log at once.
const BATCH: usize = 256;
/// How long a screen waits for the alerts to be read after a start, before it is sent away.
const FOLD_WAIT: Duration = Duration::from_secs(10);
/// How long a screen may still take what is under way when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Alerts that ended this long ago are in a snapshot.
const ENDED_MS: i64 = HOUR_MS;

const RESTART: Ending = Ending::Close(CloseCode::Restart, "the server restarts");

/// Serves a socket until one side ends it.
pub(super) async fn run(
    centre: &Centre,
    holders: &Holders,
    link: &mut Link,
    shutdown: &Shutdown,
) -> Ending {
    let (hello, view) = match greeting(centre, link, shutdown).await {
        Ok(greeting) => greeting,
        Err(ending) => return ending,
    };
    let (connection, leave) = holders.take(&hello.screen);
    centre.screens().connect(&hello.screen, view, connection, centre.now());
    let talk = async {
        let mut session = Session::welcome(centre, link, (&hello, view), shutdown).await?;
        session.talk(shutdown).await
    };
    let overdue = async {
        shutdown.requested().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let ended: Result<(), Ending> = tokio::select! {
        biased;
        () = leave.notified() => {
            Err(Ending::Close(CloseCode::Superseded, "the same screen connected again"))
        }
        ended = talk => ended,
        // Whatever a slow screen was being told: it resumes.
        () = overdue => Err(RESTART),
    };
    let ending = ended.err().unwrap_or(RESTART);
    holders.give_back(&hello.screen, connection);
    let goodbye = ending == Ending::Left;
    centre.screens().disconnect(&hello.screen, connection, goodbye, centre.now());
    ending
}

/// Waits for `hello`, and checks it.
async fn greeting(
    centre: &Centre,
    link: &mut Link,
    shutdown: &Shutdown,
) -> Result<(Hello, View), Ending> {
    let patience = Duration::from_millis(centre.config.hello_ms);
    let first = tokio::select! {
        biased;
        () = shutdown.requested() => return Err(RESTART),
        first = tokio::time::timeout(patience, link.receive()) => first,
    };
    let Ok(first) = first else {
        return Err(Ending::Close(CloseCode::Slow, "no hello in time"));
    };
    let FromScreen::Hello(hello) = first? else {
        return Err(Ending::Close(CloseCode::BadFrame, "the first frame is hello"));
    };
    if hello.v != wire::VERSION {
        return Err(Ending::Close(CloseCode::BadFrame, "this server speaks version 1"));
    }
    if !wire::is_screen_name(&hello.screen) {
        return Err(Ending::Close(CloseCode::BadFrame, "not a screen name"));
    }
    let view = View::named(&hello.view);
    let view = view.ok_or(Ending::Close(CloseCode::Forbidden, "there is no such view"))?;
    Ok((hello, view))
}

/// A connection that was welcomed.
struct Session<'a> {
    centre: &'a Centre,
    link: &'a mut Link,
    screen: &'a str,
    head: watch::Receiver<Offset>,
    reader: Reader<AlertRecord>,
    sequencer: Sequencer,
    lane: Lane,
    /// How the whole centre stands.
    notice: watch::Receiver<Option<Utf8Bytes>>,
    /// Whether that has changed since the screen was told.
    is_new: bool,
    pulse: Pulse,
    is_live: bool,
}

/// When heartbeats are due.
struct Pulse(Interval);

impl Pulse {
    fn new(every: Duration) -> Self {
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(beats)
    }

    /// Waits until one is due; cancel-safe.
    async fn due(&mut self) {
        self.0.tick().await;
    }

    /// Sends a heartbeat if one is due: between any two frames, so that it comes in time over a
    /// link on which many frames take long.
    async fn beat(&mut self, centre: &Centre, link: &mut Link) -> Result<(), Ending> {
        let is_due = tokio::select! {
            biased;
            () = self.due() => true,
            () = std::future::ready(()) => false,
        };
        if is_due { send_heartbeat(centre, link).await } else { Ok(()) }
    }
}

impl<'a> Session<'a> {
    /// Answers `hello` and sends the snapshot, if there must be one.
    async fn welcome(
        centre: &'a Centre,
        link: &'a mut Link,
        (hello, view): (&'a Hello, View),
        shutdown: &Shutdown,
    ) -> Result<Self, Ending> {
        let alerts = &centre.ports.alerts;
        let epoch = centre.epoch();
        let head = tokio::select! {
            biased;
            () = shutdown.requested() => return Err(RESTART),
            heard = hear(centre, hello, &epoch) => heard?,
        };
        let floor = alerts.floor();
        // The state it holds is of no use if it is that of another view.
        let holds_another = centre.screens().holds_another(&hello.screen, view);
        let resume = hello.resume.as_ref().filter(|_| !holds_another);
        let start = wire::start(resume, &epoch, floor, head);
        if start == Start::SnapshotAfterLoss {
            tell_of_loss(centre, hello, head);
        }
        let resume = if let Start::Resume(seq) = start { Some(seq) } else { None };
        if resume.is_none() {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Err(RESTART),
                reached = fold_reaches(centre, head) => reached?,
            }
        }
        let mut pulse = Pulse::new(Duration::from_millis(centre.config.heartbeat_ms));
        let mode = if resume.is_some() { Mode::Resume } else { Mode::Snapshot };
        link.send(&FromServer::Welcome(greet(centre, &epoch, floor, head, mode))).await?;
        let mut notice = centre.notice.subscribe();
        send_notice(&mut notice, link).await?;
        let told = match resume {
            Some(seq) => seq,
            None => send_snapshot(centre, link, view, &mut pulse).await?,
        };
        centre.screens().told(&hello.screen, view);
        Ok(Self {
            centre,
            link,
            screen: &hello.screen,
            head: alerts.watch(),
            reader: alerts.read_from(told + 1),
            sequencer: Sequencer::new(view, told),
            lane: centre.ticks.lane(view, &centre.latest()),
            notice,
            is_new: false,
            pulse,
            is_live: false,
        })
    }

    /// Sends what there is and takes what comes, until one side ends it.
    async fn talk(&mut self, shutdown: &Shutdown) -> Result<(), Ending> {
        loop {
            self.head.borrow_and_update();
            let more = self.send_alerts().await?;
            if !more && !self.is_live {
                self.link.send(&FromServer::Live {}).await?;
                self.is_live = true;
            }
            // Only now, with no readable alert left, may anything else go.
            if !more && std::mem::take(&mut self.is_new) {
                send_notice(&mut self.notice, self.link).await?;
            }
            if !more && let Some(frame) = self.lane.next(self.centre) {
                self.link.send_text(frame).await?;
            }
            let busy = more || self.lane.is_busy();
            tokio::select! {
                biased;
                () = shutdown.requested() => {
                    while self.send_alerts().await? {}
                    return Err(RESTART);
                }
                () = self.pulse.due() => send_heartbeat(self.centre, self.link).await?,
                frame = self.link.receive() => self.take(frame?)?,
                changed = self.head.changed() => changed.map_err(|_| RESTART)?,
                changed = self.notice.changed(), if !self.is_new => {
                    changed.map_err(|_| RESTART)?;
                    self.is_new = true;
                }
                () = self.lane.changed(), if !busy => {}
                () = std::future::ready(()), if busy => {}
            }
        }
    }

    /// Sends the next records; tells whether there may be more at once.
    async fn send_alerts(&mut self) -> Result<bool, Ending> {
        let head = self.centre.ports.alerts.head();
        if self.reader.position() > head {
            return Ok(false);
        }
        let entries = self.reader.available(BATCH).await.map_err(unreadable)?;
        for entry in &entries {
            for frame in self.sequencer.take(entry.offset, &entry.record).into_iter().flatten() {
                self.pulse.beat(self.centre, self.link).await?;
                self.link.send(&frame).await?;
            }
        }
        if let Some(skip) = self.sequencer.settle(self.reader.position().saturating_sub(1)) {
            self.link.send(&skip).await?;
        }
        Ok(self.reader.position() <= head)
    }

    fn take(&mut self, frame: FromScreen) -> Result<(), Ending> {
        match frame {
            FromScreen::Seen { seq } => {
                let head = self.centre.ports.alerts.head();
                self.centre.screens().saw(self.screen, seq, head);
                Ok(())
            }
            FromScreen::Unknown => Ok(()),
            FromScreen::Hello(_) => Err(Ending::Close(CloseCode::BadFrame, "hello comes once")),
        }
    }
}

/// Tells how the whole centre stands, once that is known.
async fn send_notice(
    notice: &mut watch::Receiver<Option<Utf8Bytes>>,
    link: &mut Link,
) -> Result<(), Ending> {
    let newest = notice.borrow_and_update().clone();
    match newest {
        Some(frame) => link.send_text(frame).await,
        None => Ok(()),
    }
}

async fn send_heartbeat(centre: &Centre, link: &mut Link) -> Result<(), Ending> {
    let head = centre.ports.alerts.head();
    link.send(&FromServer::Heartbeat { head, now: centre.now() }).await
}

/// Counts a screen that has seen more than the log holds. Only the first one is an error in our
/// log: it is one loss, and anybody could claim to have seen anything.
fn tell_of_loss(centre: &Centre, hello: &Hello, head: Offset) {
    metrics::counter!("sen_live_ahead_of_log_total").increment(1);
    if centre.loss_was_told.swap(true, Ordering::Relaxed) {
        return;
    }
    let (screen, seq) = (&hello.screen, hello.resume.as_ref().map(|resume| resume.seq));
    tracing::error!(screen, seq, head, "a screen has seen more than the log holds");
}

/// Our head. What a screen was told by another gateway we may not have heard yet: it is waited for,
/// unless the log itself does not hold it.
async fn hear(centre: &Centre, hello: &Hello, epoch: &str) -> Result<Offset, Ending> {
    const BEHIND: Ending = Ending::Close(CloseCode::Restart, "the alerts are still being heard");
    let mut head = centre.ports.alerts.watch();
    let resume = hello.resume.as_ref().filter(|resume| resume.epoch == epoch);
    let seen = resume.map_or(0, |resume| resume.seq);
    let heard = async {
        if seen > *head.borrow() && seen <= centre.ports.alerts.last().await.map_err(|_| BEHIND)? {
            head.wait_for(|head| *head >= seen).await.map_err(|_| BEHIND)?;
        }
        Ok(*head.borrow())
    };
    tokio::time::timeout(FOLD_WAIT, heard).await.unwrap_or(Err(BEHIND))
}

/// Waits until the fold of the alerts stands for `head` at least.
async fn fold_reaches(centre: &Centre, head: Offset) -> Result<(), Ending> {
    let mut as_of = centre.tracks.alerts.subscribe();
    let reached = as_of.wait_for(|as_of| *as_of >= head);
    match tokio::time::timeout(FOLD_WAIT, reached).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Ending::Close(CloseCode::Restart, "the alerts are still being read")),
    }
}

/// Sends the state; returns the offset it stands for.
async fn send_snapshot(
    centre: &Centre,
    link: &mut Link,
    view: View,
    pulse: &mut Pulse,
) -> Result<Offset, Ending> {
    let epoch = centre.epoch();
    let since = centre.now().plus_ms(-ENDED_MS);
    let (as_of, records) = {
        let alerts = read(&centre.alerts);
        (alerts.as_of(), alerts.snapshot(view, since))
    };
    let parts = parts(&records);
    for (index, range) in parts.iter().enumerate() {
        let frame = FromServer::Snapshot {
            epoch: epoch.clone(),
            as_of,
            part: index + 1,
            n: parts.len(),
            items: records[range.clone()].iter().map(Arc::clone).collect(),
        };
        pulse.beat(centre, link).await?;
        link.send(&frame).await?;
    }
    Ok(as_of)
}

fn greet(centre: &Centre, epoch: &str, floor: Offset, head: Offset, mode: Mode) -> Welcome {
    Welcome {
        v: wire::VERSION,
        epoch: epoch.to_owned(),
        head,
        floor,
        mode,
        heartbeat_ms: centre.config.heartbeat_ms,
        now: centre.now(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        insecure_dev: centre.config.insecure_dev,
    }
}

/// A log that cannot be read: the screen comes back, and resumes or gets a snapshot.
fn unreadable(error: ReadError) -> Ending {
    if !matches!(error, ReadError::Closed) {
        tracing::warn!(error = &error as &dyn std::error::Error, "a screen cannot be served");
    }
    RESTART
}
