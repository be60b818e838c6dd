//! Copies of a log's folder, made while a centre may be writing it, and what makes a log of one.
//!
//! Order is everything. Whatever refers to a place in the log is copied before the log's records:
//! then the copy holds at least what it is said to hold, and a centre that starts on it replays the
//! rest, as after a crash. [`Copy::begin`] takes the cursors and identities; then whoever keeps
//! positions elsewhere (the store's checkpoint) is copied; [`Copy::finish`] takes the records. The
//! segments are held open from the beginning, so that retention takes nothing away between.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::identity::{self, Identity, SavedCursor};
use super::{CURSORS_FOLDER, disk, segment};
use crate::Epoch;
use crate::backend::Offset;

/// The folder of a topic where damaged bytes wait for a person.
const DAMAGED_FOLDER: &str = "damaged";

/// A copy of a log in the making.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
    topics: BTreeMap<String, Held>,
}

/// What is held of one topic.
#[derive(Debug, Default)]
struct Held {
    identity: Vec<u8>,
    cursors: Vec<(String, Vec<u8>)>,
    segments: BTreeMap<Offset, File>,
}

/// Why a log could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The disk said no.
    #[error("cannot copy {path}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It became another log meanwhile.
    #[error("topic {0} was begun anew or cut while it was copied: try again")]
    Changed(String),
}

impl Copy {
    /// Takes the cursors and identities of the log in `folder`, and hold of its segments.
    pub fn begin(folder: &Path) -> Result<Self, CopyError> {
        let mut topics = BTreeMap::new();
        for name in names(folder)? {
            let path = folder.join(&name);
            if path.is_dir() {
                // The segments first: a cursor read later refers to nothing older than they hold.
                let segments = hold(&path, |_| true)?;
                let identity = read(&path.join(identity::FILE_NAME))?;
                let cursors = read_cursors(&path.join(CURSORS_FOLDER))?;
                topics.insert(name, Held { identity, cursors, segments });
            }
        }
        Ok(Self { folder: folder.to_owned(), topics })
    }

    /// Copies everything into the folder `to`, the topics named in `last` after all others: what
    /// others tell of is in them. `told` hears of every so many bytes that are copied.
    pub fn finish(
        mut self,
        to: &Path,
        last: &[&str],
        mut told: impl FnMut(u64),
    ) -> Result<(), CopyError> {
        let mut names: Vec<String> = self.topics.keys().cloned().collect();
        names.sort_by_key(|name| last.contains(&name.as_str()));
        for name in names {
            let Some(held) = self.topics.remove(&name) else { continue };
            held.copy(&name, &self.folder.join(&name), &to.join(&name), &mut told)?;
        }
        disk::sync_folder(to).map_err(at(to))
    }
}

impl Held {
    fn copy(
        mut self,
        name: &str,
        from: &Path,
        to: &Path,
        told: &mut impl FnMut(u64),
    ) -> Result<(), CopyError> {
        let newest_held = self.segments.last_key_value().map_or(0, |(base, _)| *base);
        let (oldest, newer) = (oldest(from)?, hold(from, |base| base > newest_held)?);
        // Retention takes the oldest first: as long as one that is held is there, none between is
        // missing.
        let is_cut = oldest > newest_held && newest_held > 0;
        if is_cut || read(&from.join(identity::FILE_NAME))? != self.identity {
            return Err(CopyError::Changed(name.to_owned()));
        }
        self.segments.extend(newer);
        let cursors = to.join(CURSORS_FOLDER);
        fs::create_dir_all(&cursors).map_err(at(&cursors))?;
        write(&to.join(identity::FILE_NAME), &mut self.identity.as_slice())?;
        for (name, bytes) in &self.cursors {
            write(&cursors.join(name), &mut bytes.as_slice())?;
        }
        for (base, file) in &mut self.segments {
            told(write(&to.join(segment::file_name(*base)), file)?);
        }
        copy_damaged(&from.join(DAMAGED_FOLDER), &to.join(DAMAGED_FOLDER))?;
        for folder in [&cursors, to] {
            disk::sync_folder(folder).map_err(at(folder))?;
        }
        Ok(())
    }
}

/// Gives every topic of a log that nobody has open a new epoch, and its cursors with it: they keep
/// their places. Answers the old and the new epoch of each topic.
///
/// A log that was restored goes on with other records than the one it is a copy of: without this,
/// who knew that one would take an offset of the one for the same offset of the other.
pub fn renew(folder: &Path) -> Result<BTreeMap<String, (Epoch, Epoch)>, CopyError> {
    let mut epochs = BTreeMap::new();
    for name in names(folder)? {
        let topic = folder.join(&name);
        let path = topic.join(identity::FILE_NAME);
        if !path.exists() {
            continue;
        }
        // One that is damaged begins anew by itself.
        let Some(old) = Identity::decode(&read(&path)?) else { continue };
        let epoch = disk::random().map_err(at(&path))?;
        for (name, bytes) in read_cursors(&topic.join(CURSORS_FOLDER))? {
            let saved = SavedCursor::decode(&bytes).filter(|saved| saved.epoch == old.epoch);
            if let Some(saved) = saved {
                let path = topic.join(CURSORS_FOLDER).join(name);
                replace(&path, &SavedCursor { epoch, ..saved }.encode())?;
            }
        }
        replace(&path, &Identity { epoch, ..old }.encode())?;
        epochs.insert(name, (identity::epoch_of(old.epoch), identity::epoch_of(epoch)));
    }
    Ok(epochs)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    move |source| CopyError::Io { path, source }
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, CopyError> {
    let list = || -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(folder)?.map(name).collect()
    };
    let mut names = list().map_err(at(folder))?;
    names.sort_unstable();
    Ok(names)
}

fn oldest(topic: &Path) -> Result<Offset, CopyError> {
    Ok(names(topic)?.iter().find_map(|name| segment::base_of(name)).unwrap_or(Offset::MAX))
}

/// Opens the segments of a topic whose base is wanted; one that was deleted meanwhile is not there.
fn hold(
    topic: &Path,
    wanted: impl Fn(Offset) -> bool,
) -> Result<BTreeMap<Offset, File>, CopyError> {
    let mut held = BTreeMap::new();
    let bases = names(topic)?.into_iter().filter_map(|name| segment::base_of(&name));
    for base in bases.filter(|base| wanted(*base)) {
        let path = topic.join(segment::file_name(base));
        match File::open(&path) {
            Ok(file) => drop(held.insert(base, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
    }
    Ok(held)
}

fn read(path: &Path) -> Result<Vec<u8>, CopyError> {
    fs::read(path).map_err(at(path))
}

/// The cursors of a topic; a copy may have no folder for none.
fn read_cursors(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, CopyError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let saved = names(folder)?.into_iter().filter(|name| !disk::is_draft(Path::new(name)));
    saved.map(|name| read(&folder.join(&name)).map(|bytes| (name, bytes))).collect()
}

fn copy_damaged(from: &Path, to: &Path) -> Result<(), CopyError> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to).map_err(at(to))?;
    for name in names(from)? {
        write(&to.join(&name), &mut read(&from.join(&name))?.as_slice())?;
    }
    disk::sync_folder(to).map_err(at(to))
}

/// Writes a new file, durable; answers how many bytes.
fn write(path: &Path, from: &mut impl Read) -> Result<u64, CopyError> {
    let mut copy = || {
        let mut file = File::create_new(path)?;
        let bytes = io::copy(from, &mut file)?;
        file.sync_all()?;
        Ok(bytes)
    };
    copy().map_err(at(path))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), CopyError> {
    disk::replace_file(path, bytes, || Ok(())).map(drop).map_err(at(path))
}
