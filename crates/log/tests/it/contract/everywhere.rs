//! What holds on files as on servers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sen_log::{AppendError, Checkpoint, Durability, OpenError, ReadError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::notebook::{KEEP_ALL, note};

macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        mod on_files {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story(super::Bench::embedded()).await;
                }
            )*
        }
        mod on_a_server {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story(super::Bench::nats()).await;
                }
            )*
        }
    };
}

stories!(
    offsets_are_contiguous_and_read_in_order,
    a_log_that_is_opened_again_is_the_same,
    cursors_keep_their_place_and_a_large_state,
    nothing_goes_that_a_cursor_needs,
    large_records_are_refused_and_names_checked,
    many_append_at_once,
    a_reader_far_behind_reads_everything,
    a_closed_log_gives_what_is_left,
    batched_records_come_once_and_in_order_of_their_key,
    a_cancelled_reader_loses_nothing,
    a_time_finds_its_offset,
    lags_are_told,
);

fn notes(from: u64, to: u64) -> Vec<Note> {
    (from..to).map(|n| note(&format!("n-{n}"))).collect()
}

fn numbered(from: u64, to: u64) -> Vec<(Offset, String)> {
    (from..to).map(|n| (n, format!("n-{n}"))).collect()
}

async fn offsets_are_contiguous_and_read_in_order(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_eq!((topic.head(), topic.floor()), (0, 1));
    let mut reader = topic.read_from(1);
    assert!(reader.available(1).await.unwrap().is_empty());
    assert_eq!(topic.append(notes(1, 2)).await.unwrap(), 1..2);
    assert_eq!(topic.head(), 1);
    assert_eq!(topic.append(notes(2, 700)).await.unwrap(), 2..700);
    assert_eq!(topic.append(Vec::new()).await.unwrap(), 700..700);
    assert_eq!((topic.head(), topic.floor()), (699, 1));
    assert_eq!(read_some(&mut reader, 699).await, numbered(1, 700));
    assert_eq!(read_all(&topic, 1).await, numbered(1, 700));
    assert_eq!(read_all(&topic, 698).await, numbered(698, 700));
    assert!(matches!(topic.stats().commits, 2..));
}

async fn a_log_that_is_opened_again_is_the_same(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    topic.append(notes(1, 50)).await.unwrap();
    let epoch = topic.epoch();
    log.close().await;
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_eq!((topic.epoch(), topic.head(), topic.floor()), (epoch.clone(), 49, 1));
    assert_eq!(epoch.0.len(), 32);
    assert_eq!(read_all(&topic, 1).await, numbered(1, 50));
    assert_eq!(topic.append(notes(50, 51)).await.unwrap(), 50..51);
    assert_eq!(read_all(&topic, 45).await, numbered(45, 51));
    let other = log.topic::<Note>("others", KEEP_ALL).unwrap();
    assert_ne!(other.epoch(), epoch);
}

async fn cursors_keep_their_place_and_a_large_state(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    topic.append(notes(1, 10)).await.unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    assert_eq!(cursor.load().unwrap(), None);
    let state: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    cursor.save(4, state.clone()).await.unwrap();
    let saved = Checkpoint { epoch: topic.epoch(), next: 4, state };
    assert_eq!(cursor.load().unwrap(), Some(saved.clone()));
    log.close().await;
    assert!(matches!(cursor.save(5, Vec::new()).await, Err(AppendError::Closed)));
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    assert_eq!(cursor.load().unwrap(), Some(saved));
    // One that is beyond the head is taken as the end.
    cursor.save(99, b"small".to_vec()).await.unwrap();
    let loaded = cursor.load().unwrap().unwrap();
    assert_eq!((loaded.next, loaded.state.as_slice()), (10, &b"small"[..]));
    cursor.save(10, Vec::new()).await.unwrap();
    assert_eq!(cursor.load().unwrap().unwrap().state, b"");
}

async fn nothing_goes_that_a_cursor_needs(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_NOTHING).unwrap();
    let (first, second) = (log.cursor(&topic, "first"), log.cursor(&topic, "second"));
    let (first, second) = (first.unwrap(), second.unwrap());
    // Several segments, where there are segments.
    for n in (1..2_000).step_by(100) {
        topic.append(notes(n, n + 100)).await.unwrap();
    }
    first.save(1_500, Vec::new()).await.unwrap();
    // The second has saved nothing and holds everything.
    first.save(1_500, Vec::new()).await.unwrap();
    assert_eq!(read_all(&topic, 1).await, numbered(1, 2_001));
    second.save(1_200, Vec::new()).await.unwrap();
    wait_for("old records go", async || topic.floor() > 1).await;
    for _ in 0..5 {
        second.save(1_200, Vec::new()).await.unwrap();
        assert!(topic.floor() <= 1_200, "the floor is {}", topic.floor());
        assert_eq!(read_all(&topic, 1_200).await, numbered(1_200, 2_001));
    }
    let below = topic.read_from(1).next(1).await;
    assert!(matches!(below, Err(ReadError::BelowFloor { wanted: 1, .. })));
    // One that is given up holds nothing.
    let before = topic.floor();
    log.forget_cursor(&topic, "second").unwrap();
    first.save(1_500, Vec::new()).await.unwrap();
    wait_for("more records go", async || topic.floor() > before).await;
    assert_eq!(read_all(&topic, 1_500).await, numbered(1_500, 2_001));
}

async fn large_records_are_refused_and_names_checked(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let refused = topic.append(vec![note("small"), Note(vec![0; (1 << 20) + 1])]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes: 1_048_577, .. })));
    assert_eq!(topic.append(vec![Note(vec![7; 900_000])]).await.unwrap(), 1..2);
    assert_eq!(topic.read_from(1).next(1).await.unwrap()[0].record.0.len(), 900_000);
    for name in ["", "../x", "A", "a.b"] {
        let refused = log.topic::<Note>(name, KEEP_ALL);
        assert!(matches!(refused, Err(OpenError::BadName(_))), "{name}");
        assert!(matches!(log.cursor(&topic, name), Err(OpenError::BadName(_))), "{name}");
    }
    let refused = log.partition_topic::<Note>("readings", 4, KEEP_ALL);
    assert!(matches!(refused, Err(OpenError::NoPartition { partition: 4, .. })));
    match (&bench, log.durability()) {
        (Bench::Embedded(_), durability) => assert_eq!(durability, Durability::Durable),
        (Bench::Nats(_), durability) => {
            assert!(matches!(durability, Durability::BestEffort(why) if why.contains("replicas")));
        }
    }
}

async fn many_append_at_once(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let mut appends = JoinSet::new();
    for writer in 0..20 {
        let topic = topic.clone();
        appends.spawn(async move {
            for n in 0..20 {
                let offsets = topic.append(vec![note(&format!("{writer}-{n}"))]).await.unwrap();
                assert!(topic.head() >= offsets.start, "read your own append");
            }
        });
    }
    while let Some(done) = appends.join_next().await {
        done.unwrap();
    }
    let all = read_all(&topic, 1).await;
    let offsets: Vec<_> = all.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (1..=400).collect::<Vec<_>>());
    for writer in 0..20 {
        let mine = all.iter().filter(|(_, text)| text.starts_with(&format!("{writer}-")));
        let wanted: Vec<_> = (0..20).map(|n| format!("{writer}-{n}")).collect();
        assert_eq!(mine.map(|(_, text)| text.clone()).collect::<Vec<_>>(), wanted);
    }
}

async fn a_reader_far_behind_reads_everything(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let long = |n: u64| format!("{n:0>3000}");
    // More than is kept at the tail.
    for first in (1..4_000_u64).step_by(200) {
        let records = (first..first + 200).map(|n| note(&long(n))).collect();
        topic.append(records).await.unwrap();
    }
    let mut readers = [topic.read_from(1), topic.read_from(1_000), topic.read_from(1)];
    for (reader, from) in readers.iter_mut().zip([1, 1_000, 1]) {
        let read = read_some(reader, (4_001 - from) as usize).await;
        let wanted: Vec<_> = (from..4_001).map(|n| (n, long(n))).collect();
        assert!(read == wanted, "from {from}");
    }
    // And goes on at the tail.
    topic.append(vec![note("last")]).await.unwrap();
    assert_eq!(read_some(&mut readers[0], 1).await, [(4_001, "last".to_owned())]);
}

async fn a_closed_log_gives_what_is_left(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let mut reader = topic.read_from(1);
    topic.append(notes(1, 3)).await.unwrap();
    log.close().await;
    assert_eq!(reader.next(10).await.unwrap().len(), 2);
    assert!(matches!(reader.next(10).await, Err(ReadError::Closed)));
    assert!(matches!(topic.append(notes(3, 4)).await, Err(AppendError::Closed)));
    assert!(matches!(log.topic::<Note>("late", KEEP_ALL), Err(OpenError::Closed)));
}

async fn batched_records_come_once_and_in_order_of_their_key(bench: Bench) {
    let log = bench.open().await;
    let topic = log.batched_topic("readings", KEEP_ALL, key).unwrap();
    let mut reader = topic.read_from(1);
    let mut wanted = Vec::new();
    for round in 0..10 {
        let records: Vec<String> = (0..500).map(|n| format!("d{}-{round}-{n}", n % 37)).collect();
        wanted.extend(records.clone());
        let offsets = topic.append(records.iter().map(|it| note(it)).collect()).await.unwrap();
        assert!(topic.head() + 1 >= offsets.end && offsets.start >= 1);
    }
    let read = read_some(&mut reader, wanted.len()).await;
    assert!(read.is_sorted_by(|a, b| a.0 < b.0), "offsets grow");
    let of_device = |texts: &mut dyn Iterator<Item = String>, device: &str| {
        let device = format!("{device}-");
        texts.filter(|it| it.starts_with(&device)).collect::<Vec<_>>()
    };
    for device in (0..37).map(|n| format!("d{n}")) {
        let got = of_device(&mut read.iter().map(|(_, text)| text.clone()), &device);
        assert_eq!(got, of_device(&mut wanted.iter().cloned(), &device));
    }
    assert_eq!(read.len(), wanted.len());
    assert_eq!(reader.position(), topic.head() + 1);
    // Another process's view: from any record on, also in the middle of a message.
    log.close().await;
    let log = bench.open().await;
    let topic = log.batched_topic("readings", KEEP_ALL, key).unwrap();
    for at in [0, 1, 17, 2_500, 4_999] {
        assert_eq!(read_all(&topic, read[at].0).await, read[at..]);
    }
}

async fn a_cancelled_reader_loses_nothing(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    topic.append(notes(1, 400)).await.unwrap();
    log.close().await;
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let mut reader = topic.read_from(1);
    let mut read = Vec::new();
    while reader.position() < 400 {
        let polled = {
            let mut next = pin!(reader.next(50));
            poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await
        };
        if let Poll::Ready(entries) = polled {
            read.extend(entries.unwrap());
        } else if let Ok(entries) = timeout(Duration::from_millis(40), reader.next(50)).await {
            // Now and then it gets the time it needs.
            read.extend(entries.unwrap());
        }
    }
    let offsets: Vec<_> = read.iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (1..400).collect::<Vec<_>>());
}

async fn a_time_finds_its_offset(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_eq!(topic.offset_at(0).await.unwrap(), 1);
    let mut times = Vec::new();
    for n in 1..20 {
        times.push(now_ms());
        topic.append(notes(n, n + 1)).await.unwrap();
        // Later ones are stored in a later millisecond.
        let then = now_ms();
        wait_for("the time goes on", async || now_ms() > then + 1).await;
    }
    for (n, time_ms) in (1..).zip(times) {
        assert_eq!(topic.offset_at(time_ms).await.unwrap(), n);
    }
    assert_eq!(topic.offset_at(0).await.unwrap(), 1);
    assert_eq!(topic.offset_at(now_ms() + 3_600_000).await.unwrap(), 20);
    assert_eq!(topic.last().await.unwrap(), 19);
}

#[expect(clippy::disallowed_methods, reason = "compared with the clock of a server")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

async fn lags_are_told(bench: Bench) {
    let log = bench.open().await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let (reader, _idle) = (log.cursor(&topic, "reader").unwrap(), log.cursor(&topic, "idle"));
    topic.append(notes(1, 101)).await.unwrap();
    reader.save(91, Vec::new()).await.unwrap();
    let mut lags = log.lags().await.unwrap();
    lags.sort_by(|a, b| a.cursor.cmp(&b.cursor));
    let told: Vec<_> = lags.iter().map(|it| (it.cursor.as_str(), it.behind)).collect();
    assert_eq!(told, [("idle", 100), ("reader", 10)]);
    assert!(lags.iter().all(|lag| lag.topic == "events"));
}
