//! A late acknowledgement must never acknowledge another packet: a broker of our own making gives
//! the same packet id twice, in two connections.

use sen_ingest::Sources;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::support::{PATIENCE, Station, shipped};
use super::wire::{self, frame, publish_body, read_frame};

const TOPIC: &str = "sen/v1/stn-1/telemetry";

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
    let port = listener.local_addr().unwrap().port();
    let sources = Sources::parse(&format!(
        "[[broker]]\nname = 'fake'\nhost = '127.0.0.1'\nport = {port}\nclient_id = 'sen'\n\
         filters = ['sen/v1/+/telemetry']\n"
    ))
    .unwrap();
    let mut config = shipped();
    config.listen = "off".into();
    let station = Station::with(config, sources).await;
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
