//! The endpoint and the promise behind its acknowledgements.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc;

use sen_model::RejectReason;

use super::support::{NOW_MS, PATIENCE, Station, all, shipped, wait_for};
use super::wire::{self, Wire};

const VERSIONS: [u8; 2] = [4, 5];
const TOPIC: &str = "sen/v1/stn-1/telemetry";

/// Holds the disk of a topic back: its `fdatasync` waits for [`Held::let_go`].
struct Held {
    name: String,
    reached: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl Held {
    fn sync_of(topic: &str) -> Self {
        let (reached_tx, reached) = mpsc::channel();
        let (go, go_rx) = mpsc::channel::<()>();
        let (reached_tx, go_rx) = (Mutex::new(reached_tx), Mutex::new(go_rx));
        let name = format!("log::sync::{topic}");
        fail::cfg_callback(&name, move || {
            let _ = reached_tx.lock().unwrap().send(());
            let _ = go_rx.lock().unwrap().recv();
        })
        .unwrap();
        Self { name, reached, go }
    }

    /// Returns when the disk is waiting.
    fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).unwrap();
    }

    fn let_go(self) {
        fail::remove(&self.name);
        drop(self.go);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_puback_means_it_is_on_disk() {
    for version in VERSIONS {
        for qos in [1, 2] {
            let station = Station::start().await;
            let held = Held::sync_of(&format!("readings-{}", station.tag));
            let mut device = Wire::connect(station.address, version, "dev").await;
            device.publish(TOPIC, br#"{"level_m":1.5}"#, qos, 9).await;
            tokio::task::block_in_place(|| held.wait());
            assert!(device.is_quiet().await, "an answer before the disk");
            assert_eq!(station.readings.head(), 0);
            held.let_go();
            let answer = device.next().await;
            let wanted = if qos == 1 { wire::PUBACK } else { wire::PUBREC };
            assert_eq!((answer.kind, answer.id()), (wanted, 9));
            assert_eq!(station.readings.head(), 1, "on disk when the answer came");
            if qos == 2 {
                device.send(0x62, &[0, 9]).await;
                let done = device.next().await;
                assert_eq!((done.kind, done.id()), (wire::PUBCOMP, 9));
            }
            assert_eq!(station.kept().await[0].readings[0].value, 1.5);
            station.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_is_on_disk_before_its_puback_too() {
    let station = Station::start().await;
    let held = Held::sync_of(&format!("quarantine-{}", station.tag));
    let mut device = Wire::connect(station.address, 4, "dev").await;
    device.publish(TOPIC, b"not json", 1, 9).await;
    tokio::task::block_in_place(|| held.wait());
    assert!(device.is_quiet().await, "an answer before the disk");
    held.let_go();
    assert_eq!(device.next().await.kind, wire::PUBACK);
    assert_eq!(station.reasons().await, [RejectReason::BadJson]);
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pubacks_come_in_the_order_of_arrival() {
    for version in VERSIONS {
        let station = Station::start().await;
        let mut device = Wire::connect(station.address, version, "dev").await;
        let ids: Vec<u16> = (1..=300).map(|n| (n * 37) % 65_521 + 1).collect();
        for (n, id) in ids.iter().enumerate() {
            // Every third goes to quarantine: another topic of the log, the same order of answers.
            let payload = if n % 3 == 0 { "?".to_owned() } else { format!(r#"{{"a":{n}}}"#) };
            device.publish(TOPIC, payload.as_bytes(), 1, *id).await;
        }
        for id in ids {
            let answer = device.next().await;
            assert_eq!((answer.kind, answer.id()), (wire::PUBACK, id));
        }
        let values: Vec<f64> =
            station.kept().await.iter().map(|batch| batch.readings[0].value).collect();
        assert_eq!(values.len() + station.reasons().await.len(), 300);
        assert!(values.is_sorted(), "the log has the order of arrival");
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acknowledgements_and_heals_by_itself() {
    let station = Station::start().await;
    let space = format!("log::space::readings-{}", station.tag);
    fail::cfg(&space, "return(full)").unwrap();
    let mut device = Wire::connect(station.address, 4, "dev").await;
    device.publish(TOPIC, br#"{"a":1}"#, 1, 1).await;
    station.wait_for_health("ingest", false).await;
    assert!(device.is_quiet().await, "an answer from a full disk");
    // Who comes now waits at the door, instead of taking a place it could not use.
    let address = station.address;
    let newcomer = Wire::connect(address, 4, "newcomer");
    tokio::pin!(newcomer);
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut newcomer).await;
    assert!(early.is_err(), "accepted while the log takes nothing");
    fail::remove(&space);
    newcomer.await.ping().await;
    assert_eq!(device.next().await.kind, wire::PUBACK);
    station.wait_for_health("ingest", true).await;
    assert!(station.kept().await.iter().any(|batch| batch.readings[0].value == 1.0));
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_overload_the_socket_is_not_read_and_qos_0_is_not_dropped() {
    let mut config = shipped();
    config.queue_packets = 4;
    config.max_payload_bytes = 4_096;
    config.queue_bytes = 8_192;
    let station = Station::with(config, Default::default()).await;
    let held = Held::sync_of(&format!("readings-{}", station.tag));
    let mut device = Wire::connect(station.address, 4, "dev").await;
    // Far more than the queue, the library's buffer and the kernel's socket buffers hold together.
    let filler = " ".repeat(3_000);
    let total = 10_000_u64;
    let mut sent = 0;
    let stuck = async {
        while sent < total {
            let payload = format!(r#"{{"a":{sent}}}{filler}"#);
            device.publish(TOPIC, payload.as_bytes(), 0, 0).await;
            sent += 1;
        }
    };
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(3), stuck).await.is_err();
    assert!(stopped && sent < total, "the sender was never held up: {sent}");
    let mut other = Wire::connect(station.address, 4, "other").await;
    other.ping().await;
    held.let_go();
    // The send that was cut off in the middle ends its connection; what came before it is all kept.
    drop(device);
    wait_for("what was sent whole is kept", || station.readings.head() >= sent).await;
    let kept = station.kept().await;
    let values: Vec<u64> = kept.iter().map(|batch| batch.readings[0].value as u64).collect();
    assert_eq!(values, (0..sent).collect::<Vec<_>>());
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_payload_becomes_readings_and_events() {
    let station = Station::start().await;
    let mut device = Wire::connect(station.address, 5, "gateway").await;
    let timed = format!(r#"{{"ts":{},"values":{{"a":1,"b":2}},"seq":7}}"#, NOW_MS - 1_000);
    let list = format!(r#"[{timed},{{"c":3}}]"#);
    let event = r#"{"kind":"crowd","id":"e-1","text":"Đông người"}"#;
    device.publish(TOPIC, timed.as_bytes(), 1, 1).await;
    device.publish(TOPIC, list.as_bytes(), 1, 2).await;
    device.publish("sen/v1/cam-1/event", event.as_bytes(), 1, 3).await;
    for _ in 0..3 {
        assert_eq!(device.next().await.kind, wire::PUBACK);
    }
    let kept = station.kept().await;
    let first = &kept[0].readings[0];
    assert_eq!((first.event_time.as_millis(), first.sequence), (NOW_MS - 1_000, 7));
    assert_eq!(kept[1].readings.len(), 3);
    assert_eq!(kept[1].readings[2].event_time.as_millis(), NOW_MS, "the time of arrival");
    let events = all(&station.events).await;
    assert_eq!((events[0].id.as_str(), events[0].text.as_str()), ("e-1", "Đông người"));
    assert_eq!(station.quarantine.head(), 0);
    station.stop().await;
}

/// The clock of the station stands still: everything arrives in one millisecond.
#[tokio::test(flavor = "multi_thread")]
async fn what_carries_no_time_is_kept_as_often_as_it_is_acknowledged() {
    let station = Station::start().await;
    let mut device = Wire::connect(station.address, 4, "dev").await;
    for (id, payload) in [(1, r#"[{"a":1},{"a":1}]"#), (2, r#"{"a":1}"#), (3, r#"{"a":1}"#)] {
        device.publish(TOPIC, payload.as_bytes(), 1, id).await;
        assert_eq!(device.next().await.kind, wire::PUBACK);
    }
    let event = br#"{"kind":"crowd"}"#;
    for id in [4, 5] {
        device.publish("sen/v1/cam-1/event", event, 1, id).await;
        assert_eq!(device.next().await.kind, wire::PUBACK);
    }
    let kept = station.kept().await;
    let readings = kept.iter().flat_map(|batch| &batch.readings);
    let identities: BTreeSet<_> = readings.map(|one| (one.event_time, one.sequence)).collect();
    assert_eq!(identities.len(), 4);
    let events: BTreeSet<_> = all(&station.events).await.into_iter().map(|one| one.id).collect();
    assert_eq!(events.len(), 2);
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sen_publishes_only_where_clients_may_listen_and_within_its_bound() {
    let mut config = shipped();
    config.max_retained = 2;
    let station = Station::with(config, Default::default()).await;
    for topic in ["sen/v1/stn-1/telemetry", "$SYS/x", "sen/v1/alerts/#", "other"] {
        assert!(station.publisher.publish(topic, b"x".to_vec()).await.is_err(), "{topic}");
    }
    for topic in ["sen/v1/alerts/1/a", "sen/v1/alerts/1/b", "sen/v1/alerts/1/a"] {
        station.publisher.publish(topic, b"x".to_vec()).await.unwrap();
    }
    assert!(station.publisher.publish("sen/v1/alerts/1/c", b"x".to_vec()).await.is_err());
    station.publisher.publish("sen/v1/alerts/1/a", Vec::new()).await.unwrap();
    station.publisher.publish("sen/v1/alerts/1/c", b"x".to_vec()).await.unwrap();
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_goes_to_quarantine_and_is_acknowledged() {
    for version in VERSIONS {
        let station = Station::start().await;
        let mut device = Wire::connect(station.address, version, "dev").await;
        device.publish("tele/x/STATE", b"{\"POWER\":\"ON\"}", 1, 5).await;
        assert_eq!(device.next().await.kind, wire::PUBACK);
        let record = all(&station.quarantine).await.remove(0);
        assert_eq!(record.reason, RejectReason::UnknownTopic);
        assert_eq!((record.client.as_str(), record.topic.as_str()), ("dev", "tele/x/STATE"));
        assert_eq!(record.payload, b"{\"POWER\":\"ON\"}");
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_bound() {
    let mut config = shipped();
    config.max_connections = 2;
    let station = Station::with(config, Default::default()).await;
    let first = Wire::connect(station.address, 4, "a").await;
    let mut second = Wire::connect(station.address, 4, "b").await;
    let mut third = tokio::net::TcpStream::connect(station.address).await.unwrap();
    assert!(wire::read_frame(&mut third).await.is_none(), "closed at once");
    second.ping().await;
    first.disconnect().await;
    let mut tries = 0;
    wait_until_welcome(&station, &mut tries).await;
    station.stop().await;
}

async fn wait_until_welcome(station: &Station, tries: &mut u32) {
    let welcome = async {
        loop {
            *tries += 1;
            let mut socket = tokio::net::TcpStream::connect(station.address).await.unwrap();
            let hello = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, b'c'];
            let sent = tokio::io::AsyncWriteExt::write_all(&mut socket, &hello).await;
            if sent.is_ok() && wire::read_frame(&mut socket).await.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, welcome).await.expect("a place becomes free");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_keeps_everything_that_was_heard() {
    let station = Station::start().await;
    let mut device = Wire::connect(station.address, 4, "dev").await;
    for value in 0..500 {
        device.publish(TOPIC, format!(r#"{{"a":{value}}}"#).as_bytes(), 0, 0).await;
    }
    // The answer to a ping says that everything before it was read.
    device.ping().await;
    let readings = station.readings.clone();
    station.stop().await;
    assert_eq!(readings.head(), 500);
    assert!(device.next_or_end().await.is_none_or(|frame| frame.kind == wire::DISCONNECT));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_with_a_full_disk_ends_and_acknowledges_nothing() {
    let station = Station::start().await;
    let space = format!("log::sync::readings-{}", station.tag);
    fail::cfg(&space, "return(full)").unwrap();
    let mut device = Wire::connect(station.address, 4, "dev").await;
    device.publish(TOPIC, br#"{"a":1}"#, 1, 1).await;
    station.wait_for_health("ingest", false).await;
    station.stop().await;
    assert!(device.next_or_end().await.is_none(), "no acknowledgement");
    fail::remove(&space);
}
