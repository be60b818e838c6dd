//! Topics as lists, newest first: `GET /quarantine`, `GET /events`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use sen_model::{Event, Quarantined, RejectReason, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

use super::listing::{Page, Paging, newest_first};
use super::problem::Problem;
use super::schema;
use crate::centre::Shared;

/// Which refusals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Reason {
    /// The stable name of a reason; every reason if not given.
    reason: Option<String>,
    /// Items on the page, at most 1,000; 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A refusal and where it stands in the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuarantineItem {
    /// Its position.
    offset: u64,
    #[serde(flatten)]
    #[schema(value_type = schema::Quarantined)]
    refused: Arc<Quarantined>,
}

/// What could not be taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quarantine {
    /// Newest first. A page may hold fewer items than asked for although `next` is there.
    items: Vec<QuarantineItem>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
    /// By reason, since `since`; every reason is there.
    counts: BTreeMap<&'static str, u64>,
    /// When this process began to count.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// What could not be taken, and why.
#[utoipa::path(
    get, path = "/api/v1/quarantine", params(Reason),
    responses((status = 200, body = Quarantine), (status = 400, body = Problem)),
)]
pub(crate) async fn quarantine(
    State(centre): State<Shared>,
    Query(asked): Query<Reason>,
) -> Result<Json<Quarantine>, Problem> {
    let named = |name: &str| RejectReason::ALL.into_iter().find(|reason| reason.as_str() == name);
    let unknown = || Problem::bad("reason: no such reason");
    let reason = asked.reason.as_deref().map(|name| named(name).ok_or_else(unknown)).transpose()?;
    let paging = Paging { limit: asked.limit, cursor: asked.cursor };
    let topic = &centre.ports.quarantine;
    let Page { items, next } = newest_first(topic, paging.number()?, paging.limit(), |entry| {
        let is_wanted = reason.is_none_or(|reason| entry.record.reason == reason);
        let refused = Arc::clone(&entry.record);
        is_wanted.then_some(QuarantineItem { offset: entry.offset, refused })
    })
    .await?;
    let counts = centre.counts().by_reason();
    Ok(Json(Quarantine { items, next, counts, since: centre.since }))
}

/// Events, newest first.
#[utoipa::path(
    get, path = "/api/v1/events", params(Paging),
    responses((status = 200, body = Page<schema::Event>), (status = 400, body = Problem)),
)]
pub(crate) async fn events(
    State(centre): State<Shared>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Arc<Event>>>, Problem> {
    let pick = |entry: &sen_log::Entry<Event>| Some(Arc::clone(&entry.record));
    newest_first(&centre.ports.events, paging.number()?, paging.limit(), pick).await.map(Json)
}
