//! The plug points of the service: a way to reach machines with the whole alert log, and a way to
//! bring one message to one person.

pub(crate) mod email;
pub mod mqtt;
pub(crate) mod push;
pub(crate) mod webhook;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sen_model::AlertRecord;

use crate::letter::{Letter, Subscription};

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

/// A way to reach machines.
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

/// How a message to a person ended. The words say what happened and never whom or where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// The other side has taken it.
    Taken,
    /// It was not, and is tried again: after this long at least.
    Again(String, Duration),
    /// It never will be.
    Refused(String),
}

/// How a try ended, and which of the person's browsers take no messages any more, took this one, or
/// may yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trip {
    pub(crate) brought: Brought,
    /// Entries of the on-call log.
    pub(crate) gone: Vec<String>,
    /// The browsers that took it, by their entries.
    pub(crate) took: Vec<String>,
    /// The browsers that did not and may yet.
    pub(crate) again: Vec<Subscription>,
}

impl From<Brought> for Trip {
    fn from(brought: Brought) -> Self {
        Self { brought, gone: Vec::new(), took: Vec::new(), again: Vec::new() }
    }
}

/// A message under way.
pub(crate) type Way<'a> = Pin<Box<dyn Future<Output = Trip> + Send + 'a>>;

/// A way to bring a message to a person. A message comes again, with the same key, until it is
/// taken or refused. Each try ends within a time of its own.
pub(crate) trait Courier: Send + Sync {
    /// Tries once.
    fn bring<'a>(&'a self, letter: &'a Letter) -> Way<'a>;
}
