//! `GET /series`: what is measured, and its latest reading.

use axum::Json;
use axum::extract::{Query, State};
use sen_model::{AreaCode, DeviceId, Field, Metric, Quality, Text, Timestamp};
use sen_store::Point;
use serde::Serialize;
use utoipa::ToSchema;

use super::listing::{Page, Paging, foreign, page};
use super::problem::Problem;
use crate::centre::Shared;
use crate::projection::latest::{Heard, Sighting};
use crate::query::curve::Dot;

/// A reading, as the API shows it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct ReadingItem {
    /// When it was measured; of a summary, the start of its window.
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
        Dot::from(point).into()
    }
}

impl From<Dot> for ReadingItem {
    fn from(dot: Dot) -> Self {
        let Dot { event_time, received_at, value, quality } = dot;
        Self { event_time, received_at, value, quality }
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
