//! The file system, as far as the log needs it beyond `std`.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::fs::FlockOperation;
use rustix::rand::GetRandomFlags;

use super::walk::Source;

/// The unit in which a disk fails to read.
const PAGE_BYTES: usize = 4_096;

/// Creates a folder with those above it that are missing, and makes the entry of each durable.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let above = match folder.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => return Ok(()),
    };
    if !above.exists() {
        create_folder(above)?;
    }
    fs::create_dir_all(folder)?;
    sync_folder(above)
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Extension of a file that has not yet taken its place.
const DRAFT: &str = "new";

/// Whether a file is one that a crash kept from taking its place.
pub(crate) fn is_draft(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == DRAFT)
}

/// Writes a file whole and durable, or leaves the one before; `before_rename` may still refuse.
pub(crate) fn replace_file(
    path: &Path,
    bytes: &[u8],
    before_rename: impl FnOnce() -> io::Result<()>,
) -> io::Result<File> {
    let draft = path.with_extension(DRAFT);
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    before_rename()?;
    fs::rename(&draft, path)?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    Ok(file)
}

/// Bytes that an ordinary process may still write to the disk of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// When a file was last written to, in milliseconds since the Unix epoch.
pub(crate) fn modified_ms(file: &Metadata) -> io::Result<i64> {
    let since = file.modified()?.duration_since(UNIX_EPOCH);
    Ok(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// Bytes nobody can guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // Up to 256 bytes come whole or not at all.
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

/// The lock of a folder: held until released or dropped, gone when the process dies.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl FolderLock {
    /// Takes the lock; `None` if another open log has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(folder.join("lock"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets others take it, even while clones of the holder live.
    pub(crate) fn release(&self) {
        if let Err(error) = rustix::fs::flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "the lock of the log folder could not be released");
        }
    }
}

impl Source for File {
    /// Pages that the disk cannot read are given as zeros: they cost the records in them, found by
    /// their checksums, and not all that comes after.
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        match FileExt::read_at(self, into, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Source::read_at(self, position, into)
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                read_pages(self, position, into)
            }
            result => result,
        }
    }
}

fn read_pages(file: &File, position: u64, into: &mut [u8]) -> io::Result<usize> {
    let length = file.metadata()?.len();
    let rest = usize::try_from(length.saturating_sub(position)).unwrap_or(usize::MAX);
    let into_page = (position % PAGE_BYTES as u64) as usize;
    let count = rest.min(into.len()).min(PAGE_BYTES - into_page);
    let page = &mut into[..count];
    match file.read_exact_at(page, position) {
        Ok(()) => Ok(count),
        Err(error) => {
            tracing::error!(%error, position, "a page of the log cannot be read");
            page.fill(0);
            Ok(count)
        }
    }
}
