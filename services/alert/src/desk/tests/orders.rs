//! What people do at the desk: the stage, out of service, planned work, drills, shifts.

use sen_model::alert::Explanation;
use sen_model::{DeskAct, Field, Reach};

use super::*;

fn order(key: &str, by: &str, act: DeskAct) -> Command {
    Command { idempotency_key: key.into(), order: Order::Desk { act }, by: by.into(), at: at(50) }
}

/// Gives an order; gives the entry and all that was recorded.
fn give(desk: &mut Desk, key: &str, act: DeskAct, now: i64) -> (DeskRecord, Records) {
    let mut out = Records::default();
    match desk.carry_out(&order(key, "Lan", act), at(now), &mut out) {
        CommandOutcome::Done(Changed::Desk(record)) => (*record, out),
        other => panic!("{other:?}"),
    }
}

fn refused(desk: &mut Desk, key: &str, by: &str, act: DeskAct, now: i64) -> String {
    let mut out = Records::default();
    match desk.carry_out(&order(key, by, act), at(now), &mut out) {
        CommandOutcome::Refused(why) if out.is_empty() => why.vi,
        other => panic!("{other:?}"),
    }
}

fn station() -> Reach {
    Reach { device: Some(device_id("stn-a")), ..Reach::default() }
}

#[test]
fn the_stage_is_set_by_a_person_and_every_setting_is_kept() {
    let mut desk = desk();
    let set = |stage, reason: &str| DeskAct::SetStage { stage, reason: reason.into() };
    let (first, _) = give(&mut desk, "a", set(2, "mưa lớn"), 10);
    assert_eq!((first.id.as_str(), first.rev, first.by.as_str()), ("stage", 1, "Lan"));
    let (again, out) = give(&mut desk, "after a crash", set(2, "mưa lớn"), 20);
    assert_eq!((again, out.is_empty()), (first, true));
    assert_eq!(give(&mut desk, "b", set(3, "lũ về"), 30).0.rev, 2);
    assert!(refused(&mut desk, "c", "Lan", set(6, "?"), 40).contains("1 đến 5"));
    assert!(refused(&mut desk, "d", "Lan", set(1, " "), 40).contains("lý do"));
}

#[test]
fn what_is_out_of_service_says_so_until_it_is_put_back() {
    let (mut desk, subject, id) = desk_with_one();
    let take = || DeskAct::TakeOut { reach: station(), reason: "thay cảm biến".into() };
    let (entry, out) = give(&mut desk, "t", take(), 60);
    assert!(entry.id.as_str().starts_with("out-") && entry.open);
    assert_eq!(changes(&out.alerts), [(10, Change::TakenOut)]);
    assert_eq!(desk.alerts[&id].out_of_service.as_deref(), Some(entry.id.as_str()));
    assert_eq!(tell_one(&mut desk, &clear(&subject, 10, 70), 71).state, AlertState::Normal);
    let born = tell_one(&mut desk, &raise(&subject, 80), 81);
    assert_eq!(born.out_of_service.as_deref(), Some(entry.id.as_str()));

    // The same key after a restart, when the answers are forgotten.
    desk.answers = Answers::default();
    let (again, out) = give(&mut desk, "t", take(), 90);
    assert_eq!((&again, out.is_empty()), (&entry, true));

    let put_back = || DeskAct::PutBack { entry: entry.id.clone() };
    let (ended, out) = give(&mut desk, "p", put_back(), 100);
    assert_eq!((ended.rev, ended.open), (2, false));
    assert_eq!(changes(&out.alerts), [(80, Change::PutBack)]);
    assert!(out.alerts[0].is_shown());
    assert!(refused(&mut desk, "q", "Minh", put_back(), 110).contains("kết thúc"));
    assert!(give(&mut desk, "r", put_back(), 110).1.is_empty(), "her own, once");
    let nothing = DeskAct::PutBack { entry: EntryId::from_text("out-nothing") };
    let unknown = desk.carry_out(&order("s", "Lan", nothing), at(1), &mut Records::default());
    assert_eq!(unknown, CommandOutcome::Unknown);
}

#[test]
fn a_reach_must_be_about_something() {
    let mut desk = desk();
    let take = |reach| DeskAct::TakeOut { reach, reason: "bảo trì".into() };
    let everything = refused(&mut desk, "a", "Lan", take(Reach::default()), 10);
    assert!(everything.contains("ít nhất một"));
    let mistyped = Reach { device: Some(device_id("stn-x")), ..Reach::default() };
    assert!(refused(&mut desk, "b", "Lan", take(mistyped), 10).contains("stn-x"));
    let rule = Reach { rule: Some(flood_3().id), ..Reach::default() };
    assert!(give(&mut desk, "c", take(rule), 10).0.open);
}

#[test]
fn planned_work_explains_what_it_covers_from_its_beginning_to_its_end() {
    let (mut desk, subject, id) = desk_with_one();
    let plan = |from, until| {
        let (from, until) = (at(from), at(until));
        DeskAct::PlanWork { reach: station(), from, until, reason: "vệ sinh đầu đo".into() }
    };
    assert!(refused(&mut desk, "x", "Lan", plan(300, 200), 60).contains("sau"));
    assert!(refused(&mut desk, "y", "Lan", plan(10, 20), 60).contains("đã qua"));
    let (work, out) = give(&mut desk, "w", plan(100, 200), 60);
    assert!(out.alerts.is_empty() && pass(&mut desk, 99).is_empty(), "not yet");
    let begun = pass(&mut desk, 100);
    assert_eq!(changes(&begun.alerts), [(10, Change::Suppressed)]);
    let suppression = begun.alerts[0].suppression.clone().unwrap();
    assert_eq!(suppression.why, Explanation::Maintenance { entry: work.id.to_string() });
    assert_eq!(suppression.until, Some(at(200)));
    assert!(pass(&mut desk, 150).is_empty());
    // The clock is set back: what has begun stays so.
    assert!(pass(&mut desk, 50).is_empty());
    let other = Subject { edition: edition(rule("other", limit(None, 0, 0))), ..subject };
    assert!(!tell_one(&mut desk, &raise(&other, 160), 161).is_shown());
    let ended = pass(&mut desk, 200);
    assert_eq!(ended.desk.iter().map(|r| (r.rev, r.open)).collect::<Vec<_>>(), [(2, false)]);
    assert_eq!(ended.alerts.len(), 2);
    assert!(ended.alerts.iter().all(AlertRecord::is_shown));

    let (work, out) = give(&mut desk, "v", plan(210, 900), 250);
    assert_eq!(out.alerts.len(), 2, "it has begun");
    let (_, out) = give(&mut desk, "e", DeskAct::EndWork { entry: work.id }, 300);
    assert!(out.alerts.len() == 2 && desk.alerts[&id].is_shown(), "done early");
}

#[test]
fn alerts_of_a_drill_say_so() {
    let (mut desk, subject, id) = desk_with_one();
    let drill = |on| DeskAct::SetDrill { on, reason: "diễn tập phòng chống lũ".into() };
    assert!(refused(&mut desk, "n", "Lan", drill(false), 55).contains("không có diễn tập"));
    let (begun, _) = give(&mut desk, "a", drill(true), 60);
    assert_eq!((begun.id.as_str(), begun.open), ("drill", true));
    assert!(refused(&mut desk, "b", "Minh", drill(true), 61).contains("Đang có"));
    let other = Subject { device: device_id("stn-b"), ..subject.clone() };
    assert!(tell_one(&mut desk, &raise(&other, 70), 71).drill);
    assert!(!give(&mut desk, "c", drill(false), 80).0.open);
    let third = Subject { device: device_id("pump-1"), ..subject };
    assert!(!tell_one(&mut desk, &raise(&third, 90), 91).drill);
    assert!(!desk.alerts[&id].drill, "raised before");
}

#[test]
fn a_hand_over_lists_what_is_open_and_what_came_in_the_shift() {
    let (mut desk, subject, first) = desk_with_one();
    let at_b = Subject { device: device_id("stn-b"), ..subject.clone() };
    let second = tell_one(&mut desk, &raise(&at_b, 200), 201).id;
    let pump = Subject { device: device_id("pump-1"), ..subject };
    let third = tell_one(&mut desk, &raise(&pump, 300), 301).id;
    ask(&mut desk, &acknowledge(&second, "k", "Lan", None), 310);
    let act = Act::Shelve { reason: "sửa".into(), until: at(9_000), one_shot: false };
    ask(&mut desk, &command(&third, "s", "Lan", None, act), 320);
    let out = DeskAct::TakeOut { reach: station(), reason: "thay".into() };
    let taken = give(&mut desk, "t", out, 330).0.id;

    let hand = |from| DeskAct::HandOver {
        to: "Minh".into(),
        desk: Some(Field::Environment),
        from: at(from),
        text: "Theo dõi trạm B".into(),
    };
    let (shift, out) = give(&mut desk, "h", hand(100), 400);
    assert!(shift.id.as_str().starts_with("shift-") && out.alerts.is_empty());
    let Entry::Shift { open, shelved, out_of_service, raised, acknowledged, until, .. } =
        shift.entry
    else {
        panic!()
    };
    assert_eq!((open, shelved), (vec![second], vec![third]));
    assert_eq!(out_of_service, [taken]);
    assert_eq!((raised, acknowledged, until), (2, 1, at(400)), "{first} came before");
    assert!(refused(&mut desk, "i", "Lan", hand(500), 400).contains("trước bây giờ"));
    let elsewhere = DeskAct::HandOver {
        to: "Minh".into(),
        desk: Some(Field::Security),
        from: at(0),
        text: String::new(),
    };
    let (shift, _) = give(&mut desk, "j", elsewhere, 400);
    assert!(matches!(shift.entry, Entry::Shift { raised: 0, open, .. } if open.is_empty()));
}

#[test]
fn an_edition_of_a_rule_is_entered_once_for_ever() {
    let mut desk = Desk::new(Around::new(Arc::new(registry()), HOUR_MS));
    let rules = [flood_3(), rule("silent", Condition::Absence { missing_ms: 1_000 })];
    let enter = |desk: &mut Desk, rules: &[Rule]| {
        let mut out = Records::default();
        desk.take_rules(rules, at(1), &mut out);
        out.desk
    };
    let first = enter(&mut desk, &rules);
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|record| record.rev == 1 && record.by == SEN));
    assert!(enter(&mut desk, &rules).is_empty());
    let edited = Rule { severity: Severity::LOW, ..flood_3() };
    let next = enter(&mut desk, std::slice::from_ref(&edited));
    assert_eq!(next[0].id.as_str(), format!("edition-flood-3-{}", edited.version()));
    assert!(enter(&mut desk, &rules).is_empty(), "an edition that comes back is known");
    let mut after = Desk::new(Around::new(Arc::new(registry()), HOUR_MS));
    after.resume(desk.kept(at(2)));
    assert!(enter(&mut after, &rules).is_empty(), "also after a restart");
}
