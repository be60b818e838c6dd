//! Screens that do not read, and screens that talk too much.

use futures_util::SinkExt;
use sen_gateway::Config;
use sen_model::Field;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::house::{Client, House, alert, config};

#[tokio::test]
async fn a_screen_that_reads_nothing_is_closed_and_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), Config { slow_ms: 300, ..config() }).await;
    let (mut well, _) = Client::hello(house.address, "well", Value::Null).await;
    well.until("live").await;

    let _stalled = Client::narrow(house.address, "stalled", Value::Null).await;
    let is_connected = |answer: &Value, name: &str, connected: bool| {
        let items = answer["items"].as_array().unwrap();
        items.iter().any(|item| item["screen"] == name && item["connected"] == connected)
    };
    house.until("/api/v1/screens", |answer| is_connected(answer, "stalled", true)).await;

    let mut expected = 0;
    for round in 0..20 {
        let records = (0..100).map(|n| alert(&format!("r{round}-{n}"), 1, Field::Security));
        house.alert(records.collect()).await;
        while expected < (round + 1) * 100 {
            let frame = well.until("alert").await;
            expected += 1;
            assert_eq!(frame["seq"], expected);
        }
    }
    let screens =
        house.until("/api/v1/screens", |answer| is_connected(answer, "stalled", false)).await;
    assert!(is_connected(&screens, "well", true));

    // Nothing is lost for it: it comes back and resumes.
    let (mut back, welcome) = Client::hello(house.address, "stalled", Value::Null).await;
    let resume = json!({"epoch": welcome["epoch"], "seq": 0});
    back.until("live").await;
    let (mut back, _) = Client::hello(house.address, "stalled", resume).await;
    let frames = back.before("live").await;
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "alert").count(), 2_000);
    house.stop().await;
}

/// Alerts of two kilobytes and more each.
fn long_alerts(count: usize) -> Vec<sen_model::AlertRecord> {
    let long = |n| {
        let mut record = alert(&format!("a{n}"), 1, Field::Security);
        record.text.vi = "x".repeat(2_000);
        record
    };
    (0..count).map(long).collect()
}

#[tokio::test]
async fn a_screen_that_reads_nothing_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    // Slower than a test is patient.
    let mut house = House::with(folder.path(), Config { slow_ms: 60_000, ..config() }).await;
    let (probe, welcome) = Client::hello(house.address, "probe", Value::Null).await;
    drop(probe);
    let epoch = &welcome["epoch"];
    house.alert(long_alerts(300)).await;
    let resume = json!({"epoch": epoch, "seq": 0});
    let _replay = Client::narrow(house.address, "replay", resume).await;
    let _snapshot = Client::narrow(house.address, "snapshot", Value::Null).await;
    house.until_screens(2, 0).await;
    house.stop().await;
}

#[tokio::test]
async fn heartbeats_come_in_time_between_the_alerts_of_a_slow_link() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), Config { heartbeat_ms: 50, ..config() }).await;
    let (mut well, welcome) = Client::hello(house.address, "well", Value::Null).await;
    house.alert(long_alerts(250)).await;
    let resume = json!({"epoch": welcome["epoch"], "seq": 0});
    let mut slow = Client::narrow(house.address, "slow", resume).await;
    assert_eq!(slow.frame().await.unwrap()["type"], "welcome");
    // Its pipe is full of alerts by now, or at least one heartbeat is due when it has been filled.
    // Heartbeats of before may still wait to be read, so time passes too.
    for _ in 0..10 {
        well.until("heartbeat").await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let frames = slow.before("live").await;
    let first = frames.iter().position(|frame| frame["type"] == "heartbeat");
    let last = frames.iter().rposition(|frame| frame["type"] == "alert").unwrap();
    assert!(first.is_some_and(|first| first < last), "{first:?} of {last}");
    house.stop().await;
}

#[tokio::test]
async fn what_is_not_of_the_protocol_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let hello = |v: u32, screen: &str, view: &str| {
        json!({"type":"hello","v":v,"screen":screen,"view":view,"resume":null}).to_string()
    };
    let firsts = [
        ("not json".to_owned(), 4400),
        (r#"{"seq":1}"#.to_owned(), 4400),
        (r#"{"type":"seen","seq":1}"#.to_owned(), 4400),
        (
            r#"{"type":"hello","v":1,"screen":"x","view":"all","resume":{"epoch":1}}"#.to_owned(),
            4400,
        ),
        (hello(2, "wall-1", "all"), 4400),
        (hello(1, "Tường 1", "all"), 4400),
        (hello(1, "wall-1", "everything"), 4403),
        (format!(r#"{{"type":"hello","x":"{}"}}"#, "x".repeat(4_096)), 4413),
        ("[".repeat(4_000), 4400),
    ];
    for (first, code) in firsts {
        let mut client = Client::open(house.address).await;
        client.send(&first).await;
        assert_eq!(client.closed().await, code, "{}", first.chars().take(60).collect::<String>());
    }
    let mut client = Client::open(house.address).await;
    client.socket.send(Message::binary(vec![0xff; 10])).await.unwrap();
    assert_eq!(client.closed().await, 4400);
    let (mut client, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    client.send(&hello(1, "wall-1", "all")).await;
    assert_eq!(client.closed().await, 4400, "hello comes once");
    house.stop().await;
}

#[tokio::test]
async fn a_connection_without_hello_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), Config { hello_ms: 100, ..config() }).await;
    let mut client = Client::open(house.address).await;
    assert_eq!(client.closed().await, 4408);
    house.stop().await;
}

#[tokio::test]
async fn a_screen_that_talks_too_much_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut client, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    for _ in 0..200 {
        if client.socket.send(Message::text(r#"{"type":"seen","seq":0}"#)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await, 4429);
    house.stop().await;
}

#[tokio::test]
async fn screens_beyond_the_limit_are_told_so_and_the_rest_stay() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), Config { live_connections: 2, ..config() }).await;
    let (mut one, _) = Client::hello(house.address, "one", Value::Null).await;
    let (mut two, _) = Client::hello(house.address, "two", Value::Null).await;
    one.until("live").await;
    two.until("live").await;
    let mut three = Client::open(house.address).await;
    assert_eq!(three.closed().await, 4429);
    house.alert(vec![alert("a", 1, Field::Security)]).await;
    assert_eq!(one.until("alert").await["seq"], 1);
    drop(two);
    // A place that was left is free again.
    house
        .until("/api/v1/screens", |answer| {
            let items = answer["items"].as_array().unwrap();
            items.iter().any(|item| item["screen"] == "two" && item["connected"] == false)
        })
        .await;
    house.stop().await;
}
