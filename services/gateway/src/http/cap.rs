//! `GET /alerts/{id}/cap` and `GET /cap.atom`: alerts for others.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use sen_model::time::DAY_MS;
use sen_model::{AlertRecord, Text};

use super::alerts::{alerts, held, history, whole};
use super::problem::Problem;
use super::why::{position, rule_of};
use crate::cap::{self, Around, atom};
use crate::centre::{Centre, Shared};
use crate::notice;

/// What alerts of the whole province are about.
const PROVINCE: &str = "province";

/// The newest record of an alert as a message of the Common Alerting Protocol, CAP 1.2.
#[utoipa::path(
    get, path = "/api/v1/alerts/{id}/cap", params(("id" = String, Path)),
    responses(
        (status = 200, content_type = "application/cap+xml", body = String),
        (status = 404, body = Problem),
        (status = 503, body = Problem, description = "a log is still being read"),
    ),
)]
pub(crate) async fn one(
    State(centre): State<Shared>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let held = held(&centre, &id)?;
    let history = history(&centre, &held).await?;
    let earlier: Vec<_> = history.iter().map(|record| (record.rev, record.recorded_at)).collect();
    let record = &held.record;
    let rule = rule_of(&centre, record)?;
    let stage = notice::stage(&*whole(&centre.tracks.desk, &centre.desk)?);
    let registry = &centre.ports.registry;
    let area = record.area.as_ref().and_then(|code| registry.area(code));
    let around = Around {
        now: centre.now(),
        rule: rule.as_ref(),
        earlier: &earlier,
        stage: stage.map(|stage| stage.stage),
        device: registry.device(&record.device).map(|device| device.name.clone()),
        area: area.map(|place| place.name.clone()).or_else(|| of_province(record)),
        rings: rings(&centre, record),
        position: position(&centre, record),
    };
    let message = cap::message(record, &around, &centre.config.cap.issuer());
    let document = cap::document(&message).map_err(|error| Problem::internal(&error))?;
    let media_type = format!("{}; charset=utf-8", atom::MEDIA_TYPE);
    Ok(([(header::CONTENT_TYPE, media_type)], document))
}

fn of_province(record: &AlertRecord) -> Option<Text> {
    (record.device.as_str() == PROVINCE).then(|| Text::new("Toàn tỉnh", "The whole province"))
}

fn rings<'c>(centre: &'c Centre, record: &AlertRecord) -> &'c [crate::map::rings::Ring] {
    match &record.area {
        Some(code) => centre.outlines().area(code.as_str()),
        None if record.device.as_str() == PROVINCE => centre.outlines().province(),
        None => &[],
    }
}

/// The open alerts, and those that ended within a day, as a feed of such messages (Atom, RFC
/// 4287): the last 200 that changed. What is shelved, suppressed or out of service is not in it.
#[utoipa::path(
    get, path = "/api/v1/cap.atom",
    responses(
        (status = 200, content_type = "application/atom+xml", body = String),
        (status = 503, body = Problem, description = "a log is still being read"),
    ),
)]
pub(crate) async fn feed(State(centre): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let since = centre.now().plus_ms(-DAY_MS);
    let is_told = |record: &AlertRecord| {
        let is_hidden = record.shelving.is_some()
            || record.suppression.is_some()
            || record.out_of_service.is_some();
        !is_hidden && (record.state.is_open() || record.recorded_at >= since)
    };
    let feed = {
        let alerts = alerts(&centre)?;
        let all = alerts.newest_first();
        let all = all.into_iter().map(|held| held.record.as_ref());
        let mut told: Vec<&AlertRecord> = all.filter(|record| is_told(record)).collect();
        told.sort_by_key(|record| std::cmp::Reverse(record.recorded_at));
        told.truncate(atom::MOST_ENTRIES);
        atom::feed(&told, &centre.config.cap.issuer(), centre.since)
    };
    let feed = feed.map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")], feed))
}
