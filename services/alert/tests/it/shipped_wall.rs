//! The wall that is shipped colours its tiles as the shipped rules raise alerts.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::Path;

use sen_model::{Bound, Condition, DeviceId, Registry, Rule, Severity, registry_file};
use toml::{Table, Value};

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The first value as shown on a tile that breaks an upper limit.
fn breaks_from(bound: Bound, digits: i32) -> Option<f64> {
    match bound {
        Bound::AtLeast(limit) => Some(limit),
        Bound::Above(limit) => Some(limit + 10_f64.powi(-digits)),
        Bound::AtMost(_) | Bound::Below(_) => None,
    }
}

/// Whether a rule is about what a tile shows, and says so by device or kind.
fn is_about(rule: &Rule, tile: &Table, registry: &Registry) -> bool {
    let word = |key: &str| tile.get(key).and_then(Value::as_str);
    let device = word("device").map(|id| registry.device(&DeviceId::new(id).unwrap()).unwrap());
    let kind = device.map_or_else(|| word("kind").unwrap(), |device| &device.kind);
    let selector = &rule.selector;
    let by_device = device.is_some_and(|device| selector.devices.contains(&device.id));
    let by_kind = selector.devices.is_empty() && selector.kinds.iter().any(|one| one == kind);
    (by_device || by_kind) && selector.metrics.iter().any(|m| Some(m.as_str()) == word("metric"))
}

#[test]
fn every_level_of_a_tile_is_the_limit_and_severity_of_a_rule_and_the_other_way_round() {
    let registry = registry_file::parse(&read("devices.toml"), &read("places.toml")).unwrap();
    let rules = sen_alert::rules::parse(&read("rules.toml"), &registry).unwrap();
    let wall: Table = read("wall.toml").parse().unwrap();
    let mut compared = 0;
    for tile in wall["tile"].as_array().unwrap() {
        let tile = tile.as_table().unwrap();
        let digits = tile["digits"].as_integer().unwrap().try_into().unwrap();
        // A tile has one meaning all day: what is wrong at some hours only has no colour of its own.
        let all_day = rules.iter().filter(|rule| rule.when.is_none());
        let about = all_day.filter(|rule| is_about(rule, tile, &registry));
        let mut of_rules: Vec<(f64, Severity)> = about
            .flat_map(|rule| match &rule.condition {
                Condition::Threshold { limit } => vec![(limit.bound, rule.severity)],
                Condition::Levels { levels } => {
                    levels.iter().map(|level| (level.limit.bound, level.severity)).collect()
                }
                _ => Vec::new(),
            })
            .filter_map(|(bound, severity)| Some((breaks_from(bound, digits)?, severity)))
            .collect();
        of_rules.sort_by(|a, b| a.0.total_cmp(&b.0));
        let levels = tile.get("levels").and_then(Value::as_array).cloned().unwrap_or_default();
        let of_wall = levels.into_iter().map(|level| {
            let at = &level["at"];
            let at = at.as_float().or(at.as_integer().map(|whole| whole as f64)).unwrap();
            (at, level["severity"].clone().try_into::<Severity>().unwrap())
        });
        let of_wall: Vec<(f64, Severity)> = of_wall.collect();
        assert_eq!(of_wall, of_rules, "{}", tile["id"]);
        compared += of_wall.len();
    }
    assert!(compared >= 12, "{compared}");
}
