//! Browsers with pages of other sites, names that are not ours, and what browsers are told.

use crate::house::{House, config};

fn upgrade(host: &str, origin: Option<&str>) -> String {
    let origin = origin.map_or(String::new(), |origin| format!("origin: {origin}\r\n"));
    format!(
        "GET /api/v1/live HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n"
    )
}

#[tokio::test]
async fn a_page_of_another_site_cannot_listen() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), sen_gateway::Config { hello_ms: 100, ..config() }).await;
    let own = house.address.to_string();
    let same = format!("http://{own}");
    for (host, origin, wanted) in [
        (own.as_str(), Some("http://evil.example"), 403),
        (own.as_str(), Some("null"), 403),
        ("evil.example", Some("http://evil.example"), 403),
        (own.as_str(), Some(same.as_str()), 101),
        (own.as_str(), None, 101),
    ] {
        // An upgraded socket ends by itself: no hello comes.
        let (status, ..) = house.request_lossy(&upgrade(host, origin)).await;
        assert_eq!(status, wanted, "{host} {origin:?}");
    }
    house.stop().await;
}

#[tokio::test]
async fn every_answer_tells_browsers_what_they_may_do() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    for path in ["/api/v1/devices", "/api/v1/nowhere", "/wall", "/nowhere", "/healthz"] {
        let host = house.address;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let (_, headers, _) = house.request(&request).await;
        let policy = &headers["content-security-policy"];
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let is_api = path.starts_with("/api/");
        let stored = headers.get("cache-control").map(String::as_str);
        assert_eq!(stored == Some("no-store"), is_api, "{path}: {stored:?}");
    }
    house.stop().await;
}

#[tokio::test]
async fn errors_can_be_read_by_who_takes_compressed_answers() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let host = house.address;
    for (request, status) in [
        ("GET /api/v1/nowhere HTTP/1.1", 404),
        ("GET /api/v1/alerts?severity=far-too-much-for-a-number HTTP/1.1", 400),
        ("POST /api/v1/alerts/a/acknowledge HTTP/1.1\r\ncontent-length: 0", 415),
    ] {
        let request = format!(
            "{request}\r\nhost: {host}\r\naccept-encoding: gzip, br\r\nconnection: close\r\n\r\n"
        );
        let (told, headers, body) = house.request(&request).await;
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((told, problem["status"].as_u64()), (status, Some(status.into())), "{body}");
        assert!(problem["detail"].as_str().unwrap().is_ascii(), "{body}");
        assert_eq!(headers["content-type"], "application/problem+json");
    }
    house.stop().await;
}

#[tokio::test]
async fn what_is_not_http_costs_only_its_own_connection() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    for garbage in ["\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let (status, ..) = house.request_lossy(garbage).await;
        assert!(status == 400 || status == 0, "{status}");
    }
    let endless = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let (status, ..) = house.request_lossy(&endless).await;
    assert!([0, 414, 431].contains(&status), "{status}");
    assert_eq!(house.get("/healthz").await.0, 200);
    house.stop().await;
}
