//! The screens, embedded in the binary; or, where they were not built, one plain page.

mod link;
mod plain;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rust_embed::{Embed, EmbeddedFile};

use crate::centre::{Shared, read};

/// What `make web` has built; the folder is empty where it was not run.
#[derive(Embed)]
#[folder = "../../web/dist"]
struct Files;

const INDEX: &str = "index.html";

/// The paths of the screens.
pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(screen))
        .route("/wall", get(screen))
        .route("/desk", get(screen))
        .route("/desk/{*rest}", get(screen))
        .route("/oncall", get(screen))
        .route("/a/{token}", get(link::show).post(link::redeem))
        .route("/plain", get(plain))
        .fallback(get(file))
}

/// Every screen is the same page, which looks at its own path.
async fn screen(State(centre): State<Shared>) -> Response {
    match Files::get(INDEX) {
        Some(index) => answer(INDEX, index),
        None => plain(State(centre)).await.into_response(),
    }
}

/// The page for those who have no screens, or no scripts.
async fn plain(State(centre): State<Shared>) -> Html<String> {
    let insecure_dev = centre.config.insecure_dev;
    let is_whole = centre.tracks.alerts.is_whole();
    let alerts = read(&centre.alerts);
    let alerts = is_whole.then_some(&*alerts);
    Html(plain::page(alerts, &centre.latest(), centre.now(), insecure_dev))
}

async fn file(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    match Files::get(path) {
        Some(file) => answer(path, file),
        None => {
            (StatusCode::NOT_FOUND, "Không có trang này. There is no such page.\n").into_response()
        }
    }
}

fn answer(path: &str, file: EmbeddedFile) -> Response {
    let (media_type, cache) = told_of(path);
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, cache.to_owned())];
    (headers, file.data).into_response()
}

/// The media type of a file, and how long it may be kept. The service worker and the manifest must
/// never be old ones.
fn told_of(path: &str) -> (String, &'static str) {
    // The build puts a hash of the content into the names of the files under assets/.
    let is_hashed = path.starts_with("assets/");
    let cache = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut media_type = mime_guess::from_path(path).first_or_octet_stream().to_string();
    if media_type.starts_with("text/") {
        media_type.push_str("; charset=utf-8");
    }
    (media_type, cache)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_hash_in_its_name_may_be_kept() {
        for (path, media_type, cache) in [
            ("sw.js", "text/javascript; charset=utf-8", "no-cache"),
            ("manifest.webmanifest", "application/manifest+json", "no-cache"),
            ("index.html", "text/html; charset=utf-8", "no-cache"),
            (
                "assets/a-1f.js",
                "text/javascript; charset=utf-8",
                "public, max-age=31536000, immutable",
            ),
        ] {
            assert_eq!(told_of(path), (media_type.to_owned(), cache), "{path}");
        }
    }
}
