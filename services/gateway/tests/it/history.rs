//! The last day of a tile, over a real store.

use std::path::Path;

use sen_model::{DeviceId, Metric, Quality, Timestamp};
use sen_store::Point;
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, config, device};

const MINUTE_MS: i64 = 60_000;
const TILES: &str = r#"
title = { vi = "Sen", en = "Sen" }
[[tile]]
id = "one"
field = "environment"
label = { vi = "Mỹ Tho", en = "Mỹ Tho" }
device = "stn-01"
metric = "water_level_m"
unit = "m"
digits = 2
[[tile]]
id = "all rivers"
field = "environment"
label = { vi = "Sông", en = "Rivers" }
kind = "river"
statistic = "sum"
metric = "water_level_m"
unit = "m"
digits = 2
"#;

async fn house(folder: &Path, devices: usize) -> House {
    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/wall.toml"), TILES).unwrap();
    let devices = (0..devices).map(|n| device(&format!("stn-{n:02}"))).collect();
    House::over(folder, config(), devices).await
}

/// Writes one reading a minute of a device, over the last `minutes`.
async fn write(house: &House, device: &str, minutes: i64, value: f64) {
    let (device, metric) = (DeviceId::new(device), Metric::new("water_level_m"));
    let series = house.store.series_id(&device.unwrap(), &metric.unwrap()).unwrap();
    let point = |n: i64| Point {
        event_time: Timestamp::from_millis(NOW_MS - n * MINUTE_MS),
        sequence: 0,
        value,
        quality: Quality::Good,
        received_at: Timestamp::from_millis(NOW_MS),
    };
    let mut points = (0..minutes).rev().map(|n| (series, point(n))).collect();
    house.store.write(&mut points).await.unwrap();
}

fn items(answer: &Value) -> &Vec<Value> {
    answer["items"].as_array().unwrap()
}

#[tokio::test]
async fn a_tile_over_many_devices_is_one_answer() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), 3).await;
    let path = "/api/v1/wall/tiles/all%20rivers/history";
    let (status, empty) = house.get(path).await;
    assert_eq!((status, &empty), (200, &json!({"step_ms": MINUTE_MS, "items": []})));
    write(&house, "stn-00", 2_000, 1.0).await;
    write(&house, "stn-01", 10, 20.0).await;
    write(&house, "stn-77", 10, 999.0).await;
    house.clock.set_ms(NOW_MS + 20_000);
    let (_, day) = house.get(path).await;
    let now = NOW_MS - NOW_MS % MINUTE_MS;
    assert_eq!(items(&day).len(), 1_440);
    assert_eq!(items(&day)[1_439], json!([now, 21.0, 21.0, 21.0]));
    // A page's day began a moment before the question came.
    let early = NOW_MS - 1_440 * MINUTE_MS;
    assert_eq!(house.get(&format!("{path}?from={early}")).await, (200, day.clone()));
    assert_eq!(items(&day)[1_429], json!([now - 10 * MINUTE_MS, 1.0, 1.0, 1.0]));
    // What is heard a moment later is in the next answer although the line is kept.
    write(&house, "stn-02", 1, 300.0).await;
    let span = format!("from={}&to={}", NOW_MS - 60 * MINUTE_MS + 1, NOW_MS + 1);
    let (_, hour) = house.get(&format!("{path}?{span}&points=12")).await;
    assert_eq!((&hour["step_ms"], items(&hour).len()), (&json!(5 * MINUTE_MS), 12));
    let newest = items(&hour)[11].as_array().unwrap();
    assert_eq!((&newest[2], &newest[3]), (&json!(321.0), &json!(321.0)));
    house.stop().await;
}

#[tokio::test]
async fn a_tile_over_one_device_has_peaks_and_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), 2).await;
    write(&house, "stn-01", 1, 2.5).await;
    let (_, day) = house.get("/api/v1/wall/tiles/one/history").await;
    assert_eq!(day["items"], json!([[NOW_MS - NOW_MS % MINUTE_MS, 2.5, 2.5, 2.5]]));
    house.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), 1_001).await;
    for (wanted, status) in [
        ("none/history", 404),
        ("one/history?from=9&to=8", 400),
        ("one/history?from=x", 400),
        ("one/history?points=-1", 400),
        ("all%20rivers/history", 422),
        ("one/history?points=9999", 200),
    ] {
        let (told, answer) = house.get(&format!("/api/v1/wall/tiles/{wanted}")).await;
        assert_eq!(told, status, "{wanted}: {answer}");
        let problem = (status != 200).then_some(u64::from(status));
        assert_eq!(answer["status"].as_u64(), problem, "{wanted}");
    }
    house.stop().await;
}
