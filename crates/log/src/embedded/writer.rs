//! The thread that appends to one topic: natural group commit.
//!
//! It takes everything that arrived while the last commit was under way, writes it with one write
//! and one `fdatasync`, publishes, and wakes all who wait. No timer: alone, an append waits for
//! nobody; under load the groups grow by themselves.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::disk::{self, FolderLock};
use super::fault::{self, Step};
use super::frame::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, put_frame};
use super::identity::{self, Identity};
use super::keeper::Chore;
use super::segment::Segment;
use super::shared::Shared;
use crate::backend::{AppendError, Offset, Payloads, Publish};
use crate::lock;

/// Encoded bytes after which a group is large enough.
const GROUP_BYTES: usize = 4 << 20;

/// What the writer is asked.
pub(crate) enum Request {
    /// Append.
    Append(Append),
    /// Finish what is in the queue and stop.
    Stop,
}

/// One append that waits.
pub(crate) struct Append {
    pub(crate) payloads: Payloads,
    pub(crate) publish: Publish,
    pub(crate) reply: oneshot::Sender<Result<Range<Offset>, AppendError>>,
    /// Its share of the queue's bytes, given back when the append is done.
    pub(crate) share: OwnedSemaphorePermit,
}

/// The only one who appends to a topic.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    chores: mpsc::Sender<Chore>,
    head: watch::Sender<Offset>,
    /// The offset of the next record.
    next: Offset,
    segment_bytes: u64,
    reserve_bytes: u64,
    active: Option<Active>,
    /// The frames of one group.
    frames: Vec<u8>,
    is_failing: bool,
    meters: Meters,
    /// Nobody else may open the folder while this thread can still write.
    _lock: Arc<FolderLock>,
}

/// The segment being written.
struct Active {
    file: File,
    segment: Arc<Segment>,
    marker: u32,
    /// Bytes that are durable; the next frame goes here.
    length: u64,
}

struct Meters {
    commits: metrics::Counter,
    failed_commits: metrics::Counter,
    records: metrics::Counter,
    bytes: metrics::Counter,
    head: metrics::Gauge,
}

impl Meters {
    fn new(topic: &str) -> Self {
        let topic = topic.to_owned();
        Self {
            commits: metrics::counter!("sen_log_commits_total", "topic" => topic.clone()),
            failed_commits: metrics::counter!("sen_log_commits_failed_total", "topic" => topic.clone()),
            records: metrics::counter!("sen_log_records_appended_total", "topic" => topic.clone()),
            bytes: metrics::counter!("sen_log_bytes_appended_total", "topic" => topic.clone()),
            head: metrics::gauge!("sen_log_head", "topic" => topic),
        }
    }
}

/// What a writer is made of.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) chores: mpsc::Sender<Chore>,
    pub(crate) head: watch::Sender<Offset>,
    pub(crate) segment_bytes: u64,
    pub(crate) reserve_bytes: u64,
    pub(crate) lock: Arc<FolderLock>,
}

impl Writer {
    pub(crate) fn new(parts: Parts) -> Self {
        let meters = Meters::new(&parts.shared.name);
        let next = *parts.head.borrow() + 1;
        Self {
            shared: parts.shared,
            requests: parts.requests,
            chores: parts.chores,
            head: parts.head,
            next,
            segment_bytes: parts.segment_bytes,
            reserve_bytes: parts.reserve_bytes,
            active: None,
            frames: Vec::new(),
            is_failing: false,
            meters,
            _lock: parts.lock,
        }
    }

    /// Runs until it is asked to stop or nobody is left who could append.
    pub(crate) fn run(mut self) {
        while let Some(request) = self.requests.blocking_recv() {
            let group = self.gather(request);
            if !group.is_empty() {
                self.commit(group);
            }
        }
        // A hint for the next start: a topic that ends before this head has lost records.
        let (epoch, head) = (self.shared.epoch, self.next - 1);
        let path = self.shared.folder.join(identity::FILE_NAME);
        let identity = Identity { epoch, head }.encode();
        if let Err(error) = disk::replace_file(&path, &identity, || Ok(())) {
            tracing::warn!(topic = self.shared.name, %error, "the head could not be noted");
        }
    }

    /// The first request and whatever else has arrived by now.
    fn gather(&mut self, first: Request) -> Vec<Append> {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut request = Some(first);
        while let Some(taken) = request {
            match taken {
                Request::Append(append) => {
                    bytes += append.payloads.bytes();
                    group.push(append);
                }
                // From here on senders are refused; what is queued is still received.
                Request::Stop => self.requests.close(),
            }
            request = if bytes < GROUP_BYTES { self.requests.try_recv().ok() } else { None };
        }
        group
    }

    fn commit(&mut self, group: Vec<Append>) {
        match self.write(&group) {
            Ok(()) => self.publish(group),
            Err(error) => {
                if matches!(error, AppendError::Full) {
                    self.ask_relief(&group);
                }
                self.refuse(group, &error);
            }
        }
    }

    /// Writes a group to the disk; when this returns it is durable.
    fn write(&mut self, group: &[Append]) -> Result<(), AppendError> {
        let frame_bytes = frame_bytes(group);
        self.check_space(frame_bytes)?;
        let is_over = |active: &Active| active.length + frame_bytes > self.segment_bytes;
        if self.active.as_ref().is_some_and(|active| active.has_records() && is_over(active)) {
            self.active = None;
        }
        if self.active.is_none() {
            self.begin_segment()?;
        }
        self.encode(group);
        let Some(active) = &mut self.active else {
            return Err(AppendError::Disk("there is no segment".to_owned()));
        };
        match active.append(&self.frames, &self.shared.name) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.seal();
                Err(error.into())
            }
        }
    }

    fn check_space(&self, wanted: u64) -> Result<(), AppendError> {
        fault::check(Step::Space, &self.shared.name)?;
        let needed = wanted.saturating_add(self.reserve_bytes);
        if self.shared.free_bytes()? < needed { Err(AppendError::Full) } else { Ok(()) }
    }

    /// Asks the keeper to make room for a refused group and, so that it lasts, a segment more; one
    /// question at a time.
    fn ask_relief(&self, group: &[Append]) {
        if self.shared.asks_relief.swap(true, Ordering::AcqRel) {
            return;
        }
        let needed = frame_bytes(group).saturating_add(self.reserve_bytes);
        let missing = needed.saturating_sub(self.shared.free_bytes().unwrap_or(0));
        let wanted_bytes = missing.saturating_add(self.segment_bytes);
        let topic = Arc::clone(&self.shared);
        if self.chores.try_send(Chore::Relieve { topic, wanted_bytes }).is_err() {
            // The keeper has too much to do: the next refusal asks again.
            self.shared.asks_relief.store(false, Ordering::Release);
        }
    }

    fn encode(&mut self, group: &[Append]) {
        let Some(marker) = self.active.as_ref().map(|active| active.marker) else { return };
        let now_ms = (self.shared.now_ms)();
        self.frames.clear();
        self.frames.shrink_to(GROUP_BYTES);
        let payloads = group.iter().flat_map(|append| append.payloads.iter());
        for (offset, payload) in (self.next..).zip(payloads) {
            put_frame(marker, offset, now_ms, payload, &mut self.frames);
        }
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        fault::check(Step::Segment, &self.shared.name)?;
        let shared = &self.shared;
        let header = SegmentHeader {
            marker: u32::from_le_bytes(disk::random()?),
            epoch: shared.epoch,
            base: self.next,
            created_ms: (shared.now_ms)(),
            topic: shared.name.clone(),
        };
        let (file, segment) = Segment::create(&shared.folder, &header)?;
        let segment = Arc::new(segment);
        let mut segments = lock(&shared.segments);
        segments.retain(|other| other.base != header.base);
        segments.push(Arc::clone(&segment));
        drop(segments);
        let length = SEGMENT_HEADER_BYTES as u64;
        self.active = Some(Active { file, segment, marker: header.marker, length });
        // If the keeper has too much to do already, the next segment or cursor asks again.
        let _ = self.chores.try_send(Chore::Retain(Arc::clone(shared)));
        Ok(())
    }

    /// Gives a failed segment up: what was durable in it stays, nothing is written to it any more.
    /// An `fdatasync` that failed may report success when repeated although pages were dropped, so
    /// it is never repeated. The next segment begins with the next offset, which also ends this
    /// one for readers, whatever bytes the failed write left behind.
    fn seal(&mut self) {
        let Some(active) = self.active.take() else { return };
        let truncated = fault::check(Step::Truncate, &self.shared.name)
            .and_then(|()| active.file.set_len(active.length));
        if let Err(error) = truncated {
            let path = active.segment.path.display();
            tracing::warn!(%path, %error, "a failed log segment could not be cut back");
        }
    }

    fn publish(&mut self, group: Vec<Append>) {
        if let Some(active) = &self.active {
            active.segment.set_bytes(active.length);
        }
        let mut replies = Vec::with_capacity(group.len());
        let first = self.next;
        for append in group {
            let offsets = self.next..self.next + append.payloads.len() as u64;
            self.next = offsets.end;
            (append.publish)(offsets.clone());
            replies.push((append.reply, offsets, append.share));
        }
        self.head.send_replace(self.next - 1);
        self.shared.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.meters.commits.increment(1);
        self.meters.records.increment(self.next - first);
        self.meters.bytes.increment(self.frames.len() as u64);
        self.meters.head.set((self.next - 1) as f64);
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(topic = self.shared.name, "the log can append again");
        }
        for (reply, offsets, _share) in replies {
            // The appender may have stopped waiting.
            let _ = reply.send(Ok(offsets));
        }
    }

    fn refuse(&mut self, group: Vec<Append>, error: &AppendError) {
        self.shared.counts.failed_commits.fetch_add(1, Ordering::Relaxed);
        self.meters.failed_commits.increment(1);
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(topic = self.shared.name, %error, "the log cannot append");
        }
        for append in group {
            let _ = append.reply.send(Err(error.clone()));
        }
    }
}

/// Bytes that the records of a group take on the disk.
fn frame_bytes(group: &[Append]) -> u64 {
    let payload_bytes: usize = group.iter().map(|append| append.payloads.bytes()).sum();
    let records: usize = group.iter().map(|append| append.payloads.len()).sum();
    (payload_bytes + records * FRAME_HEADER_BYTES) as u64
}

impl Active {
    fn has_records(&self) -> bool {
        self.length > SEGMENT_HEADER_BYTES as u64
    }

    /// Writes frames and makes them durable.
    fn append(&mut self, frames: &[u8], topic: &str) -> io::Result<()> {
        fault::check(Step::Write, topic)?;
        self.file.write_all_at(frames, self.length)?;
        fault::check(Step::Sync, topic)?;
        self.file.sync_data()?;
        self.length += frames.len() as u64;
        Ok(())
    }
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(error.to_string()),
        }
    }
}
