//! A typed topic: encodes, appends, and hands the records to readers at the tail.

use std::ops::Range;
use std::sync::Arc;

use sen_proto::Wire;
use tokio::sync::watch;

use crate::backend::{AppendError, Epoch, Offset, Payloads, Stats, TopicBackend};
use crate::tail::Tail;
use crate::{Cursor, OpenError, Reader};

/// A typed topic; cheap to clone.
pub struct Topic<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    name: String,
    backend: Arc<dyn TopicBackend>,
    tail: Arc<Tail<T>>,
    head: watch::Receiver<Offset>,
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Wire> Topic<T> {
    pub(crate) fn new(name: &str, backend: Arc<dyn TopicBackend>) -> Self {
        let head = backend.head();
        let tail = Arc::new(Tail::new());
        Self { shared: Arc::new(Shared { name: name.to_owned(), backend, tail, head }) }
    }

    /// Appends records and returns their offsets once they are on disk.
    ///
    /// Waits while the writer's queue is full. The records of one call are neighbours. Dropping
    /// the future does not take them back: they may still be appended.
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
            let bytes = payloads.push(|out| record.encode(out));
            if bytes as u64 > limit {
                return Err(AppendError::TooLarge { bytes: bytes as u64, limit });
            }
            kept.push((Arc::new(record), bytes));
        }
        let tail = Arc::clone(&shared.tail);
        let publish = move |offsets: Range<Offset>| tail.push(offsets.start, kept);
        shared.backend.append(payloads, Box::new(publish)).await
    }

    /// A reader that begins at `offset` (1 = the beginning; below the floor is an error when read).
    pub fn read_from(&self, offset: Offset) -> Reader<T> {
        Reader::new(self.clone(), offset, self.watch())
    }

    /// The last durable offset; 0 if there is none.
    pub fn head(&self) -> Offset {
        *self.shared.head.borrow()
    }

    /// The first offset still kept; `head + 1` if there is none.
    pub fn floor(&self) -> Offset {
        self.shared.backend.floor()
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
