//! A typed topic: encodes, appends, and hands the records to readers at the tail.

use std::ops::Range;
use std::sync::Arc;

use sen_proto::Wire;
use tokio::sync::watch;

use crate::backend::{AppendError, Epoch, Offset, Payloads, ReadError, Stats, TopicBackend};
use crate::reader::decode;
use crate::tail::{Kept, Tail};
use crate::{Cursor, OpenError, Reader};

/// What a record belongs to: records with the same key stay in order and in one partition.
pub(crate) type Key<T> = fn(&T) -> &str;

/// A typed topic; cheap to clone.
pub struct Topic<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    name: String,
    backend: Arc<dyn TopicBackend>,
    tail: Arc<Tail<T>>,
    head: watch::Receiver<Offset>,
    key: Option<Key<T>>,
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Wire> Topic<T> {
    pub(crate) fn new(name: &str, key: Option<Key<T>>, backend: Arc<dyn TopicBackend>) -> Self {
        let head = backend.head();
        let tail = Arc::new(Tail::new());
        let (followed, topic) = (Arc::clone(&tail), name.to_owned());
        backend.follow(Box::new(move |first, chunk| {
            let decoded = decode::<T>(&topic, &chunk).into_iter();
            let kept = decoded.map(|(offset, record, bytes)| Kept {
                offset,
                record: Arc::new(record),
                bytes,
            });
            followed.extend(first, kept.collect(), chunk.next);
        }));
        Self { shared: Arc::new(Shared { name: name.to_owned(), backend, tail, head, key }) }
    }

    /// Appends records and returns their offsets once they are on disk.
    ///
    /// Waits while the writer's queue is full. Dropping the future does not take the records back:
    /// they may still be appended. On one machine the records of one call are neighbours; on a
    /// server those of others may stand between them, and the range is from the first to the last.
    pub async fn append(&self, records: Vec<T>) -> Result<Range<Offset>, AppendError> {
        if records.is_empty() {
            let next = self.head() + 1;
            return Ok(next..next);
        }
        let shared = &self.shared;
        let limit = shared.backend.record_bytes();
        let mut payloads = Payloads::default();
        let mut kept = Vec::with_capacity(records.len());
        for record in records {
            let key = shared.key.map_or(0, |key| hash(key(&record).as_bytes()));
            let bytes = payloads.push(key, |out| record.encode(out));
            if bytes as u64 > limit {
                return Err(AppendError::TooLarge { bytes: bytes as u64, limit });
            }
            kept.push((Arc::new(record), bytes));
        }
        let tail = Arc::clone(&shared.tail);
        let publish = move |offsets: Range<Offset>| tail.push(offsets.start, kept);
        shared.backend.append(payloads, Box::new(publish)).await
    }

    /// From now on nobody else may append: if somebody does, the next append of ours fails with
    /// [`AppendError::Fenced`], and so does every later one. What was appended until now can be
    /// read when this returns. On one machine the log belongs to one process anyway, and this does
    /// nothing.
    pub async fn own(&self) -> Result<(), AppendError> {
        self.shared.backend.own().await
    }

    /// The first offset stored at or after a time, in milliseconds since the Unix epoch, by the
    /// clock of the machine that stores; `head + 1` (or a little more) if there is none.
    pub async fn offset_at(&self, time_ms: i64) -> Result<Offset, ReadError> {
        self.shared.backend.offset_at(time_ms).await
    }

    /// A reader that begins at `offset` (1 = the beginning; below the floor is an error when read).
    pub fn read_from(&self, offset: Offset) -> Reader<T> {
        Reader::new(self.clone(), offset, self.watch())
    }

    /// The last durable offset; 0 if there is none.
    pub fn head(&self) -> Offset {
        *self.shared.head.borrow()
    }

    /// The last offset that anybody has appended. On one machine that is the head; on servers they
    /// are asked, and the head may follow a moment later.
    pub async fn last(&self) -> Result<Offset, ReadError> {
        self.shared.backend.last().await
    }

    /// The first offset still kept; `head + 1` if there is none.
    pub fn floor(&self) -> Offset {
        self.shared.backend.floor()
    }

    /// How many records a reader has before it whose next offset is `next`; messages of about a
    /// hundred records where these travel so.
    pub fn behind(&self, next: Offset) -> u64 {
        self.shared.backend.behind(next)
    }

    /// The topic's epoch.
    pub fn epoch(&self) -> Epoch {
        self.shared.backend.epoch()
    }

    /// Follows the head.
    pub fn watch(&self) -> watch::Receiver<Offset> {
        self.shared.head.clone()
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the topic has been through since it was opened.
    pub fn stats(&self) -> Stats {
        self.shared.backend.stats()
    }

    /// Whether both are the same open topic.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn cursor(&self, name: &str) -> Result<Cursor, OpenError> {
        Ok(Cursor::new(self.shared.backend.cursor(name)?))
    }

    pub(crate) fn let_yield(&self, name: &str) {
        self.shared.backend.let_yield(name);
    }

    pub(crate) fn forget_cursor(&self, name: &str) -> Result<(), OpenError> {
        self.shared.backend.forget_cursor(name)
    }

    pub(crate) fn tail(&self) -> &Tail<T> {
        &self.shared.tail
    }

    pub(crate) fn backend(&self) -> &dyn TopicBackend {
        self.shared.backend.as_ref()
    }
}

/// FNV-1a, 64 bits: the same in every version of Sen, since it decides where a record goes.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn keys_are_hashed_with_fnv_1a() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
