//! Cursors as objects in a bucket: the position stands in the object's metadata, the owner's state
//! is its content. An object is replaced at once: the message that names it points to the new
//! content or the old. That message is written here and not by the client's store, because it must
//! say which one it replaces: of two who believe to own a cursor one is refused. Whatever reads
//! object stores reads it all the same.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::object_store::{ObjectInfo, ObjectOptions, ObjectStore};
use async_nats::jetstream::stream::{LastRawMessageError, LastRawMessageErrorKind, Stream};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::keeper::Looked;
use super::publish::{Trouble, trouble};
use super::{Asked, ask};
use crate::backend::{Epoch, Offset};
use crate::embedded::disk;

/// Largest state beside a cursor, in bytes.
pub(crate) const STATE_BYTES: usize = 64 << 20;
/// Bytes of one message of a content, as the client's store has it.
const CHUNK_BYTES: usize = 128 << 10;
/// Messages of a content that are under way at once.
const CHUNKS: usize = 8;
/// Cursors that are asked for at once.
const ASKED: usize = 16;
/// How long one transfer of a cursor may take.
const TRANSFER: Duration = Duration::from_secs(30);
/// Under which word the metadata says who has opened the cursor.
const OWNER: &str = "owner";

/// The bucket of all cursors of a centre.
pub(crate) struct Cursors {
    bucket: String,
    context: Context,
    stream: Stream,
    store: ObjectStore,
    /// When what they hold back was last looked for.
    pub(crate) looked: Looked,
}

/// A cursor as it stands in the bucket.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Of the message that names its content.
    pub(crate) sequence: u64,
    pub(crate) object: ObjectInfo,
}

impl Found {
    /// Whether this one opened it last.
    pub(crate) fn is_of(&self, owner: &str) -> bool {
        !self.object.deleted && self.object.metadata.get(OWNER).is_some_and(|it| it == owner)
    }

    /// The content, if there is any.
    pub(crate) fn content(&self) -> Option<String> {
        Some(self.object.nuid.clone()).filter(|_| self.object.chunks > 0)
    }

    /// The same position and content, opened by another.
    pub(crate) fn taken_over(&self, owner: &str) -> ObjectInfo {
        let mut object = self.object.clone();
        object.metadata.insert(OWNER.to_owned(), owner.to_owned());
        object
    }
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

    fn metadata(&self, owner: &str) -> HashMap<String, String> {
        let mut metadata = HashMap::from([
            (OWNER.to_owned(), owner.to_owned()),
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
        metadata
    }

    /// Reads it back; none if it is no cursor.
    pub(crate) fn read(object: &ObjectInfo) -> Option<Self> {
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

pub(crate) fn object(topic: &str, name: &str) -> String {
    format!("{topic}/{name}")
}

impl Cursors {
    pub(crate) fn new(
        bucket: String,
        context: Context,
        stream: Stream,
        store: ObjectStore,
    ) -> Self {
        Self { bucket, context, stream, store, looked: Looked::default() }
    }

    /// Every cursor of a topic, or of the centre.
    ///
    /// Each is asked for by its name. A list of all, as the client's store gives it, waits for
    /// messages that were there when it began, and for ever when they are replaced meanwhile.
    pub(crate) async fn all(&self, topic: Option<&str>) -> Asked<Vec<Kept>> {
        let names = async {
            let subjects = self.stream.info_with_subjects(self.name_subjects()).await?;
            subjects.map_ok(|(subject, _)| subject).try_collect::<Vec<_>>().await
        };
        let prefix = topic.map_or_else(String::new, |topic| format!("{topic}/"));
        let mut names: Vec<String> =
            ask(names).await?.iter().filter_map(|name| object_of(name)).collect();
        names.retain(|name| name.starts_with(&prefix));
        let mut all = Vec::with_capacity(names.len());
        for window in names.chunks(ASKED) {
            let found = try_join_all(window.iter().map(|name| self.find(name))).await?;
            let found = found.into_iter().flatten().filter(|found| !found.object.deleted);
            all.extend(found.filter_map(|found| Kept::read(&found.object)));
        }
        Ok(all)
    }

    /// A cursor as the leader has it; also one that was given up, whose message is still there.
    pub(crate) async fn find(&self, object: &str) -> Asked<Option<Found>> {
        let name = self.name_subject(object);
        let found = async { if_there(self.stream.get_last_raw_message_by_subject(&name).await) };
        let Some(message) = ask(found).await? else { return Ok(None) };
        let read = serde_json::from_slice(&message.payload);
        let object = read.map_err(|error| format!("{object} is no cursor: {error}"))?;
        Ok(Some(Found { sequence: message.sequence, object }))
    }

    /// An object of a position, whose content is `state`; it is not there yet.
    pub(crate) fn object(&self, kept: &Kept, owner: &str, state: &[u8]) -> io::Result<ObjectInfo> {
        Ok(ObjectInfo {
            name: kept.object(),
            description: None,
            metadata: kept.metadata(owner),
            headers: None,
            options: Some(ObjectOptions { link: None, max_chunk_size: Some(CHUNK_BYTES) }),
            bucket: self.bucket.clone(),
            nuid: content_name()?,
            size: state.len(),
            chunks: state.len().div_ceil(CHUNK_BYTES),
            modified: None,
            digest: Some(digest_of(state)),
            deleted: false,
        })
    }

    /// Brings a content to the servers; nobody sees it until it is named. One that came in parts
    /// only must get another name before it is tried again.
    pub(crate) async fn upload(&self, content: &str, state: &[u8]) -> Result<(), Trouble> {
        let subject = self.content_subject(content);
        let all = async {
            for window in state.chunks(CHUNK_BYTES * CHUNKS) {
                let mut answers = Vec::with_capacity(CHUNKS);
                for chunk in window.chunks(CHUNK_BYTES) {
                    let message = PublishMessage::build().payload(chunk.to_vec().into());
                    let sent = self.context.send_publish(subject.clone(), message).await;
                    answers.push(sent.map_err(|error| trouble(&error))?.into_future());
                }
                try_join_all(answers).await.map_err(|error| trouble(&error))?;
            }
            Ok(())
        };
        timeout(TRANSFER, all).await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Lets the name point to an object, if what named the last one has the sequence `after` (0:
    /// there was none); answers the sequence of this one.
    pub(crate) async fn name(&self, object: &ObjectInfo, after: u64) -> Result<u64, Trouble> {
        let text = serde_json::to_vec(object);
        let text = text.map_err(|error| Trouble::Again(error.to_string()))?;
        let message = PublishMessage::build()
            .payload(text.into())
            .header(NATS_ROLLUP, "sub")
            .expected_last_subject_sequence(after);
        let sent = async {
            let subject = self.name_subject(&object.name);
            self.context.send_publish(subject, message).await?.await
        };
        match timeout(TRANSFER, sent).await {
            Ok(named) => named.map(|ack| ack.sequence).map_err(|error| trouble(&error)),
            Err(_) => Err(unanswered()),
        }
    }

    /// Deletes a content that nothing names any more.
    pub(crate) async fn purge(&self, content: &str) -> Asked<()> {
        let subject = self.content_subject(content);
        ask(async { self.stream.purge().filter(subject).await }).await.map(drop)
    }

    fn name_subject(&self, object: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(object))
    }

    fn name_subjects(&self) -> String {
        format!("$O.{}.M.>", self.bucket)
    }

    fn content_subject(&self, content: &str) -> String {
        format!("$O.{}.C.{content}", self.bucket)
    }

    /// A cursor and its content; none if there is no cursor. Invalid data if the content is not there
    /// or another: it may just have been replaced, or it is damaged.
    pub(crate) async fn get(&self, object: &str) -> io::Result<Option<(ObjectInfo, Vec<u8>)>> {
        let found = self.find(object).await.map_err(io::Error::other)?;
        let Some(found) = found.map(|found| found.object).filter(|found| !found.deleted) else {
            return Ok(None);
        };
        let state = timeout(TRANSFER, self.content(&found)).await.map_err(io::Error::other)?;
        let state = state.map_err(io::Error::other)?;
        let is_whole = state.len() == found.size
            && found.digest.as_ref().is_none_or(|digest| *digest == digest_of(&state));
        if !is_whole {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its content is missing or damaged",
            ));
        }
        Ok(Some((found, state)))
    }

    /// What is there of a content. The stream's leader is asked for one message after the other: the
    /// client's store reads through a consumer, which may stand on a server that was just killed, and
    /// waits for it for half a minute.
    async fn content(&self, object: &ObjectInfo) -> Asked<Vec<u8>> {
        let subject = self.content_subject(&object.nuid);
        let (mut state, mut from) = (Vec::with_capacity(object.size.min(STATE_BYTES)), 1);
        for _ in 0..object.chunks {
            let next = self.stream.raw_message_builder().sequence(from).next_by_subject(&subject);
            let Some(message) = ask(async { if_there(next.send().await) }).await? else { break };
            from = message.sequence + 1;
            state.extend_from_slice(&message.payload);
        }
        Ok(state)
    }

    /// Gives a cursor up.
    pub(crate) async fn forget(&self, topic: &str, name: &str) -> Asked<()> {
        let object = object(topic, name);
        match self.find(&object).await? {
            Some(found) if !found.object.deleted => ask(self.store.delete(&object)).await,
            _ => Ok(()),
        }
    }
}

/// Which object a subject names.
fn object_of(subject: &str) -> Option<String> {
    let (_, name) = subject.rsplit_once('.')?;
    String::from_utf8(URL_SAFE.decode(name).ok()?).ok()
}

/// As object stores have it.
fn digest_of(content: &[u8]) -> String {
    format!("SHA-256={}", URL_SAFE.encode(Sha256::digest(content)))
}

/// That no message was found is an answer, too.
pub(crate) fn if_there<T>(
    answer: Result<T, LastRawMessageError>,
) -> Result<Option<T>, LastRawMessageError> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn unanswered() -> Trouble {
    Trouble::Again("no answer in time".to_owned())
}

/// What a content is called; nothing was ever called so.
pub(crate) fn content_name() -> io::Result<String> {
    let bits: [u8; 16] = disk::random()?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
