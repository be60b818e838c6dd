//! `exports.toml`: the shipped file, every mistake with its line and key, and what is not open.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sen_export::{Names, Resolution, parse};
use sen_model::{Registry, Tier, registry_file};

const SHIPPED: &str = include_str!("../../../config/exports.toml");

fn registry() -> Registry {
    let devices = include_str!("../../../config/devices.toml");
    let places = include_str!("../../../config/places.toml");
    registry_file::parse(devices, places).unwrap()
}

/// The example of the shipped file, as if its comment marks were taken away.
fn example() -> String {
    let lines = SHIPPED.lines().filter_map(|line| line.strip_prefix("#: "));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_shipped_file_publishes_nothing_and_its_example_is_right() {
    let registry = registry();
    assert_eq!(parse(SHIPPED, &registry).unwrap(), []);
    let exports = parse(&example(), &registry).unwrap();
    let [export] = &exports[..] else { panic!("{exports:?}") };
    assert_eq!((export.id.as_str(), export.resolution), ("air-hourly", Resolution::Of(Tier::Hour)));
    assert_eq!((export.schedule.at_min, export.schedule.late_days), (120, 3));
}

#[test]
fn each_mistake_is_told_with_its_line_and_key() {
    let registry = registry();
    let cases = [
        ("id = \"air-hourly\"", "id = \"../x\"", "exports.toml:2 export[0].id"),
        ("id = \"air-hourly\"", "", "exports.toml:1 export[0].id"),
        ("en = \"Air", "de = \"Air", "exports.toml:3 export.air-hourly.title"),
        ("licence = \"CC BY 4.0\"", "licence = \" \"", "exports.toml:4 export.air-hourly.licence"),
        ("licence = \"CC BY 4.0\"", "", "exports.toml:1 export.air-hourly.licence"),
        ("source", "sauce", "exports.toml:5 export.air-hourly.sauce"),
        ("[\"air\"]", "\"air\"", "exports.toml:6 export.air-hourly.kinds"),
        ("[\"air\"]", "[\"iar\"]", "exports.toml:6 export.air-hourly.kinds"),
        ("\"1h\"", "\"2h\"", "exports.toml:7 export.air-hourly.tier"),
        ("\"csv\"", "\"xlsx\"", "exports.toml:8 export.air-hourly.format"),
        ("\"1d\"", "\"1h\"", "exports.toml:9 export.air-hourly.every"),
        ("\"02:00\"", "\"24:00\"", "exports.toml:10 export.air-hourly.at"),
        ("keep = 366", "late_days = 0", "exports.toml:11 export.air-hourly.late_days"),
        ("366", "0", "exports.toml:11 export.air-hourly.keep"),
        ("\"open-data\"", "\"\"", "exports.toml:12 export.air-hourly.folder"),
        ("[[export]]", "[export]", "exports.toml:1 export"),
        ("[[export]]", "[[export]", "exports.toml:1"),
    ];
    for (from, to, key) in cases {
        let text = example();
        assert!(text.contains(from), "{from}");
        let problems = parse(&text.replacen(from, to, 1), &registry).unwrap_err();
        assert!(problems.iter().any(|told| told.key == key), "{from} -> {to}: {problems:#?}");
    }
    let wrong = example().replace("csv", "xlsx").replace("1h", "2h").replace("366", "-1");
    assert_eq!(parse(&wrong, &registry).unwrap_err().len(), 3, "all at once");
    let twice = parse(&(example() + &example()), &registry).unwrap_err();
    assert!(twice[0].message.contains("line 1 has this id"), "{twice:?}");
}

#[test]
fn what_is_not_open_is_a_mistake() {
    let registry = registry();
    let cases = [
        ("kinds = [\"camera\"]", "kind `camera` is not open"),
        ("kinds = [\"air\", \"citizen_report\"]", "kind `citizen_report` is not open"),
        ("metrics = [\"people_count\"]", "metric `people_count` is not open"),
        ("fields = [\"security\"]", "field `security` is not open"),
        ("devices = [\"cam-cho-my-tho\"]", "device `cam-cho-my-tho` is not open"),
        ("kinds = [\"air\"]\nmetrics = [\"ph\"]", "nothing would be exported"),
        ("metrics = [\"pm2\"]", "there is no metric `pm2`"),
        ("areas = [\"28216\"]", "28261 (Phường Mỹ Tho)"),
    ];
    for (lists, told) in cases {
        let text = example().replace("kinds = [\"air\"]", lists);
        let problems = parse(&text, &registry).unwrap_err();
        assert!(problems.iter().any(|one| one.message.contains(told)), "{lists}: {problems:?}");
    }
    // Without any list it is everything open, and nothing else.
    let open = parse(&example().replace("kinds = [\"air\"]\n", ""), &registry).unwrap();
    let known = sen_export::Known::of(&registry).select(&Names::default()).unwrap();
    assert_eq!(open[0].selection, known);
}
