//! A screen whose gateway dies goes on at the other one, where it was.

use sen_tests::asking::{level_three, now_ms};
use sen_tests::cluster::turn;
use sen_tests::container::syncs_always;
use sen_tests::screen::{Memory, Screen};
use serde_json::Value;

use crate::{MINUTE_MS, OVER_M, UNDER_M, centre, endpoints, report};

/// Steps until the screen is told whether acknowledged means on disk, as it is here.
async fn is_told_the_truth(screen: &mut Screen) -> anyhow::Result<()> {
    let is_durable = syncs_always()?;
    let told = |frame: &Value| {
        let why = &frame["best_effort"];
        frame["type"] == "centre" && if is_durable { why.is_null() } else { why.is_string() }
    };
    screen.until("the truth about the disks", told).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_whose_gateway_is_killed_resumes_at_the_other_one() -> anyhow::Result<()> {
    let _turn = turn().await;
    let mut apart = centre().await?;
    let rule = level_three(&apart.api(1)?).await?;
    let ports = endpoints(&apart)?;
    let begun_ms = now_ms() - 60 * MINUTE_MS;
    let mut screen = Screen::connect(&apart.http(1)?, "wall-1", Memory::default()).await?;
    is_told_the_truth(&mut screen).await?;
    report(ports[0], begun_ms, OVER_M).await?;
    screen.until_alert(&rule, "raised").await?;
    // On the other gateway's glass, too.
    let mut witness = Screen::connect(&apart.http(2)?, "witness", Memory::default()).await?;
    is_told_the_truth(&mut witness).await?;
    while witness.memory.count(&rule, "raised") == 0 {
        witness.until("the alert", |frame| frame["type"] == "alert").await?;
    }
    drop(witness);

    apart.part_mut("gateway-1")?.kill();
    let mut screen = Screen::connect(&apart.http(2)?, "wall-1", screen.cut()).await?;
    assert_eq!(screen.mode, "resume", "the epoch is that of the log, not of the gateway");
    is_told_the_truth(&mut screen).await?;
    report(ports[1], begun_ms + 20 * MINUTE_MS, UNDER_M).await?;
    screen.until_alert(&rule, "cleared").await?;

    // And back again, to a gateway that was away in the meantime.
    let gateway = apart.part_mut("gateway-1")?;
    gateway.start()?;
    gateway.well().await;
    let mut screen = Screen::connect(&apart.http(1)?, "wall-1", screen.cut()).await?;
    assert_eq!(screen.mode, "resume");
    report(ports[0], begun_ms + 40 * MINUTE_MS, OVER_M).await?;
    screen.until_alert(&rule, "raised").await?;
    let shown = screen.cut();
    assert_eq!((shown.count(&rule, "raised"), shown.count(&rule, "cleared")), (2, 1));
    Ok(())
}
