//! The servers the roles stand on, started from the files of the deployment.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream;
use sen_tests::centre::root;
use sen_tests::cluster::{Apart, BROKER, Shape};
use sen_tests::container::syncs_always;
use sen_tests::nats::Nats;
use sen_tests::wait_for;

use crate::text;

#[test]
fn durable_conf_says_one_thing_and_nothing_else_is_left_out() {
    let file = text("deploy/nats/durable.conf");
    let lines: Vec<&str> =
        file.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(lines, ["sync_interval: always"]);
    let tried = Command::new("nats-server")
        .args(["-t", "-c", "deploy/nats/cluster.conf"])
        .current_dir(root())
        .output()
        .unwrap();
    if syncs_always().unwrap() {
        assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    } else {
        let told = String::from_utf8_lossy(&tried.stderr).into_owned();
        assert!(told.contains("unknown field \"sync_interval\""), "{told}");
        println!("this machine's NATS is before 2.10: the stories run without durable.conf");
    }
}

async fn readings(nats: &Nats, replicas: usize) -> jetstream::Context {
    // A server that stands still is noticed within seconds; by default it takes two minutes.
    let options = async_nats::ConnectOptions::new().ping_interval(Duration::from_secs(1));
    let client = options.connect(nats.urls()).await.unwrap();
    let jetstream = jetstream::new(client);
    let config = jetstream::stream::Config {
        name: "sen-readings".into(),
        subjects: vec!["sen.readings.>".into()],
        num_replicas: replicas,
        ..Default::default()
    };
    wait_for("the stream to be made", async || {
        jetstream.get_or_create_stream(config.clone()).await.ok()
    })
    .await;
    jetstream
}

/// Publishes one message; gives its sequence once it is acknowledged.
async fn publish(jetstream: &jetstream::Context, bucket: u32, id: &str) -> u64 {
    wait_for("a message to be acknowledged", async || {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let subject = format!("sen.in.readings.{bucket}");
        let sent = jetstream.publish_with_headers(subject, headers, id.to_owned().into()).await;
        Some(sent.ok()?.await.ok()?.sequence)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mapping_puts_every_bucket_into_one_of_four_partitions_of_one_stream() {
    let nats = Nats::start(1).await.unwrap();
    let jetstream = readings(&nats, 1).await;
    let stream =
        wait_for("the stream", async || jetstream.get_stream("sen-readings").await.ok()).await;
    let mut partitions = BTreeSet::new();
    for bucket in 0..64 {
        let sequence = publish(&jetstream, bucket, &format!("first-{bucket}")).await;
        assert_eq!(sequence, u64::from(bucket) + 1, "one order for all of them");
        let read = async || stream.get_raw_message(sequence).await.ok();
        let message = wait_for("a message to be read", read).await;
        let subject = message.subject.to_string();
        let [_, _, partition, last] = subject.split('.').collect::<Vec<_>>()[..] else {
            panic!("{subject}")
        };
        assert_eq!(last, bucket.to_string());
        partitions.insert(partition.to_owned());
        // The same bucket always goes to the same place.
        let again = publish(&jetstream, bucket, &format!("first-{bucket}")).await;
        assert_eq!(again, sequence, "a repeat changes nothing");
    }
    assert_eq!(partitions, ["0", "1", "2", "3"].map(String::from).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_or_paused_takes_nothing_that_was_acknowledged() {
    let mut nats = Nats::start(3).await.unwrap();
    let jetstream = readings(&nats, 3).await;
    let mut sent = Vec::new();
    for round in 0..3 {
        for number in 0..20 {
            let id = format!("{round}-{number}");
            sent.push((publish(&jetstream, number, &id).await, id));
        }
        match round {
            // On the same store, on the same ports.
            0 => {
                let leader = wait_for("a leader", async || nats.leader().await).await;
                nats.server(leader).kill();
                sent.push((publish(&jetstream, 7, "one-is-gone").await, "one-is-gone".into()));
                nats.server(leader).start().unwrap();
            }
            1 => {
                nats.server(1).pause().unwrap();
                sent.push((publish(&jetstream, 7, "one-stands").await, "one-stands".into()));
                nats.server(1).resume().unwrap();
            }
            _ => drop(nats.server(2).terminate().unwrap()),
        }
        nats.ready().await;
    }
    for (sequence, id) in sent {
        let message = wait_for("a message to be read", async || {
            let stream = jetstream.get_stream("sen-readings").await.ok()?;
            stream.get_raw_message(sequence).await.ok()
        })
        .await;
        assert_eq!(&message.payload[..], id.as_bytes(), "at {sequence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_of_the_compose_file_start_with_its_arguments_and_files() {
    let shape = Shape { broker: true, ..Shape::default() };
    let mut apart = Apart::prepare(&shape).unwrap();
    assert_eq!(apart.names().count(), 3 + 1 + 1 + 10);
    apart.start_servers().await.unwrap();
    let client = async_nats::connect(apart.nats()).await.unwrap();
    assert_eq!(client.server_info().max_payload, 2 * 1024 * 1024);
    // Sen subscribes to the very broker that runs.
    let sources =
        std::fs::read_to_string(apart.part("ingest-1").unwrap().path("/etc/sen/sources.toml"))
            .unwrap();
    let broker = apart.part(BROKER).unwrap().address(1883);
    let port = broker.rsplit(':').next().unwrap();
    assert!(sources.contains(&format!("port = {port}")), "{sources}");
    // And each of them comes back.
    for name in ["nats-2", "victoria-metrics", "mosquitto"] {
        let part = apart.part_mut(name).unwrap();
        part.terminate().unwrap();
        assert!(!part.healthy().await, "{name} is well though it is gone");
        part.start().unwrap();
        part.well().await;
    }
}
