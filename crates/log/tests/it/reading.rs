//! Readers: from any offset, from the disk as from memory, cancelled at any point.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sen_log::{AppendError, Offset, ReadError};
use sen_proto::{DecodeError, Wire};

use crate::notebook::{KEEP_ALL, Note, note, open, read_from};

/// Several entries of a segment's index, several reads a segment, several segments.
const SEGMENT_BYTES: u64 = 600 << 10;
const RECORDS: u64 = 12_000;

/// Records of different lengths, some much larger than others.
fn record(offset: Offset) -> Note {
    let length = if offset.is_multiple_of(1_000) { 60_000 } else { 40 + offset % 150 };
    Note(format!("{offset:0width$}", width = length as usize).into_bytes())
}

fn records(offsets: std::ops::Range<Offset>) -> Vec<(Offset, Note)> {
    offsets.map(|offset| (offset, record(offset))).collect()
}

async fn large(folder: &std::path::Path) {
    let log = open(folder, SEGMENT_BYTES);
    let topic = log.topic::<Note>("large", KEEP_ALL).unwrap();
    for first in (1..=RECORDS).step_by(500) {
        topic.append((first..first + 500).map(record).collect()).await.unwrap();
    }
    log.close().await;
}

#[tokio::test]
async fn any_offset_can_be_read_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    large(folder.path()).await;
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("large", KEEP_ALL).unwrap();
    assert!(topic.stats().segments > 3, "{:?}", topic.stats());
    // Backwards and forwards: with and without what earlier readers noted in the index.
    for from in (1..=RECORDS).rev().step_by(37).chain((1..=RECORDS).step_by(53)) {
        let read = topic.read_from(from).available(3).await.unwrap();
        let read: Vec<_> = read.into_iter().map(|it| (it.offset, (*it.record).clone())).collect();
        assert_eq!(read, records(from..(from + 3).min(RECORDS + 1)));
    }
    // Over the seam between the disk and the memory of this process.
    topic.append((RECORDS + 1..RECORDS + 101).map(record).collect()).await.unwrap();
    assert!(read_from(&topic, 1).await == records(1..RECORDS + 101));
    assert_eq!(topic.stats().damaged_records, 0);
    assert!(!folder.path().join("large").join("damaged").exists());
}

#[tokio::test]
async fn a_read_from_the_disk_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    large(folder.path()).await;
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("large", KEEP_ALL).unwrap();
    let mut reader = topic.read_from(1);
    let (mut read, mut cancelled) = (Vec::new(), 0);
    while reader.position() <= RECORDS {
        let polled = {
            let mut next = pin!(reader.next(100));
            poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await
        };
        match polled {
            Poll::Ready(entries) => read.extend(entries.unwrap()),
            Poll::Pending => {
                cancelled += 1;
                read.extend(reader.next(100).await.unwrap());
            }
        }
    }
    assert!(cancelled > 0);
    let offsets: Vec<_> = read.iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (1..=RECORDS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_waits_and_loses_nothing_when_it_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 300);
    let topic = log.topic::<Note>("waiting", KEEP_ALL).unwrap();
    let mut reader = topic.read_from(1);
    let (mut read, mut cancelled) = (Vec::new(), 0);
    for number in 0..50 {
        let appended = topic.append(vec![note(&number.to_string())]);
        tokio::pin!(appended);
        loop {
            tokio::select! {
                biased;
                entries = reader.next(3) => read.extend(entries.unwrap()),
                offsets = &mut appended => {
                    offsets.unwrap();
                    cancelled += 1;
                    break;
                }
            }
        }
    }
    read.extend(reader.available(100).await.unwrap());
    assert!(cancelled > 0);
    let offsets: Vec<_> = read.iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (1..=50).collect::<Vec<_>>());
    // Closed: what is there can be read, then the reader is told.
    topic.append(vec![note("last")]).await.unwrap();
    log.close().await;
    assert_eq!(reader.next(10).await.unwrap().len(), 1);
    assert!(matches!(reader.next(10).await, Err(ReadError::Closed)));
    assert!(matches!(topic.append(vec![note("late")]).await, Err(AppendError::Closed)));
}

/// Knows only records that begin with `a`, like a program older than the others.
struct Older;

impl Wire for Older {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'a');
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.starts_with(b"a") { Ok(Self) } else { Err(DecodeError::Truncated) }
    }
}

#[tokio::test]
async fn records_of_a_later_version_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Note>("versions", KEEP_ALL).unwrap();
    topic.append(vec![note("new"), note("a"), note("new"), note("b")]).await.unwrap();
    log.close().await;
    let log = open(folder.path(), 1 << 20);
    let mut reader = log.topic::<Older>("versions", KEEP_ALL).unwrap().read_from(1);
    let entries = reader.available(10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [2]);
    assert_eq!(reader.available(10).await.unwrap().len(), 0);
    assert_eq!(reader.position(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_gathering_reader_gives_a_record_with_the_company_that_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("slow", KEEP_ALL).unwrap();
    let mut reader = topic.read_from(1).gathering(Duration::from_secs(3_600));
    // The paused clock stands still as long as a blocking task works.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || held.recv());
    let appends = async move {
        for offset in 1..4 {
            topic.append(vec![record(offset)]).await.unwrap();
        }
        drop(release);
    };
    let (read, ()) = tokio::join!(reader.next(10), appends);
    let read: Vec<_> = read.unwrap().into_iter().map(|it| it.offset).collect();
    assert_eq!(read, [1, 2, 3]);
    assert!(holding.await.unwrap().is_err(), "the sender was dropped");
}
