//! What the reader of `rules.toml` takes and what it tells.

use sen_model::condition::{Scope, Statistic};
use sen_model::{
    AreaCode, Bound, Device, DeviceId, Field, Limit, Metric, MetricSpec, Place, PlaceKind,
};

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

/// A rule of the test station with this condition, after the good ones.
fn with(condition: &str) -> String {
    format!(
        r#"{GOOD}
[[rule]]
id = "new"
name = {{ vi = "Mới", en = "New" }}
field = "environment"
source = "thử"
owner = "civil_defence"
response = "watch"
{condition}
"#
    )
}

/// The same, about the level of the station, with a severity.
fn about(condition: &str) -> String {
    with(&format!("severity = 2\nkinds = [\"river\"]\nmetrics = [\"water_level_m\"]\n{condition}"))
}

fn condition(text: &str) -> Condition {
    let rules = parse(text, &registry()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    rules.into_iter().find(|rule| rule.id.as_str() == "new").unwrap().condition
}

#[test]
fn reads_every_kind_of_condition() {
    let limit = |bound| Limit { bound, clear: None, for_ms: 0, clear_for_ms: 0 };
    let minute = 60_000;
    for (text, expected) in [
        (
            about("rate_at_least = 0.3\nper = '1h'\nwithin = '30m'\nclear = 0.1\nfor = '10m'"),
            Condition::Rate {
                limit: Limit {
                    clear: Some(0.1),
                    for_ms: 10 * minute,
                    ..limit(Bound::AtLeast(0.3))
                },
                per_ms: 60 * minute,
                within_ms: 30 * minute,
            },
        ),
        (
            about("delta_below = -0.3\nwithin = '1h'"),
            Condition::Delta { limit: limit(Bound::Below(-0.3)), within_ms: 60 * minute },
        ),
        (
            about("frozen = '6h'\ntolerance = 0.01"),
            Condition::Frozen { tolerance: 0.01, for_ms: 360 * minute },
        ),
        (
            about("above = 2\nwindow = '24h'\nevery = '1h'\nstatistic = 'mean'\nleast_count = 9"),
            Condition::Window {
                window_ms: 1_440 * minute,
                every_ms: 60 * minute,
                statistic: Statistic::Mean,
                limit: limit(Bound::Above(2.0)),
                least_count: 9,
            },
        ),
        (
            about("at_most = 2\nwindow = '1h'\nstatistic = 'p95'"),
            Condition::Window {
                window_ms: 60 * minute,
                every_ms: 60 * minute,
                statistic: Statistic::P95,
                limit: limit(Bound::AtMost(2.0)),
                least_count: 0,
            },
        ),
        (
            with("any_of = ['flood-my-tho-3', 'river-silent']\nseverity = 1\nscope = 'device'"),
            Condition::Composite {
                of: vec![id("flood-my-tho-3"), id("river-silent")],
                least: 1,
                scope: Scope::Device,
                for_ms: 0,
            },
        ),
        (
            with("of = ['river-silent']\nleast = 3\nseverity = 1\nscope = 'area'\nfor = '1m'"),
            Condition::Composite {
                of: vec![id("river-silent")],
                least: 3,
                scope: Scope::Area,
                for_ms: minute,
            },
        ),
        (
            with(
                "neighbours_of = 'river-silent'\nleast = 2\nseverity = 1\ndistance_m = 5_000\nwithin = '1h'",
            ),
            Condition::Neighbours {
                of: id("river-silent"),
                least: 2,
                distance_m: 5_000.0,
                within_ms: 60 * minute,
            },
        ),
        (
            with("first = 'flood-my-tho-3'\nthen = 'river-silent'\nseverity = 1\nwithin = '2d'"),
            Condition::Sequence {
                first: id("flood-my-tho-3"),
                then: id("river-silent"),
                within_ms: 2_880 * minute,
                downstream: false,
            },
        ),
        (
            with(
                "events = ['crowd']\nattributes = { topic = 'an ninh' }\nseverity = 1\nleast = 3\nwithin = '1h'\ndistinct = 'device'\nscope = 'province'\nquiet = '2h'",
            ),
            Condition::Events {
                kinds: vec!["crowd".into()],
                attributes: vec![("topic".into(), "an ninh".into())],
                least: 3,
                within_ms: 60 * minute,
                distinct: Some("device".into()),
                scope: Scope::Province,
                quiet_ms: 120 * minute,
            },
        ),
    ] {
        assert_eq!(condition(&text), expected);
    }
}

fn id(text: &str) -> RuleId {
    RuleId::new(text).unwrap()
}

const LEVELS: &str = r#"kinds = ["river"]
metrics = ["water_level_m"]

[[rule.level]]
severity = 3
at_least = 1.4
clear = 1.3

[[rule.level]]
severity = 1
at_least = 1.6
for = "2m"
"#;

#[test]
fn a_rule_with_levels_is_as_bad_as_its_worst() {
    let rules = parse(&with(LEVELS), &registry()).unwrap();
    let rule = rules.last().unwrap();
    assert_eq!(rule.severity, Severity::CRITICAL);
    let Condition::Levels { levels } = &rule.condition else { panic!("{rule:?}") };
    let found: Vec<_> = levels.iter().map(|l| (l.severity.level(), l.limit.bound)).collect();
    assert_eq!(found, [(3, Bound::AtLeast(1.4)), (1, Bound::AtLeast(1.6))]);
    for (good, bad, key, words) in [
        ("severity = 1", "severity = 4", "severity", "less severe"),
        ("at_least = 1.6", "at_least = 1.2", "level", "from the mildest to the worst"),
        ("at_least = 1.6", "above = 1.6", "level", "limits of one kind"),
        ("at_least = 1.6", "", "level", "needs one of"),
        ("clear = 1.3", "clear = 1.4", "clear", "must be below"),
        ("for = \"2m\"", "fro = \"2m\"", "fro", "no such key"),
        ("kinds", "severity = 2\nkinds", "severity", "each level has its own"),
    ] {
        told(&with(&LEVELS.replacen(good, bad, 1)), key, words);
    }
    told(
        &with(LEVELS.split("\n\n[[rule.level]]\nseverity = 1").next().unwrap()),
        "level",
        "1 levels",
    );
}

/// One problem must be told: of this key, in these words.
fn told(text: &str, key: &str, words: &str) {
    let problems = parse(text, &registry()).err().unwrap_or_default();
    let found =
        problems.iter().any(|p| p.key.split(' ').nth(1) == Some(key) && p.message.contains(words));
    assert!(found, "want {key}: {words}; got {problems:#?}\nof {text}");
}

#[test]
fn tells_what_cannot_be_meant_of_each_kind() {
    for (condition, key, words) in [
        ("rate_at_least = 0.3\nwithin = '1h'", "per", "is missing"),
        ("rate_at_least = 0.3\nper = '1h'\nwithin = '1m'", "within", "every 60 s only"),
        ("delta_above = 0.3\nwithin = '8d'", "within", "4096 are kept"),
        ("frozen = '0s'", "frozen", "longer than nothing"),
        ("frozen = '1h'\ntolerance = -1", "tolerance", "negative"),
        ("frozen = '1h'\nclear = 1", "clear", "makes no sense beside `frozen`"),
        ("above = 1\nwindow = '1h'\nevery = '7m'\nstatistic = 'mean'", "window", "whole number"),
        ("above = 1\nwindow = '1h'\nevery = '1m'\nstatistic = 'mean'", "every", "every 60 s"),
        ("above = 1\nwindow = '10d'\nevery = '5m'\nstatistic = 'mean'", "window", "1440 at most"),
        ("above = 1\nwindow = '4d'\nstatistic = 'mean'", "window", "4096 are kept"),
        ("above = 1\nwindow = '1h'", "statistic", "is missing"),
        ("above = 1\nwindow = '1h'\nstatistic = 'mode'", "statistic", "unknown variant"),
        ("above = 1\nstatistic = 'mean'", "statistic", "needs a `window`"),
        ("expression = 'value >'", "expression", "is not CEL"),
        ("expression = 'valeu > 3.0'", "expression", "there is no `valeu`"),
        ("expression = 'device.knd == \"river\"'", "expression", "knd"),
        ("expression = 'value + 1 > 3'", "expression", "does not run"),
        ("expression = 'value'", "expression", "true or false"),
        ("expression = 'value > b'\nreferences = { b = 'rain' }", "references", "measures `rain`"),
        (
            "expression = 'value > b'\nreferences = { b = { device = 'stn-x', metric = 'rain' } }",
            "references",
            "no device `stn-x`",
        ),
        ("expression = 'value > 1.0'\nreferences = { b = 'water_level_m' }", "expression", "`b`"),
        ("expression = 'value > 1.0'\nreferences = { B = 'water_level_m' }", "references", "a-z"),
        ("expression = 'value > 1.0'\nreferences = { b = 3 }", "references", "write a metric"),
        ("at_least = 1\nschedule = { hours = ['9-5'] }", "hours", "is not written as"),
    ] {
        told(&about(condition), key, words);
    }
    assert!(parse(&about("expression = 'value / (value - 1.0) > 2.0'"), &registry()).is_ok());
}

#[test]
fn tells_what_is_wrong_among_rules() {
    let two = |more: &str| with(&format!("severity = 2\n{more}"));
    for (condition, key, words) in [
        ("any_of = ['flood-my-tho-4']\nscope = 'area'", "any_of", "no rule `flood-my-tho-4`"),
        ("all_of = ['new', 'river-silent']\nscope = 'area'", "id", "depends on itself: `new`"),
        ("any_of = ['river-silent']\nscope = 'device'", "scope", "is that rule"),
        ("any_of = []\nscope = 'area'", "any_of", "names 0 rules"),
        ("any_of = ['river-silent', 'river-silent']\nscope = 'area'", "any_of", "twice"),
        ("of = ['river-silent', 'flood-my-tho-3']\nscope = 'area'", "least", "is missing"),
        (
            "of = ['river-silent', 'flood-my-tho-3']\nleast = 3\nscope = 'area'",
            "least",
            "from 1 to 2",
        ),
        ("any_of = ['river-silent']\nleast = 1\nscope = 'area'", "least", "says how many"),
        ("any_of = ['river-silent']", "scope", "is missing"),
        ("any_of = ['river-silent']\nscope = 'area'\nkinds = ['river']", "kinds", "say it there"),
        (
            "neighbours_of = 'river-silent'\nleast = 1\ndistance_m = 1\nwithin = '1h'",
            "least",
            "2 or more",
        ),
        (
            "neighbours_of = 'river-silent'\nleast = 2\ndistance_m = 0\nwithin = '1h'",
            "distance_m",
            "more than 0",
        ),
        ("first = 'river-silent'\nthen = 'nothing'\nwithin = '1h'", "then", "no rule `nothing`"),
        (
            "first = 'river-silent'\nthen = 'river-silent'\nwithin = '1h'\ndownstream = true",
            "downstream",
            "upstream",
        ),
        ("events = []\nwithin = '1h'\nscope = 'area'\nquiet = '1h'", "events", "at least one"),
        (
            "events = ['crowd']\nleast = 0\nwithin = '1h'\nscope = 'area'\nquiet = '1h'",
            "least",
            "at least 1",
        ),
        (
            "events = ['crowd']\nmetrics = ['water_level_m']\nwithin = '1h'\nscope = 'area'\nquiet = '1h'",
            "metrics",
            "have none",
        ),
    ] {
        told(&two(condition), key, words);
    }
    // Over several rules: a circle, a part of an area, parts of nothing in common.
    let other = r#"
[[rule]]
id = "other"
name = { vi = "Khác", en = "Other" }
field = "environment"
severity = 4
standing = "part"
"#;
    let with_other = |new: &str, condition: &str| format!("{}{other}{condition}\n", two(new));
    let text = with_other("any_of = ['other']\nscope = 'area'", "any_of = ['new']\nscope = 'area'");
    told(&text, "id", "depends on itself: `other`, then `new`");
    let text = with_other(
        "neighbours_of = 'other'\nleast = 2\ndistance_m = 1\nwithin = '1h'",
        "any_of = ['river-silent']\nscope = 'area'",
    );
    told(&text, "neighbours_of", "`other` is not about single devices");
    let text =
        with_other("any_of = ['other']\nscope = 'area'", "missing = '1h'\nkinds = ['river']");
    assert!(parse(&text, &registry()).is_ok(), "a part needs neither source, owner nor response");
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
    for device in registry.devices() {
        let is_watched = rules.iter().any(|rule| {
            let is_absence = matches!(rule.condition, Condition::Absence { .. });
            is_absence && crate::selection::selects(&rule.selector, &device.id, Some(device))
        });
        assert!(is_watched, "nobody would miss {}", device.id);
    }
}
