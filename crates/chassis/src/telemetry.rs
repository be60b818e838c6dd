//! Logs (tracing, to standard error) and metrics (Prometheus text), and the settings of
//! [`admin`](crate::admin) and [`trace`](crate::trace).

use std::net::{AddrParseError, SocketAddr};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::config::Problem;

/// How the program tells what it does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A `tracing` filter such as `info` or `info,sen_ingest=debug`.
    pub filter: String,
    /// `text` for people, `json` for collectors.
    pub format: Format,
    /// Where [`Admin`](crate::Admin) answers, such as `127.0.0.1:9464`; `off` for nowhere.
    pub admin: String,
    /// The base of an OTLP/HTTP endpoint, such as `http://127.0.0.1:4318`; empty for no traces.
    pub traces: String,
    /// One packet in so many is traced.
    pub traces_one_in: u64,
}

/// The word that turns the admin endpoint off.
const OFF: &str = "off";

impl Default for Config {
    /// Logs as people read them, and nothing else.
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: Format::Text,
            admin: OFF.into(),
            traces: String::new(),
            traces_one_in: 1_000,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One readable line an event.
    Text,
    /// One JSON object an event: device strings cannot break out of their field.
    Json,
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| {
            problems.push(Problem::new(format!("telemetry.{key}"), message));
        };
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            problem("filter", error.to_string());
        }
        if self.admin_address().is_err() {
            let wanted = "an address and a port such as 127.0.0.1:9464, or `off`";
            problem("admin", format!("`{}` is not {wanted}", self.admin));
        }
        if self.traces_one_in == 0 {
            problem("traces_one_in", "0 is not 1 or more: 1000 traces one packet in 1000".into());
        }
        if let Err(message) = self.traces_url() {
            problem("traces", message);
        }
        problems
    }

    /// Where the admin endpoint listens; none where it is off.
    pub(crate) fn admin_address(&self) -> Result<Option<SocketAddr>, AddrParseError> {
        if self.admin == OFF {
            return Ok(None);
        }
        self.admin.parse().map(Some)
    }
}

/// Renders the metrics of this process.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The metrics in Prometheus text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Lets the histograms forget what is older than their window; call every few seconds.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Another recorder or subscriber was installed before.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The metrics recorder.
    #[error("the metrics recorder could not be installed")]
    Metrics(#[source] metrics::SetRecorderError<metrics_exporter_prometheus::PrometheusRecorder>),
    /// The log subscriber.
    #[error("the log subscriber could not be installed")]
    Logs(#[source] tracing_subscriber::util::TryInitError),
}

/// Installs both for this process; logs go to standard error, so that standard output stays free
/// for the addresses line.
pub fn install(config: &Config) -> Result<Metrics, InstallError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let filter = EnvFilter::new(&config.filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        Format::Text => builder.finish().try_init(),
        Format::Json => builder.json().finish().try_init(),
    }
    .map_err(InstallError::Logs)?;
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(InstallError::Metrics)?;
    Ok(Metrics(handle))
}
