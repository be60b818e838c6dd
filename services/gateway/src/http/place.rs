//! `GET /map` and `GET /wall`: what the screens draw their values on.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::centre::Shared;
use crate::wall::Wall;

/// The province as GeoJSON: features with `properties.layer` = `area`, `river` or `outline`, and
/// `source` = `schematic` or `official`.
#[utoipa::path(
    get, path = "/api/v1/map",
    responses((status = 200, content_type = "application/geo+json", body = Object)),
)]
pub(crate) async fn map(State(centre): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/geo+json")], centre.map())
}

/// The wall's tiles and its title.
#[utoipa::path(get, path = "/api/v1/wall", responses((status = 200, body = Object)))]
pub(crate) async fn wall(State(centre): State<Shared>) -> Json<Wall> {
    Json(centre.wall.clone())
}
