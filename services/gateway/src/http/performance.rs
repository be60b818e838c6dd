//! `GET /performance`: how good the alarms are.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sen_model::RuleId;
use sen_model::time::DAY_MS;
use serde::Deserialize;
use utoipa::IntoParams;

use super::alerts::whole;
use super::problem::Problem;
use crate::centre::Shared;
use crate::performance::csv::{Separator, table};
use crate::performance::{Asked, Performance, performance};
use crate::query::parameters::time;
use crate::view::View;

/// A span of this length is judged where none is given, in days.
const USUAL_DAYS: i64 = 30;

/// What is to be judged.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// From when on; 30 days before `to` if not given.
    from: Option<String>,
    /// Until before when; now if not given, and at most.
    to: Option<String>,
    /// One of the five fields.
    desk: Option<String>,
    /// One rule.
    rule: Option<String>,
    /// `json` (if not given) or `csv`.
    format: Option<String>,
    /// Of a CSV: `comma` (if not given) or `semicolon`, for spreadsheets with a decimal comma.
    separator: Option<String>,
}

/// The figures of a span against ISA-18.2 and EEMUA 191: of all desks together, of each, and of the
/// rules with the most alerts. Of the last 400 days.
#[utoipa::path(
    get, path = "/api/v1/performance", params(Wanted),
    responses(
        (status = 200, content((Performance = "application/json"), (String = "text/csv"))),
        (status = 400, body = Problem),
        (status = 503, body = Problem, description = "the alert log is still being read"),
    ),
)]
pub(crate) async fn show(
    State(centre): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let now = centre.now();
    let to = time("to", wanted.to.as_deref())?.unwrap_or(now).min(now);
    let from = time("from", wanted.from.as_deref())?;
    let from = from.unwrap_or_else(|| to.plus_ms(-USUAL_DAYS * DAY_MS));
    if from >= to {
        return Err(Problem::bad("from: it must be before `to`, and before now"));
    }
    let desk = match View::named(wanted.desk.as_deref().unwrap_or("all")) {
        Some(View::All) => None,
        Some(View::Of(field)) => Some(field),
        None => return Err(Problem::bad("desk: no such field")),
    };
    let rule = wanted.rule.as_deref().map(RuleId::new).transpose();
    let rule = rule.map_err(|error| Problem::bad(format!("rule: {error}")))?;
    let separator = match wanted.separator.as_deref() {
        None | Some("comma") => Separator::Comma,
        Some("semicolon") => Separator::Semicolon,
        Some(_) => return Err(Problem::bad("separator: use comma or semicolon")),
    };
    let is_table = match wanted.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::bad("format: use json or csv")),
    };
    let answer = {
        let episodes = whole(&centre.tracks.alerts, &centre.episodes)?;
        performance(episodes.rows(), &Asked { from, to, now, desk, rule })
    };
    if !is_table {
        return Ok(Json(answer).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"performance.csv\""),
    ];
    Ok((headers, table(&answer, separator)).into_response())
}
