//! Who is on call, what went to whom, and what a person has to see to.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use sen_model::oncall::Roster;
use sen_model::{
    AlertId, AlertRecord, Delivery, OnCallAnswer, OnCallAsk, OnCallEntry, OnCallRecord, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::alerts::{alerts, whole};
use super::asks::{self, Key, MOST_TEXT, Refusals};
use super::listing::{Page, Paging, page};
use super::problem::Problem;
use super::{schema, shapes};
use crate::centre::{Centre, Shared};

/// Longest address of a push service, in characters, and longest key of a browser.
const MOST_ENDPOINT: usize = 1_024;
const MOST_BROWSER_KEY: usize = 256;

async fn ask(centre: &Centre, question: OnCallAsk) -> Result<OnCallAnswer, Problem> {
    asks::ask(&centre.ports.oncall, question, "notify").await
}

/// What an answer means that is not the one that was asked for.
fn refusal(answer: OnCallAnswer) -> Problem {
    match answer {
        OnCallAnswer::Unknown => Problem::not_found("there is no such person, team or entry"),
        OnCallAnswer::Refused(why) => Problem::refused(why),
        _ => Problem::unavailable("the notify service answered something else"),
    }
}

/// Who is on call now and next, without contact details.
#[utoipa::path(
    get, path = "/api/v1/oncall",
    responses((status = 200, body = shapes::Roster), (status = 503, body = Problem)),
)]
pub(crate) async fn roster(State(centre): State<Shared>) -> Result<Json<Roster>, Problem> {
    match ask(&centre, OnCallAsk::Roster).await? {
        OnCallAnswer::Roster(roster) => Ok(Json(*roster)),
        other => Err(refusal(other)),
    }
}

type Changed = Result<Json<OnCallRecord>, Problem>;

async fn change(centre: &Centre, headers: &HeaderMap, by: &str, entry: OnCallEntry) -> Changed {
    let by = asks::name("by", by)?;
    let idempotency_key = asks::idempotency_key(headers)?;
    let question = OnCallAsk::Change { idempotency_key, by, at: centre.now(), entry };
    changed(ask(centre, question).await?)
}

fn changed(answer: OnCallAnswer) -> Changed {
    match answer {
        OnCallAnswer::Changed(record) => Ok(Json(*record)),
        other => Err(refusal(other)),
    }
}

/// Somebody stands in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    /// Who says so.
    by: String,
    /// The team, by id.
    team: String,
    /// Who stands in, by id.
    person: String,
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// Lets somebody stand in.
#[utoipa::path(
    post, path = "/api/v1/oncall/overrides", params(Key), request_body = Override,
    responses((status = 200, body = shapes::OnCallRecord), (status = 404, body = Problem), Refusals),
)]
pub(crate) async fn overrides(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Override>,
) -> Changed {
    let (team, person) = (asks::name("team", &body.team)?, asks::name("person", &body.person)?);
    let (from, until) = (body.from, body.until);
    asks::stretch(from, until, centre.now())?;
    change(&centre, &headers, &body.by, OnCallEntry::Override { team, person, from, until }).await
}

/// Somebody cannot be called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Absence {
    /// Who says so.
    by: String,
    /// Who, by id.
    person: String,
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// At most 1,000 characters.
    #[serde(default)]
    reason: String,
}

/// Notes that somebody cannot be called.
#[utoipa::path(
    post, path = "/api/v1/oncall/absences", params(Key), request_body = Absence,
    responses((status = 200, body = shapes::OnCallRecord), (status = 404, body = Problem), Refusals),
)]
pub(crate) async fn absences(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Absence>,
) -> Changed {
    let person = asks::name("person", &body.person)?;
    let reason = asks::words("reason", body.reason, MOST_TEXT)?;
    let (from, until) = (body.from, body.until);
    asks::stretch(from, until, centre.now())?;
    change(&centre, &headers, &body.by, OnCallEntry::Absence { person, from, until, reason }).await
}

/// Who takes an entry back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// The person, 1 to 100 characters.
    by: String,
}

/// Takes an override, an absence or a browser back. To do so twice changes nothing.
#[utoipa::path(
    post, path = "/api/v1/oncall/entries/{id}/cancel", params(("id" = String, Path)),
    request_body = Cancel,
    responses((status = 200, body = shapes::OnCallRecord), (status = 404, body = Problem), Refusals),
)]
pub(crate) async fn cancel(
    State(centre): State<Shared>,
    Path(id): Path<String>,
    Json(body): Json<Cancel>,
) -> Changed {
    let by = asks::name("by", &body.by)?;
    changed(ask(&centre, OnCallAsk::Cancel { id, by, at: centre.now() }).await?)
}

/// The key of this centre.
#[derive(Serialize, ToSchema)]
pub(crate) struct PushKey {
    /// Base64url.
    key: String,
}

/// The public key for push subscriptions (RFC 8292).
#[utoipa::path(
    get, path = "/api/v1/oncall/push-key",
    responses((status = 200, body = PushKey), (status = 409, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn push_key(State(centre): State<Shared>) -> Result<Json<PushKey>, Problem> {
    match ask(&centre, OnCallAsk::PushKey).await? {
        OnCallAnswer::PushKey(key) => Ok(Json(PushKey { key })),
        other => Err(refusal(other)),
    }
}

/// A browser that takes push messages for a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    /// Who says so.
    by: String,
    /// Whose browser it is, by id.
    person: String,
    /// What the browser gave.
    subscription: Subscription,
}

/// A push subscription as browsers print it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    /// Where the push service takes messages for it.
    endpoint: String,
    /// Its keys.
    keys: BrowserKeys,
    /// When it ends, as browsers say; not looked at.
    #[serde(default, rename = "expirationTime")]
    #[schema(value_type = Option<f64>)]
    _expiration_time: serde::de::IgnoredAny,
}

/// The keys of a browser.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrowserKeys {
    /// Its public key, base64url.
    p256dh: String,
    /// Its secret, base64url.
    auth: String,
}

/// Lets a browser take push messages for a person.
#[utoipa::path(
    post, path = "/api/v1/oncall/push", params(Key), request_body = Push,
    responses((status = 200, body = shapes::OnCallRecord), (status = 404, body = Problem), Refusals),
)]
pub(crate) async fn push(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Push>,
) -> Changed {
    let Subscription { endpoint, keys: BrowserKeys { p256dh, auth }, .. } = body.subscription;
    if !endpoint.starts_with("https://") || endpoint.chars().count() > MOST_ENDPOINT {
        let detail = format!("endpoint: an https address of at most {MOST_ENDPOINT} characters");
        return Err(Problem::bad(detail));
    }
    let is_key = |key: &str| {
        (1..=MOST_BROWSER_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
    };
    if !is_key(&p256dh) || !is_key(&auth) {
        return Err(Problem::bad("keys: p256dh and auth, base64url"));
    }
    let person = asks::name("person", &body.person)?;
    change(&centre, &headers, &body.by, OnCallEntry::Push { person, endpoint, p256dh, auth }).await
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// About this alert.
    alert: Option<String>,
    /// To this person.
    person: Option<String>,
    /// Items on the page, at most 1,000; 200 if not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What went to whom, the last begun first: the newest record of each. The last 50,000 are here.
#[utoipa::path(
    get, path = "/api/v1/deliveries", params(Which),
    responses((status = 200, body = Page<schema::Delivery>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn deliveries(
    State(centre): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Arc<Delivery>>>, Problem> {
    let paging = Paging { limit: which.limit, cursor: which.cursor };
    let (limit, before) = (paging.limit(), paging.number()?);
    let alert = which.alert.as_deref().map(AlertId::from_text);
    let all = whole(&centre.tracks.deliveries, &centre.deliveries)?;
    let items: Vec<(u64, Arc<Delivery>)> = all
        .newest_first()
        .filter(|(place, _)| before.is_none_or(|before| *place < before))
        .filter(|(_, one)| alert.as_ref().is_none_or(|alert| one.alert == *alert))
        .filter(|(_, one)| which.person.as_ref().is_none_or(|person| one.person == *person))
        .take(limit + 1)
        .map(|(place, one)| (place, Arc::clone(one)))
        .collect();
    let Page { items, next } = page(items, limit, |(place, _)| place.to_string());
    let items = items.into_iter().map(|(_, one)| one).collect();
    Ok(Json(Page { items, next }))
}

/// The open alerts of which something went to a person, the worst first, then the oldest; at most
/// 1,000.
#[utoipa::path(
    get, path = "/api/v1/oncall/people/{person}/alerts", params(("person" = String, Path)),
    responses((status = 200, body = Page<schema::Alert>), (status = 503, body = Problem)),
)]
pub(crate) async fn of_person(
    State(centre): State<Shared>,
    Path(person): Path<String>,
) -> Result<Json<Page<Arc<AlertRecord>>>, Problem> {
    const MOST: usize = 1_000;
    let ids: BTreeSet<AlertId> = {
        let deliveries = whole(&centre.tracks.deliveries, &centre.deliveries)?;
        deliveries.of_person(&person).map(|(_, one)| one.alert.clone()).collect()
    };
    let alerts = alerts(&centre)?;
    let held = ids.iter().filter_map(|id| alerts.get(id)).map(|held| &held.record);
    let mut items: Vec<Arc<AlertRecord>> =
        held.filter(|record| record.is_shown()).cloned().collect();
    items.sort_by_key(|record| (record.severity, record.started_at));
    items.truncate(MOST);
    Ok(Json(Page { items, next: None }))
}
