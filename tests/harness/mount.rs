//! Mounts a [`Disk`] as a folder, through the kernel's FUSE: real processes can use it, and its
//! faults are those of the file system under them.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite,
    Request, TimeOrNow, WriteFlags,
};
use tempfile::TempDir;

use crate::chance::Chance;
use crate::disk::{BLOCK_BYTES, Condition, Disk, Kind, ROOT, Refusal};

/// How long the kernel may remember names and sizes: not at all, since a cut changes them.
const REMEMBER: Duration = Duration::ZERO;

/// A mounted disk; unmounted when dropped.
pub struct Mount {
    folder: TempDir,
    disk: Shared,
    session: Option<BackgroundSession>,
}

impl Mount {
    /// Mounts an empty disk; none, said loudly, where this machine lets nobody mount.
    pub fn new() -> anyhow::Result<Option<Self>> {
        let may = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
        if let Err(error) = may {
            eprintln!("SKIPPED: this story mounts a disk of its own, and /dev/fuse: {error}");
            return Ok(None);
        }
        let mut mount =
            Self { folder: tempfile::tempdir()?, disk: Shared::default(), session: None };
        match mount.mount() {
            Err(error) if !rustix::process::geteuid().is_root() => {
                eprintln!("SKIPPED: this story mounts a disk of its own, as root: {error:#}");
                Ok(None)
            }
            mounted => mounted.map(|()| Some(mount)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes how it does, at once.
    pub fn change(&self, change: impl FnOnce(&mut Condition)) {
        change(&mut self.disk.lock().condition);
    }

    /// Room that is left, in bytes.
    pub fn free_bytes(&self) -> u64 {
        self.disk.lock().free_bytes()
    }

    /// Cuts the power and mounts what is left. Nobody may use the disk any more.
    pub fn cut_power(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        self.unmount()?;
        let mut disk = self.disk.lock();
        disk.cut_power(chance);
        disk.forget_nameless();
        drop(disk);
        self.mount()
    }

    fn mount(&mut self) -> anyhow::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("sen-tests".to_owned())];
        // So that a slow `fsync` keeps nobody from reading.
        config.n_threads = Some(4);
        let session = fuser::spawn_mount(self.disk.clone(), self.folder.path(), &config);
        self.session = Some(session.context("cannot mount")?);
        Ok(())
    }

    fn unmount(&mut self) -> anyhow::Result<()> {
        match self.session.take() {
            Some(session) => session.umount_and_join().context("cannot unmount"),
            None => Ok(()),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A folder that stays mounted could not be removed; whoever looks for the reason finds it.
        if let Err(error) = self.unmount() {
            eprintln!("{}: {error:#}", self.folder.path().display());
        }
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, node: u64) -> Result<FileAttr, Errno> {
        self.lock().kind(node).map(|kind| attributes(node, kind)).map_err(errno)
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Missing => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::OtherKind => Errno::EISDIR,
        Refusal::Full => Errno::ENOSPC,
        Refusal::ReadOnly => Errno::EROFS,
    }
}

fn attributes(node: u64, kind: Kind) -> FileAttr {
    let never = UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(node),
        size: kind.bytes,
        blocks: kind.bytes.div_ceil(512),
        atime: never,
        mtime: never,
        ctime: never,
        crtime: never,
        kind: if kind.is_folder { FileType::Directory } else { FileType::RegularFile },
        // All of it is its owner's alone, as keys must be.
        perm: if kind.is_folder { 0o700 } else { 0o600 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES as u32,
        flags: 0,
    }
}

fn empty(outcome: Result<(), Refusal>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

fn entry(outcome: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match outcome {
        Ok(attributes) => reply.entry(&REMEMBER, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Shared {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.lock().find(parent.0, name).map_err(errno);
        entry(found.and_then(|node| self.attributes(node)), reply);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(node.0) {
            Ok(attributes) => reply.attr(&REMEMBER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _changed: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let cut = size.map_or(Ok(()), |size| self.lock().cut(node.0, size));
        match cut.map_err(errno).and_then(|()| self.attributes(node.0)) {
            Ok(attributes) => reply.attr(&REMEMBER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.lock().make(parent.0, name, true).map_err(errno);
        entry(made.and_then(|node| self.attributes(node)), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.lock().make(parent.0, name, false).map_err(errno);
        match made.and_then(|node| self.attributes(node)) {
            Ok(attributes) => {
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created(&REMEMBER, &attributes, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.lock().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.lock().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        to_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        empty(self.lock().rename((parent.0, name), (to.0, to_name)), reply);
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.lock().read(node.0, offset, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.lock().write(node.0, offset, bytes) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let delay = self.lock().condition.sync_delay;
        std::thread::sleep(delay);
        empty(self.lock().sync(node.0), reply);
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.lock().sync(node.0), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let disk = self.lock();
        let names = match disk.names(node.0) {
            Ok(names) => names,
            Err(refusal) => return reply.error(errno(refusal)),
        };
        for (number, (name, child)) in (1..).zip(names).skip(offset as usize) {
            let is_folder = disk.kind(*child).is_ok_and(|kind| kind.is_folder);
            let kind = if is_folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(*child), number, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let disk = self.lock();
        let (all, free) = (disk.condition.capacity_bytes, disk.free_bytes());
        let (all, free, block) = (all / BLOCK_BYTES, free / BLOCK_BYTES, BLOCK_BYTES as u32);
        reply.statfs(all, free, free, 1 << 20, 1 << 20, block, 255, block);
    }
}

const _: () = assert!(ROOT == INodeNo::ROOT.0);

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    #[test]
    fn a_real_file_loses_what_was_not_synced() -> anyhow::Result<()> {
        let Some(mut mount) = Mount::new()? else { return Ok(()) };
        let folder = mount.path().join("folder");
        fs::create_dir(&folder)?;
        let mut file = File::create(folder.join("kept"))?;
        file.write_all(&[7; 10_000])?;
        file.sync_data()?;
        File::open(&folder)?.sync_all()?;
        File::open(mount.path())?.sync_all()?;
        file.write_all(&[8; 10_000])?;
        fs::write(folder.join("lost"), b"never synced")?;
        mount.change(|condition| condition.read_only = true);
        assert!(file.write_all(&[9]).is_err());
        mount.change(|condition| condition.read_only = false);
        drop(file);
        mount.cut_power(&mut Chance::of(1))?;
        let content = fs::read(folder.join("kept"))?;
        assert!(content.starts_with(&[7; 10_000]) && content.len() <= 20_000);
        let names: Vec<_> = fs::read_dir(&folder)?.map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["kept"]);
        Ok(())
    }
}
