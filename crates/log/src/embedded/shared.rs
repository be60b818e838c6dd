//! What the writer, the readers and the keeper of one topic share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::disk;
use super::fault::{self, Step};
use super::identity::EpochBits;
use super::segment::Segment;
use super::walk::{Lost, Source};
use crate::backend::{Chunk, Clock, Lag, Offset, ReadError, Stats};
use crate::{Retention, lock};

/// Bytes of one damaged part that are kept aside for a person.
const KEPT_DAMAGE_BYTES: u64 = 1 << 20;
/// Damaged parts of one topic that are kept aside; more are only counted.
const KEPT_DAMAGES: usize = 100;
/// The folder of a topic where they are kept.
const DAMAGED_FOLDER: &str = "damaged";

/// The state of one open topic.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) epoch: EpochBits,
    pub(crate) retention: Retention,
    /// Whether records that all cursors have passed may go early when the disk is full.
    pub(crate) gives_way: bool,
    pub(crate) now_ms: Clock,
    /// By base; the last one is being written.
    pub(crate) segments: Mutex<Vec<Arc<Segment>>>,
    /// The first offset still kept.
    pub(crate) floor: AtomicU64,
    /// Each cursor's next offset to read; 0 if it has none in this epoch and holds everything.
    pub(crate) cursors: Mutex<BTreeMap<String, Offset>>,
    /// Those that give way when the disk is full.
    pub(crate) yielding: Mutex<BTreeSet<String>>,
    pub(crate) head: watch::Receiver<Offset>,
    pub(crate) is_closed: AtomicBool,
    /// Whether the keeper was asked for room and has not answered yet.
    pub(crate) asks_relief: AtomicBool,
    pub(crate) counts: Counts,
}

/// What [`Stats`] counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) failed_commits: AtomicU64,
    damaged_records: AtomicU64,
}

impl Shared {
    /// Some records from `from` on; blocks on the disk.
    pub(crate) fn read(&self, from: Offset) -> Result<Chunk, ReadError> {
        fault::check(Step::Read, &self.name).map_err(ReadError::Io)?;
        let mut chunk = Chunk { next: from, ..Chunk::default() };
        let head = *self.head.borrow();
        while chunk.records.is_empty() && chunk.next <= head {
            let floor = self.floor.load(Ordering::Acquire);
            let below = ReadError::BelowFloor { wanted: chunk.next, floor };
            if chunk.next < floor {
                return Err(below);
            }
            let Some((segment, limit)) = self.segment_of(chunk.next, head) else {
                return Err(below);
            };
            let from = chunk.next;
            let tell = |file: &File, lost: &Lost| self.count_damage(&segment, file, lost);
            match segment.read(from, limit, &mut chunk, tell) {
                Ok(()) => {}
                // Retention was faster: the next turn finds the offset below the floor.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && self.floor.load(Ordering::Acquire) > from => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        Ok(chunk)
    }

    /// The first record appended at or after a time; blocks on the disk.
    pub(crate) fn offset_at(&self, time_ms: i64) -> Result<Offset, ReadError> {
        let end = *self.head.borrow() + 1;
        let segments = lock(&self.segments).clone();
        // All records of a segment were appended before the next one was begun.
        let after = segments.partition_point(|segment| segment.created_ms < time_ms);
        let limits = segments.iter().skip(1).map(|next| next.base).chain([end]);
        let candidates = segments.iter().zip(limits).skip(after.saturating_sub(1));
        for (segment, limit) in candidates {
            match segment.first_at(time_ms, limit.min(end)) {
                Ok(Some(offset)) => return Ok(offset),
                Ok(None) => {}
                // Retention was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        Ok(end)
    }

    /// How many records each saved cursor is behind.
    pub(crate) fn lags(&self) -> Vec<Lag> {
        let end = *self.head.borrow() + 1;
        let floor = self.floor.load(Ordering::Acquire);
        let lag = |(name, next): (&String, &Offset)| Lag {
            topic: self.name.clone(),
            cursor: name.clone(),
            behind: end.saturating_sub((*next).max(floor)),
        };
        lock(&self.cursors).iter().map(lag).collect()
    }

    /// The segment that holds `offset`, and the first offset that is not to be read from it.
    fn segment_of(&self, offset: Offset, head: Offset) -> Option<(Arc<Segment>, Offset)> {
        let segments = lock(&self.segments);
        let after = segments.partition_point(|segment| segment.base <= offset);
        let segment = segments.get(after.checked_sub(1)?)?;
        let limit = segments.get(after).map_or(head + 1, |next| next.base.min(head + 1));
        Some((Arc::clone(segment), limit))
    }

    /// Counts a damaged part once, and keeps its bytes aside.
    pub(crate) fn count_damage(&self, segment: &Segment, file: &File, lost: &Lost) {
        let records = lost.offsets.end - lost.offsets.start;
        self.counts.damaged_records.fetch_add(records, Ordering::Relaxed);
        metrics::counter!("sen_log_records_damaged_total", "topic" => self.name.clone())
            .increment(records);
        tracing::error!(
            topic = self.name,
            segment = %segment.path.display(),
            position = lost.position,
            bytes = lost.bytes,
            first = lost.offsets.start,
            records,
            "a part of the log is damaged and was skipped"
        );
        if let Err(error) = self.keep_aside(segment, file, lost) {
            tracing::warn!(topic = self.name, %error, "damaged bytes could not be kept aside");
        }
    }

    fn keep_aside(&self, segment: &Segment, file: &File, lost: &Lost) -> io::Result<()> {
        let folder = self.folder.join(DAMAGED_FOLDER);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{:020}-{:012}.bin", segment.base, lost.position));
        if path.exists() || fs::read_dir(&folder)?.count() >= KEPT_DAMAGES {
            return Ok(());
        }
        let mut bytes = vec![0; lost.bytes.min(KEPT_DAMAGE_BYTES) as usize];
        let count = file.read_at(lost.position, &mut bytes)?;
        let mut aside = OpenOptions::new().write(true).create_new(true).open(path)?;
        aside.write_all(&bytes[..count])
    }

    /// What the topic has been through.
    pub(crate) fn stats(&self) -> Stats {
        let segments = lock(&self.segments);
        Stats {
            commits: self.counts.commits.load(Ordering::Relaxed),
            failed_commits: self.counts.failed_commits.load(Ordering::Relaxed),
            damaged_records: self.counts.damaged_records.load(Ordering::Relaxed),
            bytes: segments.iter().map(|segment| segment.bytes()).sum(),
            segments: segments.len() as u64,
        }
    }

    /// Bytes an ordinary process may still write here.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        disk::free_bytes(&self.folder)
    }
}
