//! The collector: OTLP over HTTP, by the OpenTelemetry exporter over the HTTP client we have anyway.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use reqwest13::redirect;

use crate::telemetry::Config;

/// How long a collector may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer, at most.
const ANSWER_BYTES: usize = 64 << 10;
/// Where an endpoint takes traces.
const PATH: &str = "/v1/traces";

/// Why traces cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// `telemetry.traces` is no URL of an endpoint.
    #[error("telemetry.traces: {0}")]
    Url(String),
    /// There is no HTTP client.
    #[error("no HTTP client for traces could be made")]
    Client(#[source] reqwest13::Error),
    /// The exporter does not take its settings.
    #[error("the exporter of traces could not be made: look at the variables OTEL_EXPORTER_OTLP_*")]
    Exporter(#[source] ExporterBuildError),
}

impl Config {
    /// Where traces are posted to; none where none are wanted; else what is wrong with the setting.
    pub(crate) fn traces_url(&self) -> Result<Option<String>, String> {
        if self.traces.is_empty() {
            return Ok(None);
        }
        let wanted = "the base of an OTLP/HTTP endpoint such as http://127.0.0.1:4318, or nothing";
        let url = reqwest13::Url::parse(&self.traces)
            .map_err(|error| format!("`{}` is not {wanted}: {error}", self.traces))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("`{}` is not {wanted}", self.traces));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(
                "a token belongs into the variable OTEL_EXPORTER_OTLP_HEADERS, not into the \
                        URL"
                .to_owned(),
            );
        }
        let base = self.traces.trim_end_matches('/');
        Ok(Some(format!("{}{PATH}", base.trim_end_matches(PATH))))
    }
}

/// The exporter to this URL. A batch that is not taken is not sent again: the next one tells whether
/// the collector is back.
pub(super) fn exporter(url: &str) -> Result<SpanExporter, BuildError> {
    let client = Client(client().map_err(BuildError::Client)?);
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(PATIENCE)
        // Its retries would hold up the thread.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(BuildError::Exporter)
}

fn client() -> Result<reqwest13::Client, reqwest13::Error> {
    // Whoever was first has set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let build = |builder: reqwest13::ClientBuilder| {
        builder
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest13::retry::never())
            .pool_max_idle_per_host(1)
            .timeout(PATIENCE)
            .user_agent("sen")
            .build()
    };
    build(reqwest13::Client::builder()).or_else(|error| {
        // A machine without certificates of authorities can still use plain HTTP inside.
        tracing::warn!(%error, "no certificates are trusted: traces cannot go over https");
        build(reqwest13::Client::builder().tls_certs_only([]))
    })
}

#[derive(Debug)]
struct Client(reqwest13::Client);

impl Client {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest13::Request::try_from(request)?;
        let mut answer = self.0.execute(request).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.extend(std::mem::take(answer.headers_mut()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(ResponseBodyTooLarge::new().into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response.body(body.into())?)
    }
}

/// An answer on its way.
type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    // As `async_trait` would write it.
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Answering<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.send(request))
    }
}
