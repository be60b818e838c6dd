//! The centre as `docker-compose.yml` starts it: in one process, and apart.

use std::process::Command;

use sen_tests::centre::{binary, root};
use sen_tests::cluster::{Apart, ROLES, Shape};
use sen_tests::compose::{Composition, Variables};
use sen_tests::container::{Container, Host};
use sen_tests::wait_for;
use serde_json::Value;

/// Publishes one reading as a device would, and waits for its PUBACK.
fn publish(mqtt: &str, metric: &str) {
    let (host, port) = mqtt.rsplit_once(':').unwrap();
    let published = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-t", "sen/v1/pump-01/telemetry", "-m"])
        .arg(format!("{{\"{metric}\": 12.5}}"))
        .status()
        .unwrap();
    assert!(published.success());
}

/// Waits until the gateway at this address answers the reading.
async fn answered(http: &str, metric: &str) {
    let url = format!("http://{http}/api/v1/series/pump-01/{metric}/readings");
    wait_for(&url, async || {
        let url = url.clone();
        let asked = tokio::task::spawn_blocking(move || {
            ureq::get(&url).call().ok()?.body_mut().read_json::<Value>().ok()
        });
        let answer = asked.await.ok()??;
        answer["items"].as_array().is_some_and(|items| items.len() == 1).then_some(())
    })
    .await;
}

/// Waits until it tells what it measures: just after its start there may be nothing yet.
async fn has_metrics(part: &Container) {
    let url = format!("http://{}/metrics", part.address(9090));
    wait_for(&format!("the metrics of {}", part.name()), async || {
        let url = url.clone();
        let asked = tokio::task::spawn_blocking(move || {
            ureq::get(&url).call().ok()?.body_mut().read_to_string().ok()
        });
        asked.await.ok()??.contains("# TYPE sen_").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_starts_as_the_compose_file_says() {
    let host = Host::new(&Variables::new(), &["sen"]).unwrap();
    let mut sen = host.container("sen", &Variables::new()).unwrap();
    sen.start().unwrap();
    sen.well().await;
    publish(&sen.address(1883), "flow_m3_h");
    answered(&sen.address(8080), "flow_m3_h").await;
    has_metrics(&sen).await;
    assert!(sen.terminate().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_starts_twice_as_the_compose_file_says() {
    let mut apart = Apart::start(&Shape::default()).await.unwrap();
    for (number, metric) in [(1, "flow_m3_h"), (2, "pressure_bar")] {
        publish(&apart.mqtt(number).unwrap(), metric);
        answered(&apart.http(1).unwrap(), metric).await;
        answered(&apart.http(2).unwrap(), metric).await;
    }
    for role in ROLES {
        has_metrics(apart.part(&format!("{role}-1")).unwrap()).await;
    }
    for role in ROLES.iter().rev() {
        for number in 1..=2 {
            let part = apart.part_mut(&format!("{role}-{number}")).unwrap();
            assert!(part.terminate().unwrap().success(), "{}:\n{}", part.name(), part.told());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_is_well_as_the_compose_file_says() {
    let host = Host::new(&Variables::new(), &["ingest-1", "simulator"]).unwrap();
    let mut simulator = host.container("simulator", &Variables::new()).unwrap();
    simulator.start().unwrap();
    simulator.well().await;
    assert!(simulator.terminate().unwrap().success(), "{}", simulator.told());
}

#[test]
fn the_simulator_is_told_its_broker_by_name() {
    let services = Composition::read(&Variables::new()).unwrap().services;
    // Refused for the drill, with the configuration's code, not for how it was called.
    let refused = Command::new(binary())
        .args(&services["simulator"].command[..1])
        .args(["--config", "config", "--scenario", "no-such-drill"])
        .args(services["simulator"].command.iter().skip_while(|word| *word != "--broker"))
        .current_dir(root())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{told}");
}
