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
