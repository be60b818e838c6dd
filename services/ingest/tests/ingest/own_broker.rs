//! Behind a broker of our own making, which does what a real one does only at the worst moment:
//! gives the same packet id twice in two connections, sends a whole backlog at once, sends what is
//! too large.

use sen_ingest::Sources;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::support::{PATIENCE, Station, shipped, wait_for};
use super::wire::{self, frame, publish_body, read_frame};

const TOPIC: &str = "sen/v1/stn-1/telemetry";

/// A station that hears nobody but the broker behind `listener`.
async fn station_behind(listener: &TcpListener, more: &str) -> Station {
    let port = listener.local_addr().unwrap().port();
    let sources = Sources::parse(&format!(
        "[[broker]]\nname = 'fake'\nhost = '127.0.0.1'\nport = {port}\nclient_id = 'sen'\n\
         filters = ['sen/v1/+/telemetry']\n{more}\n"
    ))
    .unwrap();
    let mut config = shipped();
    config.listen = "off".into();
    Station::with(config, sources).await
}

/// Accepts a connection, answers CONNECT and SUBSCRIBE, and is then ours.
async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap();
    let (mut stream, _) = accepted.unwrap();
    let hello = read_frame(&mut stream).await.unwrap();
    assert_eq!((hello.kind, hello.body[7] & 2), (1, 0), "a persistent session");
    stream.write_all(&frame(0x20, &[0, 0])).await.unwrap();
    let subscribe = read_frame(&mut stream).await.unwrap();
    assert_eq!(subscribe.kind, 8, "no session here, so it subscribes again");
    let [high, low] = subscribe.id().to_be_bytes();
    stream.write_all(&frame(0x90, &[high, low, 1])).await.unwrap();
    stream
}

async fn send(stream: &mut TcpStream, payload: &str, id: u16) {
    let body = publish_body(4, TOPIC, payload.as_bytes(), 2, id);
    stream.write_all(&frame(0x32, &body)).await.unwrap();
}

/// The next acknowledged id; pings are answered.
async fn next_ack(stream: &mut TcpStream) -> u16 {
    loop {
        let next = tokio::time::timeout(PATIENCE, read_frame(stream)).await.unwrap().unwrap();
        match next.kind {
            wire::PUBACK => return next.id(),
            12 => stream.write_all(&frame(0xd0, &[])).await.unwrap(),
            other => panic!("unexpected packet {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_never_crosses_a_reconnect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let station = station_behind(&listener, "").await;
    let disk = format!("log::sync::readings-{}", station.tag);

    // The disk fails while `old` waits, so `old` is not acknowledged; then the connection breaks.
    let mut first = accept(&listener).await;
    fail::cfg(&disk, "return").unwrap();
    send(&mut first, r#"{"old":1}"#, 1).await;
    station.wait_for_health("ingest", false).await;
    drop(first);
    let mut second = accept(&listener).await;
    // Another packet gets the same id. It is for quarantine, whose disk fails, and so it cannot be
    // acknowledged while `old` becomes durable and its acknowledgement falls due.
    let other = format!("log::sync::quarantine-{}", station.tag);
    fail::cfg(&other, "return").unwrap();
    send(&mut second, "not json", 1).await;
    fail::remove(&disk);
    station.wait_for_records(&station.readings, 1).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(500), next_ack(&mut second));
    assert!(early.await.is_err(), "the packet of the second connection was acknowledged unkept");
    fail::remove(&other);
    assert_eq!(next_ack(&mut second).await, 1);
    assert_eq!(station.quarantine.head(), 1, "kept when it was acknowledged");
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_taken_in_one_connection_and_each_packet_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Far fewer in flight than are waiting.
    let station = station_behind(&listener, "max_in_flight = 100").await;
    let mut stream = accept(&listener).await;
    let backlog = 5_000_u16;
    let packet = |id: u16| {
        let payload = format!(r#"{{"a":{id}}}"#);
        frame(0x32, &publish_body(4, TOPIC, payload.as_bytes(), 2, id))
    };
    let packets: Vec<u8> = (1..=backlog).flat_map(packet).collect();
    stream.write_all(&packets).await.unwrap();
    for id in 1..=backlog {
        assert_eq!(next_ack(&mut stream).await, id, "in order, and in this connection");
    }
    let kept = station.kept().await;
    let values: Vec<u16> = kept.iter().map(|batch| batch.readings[0].value as u16).collect();
    assert_eq!(values, (1..=backlog).collect::<Vec<_>>());
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_over_the_limit_is_not_taken_into_memory_and_the_operator_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let station = station_behind(&listener, "max_packet_bytes = 65536").await;
    let mut first = accept(&listener).await;
    // Only the beginning of it: a mebibyte is announced, and nobody waits for it.
    first.write_all(&[0x32, 0x80, 0x80, 0x40]).await.unwrap();
    assert!(read_frame(&mut first).await.is_none(), "the connection ends");
    let told = || {
        let report = station.health.report();
        let reason = report.get("broker:fake").cloned().flatten().unwrap_or_default();
        reason.contains("1048576 bytes") && reason.contains("max_packet_bytes = 65536")
    };
    wait_for("health says what to do", told).await;
    // The broker drops it, and all goes on.
    let mut second = accept(&listener).await;
    send(&mut second, r#"{"a":1}"#, 1).await;
    assert_eq!(next_ack(&mut second).await, 1);
    station.wait_for_health("broker:fake", true).await;
    station.stop().await;
}
