//! Questions about the past: what they may ask, and what is said when they may not.

use crate::past::{MONDAY_MS, PM25, Past};

#[tokio::test]
async fn what_cannot_be_answered_names_the_parameter_and_what_is_allowed() {
    let past = Past::new().await;
    let one = format!("/api/v1/series/air-1/{PM25}");
    for (path, parameter, says) in [
        (format!("{one}/readings?max_points=1"), "max_points", "2 to 10000"),
        (format!("{one}/readings?max_points=10001"), "max_points", "format=ndjson"),
        (format!("{one}/readings?max_points=9&limit=9"), "max_points", "either"),
        (format!("{one}/readings?downsample=mean"), "downsample", "lttb"),
        (format!("{one}/readings?limit=10001"), "limit", "format=ndjson"),
        (format!("{one}/readings?format=xml"), "format", "parquet"),
        (format!("{one}/readings?format=csv&limit=5"), "limit", "no pages"),
        (format!("{one}/readings?form=1"), "form", "from, to"),
        (format!("{one}/readings?from=1&from=2"), "from", "twice"),
        (format!("{one}/readings?from=2&to=2"), "from", "before"),
        (format!("{one}/readings?to=soon"), "to", "RFC 3339"),
        (format!("{one}/summaries?step=7m"), "step", "1h"),
        (format!("{one}/summaries?step=1h&max_points=9"), "step", "either"),
        (format!("{one}/summaries?max_points=0"), "max_points", "1 to 10000"),
        (format!("{one}/summaries?aggregate=avg"), "aggregate", "mean"),
        (format!("{one}/summaries?aggregate=p101"), "aggregate", "0 to 100"),
        (format!("{one}/summaries?fill=last"), "fill", "previous"),
        (format!("{one}/summaries?by=area"), "by", "step"),
        ("/api/v1/summaries".into(), "series", "area=all"),
        ("/api/v1/readings?limit=5".into(), "series", "say which"),
        ("/api/v1/summaries?area=99999".into(), "area", "all"),
        ("/api/v1/summaries?kind=ship".into(), "kind", "air, river"),
        ("/api/v1/summaries?field=sea".into(), "field", "public_services"),
        ("/api/v1/summaries?metric=x&by=ward".into(), "by", "area"),
        ("/api/v1/readings?series=air-1".into(), "series", "device/metric"),
    ] {
        let (status, problem) = past.house.get(&path).await;
        assert_eq!(status, 400, "{path}: {problem}");
        assert_eq!(problem["parameter"], parameter, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
    for path in [
        format!("{one}/summaries?cursor=x"),
        format!("{one}/summaries?cursor=1"),
        format!("{one}/summaries?cursor={MONDAY_MS}~~air-1/{PM25}"),
        format!("{one}/readings?cursor=1"),
        format!("{one}/readings?cursor={MONDAY_MS}~~nobody"),
        format!("/api/v1/summaries?area=all&cursor={MONDAY_MS}"),
    ] {
        let (status, problem) = past.house.get(&path).await;
        assert_eq!(status, 400, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("cursor"), "{path}: {problem}");
    }
    for path in [
        "/api/v1/series/nobody/m/readings",
        "/api/v1/series/air-1/humidity/summaries?step=1h",
        "/api/v1/readings?series=air-1/humidity",
        "/api/v1/summaries?device=nobody",
    ] {
        assert_eq!(past.house.get(path).await.0, 404, "{path}");
    }
    past.house.stop().await;
}

#[tokio::test]
async fn what_is_answered_and_taken_is_described() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS, 180).await;
    let (_, openapi) = past.house.get("/api/v1/openapi.json").await;
    let mut asked = String::new();
    for (path, schema, items, question) in [
        (
            "/series/{device}/{metric}/readings",
            "CurveAnswer",
            "ReadingItem",
            format!("series/air-1/{PM25}/readings?max_points=5"),
        ),
        (
            "/series/{device}/{metric}/summaries",
            "Windows",
            "Window",
            format!("series/air-1/{PM25}/summaries?aggregate=good_share,sum,stddev,p50"),
        ),
        ("/readings", "ManyReadings", "ReadingRow", "readings?area=all&max_points=5".into()),
        ("/summaries", "ManyWindows", "Window", "summaries?area=all&by=field&step=1h".into()),
    ] {
        let (status, answer) = past.house.get(&format!("/api/v1/{question}")).await;
        assert_eq!(status, 200, "{answer}");
        let described = |name: &str| openapi["components"]["schemas"][name]["properties"].clone();
        for (name, printed) in [(schema, &answer), (items, &answer["items"][0])] {
            for key in printed.as_object().unwrap().keys() {
                assert!(described(name).get(key).is_some(), "`{key}` of {name} is not described");
            }
        }
        let get = &openapi["paths"][format!("/api/v1{path}")]["get"];
        let content = &get["responses"]["200"]["content"];
        assert!(content["application/json"]["example"]["items"].is_array(), "{content}");
        for media_type in ["application/x-ndjson", "text/csv", "application/vnd.apache.parquet"] {
            assert!(content.get(media_type).is_some(), "{media_type}");
        }
        // Every parameter that is described is taken.
        for parameter in get["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "query" {
                asked = format!("/api/v1/{}?{name}=~", question.split('?').next().unwrap());
                let (_, problem) = past.house.get(&asked).await;
                let detail = problem["detail"].as_str().unwrap_or_default();
                assert!(!detail.contains("no such parameter"), "{asked}: {problem}");
            }
        }
    }
    assert!(!asked.is_empty());
    past.house.stop().await;
}
