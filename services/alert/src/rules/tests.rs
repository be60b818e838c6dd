//! What the reader of `rules.toml` takes and what it tells.

use sen_model::{
    AreaCode, Bound, Device, DeviceId, Field, Limit, Metric, MetricSpec, Place, PlaceKind,
};

use super::*;

mod kinds;

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

[responses.watch]
steps = [{ vi = "Theo dõi", en = "Watch" }]
consequence = { vi = "Ngập", en = "Flooding" }
within = "15m"

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

[rule.response]
steps = [{ vi = "Kiểm tra trạm", en = "Check the station" }]
consequence = { vi = "Không ai biết", en = "Nobody knows" }
within = "8h"
"#;

#[test]
fn reads_both_kinds_of_rule() {
    let rules = parse(GOOD, &registry()).unwrap();
    let [flood, silent] = rules.as_slice() else { panic!("{rules:?}") };
    let bound = Bound::AtLeast(1.6);
    let limit = Limit { bound, clear: Some(1.55), for_ms: 120_000, clear_for_ms: 0 };
    assert_eq!(flood.condition, Condition::Threshold { limit });
    assert_eq!(flood.owner.vi, "Ban Chỉ huy");
    assert_eq!((flood.response.steps.len(), flood.response.within_ms), (1, 900_000));
    assert!(flood.needs_acknowledgement(flood.severity));
    assert!(!silent.needs_acknowledgement(silent.severity));
    assert_eq!(silent.condition, Condition::Absence { missing_ms: 600_000 });
}

/// One edit of the good file, and what must be told of it: line, key and words.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("severity = 1", "severity = 7", "rules.toml:14 severity", "does not exist"),
    ("severity = 1", "sevrity = 1", "rules.toml:14 sevrity", "no such key"),
    ("severity = 1", "", "rules.toml:10 severity", "is missing"),
    ("at_least = 1.6", "", "rules.toml:10 rule", "needs one of"),
    ("at_least = 1.6", "at_least = 'high'", "rules.toml:17 at_least", "expected f64"),
    ("at_least = 1.6", "at_least = nan", "rules.toml:17 at_least", "finite"),
    ("clear = 1.55", "clear = 1.6", "rules.toml:18 clear", "must be below the limit 1.6"),
    ("clear = 1.55", "above = 1.55", "rules.toml:18 above", "`at_least` is given too"),
    ("for = \"2m\"", "for = \"2 minutes\"", "rules.toml:19 for", "is not a duration"),
    ("for = \"2m\"", "for = 120", "rules.toml:19 for", "string"),
    (
        "source = \"QĐ 05/2020/QĐ-TTg (verified)\"",
        "source = ' '",
        "rules.toml:20 source",
        "say where",
    ),
    ("response = \"watch\"", "", "rules.toml:10 response", "is missing"),
    (
        "response = \"watch\"",
        "response = 'swim'",
        "rules.toml:22 response",
        "no `swim` in [responses]",
    ),
    ("en = \"Check the station\"", "en = ''", "rules.toml:35 steps", "`en` is empty"),
    (
        "steps = [{ vi = \"Theo dõi\", en = \"Watch\" }]",
        "steps = []",
        "rules.toml:6 steps",
        "at least one",
    ),
    ("steps = [{ vi = \"Theo dõi\", en = \"Watch\" }]", "", "rules.toml:5 steps", "is missing"),
    ("en = \"Flooding\"", "en = \" \"", "rules.toml:7 consequence", "`en` is empty"),
    ("within = \"15m\"", "within = \"0s\"", "rules.toml:8 within", "longer than nothing"),
    ("within = \"8h\"", "", "rules.toml:34 within", "is missing"),
    ("[\"stn-my-tho\"]", "[\"stn-my-thuan\"]", "rules.toml:15 devices", "no device `stn-my-thuan`"),
    ("[\"stn-my-tho\"]", "[\"#\"]", "rules.toml:15 devices", "is not a device id"),
    ("[\"river\"]", "[\"rivr\"]", "rules.toml:29 kinds", "no device of kind `rivr`"),
    ("kinds = [\"river\"]", "areas = [\"12345\"]", "rules.toml:29 areas", "no area `12345`"),
    ("kinds = [\"river\"]", "tags = [\"dry\"]", "rules.toml:29 tags", "the tag `dry`"),
    ("kinds = [\"river\"]", "fields = [\"sport\"]", "rules.toml:29 fields", "unknown variant"),
    ("missing =", "areas = ['30169']\nmissing =", "rules.toml:24 rule", "selects no device"),
    ("missing =", "fields = ['security']\nmissing =", "rules.toml:24 rule", "selects no device"),
    ("at_least", "areas = ['30169']\nat_least", "rules.toml:10 rule", "selects no device"),
    ("kinds = [\"river\"]", "", "rules.toml:24 rule", "selects everything"),
    ("metrics = [\"water_level_m\"]", "", "rules.toml:10 metrics", "at least one metric"),
    ("[\"water_level_m\"]", "[\"water_level\"]", "rules.toml:16 metrics", "measures `water_level`"),
    ("missing = \"10m\"", "missing = \"1m\"", "rules.toml:30 missing", "reports every 60 s"),
    ("missing = \"10m\"", "missing = \"10m\"\nfor = '1m'", "rules.toml:31 for", "no sense"),
    ("id = \"river-silent\"", "id = \"flood-my-tho-3\"", "rules.toml:25 id", "rule at line 10"),
    ("id = \"river-silent\"", "id = \"River\"", "rules.toml:25 id", "is not a rule id"),
    ("severity = 1", "severity = ", "rules.toml:14", "string values must be quoted"),
    ("severity = 1", "severity = 1\nstage = 1", "rules.toml:15 stage", "2, 3, 4 or 5"),
    ("severity = 1", "severity = 1\nstanding = 'part'", "rules.toml:15 standing", "no other rule"),
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
    let condition = |id: &str| {
        let rule = rules.iter().find(|rule| rule.id.as_str() == id);
        rule.map_or_else(|| panic!("{id}"), |rule| (rule.severity.level(), &rule.condition))
    };
    let limits = |id: &str| match condition(id) {
        (severity, Condition::Threshold { limit }) => vec![(limit.bound.limit(), severity)],
        (_, Condition::Levels { levels }) => {
            levels.iter().map(|l| (l.limit.bound.limit(), l.severity.level())).collect()
        }
        other => panic!("{id}: {other:?}"),
    };
    assert_eq!(limits("flood-cao-lanh"), [(1.9, 3), (2.1, 2), (2.3, 1)]);
    assert_eq!(limits("flood-my-tho"), [(1.4, 3), (1.5, 2), (1.6, 1)]);
    assert_eq!(limits("salinity"), [(1.0, 3), (4.0, 2)]);
    assert_eq!(limits("aqi-6"), [(301.0, 1)]);
    let rivers = rules.iter().filter(|rule| rule.selector.metrics == [metric("water_level_m")]);
    for rule in rivers {
        let delays = match &rule.condition {
            Condition::Threshold { limit } => vec![limit.for_ms],
            Condition::Levels { levels } => levels.iter().map(|l| l.limit.for_ms).collect(),
            _ => continue,
        };
        for station in &rule.selector.devices {
            let interval_ms = registry.device(station).unwrap().interval_ms;
            let is_patient = delays.iter().all(|for_ms| *for_ms >= 2 * interval_ms);
            assert!(is_patient, "one false value would raise {}", rule.id);
        }
    }
    // The probe's silence is told by the dead man, past the rules.
    for device in registry.devices().filter(|device| device.kind != "probe") {
        let is_watched = rules.iter().any(|rule| {
            let is_absence = matches!(rule.condition, Condition::Absence { .. });
            is_absence && crate::selection::selects(&rule.selector, &device.id, Some(device))
        });
        assert!(is_watched, "nobody would miss {}", device.id);
    }
}
