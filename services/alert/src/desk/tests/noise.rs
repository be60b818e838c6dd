//! What keeps the list short: causes, chatter, floods; and alerts of other systems.

use std::collections::BTreeMap;

use sen_model::alert::Explanation;
use sen_model::{Field, Foreign, Registry, Text};

use super::*;

/// A gateway, a power meter it hangs on, two stations behind the gateway, and two that name each
/// other.
fn network() -> Registry {
    let mut devices: Vec<_> = registry().devices().cloned().collect();
    let like = devices[0].clone();
    let mut add = |id: &str, gateway: Option<&str>, power: Option<&str>| {
        let mut device = sen_model::Device { id: device_id(id), ..like.clone() };
        device.relations.gateway = gateway.map(device_id);
        device.relations.power = power.map(device_id);
        devices.push(device);
    };
    add("power-1", None, None);
    add("gw-1", None, Some("power-1"));
    add("behind-1", Some("gw-1"), None);
    add("behind-2", Some("gw-1"), None);
    add("twin-1", Some("twin-2"), None);
    add("twin-2", Some("twin-1"), None);
    Registry::new(devices, registry().places().to_vec())
}

fn silence() -> Rule {
    rule("silent", Condition::Absence { missing_ms: 1_000 })
}

fn outage() -> Rule {
    Rule { explains: true, ..rule("outage", limit(None, 0, 0)) }
}

fn over_network() -> Desk {
    let mut desk = Desk::new(Around::new(Arc::new(network()), HOUR_MS));
    let rules = [silence(), outage(), flood_3()];
    desk.take_rules(&rules, at(0), &mut Records::default());
    desk
}

fn about(rule: Rule, device: &str) -> Subject {
    Subject { edition: edition(rule), device: device_id(device), metric: None, area: None }
}

/// What explains the open alert of a subject, by kind and cause.
fn explained(desk: &Desk, subject: &Subject, start: i64) -> Option<(&'static str, String)> {
    let alert = &desk.alerts[&subject.episode(at(start))];
    alert.suppression.as_ref().map(|suppression| match &suppression.why {
        Explanation::Dependency { device, .. } => ("dependency", device.to_string()),
        Explanation::Level { alert } => ("level", alert.to_string()),
        Explanation::Member { alert } => ("member", alert.to_string()),
        Explanation::Maintenance { entry } => ("maintenance", entry.clone()),
        Explanation::Person { by, .. } => ("person", by.clone()),
    })
}

#[test]
fn a_silent_gateway_explains_its_devices_whichever_is_found_first() {
    let gateway = about(silence(), "gw-1");
    let [one, two] = ["behind-1", "behind-2"].map(|id| about(silence(), id));
    let by_gateway = Some(("dependency", "gw-1".to_owned()));
    let mut desk = over_network();
    assert!(tell_one(&mut desk, &raise(&one, 10), 11).is_shown());
    let told = tell(&mut desk, &raise(&gateway, 20), 21);
    assert_eq!(changes(&told), [(20, Change::Raised), (10, Change::Suppressed)]);
    tell_one(&mut desk, &raise(&two, 30), 31);
    assert_eq!(explained(&desk, &one, 10), by_gateway);
    assert_eq!(explained(&desk, &two, 30), by_gateway);
    // Another alert about the station is not its silence.
    let high = about(flood_3(), "behind-1");
    assert!(tell_one(&mut desk, &raise(&high, 40), 41).is_shown());
    // One is heard while it is explained: it ends quietly. The other is given back.
    assert_eq!(tell_one(&mut desk, &clear(&one, 10, 50), 51).state, AlertState::Normal);
    let told = tell(&mut desk, &clear(&gateway, 20, 60), 61);
    assert_eq!(changes(&told), [(20, Change::Cleared), (30, Change::Unsuppressed)]);
}

#[test]
fn a_cause_is_found_through_what_lies_between_and_is_not_exchanged_while_it_holds() {
    let (power, gateway) = (about(outage(), "power-1"), about(silence(), "gw-1"));
    let one = about(silence(), "behind-1");
    let mut desk = over_network();
    tell(&mut desk, &raise(&power, 10), 11);
    tell(&mut desk, &raise(&one, 20), 21);
    let by_power = Some(("dependency", "power-1".to_owned()));
    assert_eq!(explained(&desk, &one, 20), by_power, "the gateway is not known to be silent");
    tell(&mut desk, &raise(&gateway, 30), 31);
    assert_eq!(explained(&desk, &gateway, 30), by_power);
    assert_eq!(explained(&desk, &one, 20), by_power);
    let told = tell(&mut desk, &clear(&power, 10, 40), 41);
    let told = &changes(&told)[1..];
    assert!(told.contains(&(30, Change::Unsuppressed)) && told.contains(&(20, Change::Suppressed)));
    assert_eq!(explained(&desk, &one, 20), Some(("dependency", "gw-1".to_owned())));
}

#[test]
fn two_that_depend_on_each_other_hide_nothing() {
    let mut desk = over_network();
    for id in ["twin-1", "twin-2"] {
        assert!(tell_one(&mut desk, &raise(&about(silence(), id), 10), 11).is_shown());
    }
}

fn level(level: u8, start: i64) -> AlertRecord {
    let (_, _, id) = desk_with_one();
    let like = desk_with_one().0.alerts[&id].clone();
    let severity = Severity::try_from(5 - level).unwrap();
    let id = AlertId::from_text(&format!("level-{level}-{start}"));
    AlertRecord { id, level, severity, started_at: at(start), ..like }
}

fn take_up(desk: &mut Desk, alert: &AlertRecord, now: i64) -> Vec<AlertRecord> {
    let mut out = Records::default();
    desk.take_up(alert.clone(), at(now), &mut out);
    out.alerts
}

#[test]
fn the_worst_level_is_told_and_the_milder_ones_are_explained() {
    let mut desk = desk();
    take_up(&mut desk, &level(1, 10), 10);
    let told = take_up(&mut desk, &level(2, 20), 20);
    assert_eq!(changes(&told), [(20, Change::Raised), (10, Change::Suppressed)]);
    let told = take_up(&mut desk, &level(3, 30), 30);
    assert_eq!(told.len(), 3, "both name the worst now: {told:?}");
    let by = |desk: &Desk, n, start| desk.alerts[&level(n, start).id].suppression.clone();
    let worst = Explanation::Level { alert: level(3, 30).id };
    assert_eq!(by(&desk, 1, 10).unwrap().why, worst);
    let mut out = Records::default();
    desk.withdraw(&level(3, 30).id, Unwatched::RuleChanged, true, at(40), &mut out);
    assert_eq!(by(&desk, 2, 20), None, "given back");
    assert!(by(&desk, 1, 10).is_some());
    assert_eq!(desk.alerts[&level(3, 30).id].state, AlertState::ReturnedUnacknowledged);
}

#[test]
fn members_are_told_by_what_they_are_part_of() {
    let (mut desk, subject, id) = desk_with_one();
    let broad = AlertRecord {
        id: AlertId::from_text("broad"),
        rule: sen_model::RuleId::new("many").unwrap(),
        device: device_id("area-28261"),
        members: vec![id.clone()],
        ..desk.alerts[&id].clone()
    };
    let told = take_up(&mut desk, &broad, 20);
    assert_eq!(
        told.iter().map(|r| r.change).collect::<Vec<_>>(),
        [Change::Raised, Change::Suppressed]
    );
    assert_eq!(explained(&desk, &subject, 10), Some(("member", "broad".to_owned())));
    let mut out = Records::default();
    desk.withdraw(&broad.id, Unwatched::RuleChanged, true, at(30), &mut out);
    assert!(desk.alerts[&id].is_shown());
}

#[test]
fn one_cause_at_a_time_and_a_person_counts_first() {
    let (gateway, one) = (about(silence(), "gw-1"), about(silence(), "behind-1"));
    let mut desk = over_network();
    tell(&mut desk, &raise(&gateway, 10), 11);
    let id = tell_one(&mut desk, &raise(&one, 20), 21).id;
    let (outcome, _) = ask(&mut desk, &command(&id, "u", "Lan", None, Act::Unsuppress), 30);
    assert!(matches!(outcome, CommandOutcome::Refused(_)), "it is explained by design");
    let act = Act::Suppress { reason: "biết rồi".into(), until: at(100) };
    ask(&mut desk, &command(&id, "s", "Lan", None, act), 40);
    assert_eq!(explained(&desk, &one, 20), Some(("person", "Lan".to_owned())));
    let told = pass(&mut desk, 100).alerts;
    assert_eq!(changes(&told), [(20, Change::Suppressed)], "by design again, not shown between");
    assert_eq!(explained(&desk, &one, 20), Some(("dependency", "gw-1".to_owned())));
}

#[test]
fn three_raises_in_a_minute_chatter_and_get_a_hint() {
    let (mut desk, subject) = (desk(), subject());
    let mut out = Records::default();
    for (start, end) in [(0, 4_000), (10_000, 13_000), (20_000, 21_000), (30_000, 31_000)] {
        desk.apply(&raise(&subject, start), at(start), &mut out);
        desk.apply(&clear(&subject, start, end), at(end), &mut out);
    }
    let raised: Vec<bool> = out
        .alerts
        .iter()
        .filter(|record| record.change == Change::Raised)
        .map(|record| record.chattering)
        .collect();
    assert_eq!(raised, [false, false, true, true]);
    let hints: Vec<_> = out.desk.iter().filter(|r| matches!(r.entry, Entry::Hint { .. })).collect();
    assert_eq!(hints.len(), 1, "once in ten minutes");
    assert_eq!(hints[0].id.as_str(), "hint-flood-3.stn-a.level");
    let Entry::Hint { raises, clear: value, for_ms, clear_for_ms, text, .. } = &hints[0].entry
    else {
        panic!()
    };
    assert_eq!((*raises, *value), (3, Some(1.48)), "the values swing between 1.5 and 1.62");
    assert_eq!((*for_ms, *clear_for_ms), (Some(7_000), Some(11_000)));
    assert!(text.vi.contains("1,48") && text.en.contains("1.48"), "{text:?}");
    // Episodes of one late packet are as far apart as they happened.
    let other = Subject { device: device_id("stn-b"), ..subject };
    for n in 0..5 {
        let told = tell(&mut desk, &raise(&other, n * 40_000), 500_000);
        assert!(!told[0].chattering);
        tell(&mut desk, &clear(&other, n * 40_000, n * 40_000 + 1), 500_000);
    }
}

#[test]
fn three_raises_chatter_only_if_one_minute_holds_them_all() {
    let (mut desk, subject) = (desk(), subject());
    let mut told = |start: i64| {
        let raised = tell(&mut desk, &raise(&subject, start), start)[0].chattering;
        tell(&mut desk, &clear(&subject, start, start + 1), start + 1);
        raised
    };
    assert!(!told(0) && !told(100_000));
    assert!(!told(50_000), "a minute on either side of it holds two");
    assert!(told(60_000), "from 50 s to 100 s there are three");
}

/// Ten alerts of ten devices, one a second.
fn ten(desk: &mut Desk, from: i64, out: &mut Records) {
    for n in 0..10 {
        let device = device_id(&format!("dev-{from}-{n}"));
        let subject = Subject { device, ..subject() };
        let now = from + n * 1_000;
        desk.apply(&raise(&subject, now), at(now), out);
    }
}

#[test]
fn ten_alerts_in_ten_minutes_are_a_flood_which_hides_nothing() {
    let (mut desk, mut out) = (desk(), Records::default());
    ten(&mut desk, 100_000, &mut out);
    assert!(out.alerts.iter().all(|r| r.is_shown() && r.change == Change::Raised));
    let id = out.alerts[0].id.clone();
    let flood = out.desk.pop().unwrap();
    assert_eq!((flood.id.as_str(), flood.open), ("flood-environment-100000", true));
    assert!(matches!(&flood.entry, Entry::Flood { first_out, raised: 10, .. } if *first_out == id));
    assert!(desk.floods.has(Field::Environment));

    // Told at most every half minute; a thousand critical alerts more, and each one is shown.
    for batch in 1..=100 {
        ten(&mut desk, 110_000 + batch * 100, &mut out);
    }
    assert!(out.desk.is_empty() && out.alerts.iter().all(AlertRecord::is_shown));
    desk.pass_time(at(125_000), &mut out);
    assert!(out.desk.is_empty());
    desk.pass_time(at(140_000), &mut out);
    let Entry::Flood { raised, peak, by_rule, by_area, .. } = &out.desk[0].entry else { panic!() };
    assert_eq!(
        (*raised, *peak, by_rule[0].count, by_area[0].of.as_str()),
        (1_010, 1_010, 1_010, "-")
    );
    assert!(pass(&mut desk, 180_000).is_empty(), "nothing new to tell");

    // It ends when fewer than five came within ten minutes, with its report.
    let ended = pass(&mut desk, 100_000 + 700_000).desk;
    let Entry::Flood { raised, ended_at, .. } = &ended[0].entry else { panic!() };
    assert_eq!((*raised, *ended_at, ended[0].open), (1_010, Some(at(800_000)), false));
    assert!(!desk.floods.has(Field::Environment));
}

#[test]
fn what_nobody_is_shown_is_no_flood_and_a_restart_goes_on_counting() {
    let (mut desk, mut out) = (desk(), Records::default());
    let aside = |n: i64| AlertRecord {
        id: AlertId::from_text(&format!("aside-{n}")),
        recorded_at: at(n),
        out_of_service: Some("out-1".into()),
        ..desk_with_one().0.open()[0].clone()
    };
    (0..20).for_each(|n| desk.fold(aside(n)));
    assert!(!desk.floods.has(Field::Environment));
    ten(&mut desk, 100_000, &mut out);
    ten(&mut desk, 111_000, &mut out);
    let mut after = super::desk();
    out.alerts.iter().for_each(|record| after.fold(record.clone()));
    out.desk.iter().for_each(|record| after.fold_entry(record.clone()));
    let told = pass(&mut after, 150_000).desk;
    assert!(matches!(told[0].entry, Entry::Flood { raised: 20, .. }), "{told:?}");
}

#[test]
fn a_clock_that_is_set_back_keeps_no_flood_for_ever() {
    let (mut desk, mut out) = (desk(), Records::default());
    ten(&mut desk, 90_000_000, &mut out);
    assert!(pass(&mut desk, 1_000_000).desk.len() <= 1, "back by a day");
    assert!(desk.floods.has(Field::Environment));
    pass(&mut desk, 1_700_000);
    assert!(!desk.floods.has(Field::Environment), "ten minutes later it is over");
}

#[test]
fn the_worst_open_stage_is_advised_and_taken_back() {
    let speaks = |id: &str, stage| Rule { stage: Some(stage), ..rule(id, limit(None, 0, 0)) };
    let (two, four) = (speaks("two", 2), speaks("four", 4));
    let mut desk = desk_under(&[two.clone(), four.clone()]);
    let [two, four] = [two, four].map(|rule| Subject { edition: edition(rule), ..subject() });
    let mut out = Records::default();
    let steps = [
        (raise(&two, 10), Some((2, true))),
        (raise(&four, 20), Some((4, true))),
        (clear(&two, 10, 30), None),
        (raise(&two, 40), None),
        (clear(&four, 20, 50), Some((2, true))),
        (clear(&two, 40, 60), Some((2, false))),
    ];
    for (step, wanted) in steps {
        desk.apply(&step, at(100), &mut out);
        let told = out.desk.drain(..).find_map(|record| match record.entry {
            Entry::StageAdvice { stage, .. } => Some((stage, record.open)),
            _ => None,
        });
        assert_eq!(told, wanted, "{step:?}");
    }
}

fn told(key: &str, started: i64, ends: i64) -> Command {
    let told = Foreign {
        system: "Alertmanager".into(),
        name: "HighCPU".into(),
        key: key.into(),
        severity: Severity::HIGH,
        field: Field::PublicServices,
        device: None,
        area: None,
        started_at: at(started),
        ends_at: at(ends),
        text: Text::new("CPU cao", "High CPU"),
        attributes: BTreeMap::from([("instance".into(), key.into())]),
    };
    let order = Order::Foreign { told };
    Command {
        idempotency_key: format!("{key}-{ends}"),
        order,
        by: "alertmanager".into(),
        at: at(1),
    }
}

#[test]
fn another_systems_alert_lives_as_long_as_it_is_told() {
    let mut desk = desk();
    let (outcome, records) = ask(&mut desk, &told("web", 10, 300), 20);
    let first = records[0].clone();
    assert_eq!(outcome, done(&first));
    assert_eq!(first.rule.as_str(), "alertmanager-highcpu");
    assert_eq!(first.device.as_str(), "alertmanager");
    // Told again, with another start from another of its kind: nothing changes but its end.
    assert_eq!(ask(&mut desk, &told("web", 12, 600), 200), (done(&first), vec![]));
    assert!(pass(&mut desk, 599).is_empty());
    // Another key is another alert, which this one does not stand for.
    let other = ask(&mut desk, &told("db", 10, 9_000), 30).1.remove(0);
    assert_ne!(other.id, first.id);
    let over = pass(&mut desk, 600).alerts;
    assert_eq!(
        (over[0].state, over[0].cleared_at),
        (AlertState::ReturnedUnacknowledged, Some(at(600)))
    );
    assert!(over[0].text.vi.contains("không báo lại"));

    // It was only the line: told again, it is a new episode.
    let (_, records) = ask(&mut desk, &told("web", 10, 1_500), 1_000);
    assert_eq!(records[0].started_at, at(1_000));
    assert_eq!(changes(&records), [(1_000, Change::Raised), (10, Change::Superseded)]);
    // Told as over it is over, and a late repeat does not bring it back.
    let (_, records) = ask(&mut desk, &told("db", 10, 1_900), 2_000);
    assert_eq!(records[0].change, Change::Cleared);
    assert!(ask(&mut desk, &told("db", 10, 9_500), 2_001).1.is_empty());
    assert_eq!(ask(&mut desk, &told("none", 10, 20), 30), (CommandOutcome::Unknown, vec![]));
}

#[test]
fn a_restart_gives_other_systems_time_to_tell_again() {
    let mut desk = desk();
    let (_, records) = ask(&mut desk, &told("web", 10, 300), 20);
    let mut after = super::desk();
    records.iter().for_each(|record| after.fold(record.clone()));
    assert!(pass(&mut after, 1_000_000).is_empty());
    assert!(pass(&mut after, 1_299_999).is_empty());
    assert_eq!(pass(&mut after, 1_300_000).alerts[0].change, Change::Cleared);
}

#[test]
fn a_person_may_close_what_another_system_told() {
    let mut desk = desk();
    let (_, records) = ask(&mut desk, &told("web", 10, 300), 20);
    let act = Act::Close { cause: sen_model::Cause::HandedOver, note: String::new() };
    let (_, closed) = ask(&mut desk, &command(&records[0].id, "c", "Lan", None, act), 30);
    assert_eq!((closed[0].change, closed[0].state), (Change::Closed, AlertState::Normal));
    assert!(ask(&mut desk, &told("web", 10, 900), 400).1.is_empty(), "closed is closed");
    assert!(ask(&mut desk, &told("web", 500, 900), 501).1[0].change == Change::Raised);
}
