//! What the reader takes and tells of each kind of rule, and of rules among each other.

use sen_model::condition::{Scope, Statistic};

use super::*;

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
fn reads_every_kind_of_condition_about_series() {
    let limit = |bound| Limit { bound, clear: None, for_ms: 0, clear_for_ms: 0 };
    let minute = 60_000;
    let cases = [
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
    ];
    for (text, expected) in cases {
        assert_eq!(condition(&text), expected);
    }
}

#[test]
fn reads_every_kind_of_condition_over_others() {
    let minute = 60_000;
    let cases = [
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
    ];
    for (text, expected) in cases {
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
        (
            "neighbours_of = 'river-silent'\nleast = 2\ndistance_m = 50_001\nwithin = '1h'",
            "distance_m",
            "at most 50000 metres",
        ),
        (
            "neighbours_of = 'river-silent'\nleast = 257\ndistance_m = 1\nwithin = '1h'",
            "least",
            "no more than 256",
        ),
        ("of = ['river-silent']\nleast = 2_049\nscope = 'area'", "least", "no more than 2048"),
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
}

/// A circle, a part of an area, parts of nothing in common.
#[test]
fn tells_what_is_wrong_over_several_rules() {
    let two = |more: &str| with(&format!("severity = 2\n{more}"));
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
