//! What the reader of `rules.toml` takes and what it tells.

use sen_model::{AreaCode, Device, DeviceId, Field, Metric, MetricSpec, Place, PlaceKind};

use super::*;

fn metric(name: &str) -> Metric {
    Metric::new(name).unwrap()
}

fn registry() -> Registry {
    let spec = MetricSpec {
        metric: metric("water_level_m"),
        name: Text::new("mực nước", "water level"),
        unit: "m".into(),
        min: None,
        max: None,
    };
    let device = Device {
        id: DeviceId::new("stn-my-tho").unwrap(),
        name: Text::new("Trạm Mỹ Tho", "Mỹ Tho station"),
        kind: "river".into(),
        field: Field::Environment,
        area: AreaCode::new("28261").unwrap(),
        lat: 10.3,
        lon: 106.3,
        interval_ms: 60_000,
        tags: Vec::new(),
        relations: sen_model::Relations::default(),
        metrics: vec![spec],
    };
    let place = |code: &str| Place {
        id: format!("ward-{code}"),
        name: Text::new("Phường Mỹ Tho", "My Tho Ward"),
        kind: PlaceKind::Ward,
        lat: 10.3,
        lon: 106.3,
        area_km2: 6.4,
        area: Some(AreaCode::new(code).unwrap()),
    };
    Registry::new(vec![device], vec![place("28261"), place("30169")])
}

const GOOD: &str = r#"
[owners]
civil_defence = { vi = "Ban Chỉ huy", en = "Command" }

[responses]
watch = { vi = "Theo dõi", en = "Watch" }

[[rule]]
id = "flood-my-tho-3"
name = { vi = "Báo động III", en = "Alarm level III" }
field = "environment"
severity = 1
devices = ["stn-my-tho"]
metrics = ["water_level_m"]
at_least = 1.6
clear = 1.55
for = "2m"
source = "QĐ 05/2020/QĐ-TTg (verified)"
owner = "civil_defence"
response = "watch"

[[rule]]
id = "river-silent"
name = { vi = "Mất tín hiệu", en = "No signal" }
field = "environment"
severity = 4
kinds = ["river"]
missing = "10m"
source = "vận hành"
owner = "civil_defence"
response = { vi = "Kiểm tra trạm", en = "Check the station" }
"#;

#[test]
fn reads_both_kinds_of_rule() {
    let rules = parse(GOOD, &registry()).unwrap();
    let [flood, silent] = rules.as_slice() else { panic!("{rules:?}") };
    let expected = Condition::Threshold {
        limit: sen_model::Limit {
            bound: Bound::AtLeast(1.6),
            clear: Some(1.55),
            for_ms: 120_000,
            clear_for_ms: 0,
        },
    };
    assert_eq!(flood.condition, expected);
    assert_eq!(flood.owner.vi, "Ban Chỉ huy");
    assert!(
        flood.needs_acknowledgement(flood.severity)
            && !silent.needs_acknowledgement(silent.severity)
    );
    assert_eq!(silent.condition, Condition::Absence { missing_ms: 600_000 });
}

/// One edit of the good file, and what must be told of it: line, key and words.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("severity = 1", "severity = 7", "rules.toml:12 severity", "does not exist"),
    ("severity = 1", "sevrity = 1", "rules.toml:12 sevrity", "no such key"),
    ("severity = 1", "", "rules.toml:8 severity", "is missing"),
    ("at_least = 1.6", "", "rules.toml:8 rule", "needs one of"),
    ("at_least = 1.6", "at_least = 'high'", "rules.toml:15 at_least", "expected f64"),
    ("at_least = 1.6", "at_least = nan", "rules.toml:15 at_least", "finite"),
    ("clear = 1.55", "clear = 1.6", "rules.toml:16 clear", "must be below the limit 1.6"),
    ("clear = 1.55", "above = 1.55", "rules.toml:16 above", "`at_least` is given too"),
    ("for = \"2m\"", "for = \"2 minutes\"", "rules.toml:17 for", "is not a duration"),
    ("for = \"2m\"", "for = 120", "rules.toml:17 for", "string"),
    (
        "source = \"QĐ 05/2020/QĐ-TTg (verified)\"",
        "source = ' '",
        "rules.toml:18 source",
        "say where",
    ),
    ("response = \"watch\"", "", "rules.toml:8 response", "is missing"),
    (
        "response = \"watch\"",
        "response = 'swim'",
        "rules.toml:20 response",
        "no `swim` in [responses]",
    ),
    ("en = \"Check the station\"", "en = ''", "rules.toml:31 response", "`en` is empty"),
    ("[\"stn-my-tho\"]", "[\"stn-my-thuan\"]", "rules.toml:13 devices", "no device `stn-my-thuan`"),
    ("[\"stn-my-tho\"]", "[\"#\"]", "rules.toml:13 devices", "is not a device id"),
    ("[\"river\"]", "[\"rivr\"]", "rules.toml:27 kinds", "no device of kind `rivr`"),
    ("kinds = [\"river\"]", "areas = [\"12345\"]", "rules.toml:27 areas", "no area `12345`"),
    ("missing =", "areas = ['30169']\nmissing =", "rules.toml:22 rule", "selects no device"),
    ("at_least", "areas = ['30169']\nat_least", "rules.toml:8 rule", "selects no device"),
    ("kinds = [\"river\"]", "", "rules.toml:22 rule", "selects everything"),
    ("metrics = [\"water_level_m\"]", "", "rules.toml:8 metrics", "at least one metric"),
    ("[\"water_level_m\"]", "[\"water_level\"]", "rules.toml:14 metrics", "measures `water_level`"),
    ("missing = \"10m\"", "missing = \"1m\"", "rules.toml:28 missing", "reports every 60 s"),
    ("missing = \"10m\"", "missing = \"10m\"\nfor = '1m'", "rules.toml:29 for", "no sense"),
    ("id = \"river-silent\"", "id = \"flood-my-tho-3\"", "rules.toml:23 id", "rule at line 8"),
    ("id = \"river-silent\"", "id = \"River\"", "rules.toml:23 id", "is not a rule id"),
    ("severity = 1", "severity = ", "rules.toml:12", "string values must be quoted"),
];

#[test]
fn tells_each_mistake_with_its_line_and_key() {
    for (good, bad, key, words) in MISTAKES {
        assert!(GOOD.contains(good), "{good}");
        let problems = parse(&GOOD.replacen(good, bad, 1), &registry()).unwrap_err();
        let told = problems.iter().any(|p| p.key == *key && p.message.contains(words));
        assert!(told, "{good} -> {bad}: want {key}: {words}; got {problems:#?}");
    }
}

#[test]
fn tells_all_mistakes_of_all_rules_at_once() {
    let text = GOOD
        .replace("severity = 1", "severity = 9")
        .replace("for = \"2m\"", "for = \"soon\"")
        .replace("response = \"watch\"", "respons = \"watch\"")
        .replace("[\"river\"]", "[\"lake\"]");
    let problems = parse(&text, &registry()).unwrap_err();
    let keys: Vec<_> = problems.iter().filter_map(|p| p.key.split(' ').nth(1)).collect();
    assert_eq!(keys, ["severity", "for", "response", "respons", "kinds"], "{problems:#?}");
}

#[test]
fn an_empty_file_has_no_rules() {
    assert_eq!(parse("", &registry()).unwrap(), []);
}

#[test]
fn the_rules_we_ship_stand_against_the_devices_we_ship() {
    let read = |name: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        std::fs::read_to_string(folder.join(name)).unwrap()
    };
    let registry =
        sen_model::registry_file::parse(&read("devices.toml"), &read("places.toml")).unwrap();
    let rules = parse(&read("rules.toml"), &registry).unwrap();
    let level = |id: &str| {
        let rule = rules.iter().find(|rule| rule.id.as_str() == id).unwrap();
        let Condition::Threshold { limit: sen_model::Limit { bound, .. } } = rule.condition else {
            panic!("{id}")
        };
        (bound.limit(), rule.severity.level())
    };
    assert_eq!(level("flood-cao-lanh-3"), (2.3, 1));
    assert_eq!(level("flood-my-tho-1"), (1.4, 3));
    assert_eq!(level("salinity-4"), (4.0, 2));
    assert_eq!(level("aqi-6"), (301.0, 1));
    let rivers = rules.iter().filter(|rule| rule.selector.metrics == [metric("water_level_m")]);
    for rule in rivers {
        let Condition::Threshold { for_ms, .. } = rule.condition else { panic!("{}", rule.id) };
        for station in &rule.selector.devices {
            let interval_ms = registry.device(station).unwrap().interval_ms;
            assert!(for_ms >= 2 * interval_ms, "one false value would raise {}", rule.id);
        }
    }
    for device in registry.devices() {
        let is_watched = rules.iter().any(|rule| {
            let is_absence = matches!(rule.condition, Condition::Absence { .. });
            is_absence && crate::selection::selects(&rule.selector, &device.id, Some(device))
        });
        assert!(is_watched, "nobody would miss {}", device.id);
    }
}
