//! Bad input of every kind: nothing dies, nothing good is lost, and each piece can be seen with
//! its reason.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

use sen_tests::device::Device;
use sen_tests::wait_for;

use crate::{Centre, now_ms, stored};

/// Payloads on a telemetry topic and the reason each must be kept with.
fn refused() -> Vec<(String, &'static str)> {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let day_ms = 86_400_000;
    let at = |ms: i64| format!("{{\"ts\": {ms}, \"values\": {{\"v\": 1}}}}");
    vec![
        ("not json".into(), "bad_json"),
        (deep, "bad_json"),
        ("{\"v\": NaN}".into(), "bad_json"),
        ("{\"v\": 1e400}".into(), "bad_value"),
        ("{\"v\": 1e300}".into(), "bad_value"),
        ("{\"v\": {\"w\": 1}}".into(), "bad_value"),
        ("\"word\"".into(), "bad_shape"),
        ("{\"m ü\": 1}".into(), "bad_name"),
        (at(now_ms() + day_ms), "too_far_ahead"),
        (at(i64::MAX), "too_far_ahead"),
        (at(0), "too_old"),
        (at(now_ms() / 1_000), "too_old"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_acknowledged_kept_and_told() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    let mut device = Device::connect("faulty-01", centre.mqtt_port()).await?;
    for (payload, reason) in refused() {
        device.publish("sen/v1/faulty-01/telemetry", &payload).await?;
        *expected.entry(reason).or_default() += 1;
    }
    for (topic, reason) in [
        ("some/where/else", "unknown_topic"),
        ("sen/v1/alerts/28261/forged", "reserved_topic"),
        ("sen/v1/UPPER CASE/telemetry", "bad_name"),
    ] {
        device.publish(topic, "{\"v\": 1}").await?;
        *expected.entry(reason).or_default() += 1;
    }
    // A half good packet keeps its good half.
    let begun_ms = now_ms() - 1_000;
    device.publish("sen/v1/faulty-01/telemetry", "{\"good\": 1.5, \"bad\": \"text\"}").await?;
    wait_for("the good half", async || {
        let items = stored(&centre, "faulty-01", "good", begun_ms, now_ms() + 1).await.ok()?;
        (items.len() == 1).then_some(())
    })
    .await;

    let refusals: u64 = expected.values().sum();
    let items = wait_for("every refusal in quarantine", async || {
        let items = centre.all("/quarantine").await.ok()?;
        // One more for the bad half of the half good packet.
        (items.len() as u64 == refusals + 1).then_some(items)
    })
    .await;
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for item in items.iter().filter(|item| !item["payload"].as_str().unwrap_or("").contains("good"))
    {
        *counted.entry(item["reason"].as_str().unwrap_or("none")).or_default() += 1;
    }
    assert_eq!(counted, expected, "{items:#?}");
    assert!(items.iter().all(|item| item["detail"].as_str().is_some_and(|d| !d.is_empty())));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_mqtt_at_all_costs_only_its_own_connection() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    for garbage in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 4_096],
        vec![0x10, 0xff, 0xff, 0xff, 0xff, 0x7f],
        // A CONNECT that promises 256 MiB.
        vec![0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, b'M', b'Q', b'T', b'T', 4],
        Vec::new(),
    ] {
        let mut socket = TcpStream::connect(centre.mqtt())?;
        // The endpoint may close while we still write.
        let _ = socket.write_all(&garbage);
    }
    let mut device = Device::connect("honest-1", centre.mqtt_port()).await?;
    device.report("honest-1", "v", now_ms(), 1.0).await?;
    assert!(centre.lives());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_invents_series_is_stopped_and_the_others_go_on() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let begun_ms = now_ms() - 1_000;
    let mut hostile = Device::connect("hostile-1", centre.mqtt_port()).await?;
    for packet in 0..200 {
        let metrics: Vec<String> = (0..50).map(|n| format!("\"m{packet}_{n}\": 1")).collect();
        let payload = format!("{{{}}}", metrics.join(","));
        hostile.publish("sen/v1/hostile-1/telemetry", &payload).await?;
    }
    let mut honest = Device::connect("honest-1", centre.mqtt_port()).await?;
    honest.report("honest-1", "v", now_ms(), 1.0).await?;
    wait_for("the honest reading", async || {
        let items = stored(&centre, "honest-1", "v", begun_ms, now_ms() + 1).await.ok()?;
        (items.len() == 1).then_some(())
    })
    .await;
    let mut series = centre.all("/series").await?;
    series.retain(|item| item["device"] == "hostile-1");
    assert!(series.len() <= 200, "{} series of one device", series.len());
    let counts = centre.get("/quarantine").await?["counts"].clone();
    let refused = counts["too_many_series"].as_u64().unwrap_or(0)
        + counts["new_series_too_fast"].as_u64().unwrap_or(0);
    assert!(refused > 0, "{counts}");
    Ok(())
}
