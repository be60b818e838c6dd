//! A backup becomes a centre's folder again.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;

use super::manifest::Manifest;
use super::{CONFIG, KEYS, LOG, Progress, STORE, copy_file, copy_folder, make_empty};

/// Stands in the data folder until everything is there: if it remains, the restore was not finished.
const DRAFT: &str = "restoring";

/// Restores the data of the backup `from` into the folder `data`, and its configuration into the
/// folder `config` if one is named. Both must be new or empty.
///
/// The log goes on under new epochs: the centre that was backed up may have gone on, too, and who
/// knew its records must not take those that come here for them.
pub(crate) fn restore(from: &Path, data: &Path, config: Option<&Path>) -> anyhow::Result<()> {
    let begun = Stopwatch::start();
    let manifest = Manifest::read(from)?;
    let mut progress = Progress::new("checksums");
    manifest.verify(from, |done, all| progress.tell(done, Some(all)))?;
    for folder in [Some(data), config].into_iter().flatten() {
        make_empty(folder)?;
    }
    if let Some(config) = config {
        copy_folder(&from.join(CONFIG), config)?;
    }
    let draft = data.join(DRAFT);
    let (mut done, mut progress) = (0, Progress::new("files"));
    for file in manifest.files.iter().filter(|file| file.path.starts_with("data/")) {
        let to = draft.join(&file.path);
        let folder = to.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)?;
        copy_file(&from.join(&file.path), &to)?;
        File::open(folder)?.sync_all()?;
        done += file.bytes;
        progress.tell(done, Some(manifest.bytes()));
    }
    renew(&draft)?;
    // The log last: where it is, the restore is done.
    for part in [KEYS, STORE, LOG] {
        let name = Path::new(part).file_name().context("a part has a name")?;
        if part == KEYS && !draft.join(part).is_dir() {
            continue;
        }
        ensure!(draft.join(part).is_dir(), "the backup has no {part}");
        fs::rename(draft.join(part), data.join(name))?;
    }
    fs::remove_dir_all(&draft)?;
    File::open(data)?.sync_all()?;
    eprintln!(
        "{}: {:.1} MB in {:.1} s",
        data.display(),
        manifest.bytes() as f64 / 1e6,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Gives the log new epochs and lets the store's checkpoint follow.
fn renew(draft: &Path) -> anyhow::Result<()> {
    for (old, new) in sen_log::renew(&draft.join(LOG))?.into_values() {
        sen_store::follow_epoch(&draft.join(STORE), &old.0, &new.0)?;
    }
    Ok(())
}
