//! The HTTP API under `/api/v1`, described by its own OpenAPI document, and the doors for machines.

mod acts;
mod admin;
mod alerts;
mod answer;
pub(crate) mod asks;
mod backtest;
mod cap;
mod desk;
mod devices;
mod handling;
mod ledger;
mod listing;
mod oncall;
mod past;
mod performance;
mod place;
pub(crate) mod problem;
mod prometheus;
mod readings;
mod records;
mod schema;
mod series;
mod shapes;
mod shifts;
mod summaries;
mod tile;
mod why;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::centre::Shared;
use crate::pages;
use crate::socket::{self, Door};

pub(crate) use answer::MOST_STREAMS;
pub(crate) use backtest::{BACKTEST, BACKTEST_PATIENCE, MOST_BACKTESTS};
pub(crate) use performance::MOST_REPORTS;

/// The media type of Parquet.
pub(crate) const PARQUET: &str = "application/vnd.apache.parquet";

/// Every route there is.
pub(crate) fn router(door: Door, centre: Shared) -> Router {
    let live = Router::new().route("/api/v1/live", get(socket::live)).with_state(door);
    let api = of_what_was_measured()
        .merge(of_alerts())
        .merge(of_the_desk())
        .merge(of_people())
        .route("/ledger", get(ledger::ledger))
        .route("/screens", get(ledger::screens))
        .route("/map", get(place::map))
        .route("/wall", get(place::wall))
        .route("/wall/tiles/{id}/history", get(tile::history))
        .route("/openapi.json", get(openapi))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such path in this API") });
    let told = post(prometheus::take).layer(DefaultBodyLimit::max(prometheus::BODY_BYTES));
    Router::new()
        .nest("/api/v1", api)
        .route("/api/v2/alerts", told)
        .route("/api/v2/status", get(prometheus::status))
        .route("/healthz", get(admin::healthz))
        .route("/readyz", get(admin::readyz))
        .route("/metrics", get(admin::metrics))
        .merge(pages::router())
        .with_state(centre)
        .merge(live)
}

fn of_what_was_measured() -> Router<Shared> {
    Router::new()
        .route("/devices", get(devices::list))
        .route("/series", get(series::list))
        .route("/series/{device}/{metric}/readings", get(readings::one))
        .route("/series/{device}/{metric}/summaries", get(summaries::one))
        .route("/readings", get(readings::many))
        .route("/summaries", get(summaries::many))
        .route("/quarantine", get(records::quarantine))
        .route("/events", get(records::events))
}

fn of_alerts() -> Router<Shared> {
    let backtest = post(backtest::run).layer(DefaultBodyLimit::max(backtest::BODY_BYTES));
    Router::new()
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}", get(alerts::one))
        .route("/alerts/{id}/why", get(why::why))
        .route("/alerts/{id}/cap", get(cap::one))
        .route("/alerts/{id}/acknowledge", post(acts::acknowledge))
        .route("/alerts/{id}/assign", post(acts::assign))
        .route("/alerts/{id}/note", post(acts::note))
        .route("/alerts/{id}/shelve", post(acts::shelve))
        .route("/alerts/{id}/unshelve", post(acts::unshelve))
        .route("/alerts/{id}/suppress", post(acts::suppress))
        .route("/alerts/{id}/unsuppress", post(acts::unsuppress))
        .route("/alerts/{id}/reset", post(acts::reset))
        .route("/alerts/{id}/close", post(acts::close))
        .route("/cap.atom", get(cap::feed))
        .route("/shadow", get(alerts::shadow))
        .route("/rules", get(alerts::rules))
        .route("/performance", get(performance::show))
        .route("/backtest", backtest)
}

fn of_the_desk() -> Router<Shared> {
    Router::new()
        .route("/stage", get(desk::stage).post(desk::set_stage))
        .route("/out-of-service", get(desk::out_of_service).post(desk::take_out))
        .route("/out-of-service/{entry}/put-back", post(desk::put_back))
        .route("/works", get(desk::works).post(desk::plan_work))
        .route("/works/{entry}/end", post(desk::end_work))
        .route("/drill", get(desk::drill).post(desk::set_drill))
        .route("/shifts", get(shifts::list).post(shifts::hand_over))
        .route("/shifts/now", get(shifts::now))
        .route("/floods", get(desk::floods))
        .route("/hints", get(desk::hints))
}

fn of_people() -> Router<Shared> {
    Router::new()
        .route("/oncall", get(oncall::roster))
        .route("/oncall/overrides", post(oncall::overrides))
        .route("/oncall/absences", post(oncall::absences))
        .route("/oncall/entries/{id}/cancel", post(oncall::cancel))
        .route("/oncall/push-key", get(oncall::push_key))
        .route("/oncall/push", post(oncall::push))
        .route("/oncall/people/{person}/alerts", get(oncall::of_person))
        .route("/deliveries", get(oncall::deliveries))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sen",
        description = "The streaming heart of a province's operations centre. Times are RFC 3339 \
                       with offset; errors are RFC 9457 problem documents; lists answer `items` \
                       and `next`. Alerts and values live: the WebSocket `/api/v1/live`.",
    ),
    paths(
        devices::list,
        series::list,
        readings::one,
        readings::many,
        summaries::one,
        summaries::many,
        alerts::list,
        alerts::one,
        alerts::shadow,
        alerts::rules,
        why::why,
        cap::one,
        cap::feed,
        acts::acknowledge,
        acts::assign,
        acts::note,
        acts::shelve,
        acts::unshelve,
        acts::suppress,
        acts::unsuppress,
        acts::reset,
        acts::close,
        performance::show,
        backtest::run,
        desk::stage,
        desk::set_stage,
        desk::out_of_service,
        desk::take_out,
        desk::put_back,
        desk::works,
        desk::plan_work,
        desk::end_work,
        desk::drill,
        desk::set_drill,
        desk::floods,
        desk::hints,
        shifts::list,
        shifts::now,
        shifts::hand_over,
        oncall::roster,
        oncall::overrides,
        oncall::absences,
        oncall::cancel,
        oncall::push_key,
        oncall::push,
        oncall::deliveries,
        oncall::of_person,
        prometheus::take,
        prometheus::status,
        records::quarantine,
        records::events,
        ledger::ledger,
        ledger::screens,
        place::map,
        place::wall,
        tile::history,
    )
)]
struct Api;

async fn openapi() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described() {
        let described = Api::openapi().paths.paths;
        let routes = include_str!("mod.rs").split(".route(\"").skip(1);
        let routes = routes.filter_map(|rest| rest.split('"').next());
        let own = ["/openapi.json", "/api/v1/live", "/healthz", "/readyz", "/metrics"];
        let mut seen = 0;
        for route in routes.filter(|route| route.starts_with('/') && !own.contains(route)) {
            let is_whole = route.starts_with("/api/");
            let path = if is_whole { route.to_owned() } else { format!("/api/v1{route}") };
            assert!(described.contains_key(&path), "{path} is not in the OpenAPI document");
            seen += 1;
        }
        assert_eq!(seen, described.len(), "nothing is described that is not there");
    }
}
