//! The door for Prometheus: the part of Alertmanager's API, version 2, by which alerts come in.
//! It answers as Alertmanager does.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sen_model::{Command, CommandOutcome, Foreign, Order, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::centre::{Centre, Shared};
use crate::prometheus::{Defaults, MOST_ALERTS, Told, foreign, idempotency_key};

/// Largest body, in bytes.
pub(crate) const BODY_BYTES: usize = 1 << 20;
/// How long the alert service may take for one alert.
const PATIENCE: Duration = Duration::from_secs(5);
/// Mistakes that are told of one request; it says how many more there are.
const MOST_MISTAKES: usize = 20;
/// Who asks.
const BY: &str = "alertmanager";

/// Takes alerts. Those that are sound are taken even where others are not. Answered 200 without a
/// body, or 400 with the mistakes as a JSON string; 503 where the alert service does not answer:
/// send them again.
#[utoipa::path(
    post, path = "/api/v2/alerts", request_body = Vec<Told>,
    responses(
        (status = 200), (status = 400, body = String), (status = 413), (status = 503, body = String),
    ),
)]
pub(crate) async fn take(State(centre): State<Shared>, body: Bytes) -> Response {
    let refused = |mistake: String| (StatusCode::BAD_REQUEST, Json(mistake)).into_response();
    let told: Vec<Told> = match serde_json::from_slice(&body) {
        Ok(told) => told,
        Err(error) => return refused(format!("the body is not a list of alerts: {error}")),
    };
    if told.len() > MOST_ALERTS {
        return refused(format!("{} alerts at once: send at most {MOST_ALERTS}", told.len()));
    }
    let config = centre.config.prometheus;
    let (field, resolve_ms) = (config.field, config.resolve_ms);
    let defaults = Defaults { field, resolve_ms, now: centre.now() };
    let mut mistakes = Vec::new();
    for one in told {
        let taken = match foreign(one, defaults, &centre.ports.registry) {
            Ok(one) => hand_over(&centre, one).await,
            Err(mistake) => Err(Trouble::Mistake(mistake)),
        };
        match taken {
            Ok(()) => {}
            Err(Trouble::Mistake(mistake)) => mistakes.push(mistake),
            Err(Trouble::Unavailable(why)) => {
                return (StatusCode::SERVICE_UNAVAILABLE, Json(why)).into_response();
            }
        }
    }
    if mistakes.is_empty() {
        return StatusCode::OK.into_response();
    }
    let more = mistakes.len().saturating_sub(MOST_MISTAKES);
    mistakes.truncate(MOST_MISTAKES);
    if more > 0 {
        mistakes.push(format!("and {more} more"));
    }
    refused(mistakes.join("; "))
}

/// Why an alert was not taken.
enum Trouble {
    /// It never will be.
    Mistake(String),
    /// Not now.
    Unavailable(&'static str),
}

async fn hand_over(centre: &Centre, told: Foreign) -> Result<(), Trouble> {
    let command = Command {
        idempotency_key: idempotency_key(&told),
        order: Order::Foreign { told },
        by: BY.to_owned(),
        at: centre.now(),
    };
    match tokio::time::timeout(PATIENCE, centre.ports.commands.ask(command)).await {
        Ok(Ok(CommandOutcome::Refused(why))) => Err(Trouble::Mistake(why.en)),
        // Told once more, it changes nothing.
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Trouble::Unavailable("the alert service has stopped")),
        Err(_) => Err(Trouble::Unavailable("the alert service is busy")),
    }
}

/// How this Alertmanager stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    cluster: Cluster,
    #[serde(rename = "versionInfo")]
    version: Version,
    config: Original,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    uptime: Timestamp,
}

/// It stands alone.
#[derive(Serialize, ToSchema)]
struct Cluster {
    status: &'static str,
    /// None.
    peers: Vec<String>,
}

/// Which program this is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

/// Its settings are not given out here.
#[derive(Serialize, ToSchema)]
struct Original {
    original: &'static str,
}

/// How it stands: enough for programs that ask whether an Alertmanager is there.
#[utoipa::path(get, path = "/api/v2/status", responses((status = 200, body = Status)))]
pub(crate) async fn status(State(centre): State<Shared>) -> Json<Status> {
    Json(Status {
        cluster: Cluster { status: "disabled", peers: Vec::new() },
        version: Version {
            version: env!("CARGO_PKG_VERSION"),
            revision: "",
            branch: "",
            build_user: "",
            build_date: "",
            go_version: "",
        },
        config: Original { original: "" },
        uptime: centre.since,
    })
}
