//! Nobody judges any more: every screen says so within half a minute, devices are not taken to be
//! silent for it, and when it is over everything is told.

use std::time::Duration;

use anyhow::ensure;
use sen_tests::device::Device;
use sen_tests::judging::{episodes, rule_text};
use sen_tests::screen::{Memory, Screen};
use sen_tests::trial::{add, alert_log_of, names};
use serde_json::Value;

use crate::{Centre, now_ms};

/// So that the next segment is never far away.
const SMALL: [(&str, &str); 2] =
    [("SEN__LOG__RECORD_BYTES", "65536"), ("SEN__LOG__SEGMENT_BYTES", "65536")];
/// The beat has stopped for half a minute, and the server looks every so often.
const TOLD_WITHIN_MS: i64 = 45_000;

fn alerting(frame: &Value) -> Option<bool> {
    (frame["type"] == "centre").then(|| frame["alerting"]["ok"].as_bool())?
}

#[tokio::test(flavor = "multi_thread")]
async fn screens_say_so_when_alerting_has_stopped() -> anyhow::Result<()> {
    let limit = "metrics = [\"trial\"]\nseverity = 4\nat_least = 10\nneeds_acknowledgement = false";
    let missing = "kinds = [\"trial\"]\nseverity = 4\nmissing = \"20s\"";
    let rules = [rule_text("trial", limit), rule_text("silent-trial", missing)];
    let all = names("trial", 10);
    let mut centre = Centre::configured(&SMALL, |config| add(config, &all, 1_000, &rules))?;
    let mut screen = Screen::connect(centre.http(), "wall-1", Memory::default()).await?;
    // A beat has come through.
    screen
        .until("the first beat", |frame| {
            alerting(frame) == Some(true) && frame["alerting"]["latency_ms"].is_number()
        })
        .await?;

    // Devices go on reporting all the time, and one of them raises and clears without end.
    let (mqtt, devices) = (centre.mqtt_port(), all.clone());
    let mut reporting = tokio::task::JoinSet::new();
    reporting.spawn(async move {
        let mut gateway = Device::connect("gateway-1", mqtt).await?;
        let mut pause = tokio::time::interval(Duration::from_millis(250));
        for n in 0_i64.. {
            pause.tick().await;
            for id in &devices {
                let value = if id == "trial-0" && n % 2 == 0 { 12.0 } else { 1.0 };
                gateway.report(id, "trial", now_ms(), value).await?;
            }
        }
        anyhow::Ok(())
    });
    centre.stop_judging().await?;
    let stopped_ms = now_ms();
    screen.until("alerting to be down", |frame| alerting(frame) == Some(false)).await?;
    let took_ms = now_ms() - stopped_ms;
    ensure!(took_ms < TOLD_WITHIN_MS, "told after {took_ms} ms");
    centre.judge_again().await?;
    screen.until("alerting to be back", |frame| alerting(frame) == Some(true)).await?;
    reporting.shutdown().await;

    let records = alert_log_of(centre).await?;
    let silences = records.iter().filter(|record| record.rule.as_str() == "silent-trial").count();
    ensure!(silences == 0, "{silences} devices were taken to be silent");
    println!("alerting was stopped; the screens said so after {took_ms} ms");
    episodes(&records).map(drop)
}
