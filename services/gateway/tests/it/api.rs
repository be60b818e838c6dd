//! The HTTP API: lists, pages, curves, problems.

use sen_model::{Field, Quality, RejectReason, Timestamp};
use sen_store::Point;
use serde_json::{Value, json};

use crate::house::{Client, House, NOW_MS, alert, batch, config, event, refused, rule};

async fn all(house: &House, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = house.get(&format!("{path}?limit={limit}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let some = page["items"].as_array().unwrap();
        assert!(some.len() <= limit);
        items.extend(some.iter().cloned());
        let Some(next) = page["next"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn devices_and_series_say_what_was_heard_last() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (_, before) = house.get("/api/v1/devices").await;
    assert_eq!(
        (&before["items"][0]["online"], &before["items"][0]["last_heard"]),
        (&json!(false), &Value::Null)
    );
    let (_, series) = house.get("/api/v1/series").await;
    assert_eq!(
        (&series["items"][0]["unit"], &series["items"][0]["latest"]),
        (&json!("m"), &Value::Null)
    );

    let mut batches = vec![batch("stn-my-tho", "water_level_m", NOW_MS - 1_000, 1.5)];
    for n in 0..9 {
        batches.push(batch(&format!("new-{}", n % 3), &format!("m{n}"), NOW_MS, f64::from(n)));
    }
    house.readings.append(batches).await.unwrap();
    let heard = |answer: &Value| answer["items"][0]["online"] == true;
    let devices = house.until("/api/v1/devices", heard).await;
    assert_eq!(devices["items"][0]["last_heard"], "2026-11-23T14:02:04.125+07:00");
    house.until("/api/v1/ledger", |ledger| ledger["totals"]["accepted"] == 10).await;
    for limit in [1, 2, 3, 1_000] {
        let series = all(&house, "/api/v1/series", limit).await;
        let names: Vec<String> = series
            .iter()
            .map(|s| format!("{}/{}", s["device"].as_str().unwrap(), s["metric"].as_str().unwrap()))
            .collect();
        assert_eq!(names.len(), 10);
        assert!(names.is_sorted(), "{names:?}");
    }
    let series = all(&house, "/api/v1/series", 1_000).await;
    assert_eq!(series[9]["latest"]["value"], 1.5);
    assert_eq!((&series[9]["field"], &series[9]["area"]), (&json!("environment"), &json!("28261")));
    assert!(series[0].get("unit").is_none());
    house.stop().await;
}

#[tokio::test]
async fn a_restart_begins_with_what_the_store_holds() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    write(&house, 1).await;
    house.stop().await;
    let house = House::with(folder.path(), config()).await;
    let (_, series) = house.get("/api/v1/series").await;
    assert_eq!(series["items"][0]["latest"]["value"], 99.0);
    let (mut screen, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    assert_eq!(screen.until("tick").await["upserts"][0][0], "stn-my-tho");
    house.stop().await;
}

/// Writes `count` points of one series, a second apart, the last one at the clock's time.
async fn write(house: &House, count: i64) {
    let device = sen_model::DeviceId::new("stn-my-tho").unwrap();
    let metric = sen_model::Metric::new("water_level_m").unwrap();
    let series = house.store.series_id(&device, &metric).unwrap();
    let point = |n: i64| Point {
        event_time: Timestamp::from_millis(NOW_MS - 1_000 * n),
        sequence: 0,
        value: if n == count / 2 { 99.0 } else { (n % 10) as f64 },
        quality: Quality::Good,
        received_at: Timestamp::from_millis(NOW_MS),
    };
    let mut points = (0..count).rev().map(|n| (series, point(n))).collect();
    house.store.write(&mut points).await.unwrap();
    let checkpoint = sen_store::Checkpoint { epoch: house.readings.epoch().0, next: 1 };
    house.store.commit(Vec::new(), checkpoint).await.unwrap();
}

#[tokio::test]
async fn a_curve_has_as_many_points_as_asked_for_and_keeps_its_peaks() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let path = "/api/v1/series/stn-my-tho/water_level_m/readings";
    let (status, empty) = house.get(path).await;
    assert_eq!((status, &empty["items"], &empty["unit"]), (200, &json!([]), &json!("m")));
    write(&house, 3_000).await;
    let span = format!("from={}&to={}", NOW_MS - 3_000_000, NOW_MS + 1);
    let (_, curve) = house.get(&format!("{path}?{span}&max_points=50")).await;
    let items = curve["items"].as_array().unwrap();
    assert_eq!((&curve["resolution"], &curve["next"]), (&json!("raw"), &Value::Null));
    assert!((40..=50).contains(&items.len()), "{}", items.len());
    assert!(items.iter().any(|item| item["value"] == 99.0));
    let (_, whole) = house.get(&format!("{path}?{span}&max_points=10000")).await;
    assert_eq!(whole["items"].as_array().unwrap().len(), 3_000);
    assert_eq!(whole["items"][2_999]["event_time"], "2026-11-23T14:02:05.120+07:00");
    for (wrong, status) in [("?from=9&to=8", 400), ("?from=x", 400), ("?max_points=-1", 400)] {
        assert_eq!(house.get(&format!("{path}{wrong}")).await.0, status, "{wrong}");
    }
    for missing in ["/api/v1/series/no-such/m/readings", "/api/v1/series/X/m/summaries"] {
        let (status, problem) = house.get(missing).await;
        assert_eq!((status, problem["status"].as_u64()), (404, Some(404)), "{problem}");
    }
    house.stop().await;
}

#[tokio::test]
async fn alerts_are_listed_filtered_and_told_with_their_history() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    for n in 0..7 {
        house.alert(vec![alert(&format!("a{n}"), 1, Field::Security)]).await;
    }
    house.alert(vec![alert("a0", 2, Field::Security), alert("a1", 3, Field::Security)]).await;
    house.alert(vec![alert("flood", 1, Field::Environment)]).await;
    house.until("/api/v1/alerts", |answer| answer["items"][0]["id"] == "flood").await;
    let open = all(&house, "/api/v1/alerts", 3).await;
    let ids: Vec<&str> = open.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["flood", "a6", "a5", "a4", "a3", "a2", "a0"]);
    for (query, count) in [
        ("?state=all", 8),
        ("?state=normal", 1),
        ("?state=acknowledged", 1),
        ("?field=environment", 1),
        ("?severity=2", 7),
        ("?severity=1", 0),
    ] {
        let (_, page) = house.get(&format!("/api/v1/alerts{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
    let (_, story) = house.get("/api/v1/alerts/a0").await;
    assert_eq!((&story["state"], &story["rev"]), (&json!("acknowledged"), &json!(2)));
    let kinds: Vec<_> =
        story["history"].as_array().unwrap().iter().map(|r| r["kind"].clone()).collect();
    assert_eq!(kinds, ["raised", "acknowledged"]);
    assert_eq!(house.get("/api/v1/alerts/none").await.0, 404);
    for wrong in ["?state=x", "?severity=9", "?severity=x", "?field=x", "?cursor=x"] {
        let (status, problem) = house.get(&format!("/api/v1/alerts{wrong}")).await;
        assert_eq!((status, problem["status"].as_u64()), (400, Some(400)), "{wrong} {problem}");
    }
    house.stop().await;
}

#[tokio::test]
async fn alerts_are_told_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    for chunk in 0..20 {
        let records = (0..1_000).map(|n| alert(&format!("{chunk}-{n}"), 1, Field::Security));
        house.alert(records.collect()).await;
    }
    house.stop().await;
    let house = House::with(folder.path(), config()).await;
    // It has not run yet: whoever asks from the first moment on is told.
    assert!(house.health.report()["gateway"].is_some(), "ready before it has read anything");
    let host = house.address;
    let request =
        format!("GET /api/v1/alerts?limit=1 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    loop {
        // The first answers come while the log is being read.
        let (status, headers, body) = house.request(&request).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        if status == 200 {
            assert_eq!(answer["items"][0]["id"], "19-999");
            break;
        }
        assert_eq!((status, headers["retry-after"].as_str()), (503, "2"), "{answer}");
        let (_, ready) = house.get("/readyz").await;
        let part = &ready["parts"]["gateway"];
        assert!(part.is_null() || part.as_str().unwrap().ends_with(" of 20000"), "{ready}");
    }
    house.until("/readyz", |answer| answer["ready"] == true).await;
    house.stop().await;
}

#[tokio::test]
async fn quarantine_is_counted_and_listed_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let records = (0..1_200).map(|n| {
        let reason = if n % 100 == 0 { RejectReason::TooOld } else { RejectReason::BadJson };
        refused("sen/v1/dev-1/telemetry", reason)
    });
    house.quarantine.append(records.collect()).await.unwrap();
    let counted = |answer: &Value| answer["counts"]["bad_json"] == 1_188;
    let answer = house.until("/api/v1/quarantine", counted).await;
    assert_eq!(
        (&answer["items"][0]["offset"], &answer["counts"]["too_old"]),
        (&json!(1_200), &json!(12))
    );
    assert_eq!(answer["items"][0]["payload"], "<script>");
    let offsets: Vec<u64> = all(&house, "/api/v1/quarantine", 250)
        .await
        .iter()
        .map(|item| item["offset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, (1..=1_200).rev().collect::<Vec<_>>());
    let (_, old) = house.get("/api/v1/quarantine?reason=too_old").await;
    assert_eq!(old["items"].as_array().unwrap().len(), 12);
    assert_eq!(house.get("/api/v1/quarantine?reason=tired").await.0, 400);
    let (_, ledger) = house.get("/api/v1/ledger").await;
    assert_eq!(
        (&ledger["items"][0]["device"], &ledger["items"][0]["quarantined"]),
        (&json!("dev-1"), &json!(1_200))
    );
    house.stop().await;
}

#[tokio::test]
async fn the_rest_of_the_api_answers_in_its_shape() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/wall.toml");
    std::fs::copy(shipped, folder.path().join("config/wall.toml")).unwrap();
    let house = House::with(folder.path(), config()).await;
    let (_, rules) = house.get("/api/v1/rules?limit=1").await;
    assert_eq!((&rules["items"][0]["id"], &rules["next"]), (&json!("flood"), &json!("1")));
    assert!(rules["items"][0]["version"].is_string());
    assert_eq!(all(&house, "/api/v1/rules", 1).await.len(), 2);
    house.rules.send_replace(std::sync::Arc::new(vec![rule("only")]));
    let (_, reloaded) = house.get("/api/v1/rules").await;
    assert_eq!((&reloaded["items"][0]["id"], &reloaded["next"]), (&json!("only"), &Value::Null));
    let (_, map) = house.get("/api/v1/map").await;
    assert_eq!((&map["type"], &map["source"]), (&json!("FeatureCollection"), &json!("schematic")));
    let (_, wall) = house.get("/api/v1/wall").await;
    assert!(wall["title"]["vi"].is_string() && !wall["tiles"].as_array().unwrap().is_empty());
    let (_, events) = house.get("/api/v1/events").await;
    assert_eq!(events, json!({"items": [], "next": null}));
    house.events.append(vec![event("cam-01", "e1"), event("cam-01", "e2")]).await.unwrap();
    assert_eq!(all(&house, "/api/v1/events", 1).await[0]["id"], "e2");
    let ledger =
        house.until("/api/v1/ledger", |ledger| ledger["items"][0]["device"] == "cam-01").await;
    assert!(ledger["items"][0]["last_heard"].is_string(), "who reports events is heard, too");
    let (_, openapi) = house.get("/api/v1/openapi.json").await;
    assert!(openapi["paths"].get("/api/v1/alerts/{id}/why").is_some(), "{openapi}");
    let (status, metrics) = house.get("/metrics").await;
    assert!(status == 200 && metrics.as_str().unwrap().contains("# TYPE sen_http_responses_total"));
    for (path, status) in [("/api/v1/nowhere", 404), ("/api/v1/alerts/x/acknowledge", 405)] {
        let (told, problem) = house.get(path).await;
        assert_eq!((told, problem["status"].as_u64()), (status, Some(status.into())), "{problem}");
    }
    house.stop().await;
}

#[tokio::test]
async fn readiness_is_what_the_parts_say() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.until("/readyz", |answer| answer["ready"] == true).await;
    house.health.ill("ingest", "the disk is nearly full");
    let (status, answer) = house.get("/readyz").await;
    assert_eq!((status, &answer["parts"]["ingest"]), (503, &json!("the disk is nearly full")));
    assert_eq!(house.get("/healthz").await.0, 200);
    house.stop().await;
}

#[tokio::test]
async fn the_wall_is_a_page_with_or_without_built_screens() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    for path in ["/", "/wall", "/plain"] {
        let (status, page) = house.get(path).await;
        assert!(status == 200 && page.as_str().unwrap().contains("<html"), "{path}");
    }
    assert_eq!(house.get("/../Cargo.toml").await.0, 404);
    house.stop().await;
}
