//! Cursors as objects in a bucket: the position stands in the object's metadata, the owner's state
//! is its content. An object is replaced at once: its name points to the new content or the old.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::object_store::{InfoErrorKind, ObjectInfo, ObjectMetadata, ObjectStore};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::shared::{Pause, Shared};
use super::tasks::Tasks;
use super::{Asked, Patience, ask};
use crate::backend::{AppendError, Checkpoint, CursorBackend, Epoch, Offset, Pending, ReadError};
use crate::{OpenError, View, lock};

/// Largest state beside a cursor, in bytes.
const STATE_BYTES: usize = 64 << 20;
/// How long one transfer of a cursor may take, and how often it is tried.
const TRANSFER: Duration = Duration::from_secs(30);
const TRIES: usize = 4;

/// The bucket of all cursors of a centre.
pub(crate) struct Cursors {
    store: ObjectStore,
}

/// A cursor as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) topic: String,
    pub(crate) name: String,
    pub(crate) epoch: Epoch,
    /// The next offset to read; 0 if nothing was saved yet.
    pub(crate) next: Offset,
    /// The topic's head when it was saved.
    pub(crate) head: Offset,
    /// Of one partition only.
    pub(crate) partition: Option<u32>,
    /// It does not hold back what must go because the servers are full.
    pub(crate) yields: bool,
}

impl Kept {
    fn object(&self) -> String {
        object(&self.topic, &self.name)
    }

    fn metadata(&self) -> ObjectMetadata {
        let mut metadata = HashMap::from([
            ("epoch".to_owned(), self.epoch.0.clone()),
            ("next".to_owned(), self.next.to_string()),
            ("head".to_owned(), self.head.to_string()),
        ]);
        if let Some(partition) = self.partition {
            metadata.insert("partition".to_owned(), partition.to_string());
        }
        if self.yields {
            metadata.insert("yields".to_owned(), "true".to_owned());
        }
        ObjectMetadata { name: self.object(), metadata, ..ObjectMetadata::default() }
    }

    /// Reads it back; none if it is no cursor.
    fn read(object: &ObjectInfo) -> Option<Self> {
        let (topic, name) = object.name.split_once('/')?;
        let word = |key: &str| object.metadata.get(key).map(String::as_str);
        let number = |key: &str| word(key).and_then(|text| text.parse().ok());
        Some(Self {
            topic: topic.to_owned(),
            name: name.to_owned(),
            epoch: Epoch(word("epoch")?.to_owned()),
            next: number("next")?,
            head: number("head")?,
            partition: word("partition").and_then(|text| text.parse().ok()),
            yields: word("yields").is_some(),
        })
    }
}

fn object(topic: &str, name: &str) -> String {
    format!("{topic}/{name}")
}

impl Cursors {
    pub(crate) fn new(store: ObjectStore) -> Self {
        Self { store }
    }

    /// Every cursor of the centre.
    pub(crate) async fn all(&self) -> Asked<Vec<Kept>> {
        let list = async {
            let mut objects = self.store.list().await.map_err(|error| error.to_string())?;
            let mut all = Vec::new();
            while let Some(object) = objects.next().await {
                all.extend(Kept::read(&object.map_err(|error| error.to_string())?));
            }
            Ok(all)
        };
        timeout(TRANSFER, list).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn find(&self, object: &str) -> Asked<Option<ObjectInfo>> {
        match self.store.info(object).await {
            Ok(found) => Ok(Some(found).filter(|found| !found.deleted)),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Puts a cursor in place of the one before; answers the name of its content.
    async fn put(&self, kept: &Kept, state: &[u8]) -> Asked<String> {
        let mut pause = Pause::new();
        let mut reason = String::new();
        for _ in 0..TRIES {
            let mut content = state;
            match timeout(TRANSFER, self.store.put(kept.metadata(), &mut content)).await {
                Ok(Ok(put)) => return Ok(put.nuid),
                Ok(Err(error)) => reason = error.to_string(),
                Err(_) => reason = "no answer in time".to_owned(),
            }
            pause.wait().await;
        }
        Err(reason)
    }

    /// The content of a cursor; none if it is damaged.
    async fn get(&self, object: &str) -> io::Result<Option<(ObjectInfo, Vec<u8>)>> {
        let Some(found) = self.find(object).await.map_err(io::Error::other)? else {
            return Ok(None);
        };
        if found.size == 0 {
            return Ok(Some((found, Vec::new())));
        }
        let mut content = self.store.get(object).await.map_err(io::Error::other)?;
        let found = content.info().clone();
        let mut state = Vec::with_capacity(found.size.min(STATE_BYTES));
        let read = timeout(TRANSFER, content.read_to_end(&mut state)).await;
        match read.map_err(io::Error::other)? {
            Ok(_) => Ok(Some((found, state))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(cursor = object, %error, "a cursor is damaged and was left out");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a cursor up.
    pub(crate) async fn forget(&self, topic: &str, name: &str) -> Asked<()> {
        let object = object(topic, name);
        match self.find(&object).await? {
            Some(_) => ask(self.store.delete(&object)).await,
            None => Ok(()),
        }
    }
}

/// A cursor of a topic.
pub(crate) struct NatsCursor {
    topic: Arc<Shared>,
    name: String,
    tasks: Arc<Tasks>,
    yields: Mutex<bool>,
    /// The content we loaded or saved last: another one means another owner.
    ours: Mutex<Option<String>>,
    /// One save at a time.
    saving: tokio::sync::Mutex<()>,
}

impl NatsCursor {
    /// Opens a cursor, or registers a new one, so that it holds retention back at once.
    pub(crate) async fn open(
        topic: Arc<Shared>,
        name: &str,
        tasks: Arc<Tasks>,
    ) -> Result<Self, OpenError> {
        let object = object(&topic.name, name);
        let failed = |reason| OpenError::Server { what: format!("keep cursor {object}"), reason };
        let mut patience = Patience::begin();
        let found = loop {
            match topic.cursors.find(&object).await {
                Ok(found) => break found,
                Err(reason) => patience.again(reason).await.map_err(failed)?,
            }
        };
        let kept = found.as_ref().and_then(Kept::read);
        let yields = Mutex::new(kept.is_some_and(|kept| kept.yields));
        let (ours, saving) = (Mutex::default(), tokio::sync::Mutex::default());
        let cursor = Self { topic, name: name.to_owned(), tasks, yields, ours, saving };
        if found.is_none() {
            let put = cursor.topic.cursors.put(&cursor.kept(0), &[]).await.map_err(failed)?;
            *lock(&cursor.ours) = Some(put);
        }
        Ok(cursor)
    }

    fn kept(&self, next: Offset) -> Kept {
        let partition = match self.topic.view {
            View::Partition(partition) => Some(partition),
            View::Whole | View::Writing => None,
        };
        let head = self.topic.head();
        Kept {
            topic: self.topic.name.clone(),
            name: self.name.clone(),
            epoch: self.topic.epoch.clone(),
            next: next.min(head + 1),
            head,
            partition,
            yields: *lock(&self.yields),
        }
    }

    /// From the next save on the cursor does not hold back what must go.
    pub(crate) fn let_yield(&self) {
        *lock(&self.yields) = true;
    }

    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    /// A paused owner that comes back must not put an old state over a newer one.
    async fn check_owner(&self) -> Result<(), AppendError> {
        let Some(ours) = lock(&self.ours).clone() else { return Ok(()) };
        let object = object(&self.topic.name, &self.name);
        let found = self.topic.cursors.find(&object).await.map_err(AppendError::Unavailable)?;
        match found {
            Some(found) if found.nuid == ours => Ok(()),
            _ => Err(AppendError::Fenced(format!("cursor {object} was saved by somebody else"))),
        }
    }

    async fn put(&self, next: Offset, state: &[u8]) -> Result<(), AppendError> {
        if self.topic.is_over() {
            return Err(AppendError::Closed);
        }
        if state.len() > STATE_BYTES {
            let (bytes, limit) = (state.len() as u64, STATE_BYTES as u64);
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let _one = self.saving.lock().await;
        self.check_owner().await?;
        // Until the outcome is known, whatever stands there may be ours.
        *lock(&self.ours) = None;
        let put = self.topic.cursors.put(&self.kept(next), state).await;
        *lock(&self.ours) = Some(put.map_err(AppendError::Unavailable)?);
        self.topic.saved.notify_one();
        Ok(())
    }

    async fn get(&self) -> Result<Option<Checkpoint>, ReadError> {
        if self.topic.is_renewed.load(Ordering::Acquire) {
            return Err(ReadError::Renewed(self.topic.name.clone()));
        }
        let object = object(&self.topic.name, &self.name);
        let mut pause = Pause::new();
        let mut tries = 1;
        let found = loop {
            match self.topic.cursors.get(&object).await {
                Err(error) if tries == TRIES => return Err(ReadError::Io(error)),
                // Its owner may just be saving it, which takes the old content away.
                Err(_) => tries += 1,
                Ok(found) => break found,
            }
            pause.wait().await;
        };
        let Some((info, state)) = found else { return Ok(None) };
        *lock(&self.ours) = Some(info.nuid.clone());
        let kept = Kept::read(&info).filter(|kept| kept.epoch == self.topic.epoch && kept.next > 0);
        Ok(kept.map(|kept| Checkpoint { epoch: kept.epoch, next: kept.next, state }))
    }
}

impl CursorBackend for NatsCursor {
    fn load(&self) -> Result<Option<Checkpoint>, ReadError> {
        let loaded = self.tasks.block(self.get());
        loaded.map_err(|error| ReadError::Io(io::Error::other(error)))?
    }

    fn save(&self, next: Offset, state: Vec<u8>) -> Pending<'_, Result<(), AppendError>> {
        Box::pin(async move { self.put(next, &state).await })
    }
}
