//! Reads a topic in order: at the tail from memory, else from the backend, and waits at the head.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sen_proto::Wire;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Topic;
use crate::backend::{Chunk, Offset, Pending, ReadError};

/// Tries of one read, and the pause after the first that fails, doubled after each: together some
/// three seconds.
const READ_TRIES: u32 = 6;
const RETRY_FROM: Duration = Duration::from_millis(100);

/// One record with its offset.
#[derive(Debug)]
pub struct Entry<T> {
    /// Where it stands.
    pub offset: Offset,
    /// What it says; shared with other readers at the tail.
    pub record: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { offset: self.offset, record: Arc::clone(&self.record) }
    }
}

/// Reads a topic in order. A damaged record is skipped and counted: offsets then jump.
pub struct Reader<T> {
    topic: Topic<T>,
    head: watch::Receiver<Offset>,
    /// Decoded and not yet given out.
    ready: VecDeque<Entry<T>>,
    /// The next offset to fetch, after those in `ready`.
    fetch: Offset,
    /// The fetch under way; kept here so that a caller who stops waiting and begins again, over and
    /// over, gets a slow one to its end. Never locked: it lets a reader be shared, as a future alone
    /// would not.
    fetching: Mutex<Option<Pending<'static, Result<Chunk, ReadError>>>>,
    /// How long to wait for company of a record that arrived at the head.
    gather: Duration,
    /// Until when company is waited for; kept here so that a caller who stops waiting and begins
    /// again, over and over, does not wait for ever.
    gather_until: Option<Instant>,
}

impl<T: Wire> Reader<T> {
    pub(crate) fn new(topic: Topic<T>, offset: Offset, head: watch::Receiver<Offset>) -> Self {
        Self {
            topic,
            head,
            ready: VecDeque::new(),
            fetch: offset.max(1),
            fetching: Mutex::default(),
            gather: Duration::ZERO,
            gather_until: None,
        }
    }

    /// From now on a record that arrives at the head waits this long for company. For consumers
    /// that need not react at once: a batch costs hardly more than a single record.
    #[must_use]
    pub fn gathering(self, gather: Duration) -> Self {
        Self { gather, ..self }
    }

    /// At most `limit` next records; waits until there is at least one. Cancel-safe.
    ///
    /// After the log was closed it gives what is left and then [`ReadError::Closed`].
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Entry<T>>, ReadError> {
        let limit = limit.max(1);
        loop {
            let entries = self.available(limit).await?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            self.arrival().await?;
        }
    }

    /// Waits at the head until there may be a next record, and then for its company. Cancel-safe.
    pub async fn arrival(&mut self) -> Result<(), ReadError> {
        let wanted = self.position();
        // What it gives holds the head's lock: not beyond this line.
        let is_closed = self.head.wait_for(|head| *head >= wanted).await.is_err();
        if is_closed {
            return Err(self.topic.backend().ending());
        }
        if !self.gather.is_zero() {
            let until = *self.gather_until.get_or_insert_with(|| Instant::now() + self.gather);
            tokio::time::sleep_until(until).await;
            self.gather_until = None;
        }
        Ok(())
    }

    /// At most `limit` next records; none if the head is reached. Cancel-safe.
    pub async fn available(&mut self, limit: usize) -> Result<Vec<Entry<T>>, ReadError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        while self.ready.is_empty() {
            let head = *self.head.borrow_and_update();
            if self.fetch > head {
                return Ok(Vec::new());
            }
            let floor = self.topic.floor();
            if self.fetch < floor {
                return Err(ReadError::BelowFloor { wanted: self.fetch, floor });
            }
            if let Some((entries, next)) = self.topic.tail().from(self.fetch, head, limit) {
                (self.fetch, self.fetching) = (next, Mutex::default());
                if entries.is_empty() {
                    continue;
                }
                return Ok(entries);
            }
            let (topic, from) = (&self.topic, self.fetch);
            let fetching = self.fetching.get_mut().unwrap_or_else(PoisonError::into_inner);
            let fetched =
                fetching.get_or_insert_with(|| Box::pin(chunk(topic.clone(), from))).await;
            *fetching = None;
            self.decode(fetched?);
        }
        let count = limit.min(self.ready.len());
        Ok(self.ready.drain(..count).collect())
    }

    /// The offset the next record read will have at least.
    pub fn position(&self) -> Offset {
        self.ready.front().map_or(self.fetch, |entry| entry.offset)
    }

    fn decode(&mut self, chunk: Chunk) {
        self.fetch = chunk.next;
        let decoded = decode(self.topic.name(), &chunk);
        let entry = |(offset, record, _)| Entry { offset, record: Arc::new(record) };
        self.ready.extend(decoded.into_iter().map(entry));
    }
}

/// A disk may stumble: a read that fails is tried again, so that an error is a real one.
async fn chunk<T: Wire>(topic: Topic<T>, from: Offset) -> Result<Chunk, ReadError> {
    let mut pause = RETRY_FROM;
    for _ in 1..READ_TRIES {
        match topic.backend().read(from).await {
            Err(ReadError::Io(error)) => {
                tracing::warn!(topic = topic.name(), %error, "a read of the log failed");
            }
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    topic.backend().read(from).await
}

/// The records of a chunk with their offsets and encoded bytes.
///
/// A record with a sound checksum that does not decode was written by a later version of Sen, or
/// there is a bug; either way one record must not stop the consumer for ever.
pub(crate) fn decode<T: Wire>(topic: &str, chunk: &Chunk) -> Vec<(Offset, T, usize)> {
    let mut refused = 0_u64;
    let mut decoded = Vec::with_capacity(chunk.records.len());
    for (offset, place) in &chunk.records {
        match T::decode(&chunk.bytes[place.clone()]) {
            Ok(record) => decoded.push((*offset, record, place.len())),
            Err(_) => refused += 1,
        }
    }
    if refused > 0 {
        tracing::error!(topic, records = refused, "records do not decode and were skipped");
        metrics::counter!("sen_log_records_undecodable_total", "topic" => topic.to_owned())
            .increment(refused);
    }
    decoded
}
