//! Shifts: what was handed over, what is to be handed over, handing over.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use sen_model::alert::Note;
use sen_model::time::HOUR_MS;
use sen_model::{AlertId, AlertRecord, DeskAct, DeskRecord, Entry, Field, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::alerts::{alerts, whole};
use super::asks::{self, Key, MOST_REPORT, Refusals};
use super::desk::{Entries, act, listed};
use super::listing::Page;
use super::problem::Problem;
use super::{schema, shapes};
use crate::centre::Shared;
use crate::projection::desk::Kind;
use crate::view::View;

/// How long a shift is taken to last where none was handed over, in milliseconds.
const USUAL_SHIFT_MS: i64 = 12 * HOUR_MS;
/// Items of each list of a draft; the counts are of all.
const MOST_ITEMS: usize = 1_000;

/// Shifts that were handed over.
#[utoipa::path(
    get, path = "/api/v1/shifts", params(Entries),
    responses((status = 200, body = Page<shapes::DeskRecord>), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn list(
    State(centre): State<Shared>,
    Query(asked): Query<Entries>,
) -> Result<Json<Page<Arc<DeskRecord>>>, Problem> {
    listed(&centre, asked, Kind::Shift, "all")
}

/// Whose shift.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// One of the five fields; all desks together if not given.
    desk: Option<String>,
}

/// A note on an alert.
#[derive(Serialize, ToSchema)]
pub(crate) struct Noted {
    /// The alert.
    #[schema(value_type = String)]
    alert: AlertId,
    /// The note.
    #[serde(flatten)]
    #[schema(value_type = schema::Note)]
    note: Note,
}

/// How many of each.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Alerts people work from.
    open: usize,
    /// On the shelf.
    shelved: usize,
    /// Suppressed.
    suppressed: usize,
    /// Raised since the shift began, and shown.
    raised: usize,
    /// Of these, acknowledged.
    acknowledged: usize,
}

/// What there is to hand over. Of each list the first 1,000.
#[derive(Serialize, ToSchema)]
pub(crate) struct Draft {
    /// The desk; null = all of them.
    #[schema(value_type = Option<String>)]
    desk: Option<Field>,
    /// When the shift began: when the last one was handed over, else twelve hours ago.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// How many of each.
    counts: Counts,
    /// Alerts people work from, the worst first.
    #[schema(value_type = Vec<schema::Alert>)]
    open: Vec<Arc<AlertRecord>>,
    /// On the shelf.
    #[schema(value_type = Vec<schema::Alert>)]
    shelved: Vec<Arc<AlertRecord>>,
    /// Suppressed.
    #[schema(value_type = Vec<schema::Alert>)]
    suppressed: Vec<Arc<AlertRecord>>,
    /// What is out of service.
    #[schema(value_type = Vec<shapes::DeskRecord>)]
    out_of_service: Vec<Arc<DeskRecord>>,
    /// Planned work.
    #[schema(value_type = Vec<shapes::DeskRecord>)]
    works: Vec<Arc<DeskRecord>>,
    /// Notes written since the shift began, oldest first.
    notes: Vec<Noted>,
}

/// What there is to hand over now.
#[utoipa::path(
    get, path = "/api/v1/shifts/now", params(Whose),
    responses((status = 200, body = Draft), (status = 400, body = Problem), (status = 503, body = Problem)),
)]
pub(crate) async fn now(
    State(centre): State<Shared>,
    Query(whose): Query<Whose>,
) -> Result<Json<Draft>, Problem> {
    let view = View::named(whose.desk.as_deref().unwrap_or("all"));
    let view = view.ok_or_else(|| Problem::bad("desk: no such field"))?;
    let field = if let View::Of(field) = view { Some(field) } else { None };
    let until = centre.now();
    let mut draft = {
        let desk = whole(&centre.tracks.desk, &centre.desk)?;
        let handed_over = desk.last_shift(field).and_then(|record| match &record.entry {
            Entry::Shift { until, .. } => Some(*until),
            _ => None,
        });
        let open = |kind| desk.open(kind).take(MOST_ITEMS).cloned().collect();
        Draft {
            desk: field,
            from: handed_over.unwrap_or_else(|| until.plus_ms(-USUAL_SHIFT_MS)),
            until,
            counts: Counts::default(),
            open: Vec::new(),
            shelved: Vec::new(),
            suppressed: Vec::new(),
            out_of_service: open(Kind::OutOfService),
            works: open(Kind::Work),
            notes: Vec::new(),
        }
    };
    let alerts = alerts(&centre)?;
    for held in alerts.newest_first() {
        if view.shows(&held.record) {
            draft.add(&held.record);
        }
    }
    draft.settle();
    Ok(Json(draft))
}

impl Draft {
    fn add(&mut self, record: &Arc<AlertRecord>) {
        let is_open = record.state.is_open();
        if record.is_shown() {
            self.open.push(Arc::clone(record));
        }
        if is_open && record.shelving.is_some() {
            self.shelved.push(Arc::clone(record));
        }
        if is_open && record.suppression.is_some() {
            self.suppressed.push(Arc::clone(record));
        }
        if record.started_at >= self.from && record.suppression.is_none() {
            self.counts.raised += 1;
            self.counts.acknowledged += usize::from(record.acknowledgement.is_some());
        }
        let fresh = record.notes.iter().filter(|note| note.at >= self.from);
        let noted = |note: &Note| Noted { alert: record.id.clone(), note: note.clone() };
        self.notes.extend(fresh.map(noted));
    }

    /// Counts, puts in order, and cuts what is too long.
    fn settle(&mut self) {
        self.counts.open = self.open.len();
        self.counts.shelved = self.shelved.len();
        self.counts.suppressed = self.suppressed.len();
        for list in [&mut self.open, &mut self.shelved, &mut self.suppressed] {
            list.sort_by_key(|record| (record.severity, record.started_at));
            list.truncate(MOST_ITEMS);
        }
        self.notes.sort_by_key(|noted| noted.note.at);
        self.notes.truncate(MOST_ITEMS);
    }
}

/// A shift and who takes it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandOver {
    /// Who hands it over.
    by: String,
    /// Who takes it.
    to: String,
    /// The desk; null or absent = all of them.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    desk: Option<Field>,
    /// When the shift began.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// In their words, at most 4,000 characters.
    #[serde(default)]
    text: String,
}

/// Hands a shift over: what is open, shelved, suppressed and out of service then is kept with it.
#[utoipa::path(
    post, path = "/api/v1/shifts", params(Key), request_body = HandOver,
    responses((status = 200, body = shapes::DeskRecord), Refusals),
)]
pub(crate) async fn hand_over(
    State(centre): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<HandOver>,
) -> Result<Json<DeskRecord>, Problem> {
    if body.from > centre.now() {
        return Err(Problem::bad("from: the shift has not begun yet"));
    }
    let to = asks::name("to", &body.to)?;
    let text = asks::words("text", body.text, MOST_REPORT)?;
    let over = DeskAct::HandOver { to, desk: body.desk, from: body.from, text };
    act(&centre, &headers, &body.by, over).await
}
