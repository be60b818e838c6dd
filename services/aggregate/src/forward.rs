//! Readings and summaries into the archive, behind the store.
//!
//! The forwarder follows the store along the log with a cursor of its own: while the archive is
//! away the log keeps what it still lacks, and nobody else waits. Of each reading it sends what the
//! store holds, so that of two different values of one identity both keep the same one; summaries
//! come from the store's marks. To send anything again changes nothing, so after a crash, ours or
//! the server's, it begins again where things were last certain.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use sen_archive::{Archive, ArchiveError, MOST_REFUSED, Refused, Row};
use sen_chassis::backoff::Backoff;
use sen_chassis::clock::Stopwatch;
use sen_chassis::{Clock, Health, Shutdown};
use sen_log::{AppendError, Cursor, Entry, Offset, ReadError, Reader, Topic};
use sen_model::time::MINUTE_MS;
use sen_model::{Progress, Quarantined, ReadingBatch, RejectReason, SeriesKey, Timestamp};
use sen_store::{Store, StoreError, Unsent};
use tokio::sync::watch;

use crate::{ARCHIVE, RunError};

/// Records sent at once, at most, and how long one waits for others.
const RECORDS_AT_ONCE: usize = 1_024;
const GATHER: Duration = Duration::from_secs(1);
/// How often summaries are sent, how many at once, and how long after the end of their window: by
/// then most of them will not change again.
const SUMMARIES_INTERVAL: Duration = Duration::from_secs(5);
const SUMMARIES_AT_ONCE: usize = 20_000;
const SETTLE_MS: i64 = 3 * MINUTE_MS;
/// Between tries while the archive fails: from, to.
const RETRY_FROM: Duration = Duration::from_millis(500);
const RETRY_TO: Duration = Duration::from_secs(30);

/// An archive and what is needed to feed it.
pub struct Destination {
    /// Where readings and summaries go.
    pub archive: Archive,
    /// How far they have come; holds the log back.
    pub cursor: Cursor,
    /// Where rows go that the archive refuses.
    pub quarantine: Topic<Quarantined>,
    /// Since when the store has heard everything, if it was begun later than the archive: of
    /// windows before, which it has only parts of, no summary is sent.
    pub whole_from: Option<Timestamp>,
}

/// How far the archive is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// When the oldest reading that the archive lacks was heard; none if it lacks none.
    pub waiting_since: Option<Timestamp>,
}

/// What it stands on.
pub(crate) struct Ports {
    pub(crate) destination: Destination,
    pub(crate) readings: Topic<ReadingBatch>,
    pub(crate) store: Store,
    /// How far the store has come.
    pub(crate) stored: watch::Receiver<Progress>,
    pub(crate) archived: watch::Sender<Archived>,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
}

/// The task that feeds the archive.
pub(crate) struct Forwarder {
    ports: Ports,
    reader: Reader<ReadingBatch>,
    /// What was read and is not sent.
    batch: Option<Batch>,
    is_prepared: bool,
    /// Since when the server lives.
    life: Option<String>,
    /// What the server has, but may still forget if it crashes; the oldest first.
    settling: VecDeque<(Stopwatch, Sent)>,
    /// Where the reader begins again after trouble.
    certain: Offset,
    /// Since summaries were last looked for.
    summaries: Stopwatch,
    /// Whether there were more than a lot of them.
    is_more: bool,
    backoff: Backoff,
}

/// Records on their way, and the offset after them.
struct Batch {
    entries: Vec<Entry<ReadingBatch>>,
    end: Offset,
}

/// What the server has.
enum Sent {
    /// Readings before this offset.
    Readings(Offset),
    /// These summaries.
    Summaries(Vec<Unsent>),
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It may be without its last seconds, though no write failed meanwhile.
    #[error("the archive's server was started anew")]
    StartedAnew,
}

impl Forwarder {
    /// Goes on where the cursor stands, or with what the log still has.
    pub(crate) fn begin(ports: Ports) -> Result<Self, ReadError> {
        let saved = ports.destination.cursor.load()?;
        let certain = saved.map_or_else(|| ports.readings.floor(), |saved| saved.next);
        Ok(Self {
            reader: ports.readings.read_from(certain).gathering(GATHER),
            batch: None,
            is_prepared: false,
            life: None,
            settling: VecDeque::new(),
            certain,
            summaries: Stopwatch::start(),
            is_more: false,
            backoff: Backoff::new(RETRY_FROM, RETRY_TO, certain),
            ports,
        })
    }

    /// Works until asked to stop. What is not sent then is sent after the next start.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), RunError> {
        loop {
            let turned = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                turned = self.turn() => turned,
            };
            match turned {
                Ok(()) => self.worked(),
                Err(Trouble::Store(StoreError::Closed) | Trouble::Log(ReadError::Closed)) => {
                    // Everything is stopping.
                    shutdown.requested().await;
                }
                Err(Trouble::Append(error @ AppendError::Fenced(_))) => {
                    return Err(RunError::Fenced(error));
                }
                Err(trouble) => {
                    let pause = self.failed(&trouble);
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    /// Sends one batch, or some summaries; waits for either.
    async fn turn(&mut self) -> Result<(), Trouble> {
        if !self.is_prepared
            && let Err(error) = self.prepare().await
        {
            if self.batch.is_none() {
                // So that it is known since when something waits.
                let entries = self.reader.available(RECORDS_AT_ONCE).await?;
                self.take(entries);
            }
            return Err(error.into());
        }
        if self.batch.is_none() {
            let entries = self.reader.available(RECORDS_AT_ONCE).await?;
            if entries.is_empty() && !self.is_more {
                let pause = SUMMARIES_INTERVAL.saturating_sub(self.summaries.elapsed());
                tokio::select! {
                    arrived = self.reader.arrival() => arrived?,
                    () = tokio::time::sleep(pause) => {}
                }
            }
            self.take(entries);
        }
        self.send_batch().await?;
        if self.is_more || self.summaries.elapsed() >= SUMMARIES_INTERVAL {
            self.send_summaries().await?;
        }
        self.settle().await
    }

    async fn prepare(&mut self) -> Result<(), ArchiveError> {
        let prepared = self.ports.destination.archive.prepare().await?;
        let version = prepared.version.unwrap_or_default();
        tracing::info!(version, "the archive is ready");
        for warning in prepared.warnings {
            tracing::warn!(warning, "the archive could be set up better");
        }
        self.life = self.ports.destination.archive.life().await?;
        self.is_prepared = true;
        Ok(())
    }

    /// Records that were just read are what is sent next.
    fn take(&mut self, entries: Vec<Entry<ReadingBatch>>) {
        let Some(first) = entries.first() else { return };
        let waiting_since = Some(first.record.received_at);
        self.ports.archived.send_replace(Archived { waiting_since });
        self.batch = Some(Batch { entries, end: self.reader.position() });
    }

    async fn send_batch(&mut self) -> Result<(), Trouble> {
        let Some(Batch { entries, end }) = &self.batch else { return Ok(()) };
        let end = *end;
        let stored = self.ports.stored.wait_for(|stored| stored.next >= end).await;
        stored.map_err(|_| StoreError::Closed)?;
        let rows = self.rows(entries).await?;
        self.write(&rows).await?;
        metrics::counter!("sen_archive_readings_total").increment(rows.len() as u64);
        self.batch = None;
        self.settling.push_back((Stopwatch::start(), Sent::Readings(end)));
        if end > self.ports.readings.head() {
            self.ports.archived.send_replace(Archived { waiting_since: None });
        }
        Ok(())
    }

    /// What the store holds of these readings, each once.
    async fn rows(&self, entries: &[Entry<ReadingBatch>]) -> Result<Vec<Row>, StoreError> {
        let (mut seen, mut keys, mut identities) = (HashSet::new(), Vec::new(), Vec::new());
        for batch in entries.iter().map(|entry| &entry.record) {
            for reading in &batch.readings {
                // What the store has no series for was over its limit, and told of.
                let Some(series) = self.ports.store.find(&batch.device, &reading.metric) else {
                    continue;
                };
                let identity = (series, reading.event_time, reading.sequence);
                if seen.insert(identity) {
                    let (device, metric) = (batch.device.clone(), reading.metric.clone());
                    keys.push(SeriesKey { device, metric });
                    identities.push(identity);
                }
            }
        }
        // What retention has deleted meanwhile is gone.
        let stored = self.ports.store.stored(&identities).await?;
        let rows = keys.into_iter().zip(stored);
        Ok(rows.filter_map(|(key, point)| Some(Row::Reading(key, point?))).collect())
    }

    async fn send_summaries(&mut self) -> Result<(), Trouble> {
        self.summaries = Stopwatch::start();
        self.is_more = false;
        // One lot at a time: the marks stay until it is certain.
        if self.settling.iter().any(|(_, sent)| matches!(sent, Sent::Summaries(_))) {
            return Ok(());
        }
        let until = Timestamp::from_millis(self.ports.clock.now_ms()).plus_ms(-SETTLE_MS);
        let unsent = self.ports.store.unsent(until, SUMMARIES_AT_ONCE).await?;
        if unsent.is_empty() {
            return Ok(());
        }
        let whole_from = self.ports.destination.whole_from;
        let row = |one: &Unsent| {
            let summary = one.summary.clone()?;
            let is_whole = whole_from.is_none_or(|from| summary.start >= from);
            is_whole.then(|| Row::Summary(one.series.clone(), summary))
        };
        let rows: Vec<Row> = unsent.iter().filter_map(row).collect();
        self.write(&rows).await?;
        metrics::counter!("sen_archive_summaries_total").increment(rows.len() as u64);
        self.is_more = unsent.len() == SUMMARIES_AT_ONCE && self.settles_after().is_zero();
        self.settling.push_back((Stopwatch::start(), Sent::Summaries(unsent)));
        Ok(())
    }

    fn settles_after(&self) -> Duration {
        self.ports.destination.archive.settles_after()
    }

    /// Writes rows; what the archive refuses goes to quarantine, each with its reason.
    async fn write(&self, rows: &[Row]) -> Result<(), Trouble> {
        let archive = &self.ports.destination.archive;
        let refused = match archive.write(rows).await {
            Err(ArchiveError::TooManyRefused { .. }) => {
                let mut refused = Vec::new();
                for (lot, some) in rows.chunks(MOST_REFUSED).enumerate() {
                    let before = lot * MOST_REFUSED;
                    let more = archive.write(some).await?.refused.into_iter();
                    refused.extend(more.map(|one| Refused { row: before + one.row, ..one }));
                }
                refused
            }
            written => written?.refused,
        };
        if refused.is_empty() {
            return Ok(());
        }
        metrics::counter!("sen_archive_refused_total").increment(refused.len() as u64);
        let now = Timestamp::from_millis(self.ports.clock.now_ms());
        let records = refused.iter().map(|one| quarantined(&rows[one.row], &one.reason, now));
        self.ports.destination.quarantine.append(records.collect()).await?;
        Ok(())
    }

    /// Lets the log and the marks go of what the server will not forget any more.
    async fn settle(&mut self) -> Result<(), Trouble> {
        let after = self.settles_after();
        let is_due = |(since, _): &(Stopwatch, Sent)| since.elapsed() >= after;
        if !after.is_zero()
            && self.settling.front().is_some_and(is_due)
            && self.ports.destination.archive.life().await? != self.life
        {
            return Err(Trouble::StartedAnew);
        }
        let mut readings = None;
        while self.settling.front().is_some_and(|(since, _)| since.elapsed() >= after) {
            match self.settling.pop_front() {
                Some((_, Sent::Readings(end))) => readings = Some(end),
                Some((_, Sent::Summaries(sent))) => self.ports.store.sent(sent).await?,
                None => {}
            }
        }
        if let Some(end) = readings {
            self.ports.destination.cursor.save(end, Vec::new()).await?;
            self.certain = end;
        }
        Ok(())
    }

    fn worked(&mut self) {
        self.ports.health.well(ARCHIVE);
        if self.backoff.succeeded() {
            tracing::info!("the archive works again");
        }
    }

    /// Tells of trouble, goes back to where things were certain, and says how long to wait.
    fn failed(&mut self, trouble: &Trouble) -> Duration {
        let error: &dyn std::error::Error = trouble;
        if self.backoff.is_fresh() {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(%trouble, cause, "the archive fails: what it lacks waits in the log");
        }
        self.ports.health.ill(ARCHIVE, trouble.to_string());
        self.is_prepared = false;
        self.go_back(trouble);
        let asked = match trouble {
            Trouble::Archive(error) => error.retry_after(),
            _ => None,
        };
        self.backoff.failed().max(asked.unwrap_or_default())
    }

    fn go_back(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Log(ReadError::BelowFloor { wanted, floor }) => {
                tracing::error!(
                    wanted,
                    floor,
                    "the archive lacks readings that the log no longer has: `sen store copy` sends \
                     what the store holds"
                );
                self.certain = *floor;
            }
            _ if self.settling.is_empty() => return,
            // The server may have been started anew, without its last seconds.
            _ => self.settling.clear(),
        }
        self.batch = None;
        self.reader = self.ports.readings.read_from(self.certain).gathering(GATHER);
    }
}

/// A row that the archive will not take, as a quarantine record.
fn quarantined(row: &Row, reason: &str, now: Timestamp) -> Quarantined {
    let (series, payload) = match row {
        Row::Reading(series, point) => {
            (series, format!("{} {} = {}", point.event_time, series, point.value))
        }
        Row::Summary(series, summary) => {
            (series, format!("{} {}: the {} summary", summary.start, series, summary.tier))
        }
    };
    Quarantined {
        received_at: now,
        source: "archive".to_owned(),
        client: String::new(),
        topic: format!("{}/{}", series.device, series.metric),
        reason: RejectReason::ArchiveRefused,
        detail: reason.to_owned(),
        payload_bytes: payload.len() as u64,
        payload: payload.into_bytes(),
    }
}
