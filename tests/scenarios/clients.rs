//! The clients people have: Mosquitto's command line, Python's paho, and whatever watches over us.

use std::process::Command;

use anyhow::ensure;
use sen_tests::centre::root;
use sen_tests::wait_for;

use crate::{Centre, now_ms, stored};

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_pub_speaks_to_sen_in_both_versions() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let begun_ms = now_ms() - 1_000;
    for (version, qos, metric) in
        [("311", "1", "a_m"), ("5", "1", "b_m"), ("311", "0", "c_m"), ("5", "0", "d_m")]
    {
        let status = Command::new("mosquitto_pub")
            .args(["-p", &centre.mqtt_port().to_string(), "-V", version, "-q", qos])
            .args(["-t", "sen/v1/pump-01/telemetry", "-m", &format!("{{\"{metric}\": 2.5}}")])
            .status()?;
        ensure!(status.success(), "mosquitto_pub -V {version} -q {qos}: {status}");
        wait_for("the reading", async || {
            let items = stored(&centre, "pump-01", metric, begun_ms, now_ms() + 1).await.ok()?;
            (items.len() == 1 && items[0]["value"] == 2.5).then_some(())
        })
        .await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn paho_speaks_to_sen() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let begun_ms = now_ms() - 100_000;
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("tests/scenarios/paho_client.py"))
        .args([centre.mqtt_port().to_string(), begun_ms.to_string()])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged: usize = String::from_utf8(output.stdout)?.trim().parse()?;
    assert_eq!(acknowledged, 300, "paho waited for every PUBACK, with a window of 20");
    let items = wait_for("paho's readings", async || {
        let items = stored(&centre, "paho-311", "n", begun_ms, now_ms()).await.ok()?;
        (items.len() == 300).then_some(items)
    })
    .await;
    let values: Vec<_> = items.iter().filter_map(|item| item["value"].as_f64()).collect();
    assert_eq!(values, (0..300).map(f64::from).collect::<Vec<_>>());
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
