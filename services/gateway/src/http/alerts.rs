//! `GET /alerts`, one alert with its history, the alerts of rules on trial, and the rules.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use axum::Json;
use axum::extract::{Path, Query, State};
use sen_model::{AlertId, AlertRecord, AlertState, Delivery, Rule, Severity};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::listing::{Page, Paging, page, stretch};
use super::problem::Problem;
use super::schema;
use crate::centre::{Centre, Shared, read};
use crate::projection::Alerts;
use crate::projection::alerts::Held;
use crate::track::Track;
use crate::view::View;

/// When to ask again for what is still being read, in seconds.
const FOLD_WAIT_S: u32 = 2;

/// Which alerts. All that is given must match.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// `open` (if not given: those people work from), `shelved`, `suppressed`, `out_of_service`
    /// (open, but put aside), `all`, or one state.
    state: Option<String>,
    /// One of the five fields.
    field: Option<String>,
    /// 1 to 4.
    severity: Option<u8>,
    /// The rule.
    rule: Option<String>,
    /// The device.
    device: Option<String>,
    /// The 5-digit code of the commune.
    area: Option<String>,
    /// Who is to see to it.
    assignee: Option<String>,
    /// Items on the page, at most 1,000; 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl Wanted {
    /// Whether a record is wanted.
    fn filter(&self) -> Result<impl Fn(&AlertRecord) -> bool + '_, Problem> {
        let is_state = state_filter(self.state.as_deref().unwrap_or("open"))?;
        let view = self.field.as_deref().unwrap_or("all");
        let view = View::named(view).ok_or_else(|| Problem::bad("field: no such field"))?;
        let severity = self.severity.map(Severity::try_from).transpose();
        let severity = severity.map_err(|error| Problem::bad(error.to_string()))?;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        Ok(move |record: &AlertRecord| {
            is_state(record)
                && view.shows(record)
                && severity.is_none_or(|severity| record.severity == severity)
                && is(&self.rule, Some(record.rule.as_str()))
                && is(&self.device, Some(record.device.as_str()))
                && is(&self.area, record.area.as_ref().map(|code| code.as_str()))
                && is(&self.assignee, record.assignment.as_ref().map(|one| one.to.as_str()))
        })
    }

    fn page(&self, alerts: &Alerts) -> Result<Page<Arc<AlertRecord>>, Problem> {
        let is_wanted = self.filter()?;
        let paging = Paging { limit: self.limit, cursor: self.cursor.clone() };
        let (limit, before) = (paging.limit(), paging.number()?);
        let items: Vec<&Held> = alerts
            .newest_first()
            .into_iter()
            .filter(|held| before.is_none_or(|before| held.raised_at() < before))
            .filter(|held| is_wanted(&held.record))
            .take(limit + 1)
            .collect();
        let Page { items, next } = page(items, limit, |held| held.raised_at().to_string());
        let items = items.into_iter().map(|held| Arc::clone(&held.record)).collect();
        Ok(Page { items, next })
    }
}

fn state_filter(name: &str) -> Result<fn(&AlertRecord) -> bool, Problem> {
    Ok(match name {
        "all" => |_| true,
        "open" => AlertRecord::is_shown,
        "shelved" => |one| one.state.is_open() && one.shelving.is_some(),
        "suppressed" => |one| one.state.is_open() && one.suppression.is_some(),
        "out_of_service" => |one| one.state.is_open() && one.out_of_service.is_some(),
        "unacknowledged" => |one| one.state == AlertState::Unacknowledged,
        "acknowledged" => |one| one.state == AlertState::Acknowledged,
        "returned_unacknowledged" => |one| one.state == AlertState::ReturnedUnacknowledged,
        "latched" => |one| one.state == AlertState::Latched,
        "normal" => |one| one.state == AlertState::Normal,
        _ => {
            let detail = "state: use open, shelved, suppressed, out_of_service, all, or the name \
                          of one state";
            return Err(Problem::bad(detail));
        }
    })
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
    wanted.page(&*alerts(&centre)?).map(Json)
}

/// The same of rules on trial: what they would have shown.
#[utoipa::path(
    get, path = "/api/v1/shadow", params(Wanted),
    responses(
        (status = 200, body = Page<schema::Alert>),
        (status = 400, body = Problem),
        (status = 503, body = Problem, description = "their log is still being read"),
    ),
)]
pub(crate) async fn shadow(
    State(centre): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<Arc<AlertRecord>>>, Problem> {
    wanted.page(&*whole(&centre.tracks.shadow, &centre.shadow)?).map(Json)
}

/// A fold, once it is all there: a list with holes would look as good as a whole one.
pub(crate) fn whole<'f, T>(
    track: &Track,
    fold: &'f RwLock<T>,
) -> Result<RwLockReadGuard<'f, T>, Problem> {
    match track.trouble() {
        None => Ok(read(fold)),
        Some(trouble) => {
            let detail = format!("a log is still being read: {trouble}");
            Err(Problem::unavailable(detail).retry_after(FOLD_WAIT_S))
        }
    }
}

/// The alerts, once they are all there.
pub(crate) fn alerts(centre: &Centre) -> Result<RwLockReadGuard<'_, Alerts>, Problem> {
    whole(&centre.tracks.alerts, &centre.alerts)
}

/// One alert.
pub(crate) fn held(centre: &Centre, id: &str) -> Result<Held, Problem> {
    let held = alerts(centre)?.get(&AlertId::from_text(id)).cloned();
    held.ok_or_else(|| Problem::not_found("there is no such alert, or it ended long ago"))
}

/// The records of an alert, oldest first.
pub(crate) async fn history(
    centre: &Centre,
    held: &Held,
) -> Result<Vec<Arc<AlertRecord>>, Problem> {
    let mut history = Vec::new();
    for offset in &held.offsets {
        let entries = stretch(&centre.ports.alerts, *offset, offset + 1).await?;
        history.extend(entries.into_iter().map(|entry| entry.record));
    }
    Ok(history)
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
    /// What went to whom about it: the newest record of each.
    #[schema(value_type = Vec<schema::Delivery>)]
    deliveries: Vec<Arc<Delivery>>,
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
    let held = held(&centre, &id)?;
    let history = history(&centre, &held).await?;
    let deliveries = whole(&centre.tracks.deliveries, &centre.deliveries)?;
    let deliveries = deliveries.of_alert(&held.record.id);
    Ok(Json(Story { alert: held.record, history, deliveries }))
}

/// A rule and its edition.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleItem {
    #[serde(flatten)]
    #[schema(value_type = schema::Rule)]
    pub(crate) rule: Rule,
    /// Which edition it is: alerts carry it as `rule_version`.
    pub(crate) version: String,
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
