//! One segment file: creating it, reading from it, and what is known of its inside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk;
use super::frame::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::walk::{Ending, Item, Lost, Source, Walk};
use crate::backend::{Chunk, Offset};
use crate::{OpenError, lock};

/// Bytes between two entries of a segment's index: how much a seek reads in vain at most.
const INDEX_STEP_BYTES: u64 = 64 << 10;
/// Encoded bytes after which a read is long enough.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// Records after which a read is long enough: they are decoded on an async thread.
const CHUNK_RECORDS: usize = 2_048;
/// What follows the offset in a segment's file name.
const SUFFIX: &str = ".seg";

/// One segment of a topic.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Offset of its first record.
    pub(crate) base: Offset,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// When it was begun; if its header is damaged, when it was last written to, which is later:
    /// what is before it is then kept too long, not too short.
    pub(crate) created_ms: i64,
    /// Its length.
    bytes: AtomicU64,
    marker: Option<u32>,
    survey: Mutex<Survey>,
}

/// What readers have found out on their way.
#[derive(Debug)]
struct Survey {
    /// Some frames with their positions, in order; where a seek begins.
    index: Vec<(Offset, u64)>,
    /// Positions of the damage that was already told.
    told: BTreeSet<u64>,
}

/// The file name of a segment.
pub(crate) fn file_name(base: Offset) -> String {
    format!("{base:020}{SUFFIX}")
}

/// The base offset in a segment's file name.
pub(crate) fn base_of(file_name: &str) -> Option<Offset> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

impl Segment {
    /// Creates a segment, durable with its header before this returns. An empty segment of the
    /// same base is replaced: nothing of it was ever acknowledged.
    pub(crate) fn create(folder: &Path, header: &SegmentHeader) -> io::Result<(File, Self)> {
        let path = folder.join(file_name(header.base));
        let file = disk::replace_file(&path, &header.encode(), || Ok(()))?;
        let (created_ms, marker) = (header.created_ms, Some(header.marker));
        Ok((file, Self::new(header.base, path, created_ms, marker, SEGMENT_HEADER_BYTES as u64)))
    }

    /// A segment that is there already.
    pub(crate) fn existing(path: PathBuf, base: Offset) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let bytes = metadata.len();
        let mut start = [0; SEGMENT_HEADER_BYTES];
        let mut filled = 0;
        while filled < start.len() {
            match file.read_at(filled as u64, &mut start[filled..]).map_err(failed)? {
                0 => break,
                count => filled += count,
            }
        }
        match SegmentHeader::decode(&start[..filled]) {
            HeaderFound::Newer(format) => Err(OpenError::NewerFormat { path, format }),
            HeaderFound::Sound(header) if header.base == base => {
                Ok(Self::new(base, path, header.created_ms, Some(header.marker), bytes))
            }
            _ => {
                tracing::error!(path = %path.display(), "the header of a log segment is damaged");
                let written_ms = disk::modified_ms(&metadata).map_err(failed)?;
                Ok(Self::new(base, path, written_ms, None, bytes))
            }
        }
    }

    fn new(base: Offset, path: PathBuf, created_ms: i64, marker: Option<u32>, bytes: u64) -> Self {
        let index = vec![(base, SEGMENT_HEADER_BYTES as u64)];
        let survey = Mutex::new(Survey { index, told: BTreeSet::new() });
        Self { base, path, created_ms, bytes: AtomicU64::new(bytes), marker, survey }
    }

    /// Its length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes its new length.
    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Reads records with offsets in `from..limit` into `chunk`, until it is long enough or the
    /// segment ends; then `chunk.next` is where to go on. New damage is told to `tell`.
    pub(crate) fn read(
        &self,
        from: Offset,
        limit: Offset,
        chunk: &mut Chunk,
        mut tell: impl FnMut(&File, &Lost),
    ) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let mut walk = Walk::from(&file, self.marker, self.start_for(from), limit);
        while let Some(item) = walk.step()? {
            match item {
                Item::Lost(lost) => self.tell_once(&file, &lost, &mut tell),
                Item::Record { offset, position } => {
                    self.note(offset, position);
                    if offset >= from {
                        let start = chunk.bytes.len();
                        chunk.bytes.extend_from_slice(walk.payload());
                        chunk.records.push((offset, start..chunk.bytes.len()));
                        chunk.next = offset + 1;
                    }
                }
            }
            if chunk.bytes.len() >= CHUNK_BYTES || chunk.records.len() >= CHUNK_RECORDS {
                return Ok(());
            }
        }
        self.tell_residue(&file, &walk.ending(), limit, &mut tell);
        chunk.next = limit;
        Ok(())
    }

    /// The first record before `limit` that was appended at or after a time.
    pub(crate) fn first_at(&self, time_ms: i64, limit: Offset) -> io::Result<Option<Offset>> {
        let file = File::open(&self.path)?;
        let mut walk = Walk::whole(&file, self.marker, self.base, limit);
        while let Some(item) = walk.step()? {
            if let Item::Record { offset, .. } = item
                && walk.appended_ms() >= time_ms
            {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Walks to the end of the last segment of a topic, as found at start.
    pub(crate) fn survey_to_end(&self, mut tell: impl FnMut(&File, &Lost)) -> io::Result<Ending> {
        let file = File::open(&self.path)?;
        let mut walk = Walk::whole(&file, self.marker, self.base, Offset::MAX);
        while let Some(item) = walk.step()? {
            match item {
                Item::Lost(lost) => self.tell_once(&file, &lost, &mut tell),
                Item::Record { offset, position } => self.note(offset, position),
            }
        }
        let ending = walk.ending();
        if ending.residue_records > 0 {
            let offsets = ending.next..ending.next + ending.residue_records;
            let (position, bytes) = (ending.position, ending.residue_bytes);
            self.tell_once(&file, &Lost { offsets, position, bytes }, &mut tell);
        }
        Ok(ending)
    }

    /// The indexed frame at or before `from`.
    fn start_for(&self, from: Offset) -> (Offset, u64) {
        let survey = lock(&self.survey);
        let after = survey.index.partition_point(|(offset, _)| *offset <= from);
        survey.index[after.saturating_sub(1)]
    }

    fn note(&self, offset: Offset, position: u64) {
        let mut survey = lock(&self.survey);
        if survey.index.last().is_some_and(|(_, last)| position >= last + INDEX_STEP_BYTES) {
            survey.index.push((offset, position));
        }
    }

    fn tell_once(&self, file: &File, lost: &Lost, tell: &mut impl FnMut(&File, &Lost)) {
        if lock(&self.survey).told.insert(lost.position) {
            tell(file, lost);
        }
    }

    /// A segment that ends before its successor begins has lost what is missing.
    fn tell_residue(
        &self,
        file: &File,
        ending: &Ending,
        limit: Offset,
        tell: &mut impl FnMut(&File, &Lost),
    ) {
        if ending.next < limit {
            let (position, bytes) = (ending.position, ending.residue_bytes);
            self.tell_once(file, &Lost { offsets: ending.next..limit, position, bytes }, tell);
        }
    }
}

/// The segments of a folder, by base; drafts that a crash left are removed.
pub(crate) fn list(folder: &Path) -> Result<Vec<Segment>, OpenError> {
    let failed = |source| OpenError::Io { path: folder.to_owned(), source };
    let mut bases = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if let Some(base) = name.to_str().and_then(base_of) {
            bases.push((base, entry.path()));
        } else if disk::is_draft(&entry.path()) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    bases.sort();
    bases.into_iter().map(|(base, path)| Segment::existing(path, base)).collect()
}
