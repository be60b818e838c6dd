//! `GET /alerts/{id}/why`: the rule as it was, the readings that led to it, related alerts, and what
//! else changed near it in time and space.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use sen_model::time::HOUR_MS;
use sen_model::{
    AlertRecord, Condition, Device, DeviceId, Event, Metric, MetricSpec, Partial, Quality, Rule,
    SeriesKey, Text, Tier, Timestamp,
};
use sen_store::Span;
use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::{RuleItem, alerts, held, whole};
use super::listing::newest_first;
use super::problem::Problem;
use super::schema;
use crate::centre::{Centre, Shared};
use crate::why::{COMPARED_MS, MOST_CHANGES, NEAR_M, NEAR_MS, Shift};
use crate::why::{distance_m, edition, look_back_ms, related, shift};

/// Readings that are told, at most; of more the smallest and the largest of each step.
const MOST_READINGS: usize = 2_000;
/// Series near it that are looked at, the nearest first.
const MOST_LOOKED: usize = 300;
/// Events near it that are told.
const MOST_EVENTS: usize = 50;
/// Interval of a device that the registry does not know, in milliseconds.
const USUAL_INTERVAL_MS: i64 = 60_000;

/// A reading.
#[derive(Serialize, ToSchema)]
pub(crate) struct Measured {
    /// When it was measured.
    #[schema(value_type = String, format = DateTime)]
    event_time: Timestamp,
    /// The value.
    value: f64,
    /// `good`, `suspect` or `bad`.
    #[schema(value_type = String)]
    quality: Quality,
}

/// The readings that led to an alert, and those just after.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readings {
    /// What is measured.
    #[schema(value_type = String)]
    metric: Metric,
    /// UCUM unit; null where the registry does not know the metric.
    unit: Option<String>,
    /// The limit that was judged by; null where there is none.
    limit: Option<f64>,
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until before when.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// By event time; of more than 2,000 the smallest and the largest of each step.
    items: Vec<Measured>,
}

/// A series near the alert that changed when it began.
#[derive(Serialize, ToSchema)]
pub(crate) struct Nearby {
    /// The device.
    #[schema(value_type = String)]
    device: DeviceId,
    /// What people call it.
    #[schema(value_type = schema::Text)]
    name: Text,
    /// The metric.
    #[schema(value_type = String)]
    metric: Metric,
    /// What people call it.
    #[schema(value_type = schema::Text)]
    metric_name: Text,
    /// UCUM unit.
    unit: String,
    /// How far away, in metres.
    distance_m: f64,
    /// The mean of the 30 minutes before.
    before: f64,
    /// The mean of the 30 minutes after.
    after: f64,
    /// The difference.
    change: f64,
}

/// Why an alert was raised.
#[derive(Serialize, ToSchema)]
pub(crate) struct Why {
    /// The rule as it was then; null if no edition of it is known.
    rule: Option<RuleItem>,
    /// The readings that led to it; null if it is not about one series.
    readings: Option<Readings>,
    /// Alerts that hang together with it, the closest first; at most 50.
    #[schema(value_type = Vec<schema::Alert>)]
    related: Vec<Arc<AlertRecord>>,
    /// Series within 15 km whose mean changed most, in terms of their own spread, when it began; at
    /// most 12.
    nearby: Vec<Nearby>,
    /// Events within an hour and 15 km, newest first; at most 50.
    #[schema(value_type = Vec<schema::Event>)]
    events: Vec<Arc<Event>>,
}

/// Why it was raised.
#[utoipa::path(
    get, path = "/api/v1/alerts/{id}/why", params(("id" = String, Path)),
    responses(
        (status = 200, body = Why), (status = 404, body = Problem),
        (status = 503, body = Problem, description = "a log is still being read, or the archive does not answer"),
    ),
)]
pub(crate) async fn why(
    State(centre): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Why>, Problem> {
    let alert = held(&centre, &id)?.record;
    let rule = rule_of(&centre, &alert)?;
    let related = {
        let alerts = alerts(&centre)?;
        let all = alerts.newest_first();
        related(&alert, all.into_iter().map(|held| &held.record))
    };
    let near = near(&centre, &alert);
    Ok(Json(Why {
        readings: readings(&centre, &alert, rule.as_ref()).await?,
        rule: rule
            .map(|rule| RuleItem { version: edition(&alert.rule_version).0.to_owned(), rule }),
        related,
        nearby: changes(&centre, &alert, &near).await?,
        events: events(&centre, &alert, &near).await?,
    }))
}

/// The rule as it was: its edition in the desk's log, or the rule in force if it is the same one.
pub(super) fn rule_of(centre: &Centre, alert: &AlertRecord) -> Result<Option<Rule>, Problem> {
    let (version, _) = edition(&alert.rule_version);
    let kept = whole(&centre.tracks.desk, &centre.desk)?.edition(&alert.rule, version).cloned();
    let in_force = || {
        let rules = centre.ports.rules.borrow();
        let same = |rule: &&Rule| rule.id == alert.rule && rule.version() == version;
        rules.iter().find(same).cloned()
    };
    Ok(kept.or_else(in_force))
}

async fn readings(
    centre: &Centre,
    alert: &AlertRecord,
    rule: Option<&Rule>,
) -> Result<Option<Readings>, Problem> {
    let Some(metric) = alert.metric.clone() else { return Ok(None) };
    let device = centre.ports.registry.device(&alert.device);
    let interval_ms = device.map_or(USUAL_INTERVAL_MS, |device| device.interval_ms);
    let (_, level) = edition(&alert.rule_version);
    let condition = rule.map(|rule| &rule.condition);
    let back_ms = look_back_ms(condition, level, interval_ms);
    let from = alert.started_at.plus_ms(-back_ms);
    let now = centre.now().plus_ms(1);
    let to = alert.started_at.plus_ms(back_ms).min(now).max(from.plus_ms(1));
    let series = SeriesKey { device: alert.device.clone(), metric: metric.clone() };
    let points = centre.past.points_downsampled(&series, Span { from, to }, MOST_READINGS).await?;
    let items = points.into_iter().map(|point| Measured {
        event_time: point.event_time,
        value: point.value,
        quality: point.quality,
    });
    let unit = device.and_then(|device| device.metric(&metric)).map(|spec| spec.unit.clone());
    let limit = alert.limit.or_else(|| condition.and_then(|condition| limit(condition, level)));
    Ok(Some(Readings { metric, unit, limit, from, to, items: items.collect() }))
}

/// The limit of a condition that has one.
fn limit(condition: &Condition, level: Option<usize>) -> Option<f64> {
    let limit = match condition {
        Condition::Threshold { limit }
        | Condition::Rate { limit, .. }
        | Condition::Delta { limit, .. }
        | Condition::Window { limit, .. } => limit,
        Condition::Levels { levels } => &levels.get(level?.checked_sub(1)?)?.limit,
        _ => return None,
    };
    Some(limit.bound.limit())
}

/// Devices near an alert, with their distance, the nearest first.
fn near<'c>(centre: &'c Centre, alert: &AlertRecord) -> Vec<(f64, &'c Device)> {
    let Some(here) = position(centre, alert) else { return Vec::new() };
    let distance = |device: &'c Device| (distance_m(here, (device.lat, device.lon)), device);
    let devices = centre.ports.registry.devices().map(distance);
    let mut near: Vec<(f64, &Device)> = devices.filter(|(far, _)| *far <= NEAR_M).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near
}

/// Where an alert is: at its device, or in the middle of its area.
pub(super) fn position(centre: &Centre, alert: &AlertRecord) -> Option<(f64, f64)> {
    let registry = &centre.ports.registry;
    let device = registry.device(&alert.device).map(|device| (device.lat, device.lon));
    let area = || alert.area.as_ref().and_then(|code| registry.area(code));
    device.or_else(|| area().map(|place| (place.lat, place.lon)))
}

/// What changed most.
async fn changes(
    centre: &Centre,
    alert: &AlertRecord,
    near: &[(f64, &Device)],
) -> Result<Vec<Nearby>, Problem> {
    let its_own = |device: &Device, metric: &Metric| {
        device.id == alert.device && Some(metric) == alert.metric.as_ref()
    };
    let series: Vec<(f64, &Device, &MetricSpec)> = near
        .iter()
        .flat_map(|(far, device)| device.metrics.iter().map(move |spec| (*far, *device, spec)))
        .filter(|(_, device, spec)| !its_own(device, &spec.metric))
        .take(MOST_LOOKED)
        .collect();
    // The past is looked up series by series; the store alone is asked, since the archive is slow.
    let past = centre.past.at_hand();
    let mut found: Vec<(Shift, Nearby)> = Vec::new();
    for (distance_m, device, spec) in series {
        let key = SeriesKey { device: device.id.clone(), metric: spec.metric.clone() };
        let start = alert.started_at;
        let span = Span { from: start.plus_ms(-COMPARED_MS), to: start.plus_ms(COMPARED_MS) };
        let most = usize::try_from(2 * COMPARED_MS / 60_000 + 1).unwrap_or(usize::MAX);
        let windows = past.summaries(&key, Tier::Minute, span, most).await?;
        let (mut before, mut after) = (Partial::default(), Partial::default());
        for window in windows {
            let side = if window.start < start { &mut before } else { &mut after };
            side.merge(&window.partial);
        }
        let Some(shift) = shift(&before, &after) else { continue };
        let nearby = Nearby {
            device: device.id.clone(),
            name: device.name.clone(),
            metric: spec.metric.clone(),
            metric_name: spec.name.clone(),
            unit: spec.unit.clone(),
            distance_m: distance_m.round(),
            before: shift.before,
            after: shift.after,
            change: shift.after - shift.before,
        };
        found.push((shift, nearby));
    }
    found.sort_by(|(a, _), (b, _)| b.weight.total_cmp(&a.weight));
    Ok(found.into_iter().take(MOST_CHANGES).map(|(_, nearby)| nearby).collect())
}

/// What happened near it.
async fn events(
    centre: &Centre,
    alert: &AlertRecord,
    near: &[(f64, &Device)],
) -> Result<Vec<Arc<Event>>, Problem> {
    let near: BTreeMap<&DeviceId, f64> =
        near.iter().map(|(far, device)| (&device.id, *far)).collect();
    let is_near = |event: &Event| {
        let apart = event.event_time.since_ms(alert.started_at).saturating_abs();
        apart <= NEAR_MS && (event.device == alert.device || near.contains_key(&event.device))
    };
    // Events come about when they happen: those that were heard long after are not looked for.
    let is_before =
        |event: &Event| event.received_at.since_ms(alert.started_at) < -(NEAR_MS + 24 * HOUR_MS);
    let mut is_past = false;
    let pick = |entry: &sen_log::Entry<Event>| {
        is_past |= is_before(&entry.record);
        (!is_past && is_near(&entry.record)).then(|| Arc::clone(&entry.record))
    };
    let page = newest_first(&centre.ports.events, None, MOST_EVENTS, pick).await?;
    Ok(page.items)
}
