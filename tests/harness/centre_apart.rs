//! A whole centre as [`Centre`](crate::centre::Centre), but apart: each role is a process of its own
//! over three NATS servers, so that a story of one machine can be told of many.
//!
//! `kill` and `restart` are of the roles, all at once: the servers and the archive are other
//! machines. A dozen processes are a centre, so the stories of one binary take turns.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use sen_log::Log;
use sen_model::ReadingBatch;
use sen_store::Store;
use tempfile::TempDir;
use tokio::sync::MutexGuard;

use crate::api::Api;
use crate::centre::{copy, root};
use crate::cluster::{Apart, PARTITIONS, ROLES, Shape, turn};
use crate::left::{self, Ends, FOR_EVER, Left};
use crate::{compose::Variables, wait_for};

/// Who is asked to stop first: whoever still hears something must stop before who judges it.
const ORDER: [&str; 5] = ["ingest", "alert", "notify", "aggregate", "gateway"];
/// So that who comes back after a kill waits for four seconds, and not for ten: what is held has the
/// name of a process that is gone. Not less, or a busy machine loses leases without any kill.
const LEASE_MS: &str = "4000";
/// So that what is in the log is soon stored, and the end of a story need not wait for it.
const COMMIT_MS: &str = "1000";

/// One instance of each role, which can be killed and started again on the same servers.
pub struct CentreApart {
    api: Api,
    mqtt: String,
    apart: Apart,
    folder: TempDir,
    /// Last, so that the next one starts when all of this is gone.
    _turn: MutexGuard<'static, ()>,
}

/// Stories start and kill between two awaits.
fn blocked<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

impl CentreApart {
    /// Starts with the shipped configuration on free ports; waits for its turn before.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&[], &[])
    }

    /// Starts with other keys (`SEN__…`) of every role. There are no arguments to give: those of the
    /// roles are in `docker-compose.yml`.
    pub fn with(variables: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Self> {
        ensure!(arguments.is_empty(), "the roles have no arguments of a story");
        Self::configured(variables, |_| Ok(()))
    }

    /// Starts with other keys and files of the configuration changed before.
    pub fn configured(
        variables: &[(&str, &str)],
        edit: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        copy(&root().join("config"), &folder.path().join("config"))?;
        edit(&folder.path().join("config"))?;
        let mut more = Variables::from([
            ("SEN__CLUSTER__LEASE_MS".into(), LEASE_MS.into()),
            ("SEN__AGGREGATE__COMMIT_INTERVAL_MS".into(), COMMIT_MS.into()),
        ]);
        more.extend(variables.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        let shape = Shape { instances: 1, broker: false, variables: more };
        blocked(async {
            let turn = turn().await;
            let mut apart = Apart::prepare(&shape)?;
            apart.start_servers().await?;
            let (api, mqtt) = (Api::at(apart.http(1)?), apart.mqtt(1)?);
            let mut centre = Self { api, mqtt, apart, folder, _turn: turn };
            centre.start_roles().await?;
            Ok(centre)
        })
    }

    async fn start_roles(&mut self) -> anyhow::Result<()> {
        self.apart.configure(|config| copy(&self.config(), config))?;
        self.apart.start_roles().await
    }

    /// How often a story kills it that would do so `times`: a quarter as often, since each kill is one
    /// of five processes, and each start takes their time.
    pub const fn often(times: usize) -> usize {
        times.div_ceil(4)
    }

    /// The configuration folder of all roles: change a file before [`restart`](Self::restart).
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Kills every role and starts it again, on the same ports.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        blocked(self.start_roles())
    }

    /// `kill -9` of every role.
    pub fn kill(&mut self) {
        for role in ROLES {
            if let Ok(part) = self.apart.part_mut(&format!("{role}-1")) {
                part.kill();
            }
        }
    }

    /// Whether every role runs and has not ended by itself.
    pub fn lives(&self) -> bool {
        ROLES.iter().all(|role| self.apart.part(&format!("{role}-1")).is_ok_and(|it| it.lives()))
    }

    /// Lets nobody judge any more: who does stands still.
    pub async fn stop_judging(&mut self) -> anyhow::Result<()> {
        self.apart.part("alert-1")?.pause()
    }

    /// The end of [`stop_judging`](Self::stop_judging): it goes on, and finds its lease lost.
    pub async fn judge_again(&mut self) -> anyhow::Result<()> {
        self.apart.part("alert-1")?.resume()
    }

    /// The data folder of the gateway, which has a store of everything.
    pub fn storage(&self) -> PathBuf {
        let gateway = self.apart.part("gateway-1").expect("it is one of the roles");
        gateway.path("/var/lib/sen")
    }

    /// SIGSTOP of every role: they stand still, and their connections stay open.
    pub fn pause(&self) -> anyhow::Result<()> {
        ROLES.iter().try_for_each(|role| self.apart.part(&format!("{role}-1"))?.pause())
    }

    /// SIGCONT after [`pause`](Self::pause).
    pub fn resume(&self) -> anyhow::Result<()> {
        ROLES.iter().try_for_each(|role| self.apart.part(&format!("{role}-1"))?.resume())
    }

    /// Everything in the log of readings, in order.
    pub async fn heard(&self) -> anyhow::Result<Vec<ReadingBatch>> {
        let log = self.apart.log().await?;
        let heard = left::all(&log.batched_topic("readings", FOR_EVER, device)?).await;
        log.close().await;
        heard
    }

    /// The parts it consists of.
    pub fn parts(&mut self) -> &mut Apart {
        &mut self.apart
    }

    /// `host:port` for devices.
    pub fn mqtt(&self) -> &str {
        &self.mqtt
    }

    /// The port for devices.
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt.rsplit(':').next().and_then(|port| port.parse().ok()).expect("host:port")
    }

    /// The text at any path of the gateway, with its status; `/metrics` is of every role, one after
    /// the other.
    pub async fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let (status, mut text) = self.api.page(path).await?;
        if path == "/metrics" {
            for role in ROLES.iter().filter(|role| **role != "gateway") {
                let (_, more) = Api::at(self.apart.admin(&format!("{role}-1"))?).page(path).await?;
                text += &more;
            }
        }
        Ok((status, text))
    }

    fn stop(&mut self, role: &str) -> anyhow::Result<()> {
        let part = self.apart.part_mut(&format!("{role}-1"))?;
        let status = tokio::task::block_in_place(|| part.terminate())?;
        ensure!(status.success(), "{role} ended with {status}:\n{}", part.told());
        Ok(())
    }

    /// Stops `aggregate` when it has stored what is in the log; gives the store of each partition.
    async fn stored(&mut self, log: &Log) -> anyhow::Result<Vec<Store>> {
        let data = self.apart.part("aggregate-1")?.path("/var/lib/sen");
        let folder = |partition: u32| data.join(format!("store-{partition}"));
        for partition in 0..PARTITIONS {
            let topic = log.partition_topic::<ReadingBatch>("readings", partition, FOR_EVER)?;
            // It may not have taken the partition yet: a short story is over before that.
            wait_for("aggregate to store all of a partition", async || {
                let next = stored_to(&folder(partition)).await.unwrap_or(0);
                let rest = topic.read_from(next.max(topic.floor())).available(1).await;
                rest.ok()?.is_empty().then_some(())
            })
            .await;
        }
        self.stop("aggregate")?;
        let folders = (0..PARTITIONS).map(folder).filter(|folder| folder.exists());
        folders.map(|folder| left::open(&folder)).collect()
    }
}

/// By which the readings are partitioned.
fn device(batch: &ReadingBatch) -> &str {
    batch.device.as_str()
}

/// The offset to which the store in a folder has come, while another process writes it.
async fn stored_to(folder: &Path) -> anyhow::Result<u64> {
    let store = Store::open_to_read(folder.to_owned(), sen_store::Config::default())?;
    Ok(store.checkpoint().await?.context("nothing was stored yet")?.next)
}

/// What is asked of it is asked of its gateway.
impl Deref for CentreApart {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Ends for CentreApart {
    async fn end(mut self) -> anyhow::Result<Left> {
        self.stop("ingest")?;
        let log = self.apart.log().await?;
        // Of the servers: a gateway may not have heard of the last ones. And whoever comes to judge
        // after a kill first waits for the lease, and would stop without having begun.
        let head = log.batched_topic::<ReadingBatch>("readings", FOR_EVER, device)?.head();
        self.api.caught_up(head).await;
        for role in ORDER.iter().filter(|role| !["ingest", "aggregate"].contains(*role)) {
            self.stop(role)?;
        }
        let partitions = self.stored(&log).await?;
        let gateway = self.apart.part("gateway-1")?.path("/var/lib/sen/store");
        let gateway = left::open(&gateway).context("the gateway's store")?;
        let left = Left::of(vec![partitions, vec![gateway]], &log, self.apart).await;
        log.close().await;
        left
    }
}
