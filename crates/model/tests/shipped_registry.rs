//! The registry and the wall that are shipped: whole, agreeing with each other, and as the rules
//! and the simulator expect them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use sen_model::{DeviceId, Metric, Registry, Severity, registry_file};
use toml::{Table, Value};

const DEVICES: &str = include_str!("../../../config/devices.toml");
const PLACES: &str = include_str!("../../../config/places.toml");
const WALL: &str = include_str!("../../../config/wall.toml");

const FIELDS: [&str; 5] =
    ["socio_economy", "security", "transport", "environment", "public_services"];

fn shipped() -> Registry {
    match registry_file::parse(DEVICES, PLACES) {
        Ok(registry) => registry,
        Err(faults) => panic!("{faults:#?}"),
    }
}

#[test]
fn every_commune_has_a_device_and_every_field_too() {
    let registry = shipped();
    let areas: BTreeSet<_> = registry
        .places()
        .iter()
        .filter(|place| place.kind.is_area())
        .map(|place| place.area.clone().unwrap())
        .collect();
    let covered: BTreeSet<_> = registry.devices().map(|device| device.area.clone()).collect();
    assert_eq!((areas.len(), &covered), (102, &areas));
    assert!(registry.devices().count() >= 200);
    let fields: BTreeSet<_> = registry.devices().map(|device| device.field.as_str()).collect();
    assert_eq!(fields, BTreeSet::from(FIELDS));
}

#[test]
fn names_stand_in_both_languages_and_every_range_is_known() {
    let registry = shipped();
    for device in registry.devices() {
        let Metrics { all, ranged } = metrics(device);
        assert!(all > 0 && all == ranged, "{}", device.id);
        assert!((10_000..=60_000).contains(&device.interval_ms), "{}", device.id);
        assert!(!device.name.en.is_empty() && !device.name.vi.is_ascii(), "{}", device.id);
    }
    for place in registry.places() {
        assert!(!place.name.en.is_empty() && !place.name.vi.is_empty(), "{}", place.id);
    }
}

struct Metrics {
    all: usize,
    ranged: usize,
}

fn metrics(device: &sen_model::Device) -> Metrics {
    let ranged = device.metrics.iter().filter(|spec| spec.min.is_some() && spec.max.is_some());
    Metrics { all: device.metrics.len(), ranged: ranged.count() }
}

#[test]
fn only_what_tells_of_no_person_is_open() {
    let open: Vec<_> = shipped().open_kinds().iter().cloned().collect();
    let expected = ["air", "gate", "rain", "river", "salinity", "traffic", "water", "weather"];
    assert_eq!(open, expected);
}

#[test]
fn the_wall_has_six_readable_tiles_a_field_over_metrics_there_are() {
    let registry = shipped();
    let wall: Table = WALL.parse().unwrap();
    assert!(wall["title"]["vi"].is_str() && wall["title"]["en"].is_str());
    let mut tiles = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for tile in wall["tile"].as_array().unwrap() {
        let id = tile["id"].as_str().unwrap();
        assert!(ids.insert(id), "{id} stands twice");
        *tiles.entry(tile["field"].as_str().unwrap()).or_insert(0) += 1;
        for language in ["vi", "en"] {
            let label = tile["label"][language].as_str().unwrap();
            assert!((1..=16).contains(&label.chars().count()), "{id}: {label}");
        }
        assert!(measures(&registry, tile), "{id}: nothing measures this");
        assert!(tile["unit"].is_str() && (0..=3).contains(&tile["digits"].as_integer().unwrap()));
        check_levels(id, tile);
    }
    assert_eq!(tiles, FIELDS.map(|field| (field, 6)).into());
}

/// Whether a device, or some device of the kind, has the tile's metric.
fn measures(registry: &Registry, tile: &Value) -> bool {
    let metric = Metric::new(tile["metric"].as_str().unwrap()).unwrap();
    let Some(id) = tile.get("device") else {
        let statistic = tile["statistic"].as_str().unwrap();
        assert!(["mean", "max", "min", "sum"].contains(&statistic), "{statistic}");
        let kind = tile["kind"].as_str().unwrap();
        let mut devices = registry.devices().filter(|device| device.kind == kind);
        return devices.any(|device| device.metric(&metric).is_some());
    };
    let id = DeviceId::new(id.as_str().unwrap()).unwrap();
    registry.device(&id).is_some_and(|device| device.metric(&metric).is_some())
}

/// Levels rise with their severity.
fn check_levels(id: &str, tile: &Value) {
    let Some(levels) = tile.get("levels") else { return };
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|n| n as f64));
    let levels: Vec<(f64, Severity)> = levels
        .as_array()
        .unwrap()
        .iter()
        .map(|level| {
            let severity = u8::try_from(level["severity"].as_integer().unwrap()).unwrap();
            (number(&level["at"]).unwrap(), Severity::try_from(severity).unwrap())
        })
        .collect();
    let rising = levels.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 > two[1].1);
    assert!(rising && !levels.is_empty(), "{id}: {levels:?}");
}
