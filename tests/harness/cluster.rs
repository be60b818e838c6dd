//! The centre apart, as `docker-compose.yml` has it in the profile `cluster`: three NATS servers, the
//! archive and every role, each as a process that can be killed, paused and started again.
//!
//! The archive is VictoriaMetrics, by the switch that `docs/operations.md` describes: InfluxDB 2 is in
//! no package registry.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use sen_log::{Log, nats as nats_log};
use tokio::sync::{Mutex, MutexGuard};

use crate::api::Api;
use crate::compose::Variables;
use crate::container::{Container, Host};
use crate::nats::{self, SERVERS};

/// The roles, in the order in which they start.
pub const ROLES: [&str; 5] = ["ingest", "aggregate", "alert", "notify", "gateway"];

/// The archive's name in the file.
pub const ARCHIVE: &str = "victoria-metrics";

/// Into how many the file has the readings divided.
pub const PARTITIONS: u32 = 4;

/// How often a role is started before it is given up.
const MOST_STARTS: usize = 3;

/// The broker's name in the file.
pub const BROKER: &str = "mosquitto";

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other story of this process has a centre apart: each has a dozen processes.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// What is to run.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Of each role: 1 or 2, as many as the file has.
    pub instances: usize,
    /// Whether there is a broker beside Sen's own endpoint.
    pub broker: bool,
    /// Keys (`SEN__…`) of every role beside those of the file.
    pub variables: Variables,
}

impl Default for Shape {
    fn default() -> Self {
        Self { instances: 2, broker: true, variables: Variables::new() }
    }
}

/// Every part of it by its name in the file: `nats-1`, `victoria-metrics`, `alert-2`, …
#[derive(Debug)]
pub struct Apart {
    parts: BTreeMap<String, Container>,
    roles: Vec<String>,
    /// Keeps the folders and ports.
    _host: Host,
}

impl Apart {
    /// Lays everything out, and starts nothing yet: the configuration may be changed before.
    pub fn prepare(shape: &Shape) -> anyhow::Result<Self> {
        ensure!((1..=2).contains(&shape.instances), "the file has two instances of each role");
        let roles: Vec<String> = ROLES
            .iter()
            .flat_map(|role| (1..=shape.instances).map(move |number| format!("{role}-{number}")))
            .collect();
        let broker = shape.broker.then_some(BROKER);
        let names: Vec<&str> = SERVERS
            .into_iter()
            .chain([ARCHIVE])
            .chain(broker)
            .chain(roles.iter().map(String::as_str))
            .collect();
        let host = Host::new(&switched(), &names)?;
        let mut parts = BTreeMap::new();
        for name in names {
            let is_role = roles.iter().any(|role| role == name);
            let more = if is_role { shape.variables.clone() } else { Variables::new() };
            parts.insert(name.to_owned(), host.container(name, &more)?);
        }
        Ok(Self { parts, roles, _host: host })
    }

    /// Starts all of it; every part is well when it returns.
    pub async fn start(shape: &Shape) -> anyhow::Result<Self> {
        let mut apart = Self::prepare(shape)?;
        apart.start_servers().await?;
        apart.start_roles().await?;
        Ok(apart)
    }

    /// Changes the configuration folder of every role; while they run, as an edit of a file.
    pub fn configure(&self, edit: impl Fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.roles.iter().try_for_each(|name| edit(&self.part(name)?.path("/etc/sen")))
    }

    /// Starts what the roles stand on: NATS, the archive, the broker.
    pub async fn start_servers(&mut self) -> anyhow::Result<()> {
        let servers = self.parts.iter_mut().filter(|(name, _)| !self.roles.contains(name));
        for (_, server) in servers {
            server.start()?;
        }
        nats::elected(SERVERS.iter().filter_map(|name| self.parts.get(*name))).await;
        for name in [ARCHIVE, BROKER] {
            if let Some(server) = self.parts.get(name) {
                server.well().await;
            }
        }
        Ok(())
    }

    /// Starts every role, and waits until each is well. One that ends before is started again, as the
    /// file says (`restart: unless-stopped`), but not for ever.
    pub async fn start_roles(&mut self) -> anyhow::Result<()> {
        for name in self.roles.clone() {
            self.part_mut(&name)?.start()?;
        }
        for name in self.roles.clone() {
            let part = self.part_mut(&name)?;
            let mut starts = 1;
            while !part.came_up().await {
                ensure!(starts < MOST_STARTS, "{name} ends again and again:\n{}", part.told());
                println!("{name} has ended, and is started again:\n{}", part.told());
                part.start()?;
                starts += 1;
            }
        }
        Ok(())
    }

    /// A part by its name in the file.
    pub fn part(&self, name: &str) -> anyhow::Result<&Container> {
        self.parts.get(name).with_context(|| format!("{name} is not part of it"))
    }

    /// A part, to kill it or start it again.
    pub fn part_mut(&mut self, name: &str) -> anyhow::Result<&mut Container> {
        self.parts.get_mut(name).with_context(|| format!("{name} is not part of it"))
    }

    /// The names of all parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// `nats://host:port` of every server.
    pub fn nats(&self) -> Vec<String> {
        let servers = SERVERS.iter().filter_map(|name| self.parts.get(*name));
        servers.map(|server| format!("nats://{}", server.address(4222))).collect()
    }

    /// `host:port` of an `ingest` (1 or 2) for devices.
    pub fn mqtt(&self, number: usize) -> anyhow::Result<String> {
        Ok(self.part(&format!("ingest-{number}"))?.address(1883))
    }

    /// `host:port` of a `gateway` (1 or 2): the screens and the API.
    pub fn http(&self, number: usize) -> anyhow::Result<String> {
        Ok(self.part(&format!("gateway-{number}"))?.address(8080))
    }

    /// `host:port` of any role's `/healthz`, `/readyz` and `/metrics`.
    pub fn admin(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.part(name)?.address(9090))
    }

    /// The API of a `gateway` (1 or 2).
    pub fn api(&self, gateway: usize) -> anyhow::Result<Api> {
        Ok(Api::at(self.http(gateway)?))
    }

    /// The log, from the servers.
    pub async fn log(&self) -> anyhow::Result<Log> {
        let client = async_nats::connect(self.nats()).await?;
        let config = nats_log::Config {
            name: "sen".into(),
            partitions: PARTITIONS,
            replicas: 3,
            monitors: Vec::new(),
        };
        Ok(Log::over_nats(client, config).await?)
    }
}

/// Lines of each part's log that are shown when a story fails.
const LAST_LINES: usize = 25;

impl Drop for Apart {
    /// What the parts said last. The test's runner shows it only if the story failed.
    fn drop(&mut self) {
        for (name, part) in &self.parts {
            let told = part.told();
            let lines: Vec<_> = told.lines().collect();
            let last = lines.len().saturating_sub(LAST_LINES);
            println!("--- {name} said last:\n{}", lines[last..].join("\n"));
        }
    }
}

/// The variables of the file that put VictoriaMetrics in the place of InfluxDB.
pub fn switched() -> Variables {
    Variables::from([
        ("SEN_ARCHIVE".into(), "victoriametrics+http://victoria-metrics:8428".into()),
        ("SEN_ARCHIVE_TOKEN_FILE".into(), String::new()),
    ])
}
