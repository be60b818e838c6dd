//! Readings and summaries to files: by hand (`sen export`) and, for the public, by schedule.
//!
//! Read [`selection`] (which series), [`rows`] (what a row says), [`write`] (the walk through the
//! store), [`file`] (complete or not at all); then what open data adds: [`exports`]
//! (`exports.toml`), [`schedule`] (which days are due), [`description`] (the data package beside the
//! files) and `service`.
//!
//! Personal data never leaves: events are not in the store at all, and open data takes registered
//! devices of open kinds only ([`Selection::takes_openly`]).

pub mod description;
pub mod exports;
pub mod file;
mod nearest;
pub mod rows;
pub mod schedule;
pub mod selection;
mod service;
pub mod write;

use std::path::PathBuf;
use std::sync::Arc;

use sen_chassis::{Clock, Shutdown};
use sen_model::Registry;
use sen_store::Store;

pub use exports::{Export, parse};
pub use rows::{Resolution, columns};
pub use selection::{Known, List, Names, Selection};
pub use write::{Done, Job, WriteError};

/// What the service reads and where it writes.
pub struct Ports {
    /// Where the readings are.
    pub store: Store,
    /// How long it keeps them.
    pub kept: sen_store::Config,
    /// What is open, and what it is called.
    pub registry: Arc<Registry>,
    /// What relative folders of `exports.toml` are below.
    pub folder: PathBuf,
    /// Now.
    pub clock: Clock,
}

/// Why the service ended without being asked to. An export that fails is no reason: it is tried
/// again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its thread panicked.
    #[error("the thread of the exports ended")]
    Thread(#[from] tokio::task::JoinError),
}

/// The scheduled exports, bound and not yet running.
pub struct Exporter {
    exports: Vec<Export>,
    ports: Ports,
}

impl Exporter {
    /// Takes exports that [`parse`] has checked; touches nothing and spawns nothing. A folder that
    /// cannot be written is a failure of that export, told and tried again.
    pub fn bind(exports: Vec<Export>, ports: Ports) -> Self {
        Self { exports, ports }
    }

    /// Makes what is due until asked to stop; a file that is not complete then is made at the next
    /// start. To encode and to write files takes a thread of its own, so that nobody waits for it.
    /// If this is dropped, the thread ends as soon as it may.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let (runtime, own) = (tokio::runtime::Handle::current(), OnDrop(Shutdown::new()));
        let asked = own.0.clone();
        let work = move || runtime.block_on(service::run(self, asked));
        let mut work = tokio::task::spawn_blocking(work);
        tokio::select! {
            ended = &mut work => return Ok(ended?),
            () = shutdown.requested() => own.0.request(),
        }
        Ok(work.await?)
    }
}

/// Asks to stop when nobody waits any more.
struct OnDrop(Shutdown);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}
