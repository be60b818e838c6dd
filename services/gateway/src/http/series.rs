//! `GET /series` and what each series was: readings and summaries.

use axum::Json;
use axum::extract::{Path, Query, State};
use sen_model::time::DAY_MS;
use sen_model::{AreaCode, DeviceId, Field, Metric, Quality, Text, Timestamp};
use sen_store::{Point, SeriesId, Span, Store, Summary, Tier};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::listing::{Page, Paging, foreign, page, time, unknown};
use super::problem::Problem;
use super::thin::{At, Thinner};
use crate::centre::Shared;
use crate::projection::latest::{Heard, Sighting};

/// Points of a curve where no number is asked for, and at most.
const USUAL_POINTS: usize = 1_000;
const MOST_POINTS: usize = 10_000;
/// The longest range whose readings one request looks at, when they are more than it asked for: a
/// quarter of a million of one a second. A longer range is shown from its summaries.
const LONGEST_RAW_MS: i64 = 3 * DAY_MS;
/// Summaries read from the store at once.
const STRETCH: usize = 10_000;

/// A reading, as the API shows it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct ReadingItem {
    /// When it was measured; of a summary, the start of its minute.
    #[schema(value_type = String, format = DateTime)]
    event_time: Timestamp,
    /// When it was heard; absent from summaries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    received_at: Option<Timestamp>,
    /// The value.
    value: f64,
    /// `good`, `suspect` or `bad`.
    #[schema(value_type = String)]
    quality: Quality,
}

impl From<&Sighting> for ReadingItem {
    fn from(one: &Sighting) -> Self {
        let Sighting { event_time, received_at, value, quality, .. } = *one;
        Self { event_time, received_at: Some(received_at), value, quality }
    }
}

impl From<Point> for ReadingItem {
    fn from(point: Point) -> Self {
        let Point { event_time, received_at, value, quality, .. } = point;
        Self { event_time, received_at: Some(received_at), value, quality }
    }
}

impl At for ReadingItem {
    fn at(&self) -> Timestamp {
        self.event_time
    }
    fn value(&self) -> f64 {
        self.value
    }
}

/// A series and its latest reading.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeriesItem {
    /// What reports.
    #[schema(value_type = String)]
    device: DeviceId,
    /// What it measures.
    #[schema(value_type = String)]
    metric: Metric,
    /// UCUM unit, where the registry knows the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// What people call the metric, where the registry knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::schema::Text>)]
    name: Option<Text>,
    /// One of the five fields, where the registry knows the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    field: Option<Field>,
    /// The commune, where the registry knows the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    area: Option<AreaCode>,
    /// Null if nothing was heard yet.
    latest: Option<ReadingItem>,
}

/// Every series, by device and metric.
#[utoipa::path(
    get, path = "/api/v1/series", params(Paging),
    responses((status = 200, body = Page<SeriesItem>), (status = 400, body = Problem)),
)]
pub(crate) async fn list(
    State(centre): State<Shared>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<SeriesItem>>, Problem> {
    let after = paging.cursor.as_deref().map(series_key).transpose()?;
    let limit = paging.limit();
    let latest = centre.latest();
    let resumed = after.as_ref().and_then(|(device, _)| latest.of_device(device));
    let following = latest.devices_after(after.as_ref().map(|(device, _)| device));
    let is_new = |device: &DeviceId, metric: &Metric| {
        after.as_ref().is_none_or(|(d, m)| (device, metric) > (d, m))
    };
    let of = |heard: &Heard| -> Vec<SeriesItem> {
        let device = centre.ports.registry.device(&heard.id);
        let series = latest.series_of(heard).into_iter();
        let series = series.filter(|(metric, _)| is_new(&heard.id, metric));
        series.map(|(metric, one)| item(&heard.id, device, metric, one)).collect()
    };
    let items = resumed.into_iter().chain(following).flat_map(of).take(limit + 1).collect();
    Ok(Json(page(items, limit, |item| format!("{}/{}", item.device, item.metric))))
}

fn item(
    id: &DeviceId,
    device: Option<&sen_model::Device>,
    metric: &Metric,
    latest: Option<&Sighting>,
) -> SeriesItem {
    let spec = device.and_then(|device| device.metric(metric));
    SeriesItem {
        device: id.clone(),
        metric: metric.clone(),
        unit: spec.map(|spec| spec.unit.clone()),
        name: spec.map(|spec| spec.name.clone()),
        field: device.map(|device| device.field),
        area: device.map(|device| device.area.clone()),
        latest: latest.map(ReadingItem::from),
    }
}

fn series_key(cursor: &str) -> Result<(DeviceId, Metric), Problem> {
    let parts = cursor.split_once('/').and_then(|(device, metric)| {
        Some((DeviceId::new(device).ok()?, Metric::new(metric).ok()?))
    });
    parts.ok_or_else(|| foreign(cursor))
}

/// Which part of a series, and how finely.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// First instant, RFC 3339 or ms; a day before `to` if not given.
    from: Option<String>,
    /// First instant after the range; now if not given.
    to: Option<String>,
    /// Points at most, 2 to 10,000; 1,000 if not given.
    max_points: Option<usize>,
}

/// A curve.
#[derive(Serialize, ToSchema)]
pub(crate) struct Curve {
    /// `raw`, or `minute` where the range holds too many readings.
    resolution: &'static str,
    /// UCUM unit, where the registry knows the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// In order of event time; where there are too many, the smallest and largest of each step.
    items: Vec<ReadingItem>,
    /// Always null: a curve is never longer than one page.
    next: Option<String>,
}

/// The curve of a series.
#[utoipa::path(
    get, path = "/api/v1/series/{device}/{metric}/readings",
    params(("device" = String, Path), ("metric" = String, Path), Range),
    responses(
        (status = 200, body = Curve), (status = 400, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn readings(
    State(centre): State<Shared>,
    Path((device, metric)): Path<(String, String)>,
    Query(range): Query<Range>,
) -> Result<Json<Curve>, Problem> {
    let (device, metric) = names(&device, &metric)?;
    let span = span(&centre, range.from.as_deref(), range.to.as_deref())?;
    let most = range.max_points.unwrap_or(USUAL_POINTS).clamp(2, MOST_POINTS);
    let spec = centre.ports.registry.device(&device).and_then(|device| device.metric(&metric));
    let unit = spec.map(|spec| spec.unit.clone());
    let store = &centre.ports.store;
    let Some(series) = store.find(&device, &metric) else {
        // A series of the registry that nothing was heard of yet is empty, not unknown.
        spec.ok_or_else(|| Problem::not_found(format!("there is no series {device}/{metric}")))?;
        return Ok(Json(Curve { resolution: "raw", unit, items: Vec::new(), next: None }));
    };
    let (resolution, items) = match raw(store, series, span, most).await? {
        Some(items) => ("raw", items),
        None => ("minute", by_minute(store, series, span, most).await?),
    };
    Ok(Json(Curve { resolution, unit, items, next: None }))
}

/// The curve from the readings: all of them if they fit, the smallest and the largest of each step
/// where the range is short; none if there would be too many to look at.
async fn raw(
    store: &Store,
    series: SeriesId,
    span: Span,
    most: usize,
) -> Result<Option<Vec<ReadingItem>>, Problem> {
    let mut points = store.points(series, span, most + 1).await?;
    if points.len() > most {
        if span.to.since_ms(span.from) > LONGEST_RAW_MS {
            return Ok(None);
        }
        points = store.points_downsampled(series, span, most).await?;
    }
    Ok(Some(points.into_iter().map(ReadingItem::from).collect()))
}

/// The curve from the smallest and the largest of each minute.
async fn by_minute(
    store: &Store,
    series: SeriesId,
    mut span: Span,
    most: usize,
) -> Result<Vec<ReadingItem>, Problem> {
    let mut thinner = Thinner::new(span.from, span.to, most);
    loop {
        let summaries = store.summaries(series, Tier::Minute, span, STRETCH).await?;
        for summary in &summaries {
            let extremes = [summary.partial.min(), summary.partial.max()];
            for value in extremes.into_iter().flatten() {
                let (event_time, quality) = (summary.start, Quality::Good);
                thinner.add(ReadingItem { event_time, received_at: None, value, quality });
            }
        }
        match summaries.last() {
            Some(last) if summaries.len() == STRETCH => span.from = last.start.plus_ms(1),
            _ => return Ok(thinner.finish()),
        }
    }
}

/// Which summaries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Summaries {
    /// First instant, RFC 3339 or ms; a day before `to` if not given.
    from: Option<String>,
    /// First instant after the range; now if not given.
    to: Option<String>,
    /// Items on the page, at most 1,000; 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One minute of a series. All values are of its good readings.
#[derive(Serialize, ToSchema)]
pub(crate) struct SummaryItem {
    /// Start of the minute.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// All its readings.
    count: u64,
    /// Those that are good.
    good_count: u64,
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    /// By event time.
    first: Option<f64>,
    /// By event time.
    last: Option<f64>,
    /// Within the relative error of the sketch.
    p50: Option<f64>,
    /// Within the relative error of the sketch.
    p95: Option<f64>,
}

impl From<&Summary> for SummaryItem {
    fn from(summary: &Summary) -> Self {
        let partial = &summary.partial;
        Self {
            start: summary.start,
            count: partial.count,
            good_count: partial.good_count,
            mean: partial.mean(),
            min: partial.min(),
            max: partial.max(),
            first: partial.first().map(|moment| moment.value),
            last: partial.last().map(|moment| moment.value),
            p50: partial.quantile(0.5),
            p95: partial.quantile(0.95),
        }
    }
}

/// The minutes of a series.
#[utoipa::path(
    get, path = "/api/v1/series/{device}/{metric}/summaries",
    params(("device" = String, Path), ("metric" = String, Path), Summaries),
    responses(
        (status = 200, body = Page<SummaryItem>),
        (status = 400, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn summaries(
    State(centre): State<Shared>,
    Path((device, metric)): Path<(String, String)>,
    Query(asked): Query<Summaries>,
) -> Result<Json<Page<SummaryItem>>, Problem> {
    let (device, metric) = names(&device, &metric)?;
    let mut span = span(&centre, asked.from.as_deref(), asked.to.as_deref())?;
    let paging = Paging { limit: asked.limit, cursor: asked.cursor };
    if let Some(last) = paging.number()? {
        let last = Timestamp::from_millis(i64::try_from(last).unwrap_or(i64::MAX));
        span.from = span.from.max(last.plus_ms(1));
    }
    let Some(series) = centre.ports.store.find(&device, &metric) else {
        let spec = centre.ports.registry.device(&device).and_then(|device| device.metric(&metric));
        spec.ok_or_else(|| Problem::not_found(format!("there is no series {device}/{metric}")))?;
        return Ok(Json(Page { items: Vec::new(), next: None }));
    };
    let limit = paging.limit();
    let found = centre.ports.store.summaries(series, Tier::Minute, span, limit + 1).await?;
    let items = found.iter().map(SummaryItem::from).collect();
    Ok(Json(page(items, limit, |item: &SummaryItem| item.start.as_millis().to_string())))
}

fn names(device: &str, metric: &str) -> Result<(DeviceId, Metric), Problem> {
    let device = DeviceId::new(device).map_err(|error| unknown("device", &error))?;
    let metric = Metric::new(metric).map_err(|error| unknown("metric", &error))?;
    Ok((device, metric))
}

fn span(centre: &Shared, from: Option<&str>, to: Option<&str>) -> Result<Span, Problem> {
    let to = time("to", to)?.unwrap_or_else(|| centre.now());
    let from = time("from", from)?.unwrap_or_else(|| to.plus_ms(-DAY_MS));
    if from >= to {
        return Err(Problem::bad("`from` must be before `to`"));
    }
    Ok(Span { from, to })
}
