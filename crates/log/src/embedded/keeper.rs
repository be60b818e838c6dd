//! The thread that saves cursors and deletes old segments, so that neither makes appends wait.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::fault::{self, Step};
use super::identity::{SavedCursor, epoch_of};
use super::shared::Shared;
use super::{CURSORS_FOLDER, disk, retention};
use crate::backend::{AppendError, Checkpoint, CursorBackend, Offset, Pending, ReadError};
use crate::{OpenError, lock};

/// Chores waiting at most; whoever saves a cursor waits while it is full.
const CHORES: usize = 64;
/// How often old segments are looked for when nothing else asks for it: a topic that is not written
/// to ages too.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// Largest state beside a cursor, in bytes.
const STATE_BYTES: usize = 64 << 20;

/// Something to do.
pub(crate) enum Chore {
    /// Make a cursor durable, then delete what nobody needs any more.
    Save {
        /// Its topic.
        topic: Arc<Shared>,
        /// Its name.
        name: String,
        /// The next offset to read.
        next: Offset,
        /// What its owner keeps beside it.
        state: Vec<u8>,
        /// Where the outcome goes.
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
    /// Delete what nobody needs any more.
    Retain(Arc<Shared>),
    /// An append was refused for want of room: delete before its time what nobody needs any more.
    Relieve {
        /// Who was refused.
        topic: Arc<Shared>,
        /// What is to become free, in bytes.
        wanted_bytes: u64,
    },
    /// Finish.
    Stop,
}

/// Every open topic: they share one disk.
pub(crate) type Topics = Arc<Mutex<Vec<Arc<Shared>>>>;

/// Starts the thread; it ends with [`Chore::Stop`] or when nobody can send chores any more.
pub(crate) fn start(topics: Topics) -> std::io::Result<(mpsc::Sender<Chore>, JoinHandle<()>)> {
    let (sender, chores) = mpsc::channel(CHORES);
    // Only to wait for a chore or for time, whichever comes first.
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let run = move || work(&runtime, chores, &topics);
    let thread = thread::Builder::new().name("log-keeper".to_owned()).spawn(run)?;
    Ok((sender, thread))
}

fn work(runtime: &Runtime, mut chores: mpsc::Receiver<Chore>, topics: &Topics) {
    loop {
        let chore = runtime.block_on(async { timeout(RETENTION_INTERVAL, chores.recv()).await });
        match chore {
            Ok(None | Some(Chore::Stop)) => return,
            Ok(Some(Chore::Retain(topic))) => retention::apply(&topic),
            Ok(Some(Chore::Relieve { topic, wanted_bytes })) => {
                let topics = lock(topics).clone();
                retention::relieve(topics.iter().map(|topic| &**topic), wanted_bytes);
                topic.asks_relief.store(false, Ordering::Release);
            }
            Ok(Some(Chore::Save { topic, name, next, state, reply })) => {
                let saved = save(&topic, &name, next, state);
                let is_saved = saved.is_ok();
                // The owner may have stopped waiting.
                let _ = reply.send(saved);
                if is_saved {
                    retention::apply(&topic);
                }
            }
            Err(_) => lock(topics).clone().iter().for_each(|topic| retention::apply(topic)),
        }
    }
}

fn path_of(topic: &Shared, name: &str) -> PathBuf {
    topic.folder.join(CURSORS_FOLDER).join(name)
}

fn save(topic: &Shared, name: &str, next: Offset, state: Vec<u8>) -> Result<(), AppendError> {
    if state.len() > STATE_BYTES {
        let (bytes, limit) = (state.len() as u64, STATE_BYTES as u64);
        return Err(AppendError::TooLarge { bytes, limit });
    }
    let head = *topic.head.borrow();
    // A cursor beyond the head would look like lost records at the next start.
    let next = next.min(head + 1);
    write(topic, name, SavedCursor { epoch: topic.epoch, head, next, state })
        .map_err(AppendError::from)?;
    lock(&topic.cursors).insert(name.to_owned(), next);
    Ok(())
}

fn write(topic: &Shared, name: &str, cursor: SavedCursor) -> std::io::Result<()> {
    let before_rename = || fault::check(Step::CursorRename, &topic.name);
    disk::replace_file(&path_of(topic, name), &cursor.encode(), before_rename).map(drop)
}

/// A cursor of the embedded log.
pub(crate) struct EmbeddedCursor {
    topic: Arc<Shared>,
    name: String,
    chores: mpsc::Sender<Chore>,
}

impl EmbeddedCursor {
    /// Opens a cursor, or registers a new one durably, so that it holds retention back at once.
    pub(crate) fn open(
        topic: Arc<Shared>,
        name: &str,
        chores: mpsc::Sender<Chore>,
    ) -> Result<Self, OpenError> {
        let mut cursors = lock(&topic.cursors);
        if !cursors.contains_key(name) {
            let (epoch, head) = (topic.epoch, *topic.head.borrow());
            let fresh = SavedCursor { epoch, head, next: 0, state: Vec::new() };
            let path = path_of(&topic, name);
            write(&topic, name, fresh).map_err(|source| OpenError::Io { path, source })?;
            cursors.insert(name.to_owned(), 0);
        }
        drop(cursors);
        Ok(Self { topic, name: name.to_owned(), chores })
    }

    /// Gives one up. The file goes first: a crash between leaves a cursor, never a lost position.
    pub(crate) fn forget(topic: &Shared, name: &str) -> Result<(), OpenError> {
        let mut cursors = lock(&topic.cursors);
        if cursors.contains_key(name) {
            let path = path_of(topic, name);
            std::fs::remove_file(&path).map_err(|source| OpenError::Io { path, source })?;
            cursors.remove(name);
        }
        Ok(())
    }
}

impl CursorBackend for EmbeddedCursor {
    fn load(&self) -> Result<Option<Checkpoint>, ReadError> {
        let bytes = std::fs::read(path_of(&self.topic, &self.name)).map_err(ReadError::Io)?;
        let saved = SavedCursor::decode(&bytes)
            .filter(|saved| saved.epoch == self.topic.epoch && saved.next > 0);
        Ok(saved.map(|saved| Checkpoint {
            epoch: epoch_of(saved.epoch),
            next: saved.next,
            state: saved.state,
        }))
    }

    fn save(&self, next: Offset, state: Vec<u8>) -> Pending<'_, Result<(), AppendError>> {
        Box::pin(async move {
            if self.topic.is_closed.load(Ordering::Acquire) {
                return Err(AppendError::Closed);
            }
            let (reply, outcome) = oneshot::channel();
            let (topic, name) = (Arc::clone(&self.topic), self.name.clone());
            let chore = Chore::Save { topic, name, next, state, reply };
            self.chores.send(chore).await.map_err(|_| AppendError::Closed)?;
            outcome.await.map_err(|_| AppendError::Closed)?
        })
    }
}
