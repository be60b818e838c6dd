//! What the roles stand on when they run apart: real NATS servers and a real VictoriaMetrics, on free
//! ports of loopback, with the settings of `deploy/nats` and `docker-compose.yml`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;
use sen_ports::Port;
use serde_json::Value;
use tokio::process::Command;

use super::centre::Bench;
use super::http;
use super::nats_view::{self, Kept, Traffic};
use super::process::Process;

/// The Debian packages that have the servers.
pub(super) const NATS_PACKAGE: &str = "nats-server";
pub(super) const VICTORIA_PACKAGE: &str = "victoria-metrics";

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// The first NATS that can sync before it acknowledges.
const SYNCING: (u32, u32) = (2, 10);
/// The limits of `deploy/nats/nats.conf`.
const LIMITS: [&str; 4] =
    ["max_payload: 2MB", "max_pending: 64MB", "write_deadline: \"10s\"", "max_connections: 1024"];

/// NATS servers, one by itself or several that keep every record together.
#[derive(Debug)]
pub(super) struct Nats {
    servers: Vec<(Process, Ports)>,
    /// Whether each acknowledgement waits for the disk.
    pub syncs: bool,
}

/// Where one NATS server listens.
#[derive(Debug)]
struct Ports {
    client: Port,
    monitor: Port,
    route: Port,
}

impl Ports {
    fn hold() -> std::io::Result<Self> {
        Ok(Self { client: Port::hold()?, monitor: Port::hold()?, route: Port::hold()? })
    }
}

impl Nats {
    /// Starts so many servers with their store below `folder`; JetStream is ready when it returns.
    pub(super) async fn start(
        bench: &Bench,
        folder: &Path,
        count: usize,
        partitions: u64,
    ) -> anyhow::Result<Self> {
        let syncs = version(&bench.nats_server).await? >= SYNCING;
        let ports = (0..count).map(|_| Ports::hold()).collect::<std::io::Result<Vec<_>>>()?;
        let mut servers = Vec::with_capacity(count);
        for (number, own) in (1..).zip(&ports) {
            let place = folder.join(format!("nats-{number}"));
            std::fs::create_dir(&place)?;
            let path = place.join("nats.conf");
            std::fs::write(&path, settings(own, &ports, partitions, syncs))?;
            let mut command = Command::new(&bench.nats_server);
            command.arg("--config").arg(&path).arg("--store_dir").arg(place.join("store"));
            command.args(["--name", &format!("nats-{number}")]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            servers.push(Process::start(&mut command, Some(NATS_PACKAGE))?);
        }
        let mut nats = Self { servers: servers.into_iter().zip(ports).collect(), syncs };
        for (server, ports) in &mut nats.servers {
            until_ready(server, ports.monitor.address(), "/healthz").await?;
            until_led(ports.monitor.address()).await?;
        }
        Ok(nats)
    }

    /// As `cluster.nats` names them.
    pub(super) fn addresses(&self) -> String {
        listed("nats", self.servers.iter().map(|(_, ports)| ports.client.address()))
    }

    /// As `cluster.monitors` names them.
    pub(super) fn monitors(&self) -> String {
        listed("http", self.servers.iter().map(|(_, ports)| ports.monitor.address()))
    }

    /// How many keep each record.
    pub(super) fn replicas(&self) -> usize {
        self.servers.len()
    }

    /// CPU seconds of all of them.
    pub(super) fn cpu_s(&self) -> anyhow::Result<f64> {
        let used = self.servers.iter().map(|(server, _)| Ok(server.usage()?.cpu_s));
        used.sum()
    }

    /// The most memory that one of them ever had, in MB.
    pub(super) fn peak_rss_mb(&self) -> anyhow::Result<f64> {
        let used = self.servers.iter().map(|(server, _)| Ok(server.usage()?.peak_rss_mb));
        used.collect::<anyhow::Result<Vec<_>>>().map(|all| all.into_iter().fold(0.0, f64::max))
    }

    /// Bytes that all of them have caused to be written to disks.
    pub(super) fn written(&self) -> anyhow::Result<u64> {
        self.servers.iter().map(|(server, _)| server.written()).sum()
    }

    /// What one server keeps of a stream.
    pub(super) async fn kept(&self, stream: &str) -> anyhow::Result<Kept> {
        let (_, ports) = self.servers.first().context("a server")?;
        let told: Value = http::get_json(ports.monitor.address(), "/jsz?streams=1").await?;
        nats_view::kept(&told, stream).with_context(|| format!("NATS has no stream {stream}"))
    }

    /// What went through all of them so far.
    pub(super) async fn traffic(&self) -> anyhow::Result<Traffic> {
        let mut all = Traffic::default();
        for (_, ports) in &self.servers {
            let server: Value = http::get_json(ports.monitor.address(), "/varz").await?;
            let routes: Value = http::get_json(ports.monitor.address(), "/routez").await?;
            all = all + nats_view::traffic(&server, &routes).context("an unknown /varz")?;
        }
        Ok(all)
    }
}

/// An archive.
#[derive(Debug)]
pub(super) struct Victoria {
    process: Process,
    port: Port,
}

impl Victoria {
    /// Starts it on an empty folder; it answers when this returns.
    pub(super) async fn start(bench: &Bench, folder: &Path) -> anyhow::Result<Self> {
        let port = Port::hold()?;
        let address = port.address();
        let mut command = Command::new(&bench.victoria);
        command
            .arg(format!("-storageDataPath={}", folder.join("victoria").display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-retentionPeriod=10y", "-dedup.minScrapeInterval=1ms", "-loggerLevel=ERROR"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = Process::start(&mut command, Some(VICTORIA_PACKAGE))?;
        until_ready(&mut process, address, "/health").await?;
        Ok(Self { process, port })
    }

    /// As `store.archive` names it.
    pub(super) fn location(&self) -> String {
        format!("victoriametrics+http://{}", self.port.address())
    }

    /// Its process.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }
}

/// Whether both servers can be started.
pub(super) async fn are_installed(bench: &Bench) -> anyhow::Result<()> {
    version(&bench.nats_server).await?;
    run(&bench.victoria, "-version", VICTORIA_PACKAGE).await.map(drop)
}

async fn version(program: &Path) -> anyhow::Result<(u32, u32)> {
    let said = run(program, "--version", NATS_PACKAGE).await?;
    nats_view::version(&said).with_context(|| format!("not a version of NATS: {said}"))
}

async fn run(program: &Path, argument: &str, package: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().await;
    let output = output.with_context(|| {
        format!("{} cannot be run: sudo apt-get install -y {package}", program.display())
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn settings(own: &Ports, all: &[Ports], partitions: u64, syncs: bool) -> String {
    let sync = if syncs { "sync_interval: always" } else { "" };
    let mut text = format!(
        "listen: \"{}\"\nhttp: \"{}\"\n\
         jetstream {{ max_file_store: 64GB, max_memory_store: 64MB\n{sync} }}\n\
         mappings {{ \"sen.in.readings.*\": \
         \"sen.readings.{{{{partition({partitions},1)}}}}.{{{{wildcard(1)}}}}\" }}\n{}\n",
        own.client.address(),
        own.monitor.address(),
        LIMITS.join("\n")
    );
    if all.len() > 1 {
        let routes: Vec<_> =
            all.iter().map(|one| format!("\"nats://{}\"", one.route.address())).collect();
        let routes = routes.join(", ");
        text += &format!(
            "cluster {{ name: \"sen\", listen: \"{}\", routes: [{routes}] }}\n",
            own.route.address()
        );
    }
    text
}

fn listed(scheme: &str, addresses: impl Iterator<Item = SocketAddr>) -> String {
    let all: Vec<_> = addresses.map(|address| format!("\"{scheme}://{address}\"")).collect();
    format!("[{}]", all.join(", "))
}

async fn until_ready(server: &mut Process, address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let begun = Stopwatch::start();
    while !matches!(http::get(address, path).await, Ok((200, _))) {
        server.check()?;
        ensure!(begun.elapsed() < PATIENCE, "{address}{path} is not well");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn until_led(monitor: SocketAddr) -> anyhow::Result<()> {
    let begun = Stopwatch::start();
    loop {
        let told: Value = http::get_json(monitor, "/jsz").await?;
        if nats_view::is_led(&told) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "nobody leads JetStream");
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_what_is_shipped() {
        let deploy = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/nats"));
        let read = |name: &str| std::fs::read_to_string(deploy.join(name)).unwrap();
        let ports = [(); 3].map(|()| Ports::hold().unwrap());
        let one = settings(&ports[0], &ports[..1], 4, false);
        let mapping = read("mapping.conf");
        let mapping = mapping.lines().find(|line| line.contains("partition(")).unwrap().trim();
        assert!(one.contains(mapping), "{mapping}\n{one}");
        let shipped = read("nats.conf");
        for limit in LIMITS.iter().chain(&["max_file_store: 64GB", "max_memory_store: 64MB"]) {
            assert!(shipped.contains(limit) && one.contains(limit), "{limit}");
        }
        assert!(!one.contains("cluster") && !one.contains("sync_interval"), "{one}");
        let three = settings(&ports[0], &ports, 1, true);
        assert!(three.contains("cluster") && three.contains("partition(1,1)"), "{three}");
        let durable = read("durable.conf");
        let sync = durable.lines().find(|line| line.starts_with("sync_interval")).unwrap();
        assert!(three.contains(sync), "{three}");
    }

    #[test]
    fn lists_are_toml() {
        let list = listed("nats", [(); 2].map(|()| Port::hold().unwrap().address()).into_iter());
        let table: toml::Table = format!("nats = {list}").parse().unwrap();
        assert_eq!(table["nats"].as_array().unwrap().len(), 2);
    }
}
