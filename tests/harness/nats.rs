//! Real NATS servers, one or three, with the configuration of `deploy/nats` and the arguments of
//! `docker-compose.yml`, on ports and folders of their own.

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::compose::Variables;
use crate::container::{Container, Host};
use crate::wait_for;

/// The names of the three in `docker-compose.yml`.
pub const SERVERS: [&str; 3] = ["nats-1", "nats-2", "nats-3"];

/// Servers that can each be killed, paused and started again on the same store.
#[derive(Debug)]
pub struct Nats {
    servers: Vec<Container>,
    /// Keeps the folders and ports.
    _host: Host,
}

impl Nats {
    /// Starts one server by itself, or the cluster of three; JetStream is ready when it returns.
    pub async fn start(count: usize) -> anyhow::Result<Self> {
        ensure!(count == 1 || count == SERVERS.len(), "one server or three");
        let names = &SERVERS[..count];
        let host = Host::new(&Variables::new(), names)?;
        let mut servers = Vec::new();
        for name in names {
            let mut server = host.container(name, &Variables::new())?;
            if count == 1 {
                server.replace_argument("/etc/nats/cluster.conf", "/etc/nats/nats.conf")?;
            }
            server.start()?;
            servers.push(server);
        }
        let nats = Self { servers, _host: host };
        nats.ready().await;
        Ok(nats)
    }

    /// One of them, from 0.
    pub fn server(&mut self, index: usize) -> &mut Container {
        &mut self.servers[index]
    }

    /// `nats://host:port` of every server.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("nats://{}", server.address(4222))).collect()
    }

    /// `http://host:port` of every server's monitoring.
    pub fn monitors(&self) -> Vec<String> {
        self.servers.iter().map(monitor).collect()
    }

    /// Waits until every server that runs is well and knows who leads.
    pub async fn ready(&self) {
        elected(self.servers.iter().filter(|server| server.runs())).await;
    }

    /// Which server, from 0, leads JetStream's assignment of streams; none while there is no leader.
    pub async fn leader(&self) -> Option<usize> {
        let server = self.servers.iter().find(|server| server.runs())?;
        let jetstream = asked(server, "/jsz").await.ok()?;
        let leader = jetstream["meta_cluster"]["leader"].as_str()?.to_owned();
        self.servers.iter().position(|server| server.name() == leader)
    }
}

/// Waits until each of these servers is well and, where they are a cluster, knows who leads.
pub async fn elected(servers: impl Iterator<Item = &Container>) {
    for server in servers {
        server.well().await;
        let what = format!("{} to know who leads JetStream", server.name());
        wait_for(&what, async || {
            let jetstream = asked(server, "/jsz").await.ok()?;
            let cluster = jetstream.get("meta_cluster");
            cluster
                .is_none_or(|cluster| cluster["leader"].as_str().is_some_and(|it| !it.is_empty()))
                .then_some(())
        })
        .await;
    }
}

/// What the server's monitoring says at a path such as `/varz`.
pub async fn asked(server: &Container, path: &str) -> anyhow::Result<Value> {
    let url = format!("{}{path}", monitor(server));
    tokio::task::spawn_blocking(move || {
        Ok(ureq::get(&url).call().context("NATS answers")?.body_mut().read_json()?)
    })
    .await?
}

fn monitor(server: &Container) -> String {
    format!("http://{}", server.address(8222))
}
