//! What stands around every request: who may call, how long it may take, what browsers are told.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::Config;
use crate::centre::Shared;
use crate::http;
use crate::http::problem::{self, Problem};

/// Largest body of a request, in bytes: a command with a note.
const BODY_BYTES: usize = 16 << 10;
/// Everything comes from this server; styles are also set by the map library, images are also
/// drawn in the page, and the map's worker is made from a blob.
const POLICY: &str = "default-src 'self'; worker-src 'self' blob:; style-src 'self' \
     'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Where signed links lead.
const LINKS: &str = "/a/";

/// Puts the guard around a router. Problems are made inside of the compression, since they are made
/// of what an answer says; they are short, so it lets them pass.
pub(crate) fn around(router: Router, centre: Shared) -> Router {
    let long = DefaultPredicate::new()
        .and(NotForContentType::new(problem::MEDIA_TYPE))
        // Compressed already, column by column.
        .and(NotForContentType::new(http::PARQUET));
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(problems))
        .layer(CompressionLayer::new().compress_when(long))
        .layer(middleware::from_fn_with_state(centre, guard))
}

/// Tells what the framework refuses as a problem, too.
async fn problems(request: Request, next: Next) -> Response {
    let is_api = is_api(&request);
    let response = next.run(request).await;
    if is_api { problem::told_as_problem(response).await } else { response }
}

/// Whether a path belongs to this API; of another program's API, which is here as well, it speaks
/// the language.
fn is_api(request: &Request) -> bool {
    let path = request.uri().path();
    path.starts_with("/api/") && !path.starts_with("/api/v2/")
}

/// Whether nobody on the way may keep the answer.
fn is_fresh(request: &Request) -> bool {
    let path = request.uri().path();
    path.starts_with("/api/") || path.starts_with(LINKS)
}

/// How long a request may take.
fn patience(config: &Config, request: &Request) -> Duration {
    match request.uri().path() {
        http::BACKTEST => http::BACKTEST_PATIENCE,
        _ => Duration::from_millis(config.request_ms),
    }
}

async fn guard(State(centre): State<Shared>, request: Request, next: Next) -> Response {
    let is_fresh = is_fresh(&request);
    let limit = patience(&centre.config, &request);
    let mut response = match admit(&centre.config, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) => match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(StatusCode::GATEWAY_TIMEOUT, "too-slow", "It took too long")
                .into_response(),
        },
    };
    let status = response.status();
    let class = status.as_str().get(..1).map_or("0xx".to_owned(), |first| format!("{first}xx"));
    metrics::counter!("sen_http_responses_total", "status" => class).increment(1);
    if is_fresh {
        set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    }
    harden(&mut response);
    response
}

fn harden(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    set(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Whether a request may come in at all.
///
/// A page of another site can make a browser call this centre, but cannot forge `Origin`. It can
/// also point its own name at our address, so that the origin looks the same: therefore the name
/// must be one of ours.
fn admit(config: &Config, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_ours(host_name(host), &config.hosts) {
        let detail =
            format!("`{}` is not a name of this centre: see gateway.hosts", host_name(host));
        return Err(Problem::new(StatusCode::FORBIDDEN, "wrong-host", detail));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let upgrades = headers.contains_key(header::UPGRADE);
    if reads && !upgrades {
        return Ok(());
    }
    // Whoever has a signed link could use it anyway; and from a page without referrers browsers send
    // the origin `null` with a form.
    if request.uri().path().starts_with(LINKS) {
        return Ok(());
    }
    // Programs send no origin, and nothing of a browser's either.
    match headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
        Some(origin) if !is_same_host(origin, host) => {
            let detail = "the request comes from a page of another site";
            Err(Problem::new(StatusCode::FORBIDDEN, "wrong-origin", detail))
        }
        _ => Ok(()),
    }
}

/// The host without its port: `[::1]:80` → `::1`.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Bare addresses cannot be pointed elsewhere by anybody's name server; names must be known. No
/// host at all comes from programs of old, never from a browser.
fn is_ours(name: &str, hosts: &[String]) -> bool {
    name.is_empty()
        || name.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn is_same_host(origin: &str, host: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = Request::builder().method(method).uri("/api/v1/live");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Body::empty()).unwrap()
    }

    fn admits(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut config = crate::config::tests::config();
        config.hosts = vec!["ioc.dongthap.example".into()];
        admit(&config, &request(method, headers)).is_ok()
    }

    #[test]
    fn pages_of_other_sites_may_neither_command_nor_listen() {
        let host = ("host", "127.0.0.1:8080");
        let live = ("upgrade", "websocket");
        assert!(
            admits("GET", &[host, ("origin", "http://evil.example")]),
            "no CORS, so unreadable"
        );
        assert!(!admits("GET", &[host, live, ("origin", "http://evil.example")]));
        assert!(!admits("GET", &[host, live, ("origin", "null")]));
        assert!(!admits("GET", &[host, live, ("origin", "http://127.0.0.1:9999")]));
        assert!(!admits("POST", &[host, ("origin", "http://evil.example")]));
        assert!(admits("GET", &[host, live, ("origin", "http://127.0.0.1:8080")]));
        assert!(admits("GET", &[host, live]), "programs send no origin");
        assert!(admits("POST", &[host]));
    }

    #[test]
    fn a_form_behind_a_signed_link_needs_no_origin_but_a_name_of_ours() {
        let ask = |host: &str| {
            let request = Request::builder().method("POST").uri("/a/token");
            let request = request.header("host", host).header("origin", "null");
            let config = crate::config::tests::config();
            admit(&config, &request.body(Body::empty()).unwrap()).is_ok()
        };
        assert!(ask("127.0.0.1:8080"));
        assert!(!ask("evil.example"));
    }

    #[test]
    fn only_names_of_ours_are_answered() {
        for good in ["localhost:1", "LOCALHOST", "10.0.0.7:80", "[::1]:80", "ioc.dongthap.example"]
        {
            assert!(admits("GET", &[("host", good)]), "{good}");
        }
        for bad in ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"] {
            assert!(!admits("GET", &[("host", bad)]), "{bad}");
        }
    }
}
