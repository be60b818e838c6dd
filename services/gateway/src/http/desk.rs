//! The desk: the stage of the province, what is out of service, planned work, drills, floods and
//! hints.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use sen_model::{DeskAct, DeskRecord, EntryId, Order, Reach, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::alerts::whole;
use super::asks::{self, Key, Refusals};
use super::listing::{Page, Paging, page};
use super::problem::Problem;
use super::shapes;
use crate::centre::{Centre, Shared};
use crate::notice::{self, Advice};
use crate::projection::desk::{HeldEntry, Kind};

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Entries {
    /// `open` or `all`; `open` if not given where entries end, else `all`.
    state: Option<String>,
    /// Items on the page, at most 1,000; 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

type Listed = Result<Json<Page<Arc<DeskRecord>>>, Problem>;
type Changed = Result<Json<DeskRecord>, Problem>;

/// A page of the entries of a kind, the last one begun first. Of those that ended the last 1,000
/// are here.
pub(super) fn listed(centre: &Centre, asked: Entries, kind: Kind, usual: &str) -> Listed {
    let only_open = match asked.state.as_deref().unwrap_or(usual) {
        "open" => true,
        "all" => false,
        _ => return Err(Problem::bad("state: use open or all")),
    };
    let paging = Paging { limit: asked.limit, cursor: asked.cursor };
    let (limit, before) = (paging.limit(), paging.number()?);
    let desk = whole(&centre.tracks.desk, &centre.desk)?;
    let items: Vec<&HeldEntry> = desk
        .newest_first(kind)
        .filter(|held| before.is_none_or(|before| held.begun_at < before))
        .filter(|held| !only_open || held.record.open)
        .take(limit + 1)
        .collect();
    let Page { items, next } = page(items, limit, |held| held.begun_at.to_string());
    let items = items.into_iter().map(|held| Arc::clone(&held.record)).collect();
    Ok(Json(Page { items, next }))
}

/// Asks the desk for something, and answers the entry it changed.
pub(super) async fn act(centre: &Centre, headers: &HeaderMap, by: &str, act: DeskAct) -> Changed {
    let by = asks::name("by", by)?;
    let key = asks::idempotency_key(headers)?;
    let outcome = asks::command(centre, key, by, Order::Desk { act }).await?;
    asks::entry(outcome).map(Json)
}

/// Who puts an end to something.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct By {
    /// The person, 1 to 100 characters.
    by: String,
}

/// The stage of the province.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stage {
    /// 1 to 5; null until somebody has set one.
    stage: Option<u8>,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Who set it.
    by: Option<String>,
    /// Why.
    reason: Option<String>,
    /// What the rules suggest; null while they suggest nothing.
    #[schema(value_type = Option<shapes::Advice>)]
    advice: Option<Advice>,
    /// How it was set, newest first; the last 500.
    #[schema(value_type = Vec<shapes::DeskRecord>)]
    history: Vec<Arc<DeskRecord>>,
}

/// The stage of the province, 1 to 5 after the levels of disaster risk, with its history.
#[utoipa::path(
    get, path = "/api/v1/stage",
    responses((status = 200, body = Stage), (status = 503, body = Problem)),
)]
pub(crate) async fn stage(State(centre): State<Shared>) -> Result<Json<Stage>, Problem> {
    let desk = whole(&centre.tracks.desk, &centre.desk)?;
    let (advice, history) = (notice::advice(&desk), desk.stages().cloned().collect());
    let now = notice::stage(&desk);
    Ok(Json(Stage {
        stage: now.as_ref().map(|now| now.stage),
        since: now.as_ref().map(|now| now.since),
        by: now.as_ref().map(|now| now.by.clone()),
        reason: now.map(|now| now.reason),
        advice,
        history,
    }))
}

/// A stage, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetStage {
    /// The person.
    by: String,
    /// 1 to 5.
    stage: u8,
    /// 1 to 1,000 characters.
    reason: String,
}

/// Sets the stage.
#[utoipa::path(
    post, path = "/api/v1/stage", params(Key), request_body = SetStage,
    responses((status = 200, body = shapes::DeskRecord), Refusals),
)]
pub(crate) async fn set_stage(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<SetStage>,
) -> Changed {
    if !(1..=5).contains(&body.stage) {
        return Err(Problem::bad("stage: 1 to 5"));
    }
    let reason = asks::reason("reason", body.reason)?;
    act(&centre, &headers, &body.by, DeskAct::SetStage { stage: body.stage, reason }).await
}

/// What is out of service.
#[utoipa::path(
    get, path = "/api/v1/out-of-service", params(Entries),
    responses((status = 200, body = Page<shapes::DeskRecord>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn out_of_service(
    State(centre): State<Shared>,
    Query(asked): Query<Entries>,
) -> Listed {
    listed(&centre, asked, Kind::OutOfService, "open")
}

/// Which alerts are to be out of service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeOut {
    /// The person.
    by: String,
    /// Which alerts.
    #[schema(value_type = shapes::Reach)]
    reach: Reach,
    /// 1 to 1,000 characters.
    reason: String,
}

/// Takes alerts out of service until somebody puts them back.
#[utoipa::path(
    post, path = "/api/v1/out-of-service", params(Key), request_body = TakeOut,
    responses((status = 200, body = shapes::DeskRecord), Refusals),
)]
pub(crate) async fn take_out(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<TakeOut>,
) -> Changed {
    let (reach, reason) = (asks::reach(body.reach)?, asks::reason("reason", body.reason)?);
    act(&centre, &headers, &body.by, DeskAct::TakeOut { reach, reason }).await
}

/// Puts back what was taken out.
#[utoipa::path(
    post, path = "/api/v1/out-of-service/{entry}/put-back",
    params(("entry" = String, Path), Key), request_body = By,
    responses((status = 200, body = shapes::DeskRecord), (status = 404, body = Problem), Refusals),
)]
pub(crate) async fn put_back(
    State(centre): State<Shared>,
    Path(entry): Path<String>,
    headers: HeaderMap,
    Json(body): Json<By>,
) -> Changed {
    let entry = EntryId::from_text(entry);
    act(&centre, &headers, &body.by, DeskAct::PutBack { entry }).await
}

/// Planned work.
#[utoipa::path(
    get, path = "/api/v1/works", params(Entries),
    responses((status = 200, body = Page<shapes::DeskRecord>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn works(State(centre): State<Shared>, Query(asked): Query<Entries>) -> Listed {
    listed(&centre, asked, Kind::Work, "open")
}

/// Work and when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanWork {
    /// The person.
    by: String,
    /// Which alerts it explains.
    #[schema(value_type = shapes::Reach)]
    reach: Reach,
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// 1 to 1,000 characters.
    reason: String,
}

/// Plans work during which alerts are suppressed.
#[utoipa::path(
    post, path = "/api/v1/works", params(Key), request_body = PlanWork,
    responses((status = 200, body = shapes::DeskRecord), Refusals),
)]
pub(crate) async fn plan_work(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<PlanWork>,
) -> Changed {
    let (reach, reason) = (asks::reach(body.reach)?, asks::reason("reason", body.reason)?);
    let (from, until) = (body.from, body.until);
    asks::stretch(from, until, centre.now())?;
    act(&centre, &headers, &body.by, DeskAct::PlanWork { reach, from, until, reason }).await
}

/// The work is off, or done early.
#[utoipa::path(
    post, path = "/api/v1/works/{entry}/end",
    params(("entry" = String, Path), Key), request_body = By,
    responses((status = 200, body = shapes::DeskRecord), (status = 404, body = Problem), Refusals),
)]
pub(crate) async fn end_work(
    State(centre): State<Shared>,
    Path(entry): Path<String>,
    headers: HeaderMap,
    Json(body): Json<By>,
) -> Changed {
    let entry = EntryId::from_text(entry);
    act(&centre, &headers, &body.by, DeskAct::EndWork { entry }).await
}

/// Drills: the one that is on, or with `state=all` those of before, too.
#[utoipa::path(
    get, path = "/api/v1/drill", params(Entries),
    responses((status = 200, body = Page<shapes::DeskRecord>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn drill(State(centre): State<Shared>, Query(asked): Query<Entries>) -> Listed {
    listed(&centre, asked, Kind::Drill, "open")
}

/// A drill begins or ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetDrill {
    /// The person.
    by: String,
    /// Whether it begins.
    on: bool,
    /// 1 to 1,000 characters.
    reason: String,
}

/// Begins or ends a drill: what is raised meanwhile is marked as one.
#[utoipa::path(
    post, path = "/api/v1/drill", params(Key), request_body = SetDrill,
    responses((status = 200, body = shapes::DeskRecord), Refusals),
)]
pub(crate) async fn set_drill(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<SetDrill>,
) -> Changed {
    let reason = asks::reason("reason", body.reason)?;
    act(&centre, &headers, &body.by, DeskAct::SetDrill { on: body.on, reason }).await
}

/// Floods of alerts, with the report of each.
#[utoipa::path(
    get, path = "/api/v1/floods", params(Entries),
    responses((status = 200, body = Page<shapes::DeskRecord>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn floods(State(centre): State<Shared>, Query(asked): Query<Entries>) -> Listed {
    listed(&centre, asked, Kind::Flood, "all")
}

/// Alerts that chatter, and what would end that.
#[utoipa::path(
    get, path = "/api/v1/hints", params(Entries),
    responses((status = 200, body = Page<shapes::DeskRecord>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn hints(State(centre): State<Shared>, Query(asked): Query<Entries>) -> Listed {
    listed(&centre, asked, Kind::Hint, "all")
}
