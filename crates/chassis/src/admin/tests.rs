//! The endpoint over real sockets.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::telemetry;

fn metrics() -> Metrics {
    static ONCE: OnceLock<Metrics> = OnceLock::new();
    let install = || telemetry::install(&Config::default()).unwrap();
    ONCE.get_or_init(install).clone()
}

async fn bound(health: &Health) -> Admin {
    let config = Config { admin: "127.0.0.1:0".into(), ..Config::default() };
    Admin::bind(&config, metrics(), health.clone()).await.unwrap()
}

/// One request over a connection of its own: the status and the whole answer.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: sen\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test]
async fn it_tells_that_it_lives_whether_it_is_ready_and_what_it_counts() {
    let health = Health::new();
    let admin = bound(&health).await;
    let address = admin.address().unwrap();
    let shutdown = Shutdown::new();
    let asking = async {
        assert_eq!(get(address, "/healthz").await.0, 200);
        let (status, answer) = get(address, "/readyz").await;
        assert_eq!(status, 503, "nothing said yet is not ready");
        assert!(answer.ends_with(r#"{"ready":false,"parts":{}}"#), "{answer}");

        health.well("alert");
        let (status, answer) = get(address, "/readyz").await;
        assert_eq!(status, 200);
        assert!(answer.ends_with(r#"{"ready":true,"parts":{"alert":null}}"#), "{answer}");

        health.ill("store", "the disk is full");
        let (status, answer) = get(address, "/readyz").await;
        assert_eq!(status, 503);
        let told = r#"{"ready":false,"parts":{"alert":null,"store":"the disk is full"}}"#;
        assert!(answer.ends_with(told), "{answer}");

        metrics::counter!("sen_admin_test_total").increment(3);
        let (status, answer) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("sen_admin_test_total 3"), "{answer}");
        assert_eq!(get(address, "/api/v1/alerts").await.0, 404, "it has no other doors");
        shutdown.request();
    };
    let (ran, ()) = tokio::join!(admin.run(shutdown.clone()), asking);
    ran.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "it listens no more");
}

#[tokio::test]
async fn many_who_hold_a_connection_keep_nobody_from_stopping_it() {
    let admin = bound(&Health::new()).await;
    let address = admin.address().unwrap();
    let shutdown = Shutdown::new();
    let asking = async {
        let mut held = Vec::new();
        for _ in 0..MOST_CONNECTIONS + 3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /healthz HT").await.unwrap();
            held.push(stream);
        }
        // One leaves, and the next in line has its place.
        held.truncate(3);
        assert_eq!(get(address, "/healthz").await.0, 200);
        shutdown.request();
        held
    };
    let both = async { tokio::join!(admin.run(shutdown.clone()), asking) };
    let (ran, _held) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    ran.unwrap();
}

#[tokio::test]
async fn off_is_nowhere_and_a_taken_address_is_told() {
    let metrics = metrics();
    let off = Admin::bind(&Config::default(), metrics.clone(), Health::new()).await.unwrap();
    assert_eq!(off.address(), None);
    let shutdown = Shutdown::new();
    shutdown.request();
    off.run(shutdown).await.unwrap();

    let taken = bound(&Health::new()).await;
    let config = Config { admin: taken.address().unwrap().to_string(), ..Config::default() };
    let error = Admin::bind(&config, metrics, Health::new()).await.unwrap_err();
    assert!(error.to_string().contains("choose another port"), "{error}");
}

#[test]
fn every_mistake_in_the_settings_is_told() {
    let config = Config {
        admin: "9464".into(),
        traces: "127.0.0.1:4318".into(),
        traces_one_in: 0,
        ..Config::default()
    };
    let keys: Vec<_> = config.check().into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["telemetry.admin", "telemetry.traces_one_in", "telemetry.traces"]);
    assert!(Config::default().check().is_empty());
}
