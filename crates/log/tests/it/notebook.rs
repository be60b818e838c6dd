//! A record type and the shortest ways to open, fill and read a log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sen_log::{Config, Log, Offset, Reader, Retention, Topic};
use sen_proto::{DecodeError, Wire};
use tokio::runtime::{Builder, Runtime};

/// A record that is its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note(pub(crate) Vec<u8>);

impl Wire for Note {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(bytes.to_vec()))
    }
}

pub(crate) fn note(text: &str) -> Note {
    Note(text.as_bytes().to_vec())
}

/// Keeps everything.
pub(crate) const KEEP_ALL: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

pub(crate) fn config(segment_bytes: u64) -> Config {
    Config { segment_bytes, reserve_bytes: 0, record_bytes: 1 << 20 }
}

/// A clock that the test moves.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) fn open(folder: &Path, segment_bytes: u64) -> Log {
    Log::open(folder.to_owned(), config(segment_bytes)).expect("the log opens")
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Everything there is from `offset` on.
pub(crate) async fn read_from(topic: &Topic<Note>, offset: Offset) -> Vec<(Offset, Note)> {
    drain(&mut topic.read_from(offset)).await
}

/// Everything a reader has left.
pub(crate) async fn drain(reader: &mut Reader<Note>) -> Vec<(Offset, Note)> {
    let mut all = Vec::new();
    loop {
        let entries = reader.available(7).await.expect("readable");
        if entries.is_empty() {
            return all;
        }
        all.extend(entries.into_iter().map(|entry| (entry.offset, (*entry.record).clone())));
    }
}

/// The segment files of a topic, in order.
pub(crate) fn segments(folder: &Path, topic: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join(topic)).expect("the topic's folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "seg")).collect();
    paths.sort();
    paths
}
