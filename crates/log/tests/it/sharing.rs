//! What is shared: fsyncs between appenders, decoded records between readers, folders with nobody.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use sen_log::{AppendError, OpenError};
use sen_proto::{DecodeError, Wire};
use tokio::task::{JoinSet, yield_now};

use crate::notebook::{KEEP_ALL, Note, drain, note, open, read_from};

#[tokio::test]
async fn many_appenders_share_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Note>("sharing", KEEP_ALL).unwrap();
    // While the disk is busy with the first commit, everybody else arrives.
    fail::cfg("log::write::sharing", "pause").unwrap();
    let (mut appends, arrived) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for number in 0..500 {
        let (topic, arrived) = (topic.clone(), Arc::clone(&arrived));
        appends.spawn(async move {
            let mut append = pin!(topic.append(vec![note(&number.to_string())]));
            // Polled once, it is in the queue.
            let first = poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
            assert!(first.is_pending());
            arrived.fetch_add(1, Ordering::SeqCst);
            append.await
        });
    }
    while arrived.load(Ordering::SeqCst) < 500 {
        yield_now().await;
    }
    fail::remove("log::write::sharing");
    let mut offsets = Vec::new();
    while let Some(appended) = appends.join_next().await {
        offsets.push(appended.unwrap().unwrap().start);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=500).collect::<Vec<_>>());
    assert!(topic.stats().commits <= 2, "{:?}", topic.stats());
    assert_eq!(read_from(&topic, 1).await.len(), 500);
}

#[tokio::test]
async fn a_full_queue_makes_appenders_wait() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Note>("waiting-line", KEEP_ALL).unwrap();
    fail::cfg("log::write::waiting-line", "pause").unwrap();
    let mut appends = JoinSet::new();
    // More than the queue takes, by number and by bytes.
    for number in 0..6_000_usize {
        let (topic, bytes) = (topic.clone(), if number < 40 { 1 << 20 } else { 1 });
        appends.spawn(async move { topic.append(vec![Note(vec![7; bytes])]).await });
    }
    yield_now().await;
    fail::remove("log::write::waiting-line");
    let mut offsets = Vec::new();
    while let Some(appended) = appends.join_next().await {
        offsets.push(appended.unwrap().unwrap().start);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=6_000).collect::<Vec<_>>());
}

static DECODED: AtomicU64 = AtomicU64::new(0);

/// Counts how often it is decoded.
struct Counted;

impl Wire for Counted {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
    }

    fn decode(_: &[u8]) -> Result<Self, DecodeError> {
        DECODED.fetch_add(1, Ordering::SeqCst);
        Ok(Self)
    }
}

#[tokio::test]
async fn readers_at_the_head_never_decode() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Counted>("tail", KEEP_ALL).unwrap();
    let again = log.topic::<Counted>("tail", KEEP_ALL).unwrap();
    let mut readers: Vec<_> = (0..10).map(|_| again.read_from(1)).collect();
    for offset in 1..=20 {
        topic.append(vec![Counted]).await.unwrap();
        for reader in &mut readers {
            let entries = reader.next(10).await.unwrap();
            assert_eq!(entries[0].offset, offset);
        }
    }
    assert_eq!(DECODED.load(Ordering::SeqCst), 0);
    log.close().await;
    // After a restart there is nothing in memory: the same records come from the disk.
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Counted>("tail", KEEP_ALL).unwrap();
    assert_eq!(topic.read_from(1).available(100).await.unwrap().len(), 20);
    assert_eq!(DECODED.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_folder_belongs_to_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let second = || sen_log::Log::open(folder.path().to_owned(), crate::notebook::config(1 << 20));
    assert!(matches!(second(), Err(OpenError::InUse(_))));
    log.close().await;
    assert!(second().is_ok());
}

#[tokio::test]
async fn names_types_and_sizes_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    for name in ["", "../x", "A", "a/b", "a.b", &"x".repeat(57)] {
        assert!(matches!(log.topic::<Note>(name, KEEP_ALL), Err(OpenError::BadName(_))), "{name}");
    }
    let topic = log.topic::<Note>("notes", KEEP_ALL).unwrap();
    assert!(matches!(log.cursor(&topic, "../x"), Err(OpenError::BadName(_))));
    assert!(matches!(log.topic::<Counted>("notes", KEEP_ALL), Err(OpenError::OtherType(_))));
    let large = Note(vec![0; (1 << 20) + 1]);
    let refused = topic.append(vec![note("small"), large]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes: 1_048_577, limit: 1_048_576 })));
    assert_eq!(topic.append(Vec::new()).await.unwrap(), 1..1);
    assert_eq!(topic.append(vec![note("a"), note("")]).await.unwrap(), 1..3);
    assert_eq!(drain(&mut topic.read_from(0)).await, [(1, note("a")), (2, note(""))]);
}

#[tokio::test]
async fn a_cursor_over_a_topic_of_another_log_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path(), 1 << 20), open(other.path(), 1 << 20));
    let topic = one.topic::<Note>("mine", KEEP_ALL).unwrap();
    let refused = other.cursor(&topic, "reader");
    assert!(matches!(refused, Err(OpenError::OtherLog(_))));
    other.topic::<Note>("mine", KEEP_ALL).unwrap();
    assert!(matches!(other.cursor(&topic, "reader"), Err(OpenError::OtherLog(_))));
    assert!(one.cursor(&topic, "reader").is_ok());
}
