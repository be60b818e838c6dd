//! The simulator against brokers: a real Mosquitto that is stopped and started again, and one of
//! our own that keeps its acknowledgements to itself.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use sen_chassis::{Clock, Shutdown};
use sen_model::{Device, Registry, registry_file};
use sen_ports::Port;
use sen_simulator::{Config, Faults, Ports, RunError, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest any of these stories may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before looking again whether something has come about.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const LARGEST_PACKET: usize = 1 << 20;

fn device(id: &str) -> Device {
    let body = json!({
        "id": id, "name": { "vi": "Trạm đo", "en": "Gauge" }, "kind": "river",
        "field": "environment", "area": "28261", "lat": 10.35, "lon": 106.37, "interval_ms": 100,
        "metrics": [{ "metric": "water_level_m", "unit": "m",
                      "name": { "vi": "Mực nước", "en": "Water level" } }],
    });
    serde_json::from_value(body).unwrap()
}

fn simulator(broker: SocketAddr, devices: &[&str], connections: usize) -> Simulator {
    let devices = devices.iter().map(|id| device(id)).collect();
    province(broker, Registry::new(devices, Vec::new()), connections)
}

fn province(broker: SocketAddr, registry: Registry, connections: usize) -> Simulator {
    let config = Config {
        seed: 1,
        speed: 1.0,
        scenario: None,
        demo: false,
        connections,
        events_per_hour: 0.0,
        buffer_packets: 4_000,
        faults: Faults { gap_rate: 0.0, late_rate: 0.0, duplicate_rate: 0.0, bad_rate: 0.0 },
    };
    let registry = Arc::new(registry);
    Simulator::bind(config, Ports { registry, broker, clock: Clock::system() }).unwrap()
}

/// Runs the province beside the test, which joins it.
#[expect(clippy::disallowed_methods, reason = "the test joins it")]
fn started(province: Simulator, shutdown: &Shutdown) -> JoinHandle<Result<(), RunError>> {
    tokio::spawn(province.run(shutdown.clone()))
}

/// A Mosquitto of this test's own; ends with it.
struct Mosquitto {
    child: Child,
    folder: tempfile::TempDir,
    port: Port,
}

impl Mosquitto {
    async fn start() -> Self {
        let (port, folder) = (Port::hold().unwrap(), tempfile::tempdir().unwrap());
        let place = folder.path().display();
        // It writes its sessions down when it is asked to stop, so that a subscriber misses
        // nothing over the restart.
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {place}/\nmax_queued_messages 0\n",
            port.number()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), settings).unwrap();
        let child = Self::spawn(&folder);
        let started = Self { child, folder, port };
        started.listening().await;
        started
    }

    fn spawn(folder: &tempfile::TempDir) -> Child {
        let quiet = || Stdio::null();
        let program = ["/usr/sbin/mosquitto", "mosquitto"];
        let program = program.into_iter().find(|path| std::path::Path::new(path).exists());
        Command::new(program.unwrap_or("mosquitto"))
            .arg("-c")
            .arg(folder.path().join("mosquitto.conf"))
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .expect("the Debian package mosquitto is installed")
    }

    async fn listening(&self) {
        while TcpStream::connect(self.port.address()).await.is_err() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn stop(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg("-TERM").arg(id).status().unwrap().success());
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder);
        self.listening().await;
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A subscriber with a session of its own, and the event times it has heard of each device.
struct Listener {
    driver: EventLoop,
    heard: BTreeMap<String, Vec<i64>>,
    _client: AsyncClient,
}

impl Listener {
    async fn subscribe(broker: SocketAddr) -> Self {
        let mut options = MqttOptions::new("listener", "127.0.0.1", broker.port());
        options.set_clean_session(false).set_keep_alive(Duration::from_secs(5));
        let (client, mut driver) = AsyncClient::new(options, 10);
        client.subscribe("sen/v1/+/telemetry", QoS::AtLeastOnce).await.unwrap();
        while !matches!(driver.poll().await, Ok(Event::Incoming(Incoming::SubAck(_)))) {}
        Self { driver, heard: BTreeMap::new(), _client: client }
    }

    /// Listens until `enough` of what was heard; reconnects by itself.
    async fn until(&mut self, enough: impl Fn(&BTreeMap<String, Vec<i64>>) -> bool) {
        let listening = async {
            while !enough(&self.heard) {
                let Ok(Event::Incoming(Incoming::Publish(publish))) = self.driver.poll().await
                else {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                    continue;
                };
                let body: Value = serde_json::from_slice(&publish.payload).unwrap();
                let values = body["values"].as_object().unwrap();
                assert!(values.values().all(Value::is_number) && !values.is_empty(), "{body}");
                let device = publish.topic.split('/').nth(2).unwrap().to_owned();
                self.heard.entry(device).or_default().push(body["ts"].as_i64().unwrap());
            }
        };
        let heard = tokio::time::timeout(PATIENCE, listening).await;
        assert!(heard.is_ok(), "waited in vain; heard {:?}", self.heard);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_measured_while_the_broker_was_away_arrives() {
    for connections in [0, 2] {
        let mut broker = Mosquitto::start().await;
        let mut listener = Listener::subscribe(broker.port.address()).await;
        let shutdown = Shutdown::new();
        let devices = ["gauge-1", "gauge-2", "gauge-3"];
        let province = simulator(broker.port.address(), &devices, connections);
        let running = started(province, &shutdown);
        listener.until(|heard| heard.len() == 3 && heard.values().all(|all| all.len() > 2)).await;

        broker.stop().await;
        let clock = Clock::system();
        let stopped_ms = clock.now_ms();
        // Who knocks at the empty place has noticed, and has measured between two knocks.
        let lookout = TcpListener::bind(broker.port.address()).await.unwrap();
        for _ in 0..5 {
            let knock = tokio::time::timeout(PATIENCE, lookout.accept()).await;
            drop(knock.expect("devices try again").unwrap());
        }
        drop(lookout);
        let back_ms = clock.now_ms();
        broker.start_again().await;

        let away =
            |all: &Vec<i64>| all.iter().filter(|ts| (stopped_ms..back_ms).contains(*ts)).count();
        listener
            .until(|heard| {
                heard.values().all(|all| away(all) > 0 && all.iter().any(|ts| *ts > back_ms))
            })
            .await;
        shutdown.request();
        running.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_of_the_shipped_registry_is_heard() {
    let devices = include_str!("../../../config/devices.toml");
    let places = include_str!("../../../config/places.toml");
    let registry = registry_file::parse(devices, places).unwrap();
    let count = registry.devices().count();
    let broker = Mosquitto::start().await;
    let mut listener = Listener::subscribe(broker.port.address()).await;
    let shutdown = Shutdown::new();
    let running = started(province(broker.port.address(), registry, 0), &shutdown);
    listener.until(|heard| heard.len() == count).await;
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// Reads packets of one connection until it ends or `enough` publishes came; acknowledges them
/// only if `kindly`. Gives the payloads.
async fn serve(stream: &mut TcpStream, kindly: bool, enough: usize) -> Vec<Vec<u8>> {
    let (mut bytes, mut payloads) = (BytesMut::new(), Vec::new());
    while payloads.len() < enough {
        let mut answer = BytesMut::new();
        match Packet::read(&mut bytes, LARGEST_PACKET) {
            Ok(Packet::Connect(_)) => {
                ConnAck::new(ConnectReturnCode::Success, false).write(&mut answer).unwrap();
            }
            Ok(Packet::Publish(publish)) => {
                assert_eq!(publish.qos, QoS::AtLeastOnce);
                payloads.push(publish.payload.to_vec());
                if kindly {
                    PubAck::new(publish.pkid).write(&mut answer).unwrap();
                }
            }
            Ok(_) => {}
            Err(_) => {
                if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                    break;
                }
            }
        }
        stream.write_all(&answer).await.unwrap();
    }
    payloads
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_is_sent_again_on_the_next_connection() {
    let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = Shutdown::new();
    let province = simulator(broker.local_addr().unwrap(), &["gauge-1"], 0);
    let running = started(province, &shutdown);

    let story = async {
        let (mut stream, _) = broker.accept().await.unwrap();
        let unheard = serve(&mut stream, false, 3).await;
        drop(stream);
        let (mut stream, _) = broker.accept().await.unwrap();
        let heard = serve(&mut stream, true, 6).await;
        assert_eq!(heard[..3], unheard[..], "the same, first, and in order");
        shutdown.request();
        // It says goodbye once everything is acknowledged.
        serve(&mut stream, true, usize::MAX).await;
    };
    tokio::time::timeout(PATIENCE, story).await.expect("in time");
    running.await.unwrap().unwrap();
}
