//! Readings to summaries: raw readings and one-minute windows into the store, exactly.
//!
//! The service is a replayable consumer of topic `readings`. The store takes points at once, so
//! that queries see them, and makes points, summaries and the position in the log durable in one
//! transaction every so often; after a crash it goes on from there and ends in the same state.
//! [`window`] holds the logic and the reason why that is so; `writer` joins it with the store;
//! this file reads the log. The coarser tiers are the store's: it is told each minute to roll up what
//! has ended.

use std::sync::Arc;
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::clock::Stopwatch;
use sen_chassis::tasks::TaskError;
use sen_chassis::trace::{self, Stage};
use sen_chassis::{Clock, Health, Problem, Shutdown, Tasks};
use sen_log::{AppendError, Cursor, Entry, Offset, ReadError, Reader, Topic};
use sen_model::time::MINUTE_MS;
use sen_model::{Progress, ReadingBatch, Registry, Timestamp};
use sen_store::{Checkpoint, Store, StoreError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

mod config;
mod forward;
pub mod window;
mod writer;

pub use config::Config;
pub use forward::{Archived, Destination};

use crate::forward::Forwarder;
use crate::window::Windows;
use crate::writer::{Patience, Writer};

/// Records read from the log at once, at most.
const RECORDS_AT_ONCE: usize = 1_024;
/// How long a reading waits for others before all of them are stored. Whoever needs readings at
/// once has the log; here a batch of a hundred costs little more than a single one.
const GATHER: Duration = Duration::from_millis(100);
/// How long what is left may be read once it is asked to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// How often what is too old is deleted.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3_600);
/// How often windows that have ended are rolled up, and how long after their end: most of their
/// readings are stored by then, and they are not rolled up twice.
const ROLL_UP_INTERVAL: Duration = Duration::from_secs(60);
const SETTLE_MS: i64 = 2 * MINUTE_MS;
/// Between tries while the log cannot be read: from, to.
const RETRY_FROM: Duration = Duration::from_millis(100);
const RETRY_TO: Duration = Duration::from_secs(10);

/// What the service stands on.
pub struct Ports {
    /// Where readings come from.
    pub readings: Topic<ReadingBatch>,
    /// Keeps the log from deleting what is not durable here yet; none if that may be lost here,
    /// because somebody else keeps it.
    pub cursor: Option<Cursor>,
    /// Where points and summaries go. Nobody else may write to it.
    pub store: Store,
    /// Whose series are stored whatever strangers have used up.
    pub registry: Arc<Registry>,
    /// Bounds watermarks, and tells what is too old.
    pub clock: Clock,
    /// Told of parts [`LOG`], [`STORE`] and [`ARCHIVE`].
    pub health: Health,
    /// An archive to be fed, if there is one.
    pub destination: Option<Destination>,
}

/// The part of the centre that is ill while the log cannot be read here.
pub const LOG: &str = "aggregate";
/// The part of the centre that is ill while the store cannot be written.
pub const STORE: &str = "store";
/// The part of the centre that is ill while the archive cannot be fed.
pub const ARCHIVE: &str = "archive";

/// What it is called in traces: it works on what ingest wrote.
const STAGE: Stage = Stage { name: "aggregate", after: Some("ingest") };

/// Why the service could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A mistake in its section of the config.
    #[error("{0}")]
    Config(Problem),
}

/// Why the service stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store cannot go on.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("the log failed")]
    Log(#[from] ReadError),
    /// Another process works on the same readings.
    #[error("another has taken over")]
    Fenced(#[source] AppendError),
    /// A task that looks after the store panicked: a bug.
    #[error("upkeep of the store failed")]
    Upkeep(#[source] Box<TaskError<RunError>>),
}

/// The bound service.
pub struct Aggregate {
    config: Config,
    ports: Ports,
    gather: Duration,
    progress: watch::Sender<Progress>,
    archived: watch::Sender<Archived>,
}

impl Aggregate {
    /// Takes the ports; starts nothing.
    pub fn bind(config: Config, ports: Ports) -> Result<Self, BindError> {
        if let Some(problem) = config.check().into_iter().next() {
            return Err(BindError::Config(problem));
        }
        let (progress, archived) = (watch::Sender::default(), watch::Sender::default());
        Ok(Self { config, ports, gather: GATHER, progress, archived })
    }

    /// From now on a reading waits this long for others, in place of 100 ms: for whoever plays many
    /// short histories.
    #[must_use]
    pub fn gathering(self, gather: Duration) -> Self {
        Self { gather, ..self }
    }

    /// Follows how far it has come. Points up to there are visible in the store, durable or not.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Follows how far the archive is behind; none without an archive.
    pub fn archived(&self) -> Option<watch::Receiver<Archived>> {
        self.ports.destination.as_ref().map(|_| self.archived.subscribe())
    }

    /// Works until asked to stop; then reads to the head of the log, commits, and returns.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), RunError> {
        let mut tasks = Tasks::new();
        if let Some(destination) = self.ports.destination.take() {
            let forwarder = self.forwarder(destination)?;
            tasks.spawn("archive", forwarder.run(shutdown.clone()));
        }
        let (store, clock) = (self.ports.store.clone(), self.ports.clock.clone());
        tasks.spawn("retention", retain(store.clone(), clock.clone(), shutdown.clone()));
        tasks.spawn("roll-up", roll_up(store, clock, shutdown.clone()));
        let reading = Reading::begin(self, shutdown.clone()).await?;
        // On an error the other tasks are aborted with `tasks`.
        reading.run(&shutdown).await?;
        tasks.join_all().await.map_err(|error| RunError::Upkeep(Box::new(error)))
    }

    fn forwarder(&self, destination: Destination) -> Result<Forwarder, ReadError> {
        Forwarder::begin(forward::Ports {
            destination,
            readings: self.ports.readings.clone(),
            store: self.ports.store.clone(),
            stored: self.progress.subscribe(),
            archived: self.archived.clone(),
            clock: self.ports.clock.clone(),
            health: self.ports.health.clone(),
        })
    }
}

/// Deletes what is too old, at the start and every hour.
async fn retain(store: Store, clock: Clock, shutdown: Shutdown) -> Result<(), RunError> {
    let mut every = tokio::time::interval(RETENTION_INTERVAL);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = every.tick() => {}
        }
        let now = Timestamp::from_millis(clock.now_ms());
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            retained = store.retain(now) => if let Err(error) = retained {
                // The store has told of it already.
                tracing::debug!(%error, "what is too old could not be deleted: again in an hour");
            },
        }
    }
}

/// Rolls up what has ended, at the start and every minute.
async fn roll_up(store: Store, clock: Clock, shutdown: Shutdown) -> Result<(), RunError> {
    let mut every = tokio::time::interval(ROLL_UP_INTERVAL);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = every.tick() => {}
        }
        let until = Timestamp::from_millis(clock.now_ms()).plus_ms(-SETTLE_MS);
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            rolled_up = store.roll_up(until) => if let Err(error) = rolled_up {
                // The store has told of it already.
                tracing::debug!(%error, "windows could not be rolled up: again in a minute");
            },
        }
    }
}

/// The service at work.
struct Reading {
    config: Config,
    ports: Ports,
    progress: watch::Sender<Progress>,
    writer: Writer,
    reader: Reader<ReadingBatch>,
    gather: Duration,
    epoch: String,
    /// Where the last commit stands.
    committed: Offset,
    backoff: Backoff,
}

impl Reading {
    /// Finds the position to go on from.
    async fn begin(service: Aggregate, shutdown: Shutdown) -> Result<Self, RunError> {
        let Aggregate { config, ports, gather, progress, .. } = service;
        let checkpoint = ports.store.checkpoint().await?;
        let next = position(checkpoint.as_ref(), &ports.readings);
        let windows = Windows::new(config.hot_ms, config.max_open_windows);
        let clock = ports.clock.clone();
        let patience = Patience::new(ports.health.clone(), shutdown, clock.now_ms());
        let registry = Arc::clone(&ports.registry);
        let writer = Writer::new(ports.store.clone(), registry, clock, windows, patience);
        ports.health.well(LOG);
        let backoff = Backoff::new(RETRY_FROM, RETRY_TO, next);
        progress.send_modify(|progress| progress.next = next);
        Ok(Self {
            reader: ports.readings.read_from(next).gathering(gather),
            gather,
            epoch: ports.readings.epoch().0,
            // Not `next`: a position that was moved is committed even if nothing comes.
            committed: checkpoint.map_or(0, |checkpoint| checkpoint.next),
            config,
            ports,
            progress,
            writer,
            backoff,
        })
    }

    async fn run(mut self, shutdown: &Shutdown) -> Result<(), RunError> {
        let mut every =
            tokio::time::interval(Duration::from_millis(self.config.commit_interval_ms));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let entries = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                _ = every.tick() => {
                    // A partition may be quiet for long: then a failed read is not followed by another.
                    if self.reader.position() > self.ports.readings.head() {
                        self.reads_again();
                    }
                    self.commit().await?;
                    continue;
                }
                entries = self.reader.next(RECORDS_AT_ONCE) => entries,
            };
            match entries {
                Ok(entries) => self.take(&entries).await?,
                Err(error) => self.mend(error, shutdown).await?,
            }
        }
        self.drain().await?;
        self.commit().await
    }

    /// Reads what was there when it was asked to stop, for a bounded time. What is left is read at
    /// the next start, or by whoever takes over: the position says where.
    async fn drain(&mut self) -> Result<(), RunError> {
        let (head, begun) = (self.ports.readings.head(), Stopwatch::start());
        while self.reader.position() <= head && begun.elapsed() < DRAIN {
            match self.reader.available(RECORDS_AT_ONCE).await {
                Ok(entries) if entries.is_empty() => break,
                Ok(entries) => self.take(&entries).await?,
                Err(error) => {
                    tracing::warn!(%error, "the log cannot be read: the rest is read later");
                    break;
                }
            }
        }
        Ok(())
    }

    fn reads_again(&mut self) {
        if self.backoff.succeeded() {
            self.ports.health.well(LOG);
            tracing::info!("the log can be read again");
        }
    }

    async fn take(&mut self, entries: &[Entry<ReadingBatch>]) -> Result<(), RunError> {
        self.reads_again();
        let spans = trace::begin(&STAGE, entries.iter().map(|entry| entry.record.trace_key()));
        let taken = self.writer.take(entries.iter().map(|entry| &*entry.record)).await?;
        spans.end();
        self.progress.send_modify(|progress| {
            progress.next = self.reader.position();
            progress.readings += taken.readings;
            progress.new += taken.new;
            progress.heard_to = entries.last().map(|entry| entry.record.received_at);
        });
        if self.writer.uncommitted() >= self.config.commit_points || self.writer.is_full() {
            self.commit().await?;
        }
        Ok(())
    }

    /// Commits, then lets the log go up to there.
    async fn commit(&mut self) -> Result<(), RunError> {
        let next = self.reader.position();
        if next == self.committed {
            return Ok(());
        }
        self.writer.commit(Checkpoint { epoch: self.epoch.clone(), next }).await?;
        self.committed = next;
        // The store's checkpoint is the one that counts; this one only holds the log back. If it
        // cannot be saved the log keeps more than it need, until the next one is.
        let Some(cursor) = &self.ports.cursor else { return Ok(()) };
        match cursor.save(next, Vec::new()).await {
            Err(error @ AppendError::Fenced(_)) => return Err(RunError::Fenced(error)),
            Err(error) => tracing::debug!(%error, "the cursor could not be saved"),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Waits for the log, or steps over what it no longer has.
    async fn mend(&mut self, error: ReadError, shutdown: &Shutdown) -> Result<(), RunError> {
        match error {
            ReadError::BelowFloor { wanted, floor } => {
                tracing::error!(wanted, floor, "readings are lost: the log no longer has them");
                metrics::counter!("sen_aggregate_lost_records_total")
                    .increment(floor.saturating_sub(wanted));
                self.reader = self.ports.readings.read_from(floor).gathering(self.gather);
                Ok(())
            }
            ReadError::Io(_) => {
                if self.backoff.is_fresh() {
                    tracing::warn!(%error, "the log cannot be read");
                }
                self.ports.health.ill(LOG, error.to_string());
                let delay = self.backoff.failed();
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = shutdown.requested() => {}
                }
                Ok(())
            }
            error => Err(error.into()),
        }
    }
}

/// Where to go on: at the checkpoint if it belongs to this log, else at the first record kept.
/// Records read twice are repeats to the store and change nothing.
fn position(checkpoint: Option<&Checkpoint>, readings: &Topic<ReadingBatch>) -> Offset {
    let floor = readings.floor();
    match checkpoint {
        Some(Checkpoint { epoch, next }) if *epoch == readings.epoch().0 => {
            if *next <= readings.head().saturating_add(1) {
                return *next;
            }
            tracing::error!(next, head = readings.head(), "the log is shorter than it was");
            floor
        }
        Some(_) => {
            tracing::warn!("the log was begun anew: it is read from its beginning");
            floor
        }
        None => floor,
    }
}
