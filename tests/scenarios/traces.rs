//! The way of one reading through the centre, told to a collector of OpenTelemetry traces.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use sen_tests::device::Device;
use sen_tests::wait_for;
use tokio::task::JoinSet;

use crate::{Centre, GAUGE, LEVEL, now_ms};

/// What was sent: each span with the resource it came from.
type Told = Arc<Mutex<Vec<(Vec<KeyValue>, Span)>>>;

/// A real OTLP receiver over HTTP.
struct Collector {
    address: SocketAddr,
    told: Told,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Collector {
    async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let told = Told::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&told));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, told, _serving: serving })
    }

    /// As `telemetry.traces` names it.
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of the trace whose first span tells of this device, by name, once it has `count`.
    async fn trace_of(&self, device: &str, count: usize) -> BTreeMap<String, Span> {
        wait_for("every span of the trace", async || {
            let told = self.told.lock().expect("nobody panics with it");
            let (_, first) = told.iter().find(|(_, span)| {
                let of = |key: &str| text(&span.attributes, key);
                of("sen.device").as_deref() == Some(device)
            })?;
            let same = told.iter().filter(|(_, span)| span.trace_id == first.trace_id);
            let spans: BTreeMap<_, _> =
                same.map(|(_, span)| (span.name.clone(), span.clone())).collect();
            (spans.len() == count).then_some(spans)
        })
        .await
    }
}

async fn take(State(told): State<Told>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut told = told.lock().expect("nobody panics with it");
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.extend(spans.map(|span| (attributes.clone(), span)));
    }
    StatusCode::OK
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let AnyValue { value } = attributes.iter().find(|pair| pair.key == key)?.value.clone()?;
    match value? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_followed_from_the_wire_to_the_screens() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let url = collector.url();
    let every = [("SEN__TELEMETRY__TRACES", &*url), ("SEN__TELEMETRY__TRACES_ONE_IN", "1")];
    let centre = Centre::with(&every, &[])?;
    let mut device = Device::connect("gauge", centre.mqtt_port()).await?;
    let sent_ms = now_ms();
    device.report(GAUGE, LEVEL, sent_ms, 0.5).await?;
    let spans = collector.trace_of(GAUGE, 4).await;

    let names: Vec<_> = spans.keys().map(String::as_str).collect();
    assert_eq!(names, ["aggregate", "alert", "gateway", "ingest"]);
    let ingest = &spans["ingest"];
    assert!(ingest.parent_span_id.is_empty(), "it begins the trace");
    let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap();
    let (heard, now) = (ms(ingest.start_time_unix_nano), now_ms());
    assert!((sent_ms..=now).contains(&heard), "{heard} is from {sent_ms} to {now}");
    for (name, span) in &spans {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{name} ends");
        if name != "ingest" {
            assert_eq!(span.parent_span_id, ingest.span_id, "{name} works on what ingest wrote");
            // Read when it was durable, so after the append and perhaps before its last step.
            assert!(span.start_time_unix_nano >= ingest.start_time_unix_nano, "{name} in order");
            assert!(span.end_time_unix_nano >= ingest.start_time_unix_nano, "{name} in order");
        }
    }
    let told = collector.told.lock().expect("nobody panics with it");
    let resource = &told[0].0;
    assert!(text(resource, "service.name").is_some_and(|name| name.starts_with("sen")));
    assert!(text(resource, "service.instance.id").is_some_and(|id| !id.is_empty()));
    Ok(())
}
