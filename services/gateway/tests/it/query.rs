//! Questions about the past over HTTP, against an oracle that looks at every reading.

use std::collections::{BTreeMap, BTreeSet};

use sen_model::{Quality, Timestamp};
use sen_store::Point;
use serde_json::{Value, json};

use crate::house::NOW_MS;
use crate::past::{DAY_MS, HOUR_MS, MINUTE_MS, MONDAY_MS, PM25, Past, at_ms};

const EVERY: &str = "count,good_count,good_share,sum,mean,min,max,first,last,stddev,p0,p50,p100";

/// The windows of some readings, by the start in milliseconds.
fn windows<'p>(
    readings: impl Iterator<Item = &'p Point>,
    step_ms: i64,
    range: (i64, i64),
) -> BTreeMap<i64, Vec<&'p Point>> {
    let mut windows: BTreeMap<i64, Vec<&Point>> = BTreeMap::new();
    for point in readings {
        let ms = point.event_time.as_millis();
        let start = ms - (ms - MONDAY_MS).rem_euclid(step_ms);
        if (range.0..range.1).contains(&start) {
            windows.entry(start).or_default().push(point);
        }
    }
    windows
}

fn near(found: &Value, wanted: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()))
}

/// Holds one item against the readings of its window.
fn agrees(item: &Value, readings: &[&Point]) {
    let mut good: Vec<&Point> =
        readings.iter().copied().filter(|point| point.quality == Quality::Good).collect();
    good.sort_by_key(|point| (point.event_time, point.sequence, point.value as i64));
    let share = good.len() as f64 / readings.len() as f64;
    assert_eq!(item["count"], json!(readings.len()), "{item}");
    assert_eq!(item["good_count"], json!(good.len()), "{item}");
    assert!(near(&item["good_share"], share), "{item}");
    let values: Vec<f64> = good.iter().map(|point| point.value).collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        for key in ["sum", "mean", "min", "max", "first", "last", "stddev", "p0", "p50", "p100"] {
            assert_eq!(item[key], Value::Null, "{key}: {item}");
        }
        return;
    };
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let variance = values.iter().map(|value| (value - sum / n).powi(2)).sum::<f64>() / n;
    let (min, max) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
    for (key, wanted) in [
        ("sum", sum),
        ("mean", sum / n),
        ("min", min),
        ("max", max),
        ("first", *first),
        ("last", *last),
        ("p0", min),
        ("p100", max),
    ] {
        assert!(near(&item[key], wanted), "{key} {wanted}: {item}");
    }
    let deviation = item["stddev"].as_f64().unwrap();
    assert!((deviation - variance.sqrt()).abs() < 1e-5, "{variance}: {item}");
    let median = item["p50"].as_f64().unwrap();
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    let exact = sorted[(sorted.len() - 1) / 2];
    assert!((median - exact).abs() <= 0.0101 * exact.abs() + 1e-9, "{exact}: {item}");
}

#[tokio::test]
async fn windows_of_every_step_and_every_group_agree_with_the_readings() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS - 9 * DAY_MS, 3_000).await;
    let range = (MONDAY_MS - 10 * DAY_MS, MONDAY_MS + DAY_MS);
    let place = |device: &str| if device == "air-3" { "28262" } else { "28261" };
    for (step, step_ms, tier) in [
        ("5m", 5 * MINUTE_MS, "1m"),
        ("30m", 30 * MINUTE_MS, "15m"),
        ("1h", HOUR_MS, "1h"),
        ("2h", 2 * HOUR_MS, "1h"),
        ("6h", 6 * HOUR_MS, "1h"),
        ("1d", DAY_MS, "1d"),
        ("7d", 7 * DAY_MS, "1d"),
    ] {
        for by in ["series", "area", "field", "kind", "all"] {
            let path = format!(
                "/api/v1/summaries?area=all&by={by}&step={step}&aggregate={EVERY}&limit=10000\
                 &from={}&to={}",
                range.0, range.1
            );
            let (status, answer) = past.house.get(&path).await;
            assert_eq!((status, &answer["next"]), (200, &Value::Null), "{answer}");
            assert_eq!((&answer["tier"], &answer["step"]), (&json!(tier), &json!(step)));
            assert_eq!((&answer["by"], &answer["series"]), (&json!(by), &json!(4)));
            assert_eq!(answer["units"], json!({PM25: "ug/m3", "water_level_m": "m"}));
            let mut lines: BTreeMap<(String, String), Vec<&Point>> = BTreeMap::new();
            for ((device, metric), readings) in &past.readings {
                let name = match by {
                    "series" => device,
                    "area" => place(device),
                    "field" => "environment",
                    "kind" => device.split('-').next().unwrap(),
                    _ => "",
                };
                let line = lines.entry((name.to_owned(), metric.clone())).or_default();
                line.extend(readings);
            }
            let key = if by == "series" { "device" } else { by };
            let mut items = answer["items"].as_array().unwrap().iter();
            for ((name, metric), readings) in lines {
                for (start, readings) in windows(readings.into_iter(), step_ms, range) {
                    let item = items.next().expect("another window");
                    let found = (item[key].as_str().unwrap_or(""), item["metric"].as_str());
                    assert_eq!(found, (name.as_str(), Some(metric.as_str())));
                    assert_eq!(at_ms(item, "start"), start, "{step} {by}");
                    agrees(item, &readings);
                }
            }
            assert_eq!(items.next(), None, "no window without a reading");
        }
    }
    past.house.stop().await;
}

#[tokio::test]
async fn the_mean_of_a_ward_by_the_hour_is_one_read() {
    let mut past = Past::new().await;
    let good = |ms, value| (ms, value, Quality::Good);
    past.say("air-1", PM25, &[good(MONDAY_MS, 10.0), good(MONDAY_MS + 1, 20.0)]).await;
    past.say("air-2", PM25, &[good(MONDAY_MS + HOUR_MS - 1, 60.0), good(MONDAY_MS + HOUR_MS, 7.0)])
        .await;
    past.say("air-3", PM25, &[good(MONDAY_MS, 999.0)]).await;
    past.settle().await;
    let path = format!("/api/v1/summaries?metric={PM25}&area=28261&by=area&step=1h&aggregate=mean");
    let items = past.items(&path).await;
    let item =
        |start, mean: f64| json!({"area": "28261", "metric": PM25, "start": start, "mean": mean});
    assert_eq!(
        items,
        [item("2026-11-23T00:00:00.000+07:00", 30.0), item("2026-11-23T01:00:00.000+07:00", 7.0)]
    );
    past.house.stop().await;
}

#[tokio::test]
async fn pages_of_windows_are_the_whole_whatever_is_filled() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS - 2 * DAY_MS, 400).await;
    let range = format!("from={}&to={}", MONDAY_MS - 2 * DAY_MS - HOUR_MS, MONDAY_MS - DAY_MS);
    for fill in ["none", "null", "previous", "zero", "linear"] {
        for question in [
            "/api/v1/series/air-1/pm25_ug_m3/summaries?step=15m",
            "/api/v1/series/air-1/pm25_ug_m3/summaries?step=5m",
            "/api/v1/summaries?area=all&by=area&step=15m",
            "/api/v1/summaries?series=air-1/pm25_ug_m3&series=air-3/pm25_ug_m3&step=10m",
        ] {
            let path = format!("{question}&{range}&fill={fill}");
            let whole = past.items(&format!("{path}&limit=10000")).await;
            assert!(whole.len() > 50, "{path}");
            for limit in [1, 7, 50] {
                if limit == 1 && question.contains("by=area") {
                    continue;
                }
                assert_eq!(past.pages(&path, limit).await, whole, "{path} {limit}");
            }
        }
    }
    past.house.stop().await;
}

#[tokio::test]
async fn empty_windows_are_filled_as_asked() {
    let mut past = Past::new().await;
    let minute = |n: i64, value, quality| (MONDAY_MS + n * MINUTE_MS, value, quality);
    let said = [
        minute(1, 10.0, Quality::Good),
        minute(2, 99.0, Quality::Bad),
        minute(5, 50.0, Quality::Good),
    ];
    past.say("air-1", PM25, &said).await;
    past.settle().await;
    let (from, to) = (MONDAY_MS, MONDAY_MS + 7 * MINUTE_MS);
    let none = Value::Null;
    let nothing = || vec![none.clone(); 7];
    let of = |at: &[(usize, f64)]| {
        let mut all = nothing();
        at.iter().for_each(|(minute, value)| all[*minute] = json!(value));
        all
    };
    for (fill, wanted) in [
        ("null", of(&[(1, 10.0), (5, 50.0)])),
        ("previous", of(&[(1, 10.0), (2, 10.0), (3, 10.0), (4, 10.0), (5, 50.0), (6, 50.0)])),
        ("zero", of(&[(0, 0.0), (1, 10.0), (2, 0.0), (3, 0.0), (4, 0.0), (5, 50.0), (6, 0.0)])),
        ("linear", of(&[(1, 10.0), (2, 20.0), (3, 30.0), (4, 40.0), (5, 50.0)])),
    ] {
        let path = format!(
            "/api/v1/series/air-1/{PM25}/summaries?step=1m&aggregate=count,mean&fill={fill}\
             &from={from}&to={to}"
        );
        let items = past.items(&path).await;
        let means: Vec<Value> = items.iter().map(|item| item["mean"].clone()).collect();
        assert_eq!(means, wanted, "{fill}");
        let counts: Vec<u64> = items.iter().filter_map(|item| item["count"].as_u64()).collect();
        assert_eq!(counts, [0, 1, 1, 0, 0, 1, 0], "counts are facts: {fill}");
    }
    past.house.stop().await;
}

#[tokio::test]
async fn a_range_has_the_windows_that_start_in_it_and_each_is_whole() {
    let mut past = Past::new().await;
    let good = |ms| (ms, 1.0, Quality::Good);
    // Around midnights in Vietnam: of this Monday, of a leap day, and before 1970.
    let leap = "2024-02-29T00:00:00+07:00".parse::<Timestamp>().unwrap().as_millis();
    let old = -7 * HOUR_MS - 3 * DAY_MS;
    for midnight in [old, leap, leap + DAY_MS, MONDAY_MS] {
        let said = [good(midnight - 1), good(midnight), good(midnight + DAY_MS / 2)];
        past.say("air-1", PM25, &said).await;
    }
    past.settle().await;
    for (midnight, count, before) in
        [(MONDAY_MS, 2, 1), (leap, 3, 1), (leap + DAY_MS, 2, 3), (old, 2, 1)]
    {
        let next = midnight + DAY_MS;
        for (from, to, wanted) in [
            (midnight, next, vec![count]),
            (midnight + 1, next, vec![]),
            (midnight - 1, next, vec![count]),
            (midnight, midnight + 1, vec![count]),
            (midnight - DAY_MS, midnight, vec![before]),
            (midnight - DAY_MS, midnight + 1, vec![before, count]),
        ] {
            let path = format!(
                "/api/v1/series/air-1/{PM25}/summaries?step=1d&aggregate=count&from={from}&to={to}"
            );
            let items = past.items(&path).await;
            let counts: Vec<i64> = items.iter().filter_map(|item| item["count"].as_i64()).collect();
            assert_eq!(counts, wanted, "{from} {to}");
        }
        // Readings are there from `from` on and before `to`.
        for (from, to, wanted) in [
            (midnight, midnight + 1, 1),
            (midnight + 1, midnight + 2, 0),
            (midnight - 1, midnight, 1),
            (midnight - 1, midnight + 1, 2),
        ] {
            let path = format!("/api/v1/series/air-1/{PM25}/readings?from={from}&to={to}");
            assert_eq!(past.items(&path).await.len(), wanted, "{from} {to}");
        }
    }
    let day = "2024-02-29T00:00:00%2B07:00";
    let path = format!("/api/v1/series/air-1/{PM25}/summaries?step=1d&from={day}&to={leap}1");
    assert_eq!(past.pages(&path, 10).await[0]["start"], "2024-02-29T00:00:00.000+07:00");
    past.house.stop().await;
}

#[tokio::test]
async fn the_ends_of_time_are_ranges_as_any_other() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS - DAY_MS, 200).await;
    let all = past.readings[&("air-1".to_owned(), PM25.to_owned())].len();
    let (min, max) = (i64::MIN, i64::MAX);
    for path in [
        "readings?limit=10000",
        "readings?max_points=10000",
        "readings?max_points=10000&downsample=lttb",
    ] {
        let path = format!("/api/v1/series/air-1/{PM25}/{path}&from={min}&to={max}");
        assert_eq!(past.items(&path).await.len(), all, "{path}");
    }
    for step in ["1m", "15m", "1h", "1d", "7d", "366d"] {
        for question in
            [format!("series/air-1/{PM25}/summaries?"), "summaries?device=air-1&by=all&".into()]
        {
            let path = format!(
                "/api/v1/{question}step={step}&aggregate=count&limit=10000&from={min}&to={max}"
            );
            let items = past.items(&path).await;
            let counted: u64 = items.iter().filter_map(|item| item["count"].as_u64()).sum();
            assert_eq!(counted, all as u64, "{path}");
        }
    }
    for (path, parameter) in [
        (format!("summaries?step=1d&fill=null&from={min}&to={max}"), "fill"),
        (format!("summaries?from={min}&to={max}"), "max_points"),
    ] {
        let (status, problem) =
            past.house.get(&format!("/api/v1/series/air-1/{PM25}/{path}")).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!(parameter)), "{problem}");
    }
    let path = format!("/api/v1/series/air-1/{PM25}/readings?max_points=10&from={min}&to={max}");
    let (_, curve) = past.house.get(&path).await;
    assert_eq!((&curve["tier"], &curve["resolution"]), (&json!("1d"), &json!("day")), "{curve}");
    past.house.stop().await;
}

#[tokio::test]
async fn pages_of_readings_are_all_readings() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS - DAY_MS, 150).await;
    // Many of one millisecond are told apart by their sequence.
    let same: Vec<_> = (0..40).map(|n| (MONDAY_MS + DAY_MS, f64::from(n), Quality::Good)).collect();
    past.say("air-2", PM25, &same).await;
    past.settle().await;
    let range = format!("from={}&to={}", MONDAY_MS - 2 * DAY_MS, MONDAY_MS + 2 * DAY_MS);
    let one = format!("/api/v1/series/air-2/{PM25}/readings?{range}");
    let wanted: Vec<f64> =
        past.readings[&("air-2".into(), PM25.into())].iter().map(|point| point.value).collect();
    for limit in [1, 7, 10_000] {
        let found = past.pages(&one, limit).await;
        let values: Vec<f64> = found.iter().filter_map(|item| item["value"].as_f64()).collect();
        assert_eq!(values, wanted, "{limit}");
    }
    let many = format!("/api/v1/readings?area=all&{range}");
    let whole = past.pages(&many, 10_000).await;
    assert_eq!(whole.len(), past.readings.values().map(Vec::len).sum::<usize>());
    assert_eq!(past.pages(&many, 13).await, whole);
    let devices: BTreeSet<&str> = whole.iter().filter_map(|item| item["device"].as_str()).collect();
    assert_eq!(devices.len(), 4);
    past.house.stop().await;
}

#[tokio::test]
async fn curves_of_both_ways_keep_their_peaks_and_tell_their_tier() {
    let mut past = Past::new().await;
    let mut said: Vec<_> =
        (0..9_000).map(|n| (MONDAY_MS + n * 60_011, (n % 7) as f64, Quality::Good)).collect();
    said[4_321].1 = 500.0;
    past.say("air-1", PM25, &said).await;
    past.settle().await;
    for (days, most, tier) in
        [(2, 300, "raw"), (3, 300, "raw"), (7, 10_000, "raw"), (7, 2_000, "1m"), (7, 300, "1h")]
    {
        for how in ["minmax", "lttb"] {
            let path = format!(
                "/api/v1/series/air-1/{PM25}/readings?downsample={how}&max_points={most}\
                 &from={MONDAY_MS}&to={}",
                MONDAY_MS + days * DAY_MS
            );
            let (status, curve) = past.house.get(&path).await;
            let items = curve["items"].as_array().unwrap();
            let thinned = if most == 10_000 { "none" } else { how };
            assert_eq!(status, 200);
            assert_eq!(
                (&curve["tier"], &curve["downsample"]),
                (&json!(tier), &json!(thinned)),
                "{path}"
            );
            assert!(items.len() <= most && items.len() > most / 3, "{path}: {}", items.len());
            let times: Vec<i64> = items.iter().map(|item| at_ms(item, "event_time")).collect();
            assert!(times.is_sorted(), "{path}");
            let has_peak = items.iter().any(|item| item["value"] == 500.0);
            assert_eq!(has_peak, days > 3 || 4_321 * 60_011 < days * DAY_MS, "{path}");
            if how == "lttb" && tier == "raw" {
                assert_eq!(times[0], MONDAY_MS, "the first stays");
            }
        }
    }
    let path = format!(
        "/api/v1/readings?device=air-1,air-2&max_points=50&downsample=lttb&from={MONDAY_MS}&to={}",
        MONDAY_MS + DAY_MS
    );
    let items = past.items(&path).await;
    assert_eq!(items.len(), 50);
    assert_eq!((&items[0]["device"], &items[0]["tier"]), (&json!("air-1"), &json!("raw")));
    past.house.stop().await;
}

#[tokio::test]
async fn the_step_is_chosen_by_the_points_that_are_wanted() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS - 3 * DAY_MS, 1_000).await;
    let ask = |query: &str| format!("/api/v1/series/air-1/{PM25}/summaries?{query}");
    for (query, step, tier) in [
        (String::new(), "1m", "1m"),
        ("max_points=288".into(), "5m", "1m"),
        ("max_points=24".into(), "1h", "1h"),
        (format!("max_points=10&from={}", NOW_MS - 30 * DAY_MS), "7d", "1d"),
        (format!("from={}", NOW_MS - 30 * DAY_MS), "5m", "1m"),
        ("step=48h".into(), "2d", "1d"),
    ] {
        let (status, answer) = past.house.get(&ask(&query)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!((&answer["step"], &answer["tier"]), (&json!(step), &json!(tier)), "{query}");
        assert_eq!(answer["unit"], "ug/m3");
    }
    // With neither, the answer is as it always was: minutes of the last day, 200 on a page.
    let (_, answer) = past.house.get(&ask("")).await;
    let item = answer["items"][0].as_object().unwrap();
    let keys: Vec<&String> = item.keys().collect();
    let mut wanted =
        ["start", "count", "good_count", "mean", "min", "max", "first", "last", "p50", "p95"];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    past.house.stop().await;
}
