//! A whole centre: the `sen` binary on free ports with its own folders.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use sen_model::ReadingBatch;
use sen_ports::Port;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::left::{self, Ends, FOR_EVER, Left};
use crate::process::Process;
use crate::wait_for;

/// A centre that can be killed and started again on the same data.
pub struct Centre {
    process: Option<Process>,
    folder: TempDir,
    storage: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    /// Where screens and devices come.
    doors: [Port; 2],
    api: Api,
    mqtt: String,
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The binary that was built with the tests.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("tests run from target/<profile>/deps");
    folder.join("sen")
}

impl Centre {
    /// Starts with the shipped configuration on free ports.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&[], &[])
    }

    /// Starts with other keys (`SEN__…`) and more arguments.
    pub fn with(variables: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let storage = folder.path().join("data");
        Self::prepare(folder, storage, variables, arguments, |_| Ok(()))
    }

    /// Starts with other keys and files of the configuration changed before.
    pub fn configured(
        variables: &[(&str, &str)],
        edit: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let storage = folder.path().join("data");
        Self::prepare(folder, storage, variables, &[], edit)
    }

    /// Starts with its data in another folder.
    pub fn on(storage: PathBuf, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::prepare(tempfile::tempdir()?, storage, variables, &[], |_| Ok(()))
    }

    fn prepare(
        folder: TempDir,
        storage: PathBuf,
        variables: &[(&str, &str)],
        arguments: &[&str],
        edit: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        copy(&root().join("config"), &folder.path().join("config"))?;
        edit(&folder.path().join("config"))?;
        let mut centre = Self {
            process: None,
            folder,
            storage,
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            variables: variables.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            doors: [Port::hold()?, Port::hold()?],
            api: Api::default(),
            mqtt: String::new(),
        };
        centre.restart()?;
        Ok(centre)
    }

    /// How often a story kills it that would do so `times`: as often.
    pub const fn often(times: usize) -> usize {
        times
    }

    /// Its configuration folder: change a file before [`restart`](Self::restart).
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Its data folder.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// Kills what runs and starts again on the same data and ports.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let [http, mqtt] = &self.doors;
        let mut process = Process::start(
            Command::new(binary())
                .args(["run", "--print-addresses", "--config"])
                .arg(self.config())
                .arg("--data")
                .arg(self.storage())
                .args(&self.arguments)
                .env("SEN__TELEMETRY__FILTER", "warn")
                .env("SEN__GATEWAY__LISTEN", http.address().to_string())
                .env("SEN__INGEST__LISTEN", mqtt.address().to_string())
                .envs(self.variables.iter().map(|(k, v)| (k, v)))
                .stdout(Stdio::piped()),
        )?;
        let mut line = String::new();
        let stdout = process.stdout().context("its standard output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addresses: Value = serde_json::from_str(&line).context("the first line is JSON")?;
        let address = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
        (self.api, self.mqtt) = (Api::at(address("http")), address("mqtt"));
        self.process = Some(process);
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether it runs and has not ended by itself.
    pub fn lives(&self) -> bool {
        self.process.as_ref().is_some_and(Process::lives)
    }

    /// Lets nobody judge any more: the folder of the alert log takes no new segment. Returns when the
    /// alert service is stuck; readings must come in all the time, and segments must be small.
    pub async fn stop_judging(&mut self) -> anyhow::Result<()> {
        let folder = self.storage.join("log/alerts");
        std::fs::rename(&folder, folder.with_extension("aside"))?;
        std::fs::write(&folder, "not a folder")?;
        wait_for("the alert service to be stuck", async || {
            let (_, page) = self.api.page("/metrics").await.ok()?;
            let name = "sen_alert_append_failures_total ";
            let failures = page.lines().find_map(|line| line.strip_prefix(name))?;
            (failures.parse::<f64>().ok()? > 0.0).then_some(())
        })
        .await;
        Ok(())
    }

    /// The end of [`stop_judging`](Self::stop_judging).
    pub async fn judge_again(&mut self) -> anyhow::Result<()> {
        let folder = self.storage.join("log/alerts");
        std::fs::remove_file(&folder)?;
        Ok(std::fs::rename(folder.with_extension("aside"), &folder)?)
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.as_ref().context("it runs")?.signal(Signal::STOP)
    }

    /// SIGCONT after [`pause`](Self::pause).
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.as_ref().context("it runs")?.signal(Signal::CONT)
    }

    /// Everything in the log of readings, in order.
    pub async fn heard(&self) -> anyhow::Result<Vec<ReadingBatch>> {
        // A copy: the centre may still run, and a log has one owner.
        let folder = tempfile::tempdir()?;
        copy(&self.storage().join("log"), &folder.path().join("log"))?;
        left::all(&left::embedded(folder.path())?.topic("readings", FOR_EVER)?).await
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the centre runs")
    }

    /// `host:port` for devices.
    pub fn mqtt(&self) -> &str {
        &self.mqtt
    }

    /// The port for devices.
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt.rsplit(':').next().and_then(|port| port.parse().ok()).expect("host:port")
    }
}

/// What is asked of it is asked of its API.
impl Deref for Centre {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Ends for Centre {
    async fn end(mut self) -> anyhow::Result<Left> {
        // Asked to stop, it works for a few seconds more only.
        self.caught_up(0).await;
        self.process().signal(Signal::TERM)?;
        let status = self.process().wait()?;
        ensure!(status.success(), "the centre ended with {status}");
        // A copy: this process must not hold files of a disk that it may be serving itself.
        let folder = tempfile::tempdir()?;
        copy(self.storage(), folder.path())?;
        Left::in_folder(folder).await
    }
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A file of a configuration with more at its end.
pub fn append(config: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let path = config.join(file);
    let before = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(path, before + "\n" + text)?)
}
