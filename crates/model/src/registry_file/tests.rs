//! What the reader of the registry takes and what it tells.

use super::*;

const GOOD_PLACES: &str = r#"
[[place]]
id = "ward-28261"
name = { vi = "Phường Mỹ Tho", en = "My Tho Ward" }
kind = "smart_city_ward"
lat = 10.35
lon = 106.37
area_km2 = 6.4
area = "28261"
"#;

const GOOD_DEVICES: &str = r#"
[kind.river]
field = "environment"
interval_ms = 10_000
metrics = [
  { metric = "water_level_m", name = { vi = "Mực nước", en = "Water level" }, unit = "m", min = -3, max = 7.0 },
  { metric = "flow_m3_s", name = { vi = "Lưu lượng", en = "Flow" }, unit = "m3/s" },
]

[[device]]
id = "stn-my-tho"
kind = "river"
name = { vi = "Trạm Mỹ Tho", en = "Mỹ Tho station" }
area = "28261"
lat = 10.348
lon = 106.365
interval_ms = 20_000
metrics = ["water_level_m"]
"#;

#[test]
fn a_device_takes_what_its_kind_shares_and_may_say_its_own() {
    let registry = parse(GOOD_DEVICES, GOOD_PLACES).unwrap();
    assert!(registry.open_kinds().is_empty(), "nothing is open that nobody has opened");
    let opened = GOOD_DEVICES.replace("[kind.river]", "[kind.river]\nopen = true");
    let opened = parse(&opened, GOOD_PLACES).unwrap();
    assert!(opened.open_kinds().contains("river"));
    let device = registry.devices().next().unwrap();
    assert_eq!((device.field, device.interval_ms), (Field::Environment, 20_000));
    let [level] = &device.metrics[..] else { panic!("{:?}", device.metrics) };
    assert_eq!((level.metric.as_str(), level.min), ("water_level_m", Some(-3.0)));
    assert_eq!(registry.area(&device.area).unwrap().name.vi, "Phường Mỹ Tho");
}

#[test]
fn each_mistake_is_told_with_its_line_and_key() {
    let broken = |good: &str, from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let cases = [
        ("area = \"28261\"", "area = \"28262\"", 14, "device.stn-my-tho.area"),
        ("lat = 10.348", "lat = 106.3", 15, "device.stn-my-tho.lat"),
        ("lon = 106.365", "lon = \"106\"", 16, "device.stn-my-tho.lon"),
        ("lon = 106.365", "log = 106.3", 10, "device.stn-my-tho.lon"),
        ("lon = 106.365", "lon = 106.3\nlog = 1", 17, "device.stn-my-tho.log"),
        ("id = \"stn-my-tho\"", "", 10, "device[0].id"),
        ("id = \"stn-my-tho\"", "id = \"trạm\"", 10, "device.trạm.id"),
        ("kind = \"river\"", "kind = \"rivers\"", 12, "device.stn-my-tho.kind"),
        ("interval_ms = 20_000", "interval_ms = 5", 17, "device.stn-my-tho.interval_ms"),
        ("[\"water_level_m\"]", "[\"level\"]", 18, "device.stn-my-tho.metrics"),
        ("min = -3", "min = 9", 2, "kind.river.metrics.water_level_m"),
        ("field = \"environment\"", "field = \"nature\"", 3, "kind.river.field"),
        ("[kind.river]", "[kind.river]\nopen = 1", 3, "kind.river.open"),
        ("[kind.river]", "[kind.river", 2, "syntax"),
        ("[[device]]", "[[devices]]", 10, "devices"),
        ("lon = 106.365", "lon = 106.3\ntags = 1", 17, "device.stn-my-tho.tags"),
        ("lon = 106.365", "lon = 106.3\nupstream = 'stn-x'", 17, "device.stn-my-tho.upstream"),
        ("lon = 106.365", "lon = 106.3\ngateway = 'gw-x'", 17, "device.stn-my-tho.gateway"),
        ("lon = 106.365", "lon = 106.3\npower = 'stn-my-tho'", 17, "device.stn-my-tho.power"),
    ];
    for (from, to, line, key) in cases {
        let faults = parse(&broken(GOOD_DEVICES, from, to), GOOD_PLACES).unwrap_err();
        let found = faults
            .iter()
            .any(|fault| (fault.file, fault.line, fault.key.as_str()) == (DEVICES, line, key));
        assert!(found, "{from} -> {to}: {faults:#?}");
    }
}

#[test]
fn ids_stand_once_and_all_mistakes_are_told_at_once() {
    let (_, device) = GOOD_DEVICES.split_once("[[device]]").unwrap();
    let twice = format!("{GOOD_DEVICES}[[device]]{device}").replace("28261", "28262");
    let places = GOOD_PLACES.replace("10.35", "1.35");
    let faults = parse(&twice, &places).unwrap_err();
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let device = "device.stn-my-tho";
    let area = "device.stn-my-tho.area";
    assert_eq!(keys, ["place.ward-28261.lat", device, area, area]);
    assert!(faults[1].message.contains("line 11"), "{}", faults[1]);
}

/// The device of the good file, so often, with these lines added to each.
fn chain(lines: &[(&str, &str)]) -> String {
    let (kinds, device) = GOOD_DEVICES.split_once("[[device]]").unwrap();
    let one = |(id, more): &(&str, &str)| {
        format!(
            "[[device]]{}{more}\n",
            device.replace("id = \"stn-my-tho\"", &format!("id = \"{id}\""))
        )
    };
    kinds.to_owned() + &lines.iter().map(one).collect::<String>()
}

#[test]
fn devices_say_what_they_depend_on_and_what_lies_before_them() {
    let text = chain(&[("aaa", "tags = ['tidal']"), ("bbb", "upstream = 'aaa'\ngateway = 'aaa'")]);
    let registry = parse(&text, GOOD_PLACES).unwrap();
    let device = |id| registry.device(&DeviceId::new(id).unwrap()).unwrap();
    assert_eq!(device("aaa").tags, ["tidal"]);
    let relations = &device("bbb").relations;
    assert_eq!(relations.upstream, Some(DeviceId::new("aaa").unwrap()));
    assert_eq!(relations.depends_on().count(), 1);
}

#[test]
fn nothing_depends_on_itself_over_others() {
    let text = chain(&[
        ("aaa", "upstream = 'ccc'"),
        ("bbb", "upstream = 'aaa'"),
        ("ccc", "upstream = 'bbb'"),
    ]);
    let faults = parse(&text, GOOD_PLACES).unwrap_err();
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["device.aaa.upstream", "device.bbb.upstream", "device.ccc.upstream"]);
    assert!(faults[0].message.contains("aaa, ccc, bbb, aaa"), "{}", faults[0]);
    // Each kind of relation by itself: a gateway may well lie upstream of what it serves.
    let text = chain(&[("aaa", "gateway = 'bbb'"), ("bbb", "upstream = 'aaa'")]);
    assert!(parse(&text, GOOD_PLACES).is_ok());
    // What depends on each other over different kinds of dependence is a circle all the same.
    let text = chain(&[("aaa", "gateway = 'bbb'"), ("bbb", "power = 'aaa'")]);
    assert_eq!(parse(&text, GOOD_PLACES).unwrap_err().len(), 2);
}
