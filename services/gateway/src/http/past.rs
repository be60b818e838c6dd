//! What every question about the past has: a range, a shape, series that exist.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use sen_model::time::DAY_MS;
use sen_model::{DeviceId, Metric, SeriesKey};
use sen_store::Span;

use super::answer::{MOST_ITEMS, STREAM_INSTEAD, Shape};
use super::listing::foreign;
use super::problem::Problem;
use crate::centre::Shared;
use crate::query::cursor::Cursor;
use crate::query::lines::{By, Choice, Line, Refused};
use crate::query::parameters::{Parameters, Wrong};

/// The parameters that each of them takes.
pub(crate) const PARAMETERS: [&str; 6] = ["from", "to", "max_points", "limit", "cursor", "format"];
/// Items of a page where none are asked for.
const USUAL_ITEMS: usize = 200;
/// Points of a curve or windows of a line, at most.
const MOST_POINTS: usize = 10_000;

/// What is asked of every answer.
pub(crate) struct Question {
    /// Which time.
    pub(crate) span: Span,
    /// How many points or windows at most, if that is asked.
    pub(crate) max_points: Option<usize>,
    /// Items of a page.
    pub(crate) limit: usize,
    /// Where the page begins.
    pub(crate) cursor: Option<Cursor>,
    /// Whether pages were asked for.
    pub(crate) is_paged: bool,
    /// How it leaves.
    pub(crate) shape: Shape,
}

impl Question {
    /// Reads them; a curve has `least` points or more.
    pub(crate) fn parse(
        centre: &Shared,
        given: &Parameters,
        headers: &HeaderMap,
        least: usize,
    ) -> Result<Self, Problem> {
        let shape = Shape::of(given, headers)?;
        let to = given.time("to")?.unwrap_or_else(|| centre.now());
        let from = given.time("from")?.unwrap_or_else(|| to.plus_ms(-DAY_MS));
        if from >= to {
            return Err(Wrong::new("from", "it must be before `to`").into());
        }
        let finer =
            ": ask for several ranges, or stream all of it with format=ndjson, csv or parquet";
        let max_points = given.number("max_points", least..=MOST_POINTS, finer)?;
        let limit = given.number("limit", 1..=MOST_ITEMS, STREAM_INSTEAD)?;
        let limit = limit.or(max_points).unwrap_or(USUAL_ITEMS);
        let read = |text: &str| Cursor::parse(text).ok_or_else(|| foreign(text));
        let cursor = given.one("cursor")?.map(read).transpose()?;
        let is_paged = given.has("limit") || given.has("cursor");
        Ok(Self { span: Span { from, to }, max_points, limit, cursor, is_paged, shape })
    }
}

/// The line of one series; a series of the registry that nothing was heard of yet is empty, not
/// unknown.
pub(crate) async fn line(centre: &Shared, device: &str, metric: &str) -> Result<Line, Problem> {
    let device: DeviceId =
        device.parse().map_err(|error| Problem::not_found(format!("device: {error}")))?;
    let metric: Metric =
        metric.parse().map_err(|error| Problem::not_found(format!("metric: {error}")))?;
    let registry = &centre.ports.registry;
    let is_registered = registry.device(&device).is_some_and(|it| it.metric(&metric).is_some());
    let key = SeriesKey { device, metric };
    if !is_registered && !centre.past.has(&key).await? {
        return Err(Problem::not_found(format!("there is no series {key}")));
    }
    Ok(Line::of(key, registry))
}

/// The lines of many series.
pub(crate) fn lines(centre: &Shared, given: &Parameters, by: By) -> Result<Vec<Line>, Problem> {
    let registry = &centre.ports.registry;
    let choice = Choice::parse(given, registry);
    let lines = choice.and_then(|choice| choice.lines(by, registry, centre.past.series()));
    lines.map_err(|refused| match refused {
        Refused::Wrong(wrong) => wrong.into(),
        Refused::Unknown(detail) => Problem::not_found(detail),
    })
}

/// The unit of each metric, where the registry knows it and it is one.
pub(crate) fn units(lines: &[Line]) -> BTreeMap<String, String> {
    let mut units: BTreeMap<String, Option<String>> = BTreeMap::new();
    for line in lines {
        let Some(unit) = &line.unit else { continue };
        let known = units.entry(line.metric().to_string()).or_insert_with(|| Some(unit.clone()));
        if known.as_ref() != Some(unit) {
            *known = None;
        }
    }
    units.into_iter().filter_map(|(metric, unit)| Some((metric, unit?))).collect()
}

/// How many series these lines are of.
pub(crate) fn series(lines: &[Line]) -> usize {
    lines.iter().map(|line| line.series.len()).sum()
}
