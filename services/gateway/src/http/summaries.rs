//! `GET /series/{device}/{metric}/summaries` and `GET /summaries`: what was measured, window by
//! window.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use sen_model::Tier;
use serde::Serialize;
use utoipa::IntoParams;

use super::answer::{self, Object, Shape};
use super::listing::foreign;
use super::past::{self, PARAMETERS, Question};
use super::problem::Problem;
use super::schema;
use crate::centre::Shared;
use crate::query::Walk;
use crate::query::aggregate::{self, USUAL};
use crate::query::fill::Fill;
use crate::query::lines::{By, CHOICE, Line};
use crate::query::parameters::{Parameters, Wrong};
use crate::query::step::{Step, count};
use crate::query::windows::{Asked, Windows};

/// What windows take besides.
const OWN: [&str; 3] = ["step", "aggregate", "fill"];
/// Windows of a line for which a step is chosen where nothing is asked: minutes for a week.
const USUAL_WINDOWS: usize = 10_080;
/// Windows of a line that are filled, at most: nearly four years of minutes.
const MOST_FILLED: u64 = 2_000_000;

/// Which windows, and what of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described, never made")]
pub(crate) struct Wanted {
    /// First instant, RFC 3339 or ms; a day before `to` if not given. The first window is the first
    /// that starts here or later.
    #[param(example = "2026-11-23T00:00:00+07:00")]
    from: Option<String>,
    /// First instant after the range; now if not given. The last window is the last that starts
    /// before.
    #[param(example = "2026-11-24T00:00:00+07:00")]
    to: Option<String>,
    /// How long a window is: minutes (`m`), hours (`h`) or days (`d`) that divide a day, or whole
    /// days up to `366d`. If not given it is chosen by `max_points`.
    #[param(example = "1h")]
    step: Option<String>,
    /// Windows at most, 1 to 10,000: the shortest step is chosen that gives no more. Not with
    /// `step`. If neither is given: 10,080.
    max_points: Option<usize>,
    /// What of each window: some of `count`, `good_count`, `good_share`, `sum`, `mean`, `min`,
    /// `max`, `first`, `last`, `stddev`, `p` and a number from 0 to 100; with commas. If not given
    /// `count,good_count,mean,min,max,first,last,p50,p95`.
    #[param(example = "mean,p95")]
    aggregate: Option<String>,
    /// What of windows without a good reading: `none` (default), `null`, `previous`, `zero`,
    /// `linear`.
    #[param(example = "null")]
    fill: Option<String>,
    /// Windows on the page, 1 to 10,000; `max_points` or 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// `json`, or a stream: `ndjson`, `csv`, `parquet`; else by `Accept`.
    #[param(example = "json")]
    format: Option<String>,
}

/// The windows of one series.
#[derive(Serialize)]
struct One<'r> {
    tier: &'static str,
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    items: Vec<Object<'r>>,
    next: Option<String>,
}

/// The windows of many series.
#[derive(Serialize)]
struct Many<'r> {
    tier: &'static str,
    step: String,
    by: &'static str,
    series: usize,
    units: BTreeMap<String, String>,
    items: Vec<Object<'r>>,
    next: Option<String>,
}

/// The parameters of a question for windows.
fn parse(
    centre: &Shared,
    given: &Parameters,
    headers: &HeaderMap,
    lines: &[Line],
) -> Result<(Question, Asked), Problem> {
    let question = Question::parse(centre, given, headers, 1)?;
    let series = lines.iter().flat_map(|line| &line.series);
    let finest = series.filter_map(|key| centre.past.finest(key, question.span.from)).max();
    let step = step(given, &question, finest.unwrap_or(Tier::Minute))?;
    let fill: Fill = given.parsed("fill")?.unwrap_or_default();
    let numbers = step.numbers(question.span.from, question.span.to);
    let windows = count(&numbers);
    if fill != Fill::None && windows > MOST_FILLED {
        let detail = format!(
            "the range has {windows} windows of {step}, and at most {MOST_FILLED} are filled: ask \
             for a longer step or a shorter range"
        );
        return Err(Wrong::new("fill", detail).into());
    }
    let names = if given.has("aggregate") { given.many("aggregate").collect() } else { vec![] };
    let aggregates = match names.is_empty() {
        true => aggregate::list(USUAL.split(',')),
        false => aggregate::list(names.into_iter()),
    };
    let aggregates = aggregates.map_err(|error| Wrong::new("aggregate", error))?;
    Ok((question, Asked { step, numbers, aggregates, fill }))
}

/// The step that was asked for, or the one that fits.
fn step(given: &Parameters, question: &Question, finest: Tier) -> Result<Step, Wrong> {
    match (given.parsed("step")?, question.max_points) {
        (Some(_), Some(_)) => Err(Wrong::new("step", "give either step or max_points")),
        (Some(step), None) => Ok(step),
        (None, most) => {
            let (from, to, most) =
                (question.span.from, question.span.to, most.unwrap_or(USUAL_WINDOWS));
            let too_long = || {
                let detail = format!("no step gives {most} windows or fewer: shorten the range");
                Wrong::new("max_points", detail)
            };
            Step::for_points(from, to, most, finest).ok_or_else(too_long)
        }
    }
}

/// The windows of a series. They belong to the range that holds their start, and are always shown
/// whole.
#[utoipa::path(
    get, path = "/api/v1/series/{device}/{metric}/summaries",
    params(("device" = String, Path), ("metric" = String, Path), Wanted),
    responses(
        (
            status = 200, description = "A page; as a stream the same items as rows, with `device` \
            and `metric`, and `tier` and `step` in the headers `sen-tier` and `sen-step`",
            content(
                (schema::Windows = "application/json", example = json!({
                    "tier": "1h", "step": "6h", "unit": "ug/m3",
                    "items": [{"start": "2026-11-23T06:00:00.000+07:00", "mean": 31.5, "p95": 55.0}],
                    "next": null,
                })),
                (schema::Window = "application/x-ndjson"),
                (String = "text/csv"),
                (Vec<u8> = "application/vnd.apache.parquet"),
            ),
        ),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem, description = "Too many streams at once: ask again"),
    ),
)]
pub(crate) async fn one(
    State(centre): State<Shared>,
    Path((device, metric)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let given = Parameters::new(pairs, &[&PARAMETERS, &OWN])?;
    let line = past::line(&centre, &device, &metric).await?;
    let (question, asked) = parse(&centre, &given, &headers, std::slice::from_ref(&line))?;
    if let Shape::Stream(format) = question.shape {
        return stream(&centre, vec![line], asked, By::Series, format);
    }
    let (tier, step, unit) =
        (asked.step.tier().as_str(), asked.step.to_string(), line.unit.clone());
    let mut walk = walk(&centre, vec![line], asked, None, &question).await?;
    let (rows, next) = answer::rows(&mut walk, question.limit).await?;
    let columns = walk.columns();
    let items = answer::objects(&walk, &columns, &rows);
    Ok(Json(One { tier, step, unit, items, next }).into_response())
}

/// Which of many series.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described, never made")]
pub(crate) struct Together {
    /// What becomes one line: each `series` (default), all of an `area`, a `field`, a `kind`, or
    /// `all` that are chosen; always of one metric. Merging is exact.
    #[param(example = "area")]
    by: Option<String>,
}

/// The windows of many series at once, each by itself or merged.
#[utoipa::path(
    get, path = "/api/v1/summaries",
    params(schema::Chosen, Together, Wanted),
    responses(
        (
            status = 200, description = "A page, line after line; as a stream the same items as \
            rows, with `tier` and `step` in the headers `sen-tier` and `sen-step`",
            content(
                (schema::ManyWindows = "application/json", example = json!({
                    "tier": "1h", "step": "1h", "by": "area", "series": 2,
                    "units": {"pm25_ug_m3": "ug/m3"},
                    "items": [{
                        "area": "28261", "metric": "pm25_ug_m3",
                        "start": "2026-11-23T06:00:00.000+07:00", "mean": 31.5,
                    }],
                    "next": "1795388400000~~28261/pm25_ug_m3",
                })),
                (schema::Window = "application/x-ndjson"),
                (String = "text/csv"),
                (Vec<u8> = "application/vnd.apache.parquet"),
            ),
        ),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem, description = "Too many streams at once: ask again"),
    ),
)]
pub(crate) async fn many(
    State(centre): State<Shared>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let given = Parameters::new(pairs, &[&CHOICE, &["by"], &PARAMETERS, &OWN])?;
    let by: By = given.parsed("by")?.unwrap_or_default();
    let lines = past::lines(&centre, &given, by)?;
    let (question, asked) = parse(&centre, &given, &headers, &lines)?;
    if let Shape::Stream(format) = question.shape {
        return stream(&centre, lines, asked, by, format);
    }
    let (tier, step) = (asked.step.tier().as_str(), asked.step.to_string());
    let (series, units) = (past::series(&lines), past::units(&lines));
    let mut walk = walk(&centre, lines, asked, Some(by), &question).await?;
    let (rows, next) = answer::rows(&mut walk, question.limit).await?;
    let columns = walk.columns();
    let items = answer::objects(&walk, &columns, &rows);
    let by = by.as_str();
    Ok(Json(Many { tier, step, by, series, units, items, next }).into_response())
}

/// The windows, from the cursor on.
async fn walk(
    centre: &Shared,
    lines: Vec<Line>,
    asked: Asked,
    by: Option<By>,
    question: &Question,
) -> Result<Windows, Problem> {
    let mut walk = Windows::new(centre.past.clone(), asked, lines, by);
    match &question.cursor {
        Some(cursor) if !walk.go_on(cursor).await? => Err(foreign(&cursor.to_string())),
        _ => Ok(walk),
    }
}

fn stream(
    centre: &Shared,
    lines: Vec<Line>,
    asked: Asked,
    by: By,
    format: sen_table::Format,
) -> Result<Response, Problem> {
    let (tier, step) = (asked.step.tier().as_str(), asked.step.to_string());
    let walk = Windows::new(centre.past.clone(), asked, lines, Some(by));
    let mut response = answer::stream(centre, walk, format, "summaries")?;
    answer::tell(&mut response, "sen-tier", tier);
    answer::tell(&mut response, "sen-step", &step);
    Ok(response)
}
