//! The plug point of the service: a way to reach people or machines.

pub mod mqtt;

use std::future::Future;
use std::pin::Pin;

use sen_model::AlertRecord;

/// Why a record was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The world hiccups: the same record is tried again.
    #[error("not delivered, to be tried again: {0}")]
    Retry(String),
    /// There is no room for this record: it is counted and passed over, because what makes room is
    /// an alert that ends, and that comes after it.
    #[error("no room: {0}")]
    Full(String),
    /// This record will never be taken: it is logged, counted and passed over.
    #[error("refused: {0}")]
    Refused(String),
}

/// A delivery under way.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(), ChannelError>> + Send + 'a>>;

/// A way to reach people or machines.
///
/// Records come in the order of the alert log, one at a time, each at least once: after a crash
/// the last ones come again, with the same (id, rev).
pub trait Channel: Send + Sync {
    /// Its name: in logs, in metrics, and in the checkpoint, where its position is kept under it.
    /// No two channels of a service may have the same.
    fn name(&self) -> &'static str;

    /// Delivers one record.
    fn deliver<'a>(&'a self, record: &'a AlertRecord) -> Delivery<'a>;

    /// Whether what was delivered is lost when the process stops, so that the open alerts must be
    /// delivered again at every start.
    fn forgets(&self) -> bool {
        false
    }
}
