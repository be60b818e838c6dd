//! `sen backup` and `sen restore`: a whole centre into another folder while it runs, and back.
//!
//! ```text
//! manifest.json   the files below with size and SHA-256, written last: without it there is no backup
//! config/         the configuration
//! data/keys/      what signs links and push messages; without it they would all be void
//! data/log/       cursors and identities first, records last
//! data/store/     one state of the store, between the two
//! ```
//! A centre that starts on a copy does what it does after a crash: everything that was
//! acknowledged before the backup began is in the log or in the store, and what the cursors and the
//! store's checkpoint have not reached is replayed from the log.

mod manifest;
mod restore;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use sen_chassis::Clock;
use sen_chassis::clock::Stopwatch;

use crate::cli::Place;
use manifest::Manifest;
pub(crate) use restore::restore;

/// Where the parts are in a backup.
const CONFIG: &str = "config";
const LOG: &str = "data/log";
const STORE: &str = "data/store";
const KEYS: &str = "data/keys";

/// Copied last: whatever else tells of a reading, the reading is in the backup.
const LAST_TOPICS: [&str; 1] = ["readings"];

/// Copies the centre of `place` into the folder `to`, which must be new or empty.
pub(crate) fn back_up(place: &Place, to: &Path) -> anyhow::Result<()> {
    let (log, store) = (place.data.join("log"), place.data.join("store"));
    ensure!(log.is_dir(), "{} holds no centre's data (no folder `log`)", place.data.display());
    check_apart(place, to)?;
    make_empty(to)?;
    let begun = Stopwatch::start();
    for part in [CONFIG, LOG, STORE] {
        fs::create_dir_all(to.join(part))?;
    }
    copy_folder(&place.config, &to.join(CONFIG))?;
    let keys = place.data.join("keys");
    if keys.is_dir() {
        copy_folder(&keys, &to.join(KEYS))?;
    }
    let copy = sen_log::Copy::begin(&log)?;
    let mut store_progress = Progress::new("store");
    sen_store::copy(&store, &to.join(STORE), |done, all| store_progress.tell(done, Some(all)))?;
    let (mut copied, mut log_progress) = (0, Progress::new("log"));
    copy.finish(&to.join(LOG), &LAST_TOPICS, |bytes| {
        copied += bytes;
        log_progress.tell(copied, None);
    })?;
    let mut check_progress = Progress::new("checksums");
    let made_at = sen_model::Timestamp::from_millis(Clock::system().now_ms());
    let manifest = Manifest::of(to, made_at, |done, all| check_progress.tell(done, Some(all)))?;
    manifest.write(to)?;
    eprintln!(
        "{}: {} files, {:.1} MB, in {:.1} s",
        to.display(),
        manifest.files.len(),
        manifest.bytes() as f64 / 1e6,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Refuses folders that lie in each other such that a copy would hold itself, or the data twice.
fn check_apart(place: &Place, to: &Path) -> anyhow::Result<()> {
    let (config, folders) = (absolute(&place.config)?, [&place.data, &place.config]);
    for folder in folders {
        ensure!(
            !absolute(to)?.starts_with(absolute(folder)?),
            "{} is inside {}, which is backed up: name a folder outside of it",
            to.display(),
            folder.display()
        );
    }
    ensure!(
        !absolute(&place.data)?.starts_with(config),
        "the data folder {} is inside the configuration folder {}: \
         stop the centre, move its data out of there, and name the new place with --data",
        place.data.display(),
        place.config.display()
    );
    Ok(())
}

/// Makes a folder that only its owner can read, or takes an empty one: devices, people and tokens
/// are named in a backup.
fn make_empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let mut entries = fs::read_dir(folder)
            .with_context(|| format!("{} is not a folder", folder.display()))?;
        ensure!(entries.next().is_none(), "{} is not empty", folder.display());
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Copies every file below a folder, durable.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(File::open(to)?.sync_all()?)
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copy = || {
        fs::copy(from, to)?;
        File::open(to)?.sync_all()
    };
    copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// The absolute path of what may not exist yet: links and `..` are resolved in the part that does.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return Ok(real.join(path.strip_prefix(there)?));
        }
    }
    Ok(path)
}

/// How far a long piece of work has come, told on standard error once for each so many bytes.
struct Progress {
    what: &'static str,
    told: u64,
}

impl Progress {
    const STEP_BYTES: u64 = 64 << 20;

    fn new(what: &'static str) -> Self {
        Self { what, told: 0 }
    }

    fn tell(&mut self, done: u64, all: Option<u64>) {
        if done / Self::STEP_BYTES > self.told / Self::STEP_BYTES {
            let all = all.map_or_else(String::new, |all| format!(" of {:.0}", all as f64 / 1e6));
            eprintln!("{}: {:.0}{all} MB", self.what, done as f64 / 1e6);
        }
        self.told = done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_lie_in_each_other_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for folder in ["config/data/log", "data/log", "copy"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        std::os::unix::fs::symlink(path("config"), path("link")).unwrap();
        let refusal = |config: &str, data: &str, to: &str| {
            let place = Place { config: path(config), data: path(data), print_addresses: false };
            check_apart(&place, &path(to)).err().map(|error| error.to_string())
        };
        for to in ["copy", "data-copy", "data/../copy/new"] {
            assert_eq!(refusal("config", "data", to), None, "{to}");
        }
        for to in ["data", "data/new", "config", "config/a/new", "link/new", "copy/../config/new"] {
            let told = refusal("config", "data", to).unwrap_or_else(|| panic!("{to} was taken"));
            assert!(told.contains("name a folder outside of it"), "{told}");
        }
        for config in ["config", "link", "."] {
            let told = refusal(config, "config/data", "../copy-elsewhere").unwrap();
            assert!(told.contains("move its data out of there"), "{told}");
        }
    }
}
