//! Configuration files that are the same on every machine: whole files in a bucket.
//!
//! Only files right in the folder take part, and none that begins with a dot. A file is replaced
//! whole or not at all, so whoever reads it never sees half of one.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation};
use futures_util::{StreamExt, TryStreamExt};
use sen_chassis::backoff::Backoff;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::hold::Chain;
use crate::{Cluster, Error, name};

/// Room for headers in a message.
const HEADERS: usize = 1024;

/// A watch that shows nothing for this long is made anew, in case it broke unnoticed.
const WATCH_FOR: Duration = Duration::from_secs(60);

/// Between two tries to follow: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Who may read configuration, and who keys: as `chmod`.
const FOR_ALL: u32 = 0o644;
pub(crate) const FOR_OWNER: u32 = 0o600;

/// What came of giving a folder to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Files that were new or different.
    pub changed: Vec<String>,
    /// Files that were there already.
    pub same: Vec<String>,
    /// Files the cluster has and the folder does not; they stay.
    pub only_there: Vec<String>,
}

impl Cluster {
    /// Gives the files of `folder` to all. What the folder does not have stays there
    /// ([`withdraw`](Self::withdraw) removes it).
    ///
    /// # Errors
    /// A folder that cannot be read or has no file, a file whose name cannot be a key or that is
    /// larger than the servers take, or servers that do not answer.
    pub async fn push(&self, folder: &Path) -> Result<Pushed, Error> {
        let files = read_folder(folder).await?;
        if files.is_empty() {
            return Err(Error::EmptyFolder(folder.display().to_string()));
        }
        // All mistakes before the first file is given to anybody.
        let most = self.0.client.max_payload().saturating_sub(HEADERS);
        for (file, bytes) in &files {
            if !name::is_key(file) {
                return Err(Error::Name(file.clone()));
            }
            if bytes.len() > most {
                let (what, size) = (file.clone(), bytes.len());
                return Err(Error::TooLarge { what, size, most });
            }
        }
        let mut there = self.shared_files().await?;
        let mut pushed = Pushed::default();
        for (file, bytes) in files {
            there.remove(&file);
            let entry = self.0.files.entry(&file).await.map_err(Error::nats("show a file"))?;
            if entry.is_some_and(|entry| is_there(&entry) && entry.value == bytes[..]) {
                pushed.same.push(file);
                continue;
            }
            let put = self.0.files.put(&file, bytes.into()).await;
            put.map_err(Error::nats("take a file"))?;
            pushed.changed.push(file);
        }
        pushed.only_there = there.into_iter().collect();
        Ok(pushed)
    }

    /// Writes every file of the cluster into `folder`, where it is not the same already; tells
    /// which were written.
    ///
    /// # Errors
    /// A folder that cannot be written, or servers that do not answer.
    pub async fn pull(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let mut written = Vec::new();
        for file in self.shared_files().await? {
            let entry = self.0.files.entry(&file).await.map_err(Error::nats("show a file"))?;
            if let Some(entry) = entry
                && apply(folder, &entry).await?
            {
                written.push(file);
            }
        }
        Ok(written)
    }

    /// Takes a file from all who follow.
    ///
    /// # Errors
    /// Servers that do not answer.
    pub async fn withdraw(&self, file: &str) -> Result<(), Error> {
        if !name::is_key(file) {
            return Err(Error::Name(file.to_owned()));
        }
        self.0.files.delete(file).await.map_err(Error::nats("remove a file"))
    }

    /// A task that keeps the files in `folder` as the cluster has them: all of them when it
    /// begins, then each that is pushed. What a person edits in the folder stays until that file
    /// is pushed.
    pub fn follow(
        &self,
        folder: PathBuf,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let cluster = self.clone();
        async move {
            let mut applied = BTreeMap::new();
            let mut trouble = Backoff::new(RETRY.0, RETRY.1, name::mark());
            loop {
                let Err(error) = follow_once(&cluster, &folder, &mut applied).await else {
                    trouble.succeeded();
                    continue;
                };
                if trouble.is_fresh() {
                    warn!(error = %Chain(&error), "configuration is not followed, trying again");
                }
                sleep(trouble.failed()).await;
            }
        }
    }

    /// The names of the files there are.
    async fn shared_files(&self) -> Result<BTreeSet<String>, Error> {
        let keys = self.0.files.keys().await.map_err(Error::nats("list the files"))?;
        keys.try_collect().await.map_err(Error::nats("list the files"))
    }
}

/// Follows until the watch ends or has shown nothing for long.
async fn follow_once(
    cluster: &Cluster,
    folder: &Path,
    applied: &mut BTreeMap<String, u64>,
) -> Result<(), Error> {
    let watch = cluster.0.files.watch_with_history(">").await;
    let mut watch = watch.map_err(Error::nats("show the files"))?;
    while let Ok(entry) = timeout_at(Instant::now() + WATCH_FOR, watch.next()).await {
        let Some(entry) = entry else { break };
        let entry = entry.map_err(Error::nats("show a file"))?;
        if applied.get(&entry.key) != Some(&entry.revision) {
            apply(folder, &entry).await?;
            applied.insert(entry.key, entry.revision);
        }
    }
    Ok(())
}

fn is_there(entry: &Entry) -> bool {
    entry.operation == Operation::Put
}

/// Makes the file as the entry says; whether that changed anything.
async fn apply(folder: &Path, entry: &Entry) -> Result<bool, Error> {
    let file = entry.key.as_str();
    // Whoever put it there: it must not lead out of the folder, nor stop the others.
    if !name::is_key(file) {
        warn!(file, "the cluster has a configuration file whose name cannot be used, left out");
        return Ok(false);
    }
    let path = folder.join(file);
    if !is_there(entry) {
        return match fs::remove_file(&path).await {
            Ok(()) => {
                info!(file, "a configuration file was withdrawn");
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::file(&path)(error)),
        };
    }
    if fs::read(&path).await.is_ok_and(|bytes| bytes == entry.value) {
        return Ok(false);
    }
    write(&path, &entry.value, FOR_ALL).await.map_err(Error::file(&path))?;
    info!(file, bytes = entry.value.len(), "a configuration file was taken over");
    Ok(true)
}

/// The files right in a folder, by name.
async fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut files = BTreeMap::new();
    let mut entries = fs::read_dir(folder).await.map_err(Error::file(folder))?;
    while let Some(entry) = entries.next_entry().await.map_err(Error::file(folder))? {
        let path = entry.path();
        let file = entry.file_name().to_string_lossy().into_owned();
        // Through links too: mounted configuration often is one.
        let kind = fs::metadata(&path).await.map_err(Error::file(&path))?;
        if kind.is_file() && !file.starts_with('.') {
            files.insert(file, fs::read(&path).await.map_err(Error::file(&path))?);
        }
    }
    Ok(files)
}

/// Replaces a file whole or not at all, also over a crash. Its folder is made if there is none.
pub(crate) async fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).await?;
    // Several processes may write into one folder.
    let part = folder.join(format!(".{:016x}.part", name::mark()));
    let written = async {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&part).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&part, path).await?;
        fs::File::open(folder).await?.sync_all().await
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs::remove_file(&part).await;
    }
    written
}
