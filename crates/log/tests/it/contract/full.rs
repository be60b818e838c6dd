//! Servers whose store is full: they take nothing more and lose nothing, and it heals: by what all
//! have read, or by more room.

use sen_log::{AppendError, nats};

use super::*;
use crate::notebook::{KEEP_ALL, note};

const LARGE_BYTES: usize = 500_000;

/// One that is like no other: what is said twice is kept once.
fn large(number: u64) -> Vec<Note> {
    let mut bytes = format!("d{number}-").into_bytes();
    bytes.resize(LARGE_BYTES, b'7');
    vec![Note(bytes)]
}

/// Appends until the servers refuse; gives how many were taken.
async fn fill(topic: &Topic<Note>) -> u64 {
    for taken in 0..100 {
        match topic.append(large(100 + taken)).await {
            Ok(_) => {}
            Err(AppendError::Full) => return taken,
            Err(error) => panic!("refused otherwise: {error}"),
        }
    }
    panic!("it is never full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_servers_lose_nothing_and_what_all_have_read_makes_room() {
    let server = Server::start_small();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("readings", KEEP_ALL).unwrap();
    let vital = log.vital_topic::<Note>("alerts", KEEP_ALL).unwrap();
    vital.append(vec![note("raised"), note("cleared")]).await.unwrap();
    log.cursor(&vital, "reader").unwrap().save(3, Vec::new()).await.unwrap();
    for number in 0..10 {
        topic.append(large(number)).await.unwrap();
    }
    // It has read five. Another has read nothing, and holds back while there is room.
    log.cursor(&topic, "reader").unwrap().save(6, Vec::new()).await.unwrap();
    log.yielding_cursor(&topic, "archive").unwrap().save(1, Vec::new()).await.unwrap();

    let taken = 10 + fill(&topic).await;
    wait_for("there is room", async || topic.append(vec![note("again")]).await.is_ok()).await;
    assert!((2..=6).contains(&topic.floor()), "gone up to {}", topic.floor());
    let read = read_all(&topic, 6).await;
    let large_ones = read.iter().filter(|(_, text)| text.len() == LARGE_BYTES).count() as u64;
    assert_eq!(large_ones, taken - 5, "all that were acknowledged and not read are there");
    assert_eq!(read.last().unwrap().1, "again");
    assert_eq!(vital.floor(), 1, "this one does not give way");
    assert_eq!(read_all(&vital, 1).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_servers_are_full_the_last_room_is_left_to_what_cannot_wait() {
    let server = Server::start_small();
    let config = nats::Config { monitors: vec![server.monitor()], ..servers::config(1) };
    let log = nats::open(server.client().await, config).await.unwrap();
    let topic = log.batched_topic("readings", KEEP_ALL, key).unwrap();
    let vital = log.vital_topic::<Note>("alerts", KEEP_ALL).unwrap();
    let quarantine = log.topic::<Note>("quarantine", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    cursor.save(1, Vec::new()).await.unwrap();
    let begin = topic.floor();
    // 31 of what would be 32: more than 95 per cent.
    let mut offsets = Vec::new();
    for number in 0..31 {
        offsets.push(topic.append(large(number)).await.unwrap().start);
    }
    wait_for("no more is taken", async || {
        let refused = topic.append(vec![note("more")]).await;
        matches!(refused, Err(AppendError::Full))
    })
    .await;
    vital.append(vec![note("raised")]).await.unwrap();
    quarantine.append(vec![note("refused")]).await.unwrap();
    assert_eq!(topic.floor(), begin, "nobody has read it");
    // The oldest of what was read makes room.
    cursor.save(offsets[20], Vec::new()).await.unwrap();
    wait_for("there is room", async || topic.append(vec![note("again")]).await.is_ok()).await;
    assert!((offsets[1]..=offsets[10]).contains(&topic.floor()), "not more than is needed");
    let rest = read_all(&topic, offsets[20]).await;
    assert_eq!(rest.iter().filter(|(_, text)| text.len() == LARGE_BYTES).count(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_servers_of_which_nothing_may_go_take_again_when_they_have_more_room() {
    let mut server = Server::start_small();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("readings", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    cursor.save(1, b"nothing yet".to_vec()).await.unwrap();
    let taken = fill(&topic).await;
    // Who reads goes on, and is told that its position is not kept.
    assert_eq!(read_all(&topic, 1).await.len() as u64, taken);
    let refused = cursor.save(taken + 1, b"all".to_vec()).await;
    assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
    // Also another process finds all there is.
    let other = open_at(&server).await;
    let there = other.topic::<Note>("readings", KEEP_ALL).unwrap();
    assert_eq!((there.epoch(), there.head()), (topic.epoch(), taken));
    other.close().await;

    server.make_room();
    wait_for("it takes again", async || topic.append(vec![note("again")]).await.is_ok()).await;
    wait_for("the position is kept", async || cursor.save(taken + 1, vec![]).await.is_ok()).await;
    let read = read_all(&topic, 1).await;
    assert_eq!(read.iter().filter(|(_, text)| text.len() == LARGE_BYTES).count() as u64, taken);
    assert_eq!(read.last().unwrap().1, "again");
}
