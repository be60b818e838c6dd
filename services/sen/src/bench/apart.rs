//! The centre apart: every role a process of its own, over servers that are started for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::centre::{Bench, VARIABLES};
use super::http;
use super::nats_view;
use super::process::Process;
use super::servers::{Nats, Victoria};

/// How long a role may take to be ready: leases that killed ones held run out before.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// The servers that the roles meet on, in a folder that goes with them.
#[derive(Debug)]
pub(super) struct Stand {
    /// The log, and where the roles meet.
    pub nats: Nats,
    /// The archive.
    pub victoria: Victoria,
    partitions: u64,
    folder: PathBuf,
}

/// One role as a process; killed when dropped.
#[derive(Debug)]
pub(super) struct Role {
    /// `ingest`, `aggregate`, `alert`, `notify` or `gateway`.
    pub name: &'static str,
    /// The process.
    pub process: Process,
    addresses: Addresses,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    http: Option<SocketAddr>,
    mqtt: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Stand {
    /// Starts so many NATS servers, and an archive.
    pub(super) async fn start(
        bench: &Bench,
        servers: u64,
        partitions: u64,
    ) -> anyhow::Result<Self> {
        let folder = bench.folder.fresh("apart")?;
        let nats = Nats::start(bench, &folder, usize::try_from(servers)?, partitions).await?;
        let victoria = Victoria::start(bench, &folder).await?;
        Ok(Self { nats, victoria, partitions, folder })
    }

    /// Starts these roles at the same time, each on an empty folder, and waits until all are ready.
    pub(super) async fn roles(
        &self,
        bench: &Bench,
        names: &[&'static str],
    ) -> anyhow::Result<Vec<Role>> {
        let mut started = Vec::with_capacity(names.len());
        for name in names {
            started.push((*name, self.spawn(bench, name)?));
        }
        let mut roles = Vec::with_capacity(names.len());
        for (name, mut process) in started {
            let mut line = String::new();
            let mut stdout = BufReader::new(process.stdout()?);
            tokio::time::timeout(START_TIMEOUT, stdout.read_line(&mut line))
                .await
                .with_context(|| format!("{name} did not start in time"))??;
            let addresses = serde_json::from_str(&line)
                .with_context(|| format!("{name} did not say its addresses but {line:?}"))?;
            roles.push(Role { name, process, addresses });
        }
        for role in &mut roles {
            role.ready().await?;
        }
        Ok(roles)
    }

    fn spawn(&self, bench: &Bench, name: &str) -> anyhow::Result<Process> {
        let mut command = Command::new(&bench.binary);
        command
            .args([name, "--print-addresses", "--config"])
            .arg(&bench.config)
            .arg("--data")
            .arg(bench.folder.fresh(name)?)
            .envs(VARIABLES)
            .env("SEN__CLUSTER__NATS", self.nats.addresses())
            .env("SEN__CLUSTER__MONITORS", self.nats.monitors())
            .env("SEN__CLUSTER__REPLICAS", self.nats.replicas().to_string())
            .env("SEN__CLUSTER__PARTITIONS", self.partitions.to_string())
            .env("SEN__STORE__ARCHIVE", self.victoria.location())
            .env("SEN__TELEMETRY__ADMIN", "127.0.0.1:0")
            // As many as are open files by default: each role would warn of more.
            .env("SEN__INGEST__MAX_CONNECTIONS", "10000")
            // It has no other reason to say anything, and every role would say it.
            .env("SEN__TELEMETRY__FILTER", "error")
            .stdout(Stdio::piped());
        Process::start(&mut command, None)
    }

    /// Ends the servers and removes what they kept.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let Self { nats, victoria, folder, .. } = self;
        drop((nats, victoria));
        // A server that is being killed may still write.
        let removed =
            std::fs::remove_dir_all(&folder).or_else(|_| std::fs::remove_dir_all(&folder));
        removed.with_context(|| format!("cannot remove {}", folder.display()))
    }
}

impl Role {
    /// Where devices connect; an ingest has it.
    pub(super) fn mqtt(&self) -> anyhow::Result<SocketAddr> {
        self.addresses.mqtt.context("no MQTT address")
    }

    /// Where the API is; a gateway has it.
    pub(super) fn http(&self) -> anyhow::Result<SocketAddr> {
        self.addresses.http.context("no HTTP address")
    }

    /// Where its metrics are.
    pub(super) fn admin(&self) -> anyhow::Result<SocketAddr> {
        self.addresses.admin.context("no admin address")
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let (admin, begun) = (self.admin()?, Stopwatch::start());
        while !matches!(http::get(admin, "/readyz").await, Ok((200, _))) {
            self.process.check()?;
            ensure!(begun.elapsed() < START_TIMEOUT, "{} is not ready", self.name);
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Several metrics of one process, each summed over its labels.
pub(super) async fn metrics<const COUNT: usize>(
    admin: SocketAddr,
    names: [&str; COUNT],
) -> anyhow::Result<[f64; COUNT]> {
    let (status, text) = http::get(admin, "/metrics").await?;
    ensure!(status == 200, "/metrics: status {status}");
    Ok(names.map(|name| nats_view::sum(&text, name)))
}
