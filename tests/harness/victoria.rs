//! A real VictoriaMetrics on a port and a folder of its own, as an archive.

use std::process::{Command, Stdio};

use sen_ports::Port;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::wait_for;

/// A server that can be killed and started again on the same data and port.
pub struct Victoria {
    process: Option<Process>,
    folder: TempDir,
    port: Port,
}

impl Victoria {
    /// Starts on a free port; listens when it returns.
    pub async fn start() -> anyhow::Result<Self> {
        let (port, folder) = (Port::hold()?, tempfile::tempdir()?);
        let mut victoria = Self { process: None, folder, port };
        victoria.restart().await?;
        Ok(victoria)
    }

    /// Starts again after [`kill`](Self::kill).
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.process = Some(Process::start(
            Command::new("victoria-metrics")
                .arg(format!("-storageDataPath={}", self.folder.path().display()))
                .arg(format!("-httpListenAddr={}", self.port.address()))
                .args(["-retentionPeriod=100y", "-memory.allowedBytes=64MB", "-loggerLevel=ERROR"])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?);
        wait_for("VictoriaMetrics to listen", async || self.get("/health").await.ok()).await;
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server runs")
    }

    /// As `store.archive` names it.
    pub fn location(&self) -> String {
        format!("victoriametrics+http://{}", self.port.address())
    }

    /// Every sample of the series of this selector: time in ms and value, in order, each once.
    pub async fn samples(&self, selector: &str) -> anyhow::Result<Vec<(i64, f64)>> {
        self.get("/internal/force_flush").await?;
        let selector: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let lines = self.get(&format!("/api/v1/export?match%5B%5D={selector}")).await?;
        let mut samples = Vec::new();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line)?;
            let times = line["timestamps"].as_array().into_iter().flatten();
            let values = line["values"].as_array().into_iter().flatten();
            samples
                .extend(times.zip(values).filter_map(|(at, v)| Some((at.as_i64()?, v.as_f64()?))));
        }
        samples.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        samples.dedup();
        Ok(samples)
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}{path}", self.port.address());
        tokio::task::spawn_blocking(move || {
            Ok(ureq::get(&url).call()?.body_mut().read_to_string()?)
        })
        .await?
    }
}
