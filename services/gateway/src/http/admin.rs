//! The doors for machines: is it alive, is it ready, what does it count.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use sen_chassis::health::Report;
use serde::Serialize;

use crate::alerting::Alerting;
use crate::centre::Shared;

/// The process lives.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// What the parts say of themselves.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// Each part with its trouble; null where there is none.
    parts: Report,
    /// Whether alerts can be raised, by the probe: told here, but no reason to take this process
    /// away from those who watch.
    alerting: Alerting,
}

/// 200 when every part works, else 503 with the reasons.
pub(crate) async fn readyz(State(centre): State<Shared>) -> impl IntoResponse {
    let parts = centre.ports.health.report();
    let ready = !parts.is_empty() && parts.values().all(Option::is_none);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, parts, alerting: centre.alerting() }))
}

/// Prometheus text.
pub(crate) async fn metrics(State(centre): State<Shared>) -> impl IntoResponse {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], centre.ports.metrics.render())
}
