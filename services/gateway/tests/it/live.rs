//! The live protocol: what a screen is told, and in which order.

use sen_model::Field;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::house::{Client, House, NOW_MS, alert, batch, config};

fn ids(snapshot: &Value) -> Vec<&str> {
    snapshot["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// On a busy machine heartbeats come between.
fn without_heartbeats(mut frames: Vec<Value>) -> Vec<Value> {
    frames.retain(|frame| frame["type"] != "heartbeat");
    frames
}

#[tokio::test]
async fn a_new_screen_gets_the_state_then_live_then_everything_that_happens() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Environment), alert("b", 1, Field::Security)]).await;
    house.alert(vec![alert("a", 3, Field::Environment)]).await;

    let (mut screen, welcome) = Client::hello(house.address, "wall-1", Value::Null).await;
    assert_eq!((&welcome["mode"], &welcome["head"]), (&json!("snapshot"), &json!(3)));
    assert_eq!(welcome["insecure_dev"], false);
    let snapshot = screen.frame().await.unwrap();
    assert_eq!((ids(&snapshot), &snapshot["as_of"]), (vec!["a", "b"], &json!(3)));
    assert_eq!(snapshot["items"][0]["state"], "normal", "ended a moment ago: still shown");
    assert_eq!(screen.frame().await.unwrap()["type"], "live");

    house.alert(vec![alert("c", 1, Field::Transport)]).await;
    let told = screen.until("alert").await;
    assert_eq!((&told["seq"], &told["prev"], &told["id"]), (&json!(4), &json!(3), &json!("c")));
    screen.until("heartbeat").await;
    house.stop().await;
    assert_eq!(screen.closed().await, 1012);
}

#[tokio::test]
async fn a_screen_that_was_away_is_told_what_it_missed_even_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Environment)]).await;
    let (mut screen, welcome) = Client::hello(house.address, "wall-1", Value::Null).await;
    screen.until("live").await;
    drop(screen);
    // Raised and over while it was away: not in any snapshot of open alerts an hour later.
    house.alert(vec![alert("b", 1, Field::Environment), alert("b", 3, Field::Environment)]).await;
    house.stop().await;

    let house = House::with(folder.path(), config()).await;
    let resume = json!({"epoch": welcome["epoch"], "seq": 1});
    let (mut screen, welcome) = Client::hello(house.address, "wall-1", resume).await;
    assert_eq!(welcome["mode"], "resume");
    let frames = without_heartbeats(screen.before("live").await);
    let told: Vec<_> = frames.iter().map(|f| (f["seq"].as_u64(), f["kind"].as_str())).collect();
    assert_eq!(told, [(Some(2), Some("raised")), (Some(3), Some("cleared")), (None, None)]);
    house.stop().await;
}

#[tokio::test]
async fn another_epoch_or_a_seq_above_the_head_gets_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Environment)]).await;
    let other = json!({"epoch": "0".repeat(32), "seq": 1});
    let (mut screen, welcome) = Client::hello(house.address, "wall-1", other).await;
    assert_eq!(welcome["mode"], "snapshot");
    assert_eq!(ids(&screen.frame().await.unwrap()), ["a"]);
    let ahead = json!({"epoch": welcome["epoch"], "seq": 7});
    let (mut screen, welcome) = Client::hello(house.address, "wall-2", ahead).await;
    assert_eq!(welcome["mode"], "snapshot");
    assert_eq!(screen.frame().await.unwrap()["as_of"], 1);
    house.stop().await;
}

#[tokio::test]
async fn a_resume_with_another_view_gets_the_state_of_that_view() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Security), alert("b", 1, Field::Transport)]).await;
    let address = house.address;
    let (mut screen, welcome) = Client::view(address, "desk", "transport", Value::Null).await;
    screen.until("live").await;
    let resume = json!({"epoch": welcome["epoch"], "seq": 2});
    let (mut screen, welcome) = Client::view(address, "desk", "transport", resume.clone()).await;
    assert_eq!(welcome["mode"], "resume", "the same view");
    screen.until("live").await;
    let (mut screen, welcome) = Client::view(address, "desk", "security", resume).await;
    assert_eq!(welcome["mode"], "snapshot");
    assert_eq!(ids(&screen.frame().await.unwrap()), ["a"]);
    house.stop().await;
}

#[tokio::test]
async fn a_wall_that_is_lost_is_missed_and_one_that_says_goodbye_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Security)]).await;
    let mut walls = Vec::new();
    for name in ["wall-1", "wall-2", "wall-3"] {
        let (mut wall, _) = Client::hello(house.address, name, Value::Null).await;
        wall.until("live").await;
        wall.send(r#"{"type":"seen","seq":1}"#).await;
        walls.push(wall);
    }
    house.until_screens(3, 0).await;
    let goodbye = CloseFrame { code: CloseCode::Away, reason: "".into() };
    let mut leaving = walls.pop().unwrap();
    leaving.socket.close(Some(goodbye)).await.unwrap();
    // The power fails.
    drop(walls.pop());
    house.until_screens(1, 0).await;
    drop(leaving);
    house.clock.set_ms(NOW_MS + 60_000);
    house.until_screens(1, 1).await;
    let screens = house.get("/api/v1/screens").await.1;
    let stale: Vec<_> = screens["items"].as_array().unwrap().iter().map(|s| &s["stale"]).collect();
    assert_eq!(stale, [false, true, false]);
    let (mut wall, _) = Client::hello(house.address, "wall-2", Value::Null).await;
    wall.until("live").await;
    house.until_screens(2, 0).await;
    house.stop().await;
}

#[tokio::test]
async fn a_view_is_told_only_what_belongs_to_it_without_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut screen, _) = Client::view(house.address, "desk", "transport", Value::Null).await;
    screen.until("live").await;
    let fields = [Field::Security, Field::Transport, Field::Environment, Field::Transport];
    let records = (0..40).map(|n| alert(&format!("a{n}"), 1, fields[n % 4])).collect();
    house.alert(records).await;
    let mut last = 0;
    while last < 40 {
        let frame = screen.frame().await.unwrap();
        match frame["type"].as_str().unwrap() {
            "alert" => {
                assert_eq!(frame["field"], "transport");
                assert_eq!(frame["prev"], last);
                last = frame["seq"].as_u64().unwrap();
            }
            "skip" => {
                assert_eq!(frame["prev"], last);
                last = frame["to"].as_u64().unwrap();
            }
            _ => {}
        }
    }
    let (mut late, _) = Client::view(house.address, "desk-2", "security", Value::Null).await;
    let snapshot = late.frame().await.unwrap();
    assert!(ids(&snapshot).len() == 10 && ids(&snapshot).contains(&"a0"), "{snapshot}");
    house.stop().await;
}

#[tokio::test]
async fn the_same_name_again_sends_the_older_connection_away() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut old, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    old.until("live").await;
    let (mut new, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    assert_eq!(old.closed().await, 4409);
    new.until("live").await;
    house.alert(vec![alert("a", 1, Field::Security)]).await;
    assert_eq!(new.until("alert").await["seq"], 1);
    house.stop().await;
}

#[tokio::test]
async fn what_is_on_the_glass_is_known_by_the_name_of_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Security), alert("b", 1, Field::Security)]).await;
    let (mut screen, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    screen.until("live").await;
    screen.send(r#"{"type":"seen","seq":1}"#).await;
    screen.send(r#"{"type":"a frame of tomorrow","x":1}"#).await;
    let behind = |answer: &Value| answer["items"][0]["seen"] == 1;
    let screens = house.until("/api/v1/screens", behind).await;
    let item = &screens["items"][0];
    assert_eq!(
        (&item["screen"], &item["connected"], &item["head"]),
        (&json!("wall-1"), &json!(true), &json!(2))
    );
    assert_eq!(item["stale"], false);
    screen.send(r#"{"type":"seen","seq":2}"#).await;
    house.until("/api/v1/screens", |answer| answer["items"][0]["seen"] == 2).await;
    drop(screen);
    house.until("/api/v1/screens", |answer| answer["items"][0]["connected"] == false).await;
    house.stop().await;
}

#[tokio::test]
async fn ticks_carry_every_value_first_then_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let level = |n: i64| batch("stn-my-tho", "water_level_m", NOW_MS + n, n as f64);
    house.readings.append((1..=100).map(level).collect()).await.unwrap();
    house.readings.append(vec![batch("unknown-1", "x", NOW_MS, 7.0)]).await.unwrap();
    house.until("/api/v1/ledger", |ledger| ledger["totals"]["accepted"] == 101).await;

    let (mut screen, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    let row = |value: f64, n: i64| json!(["stn-my-tho", "water_level_m", value, NOW_MS + n, 0]);
    let first = screen.until("tick").await;
    assert_eq!(first["upserts"], json!([row(100.0, 100), ["unknown-1", "x", 7.0, NOW_MS, 0]]));
    house.readings.append(vec![level(101)]).await.unwrap();
    loop {
        // What changed shortly before the screen came may be told once more, never wrongly.
        let tick = screen.until("tick").await;
        let rows = tick["upserts"].as_array().unwrap();
        assert!(rows.iter().all(|told| told[1] == "x" || *told == row(101.0, 101)), "{tick}");
        if rows.contains(&row(101.0, 101)) {
            break;
        }
    }

    // A view of another field has no values at all, and one of the same has only its own.
    let (mut field, _) = Client::view(house.address, "env", "environment", Value::Null).await;
    assert_eq!(field.until("tick").await["upserts"], json!([row(101.0, 101)]));
    house.stop().await;
}

#[tokio::test]
async fn no_tick_overtakes_an_alert_that_was_readable() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut screen, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    screen.until("live").await;
    for round in 1..=20 {
        // The alert is durable before the reading is even appended.
        let seq = house.alert(vec![alert(&format!("a{round}"), 1, Field::Security)]).await;
        let value = batch("stn-my-tho", "water_level_m", NOW_MS + round, round as f64);
        house.readings.append(vec![value]).await.unwrap();
        let frames = screen.before("tick").await;
        let told = frames.iter().rev().find(|frame| frame["type"] == "alert");
        assert_eq!(told.map(|frame| &frame["seq"]), Some(&json!(seq)), "round {round}");
    }
    house.stop().await;
}

#[tokio::test]
async fn a_large_state_comes_in_parts_and_a_long_absence_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (screen, welcome) = Client::hello(house.address, "wall-1", Value::Null).await;
    drop(screen);
    let records: Vec<_> = (0..2_000).map(|n| alert(&format!("a{n}"), 1, Field::Security)).collect();
    for some in records.chunks(250) {
        house.alert(some.to_vec()).await;
    }
    let (mut new, _) = Client::hello(house.address, "wall-2", Value::Null).await;
    let frames = without_heartbeats(new.before("live").await);
    let parts = frames.len() - 1;
    assert!(parts > 10, "{parts}");
    for (index, frame) in frames[..parts].iter().enumerate() {
        assert_eq!((&frame["part"], &frame["n"]), (&json!(index + 1), &json!(parts)));
    }
    let items: usize = frames[..parts].iter().map(|f| f["items"].as_array().unwrap().len()).sum();
    assert_eq!(items, 2_000);

    let resume = json!({"epoch": welcome["epoch"], "seq": 0});
    let (mut back, welcome) = Client::hello(house.address, "wall-1", resume).await;
    assert_eq!(welcome["mode"], "resume");
    let frames = back.before("live").await;
    let seqs: Vec<u64> = frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=2_000).collect::<Vec<_>>());
    house.stop().await;
}

#[tokio::test]
async fn a_record_that_the_disk_has_damaged_is_skipped_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut screen, welcome) = Client::hello(house.address, "wall-1", Value::Null).await;
    screen.until("live").await;
    drop(screen);
    for id in ["first-one", "victim-one", "third-one", "victim-two"] {
        house.alert(vec![alert(id, 1, Field::Security)]).await;
    }
    house.alert(vec![alert("last-one", 1, Field::Security)]).await;
    house.stop().await;
    let damaged = damage(&folder.path().join("log"), b"victim-");
    assert_eq!(damaged, 2);

    let house = House::with(folder.path(), config()).await;
    let resume = json!({"epoch": welcome["epoch"], "seq": 0});
    let (mut screen, welcome) = Client::hello(house.address, "wall-1", resume).await;
    assert_eq!(welcome["mode"], "resume", "nothing that was told is told otherwise now");
    let frames = without_heartbeats(screen.before("live").await);
    let told: Vec<_> = frames
        .iter()
        .map(|frame| (frame["prev"].as_u64(), frame["seq"].as_u64(), frame["to"].as_u64()))
        .collect();
    let alert = |seq: u64| (Some(seq - 1), Some(seq), None);
    let skip = |to: u64| (Some(to - 1), None, Some(to));
    assert_eq!(told, [alert(1), skip(2), alert(3), skip(4), alert(5), (None, None, None)]);
    house.stop().await;
}

/// Flips a bit in every record that holds `mark`; returns how many there were.
fn damage(folder: &std::path::Path, mark: &[u8]) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += damage(&path, mark);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let at: Vec<usize> = bytes
            .windows(mark.len())
            .enumerate()
            .filter_map(|(at, window)| (window == mark).then_some(at))
            .collect();
        at.iter().for_each(|at| bytes[*at] ^= 0x10);
        if !at.is_empty() {
            std::fs::write(&path, bytes).unwrap();
        }
        count += at.len();
    }
    count
}
