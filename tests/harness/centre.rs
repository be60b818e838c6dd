//! A whole centre: the `sen` binary on free ports with its own folders.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// A centre that can be killed and started again on the same data.
pub struct Centre {
    process: Option<Process>,
    folder: TempDir,
    storage: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    http: String,
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
            http: String::new(),
            mqtt: String::new(),
        };
        centre.restart()?;
        Ok(centre)
    }

    /// Its configuration folder: change a file before [`restart`](Self::restart).
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Its data folder.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// Kills what runs and starts again on the same data, on the same ports once it has some.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let port = |known: &str| if known.is_empty() { "127.0.0.1:0" } else { known }.to_owned();
        let mut process = Process::start(
            Command::new(binary())
                .args(["run", "--print-addresses", "--config"])
                .arg(self.config())
                .arg("--data")
                .arg(self.storage())
                .args(&self.arguments)
                .env("SEN__TELEMETRY__FILTER", "warn")
                .env("SEN__GATEWAY__LISTEN", port(&self.http))
                .env("SEN__INGEST__LISTEN", port(&self.mqtt))
                .envs(self.variables.iter().map(|(k, v)| (k, v)))
                .stdout(Stdio::piped()),
        )?;
        let mut line = String::new();
        let stdout = process.stdout().context("its standard output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addresses: Value = serde_json::from_str(&line).context("the first line is JSON")?;
        let address = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
        (self.http, self.mqtt) = (address("http"), address("mqtt"));
        self.process = Some(process);
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the centre runs")
    }

    /// `host:port` of the screens and the API.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// `host:port` for devices.
    pub fn mqtt(&self) -> &str {
        &self.mqtt
    }

    /// The port for devices.
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt.rsplit(':').next().and_then(|port| port.parse().ok()).expect("host:port")
    }

    /// GET under `/api/v1`; errors of the server are errors here.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://{}/api/v1{path}", self.http);
        tokio::task::spawn_blocking(move || Ok(ureq::get(&url).call()?.body_mut().read_json()?))
            .await?
    }

    /// The text at any path, with its status, whatever it is.
    pub async fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let url = format!("http://{}{path}", self.http);
        tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
            let mut answer = ureq::Agent::from(agent).get(&url).call()?;
            Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
        })
        .await?
    }

    /// Acknowledges an alert as a person would; gives the status and the body.
    pub async fn acknowledge(
        &self,
        alert: &str,
        by: &str,
        rev: Option<u64>,
        key: &str,
    ) -> anyhow::Result<(u16, Value)> {
        let body = serde_json::json!({"by": by, "note": ""});
        self.post(&format!("/alerts/{alert}/acknowledge"), key, rev, body).await
    }

    /// POST under `/api/v1` with an idempotency key and the revision that was seen, if any; gives
    /// the status and the body.
    pub async fn post(
        &self,
        path: &str,
        key: &str,
        rev: Option<u64>,
        body: Value,
    ) -> anyhow::Result<(u16, Value)> {
        let url = format!("http://{}/api/v1{path}", self.http);
        let key = key.to_owned();
        tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
            let mut request = ureq::Agent::from(agent).post(&url).header("Idempotency-Key", &key);
            if let Some(rev) = rev {
                request = request.header("If-Match", format!("\"{rev}\""));
            }
            let mut answer = request.send_json(body)?;
            let body = answer.body_mut().read_to_string()?;
            Ok((answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(body.into())))
        })
        .await?
    }

    /// Every item of a list, page after page.
    pub async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let joiner = if path.contains('?') { '&' } else { '?' };
        let mut next = path.to_owned();
        loop {
            let mut page = self.get(&next).await?;
            items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            let Some(cursor) = page["next"].as_str() else { return Ok(items) };
            next = format!("{path}{joiner}cursor={cursor}");
        }
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
