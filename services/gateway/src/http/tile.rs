//! `GET /wall/tiles/{id}/history`: what a tile said during the last day, in one answer.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sen_model::time::MINUTE_MS;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::centre::Shared;
use crate::history::{Line, MOST_DEVICES, REACH_MS, start_of};
use crate::query::parameters::time;

/// Steps in an answer, at most, and where no number is asked for: the minutes of a day.
const MOST_POINTS: usize = 1_440;

/// Which part of a tile's history, and how finely.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// First instant, RFC 3339 or ms; a day before `to` if not given or earlier.
    from: Option<String>,
    /// First instant after the part; now if not given.
    to: Option<String>,
    /// Steps at most, 1 to 1,440; 1,440 if not given.
    points: Option<usize>,
}

/// What a tile said.
#[derive(Serialize, ToSchema)]
pub(crate) struct TileHistory {
    /// The length of a step, whole minutes.
    step_ms: i64,
    /// `[start_ms, min, value, max]` of each step in which it said anything, in order: `value` is
    /// what it said at the end of the step, `min` and `max` how far it went.
    #[schema(value_type = Vec<Vec<f64>>)]
    items: Vec<(i64, f64, f64, f64)>,
}

impl TileHistory {
    fn of(line: &Line, span: (sen_model::Timestamp, sen_model::Timestamp), points: usize) -> Self {
        let (minutes, steps) = line.cut(span.0, span.1, points);
        let item = |(minute, step): (i64, crate::history::Step)| {
            (start_of(minute).as_millis(), step.min, step.value, step.max)
        };
        Self { step_ms: minutes * MINUTE_MS, items: steps.into_iter().map(item).collect() }
    }
}

/// The last day of a tile of the wall.
#[utoipa::path(
    get, path = "/api/v1/wall/tiles/{id}/history",
    params(("id" = String, Path), Wanted),
    responses(
        (status = 200, body = TileHistory),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "The tile is over too many devices"),
    ),
)]
pub(crate) async fn history(
    State(centre): State<Shared>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<TileHistory>, Problem> {
    let now = centre.now();
    let to = time("to", wanted.to.as_deref())?.unwrap_or(now);
    let longest = to.plus_ms(-REACH_MS);
    // Who asks for the day up to now is answered a moment later than that.
    let from = time("from", wanted.from.as_deref())?.map_or(longest, |from| from.max(longest));
    if from >= to {
        return Err(Problem::bad("`from` must be before `to`"));
    }
    let points = wanted.points.unwrap_or(MOST_POINTS).clamp(1, MOST_POINTS);
    let unknown = || Problem::not_found(format!("there is no tile `{id}`"));
    let devices = centre.histories.devices(&id).ok_or_else(unknown)?;
    if devices > MOST_DEVICES {
        let detail = format!("the tile is over {devices} devices, more than {MOST_DEVICES}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too-many-devices", detail));
    }
    let line = centre.histories.line(&id, &centre.past.at_hand(), from, now).await?;
    Ok(Json(TileHistory::of(&line.ok_or_else(unknown)?, (from, to), points)))
}
