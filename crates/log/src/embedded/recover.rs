//! Opening a topic's folder: what is there, what a crash left, and whether anything is lost.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::identity::{self, EpochBits, Identity, SavedCursor};
use super::segment::{self, Segment};
use super::shared::{Counts, Shared};
use super::walk::{Ending, Lost};
use super::{CURSORS_FOLDER, disk, is_name};
use crate::OpenError;
use crate::backend::{Clock, Offset, TopicOptions};

/// A topic ready to be written to.
pub(crate) struct Recovered {
    pub(crate) shared: Arc<Shared>,
    pub(crate) head: watch::Sender<Offset>,
}

/// Where a topic turns out to end.
struct End {
    /// The next offset to give.
    next: Offset,
    lost: Vec<Lost>,
}

/// The cursors of a topic; none where a file is damaged.
type Cursors = BTreeMap<String, Option<SavedCursor>>;

/// Opens or creates a topic's folder. Nothing in its segments is changed: appends begin a new one.
pub(crate) fn recover(
    folder: PathBuf,
    options: TopicOptions,
    now_ms: Clock,
) -> Result<Recovered, OpenError> {
    let failed = |source| OpenError::Io { path: folder.clone(), source };
    disk::create_folder(&folder).map_err(failed)?;
    disk::create_folder(&folder.join(CURSORS_FOLDER)).map_err(failed)?;
    let segments = segment::list(&folder)?;
    let cursors = read_cursors(&folder.join(CURSORS_FOLDER)).map_err(failed)?;
    let end = match segments.last() {
        Some(last) => settle_end(last).map_err(failed)?,
        None => End { next: 1, lost: Vec::new() },
    };
    let is_new = segments.is_empty() && cursors.is_empty();
    let epoch = settle_epoch(&folder, &cursors, end.next - 1, is_new).map_err(failed)?;
    let (head, follow_head) = watch::channel(end.next - 1);
    let segments: Vec<Arc<Segment>> = segments.into_iter().map(Arc::new).collect();
    let last = segments.last().cloned();
    let shared = Arc::new(Shared {
        name: options.name,
        epoch,
        retention: options.retention,
        gives_way: !options.is_vital,
        now_ms,
        floor: AtomicU64::new(segments.first().map_or(end.next, |segment| segment.base)),
        segments: Mutex::new(segments),
        cursors: Mutex::new(positions(cursors, epoch)),
        yielding: Mutex::default(),
        head: follow_head,
        is_closed: AtomicBool::new(false),
        asks_relief: AtomicBool::new(false),
        counts: Counts::default(),
        folder: folder.clone(),
    });
    if let Some(last) = last {
        let file = File::open(&last.path).map_err(failed)?;
        end.lost.iter().for_each(|lost| shared.count_damage(&last, &file, lost));
    }
    Ok(Recovered { shared, head })
}

/// Finds the end of the last segment and makes it durable: records that were written but not yet
/// acknowledged when the process died are about to be seen.
///
/// A torn record at the end was never acknowledged, and its offset is given again. Of other bytes
/// there nobody can tell whether they once were acknowledged records, so as many offsets as they
/// could have held are never given again. Either way the next segment ends this one for readers.
fn settle_end(last: &Segment) -> io::Result<End> {
    let mut lost = Vec::new();
    let Ending { next, residue_bytes, residue_records, .. } =
        last.survey_to_end(|_, part| lost.push(part.clone()))?;
    if residue_bytes > 0 && residue_records == 0 {
        let path = last.path.display();
        tracing::info!(%path, bytes = residue_bytes, "a torn record at the end was left out");
    }
    OpenOptions::new().write(true).open(&last.path)?.sync_all()?;
    Ok(End { next: next + residue_records, lost })
}

/// The epoch of the topic: the one it had, or a new one if records that were durable are gone.
fn settle_epoch(
    folder: &Path,
    cursors: &Cursors,
    head: Offset,
    is_new: bool,
) -> io::Result<EpochBits> {
    let path = folder.join(identity::FILE_NAME);
    let identity = read_if_there(&path)?.as_deref().and_then(Identity::decode);
    if let Some(identity) = identity {
        let of_epoch = |saved: &&SavedCursor| saved.epoch == identity.epoch;
        let of_cursors = cursors.values().flatten().filter(of_epoch);
        let known = of_cursors.map(|saved| saved.head.max(saved.next.saturating_sub(1)));
        let known_head = known.fold(identity.head, Offset::max);
        if known_head <= head {
            return Ok(identity.epoch);
        }
        let folder = folder.display();
        tracing::error!(%folder, known_head, head, "durable records are gone: a new epoch begins");
    } else if !is_new {
        let folder = folder.display();
        tracing::error!(%folder, "the identity of the topic is gone: a new epoch begins");
    }
    let epoch = disk::random()?;
    disk::replace_file(&path, &Identity { epoch, head }.encode(), || Ok(()))?;
    Ok(epoch)
}

fn read_cursors(folder: &Path) -> io::Result<Cursors> {
    let mut cursors = Cursors::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if disk::is_draft(&entry.path()) {
            fs::remove_file(entry.path())?;
        } else if is_name(&name) {
            let saved = SavedCursor::decode(&fs::read(entry.path())?);
            if saved.is_none() {
                let path = entry.path();
                tracing::error!(path = %path.display(), "a cursor is damaged and begins anew");
            }
            cursors.insert(name, saved);
        }
    }
    Ok(cursors)
}

/// What each cursor holds back; those of another epoch begin anew, so they hold everything.
fn positions(cursors: Cursors, epoch: EpochBits) -> BTreeMap<String, Offset> {
    let position = |saved: Option<SavedCursor>| {
        saved.filter(|saved| saved.epoch == epoch).map_or(0, |saved| saved.next)
    };
    cursors.into_iter().map(|(name, saved)| (name, position(saved))).collect()
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
