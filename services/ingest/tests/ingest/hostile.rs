//! Bad input: nothing dies, nothing is dropped in silence, each has its reason.

use std::collections::BTreeMap;

use sen_model::RejectReason;

use super::support::{NOW_MS, Station, shipped};
use super::wire::{self, Wire, frame, publish_body};

const TOPIC: &str = "sen/v1/stn-1/telemetry";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_mqtt_ends_its_connection_and_nothing_else() {
    let station = Station::start().await;
    let mut witness = Wire::connect(station.address, 5, "witness").await;
    let long_hello = frame(0x10, &[0_u8; 270_000]);
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03],
        &[0xff; 64],
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0x30, 0x00],
        &long_hello,
    ];
    for bytes in garbage {
        let mut socket = tokio::net::TcpStream::connect(station.address).await.unwrap();
        // The other side may hang up before everything is sent.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, bytes).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut socket).await;
        while wire::read_frame(&mut socket).await.is_some() {}
    }
    witness.ping().await;
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_packets_end_their_connection_and_nothing_else() {
    let station = Station::start().await;
    let mut witness = Wire::connect(station.address, 4, "witness").await;
    for version in [4, 5] {
        let bad_topic = {
            let mut body = vec![0, 2, 0xc3, 0x28, 0, 1];
            body.extend(if version == 5 { &b"\0x"[..] } else { b"x" });
            frame(0x32, &body)
        };
        let wildcard = frame(0x32, &publish_body(version, "sen/v1/+/telemetry", b"{}", 2, 1));
        let too_large = frame(0x32, &publish_body(version, TOPIC, &[b' '; 270_000], 2, 1));
        let qos_3 = frame(0x36, &publish_body(version, TOPIC, b"{}", 2, 1));
        for bytes in [bad_topic, wildcard, too_large, qos_3] {
            let mut device = Wire::connect(station.address, version, "dev").await;
            device.send_raw(&bytes).await;
            let mut answers = Vec::new();
            while let Some(answer) = device.next_or_end().await {
                answers.push(answer.kind);
            }
            assert!(!answers.contains(&wire::PUBACK), "acknowledged: {bytes:.20?}");
        }
    }
    witness.ping().await;
    assert_eq!((station.readings.head(), station.quarantine.head()), (0, 0));
    station.stop().await;
}

/// MQTT forbids the packet id 0; the library lets it pass. The promise holds for it too.
#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_packet_id_is_kept_before_it_is_acknowledged() {
    let station = Station::start().await;
    let mut device = Wire::connect(station.address, 4, "dev").await;
    device.publish(TOPIC, b"{\"a\":1}", 1, 0).await;
    assert_eq!(device.next().await.id(), 0);
    assert_eq!(station.readings.head(), 1);
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_payloads_are_acknowledged_from_quarantine_with_their_reason() {
    let station = Station::start().await;
    let deep = "[".repeat(10_000);
    let far = format!(r#"{{"ts":{},"a":1}}"#, NOW_MS + 86_400_000);
    let crowd = format!("[{}]", vec![r#"{"a":1}"#; 1_001].join(","));
    let bad_topic = "sen/v1/Bad Name/telemetry";
    // Over the limit on payloads and under the one on packets.
    let large = [b"{\"a\":1}".as_slice(), &[b' '; 65_536]].concat();
    use RejectReason as R;
    let corpus: Vec<(&str, &[u8], R)> = vec![
        (TOPIC, b"\xff\xfe\x00", R::NotUtf8),
        (TOPIC, b"", R::BadJson),
        (TOPIC, b"{\"a\":", R::BadJson),
        (TOPIC, deep.as_bytes(), R::BadJson),
        (TOPIC, b"{\"a\":NaN}", R::BadJson),
        (TOPIC, b"{\"a\":1,\"a\":2}", R::BadJson),
        (TOPIC, b"{\"a\":1e400}", R::BadValue),
        (TOPIC, b"{\"a\":-1e13}", R::BadValue),
        (TOPIC, b"{\"a b\":1}", R::BadName),
        (bad_topic, b"{\"a\":1}", R::BadName),
        (TOPIC, b"[]", R::BadShape),
        (TOPIC, far.as_bytes(), R::TooFarAhead),
        (TOPIC, br#"{"ts":1795392000,"a":1}"#, R::TooOld),
        (TOPIC, crowd.as_bytes(), R::TooMany),
        (TOPIC, &large, R::TooLarge),
        ("sen/v1/sen-centre/telemetry", b"{\"records_damaged\":0}", R::ReservedTopic),
    ];
    for version in [4, 5] {
        let mut device = Wire::connect(station.address, version, "dev").await;
        for (id, (topic, payload, _)) in corpus.iter().enumerate() {
            device.publish(topic, payload, 1, id as u16 + 1).await;
            let answer = device.next().await;
            assert_eq!((answer.kind, answer.id()), (wire::PUBACK, id as u16 + 1));
        }
    }
    let reasons: Vec<R> = corpus.iter().map(|(_, _, reason)| *reason).collect();
    assert_eq!(station.reasons().await, [reasons.clone(), reasons].concat());
    assert_eq!(station.readings.head(), 0);
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_new_series_costs_quarantine_and_not_memory() {
    let mut config = shipped();
    config.max_series = 300;
    let station = Station::with(config, Default::default()).await;
    let mut flood = Wire::connect(station.address, 4, "flood").await;
    let (devices, metrics) = (400_u64, 50_u64);
    for device in 0..devices {
        let members: Vec<String> = (0..metrics).map(|m| format!("\"m{device}_{m}\":1")).collect();
        let payload = format!("{{{}}}", members.join(","));
        let topic = format!("sen/v1/dev-{device}/telemetry");
        flood.publish(&topic, payload.as_bytes(), 1, device as u16 + 1).await;
        assert_eq!(flood.next().await.kind, wire::PUBACK);
    }
    let kept: usize = station.kept().await.iter().map(|batch| batch.readings.len()).sum();
    assert_eq!(kept, 300);
    let mut counts = BTreeMap::new();
    for reason in station.reasons().await {
        *counts.entry(reason).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(RejectReason::TooManySeries, 394)]));
    // A series that was let in before goes on.
    flood.publish("sen/v1/dev-0/telemetry", b"{\"m0_0\":2}", 1, 1).await;
    assert_eq!(flood.next().await.kind, wire::PUBACK);
    assert_eq!(station.kept().await.last().unwrap().readings[0].value, 2.0);
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_invented_devices_with_events_costs_quarantine_and_not_memory() {
    let mut config = shipped();
    config.max_series = 100;
    let station = Station::with(config, Default::default()).await;
    let mut crowd = Wire::connect(station.address, 4, "crowd").await;
    for device in 0..300_u16 {
        let topic = format!("sen/v1/cam-{device}/event");
        crowd.publish(&topic, b"{\"kind\":\"crowd\"}", 1, device + 1).await;
        assert_eq!(crowd.next().await.kind, wire::PUBACK);
    }
    assert_eq!(station.events.head(), 100);
    assert_eq!(station.reasons().await, [RejectReason::TooManySeries; 200]);
    station.stop().await;
}
