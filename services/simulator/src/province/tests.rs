//! The province over a year of ordinary days, and in each drill: against the shipped registry and
//! the official limits.

use std::collections::BTreeMap;

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use sen_model::{Registry, Timestamp, registry_file};

use super::*;

const DEVICES: &str = include_str!("../../../../config/devices.toml");
const PLACES: &str = include_str!("../../../../config/places.toml");

/// Alarm level I of the stations that have one, and III of those with III alone: Decision
/// 05/2020/QĐ-TTg (levels I and II of Mỹ Thuận and Mỹ Tho are not verified).
const LEVEL_I_M: [(&str, f64); 8] = [
    ("stn-tan-chau", 3.5),
    ("stn-cao-lanh", 1.9),
    ("stn-truong-xuan", 1.5),
    ("stn-my-thuan", 1.6),
    ("stn-my-tho", 1.4),
    ("stn-cai-lay", 1.7),
    ("stn-hoa-binh", 1.6),
    ("stn-vam-kenh", 1.5),
];
/// Alarm level III of the same stations.
const LEVEL_III_M: [(&str, f64); 8] = [
    ("stn-tan-chau", 4.5),
    ("stn-cao-lanh", 2.3),
    ("stn-truong-xuan", 2.5),
    ("stn-my-thuan", 1.8),
    ("stn-my-tho", 1.6),
    ("stn-cai-lay", 1.7),
    ("stn-hoa-binh", 1.6),
    ("stn-vam-kenh", 1.5),
];

fn registry() -> Registry {
    registry_file::parse(DEVICES, PLACES).expect("the shipped registry has no mistakes")
}

fn time(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millis()
}

fn ordinary(seed: u64, start_ms: i64) -> Province {
    Province { seed, speed: 1.0, scenario: None, demo: false, events_per_hour: 1.5, start_ms }
}

/// What one metric of one device shows.
fn shown(province: &Province, registry: &Registry, id: &str, metric: &str, now_ms: i64) -> f64 {
    let device = registry.devices().find(|device| device.id.as_str() == id).unwrap();
    let values = province.values(device, &Site::of(device, province.seed), now_ms);
    values.iter().find(|(name, _)| name.as_str() == metric).unwrap().1
}

/// Every value of the province at one moment.
fn all(province: &Province, registry: &Registry, now_ms: i64) -> Vec<(Device, Metric, f64)> {
    let of = |device: &Device| {
        let values = province.values(device, &Site::of(device, province.seed), now_ms);
        let told = values.into_iter().map(|(metric, value)| (device.clone(), metric, value));
        told.collect::<Vec<_>>()
    };
    registry.devices().flat_map(of).collect()
}

#[test]
fn every_metric_of_the_registry_is_shown_and_the_seed_decides() {
    let registry = registry();
    let now_ms = time("2026-11-23T14:02:05+07:00");
    let one = all(&ordinary(1, now_ms), &registry, now_ms);
    let metrics: usize = registry.devices().map(|device| device.metrics.len()).sum();
    assert_eq!(one.len(), metrics);
    assert_eq!(one, all(&ordinary(1, now_ms), &registry, now_ms));
    assert_ne!(one, all(&ordinary(2, now_ms), &registry, now_ms));
    let later = all(&ordinary(1, now_ms), &registry, now_ms + MINUTE_MS);
    let moved = one.iter().zip(&later).filter(|(before, after)| before.2 != after.2).count();
    assert!(moved * 4 > metrics, "only {moved} of {metrics} values moved in a minute");
}

/// Beyond these an ordinary day would raise alerts; with how often that may be in a year.
fn is_remarkable(device: &Device, metric: &str, value: f64) -> Option<&'static str> {
    let level = LEVEL_I_M.iter().find(|(id, _)| *id == device.id.as_str());
    let remarkable = match metric {
        "water_level_m" => level.is_some_and(|(_, level)| value >= *level),
        "vn_aqi" => value > 100.0,
        "rain_12h_mm" => value > 50.0,
        "rain_24h_mm" => value > 50.0,
        "air_temperature_c" => value >= 35.0,
        "mean_speed_km_h" => value < 22.5,
        "do_mg_l" => value < 5.0,
        "cod_mg_l" => value > 15.0,
        "tss_mg_l" => value > 100.0,
        "ph" => !(6.5..=8.5).contains(&value),
        _ => false,
    };
    let names = ["water_level_m", "vn_aqi", "rain_12h_mm", "rain_24h_mm", "air_temperature_c"];
    let rest = ["mean_speed_km_h", "do_mg_l", "cod_mg_l", "tss_mg_l", "ph"];
    let name = names.into_iter().chain(rest).find(|name| *name == metric);
    name.filter(|_| remarkable)
}

#[test]
fn a_year_is_plausible_and_most_days_are_quiet() {
    let registry = registry();
    for seed in [1, 283] {
        let start_ms = time("2026-01-01T00:00:00+07:00");
        let province = ordinary(seed, start_ms);
        let (mut all_values, mut remarkable) = (0_u32, BTreeMap::new());
        // Steps of no simple ratio to the day, so that every hour of it is met.
        for step in 0..(365 * DAY_MS / (11 * HOUR_MS + 7 * MINUTE_MS)) {
            let now_ms = start_ms + step * (11 * HOUR_MS + 7 * MINUTE_MS);
            for (device, metric, value) in all(&province, &registry, now_ms) {
                let spec = device.metric(&metric).unwrap();
                let plausible = spec.min.unwrap()..=spec.max.unwrap();
                let at = Timestamp::from_millis(now_ms);
                assert!(plausible.contains(&value), "{at} {} {metric} {value}", device.id);
                all_values += 1;
                if let Some(name) = is_remarkable(&device, metric.as_str(), value) {
                    *remarkable.entry(name).or_insert(0_u32) += 1;
                }
            }
        }
        // Only rain may be remarkable, and in less than one of 2,000 values.
        let rain = remarkable.remove("rain_12h_mm").unwrap_or(0)
            + remarkable.remove("rain_24h_mm").unwrap_or(0);
        assert!(remarkable.is_empty(), "seed {seed}: {remarkable:?}");
        assert!(rain > 0 && rain < all_values / 2_000, "seed {seed}: {rain} of {all_values}");
    }
}

#[test]
fn the_tide_comes_twice_a_day_and_later_and_lower_upstream() {
    let registry = registry();
    let start_ms = time("2026-04-10T00:00:00+07:00");
    let province = ordinary(283, start_ms);
    let levels = |id: &str| -> Vec<f64> {
        let minutes = (0..3 * 24 * 6).map(|step| start_ms + step * 10 * MINUTE_MS);
        minutes.map(|at| shown(&province, &registry, id, "water_level_m", at)).collect()
    };
    let range = |levels: &[f64]| {
        let most = levels.iter().copied().fold(f64::MIN, f64::max);
        most - levels.iter().copied().fold(f64::MAX, f64::min)
    };
    let first_high = |levels: &[f64]| {
        let day = &levels[..25 * 6];
        (0..day.len()).max_by(|a, b| day[*a].total_cmp(&day[*b])).unwrap()
    };
    let (mouth, tho) = (levels("stn-vam-kenh"), levels("stn-my-tho"));
    let (lanh, chau) = (levels("stn-cao-lanh"), levels("stn-tan-chau"));
    assert!(range(&mouth) > 1.2 && range(&tho) > 0.9, "{} {}", range(&mouth), range(&tho));
    assert!(range(&tho) > range(&lanh) && range(&lanh) > range(&chau));
    let middle = mouth.iter().sum::<f64>() / mouth.len() as f64;
    let crossings = mouth.windows(2).filter(|two| (two[0] < middle) != (two[1] < middle)).count();
    assert!((9..=16).contains(&crossings), "{crossings} crossings of the mean in three days");
    let delay_h = (first_high(&tho) as f64 - first_high(&mouth) as f64) / 6.0;
    assert!((1.0..3.0).contains(&delay_h), "{delay_h} h from the mouth to Mỹ Tho");
}

#[test]
fn the_flood_season_is_felt_upstream_and_the_dry_season_brings_salt() {
    let registry = registry();
    let province = ordinary(283, time("2026-01-01T00:00:00+07:00"));
    let mean = |id: &str, metric: &str, day: &str| {
        let from_ms = time(&format!("{day}T00:00:00+07:00"));
        let hours = (0..72).map(|hour| from_ms + hour * HOUR_MS);
        hours.map(|at| shown(&province, &registry, id, metric, at)).sum::<f64>() / 72.0
    };
    let rise =
        |id| mean(id, "water_level_m", "2026-10-05") - mean(id, "water_level_m", "2026-04-05");
    assert!(rise("stn-tan-chau") > 1.5 && rise("stn-vam-kenh") < 0.2);
    let salt = |id, day| mean(id, "salinity_g_l", day);
    assert!(salt("sal-xuan-hoa", "2026-03-12") > 2.0, "{}", salt("sal-xuan-hoa", "2026-03-12"));
    assert!(salt("sal-xuan-hoa", "2026-03-12") > salt("sal-phu-phong", "2026-03-12"));
    assert!(salt("sal-vam-kenh", "2026-10-01") < 1.0);
    let gate = |day| mean("gate-xuan-hoa", "gate_open_pct", day);
    assert!(gate("2026-03-12") < 10.0 && gate("2026-10-01") > 90.0);
}

#[test]
fn accumulations_agree_and_lamps_burn_by_night() {
    let registry = registry();
    let start_ms = time("2026-08-01T00:00:00+07:00");
    let province = ordinary(5, start_ms);
    let show = |id: &str, metric: &str, at| shown(&province, &registry, id, metric, at);
    let mut rained = false;
    for hour in 0..30 * 24 {
        let at = start_ms + hour * HOUR_MS;
        let rain = |metric: &str, at| show("rain-29869", metric, at);
        let [h1, h12, h24] = ["rain_1h_mm", "rain_12h_mm", "rain_24h_mm"].map(|m| rain(m, at));
        assert!(h1 <= h12 && h12 <= h24, "{h1} {h12} {h24}");
        let halves = h12 + rain("rain_12h_mm", at - 12 * HOUR_MS);
        assert!((halves - h24).abs() <= 0.11, "{halves} {h24}");
        rained |= h1 > 1.0;
        let lamps = show("lights-28261", "lamps_on", at);
        let night = !(5..19).contains(&(hour % 24));
        let day = (7..17).contains(&(hour % 24));
        assert!(!night || lamps > 0.0, "{} h: {lamps}", hour % 24);
        assert!(!day || lamps == 0.0, "{} h: {lamps}", hour % 24);
    }
    assert!(rained, "August without a shower");
}

#[test]
fn offices_count_up_within_a_working_day() {
    let registry = registry();
    let monday_ms = time("2026-11-23T00:00:00+07:00");
    let province = ordinary(5, monday_ms);
    let served = |at| shown(&province, &registry, "onestop-28261", "served_today", at);
    let day: Vec<f64> = (0..144).map(|step| served(monday_ms + step * 10 * MINUTE_MS)).collect();
    assert!(day.is_sorted() && day[0] == 0.0 && day[143] > 30.0, "{day:?}");
    assert_eq!(served(monday_ms - 6 * HOUR_MS), 0.0, "a Sunday");
    let reports = |at| shown(&province, &registry, "report-1022", "reports_today", at);
    let day: Vec<f64> = (0..144).map(|step| reports(monday_ms + step * 10 * MINUTE_MS)).collect();
    assert!(day.is_sorted() && day[143] > 5.0, "{day:?}");
}

/// The worst value of a metric over the first minutes of a drill begun on a quiet morning.
fn crest(scenario: Scenario, id: &str, metric: &str, worst: fn(f64, f64) -> f64) -> f64 {
    let registry = registry();
    let start_ms = time("2026-11-23T10:00:00+07:00");
    let province = Province { scenario: Some(scenario), ..ordinary(283, start_ms) };
    let seconds = (0..420).step_by(5).map(|second| start_ms + second * SECOND_MS);
    let values = seconds.map(|at| shown(&province, &registry, id, metric, at));
    values.reduce(worst).unwrap()
}

#[test]
fn the_flood_crosses_level_three_everywhere_from_upstream_to_the_mouth() {
    let registry = registry();
    let start_ms = time("2026-11-23T10:00:00+07:00");
    let province = Province { scenario: Some(Scenario::Flood), ..ordinary(283, start_ms) };
    let crossing_s = |id: &str, level: f64| {
        (0..420).find(|second| {
            let at = start_ms + second * SECOND_MS;
            shown(&province, &registry, id, "water_level_m", at) >= level
        })
    };
    for (id, level) in LEVEL_III_M {
        assert!(crossing_s(id, level).is_some(), "{id} stays below {level}");
    }
    let tan_chau = [3.5, 4.0, 4.5].map(|level| crossing_s("stn-tan-chau", level).unwrap());
    assert!(tan_chau.is_sorted() && tan_chau[0] < 45, "{tan_chau:?}");
    let journey = ["stn-tan-chau", "stn-cao-lanh", "stn-my-thuan", "stn-my-tho"];
    let arrivals = journey.map(|id| {
        let (_, level) = LEVEL_III_M.iter().find(|(station, _)| *station == id).unwrap();
        crossing_s(id, *level).unwrap()
    });
    assert!(arrivals.is_sorted() && arrivals[3] < 240, "{arrivals:?}");
    let after = shown(&province, &registry, "stn-tan-chau", "water_level_m", start_ms + HOUR_MS);
    assert!(after < 3.5, "{after} an hour later");
}

#[test]
fn each_drill_crosses_its_limits() {
    let salt = |id| crest(Scenario::Salinity, id, "salinity_g_l", f64::max);
    assert!(salt("sal-xuan-hoa") > 4.0 && salt("sal-phu-phong") > 1.0);
    assert_eq!(crest(Scenario::Salinity, "gate-xuan-hoa", "gate_open_pct", f64::min), 0.0);
    assert!(crest(Scenario::Smog, "air-28261", "vn_aqi", f64::max) > 200.0);
    assert!(crest(Scenario::Jam, "bridge-rach-mieu", "mean_speed_km_h", f64::min) < 14.0);
    assert!(crest(Scenario::Jam, "road-ql1-cai-lay", "mean_speed_km_h", f64::min) < 14.0);
    assert!(crest(Scenario::StormOfAlarms, "rain-28261", "rain_24h_mm", f64::max) > 100.0);
}

#[test]
fn the_storm_pushes_dozens_of_devices_over_a_limit_within_a_minute() {
    let registry = registry();
    let start_ms = time("2026-11-23T10:00:00+07:00");
    let province = Province { scenario: Some(Scenario::StormOfAlarms), ..ordinary(3, start_ms) };
    let over = |at| {
        let values = all(&province, &registry, at);
        let over = values.iter().filter(|(device, metric, value)| {
            is_remarkable(device, metric.as_str(), *value).is_some()
        });
        over.map(|(device, ..)| device.id.clone()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(over(start_ms), 0);
    assert!(over(start_ms + MINUTE_MS) >= 60, "{}", over(start_ms + MINUTE_MS));
    assert_eq!(over(start_ms + 15 * MINUTE_MS), 0);
}

#[test]
fn the_drama_of_the_demonstration_rises_and_clears_on_an_ordinary_day() {
    let registry = registry();
    let start_ms = time("2026-11-23T10:00:00+07:00");
    let province = Province { demo: true, ..ordinary(283, start_ms) };
    let at = |second| start_ms + second * SECOND_MS;
    let salt =
        |second| shown(&province, &registry, "gate-nguyen-tan-thanh", "salinity_g_l", at(second));
    assert!(salt(0) < 0.5 && salt(90) > 1.1 && salt(90) < 2.0 && salt(300) < 0.5);
    let speed =
        |second| shown(&province, &registry, "bridge-rach-mieu", "mean_speed_km_h", at(second));
    assert!(speed(0) > 25.0 && speed(90) < 14.0 && speed(300) > 25.0);
}

#[test]
fn an_outage_silences_several_communes_for_a_time() {
    let registry = registry();
    let start_ms = time("2026-11-23T10:00:00+07:00");
    let province = Province { scenario: Some(Scenario::Outage), ..ordinary(283, start_ms) };
    let silent = |second: i64| {
        let devices = registry.devices().filter(|device| {
            let site = Site::of(device, province.seed);
            province.push(device, &site, start_ms + second * SECOND_MS).silent
        });
        devices.map(|device| device.area.clone()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((silent(0), silent(900)), (0, 0));
    assert!((5..40).contains(&silent(120)), "{} communes", silent(120));
}
