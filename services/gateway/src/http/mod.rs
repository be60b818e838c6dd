//! The HTTP API under `/api/v1`, described by its own OpenAPI document, and the doors for machines.

mod admin;
mod alerts;
mod answer;
mod devices;
mod ledger;
mod listing;
mod past;
mod place;
pub(crate) mod problem;
mod readings;
mod records;
mod schema;
mod series;
mod summaries;
mod tile;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::centre::Shared;
use crate::pages;
use crate::socket::{self, Door};

pub(crate) use answer::MOST_STREAMS;

/// The media type of Parquet.
pub(crate) const PARQUET: &str = "application/vnd.apache.parquet";

/// Every route there is.
pub(crate) fn router(door: Door, centre: Shared) -> Router {
    let live = Router::new().route("/api/v1/live", get(socket::live)).with_state(door);
    let api = Router::new()
        .route("/devices", get(devices::list))
        .route("/series", get(series::list))
        .route("/series/{device}/{metric}/readings", get(readings::one))
        .route("/series/{device}/{metric}/summaries", get(summaries::one))
        .route("/readings", get(readings::many))
        .route("/summaries", get(summaries::many))
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}", get(alerts::one))
        .route("/alerts/{id}/acknowledge", post(alerts::acknowledge))
        .route("/rules", get(alerts::rules))
        .route("/quarantine", get(records::quarantine))
        .route("/events", get(records::events))
        .route("/ledger", get(ledger::ledger))
        .route("/screens", get(ledger::screens))
        .route("/map", get(place::map))
        .route("/wall", get(place::wall))
        .route("/wall/tiles/{id}/history", get(tile::history))
        .route("/openapi.json", get(openapi))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such path in this API") });
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(admin::healthz))
        .route("/readyz", get(admin::readyz))
        .route("/metrics", get(admin::metrics))
        .merge(pages::router())
        .with_state(centre)
        .merge(live)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sen",
        description = "The streaming heart of a province's operations centre. Times are RFC 3339 \
                       with offset; errors are RFC 9457 problem documents; lists answer `items` \
                       and `next`. Alerts and values live: the WebSocket `/api/v1/live`.",
    ),
    paths(
        devices::list,
        series::list,
        readings::one,
        readings::many,
        summaries::one,
        summaries::many,
        alerts::list,
        alerts::one,
        alerts::acknowledge,
        alerts::rules,
        records::quarantine,
        records::events,
        ledger::ledger,
        ledger::screens,
        place::map,
        place::wall,
        tile::history,
    )
)]
struct Api;

async fn openapi() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(Api::openapi())
}
