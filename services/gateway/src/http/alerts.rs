//! `GET /alerts`, one alert with its history, acknowledging, and the rules behind them.

use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use sen_model::{
    Act, AlertId, AlertRecord, AlertState, Changed, Command, CommandOutcome, Order, Rule, Severity,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::listing::{Page, Paging, page, stretch};
use super::problem::Problem;
use super::schema;
use crate::centre::{Centre, Shared};
use crate::projection::Alerts;
use crate::view::View;

/// Longest idempotency key, name and note, in characters.
const MOST_KEY: usize = 128;
const MOST_NAME: usize = 100;
const MOST_NOTE: usize = 1_000;
/// When to ask again for alerts that are still being read, in seconds.
const FOLD_WAIT_S: u32 = 2;
/// How long a command may wait for the alert service.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// `open` (if not given), `all`, or one state.
    state: Option<String>,
    /// One of the five fields.
    field: Option<String>,
    /// 1 to 4.
    severity: Option<u8>,
    /// Items on the page, at most 1,000; 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// The newest record of each alert, in the order they were raised, newest first. Of those that
/// ended, the last 10,000 are here.
#[utoipa::path(
    get, path = "/api/v1/alerts", params(Wanted),
    responses(
        (status = 200, body = Page<schema::Alert>),
        (status = 400, body = Problem),
        (status = 503, body = Problem, description = "the alert log is still being read"),
    ),
)]
pub(crate) async fn list(
    State(centre): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<Arc<AlertRecord>>>, Problem> {
    let is_state = state_filter(wanted.state.as_deref().unwrap_or("open"))?;
    let view = wanted.field.as_deref().unwrap_or("all");
    let view = View::named(view).ok_or_else(|| Problem::bad("field: no such field"))?;
    let severity = wanted.severity.map(Severity::try_from).transpose();
    let severity = severity.map_err(|error| Problem::bad(error.to_string()))?;
    let paging = Paging { limit: wanted.limit, cursor: wanted.cursor };
    let (limit, before) = (paging.limit(), paging.number()?);
    let alerts = whole(&centre)?;
    let items = alerts
        .newest_first()
        .into_iter()
        .filter(|held| before.is_none_or(|before| held.raised_at() < before))
        .filter(|held| is_state(held.record.state) && view.shows(&held.record))
        .filter(|held| severity.is_none_or(|severity| held.record.severity == severity))
        .take(limit + 1)
        .collect();
    let Page { items, next } = page(items, limit, |held| held.raised_at().to_string());
    let items = items.into_iter().map(|held| Arc::clone(&held.record)).collect();
    Ok(Json(Page { items, next }))
}

/// The alerts, once they are all there: a list with holes would look as good as a whole one.
fn whole(centre: &Centre) -> Result<RwLockReadGuard<'_, Alerts>, Problem> {
    if centre.alerts_are_whole() {
        return Ok(centre.alerts());
    }
    Err(Problem::unavailable("the alert log is still being read").retry_after(FOLD_WAIT_S))
}

fn state_filter(name: &str) -> Result<impl Fn(AlertState) -> bool, Problem> {
    let every = [
        AlertState::Unacknowledged,
        AlertState::Acknowledged,
        AlertState::ReturnedUnacknowledged,
        AlertState::Latched,
        AlertState::Normal,
    ];
    let chosen: Vec<AlertState> = every
        .into_iter()
        .filter(|state| match name {
            "all" => true,
            "open" => state.is_open(),
            name => state.as_str() == name,
        })
        .collect();
    if chosen.is_empty() {
        return Err(Problem::bad("state: use open, all, or the name of one state"));
    }
    Ok(move |state| chosen.contains(&state))
}

/// An alert and all that became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Story {
    #[serde(flatten)]
    #[schema(value_type = schema::Alert)]
    alert: Arc<AlertRecord>,
    /// Its records, oldest first.
    #[schema(value_type = Vec<schema::Alert>)]
    history: Vec<Arc<AlertRecord>>,
}

/// One alert with its history.
#[utoipa::path(
    get, path = "/api/v1/alerts/{id}", params(("id" = String, Path)),
    responses(
        (status = 200, body = Story),
        (status = 404, body = Problem),
        (status = 503, body = Problem, description = "the alert log is still being read"),
    ),
)]
pub(crate) async fn one(
    State(centre): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Story>, Problem> {
    let id = AlertId::from_text(&id);
    let held = whole(&centre)?.get(&id).cloned();
    let held =
        held.ok_or_else(|| Problem::not_found("there is no such alert, or it ended long ago"))?;
    let mut history = Vec::new();
    for offset in held.offsets {
        let entries = stretch(&centre.ports.alerts, offset, offset + 1).await?;
        history.extend(entries.into_iter().map(|entry| entry.record));
    }
    Ok(Json(Story { alert: held.record, history }))
}

/// Who acknowledges.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    /// The person, 1 to 100 characters.
    by: String,
    /// For the next shift, at most 1,000 characters.
    #[serde(default)]
    note: String,
}

/// Takes an alert. The same `Idempotency-Key` again gives the same answer and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/alerts/{id}/acknowledge",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = String, Header, description = "1 to 128 visible characters"),
        ("If-Match" = Option<String>, Header, description = "the revision the caller saw, quoted"),
    ),
    request_body = Acknowledge,
    responses(
        (status = 200, body = schema::Alert),
        (status = 400, body = Problem),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "somebody was first: `current` is the alert as it is"),
        (status = 422, body = Problem, description = "the key was used for another act"),
        (status = 503, body = Problem),
    ),
)]
pub(crate) async fn acknowledge(
    State(centre): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Acknowledge>,
) -> Result<Json<AlertRecord>, Problem> {
    let by = body.by.trim();
    if by.is_empty() || by.chars().count() > MOST_NAME || by.contains(char::is_control) {
        return Err(Problem::bad("by: a name of 1 to 100 characters"));
    }
    if body.note.chars().count() > MOST_NOTE {
        return Err(Problem::bad("note: at most 1,000 characters"));
    }
    let command = Command {
        idempotency_key: idempotency_key(&headers)?,
        order: Order::Alert {
            alert: AlertId::from_text(&id),
            expected_rev: expected_rev(&headers)?,
            act: Act::Acknowledge { note: body.note },
        },
        by: by.to_owned(),
        at: centre.now(),
    };
    let asked = tokio::time::timeout(PATIENCE, centre.ports.commands.ask(command)).await;
    match asked {
        Ok(Ok(outcome)) => answer(outcome).map(Json),
        Ok(Err(_)) => Err(Problem::unavailable("the alert service has stopped")),
        Err(_) => Err(Problem::unavailable(
            "the alert service is busy: ask again with the same Idempotency-Key",
        )),
    }
}

fn answer(outcome: CommandOutcome) -> Result<AlertRecord, Problem> {
    let conflict = |name, detail: &str| Problem::new(StatusCode::CONFLICT, name, detail);
    match outcome {
        CommandOutcome::Done(Changed::Alert(record)) => Ok(*record),
        CommandOutcome::Done(Changed::Desk(_)) => {
            Err(Problem::unavailable("the alert service answered something else"))
        }
        CommandOutcome::Refused(why) => Err(conflict("refused", &why.en)),
        CommandOutcome::Unknown => Err(Problem::not_found("there is no such alert")),
        CommandOutcome::Stale(current) => {
            let detail = "the alert is no longer as you saw it";
            Err(conflict("changed-meanwhile", detail).with_current(*current))
        }
        CommandOutcome::Over(current) => {
            Err(conflict("alert-over", "the alert is over").with_current(*current))
        }
        CommandOutcome::KeyReused => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-reused",
            "Idempotency-Key: used before for another alert or note; make a new one for each act",
        )),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let ok = (1..=MOST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let wrong =
        || Problem::bad("Idempotency-Key: 1 to 128 visible characters, made anew for each act");
    ok.then(|| key.to_owned()).ok_or_else(wrong)
}

fn expected_rev(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let rev = tag.trim_matches('"').parse();
    rev.map(Some).map_err(|_| Problem::bad("If-Match: the revision, such as \"3\""))
}

/// A rule and its edition.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleItem {
    #[serde(flatten)]
    #[schema(value_type = schema::Rule)]
    rule: Rule,
    /// Which edition it is: alerts carry it as `rule_version`.
    version: String,
}

/// The rules in force, in the order of their file.
#[utoipa::path(
    get, path = "/api/v1/rules", params(Paging),
    responses((status = 200, body = Page<RuleItem>), (status = 400, body = Problem)),
)]
pub(crate) async fn rules(
    State(centre): State<Shared>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RuleItem>>, Problem> {
    let rules = Arc::clone(&centre.ports.rules.borrow());
    let (limit, begin) = (paging.limit(), paging.number()?.unwrap_or(0));
    let begin = usize::try_from(begin).unwrap_or(usize::MAX);
    let items: Vec<RuleItem> = rules
        .iter()
        .skip(begin)
        .take(limit)
        .map(|rule| RuleItem { rule: rule.clone(), version: rule.version() })
        .collect();
    let end = begin.saturating_add(items.len());
    let next = (end < rules.len() && !items.is_empty()).then(|| end.to_string());
    Ok(Json(Page { items, next }))
}
