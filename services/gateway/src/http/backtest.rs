//! `POST /backtest`: what other rules would have found.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use sen_model::{BacktestAnswer, BacktestAsk, BacktestReport, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::shapes;
use crate::centre::Shared;

/// Where it is.
pub(crate) const BACKTEST: &str = "/api/v1/backtest";
/// How long one may take: a hundred times faster than life, that is a week.
pub(crate) const BACKTEST_PATIENCE: Duration = Duration::from_secs(6_048);
/// At a time: each reads the history of every series.
pub(crate) const MOST_BACKTESTS: usize = 1;
/// Largest body, in bytes: a whole file of rules.
pub(crate) const BODY_BYTES: usize = 1 << 20;
/// When to come back, in seconds.
const COME_BACK_S: u32 = 30;

/// Rules, and over which time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// A whole `rules.toml`.
    rules: String,
    /// From when, by event time.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until before when.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
}

/// Tries rules over stored history with the engine that judges life: what they would have raised,
/// and how that differs from the rules in force.
#[utoipa::path(
    post, path = "/api/v1/backtest", request_body = Wanted,
    responses(
        (status = 200, body = shapes::BacktestReport),
        (status = 400, body = Problem),
        (status = 422, body = Problem, description = "the rules have mistakes: `problems` says where and what"),
        (status = 503, body = Problem, description = "another one is under way"),
    ),
)]
pub(crate) async fn run(
    State(centre): State<Shared>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<BacktestReport>, Problem> {
    let Wanted { rules, from, to } = wanted;
    if from >= to {
        return Err(Problem::bad("from: it must be before `to`"));
    }
    let place = centre.backtests.try_acquire().map_err(|_| {
        Problem::unavailable("another backtest is under way").retry_after(COME_BACK_S)
    })?;
    let asked = centre.ports.backtests.ask(BacktestAsk { rules, from, to }).await;
    drop(place);
    match asked {
        Ok(BacktestAnswer::Report(report)) => Ok(Json(*report)),
        Ok(BacktestAnswer::Problems(mistakes)) => Err(Problem::of_rules(mistakes)),
        Ok(BacktestAnswer::Refused(why)) => Err(Problem::bad(why)),
        Err(_) => Err(Problem::unavailable("the alert service has stopped")),
    }
}
