//! What processes of one centre hold together through NATS: leases, calls, shared state.
//!
//! A [`Cluster`] is one process's connection. Through it a role is owned by one process at a time
//! ([`Cluster::hold`], [`Held`]), partitions are shared among the living ([`Cluster::shares`]),
//! services call each other ([`Cluster::answer`], [`Cluster::remote`]), each tells how it is
//! ([`Cluster::tell`], [`Cluster::told`]), and configuration files, key files and the sirens'
//! messages are the same everywhere.
//!
//! What runs is returned as a future for the caller's `Tasks`; the only tasks spawned here are the
//! renewals of a lease and of a membership, and they die with their handle.

mod call;
mod config;
mod connect;
mod files;
mod hold;
mod keys;
mod name;
mod retained;
mod shares;
mod status;
mod terms;

pub use call::CALL_WITHIN;
pub use config::Config;
pub use connect::{Cluster, ConnectError};
pub use files::Pushed;
pub use hold::Held;
pub use retained::{Retained, RetainedFeed};
pub use shares::{Change, Shares};
pub use status::{AllTold, Told};

/// Why something held together could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The servers did not take it, or not in time.
    #[error("the NATS servers did not {what}")]
    Nats {
        /// What was asked of them.
        what: &'static str,
        /// Their answer.
        #[source]
        source: async_nats::Error,
    },
    /// A name that cannot be a key or part of a subject.
    #[error("`{0}` cannot be a name in the cluster: use letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// Something larger than the servers take in one message.
    #[error("{what} has {size} bytes, and the servers take {most}: raise `max_payload` there")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size in bytes.
        size: usize,
        /// What the servers take, in bytes.
        most: usize,
    },
    /// A file could not be read or written.
    #[error("{path}")]
    File {
        /// The file or folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder to be given to all has no file: surely not what was meant.
    #[error("{0} has no file to give to the cluster: is it the right folder?")]
    EmptyFolder(String),
    /// A value that is not JSON.
    #[error("{what} cannot be written as JSON")]
    Json {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    fn nats<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Nats { what, source: Box::new(source) }
    }

    fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}
