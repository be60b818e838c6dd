//! A named durable position in a topic.

use std::sync::Arc;

use crate::backend::{AppendError, Checkpoint, CursorBackend, Offset, ReadError};

/// A named durable cursor; cheap to clone, but meant for one owner.
#[derive(Clone)]
pub struct Cursor {
    backend: Arc<dyn CursorBackend>,
}

impl Cursor {
    pub(crate) fn new(backend: Arc<dyn CursorBackend>) -> Self {
        Self { backend }
    }

    /// The last saved checkpoint of this epoch; none at the first start, after the epoch changed,
    /// or if its file is damaged: the owner then begins at the floor again. Blocks for one read.
    pub fn load(&self) -> Result<Option<Checkpoint>, ReadError> {
        self.backend.load()
    }

    /// Saves a checkpoint atomically and durably: after a crash it is this one or the one before.
    ///
    /// `next` is the next offset to read, so at most head + 1; a higher one is taken as that.
    ///
    /// Fails with [`AppendError::Fenced`] when somebody else has opened the cursor since: then this
    /// owner must stop, and if it still owns anything open the cursor again and begin from what
    /// it loads. After [`AppendError::Unavailable`] it may be saved or not; the next save finds out.
    pub async fn save(&self, next: Offset, state: Vec<u8>) -> Result<(), AppendError> {
        self.backend.save(next, state).await
    }
}
