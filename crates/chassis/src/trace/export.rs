//! Spans to the collector in batches, by one task. A collector that is away costs a counter, one
//! line at its loss and one at its return; never the work that is told of.

use std::convert::Infallible;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;

use super::{BuildError, Traces, collector, lost};
use crate::telemetry::Config;
use crate::{Clock, Shutdown};

/// Spans in one request, at most.
const BATCH_SPANS: usize = 512;
/// How long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long the last spans may take when the process stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Who makes the spans.
#[derive(Clone, Debug)]
pub struct Process {
    /// Such as `sen-ingest`: the resource's `service.name`.
    pub name: String,
    /// Tells it from others of that name: `service.instance.id`.
    pub instance: String,
    /// Of the program: `service.version`.
    pub version: &'static str,
}

/// Sends what [`Traces`] makes.
#[derive(Debug)]
pub struct Export {
    spans: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    url: String,
    is_away: bool,
}

impl Traces {
    /// The traces and what sends them, by `telemetry.traces`; none where that is empty.
    pub fn from_config(
        config: &Config,
        process: Process,
        clock: Clock,
    ) -> Result<Option<(Self, Export)>, BuildError> {
        let Some(url) = config.traces_url().map_err(BuildError::Url)? else { return Ok(None) };
        let mut exporter = collector::exporter(&url)?;
        let resource = Resource::builder()
            .with_service_name(process.name)
            .with_attribute(KeyValue::new("service.instance.id", process.instance))
            .with_attribute(KeyValue::new("service.version", process.version))
            .build();
        exporter.set_resource(&resource);
        let (traces, spans) = Self::new(config.traces_one_in, clock);
        Ok(Some((traces, Export { spans, exporter, url, is_away: false })))
    }
}

impl Export {
    /// Sends until asked to stop, and then what is left. Stop it last: others still make spans.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut batch = Vec::with_capacity(BATCH_SPANS);
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                () = self.gather(&mut batch) => {}
            }
            if batch.is_empty() {
                // Nobody makes spans any more.
                shutdown.requested().await;
                break;
            }
            let sent = std::mem::take(&mut batch);
            let count = sent.len();
            tokio::select! {
                () = self.send(sent) => {}
                () = patience(&shutdown) => lost("collector", count),
            }
        }
        self.spans.close();
        // A collector that is away is away.
        let rest = async {
            loop {
                if batch.is_empty() && self.spans.recv_many(&mut batch, BATCH_SPANS).await == 0 {
                    return;
                }
                self.send(std::mem::take(&mut batch)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, rest).await;
        Ok(())
    }

    /// Waits for a span, and then for others. Cancel-safe: what came is in `batch`.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        if batch.is_empty() && self.spans.recv_many(batch, BATCH_SPANS).await == 0 {
            return;
        }
        let more = async {
            while batch.len() < BATCH_SPANS {
                let room = BATCH_SPANS - batch.len();
                if self.spans.recv_many(batch, room).await == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(GATHER, more).await;
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        match self.exporter.export(batch).await {
            Ok(()) => {
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                lost("collector", spans);
                if !std::mem::replace(&mut self.is_away, true) {
                    let url = self.url.as_str();
                    tracing::warn!(url, %error, "the collector takes no traces: they are dropped");
                }
            }
        }
    }
}

/// How long a request may still take when the process stops.
async fn patience(shutdown: &Shutdown) {
    shutdown.requested().await;
    tokio::time::sleep(FAREWELL).await;
}
