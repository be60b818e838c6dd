//! A disk that exists in memory and whose power can be cut. Pure: values only.
//!
//! It knows what a process sees and what would still be there after a power cut: of a file what
//! `fsync` covered, of a folder what `fsync` of the folder covered. Everything since may be there
//! after a cut or not, write by write, and of a write any beginning: no real disk promises more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::chance::Chance;

/// The root folder.
pub const ROOT: u64 = 1;
/// Room is counted in these.
pub const BLOCK_BYTES: u64 = 4_096;

/// Why the disk refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file.
    Missing,
    /// There is one already, or the folder is not empty.
    Exists,
    /// It is a folder where a file is needed, or the other way round.
    OtherKind,
    /// There is no room.
    Full,
    /// It takes no writes.
    ReadOnly,
}

/// What can go wrong with it, while it is in use.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Bytes of all files together, at most.
    pub capacity_bytes: u64,
    /// Refuses every change, as a file system does that found itself damaged.
    pub read_only: bool,
    /// How long each `fsync` takes.
    pub sync_delay: Duration,
}

impl Default for Condition {
    fn default() -> Self {
        Self { capacity_bytes: 1 << 30, read_only: false, sync_delay: Duration::ZERO }
    }
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// How it does.
    pub condition: Condition,
    /// How often a file was made durable.
    pub syncs: u64,
}

#[derive(Debug)]
enum Node {
    File { now: Vec<u8>, durable: Vec<u8>, since: Vec<Change> },
    Folder { now: Names, durable: Names },
}

type Names = BTreeMap<OsString, u64>;

/// A change of a file that is not durable yet.
#[derive(Debug)]
enum Change {
    Written(u64, Vec<u8>),
    Cut(u64),
}

/// What a file or folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Node::Folder { now: Names::new(), durable: Names::new() };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            condition: Condition::default(),
            syncs: 0,
        }
    }
}

impl Disk {
    /// Power goes and comes back: of what was not durable, chance decides what is still there.
    pub fn cut_power(&mut self, chance: &mut Chance) {
        for node in self.nodes.values_mut() {
            match node {
                Node::Folder { now, durable } => now.clone_from(durable),
                Node::File { now, durable, since } => {
                    for change in since.drain(..) {
                        match change {
                            _ if chance.per_mille(500) => {}
                            Change::Written(at, mut bytes) => {
                                if chance.per_mille(500) {
                                    bytes.truncate(chance.below(bytes.len() as u64 + 1) as usize);
                                }
                                put(durable, at, &bytes);
                            }
                            Change::Cut(bytes) => durable.resize(bytes as usize, 0),
                        }
                    }
                    now.clone_from(durable);
                }
            }
        }
    }

    /// What a node is.
    pub fn kind(&self, node: u64) -> Result<Kind, Refusal> {
        Ok(match self.nodes.get(&node).ok_or(Refusal::Missing)? {
            Node::File { now, .. } => Kind { is_folder: false, bytes: now.len() as u64 },
            Node::Folder { .. } => Kind { is_folder: true, bytes: 0 },
        })
    }

    /// The node of a name in a folder.
    pub fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Refusal> {
        self.names(folder)?.get(name).copied().ok_or(Refusal::Missing)
    }

    /// The names in a folder.
    pub fn names(&self, folder: u64) -> Result<&Names, Refusal> {
        match self.nodes.get(&folder) {
            Some(Node::Folder { now, .. }) => Ok(now),
            Some(Node::File { .. }) => Err(Refusal::OtherKind),
            None => Err(Refusal::Missing),
        }
    }

    /// Makes an empty file or folder.
    pub fn make(&mut self, folder: u64, name: &OsStr, is_folder: bool) -> Result<u64, Refusal> {
        self.must_be_writable()?;
        if self.names(folder)?.contains_key(name) {
            return Err(Refusal::Exists);
        }
        if self.free_bytes() == 0 {
            return Err(Refusal::Full);
        }
        let node = if is_folder {
            Node::Folder { now: Names::new(), durable: Names::new() }
        } else {
            Node::File { now: Vec::new(), durable: Vec::new(), since: Vec::new() }
        };
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.names_mut(folder)?.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Takes a name away. The file stays for those who have it open; so does its room.
    pub fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Refusal> {
        self.must_be_writable()?;
        let node = self.find(folder, name)?;
        if self.names(node).is_ok_and(|names| !names.is_empty()) {
            return Err(Refusal::Exists);
        }
        self.names_mut(folder)?.remove(name);
        Ok(())
    }

    /// Gives a node another name, in place of whatever had it.
    pub fn rename(
        &mut self,
        (folder, name): (u64, &OsStr),
        (to_folder, to_name): (u64, &OsStr),
    ) -> Result<(), Refusal> {
        self.must_be_writable()?;
        let node = self.find(folder, name)?;
        self.names(to_folder)?;
        self.names_mut(folder)?.remove(name);
        self.names_mut(to_folder)?.insert(to_name.to_owned(), node);
        Ok(())
    }

    /// Bytes of a file, fewer at its end.
    pub fn read(&self, file: u64, at: u64, bytes: usize) -> Result<&[u8], Refusal> {
        match self.nodes.get(&file) {
            Some(Node::File { now, .. }) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(now.len());
                Ok(&now[from..from.saturating_add(bytes).min(now.len())])
            }
            Some(Node::Folder { .. }) => Err(Refusal::OtherKind),
            None => Err(Refusal::Missing),
        }
    }

    /// Writes bytes into a file.
    pub fn write(&mut self, file: u64, at: u64, bytes: &[u8]) -> Result<(), Refusal> {
        self.must_be_writable()?;
        let grows = (at + bytes.len() as u64).saturating_sub(self.kind(file)?.bytes);
        if grows > self.free_bytes() {
            return Err(Refusal::Full);
        }
        self.change(file, Change::Written(at, bytes.to_vec()))
    }

    /// Cuts a file, or fills it up with zeros, to so many bytes.
    pub fn cut(&mut self, file: u64, bytes: u64) -> Result<(), Refusal> {
        self.must_be_writable()?;
        if bytes.saturating_sub(self.kind(file)?.bytes) > self.free_bytes() {
            return Err(Refusal::Full);
        }
        self.change(file, Change::Cut(bytes))
    }

    /// Makes everything in a file or folder durable.
    pub fn sync(&mut self, node: u64) -> Result<(), Refusal> {
        self.must_be_writable()?;
        self.syncs += 1;
        match self.nodes.get_mut(&node).ok_or(Refusal::Missing)? {
            Node::Folder { now, durable } => durable.clone_from(now),
            Node::File { durable, since, .. } => {
                since.drain(..).for_each(|change| apply(durable, &change));
            }
        }
        Ok(())
    }

    /// Room that is left, in bytes.
    pub fn free_bytes(&self) -> u64 {
        let used = self.nodes.values().map(|node| match node {
            Node::File { now, .. } => (now.len() as u64).next_multiple_of(BLOCK_BYTES),
            Node::Folder { .. } => BLOCK_BYTES,
        });
        self.condition.capacity_bytes.saturating_sub(used.sum())
    }

    /// Forgets files that no name leads to; call when nobody has one open.
    pub fn forget_nameless(&mut self) {
        let named = |names: &Names| names.values().copied().collect::<Vec<_>>();
        let mut kept = std::collections::BTreeSet::from([ROOT]);
        for node in self.nodes.values() {
            if let Node::Folder { now, durable } = node {
                kept.extend(named(now).into_iter().chain(named(durable)));
            }
        }
        self.nodes.retain(|id, _| kept.contains(id));
    }

    fn must_be_writable(&self) -> Result<(), Refusal> {
        if self.condition.read_only { Err(Refusal::ReadOnly) } else { Ok(()) }
    }

    fn names_mut(&mut self, folder: u64) -> Result<&mut Names, Refusal> {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder { now, .. }) => Ok(now),
            Some(Node::File { .. }) => Err(Refusal::OtherKind),
            None => Err(Refusal::Missing),
        }
    }

    fn change(&mut self, file: u64, change: Change) -> Result<(), Refusal> {
        match self.nodes.get_mut(&file) {
            Some(Node::File { now, since, .. }) => {
                apply(now, &change);
                since.push(change);
                Ok(())
            }
            Some(Node::Folder { .. }) => Err(Refusal::OtherKind),
            None => Err(Refusal::Missing),
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Written(at, bytes) => put(content, *at, bytes),
        Change::Cut(bytes) => content.resize(*bytes as usize, 0),
    }
}

fn put(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = at as usize;
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_synced_is_sure_to_be_there_after_a_cut() {
        let mut disk = Disk::default();
        let kept = disk.make(ROOT, OsStr::new("kept"), false).expect("room");
        disk.write(kept, 0, b"first").expect("room");
        disk.sync(kept).expect("a file");
        disk.sync(ROOT).expect("a folder");
        disk.write(kept, 5, b"second").expect("room");
        disk.make(ROOT, OsStr::new("nameless"), false).expect("room");
        let mut ends = std::collections::BTreeSet::new();
        for seed in 0..64 {
            // The same cut again and again: what chance kept is cut away and written anew.
            disk.cut_power(&mut Chance::of(seed));
            assert!(disk.find(ROOT, OsStr::new("nameless")).is_err());
            let content = disk.read(kept, 0, 99).expect("a file").to_vec();
            assert!(content.starts_with(b"first") && b"firstsecond".starts_with(&content[..]));
            ends.insert(content.len());
            disk.cut(kept, 5).expect("writable");
            disk.sync(kept).expect("a file");
            disk.write(kept, 5, b"second").expect("room");
        }
        assert!(ends.contains(&5) && ends.contains(&11) && ends.len() > 3, "{ends:?}");
    }

    #[test]
    fn a_full_or_damaged_disk_refuses() {
        let mut disk = Disk::default();
        let file = disk.make(ROOT, OsStr::new("file"), false).expect("room");
        disk.condition.capacity_bytes = 2 * BLOCK_BYTES;
        assert_eq!(disk.write(file, 0, &[0; 9_000]), Err(Refusal::Full));
        assert_eq!(disk.write(file, 0, &[0; 100]), Ok(()));
        disk.condition.read_only = true;
        assert_eq!(disk.write(file, 0, &[0; 1]), Err(Refusal::ReadOnly));
        assert_eq!(disk.read(file, 98, 9), Ok(&[0; 2][..]));
        assert_eq!(disk.sync(file), Err(Refusal::ReadOnly));
    }
}
