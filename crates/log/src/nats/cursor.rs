//! A cursor of a topic: who opens it takes it over, and from then on every save of whoever had it
//! before is refused by the servers, however late it comes. A save says which one it replaces.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::object_store::ObjectInfo;
use tokio::time::{Instant, sleep};

use super::Patience;
use super::cursors::{Found, Kept, STATE_BYTES, content_name, object};
use super::keeper::{LOOKS, WATCH};
use super::publish::Trouble;
use super::shared::{Pause, Shared};
use super::tasks::Tasks;
use crate::backend::{AppendError, Checkpoint, CursorBackend, Offset, Pending, ReadError};
use crate::{OpenError, View, lock};

/// How long a save is tried again.
const SAVING: Duration = Duration::from_secs(30);
/// How often a read is tried.
const TRIES: usize = 4;
/// Contents that may be left to be deleted; of more the oldest stay for ever.
const LEFT: usize = 64;

/// A cursor of a topic.
pub(crate) struct NatsCursor {
    topic: Arc<Shared>,
    name: String,
    tasks: Arc<Tasks>,
    yields: Mutex<bool>,
    /// Stands in what we save: by it we know again what is ours when an answer was lost.
    owner: String,
    /// Held while saving: one at a time.
    place: tokio::sync::Mutex<Place>,
}

/// What we know of what stands in the bucket.
#[derive(Debug, Default)]
struct Place {
    /// Of the message that ours is to replace; 0 if there was none.
    sequence: u64,
    /// The content it names, if there is any.
    content: Option<String>,
    /// Contents of ours that are named no more, or perhaps never were.
    left: Vec<String>,
}

impl Place {
    fn take(&mut self, sequence: u64, content: Option<String>) {
        self.sequence = sequence;
        self.leave(self.content.clone());
        self.left.retain(|left| Some(left) != content.as_ref());
        self.content = content;
    }

    fn leave(&mut self, content: Option<String>) {
        self.left.extend(content);
        let more = self.left.len().saturating_sub(LEFT);
        self.left.drain(..more);
    }
}

impl NatsCursor {
    /// Opens a cursor, or registers a new one, so that it holds retention back at once.
    pub(crate) async fn open(
        topic: Arc<Shared>,
        name: &str,
        tasks: Arc<Tasks>,
    ) -> Result<Self, OpenError> {
        let what = format!("keep cursor {}", object(&topic.name, name));
        let failed = |reason| OpenError::Server { what: what.clone(), reason };
        let owner = content_name().map_err(|error| failed(error.to_string()))?;
        let (name, yields, place) = (name.to_owned(), Mutex::default(), Default::default());
        let cursor = Self { topic, name, tasks, yields, owner, place };
        let mut patience = Patience::begin();
        while let Err(reason) = cursor.take_over().await {
            patience.again(reason).await.map_err(failed)?;
        }
        Ok(cursor)
    }

    /// Makes the cursor ours as it stands.
    async fn take_over(&self) -> Result<(), String> {
        let cursors = &self.topic.cursors;
        let found = cursors.find(&object(&self.topic.name, &self.name)).await?;
        let after = found.as_ref().map_or(0, |found| found.sequence);
        let found = found.filter(|found| !found.object.deleted);
        let content = found.as_ref().and_then(Found::content);
        let object = match &found {
            Some(found) => {
                let kept = Kept::read(&found.object);
                *lock(&self.yields) = kept.is_some_and(|kept| kept.yields);
                found.taken_over(&self.owner)
            }
            None => {
                let object = cursors.object(&self.kept(0), &self.owner, &[]);
                object.map_err(|error| error.to_string())?
            }
        };
        let sequence = match cursors.name(&object, after).await {
            Ok(sequence) => sequence,
            // Full servers take nothing: a save of whoever had it before may still come, and then
            // ours is refused.
            Err(Trouble::Refused(AppendError::Full)) if found.is_some() => after,
            Err(trouble) => return Err(trouble.to_string()),
        };
        *self.place.lock().await = Place { sequence, content, left: Vec::new() };
        Ok(())
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

    async fn put(&self, next: Offset, state: &[u8]) -> Result<(), AppendError> {
        if self.topic.is_over() {
            return Err(AppendError::Closed);
        }
        if state.len() > STATE_BYTES {
            let (bytes, limit) = (state.len() as u64, STATE_BYTES as u64);
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let mut place = self.place.lock().await;
        let object = self.topic.cursors.object(&self.kept(next), &self.owner, state);
        let object = object.map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let replaced = self.replace(&mut place, object, state).await;
        if matches!(replaced, Ok(()) | Err(AppendError::Fenced(_))) {
            self.tidy(&mut place).await;
        }
        replaced?;
        self.topic.is_saved.store(true, Ordering::Release);
        Ok(())
    }

    /// Tries until the object stands in place of the one before, for a bounded time.
    async fn replace(
        &self,
        place: &mut Place,
        mut object: ObjectInfo,
        state: &[u8],
    ) -> Result<(), AppendError> {
        let (begun, mut pause) = (Instant::now(), Pause::new());
        let mut is_uploaded = state.is_empty();
        loop {
            match self.try_replace(place, &mut object, state, &mut is_uploaded).await {
                Ok(sequence) => {
                    let content = (!state.is_empty()).then_some(object.nuid);
                    place.take(sequence, content);
                    return Ok(());
                }
                Err(Trouble::Refused(error)) => return Err(error),
                Err(trouble) if begun.elapsed() > SAVING || self.topic.is_over() => {
                    return Err(AppendError::Unavailable(trouble.to_string()));
                }
                Err(_) => pause.wait().await,
            }
        }
    }

    /// Once: first the content, then the message that names it. Answers the sequence of that.
    async fn try_replace(
        &self,
        place: &mut Place,
        object: &mut ObjectInfo,
        state: &[u8],
        is_uploaded: &mut bool,
    ) -> Result<u64, Trouble> {
        let cursors = &self.topic.cursors;
        if !*is_uploaded {
            object.nuid = content_name().map_err(|error| Trouble::Again(error.to_string()))?;
            // Before it is there: this may be dropped anywhere.
            place.leave(Some(object.nuid.clone()));
            cursors.upload(&object.nuid, state).await?;
            *is_uploaded = true;
        }
        let trouble = match cursors.name(object, place.sequence).await {
            Err(trouble) if !matches!(trouble, Trouble::Refused(_)) => trouble,
            outcome => return outcome,
        };
        // The answer may have been lost, of this one or of one before: what is there tells.
        let found = cursors.find(&object.name).await.map_err(Trouble::Again)?;
        match found {
            Some(found) if found.object.nuid == object.nuid && found.is_of(&self.owner) => {
                Ok(found.sequence)
            }
            Some(found) if found.is_of(&self.owner) => {
                place.take(found.sequence, found.content());
                Err(trouble)
            }
            Some(found) if found.sequence == place.sequence => Err(trouble),
            found => {
                // Whoever took it over keeps the content that is named.
                place.take(place.sequence, found.as_ref().and_then(Found::content));
                let fenced = format!("cursor {} was taken over by somebody else", object.name);
                Err(Trouble::Refused(AppendError::Fenced(fenced)))
            }
        }
    }

    /// Deletes contents that nothing names any more. What fails is left for the next time.
    async fn tidy(&self, place: &mut Place) {
        while let Some(content) = place.left.last() {
            if let Err(error) = self.topic.cursors.purge(content).await {
                let cursor = &self.name;
                tracing::debug!(cursor, error, "an old content is still there");
                return;
            }
            place.left.pop();
        }
    }

    async fn get(&self) -> Result<Option<Checkpoint>, ReadError> {
        if self.topic.is_renewed.load(Ordering::Acquire) {
            return Err(ReadError::Renewed(self.topic.name.clone()));
        }
        let object = object(&self.topic.name, &self.name);
        let mut pause = Pause::new();
        let (mut tries, mut doubts) = (1, 1);
        let found = loop {
            match self.topic.cursors.get(&object).await {
                Ok(found) => break found,
                // Its owner may just be saving it, which takes the old content away.
                Err(error) if error.kind() == io::ErrorKind::InvalidData && doubts < LOOKS => {
                    doubts += 1;
                    sleep(if doubts > 2 { WATCH } else { Duration::ZERO }).await;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let cursor = object;
                    tracing::error!(cursor, %error, "left out: read from the floor, without state");
                    return Ok(None);
                }
                Err(error) if tries == TRIES => return Err(ReadError::Io(error)),
                Err(error) => {
                    tracing::debug!(cursor = object, %error, "not read yet");
                    tries += 1;
                    pause.wait().await;
                }
            }
        };
        let Some((info, state)) = found else { return Ok(None) };
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
