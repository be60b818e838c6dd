//! The contract of the log, over both backends: the same stories on files and on a real server.

use std::time::Duration;

use sen_log::{Log, Offset, ReadError, Reader, Retention, Topic};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::notebook::{self, Note};
use crate::servers::{self, PATIENCE, Server};

mod cluster;
mod cursors;
mod everywhere;
mod full;
mod order;
mod sharing;
mod trouble;

/// Nothing is kept for its age or size.
const KEEP_NOTHING: Retention = Retention { keep_ms: 0, keep_bytes: 0 };

/// Where the log is kept.
enum Bench {
    Embedded(TempDir),
    Nats(Box<Server>),
}

impl Bench {
    fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    fn nats() -> Self {
        Self::Nats(Box::new(Server::start()))
    }

    /// Opens the log; on files only when nobody else has it.
    async fn open(&self) -> Log {
        match self {
            Self::Embedded(folder) => notebook::open(folder.path(), 10_000),
            Self::Nats(server) => open_at(server).await,
        }
    }
}

async fn open_at(server: &Server) -> Log {
    Log::over_nats(server.client().await, servers::config(1)).await.unwrap()
}

/// The key of a note: what stands before the first dash.
fn key(note: &Note) -> &str {
    let text = std::str::from_utf8(&note.0).unwrap();
    text.split('-').next().unwrap()
}

fn text(note: &Note) -> String {
    String::from_utf8(note.0.clone()).unwrap()
}

/// Reads until `count` records have come.
async fn read_some(reader: &mut Reader<Note>, count: usize) -> Vec<(Offset, String)> {
    let mut all = Vec::new();
    while all.len() < count {
        let entries = timeout(PATIENCE, reader.next(100)).await.expect("records come").unwrap();
        all.extend(entries.iter().map(|entry| (entry.offset, text(&entry.record))));
    }
    all
}

/// Everything from `offset` to the head. Servers of which one has died may need a second asking.
async fn read_all(topic: &Topic<Note>, offset: Offset) -> Vec<(Offset, String)> {
    let mut reader = topic.read_from(offset);
    let mut all = Vec::new();
    let until = Instant::now() + PATIENCE;
    while reader.position() <= topic.head() {
        match timeout(PATIENCE, reader.available(100)).await.expect("it reads") {
            Err(ReadError::Io(_)) if Instant::now() < until => {}
            entries => {
                let entries = entries.unwrap();
                all.extend(entries.iter().map(|entry| (entry.offset, text(&entry.record))));
            }
        }
    }
    all
}

/// Waits until something is so.
async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < until, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
