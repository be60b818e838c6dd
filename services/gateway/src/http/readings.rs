//! `GET /series/{device}/{metric}/readings` and `GET /readings`: what was measured.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use sen_model::Tier;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{self, Object, Shape};
use super::listing::foreign;
use super::past::{self, PARAMETERS, Question};
use super::problem::Problem;
use super::schema;
use super::series::ReadingItem;
use crate::centre::Shared;
use crate::query::Walk;
use crate::query::curve::{Curves, Downsample, curve, tier_name};
use crate::query::lines::{By, CHOICE, Line};
use crate::query::parameters::{Parameters, Wrong};
use crate::query::readings::Readings;

/// What a curve takes besides.
const OWN: [&str; 1] = ["downsample"];
/// Points of a curve where no number is asked for.
const USUAL_POINTS: usize = 1_000;
/// A curve has a smallest and a largest point.
const LEAST_POINTS: usize = 2;
/// Points of all curves of one page, at most.
const MOST_TOGETHER: usize = 100_000;

/// Which readings, and how many of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described, never made")]
pub(crate) struct Wanted {
    /// First instant, RFC 3339 or ms; a day before `to` if not given.
    #[param(example = "2026-11-23T00:00:00+07:00")]
    from: Option<String>,
    /// First instant after the range; now if not given.
    #[param(example = "2026-11-24T00:00:00+07:00")]
    to: Option<String>,
    /// Points of each series at most, 2 to 10,000: a curve. Not with `limit` or `cursor`.
    max_points: Option<usize>,
    /// How a curve is thinned: `minmax` (default) or `lttb`.
    #[param(example = "minmax")]
    downsample: Option<String>,
    /// Readings on a page, 1 to 10,000: all readings, page after page.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// `json`, or a stream: `ndjson`, `csv`, `parquet`; else by `Accept`.
    #[param(example = "json")]
    format: Option<String>,
}

/// A curve, or a page of all readings.
#[derive(Serialize, ToSchema)]
pub(crate) struct CurveAnswer {
    /// `raw`; `minute`, `quarter_hour`, `hour` or `day` where the range holds too many readings.
    resolution: &'static str,
    /// The same as a tier: `raw`, `1m`, `15m`, `1h`, `1d`.
    tier: &'static str,
    /// How it was thinned: `none`, `minmax`, `lttb`.
    downsample: &'static str,
    /// UCUM unit, where the registry knows the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// In order of event time.
    items: Vec<ReadingItem>,
    /// The cursor of the next page; null on the last one, and of a curve.
    next: Option<String>,
}

/// Readings of many series.
#[derive(Serialize)]
struct Many<'r> {
    series: usize,
    units: BTreeMap<String, String>,
    items: Vec<Object<'r>>,
    next: Option<String>,
}

fn resolution(tier: Option<Tier>) -> &'static str {
    match tier {
        None => "raw",
        Some(Tier::Minute) => "minute",
        Some(Tier::QuarterHour) => "quarter_hour",
        Some(Tier::Hour) => "hour",
        Some(Tier::Day) => "day",
    }
}

/// The parameters of a question for readings.
fn parse(
    centre: &Shared,
    given: &Parameters,
    headers: &HeaderMap,
) -> Result<(Question, Downsample), Problem> {
    let question = Question::parse(centre, given, headers, LEAST_POINTS)?;
    if question.is_paged && question.max_points.is_some() {
        let detail = "a curve has no pages: give either max_points, or limit and cursor";
        return Err(Wrong::new("max_points", detail).into());
    }
    Ok((question, given.parsed("downsample")?.unwrap_or_default()))
}

/// The readings of a series: a curve, or with `limit` all of them in pages, or with `format` all of
/// them as a stream.
#[utoipa::path(
    get, path = "/api/v1/series/{device}/{metric}/readings",
    params(("device" = String, Path), ("metric" = String, Path), Wanted),
    responses(
        (
            status = 200, description = "A curve or a page; as a stream rows of `device`, \
            `metric`, `event_time`, `received_at`, `value`, `quality` (and `tier` of a curve)",
            content(
                (CurveAnswer = "application/json", example = json!({
                    "resolution": "raw", "tier": "raw", "downsample": "none", "unit": "ug/m3",
                    "items": [{
                        "event_time": "2026-11-23T14:02:05.120+07:00",
                        "received_at": "2026-11-23T14:02:05.160+07:00",
                        "value": 31.5, "quality": "good",
                    }],
                    "next": null,
                })),
                (schema::ReadingRow = "application/x-ndjson"),
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
    let (question, how) = parse(&centre, &given, &headers)?;
    let line = past::line(&centre, &device, &metric).await?;
    match question.shape {
        Shape::Stream(format) => stream(&centre, vec![line], &question, how, format),
        Shape::Page if question.is_paged => page_of_one(&centre, line, &question).await,
        Shape::Page => {
            let most = question.max_points.unwrap_or(USUAL_POINTS);
            let found = curve(&centre.past, &line.series[0], question.span, most, how).await?;
            let answer = CurveAnswer {
                resolution: resolution(found.tier),
                tier: tier_name(found.tier),
                downsample: if found.is_thinned { how.as_str() } else { "none" },
                unit: line.unit,
                items: found.dots.into_iter().map(ReadingItem::from).collect(),
                next: None,
            };
            Ok(Json(answer).into_response())
        }
    }
}

async fn page_of_one(
    centre: &Shared,
    line: Line,
    question: &Question,
) -> Result<Response, Problem> {
    let unit = line.unit.clone();
    let mut walk = walk(centre, vec![line], question)?;
    let (rows, next) = answer::rows(&mut walk, question.limit).await?;
    let items = rows.into_iter().map(|row| ReadingItem::from(row.point)).collect();
    let (resolution, tier) = (resolution(None), tier_name(None));
    Ok(Json(CurveAnswer { resolution, tier, downsample: "none", unit, items, next })
        .into_response())
}

/// Readings of many series at once.
#[utoipa::path(
    get, path = "/api/v1/readings",
    params(schema::Chosen, Wanted),
    responses(
        (
            status = 200, description = "A page of readings, series after series; with \
            `max_points` the curve of each series",
            content(
                (schema::ManyReadings = "application/json", example = json!({
                    "series": 1, "units": {"pm25_ug_m3": "ug/m3"},
                    "items": [{
                        "device": "air-28261", "metric": "pm25_ug_m3",
                        "event_time": "2026-11-23T14:02:05.120+07:00",
                        "received_at": "2026-11-23T14:02:05.160+07:00",
                        "value": 31.5, "quality": "good",
                    }],
                    "next": "1795417325120~~air-28261/pm25_ug_m3",
                })),
                (schema::ReadingRow = "application/x-ndjson"),
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
    let given = Parameters::new(pairs, &[&CHOICE, &PARAMETERS, &OWN])?;
    let (question, how) = parse(&centre, &given, &headers)?;
    let lines = past::lines(&centre, &given, By::Series)?;
    let (series, units) = (past::series(&lines), past::units(&lines));
    match (question.shape, question.max_points) {
        (Shape::Stream(format), _) => stream(&centre, lines, &question, how, format),
        (Shape::Page, Some(most)) => {
            if lines.len().saturating_mul(most) > MOST_TOGETHER {
                let detail = format!(
                    "{series} curves of {most} points are more than {MOST_TOGETHER} together: ask \
                     for fewer points or series, or stream them with format=ndjson, csv or parquet"
                );
                return Err(Wrong::new("max_points", detail).into());
            }
            let walk = Curves::new(centre.past.clone(), question.span, lines, most, how);
            page_of_many(walk, MOST_TOGETHER, series, units).await
        }
        (Shape::Page, None) => {
            let walk = walk(&centre, lines, &question)?;
            page_of_many(walk, question.limit, series, units).await
        }
    }
}

async fn page_of_many<W: Walk>(
    mut walk: W,
    limit: usize,
    series: usize,
    units: BTreeMap<String, String>,
) -> Result<Response, Problem> {
    let (rows, next) = answer::rows(&mut walk, limit).await?;
    let columns = walk.columns();
    let items = answer::objects(&walk, &columns, &rows);
    Ok(Json(Many { series, units, items, next }).into_response())
}

/// All readings, from the cursor on.
fn walk(centre: &Shared, lines: Vec<Line>, question: &Question) -> Result<Readings, Problem> {
    let mut walk = Readings::new(centre.past.clone(), question.span, lines);
    match &question.cursor {
        Some(cursor) if !walk.go_on(cursor) => Err(foreign(&cursor.to_string())),
        _ => Ok(walk),
    }
}

fn stream(
    centre: &Shared,
    lines: Vec<Line>,
    question: &Question,
    how: Downsample,
    format: sen_table::Format,
) -> Result<Response, Problem> {
    let (past, span) = (centre.past.clone(), question.span);
    match question.max_points {
        Some(most) => {
            answer::stream(centre, Curves::new(past, span, lines, most, how), format, "curves")
        }
        None => answer::stream(centre, Readings::new(past, span, lines), format, "readings"),
    }
}
