//! What every screen is told about the whole centre: the stage, floods, drills, and whether alerts
//! can be raised at all.

use sen_model::*;
use serde_json::{Value, json};

use crate::house::{Client, House, NOW_MS, alert, config, entry};

fn drill(rev: u32, open: bool) -> DeskRecord {
    entry("drill", rev, open, Entry::Drill { reason: "Diễn tập phòng chống lũ".into() })
}

fn stage(rev: u32, stage: u8) -> DeskRecord {
    entry("stage", rev, true, Entry::Stage { stage, reason: "Lũ lên nhanh".into() })
}

/// A record of the probe's rule, as it is recorded at a time.
fn probe(rev: u32, at: i64) -> AlertRecord {
    let mut record = alert(&format!("probe-{at}"), rev, Field::PublicServices);
    record.rule = RuleId::new("sen-probe").unwrap();
    record.device = DeviceId::new("sen-probe").unwrap();
    record.recorded_at = Timestamp::from_millis(at);
    record.event_time = Timestamp::from_millis(at - 41);
    record
}

#[tokio::test]
async fn every_screen_is_told_how_the_centre_stands_and_whenever_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    house.desk.append(vec![stage(1, 2)]).await.unwrap();
    house.until("/api/v1/stage", |stage| stage["stage"] == 2).await;
    let address = house.address;
    let (mut wall, _) = Client::hello(address, "wall-1", Value::Null).await;
    // Right after the welcome.
    let first = wall.any_frame().await.unwrap();
    assert_eq!((&first["type"], &first["stage"]["stage"]), (&json!("centre"), &json!(2)));
    assert_eq!(
        (&first["advice"], &first["drill"], &first["floods"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    assert_eq!(first["alerting"]["ok"], true);
    let (mut desk, _) = Client::view(address, "desk-1", "transport", Value::Null).await;
    let flood = Entry::Flood {
        desk: Field::Environment,
        started_at: Timestamp::from_millis(NOW_MS),
        ended_at: None,
        first_out: AlertId::from_text("a"),
        raised: 12,
        peak: 12,
        by_rule: Vec::new(),
        by_area: Vec::new(),
    };
    let records = vec![stage(2, 4), drill(1, true), entry("flood-1", 1, true, flood)];
    house.desk.append(records).await.unwrap();
    for screen in [&mut wall, &mut desk] {
        let told = screen.until_centre(|centre| centre["floods"][0]["raised"] == 12).await;
        assert_eq!((&told["stage"]["stage"], &told["stage"]["by"]), (&json!(4), &json!("Lan")));
        assert_eq!(told["drill"]["reason"], "Diễn tập phòng chống lũ", "whatever the view");
    }
    house.desk.append(vec![drill(2, false)]).await.unwrap();
    wall.until_centre(|centre| centre["drill"].is_null()).await;
    house.stop().await;
}

#[tokio::test]
async fn the_alerts_that_led_to_a_stage_are_told_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut wall, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    wall.until("live").await;
    house.alert((0..600).map(|n| alert(&format!("a{n}"), 1, Field::Security)).collect()).await;
    house.desk.append(vec![stage(1, 3)]).await.unwrap();
    let mut alerts = 0;
    loop {
        let frame = wall.any_frame().await.unwrap();
        alerts += usize::from(frame["type"] == "alert");
        if frame["type"] == "centre" && frame["stage"]["stage"] == 3 {
            break;
        }
    }
    assert_eq!(alerts, 600);
    house.stop().await;
}

#[tokio::test]
async fn a_silent_probe_is_told_on_every_screen_and_by_readyz_which_stays_ready() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let (mut wall, _) = Client::hello(house.address, "wall-1", Value::Null).await;
    house.shadow.append(vec![probe(1, NOW_MS)]).await.unwrap();
    wall.until_centre(|centre| centre["alerting"]["latency_ms"] == 41).await;
    house.until("/readyz", |ready| ready["alerting"]["latency_ms"] == 41).await;
    // Four steps of ten seconds: a jump would be a clock that was set.
    for step in 1..=4 {
        house.clock.set_ms(NOW_MS + step * 10_000);
        let (status, ready) = house.get("/readyz").await;
        assert_eq!((status, &ready["ready"]), (200, &json!(true)));
        assert_eq!(ready["alerting"]["ok"], json!(step < 4), "{step}");
    }
    let told = wall.until_centre(|centre| centre["alerting"]["ok"] == false).await;
    assert_eq!(told["alerting"]["since"], Timestamp::from_millis(NOW_MS + 40_000).to_string());
    assert_eq!(house.get("/healthz").await.0, 200);
    let metrics = |name: &'static str| {
        move |text: &Value| text.as_str().is_some_and(|text| text.contains(name))
    };
    house.until("/metrics", metrics("sen_probe_latency_ms")).await;
    house.until("/metrics", metrics("sen_alerting_up")).await;

    house.shadow.append(vec![probe(3, NOW_MS + 40_000)]).await.unwrap();
    wall.until_centre(|centre| centre["alerting"]["ok"] == true).await;
    let (_, shadow) = house.get("/api/v1/shadow?state=all").await;
    assert_eq!(shadow["items"], json!([]), "the probe is no rule on trial");
    house.stop().await;
}

#[tokio::test]
async fn the_screens_have_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    for path in ["/wall", "/desk", "/desk/alerts/a", "/desk/shifts", "/oncall"] {
        let (status, page) = house.get(path).await;
        assert!(status == 200 && page.as_str().unwrap().contains("<html"), "{path}");
    }
    assert_eq!(house.get("/nowhere").await.0, 404);
    house.stop().await;
}
