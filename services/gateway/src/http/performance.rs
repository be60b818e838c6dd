//! `GET /performance`: how good the alarms are.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sen_model::RuleId;
use sen_model::time::DAY_MS;
use serde::Deserialize;
use tokio::sync::Semaphore;
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
/// Reports that are made at a time: each looks at up to 400 days of alerts, for a second or so.
pub(crate) const MOST_REPORTS: usize = 2;
/// When to come back, in seconds.
const COME_BACK_S: u32 = 2;

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
        (status = 503, body = Problem, description = "the alert log is still being read, or two reports are being made"),
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
    let answer = judged(&centre, Asked { from, to, now, desk, rule }).await?;
    if !is_table {
        return Ok(Json(answer).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"performance.csv\""),
    ];
    Ok((headers, table(&answer, separator)).into_response())
}

async fn judged(centre: &Shared, asked: Asked) -> Result<Performance, Problem> {
    let shared = Arc::clone(centre);
    let work = move || {
        let rows = whole(&shared.tracks.alerts, &shared.episodes)?.rows_before(asked.to);
        Ok(performance(&rows, &asked))
    };
    aside(&centre.reports, work).await?
}

/// Works where no other request waits for it, if there is a place.
async fn aside<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let busy = |_| Problem::unavailable("other reports are being made").retry_after(COME_BACK_S);
    let place = Arc::clone(places).try_acquire_owned().map_err(busy)?;
    let work = tokio::task::spawn_blocking(move || {
        // Who asked may be gone before it is done: the place is free only then.
        let _place = place;
        work()
    });
    work.await.map_err(|error| Problem::internal(&error))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn one_more_than_there_are_places_for_is_told_to_come_back() {
        let places = Arc::new(Semaphore::new(MOST_REPORTS));
        let (ends, held): (Vec<_>, Vec<_>) = (0..MOST_REPORTS)
            .map(|number| {
                let (end, ended) = std::sync::mpsc::channel::<()>();
                let work = aside(&places, move || ended.recv().map_or(0, |()| number));
                (end, Box::pin(work))
            })
            .unzip();
        let others = async {
            // The ones before have been polled once, so that each has its place.
            assert_eq!(places.available_permits(), 0);
            let refused = aside(&places, || ()).await.expect_err("no place").into_response();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(refused.headers()[header::RETRY_AFTER], "2");
            ends.into_iter().for_each(|end| end.send(()).expect("the work still waits"));
        };
        let mut held = held.into_iter();
        let (first, second) = (held.next().expect("one"), held.next().expect("two"));
        let (first, second, ()) = tokio::join!(first, second, others);
        assert_eq!((first.ok(), second.ok()), (Some(0), Some(1)));
        assert_eq!(aside(&places, || 7).await.ok(), Some(7), "the places are free again");
    }
}
