//! A centre whose collector of traces is dead.

use std::net::SocketAddr;

use rustix::process::Signal;
use sen_ports::Port;
use sen_tests::centre::Centre;
use sen_tests::device::Device;
use sen_tests::wait_for;

use crate::{GAUGE, LEVEL, now_ms, stored};

/// What the admin endpoint answers.
async fn admin(door: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let url = format!("http://{door}{path}");
    tokio::task::spawn_blocking(move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut answer = ureq::Agent::from(agent).get(&url).call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    })
    .await?
}

#[tokio::test]
async fn a_dead_collector_costs_a_counter_and_nothing_else() -> anyhow::Result<()> {
    // Nobody ever listens at the first.
    let (dead, door) = (Port::hold()?, Port::hold()?);
    let (url, address) = (format!("http://{}", dead.address()), door.address().to_string());
    let variables = [
        ("SEN__TELEMETRY__TRACES", &*url),
        ("SEN__TELEMETRY__TRACES_ONE_IN", "1"),
        ("SEN__TELEMETRY__ADMIN", &*address),
    ];
    let mut centre = Centre::with(&variables, &[])?;
    let mut device = Device::connect("gauge", centre.mqtt_port()).await?;
    let from_ms = now_ms();
    for number in 0..20 {
        device.report(GAUGE, LEVEL, from_ms + number, 0.5).await?;
    }
    wait_for("every reading to be stored", async || {
        let items = stored(&centre, GAUGE, LEVEL, from_ms, from_ms + 1_000).await.ok()?;
        (items.len() == 20).then_some(())
    })
    .await;
    // The doors for machines say so: everything is well, and spans were lost.
    let metrics = wait_for("lost spans to be counted", async || {
        let (_, metrics) = admin(door.address(), "/metrics").await.ok()?;
        metrics.contains("sen_trace_spans_lost_total{why=\"collector\"}").then_some(metrics)
    })
    .await;
    assert!(metrics.contains("sen_log_head{topic=\"readings\"}"), "{metrics}");
    wait_for("readiness", async || {
        let (status, ready) = admin(door.address(), "/readyz").await.ok()?;
        (status == 200 && ready.contains("\"ready\":true")).then_some(())
    })
    .await;
    assert_eq!(admin(door.address(), "/healthz").await?, (200, "ok\n".to_owned()));

    centre.process().signal(Signal::TERM)?;
    assert!(centre.process().wait()?.success(), "it stops as it should");
    Ok(())
}
