//! The thing measured: the `sen` binary as a process of its own, on free ports of loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sen_chassis::clock::Stopwatch;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::folder::Folder;
use super::http;
use super::usage::{self, Usage};

/// How long a centre may take to say its addresses: recovery of a large log included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the ledger is read while waiting: often enough for a hundredth of a ten-second run.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// A centre whose sums have not moved for this long will not move any more.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Keys that differ from the shipped ones: nothing that changes what a reading costs, only free
/// ports, quiet logs, and room for fleets and screens that appear all at once.
pub(super) const VARIABLES: [(&str, &str); 7] = [
    ("SEN__GATEWAY__LISTEN", "127.0.0.1:0"),
    ("SEN__GATEWAY__LIVE_CONNECTIONS", "20000"),
    ("SEN__INGEST__LISTEN", "127.0.0.1:0"),
    ("SEN__INGEST__MAX_CONNECTIONS", "40000"),
    ("SEN__INGEST__MAX_SERIES", "2000000"),
    ("SEN__INGEST__MAX_NEW_SERIES_PER_MINUTE", "1000"),
    ("SEN__TELEMETRY__FILTER", "warn"),
];

/// What every measurement starts from.
#[derive(Debug)]
pub(super) struct Bench {
    /// The binary to measure.
    pub binary: PathBuf,
    /// The shipped configuration and the generator's rule.
    pub config: PathBuf,
    /// Where the data of centres go; removed at the end.
    pub folder: Folder,
    /// The zero of all times.
    pub begun: Stopwatch,
    /// The servers of a centre apart: paths, or names to be looked for in `PATH`.
    pub nats_server: PathBuf,
    /// ... and its archive.
    pub victoria: PathBuf,
}

/// A running centre; killed when dropped.
#[derive(Debug)]
pub(super) struct Centre {
    child: Child,
    id: u32,
    /// Where the API is.
    pub http: SocketAddr,
    /// Where devices connect.
    pub mqtt: SocketAddr,
    /// From exec to the addresses.
    pub said_addresses_ms: f64,
    /// Runs since exec.
    pub since_exec: Stopwatch,
}

#[derive(Deserialize)]
struct Addresses {
    http: SocketAddr,
    mqtt: SocketAddr,
}

/// The sums of `GET /api/v1/ledger`, in readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Totals {
    /// In the log.
    pub accepted: u64,
    /// Packets and readings refused, with a reason.
    pub quarantined: u64,
    /// Handled by the store.
    pub stored: u64,
    /// Judged by the rules.
    pub evaluated: u64,
}

#[derive(Deserialize)]
struct Ledger {
    totals: Totals,
}

impl Bench {
    /// Starts a centre on `data` (a new one, or one that a killed centre left).
    pub(super) async fn start(&self, data: &Path) -> anyhow::Result<Centre> {
        self.start_with(data, &[]).await
    }

    /// The same with more keys of the configuration.
    pub(super) async fn start_with(
        &self,
        data: &Path,
        more: &[(&str, String)],
    ) -> anyhow::Result<Centre> {
        let since_exec = Stopwatch::start();
        let mut child = Command::new(&self.binary)
            .args(["run", "--print-addresses", "--config"])
            .arg(&self.config)
            .arg("--data")
            .arg(data)
            .envs(VARIABLES)
            .envs(more.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let stdout = child.stdout.take().context("its standard output is piped")?;
        let mut line = String::new();
        tokio::time::timeout(START_TIMEOUT, BufReader::new(stdout).read_line(&mut line))
            .await
            .context("the centre did not start in time")??;
        let said_addresses_ms = since_exec.elapsed().as_secs_f64() * 1e3;
        let Addresses { http, mqtt } = serde_json::from_str(&line)
            .with_context(|| format!("the centre did not say its addresses but {line:?}"))?;
        let id = child.id().context("it ended at once")?;
        Ok(Centre { child, id, http, mqtt, said_addresses_ms, since_exec })
    }

    /// Starts a centre with nothing in it, and waits until it is ready.
    pub(super) async fn start_empty(&self) -> anyhow::Result<Centre> {
        let centre = self.start(&self.folder.fresh("data")?).await?;
        centre.ready().await?;
        Ok(centre)
    }
}

impl Centre {
    /// What the process has used so far.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        usage::of(self.id)
    }

    /// `kill -9`, and waits until the process is gone.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits until `/readyz` says yes.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let asking = async {
            let mut pause = tokio::time::interval(Duration::from_millis(2));
            loop {
                pause.tick().await;
                if http::get(self.http, "/readyz").await.is_ok_and(|(status, _)| status == 200) {
                    return;
                }
            }
        };
        tokio::time::timeout(START_TIMEOUT, asking).await.context("the centre is not ready")
    }

    /// The sums as they are now.
    pub(super) async fn totals(&self) -> anyhow::Result<Totals> {
        totals(self.http).await
    }

    /// Waits until `enough` is true of the sums, or until they stand still; gives them either way,
    /// and how long they had not moved.
    pub(super) async fn settle(
        &self,
        enough: impl Fn(&Totals) -> bool,
    ) -> anyhow::Result<(Totals, Duration)> {
        let mut pause = tokio::time::interval(ASK_EVERY);
        let mut last = Totals::default();
        let mut moved = Stopwatch::start();
        loop {
            pause.tick().await;
            let totals = self.totals().await?;
            if totals != last {
                (last, moved) = (totals, Stopwatch::start());
            }
            if enough(&totals) || moved.elapsed() > STANDSTILL {
                return Ok((totals, moved.elapsed()));
            }
        }
    }

    /// Waits until `sent` readings are accounted for, and what was accepted is stored and judged.
    /// Quarantine is an error: the generator sends nothing that deserves it.
    pub(super) async fn digest(&self, sent: u64) -> anyhow::Result<Totals> {
        let (totals, _) = self
            .settle(|totals| {
                let Totals { accepted, quarantined, stored, evaluated } = *totals;
                let handled = stored >= accepted && evaluated >= accepted;
                quarantined > 0 || (accepted >= sent && handled)
            })
            .await?;
        ensure!(totals.quarantined == 0, "something went to quarantine: {totals:?}");
        if totals.stored < totals.accepted || totals.evaluated < totals.accepted {
            bail!("the centre stands still at {totals:?}");
        }
        Ok(totals)
    }
}

/// The sums of whoever serves the API at `address`.
pub(super) async fn totals(address: SocketAddr) -> anyhow::Result<Totals> {
    let ledger: Ledger = http::get_json(address, "/api/v1/ledger?limit=1").await?;
    Ok(ledger.totals)
}

/// Readings accepted of the devices whose names begin with one of `names`: nothing that the centre
/// says of itself.
pub(super) async fn accepted_of(address: SocketAddr, names: &[&str]) -> anyhow::Result<u64> {
    let (mut sum, mut path) = (0, "/api/v1/ledger?limit=1000".to_owned());
    loop {
        let page: Page = http::get_json(address, &path).await?;
        let ours = page.items.iter().filter(|item| names.iter().any(|it| item.is_of(it)));
        sum += ours.map(|item| item.accepted).sum::<u64>();
        let Some(next) = page.next else { return Ok(sum) };
        path = format!("/api/v1/ledger?limit=1000&cursor={next}");
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    device: String,
    accepted: u64,
}

impl Item {
    /// Whether it is one of a fleet: its name, a dash and a number.
    fn is_of(&self, fleet: &str) -> bool {
        let number = self.device.strip_prefix(fleet).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_a_fleet_are_told_from_others() {
        for (device, ours) in [
            ("bench-00001", true),
            ("bench-registered", false),
            ("benchb-00001", false),
            ("sen-centre", false),
        ] {
            let item = Item { device: device.to_owned(), accepted: 1 };
            assert_eq!(item.is_of("bench"), ours, "{device}");
        }
    }
}
