//! The state of one open topic, and what is asked of its stream.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Info, Stream};
use tokio::sync::watch;

use super::cursors::{Cursors, if_there};
use super::epochs::Epochs;
use super::message;
use super::names::{Names, Numbering};
use super::prover::Prover;
use super::scan::{Scan, Stored};
use crate::backend::{AppendError, Chunk, Epoch, Offset, Stats, View};
use crate::{Retention, lock};

/// Scans of readers behind, kept for their next read; more begin anew each time.
const SCANS: usize = 4;

/// One open topic.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) names: Names,
    pub(crate) context: Context,
    pub(crate) stream: Stream,
    pub(crate) numbering: Numbering,
    pub(crate) view: View,
    /// The subjects of a partition, if this is a view of one.
    pub(crate) filter: Option<String>,
    pub(crate) retention: Retention,
    /// Whether records that all cursors have passed may go early when the servers are full.
    pub(crate) gives_way: bool,
    pub(crate) epoch: Epoch,
    /// When the stream was made, in nanoseconds since the Unix epoch.
    pub(crate) created_ns: i128,
    /// Closed when nothing more will be appended.
    head: Mutex<Option<watch::Sender<Offset>>>,
    pub(crate) followed: watch::Receiver<Offset>,
    pub(crate) floor: AtomicU64,
    pub(crate) is_closed: AtomicBool,
    pub(crate) is_renewed: AtomicBool,
    /// The process is about to end: appends are not tried for long any more.
    pub(crate) is_leaving: AtomicBool,
    /// A cursor was saved: something may be deleted now.
    pub(crate) is_saved: AtomicBool,
    pub(crate) cursors: Arc<Cursors>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) prover: Arc<Prover>,
    counts: Counts,
    scans: Mutex<Vec<Scan>>,
}

/// What [`Stats`] counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    appends: AtomicU64,
    failed_appends: AtomicU64,
    damaged: AtomicU64,
    bytes: AtomicU64,
    is_failing: AtomicBool,
}

/// What a topic is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) names: Names,
    pub(crate) context: Context,
    pub(crate) stream: Stream,
    pub(crate) numbering: Numbering,
    pub(crate) view: View,
    pub(crate) retention: Retention,
    pub(crate) gives_way: bool,
    pub(crate) found: Found,
    pub(crate) cursors: Arc<Cursors>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) prover: Arc<Prover>,
}

/// How a topic was found when it was opened: both from one look. What the servers answer to whoever
/// makes a stream is no look: if two make it at once, they tell one of them a time that is not the
/// stream's.
pub(crate) struct Found {
    pub(crate) info: Info,
    pub(crate) epoch: Epoch,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let Found { info, epoch } = parts.found;
        let numbering = parts.numbering;
        let (head, followed) = watch::channel(numbering.last(info.state.last_sequence));
        let filter = match parts.view {
            View::Partition(partition) => Some(parts.names.partition(partition)),
            View::Whole | View::Writing => None,
        };
        Self {
            floor: AtomicU64::new(numbering.floor(info.state.first_sequence)),
            created_ns: info.created.unix_timestamp_nanos(),
            name: parts.name,
            names: parts.names,
            context: parts.context,
            numbering,
            view: parts.view,
            filter,
            retention: parts.retention,
            gives_way: parts.gives_way,
            epoch,
            head: Mutex::new(Some(head)),
            followed,
            is_closed: AtomicBool::new(false),
            is_renewed: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            is_saved: AtomicBool::new(false),
            cursors: parts.cursors,
            epochs: parts.epochs,
            prover: parts.prover,
            counts: Counts::default(),
            scans: Mutex::default(),
            stream: parts.stream,
        }
    }

    /// The last offset that readers may have.
    pub(crate) fn head(&self) -> Offset {
        *self.followed.borrow()
    }

    /// Counts an append, and tells when appends begin to fail and when they work again.
    pub(crate) fn count_append(&self, records: usize, bytes: usize, error: Option<&AppendError>) {
        let topic = || self.name.clone();
        let Some(error) = error else {
            self.counts.appends.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("sen_log_commits_total", "topic" => topic()).increment(1);
            metrics::counter!("sen_log_records_appended_total", "topic" => topic())
                .increment(records as u64);
            metrics::counter!("sen_log_bytes_appended_total", "topic" => topic())
                .increment(bytes as u64);
            if self.counts.is_failing.swap(false, Ordering::AcqRel) {
                tracing::info!(topic = self.name, "the log can append again");
            }
            return;
        };
        self.counts.failed_appends.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("sen_log_commits_failed_total", "topic" => topic()).increment(1);
        if !self.counts.is_failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(topic = self.name, %error, "the log cannot append");
        }
    }

    /// Moves the head on; never back.
    pub(crate) fn raise(&self, to: Offset) {
        if let Some(head) = &*lock(&self.head) {
            head.send_if_modified(|head| {
                let is_news = to > *head;
                *head = to.max(*head);
                is_news
            });
            metrics::gauge!("sen_log_head", "topic" => self.name.clone()).set(self.head() as f64);
        }
    }

    /// Nothing more will be appended or followed.
    pub(crate) fn end(&self) {
        lock(&self.head).take();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) || self.is_renewed.load(Ordering::Acquire)
    }

    /// What the topic has been through; commits are appends here.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            commits: self.counts.appends.load(Ordering::Relaxed),
            failed_commits: self.counts.failed_appends.load(Ordering::Relaxed),
            damaged_records: self.counts.damaged.load(Ordering::Relaxed),
            bytes: self.counts.bytes.load(Ordering::Relaxed),
            segments: 1,
        }
    }

    /// Asks the stream's leader how it is, and notes the floor.
    pub(crate) async fn refresh(&self) -> io::Result<Info> {
        let info = self.stream.get_info().await.map_err(io::Error::other)?;
        self.note(&info);
        Ok(info)
    }

    pub(crate) fn note(&self, info: &Info) {
        let floor = self.numbering.floor(info.state.first_sequence);
        self.floor.fetch_max(floor, Ordering::AcqRel);
        self.counts.bytes.store(info.state.bytes, Ordering::Relaxed);
        self.prover.note(info);
    }

    /// Asks the stream's leader for the first message of some subjects from a sequence on.
    pub(crate) async fn next_of(&self, subjects: &str, from: u64) -> io::Result<Option<u64>> {
        let ask = self.stream.raw_message_builder().sequence(from.max(1)).next_by_subject(subjects);
        let message = if_there(ask.send().await).map_err(io::Error::other)?;
        Ok(message.map(|message| message.sequence))
    }

    /// Takes a scan that goes on at a sequence.
    pub(crate) fn take_scan(&self, next: u64) -> Option<Scan> {
        let mut scans = lock(&self.scans);
        let at = scans.iter().position(|scan| scan.next == next)?;
        Some(scans.remove(at))
    }

    /// Keeps a scan for the next read.
    pub(crate) fn keep_scan(&self, scan: Scan) {
        let mut scans = lock(&self.scans);
        if scans.len() == SCANS {
            scans.remove(0);
        }
        scans.push(scan);
    }

    /// The records of a message, added to a chunk.
    pub(crate) fn unpack(&self, stored: &Stored, chunk: &mut Chunk) {
        let payload = &stored.message.payload;
        let places = match self.numbering {
            Numbering::Single => Some(std::iter::once(0..payload.len()).collect()),
            Numbering::Batched => message::unpack(payload),
        };
        let Some(places) = places else {
            self.count_damage(1, stored.sequence);
            return;
        };
        let start = chunk.bytes.len();
        chunk.bytes.extend_from_slice(payload);
        let offsets = (0..).map(|index| self.numbering.at(stored.sequence, index));
        let places = places.into_iter().map(|place| start + place.start..start + place.end);
        chunk.records.extend(offsets.zip(places));
    }

    pub(crate) fn count_damage(&self, messages: u64, sequence: u64) {
        self.counts.damaged.fetch_add(messages, Ordering::Relaxed);
        metrics::counter!("sen_log_records_damaged_total", "topic" => self.name.clone())
            .increment(messages);
        let topic = &self.name;
        tracing::error!(topic, sequence, messages, "messages of the log are damaged or missing");
    }

    /// The first message stored at or after a time, by halving; `last + 1` if there is none. Asks
    /// the leader, since a replica that is behind would not know the latest.
    pub(crate) async fn sequence_at(&self, time_ms: i64) -> io::Result<u64> {
        let state = self.refresh().await?.state;
        let (mut low, mut high) = (state.first_sequence.max(1), state.last_sequence + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            // One that is gone was the oldest.
            let message = if_there(self.stream.get_raw_message(middle).await);
            let stored_ms = message
                .map_err(io::Error::other)?
                .map_or(i128::MIN, |message| message.time.unix_timestamp_nanos() / 1_000_000);
            if stored_ms >= i128::from(time_ms) { high = middle } else { low = middle + 1 }
        }
        Ok(low)
    }
}

/// A pause that doubles.
pub(crate) struct Pause(Duration);

impl Pause {
    const FROM: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(2);

    pub(crate) fn new() -> Self {
        Self(Self::FROM)
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::MOST);
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.0 == Self::FROM
    }
}
