//! What a backup consists of, so that a restore can tell whether it is whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use sen_model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Its file in the backup's folder.
const FILE: &str = "manifest.json";
/// The form of backups this program writes and reads.
const FORMAT: u32 = 1;

/// The files of a backup.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    /// Version of the program that made it.
    sen: String,
    /// When it was done, RFC 3339.
    made_at: String,
    pub(super) files: Vec<Entry>,
}

/// One file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Relative to the backup's folder, with `/` between names.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Hexadecimal.
    sha256: String,
}

impl Manifest {
    /// Of all files below a folder, read back; `told` hears of the bytes read and of all there are.
    pub(super) fn of(
        folder: &Path,
        made_at: Timestamp,
        mut told: impl FnMut(u64, u64),
    ) -> anyhow::Result<Self> {
        let mut paths = Vec::new();
        list(folder, "", &mut paths)?;
        paths.sort_unstable();
        let sizes: u64 = paths.iter().map(|(_, bytes)| bytes).sum();
        let (mut files, mut done) = (Vec::new(), 0);
        for (path, bytes) in paths {
            let sha256 = checksum(&folder.join(&path))?;
            files.push(Entry { path, bytes, sha256 });
            done += bytes;
            told(done, sizes);
        }
        let sen = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { format: FORMAT, sen, made_at: made_at.to_string(), files })
    }

    /// How large all files are together.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let draft = folder.join("manifest.new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(FILE))?;
        Ok(File::open(folder)?.sync_all()?)
    }

    /// Reads it.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let bytes = fs::read(&path).with_context(|| {
            format!("{} is no finished backup: cannot read {FILE}", folder.display())
        })?;
        // The format first: a later one may have other fields.
        let json: serde_json::Value =
            serde_json::from_slice(&bytes).with_context(|| format!("{FILE} is damaged"))?;
        ensure!(
            json["format"] == FORMAT,
            "the backup has format {}, this program reads {FORMAT}",
            json["format"]
        );
        serde_json::from_value(json).with_context(|| format!("{FILE} is damaged"))
    }

    /// Reads every file and refuses the backup if one is missing or differs; names all of them.
    pub(super) fn verify(
        &self,
        folder: &Path,
        mut told: impl FnMut(u64, u64),
    ) -> anyhow::Result<()> {
        let (mut wrong, mut done) = (Vec::new(), 0);
        for file in &self.files {
            if let Err(problem) = file.verify(folder) {
                wrong.push(format!("{}: {problem:#}", file.path));
            }
            done += file.bytes;
            told(done, self.bytes());
        }
        if !wrong.is_empty() {
            bail!("the backup is damaged, nothing was restored: {}", wrong.join("; "));
        }
        Ok(())
    }
}

impl Entry {
    fn verify(&self, folder: &Path) -> anyhow::Result<()> {
        let inside = self.path.split('/').all(|name| !matches!(name, "" | "." | ".."));
        ensure!(inside, "is not a path inside the backup");
        let path = folder.join(&self.path);
        let bytes = fs::metadata(&path)?.len();
        ensure!(bytes == self.bytes, "has {bytes} bytes in place of {}", self.bytes);
        ensure!(checksum(&path)? == self.sha256, "its checksum differs");
        Ok(())
    }
}

fn list(folder: &Path, prefix: &str, paths: &mut Vec<(String, u64)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().with_context(|| format!("{name:?} is not UTF-8"))?;
        let path = format!("{prefix}{name}");
        let metadata = fs::metadata(entry.path())?;
        if metadata.is_dir() {
            list(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.push((path, metadata.len()));
        }
    }
    Ok(())
}

fn checksum(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut some = vec![0; 1 << 20];
    loop {
        match file.read(&mut some)? {
            0 => break,
            count => hash.update(&some[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/log")).unwrap();
        fs::write(folder.path().join("data/log/one"), b"one").unwrap();
        fs::write(folder.path().join("two"), b"").unwrap();
        let made_at = Timestamp::from_millis(0);
        Manifest::of(folder.path(), made_at, |_, _| {}).unwrap().write(folder.path()).unwrap();
        folder
    }

    fn verdict(folder: &Path) -> Result<(), String> {
        let manifest = Manifest::read(folder).map_err(|error| format!("{error:#}"))?;
        manifest.verify(folder, |_, _| {}).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_whole_backup_is_taken_and_names_its_files() {
        let folder = backup();
        assert_eq!(verdict(folder.path()), Ok(()));
        let manifest = Manifest::read(folder.path()).unwrap();
        let files: Vec<_> = manifest.files.iter().map(|it| (it.path.as_str(), it.bytes)).collect();
        assert_eq!(files, [("data/log/one", 3), ("two", 0)]);
        assert_eq!(manifest.bytes(), 3);
    }

    #[test]
    fn every_kind_of_damage_is_refused_by_name() {
        type Damage = fn(&Path);
        let cases: [(Damage, &str); 5] = [
            (|at| fs::write(at.join("data/log/one"), b"0ne").unwrap(), "log/one: its checksum"),
            (|at| fs::write(at.join("two"), b"x").unwrap(), "two: has 1 bytes in place of 0"),
            (|at| fs::remove_file(at.join("two")).unwrap(), "two: No such file"),
            (|at| fs::remove_file(at.join(FILE)).unwrap(), "is no finished backup"),
            (|at| fs::write(at.join(FILE), b"{\"format\": 1").unwrap(), "manifest.json is damaged"),
        ];
        for (damage, told) in cases {
            let folder = backup();
            damage(folder.path());
            let refused = verdict(folder.path()).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn other_formats_and_paths_that_lead_outside_are_refused() {
        let folder = backup();
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        for (from, to, told) in [
            ("\"format\": 1", "\"format\": 2", "has format 2, this program reads 1"),
            ("\"two\"", "\"../two\"", "is not a path inside"),
            ("\"two\"", "\"/etc/hostname\"", "is not a path inside"),
        ] {
            fs::write(folder.path().join(FILE), text.replace(from, to)).unwrap();
            let refused = verdict(folder.path()).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
