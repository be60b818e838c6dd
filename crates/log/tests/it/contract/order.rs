//! The order of a device's records when messages are lost on the way.

use super::*;
use crate::notebook::{KEEP_ALL, note};
use crate::proxy::{Proxy, Way};

/// So long that an append does not fit into what is under way on one connection.
const LONG: usize = 2_000;

fn of_device(append: u32) -> Vec<Note> {
    (0..2_000).map(|n| note(&format!("d1-{append:02}-{n:05}-{:x<LONG$}", ""))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_s_records_stay_in_order_when_messages_are_lost() {
    let server = Server::start();
    let proxy = Proxy::start(&server).await;
    let log = Log::over_nats(proxy.client().await, servers::config(1)).await.unwrap();
    let topic = log.writing_batched_topic("readings", KEEP_ALL, key).unwrap();
    let losses =
        [(Way::Astray, 1), (Way::Astray, 4), (Way::Cut, 2), (Way::Astray, 12), (Way::Cut, 9)];
    for (append, (way, lost)) in (0..).zip(losses) {
        proxy.when("PUB sen.in.readings.", lost, way);
        topic.append(of_device(append)).await.unwrap();
        proxy.set(Way::Open);
    }
    let reader = open_at(&server).await;
    let topic = reader.batched_topic("readings", KEEP_ALL, key).unwrap();
    let read = read_all(&topic, 1).await.into_iter().map(|(_, text)| text);
    let heads: Vec<String> = read.map(|text| text[..11].to_owned()).collect();
    assert_eq!(heads.len(), 10_000, "each once");
    assert!(heads.is_sorted(), "and in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_one_partition_travel_together() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = log.batched_topic("readings", KEEP_ALL, key).unwrap();
    let of_many: Vec<Note> = (0..200).map(|n| note(&format!("d{n}-x"))).collect();
    let offsets = topic.append(of_many).await.unwrap();
    let messages = (offsets.end >> 12) - (offsets.start >> 12) + 1;
    // Four partitions, of each a message or two.
    assert!(messages <= 8, "{messages} messages for 200 records");
    assert_eq!(read_all(&topic, 1).await.len(), 200);
}
