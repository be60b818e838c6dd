//! The epochs of all topics, in a key-value bucket: which life of its stream a topic is in.
//!
//! A stream that was made anew, or is shorter than it was known to be, is no extension of what it
//! was: the next who opens it (or notices) gives it a new epoch.

use async_nats::jetstream::kv::{Entry, Operation, Store};
use serde::{Deserialize, Serialize};

use super::{Asked, ask};
use crate::backend::Epoch;
use crate::embedded::{disk, system_now_ms};

/// Tries against others who write the same entry.
const TRIES: usize = 20;

/// How long whoever makes a stream may take, in milliseconds. Clocks of machines that differ by more
/// let two make it, or the second wait for longer.
const MAKING_MS: i64 = 10_000;

/// The bucket.
pub(crate) struct Epochs {
    store: Store,
}

/// An entry.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Life {
    epoch: String,
    /// When the stream was made, in nanoseconds since the Unix epoch.
    created_ns: String,
    /// A sequence it had reached.
    last: u64,
}

/// How a stream looks now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) created_ns: i128,
    pub(crate) last: u64,
}

impl Life {
    fn begin(look: Look) -> Asked<Self> {
        let bits: [u8; 16] = disk::random().map_err(|error| error.to_string())?;
        let epoch = bits.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { epoch, created_ns: look.created_ns.to_string(), last: look.last })
    }

    fn is_of(&self, look: Look) -> bool {
        self.created_ns == look.created_ns.to_string() && look.last >= self.last
    }
}

impl Epochs {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The epoch of a topic that looks so; a new one if it cannot be what it was, or `renew`.
    pub(crate) async fn of(&self, topic: &str, look: Look, not: Option<&Epoch>) -> Asked<Epoch> {
        for _ in 0..TRIES {
            let found = self.entry(topic).await?;
            let fresh = Life::begin(look)?;
            let written = match found {
                Some((life, _)) if life.is_of(look) && not.is_none_or(|it| it.0 != life.epoch) => {
                    return Ok(Epoch(life.epoch));
                }
                Some((_, revision)) => self.write(topic, &fresh, Some(revision)).await,
                None => self.write(topic, &fresh, None).await,
            };
            match written {
                Ok(()) => return Ok(Epoch(fresh.epoch)),
                Err(error) => tracing::debug!(topic, %error, "the epoch is written by others too"),
            }
        }
        Err("others write the epoch all the time".to_owned())
    }

    /// The first epoch of a topic of which nothing is noted; none if another was faster. What it noted
    /// stands, also where it has seen more of the stream than this look.
    pub(crate) async fn first(&self, topic: &str, look: Look) -> Asked<Option<Epoch>> {
        let fresh = Life::begin(look)?;
        match self.write(topic, &fresh, None).await {
            Ok(()) => Ok(Some(Epoch(fresh.epoch))),
            Err(error) => {
                tracing::debug!(topic, %error, "the epoch is written by others too");
                Ok(None)
            }
        }
    }

    /// Whether the stream of a topic, which is not there, may be made by whoever asks: one does at a
    /// time, and the next when that one had [`MAKING_MS`] for it.
    pub(crate) async fn may_make(&self, topic: &str) -> Asked<bool> {
        let key = maker(topic);
        let before = ask(self.store.entry(&key)).await?;
        let is_at_it = |entry: &Entry| {
            entry.operation == Operation::Put && system_now_ms() - made_ms(entry) < MAKING_MS
        };
        let written = match before {
            Some(before) if is_at_it(&before) => return Ok(false),
            Some(before) => ask(self.store.update(&key, "".into(), before.revision)).await,
            None => ask(self.store.create(&key, "".into())).await,
        };
        Ok(written.is_ok())
    }

    /// Whoever was to make the stream could not: the next one may.
    pub(crate) async fn not_made(&self, topic: &str) {
        if let Err(error) = ask(self.store.delete(maker(topic))).await {
            tracing::debug!(topic, error, "others wait before they make the stream");
        }
    }

    /// The epoch of a topic if what is noted of it fits how it looks.
    pub(crate) async fn find(&self, topic: &str, look: Look) -> Asked<Option<Epoch>> {
        let found = self.entry(topic).await?.filter(|(life, _)| life.is_of(look));
        Ok(found.map(|(life, _)| Epoch(life.epoch)))
    }

    /// Whether anything is noted of a topic.
    pub(crate) async fn is_known(&self, topic: &str) -> Asked<bool> {
        Ok(self.entry(topic).await?.is_some())
    }

    /// Notes how far a topic has come. False if it is in another life.
    pub(crate) async fn note(&self, topic: &str, epoch: &Epoch, last: u64) -> Asked<bool> {
        let Some((life, revision)) = self.entry(topic).await? else { return Ok(false) };
        if life.epoch != epoch.0 {
            return Ok(false);
        }
        if life.last < last {
            // Whoever is faster notes as much.
            let _ = self.write(topic, &Life { last, ..life }, Some(revision)).await;
        }
        Ok(true)
    }

    async fn entry(&self, topic: &str) -> Asked<Option<(Life, u64)>> {
        let entry = ask(self.store.entry(topic)).await?;
        let Some(entry) = entry else { return Ok(None) };
        let is_there = entry.operation == Operation::Put;
        let life = if is_there { serde_json::from_slice(&entry.value).ok() } else { None };
        // One that cannot be read belongs to no life.
        let unknown = || Life { epoch: String::new(), created_ns: String::new(), last: 0 };
        Ok(Some((life.unwrap_or_else(unknown), entry.revision)))
    }

    async fn write(&self, topic: &str, life: &Life, revision: Option<u64>) -> Asked<()> {
        let bytes = serde_json::to_vec(life).map_err(|error| error.to_string())?;
        match revision {
            Some(revision) => ask(self.store.update(topic, bytes.into(), revision)).await?,
            None => ask(self.store.create(topic, bytes.into())).await?,
        };
        Ok(())
    }
}

fn maker(topic: &str) -> String {
    format!("{topic}.maker")
}

fn made_ms(entry: &Entry) -> i64 {
    i64::try_from(entry.created.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
