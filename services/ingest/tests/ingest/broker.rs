//! Behind a real Mosquitto: nothing it accepted is lost, whatever happens to it or to us.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sen_ingest::Sources;
use sen_model::RejectReason;
use sen_ports::Port;
use tempfile::TempDir;

use super::support::{PATIENCE, Station, shipped, wait_for};
use super::wire::{self, Wire};

const TOPIC: &str = "sen/v1/stn-1/telemetry";

/// A Mosquitto of our own on a free port; killed when dropped.
struct Mosquitto {
    port: Port,
    folder: TempDir,
    child: Child,
}

impl Mosquitto {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// One that survives its death: it writes all it has down at each change.
    async fn start_saving() -> Self {
        Self::start_with("autosave_interval 1\nautosave_on_changes true\n").await
    }

    async fn start_with(more: &str) -> Self {
        let (port, folder) = (Port::hold().unwrap(), tempfile::tempdir().unwrap());
        let place = folder.path().display();
        let user = "user root\n";
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {place}/\n{more}\
             max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n{user}",
            port.number()
        );
        std::fs::write(folder.path().join("conf"), settings).unwrap();
        let child = launch(folder.path());
        let mosquitto = Self { port, folder, child };
        mosquitto.wait_until_up().await;
        mosquitto
    }

    async fn wait_until_up(&self) {
        let address = self.port.address();
        let listens = || std::net::TcpStream::connect(address).is_ok();
        wait_for("mosquitto listens", listens).await;
    }

    /// As the machine would: at once, with nothing saved on the way out.
    async fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = launch(self.folder.path());
        self.wait_until_up().await;
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn sources(&self, name: &str, keep_alive_s: u32) -> Sources {
        let port = self.port.number();
        Sources::parse(&format!(
            "[[broker]]\nname = '{name}'\nhost = '127.0.0.1'\nport = {port}\n\
             client_id = 'sen-{name}'\nfilters = ['sen/v1/#', 'odd/#']\nkeep_alive_s = {keep_alive_s}\n"
        ))
        .unwrap()
    }

    async fn device(&self) -> Wire {
        Wire::connect(self.port.address(), 4, "dev").await
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Path) -> Child {
    let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("the Debian package mosquitto is installed");
    Command::new(program)
        .arg("-c")
        .arg(folder.join("conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// With the longest keep-alive: a busy machine misses a shorter one.
async fn station_behind(mosquitto: &Mosquitto, name: &str) -> Station {
    station_keeping(mosquitto, name, 5).await
}

async fn station_keeping(mosquitto: &Mosquitto, name: &str, keep_alive_s: u32) -> Station {
    let mut config = shipped();
    config.listen = "off".into();
    config.max_payload_bytes = 20_000;
    let station = Station::with(config, mosquitto.sources(name, keep_alive_s)).await;
    station.wait_for_health(&format!("broker:{name}"), true).await;
    station
}

async fn publish(device: &mut Wire, values: Range<u32>) {
    for value in values {
        let id = (value % 60_000) as u16 + 1;
        device.publish(TOPIC, format!(r#"{{"a":{value}}}"#).as_bytes(), 1, id).await;
        assert_eq!(device.next().await.kind, wire::PUBACK);
    }
}

/// The values kept so far, each once: a broker may deliver again what it forgot we acknowledged.
async fn values(station: &Station) -> BTreeSet<u32> {
    let kept = station.kept().await;
    kept.iter().flat_map(|batch| &batch.readings).map(|reading| reading.value as u32).collect()
}

/// Waits until exactly these values are kept.
async fn wait_for_values(station: &Station, wanted: Range<u32>) {
    let wanted: BTreeSet<u32> = wanted.collect();
    let complete = async {
        while values(station).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, complete).await.expect("every value arrives");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_broker_are_kept_and_bad_ones_quarantined() {
    let mosquitto = Mosquitto::start().await;
    let station = station_behind(&mosquitto, "plain").await;
    let mut device = mosquitto.device().await;
    publish(&mut device, 0..500).await;
    wait_for_values(&station, 0..500).await;
    // Larger than the library's own limit of 10 KiB, and than ours: no endless loop.
    let large = format!(r#"{{"a":500}}{}"#, " ".repeat(15_000));
    device.publish(TOPIC, large.as_bytes(), 1, 1).await;
    device.publish(TOPIC, &vec![b' '; 300_000], 1, 2).await;
    device.publish("odd/topic", b"{}", 1, 3).await;
    wait_for_values(&station, 0..501).await;
    station.wait_for_records(&station.quarantine, 2).await;
    use RejectReason::{TooLarge, UnknownTopic};
    assert_eq!(station.reasons().await, [TooLarge, UnknownTopic]);
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_we_were_away_is_delivered_when_we_return() {
    let mosquitto = Mosquitto::start().await;
    station_behind(&mosquitto, "away").await.stop().await;
    let mut device = mosquitto.device().await;
    publish(&mut device, 0..5_000).await;
    let station = station_behind(&mosquitto, "away").await;
    station.wait_for_records(&station.readings, 5_000).await;
    wait_for_values(&station, 0..5_000).await;
    let batches = station.kept().await.len();
    assert_eq!(batches, 5_000, "a lost connection would have delivered some of them twice");
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_is_found_again() {
    let mut mosquitto = Mosquitto::start_saving().await;
    let station = station_behind(&mosquitto, "killed").await;
    publish(&mut mosquitto.device().await, 0..50).await;
    wait_for_values(&station, 0..50).await;
    mosquitto.kill_and_restart().await;
    station.wait_for_health("broker:killed", true).await;
    let mut device = mosquitto.device().await;
    let again = async {
        // The session may be gone with the broker: publish until our new subscription hears it.
        while !values(&station).await.contains(&50) {
            publish(&mut device, 50..51).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("heard again");
    wait_for_values(&station, 0..51).await;
    station.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_has_stopped_is_noticed_and_comes_back() {
    let mosquitto = Mosquitto::start().await;
    let station = station_keeping(&mosquitto, "frozen", 3).await;
    mosquitto.signal("STOP");
    // Two keep-alives, and the rest for a busy machine: the promise is ten seconds.
    let noticed = station.wait_for_health("broker:frozen", false);
    let noticed = tokio::time::timeout(Duration::from_secs(10), noticed).await;
    mosquitto.signal("CONT");
    noticed.expect("noticed within ten seconds");
    station.wait_for_health("broker:frozen", true).await;
    publish(&mut mosquitto.device().await, 0..20).await;
    wait_for_values(&station, 0..20).await;
    station.stop().await;
}
