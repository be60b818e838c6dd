//! Three servers that keep every record together: one may go.

use futures_util::StreamExt;
use sen_log::{AppendError, Durability, nats};

use super::*;
use crate::notebook::{KEEP_ALL, note};
use crate::servers::{cluster, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_a_leader_loses_nothing_and_appends_go_on() {
    let mut servers = cluster();
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let monitors = servers.iter().map(Server::monitor).collect();
    let config = nats::Config { monitors, ..servers::config(3) };
    let log = nats::open(connect(&urls).await, config.clone()).await.unwrap();
    let Durability::BestEffort(why) = log.durability() else { panic!("proven") };
    assert!(why.contains("server"), "{why}");
    let topic = log.batched_topic("readings", KEEP_ALL, key).unwrap();
    let events = log.topic::<Note>("events", KEEP_ALL).unwrap();
    events.own().await.unwrap();
    let cursor = log.cursor(&events, "reader").unwrap();
    let mut wanted = Vec::new();
    for round in 0..30 {
        if round == 10 {
            let jetstream = async_nats::jetstream::new(connect(&urls).await);
            let mut leader = None;
            wait_for("the stream has a leader", async || {
                let Ok(stream) = jetstream.get_stream("sen-readings").await else { return false };
                leader = stream.cached_info().cluster.as_ref().and_then(|it| it.leader.clone());
                leader.is_some()
            })
            .await;
            let leader = leader.unwrap();
            let leader = servers.iter_mut().find(|server| server.name() == leader).unwrap();
            leader.kill();
        }
        let records: Vec<String> = (0..50).map(|n| format!("d{n}-{round}")).collect();
        topic.append(records.iter().map(|it| note(it)).collect()).await.unwrap();
        events.append(vec![note(&round.to_string())]).await.unwrap();
        cursor.save(events.head() + 1, vec![7; 200_000]).await.unwrap();
        wanted.extend(records);
    }
    let mut read: Vec<_> = read_all(&topic, 1).await.into_iter().map(|(_, text)| text).collect();
    read.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(read, wanted);
    let numbers = read_all(&events, 1).await;
    assert_eq!(numbers, (0..30).map(|n| (n + 1, n.to_string())).collect::<Vec<_>>());
    // Another process finds the same.
    let log = nats::open(connect(&urls).await, config).await.unwrap();
    let again = log.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_eq!((again.epoch(), again.head()), (events.epoch(), 30));
    assert_eq!(read_all(&again, 1).await, numbers);
    let taken = log.cursor(&again, "reader").unwrap();
    let checkpoint = taken.load().unwrap().unwrap();
    assert_eq!((checkpoint.next, checkpoint.state.len()), (31, 200_000));
    // It has the cursor now.
    for n in 0..5 {
        let refused = cursor.save(31, vec![7; 200_000]).await;
        assert!(matches!(refused, Err(AppendError::Fenced(_))), "{refused:?}");
        taken.save(31, vec![n; 300_000]).await.unwrap();
    }
    assert_eq!(taken.load().unwrap().unwrap().state, vec![4; 300_000]);
}

/// As long as it takes to notice that a stream is not what it was, and a little more.
const NOTICED: std::time::Duration = std::time::Duration::from_secs(13);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_make_a_topic_at_once_have_it_in_one_life() {
    let servers = cluster();
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let watching = connect(&urls).await;
    let mut made = watching.subscribe("$JS.API.STREAM.CREATE.*").await.unwrap();
    let mut logs = Vec::new();
    for _ in 0..3 {
        logs.push(nats::open(connect(&urls).await, servers::config(3)).await.unwrap());
    }
    let mut opening = tokio::task::JoinSet::new();
    for (log, number) in logs.iter().flat_map(|log| (0..16).map(move |number| (log, number))) {
        let (log, name) = (log.clone(), format!("t{number}"));
        opening.spawn_blocking(move || log.topic::<Note>(&name, KEEP_ALL).unwrap());
    }
    let mut epochs = std::collections::BTreeMap::new();
    let mut reading = tokio::task::JoinSet::new();
    while let Some(topic) = opening.join_next().await {
        let topic = topic.unwrap();
        let epoch = epochs.entry(topic.name().to_owned()).or_insert_with(|| topic.epoch());
        assert_eq!(*epoch, topic.epoch());
        reading.spawn(async move { timeout(NOTICED, topic.read_from(1).next(1)).await });
    }
    while let Some(read) = reading.join_next().await {
        let read = read.unwrap();
        assert!(read.is_err(), "nothing came and nothing ended, but {read:?}");
    }
    // Two who make a stream at once are told different times, now or when a server starts again.
    let mut asked = Vec::new();
    while let Ok(Some(message)) = timeout(std::time::Duration::ZERO, made.next()).await {
        asked
            .extend(message.subject.strip_prefix("$JS.API.STREAM.CREATE.sen-t").map(str::to_owned));
    }
    asked.sort();
    let count = asked.len();
    asked.dedup();
    assert_eq!((asked.len(), count), (16, 16), "each stream was made once");
}
