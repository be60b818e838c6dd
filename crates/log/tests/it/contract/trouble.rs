//! What goes wrong between machines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sen_log::{AppendError, Durability, OpenError, ReadError, nats};

use super::*;
use crate::notebook::{KEEP_ALL, note};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_server_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start();
    let (ingest, alert) = (open_at(&server).await, open_at(&server).await);
    let topic = ingest.topic::<Note>("events", KEEP_ALL).unwrap();
    let followed = alert.topic::<Note>("events", KEEP_ALL).unwrap();
    let cursor = alert.cursor(&followed, "alert").unwrap();
    let (stops, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writer = tokio::task::JoinSet::new();
    writer.spawn({
        let (stops, acknowledged) = (Arc::clone(&stops), Arc::clone(&acknowledged));
        async move {
            let mut kept = Vec::new();
            while !stops.load(Ordering::SeqCst) {
                let number = acknowledged.load(Ordering::SeqCst);
                let offsets = topic.append(vec![note(&number.to_string())]).await.unwrap();
                kept.push((offsets.start, number.to_string()));
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            kept
        }
    });
    let mut reader = followed.read_from(1);
    let mut read = Vec::new();
    for round in 1..4 {
        let more = acknowledged.load(Ordering::SeqCst) + 50;
        wait_for("appends go on", async || acknowledged.load(Ordering::SeqCst) >= more).await;
        server.kill();
        if round == 2 {
            sleep(Duration::from_millis(1_500)).await;
        }
        server.start_again();
        read.extend(read_some(&mut reader, 20).await);
    }
    let more = acknowledged.load(Ordering::SeqCst) + 50;
    wait_for("appends go on", async || acknowledged.load(Ordering::SeqCst) >= more).await;
    stops.store(true, Ordering::SeqCst);
    let kept = writer.join_next().await.unwrap().unwrap();
    let missing = kept.len() - read.len();
    read.extend(read_some(&mut reader, missing).await);
    assert_eq!(read, kept, "every record once, in order, and none that was not appended");
    assert_eq!(read_all(&followed, 1).await, kept);
    cursor.save(reader.position(), b"here".to_vec()).await.unwrap();
    assert_eq!(cursor.load().unwrap().unwrap().next, reader.position());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_survives_kill_9_of_the_server() {
    let mut server = Server::start();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("alerts", KEEP_ALL).unwrap();
    topic.own().await.unwrap();
    let mut wanted = Vec::new();
    for round in 0..3 {
        let batches = (0..40).map(|n| (0..10).map(|it| format!("{round}-{n}-{it}")).collect());
        let batches: Vec<Vec<String>> = batches.collect();
        wanted.extend(batches.iter().flatten().cloned());
        let appends = async {
            for batch in &batches {
                topic.append(batch.iter().map(|it| note(it)).collect()).await.unwrap();
            }
        };
        let kill = async {
            sleep(Duration::from_millis(20)).await;
            server.kill();
            server.start_again();
        };
        tokio::join!(appends, kill);
    }
    let read = read_all(&topic, 1).await.into_iter().map(|(_, text)| text);
    assert_eq!(read.collect::<Vec<_>>(), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_mapping_is_told_what_to_do() {
    let server = Server::start_unmapped();
    let log = open_at(&server).await;
    let topic = log.batched_topic("readings", KEEP_ALL, key).unwrap();
    let refused = topic.append(vec![note("d1-a")]).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unmapped(_)), "{refused}");
    assert!(refused.to_string().contains("no mapping for `sen.in.readings."), "{refused}");
    assert!(refused.to_string().contains("docs/operations.md"), "{refused}");
    // Other topics need none.
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    topic.append(vec![note("a")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_with_more_partitions_than_anybody_reads_is_refused() {
    let server = Server::start_with_more_partitions();
    let log = open_at(&server).await;
    let Err(refused) = log.batched_topic("readings", KEEP_ALL, key) else { panic!("taken") };
    assert!(matches!(refused, OpenError::BadSetting(_)), "{refused}");
    assert!(refused.to_string().contains("cluster.partitions is 4"), "{refused}");
    // To look whether it fits leaves nothing behind.
    let server = Server::start();
    let log = open_at(&server).await;
    log.batched_topic("readings", KEEP_ALL, key).unwrap();
    let view = log.partition_topic::<Note>("readings", 0, KEEP_ALL).unwrap();
    assert_eq!(view.head(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_anew_ends_everybody_loudly() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    topic.append(vec![note("a"), note("b")]).await.unwrap();
    cursor.save(2, b"old".to_vec()).await.unwrap();
    let epoch = topic.epoch();
    let jetstream = async_nats::jetstream::new(server.client().await);
    jetstream.delete_stream("sen-events").await.unwrap();
    let mut reader = topic.read_from(3);
    let ended = timeout(PATIENCE, reader.next(1)).await.unwrap();
    assert!(matches!(ended, Err(ReadError::Renewed(_))), "{ended:?}");
    let refused = topic.append(vec![note("c")]).await;
    assert!(matches!(refused, Err(AppendError::Fenced(_))), "{refused:?}");
    // Whoever starts again finds another epoch, and the old cursor belongs to none.
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_ne!(topic.epoch(), epoch);
    assert_eq!(log.cursor(&topic, "reader").unwrap().load().unwrap(), None);
    assert_eq!(topic.append(vec![note("new")]).await.unwrap(), 1..2);
}

/// A cursor of the topic `events` that has seen the head at 5.
async fn cursor_beyond(server: &Server, epoch: &sen_log::Epoch) {
    let jetstream = async_nats::jetstream::new(server.client().await);
    let cursors = jetstream.get_object_store("sen-cursors").await.unwrap();
    let words = [("epoch", epoch.0.clone()), ("next", "3".to_owned()), ("head", "5".to_owned())];
    let metadata = async_nats::jetstream::object_store::ObjectMetadata {
        name: "events/reader".to_owned(),
        metadata: words.map(|(key, value)| (key.to_owned(), value)).into(),
        ..Default::default()
    };
    cursors.put(metadata, &mut &b""[..]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_shorter_than_a_cursor_has_seen_begins_a_new_epoch() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let epoch = topic.epoch();
    log.close().await;
    // As if the stream had been restored from an older copy.
    cursor_beyond(&server, &epoch).await;
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_ne!(topic.epoch(), epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_still_applying_what_it_has_is_waited_for() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let epoch = topic.epoch();
    log.close().await;
    cursor_beyond(&server, &epoch).await;
    let log = open_at(&server).await;
    let jetstream = async_nats::jetstream::new(server.client().await);
    let opening = tokio::task::spawn_blocking(move || log.topic::<Note>("events", KEEP_ALL));
    for _ in 0..5 {
        sleep(Duration::from_millis(300)).await;
        assert!(!opening.is_finished(), "nothing is believed yet");
        jetstream.publish("sen.events.record", "n".into()).await.unwrap().await.unwrap();
    }
    let topic = timeout(PATIENCE, opening).await.expect("it opens").unwrap().unwrap();
    assert_eq!(topic.epoch(), epoch);
    wait_for("all of it is seen", async || topic.head() == 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_server_proves_nothing_and_says_what_to_change() {
    let server = Server::start();
    let monitors = vec![server.monitor()];
    let config = nats::Config { monitors, ..servers::config(1) };
    let log = nats::open(server.client().await, config).await.unwrap();
    let Durability::BestEffort(why) = log.durability() else { panic!("proven") };
    assert!(why.contains("cluster.replicas = 3"), "{why}");
    assert_eq!(*log.watch_durability().borrow(), log.durability());
    let wrong = nats::Config { name: "A.b".to_owned(), ..servers::config(1) };
    assert!(nats::open(server.client().await, wrong).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_read_in_small_steps_gets_to_its_end() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    topic.append(vec![note("a"), note("b")]).await.unwrap();
    // Another process has nothing in memory: it asks the server.
    let topic = open_at(&server).await.topic::<Note>("events", KEEP_ALL).unwrap();
    let mut reader = topic.read_from(1);
    let impatient = async {
        loop {
            tokio::select! {
                biased;
                read = reader.next(10) => return read.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let read = timeout(PATIENCE, impatient).await.unwrap();
    assert_eq!(read.iter().map(|entry| text(&entry.record)).collect::<Vec<_>>(), ["a", "b"]);
}
