//! A newcomer starts the centre with its simulated province and watches it live.

use sen_tests::centre::Centre;
use sen_tests::screen::{Memory, Screen};
use sen_tests::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_province_comes_alive() -> anyhow::Result<()> {
    let centre = Centre::with(&[], &["--simulate", "--scenario", "storm-of-alarms"])?;
    let mut screen = Screen::connect(centre.http(), "wall", Memory::default()).await?;
    screen.until("live", |frame| frame["type"] == "live").await?;
    screen.until("an alert", |frame| frame["type"] == "alert" && frame["kind"] == "raised").await?;
    let devices = centre.all("/devices").await?;
    assert!(devices.len() >= 200, "{} devices", devices.len());
    wait_for("most devices to be heard", async || {
        let devices = centre.all("/devices").await.ok()?;
        let heard = devices.iter().filter(|device| device["last_heard"].is_string()).count();
        (heard * 10 >= devices.len() * 9).then_some(())
    })
    .await;
    while screen.memory.latest.len() < 200 {
        screen.until("values", |frame| frame["type"] == "tick").await?;
    }
    let map = centre.get("/map").await?;
    let areas = map["features"].as_array().map_or(0, |features| {
        features.iter().filter(|feature| feature["properties"]["layer"] == "area").count()
    });
    assert_eq!((areas, &map["source"]), (102, &"schematic".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doors_for_machines_are_open() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    assert_eq!(centre.page("/healthz").await?.0, 200);
    wait_for("readiness", async || (centre.page("/readyz").await.ok()?.0 == 200).then_some(()))
        .await;
    let (status, metrics) = centre.page("/metrics").await?;
    assert!(status == 200 && metrics.contains("# TYPE sen_"), "{metrics}");
    let openapi = centre.get("/openapi.json").await?;
    for path in ["/devices", "/series", "/alerts", "/rules", "/quarantine", "/ledger"] {
        let path = format!("/api/v1{path}");
        assert!(openapi["paths"].get(&path).is_some(), "{path} is not described");
    }
    let (status, problem) = centre.page("/api/v1/alerts/none").await?;
    let problem: serde_json::Value = serde_json::from_str(&problem)?;
    assert_eq!((status, problem["status"].as_u64()), (404, Some(404)), "{problem}");
    Ok(())
}
