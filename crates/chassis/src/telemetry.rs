//! Logs (tracing, to standard error) and metrics (Prometheus text).

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
        match EnvFilter::try_new(&self.filter) {
            Ok(_) => Vec::new(),
            Err(error) => vec![Problem::new("telemetry.filter", error.to_string())],
        }
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
