//! What people do to one alert, and who was first.

use sen_model::Cause;
use sen_model::alert::Explanation;

use super::*;

fn shelve(id: &AlertId, key: &str, until: i64, one_shot: bool) -> Command {
    let reason = "đang sửa trạm".into();
    command(id, key, "Lan", None, Act::Shelve { reason, until: at(until), one_shot })
}

fn refusal(outcome: &CommandOutcome) -> &sen_model::Text {
    match outcome {
        CommandOutcome::Refused(why) if !why.vi.is_empty() && !why.en.is_empty() => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_tell_who_was_first() {
    let (mut desk, subject, id) = desk_with_one();
    let unknown = acknowledge(&AlertId::from_text("nonsense"), "k0", "Lan", None);
    assert_eq!(ask(&mut desk, &unknown, 51), (CommandOutcome::Unknown, vec![]));

    let (first, records) = ask(&mut desk, &acknowledge(&id, "k1", "Lan", Some(1)), 51);
    assert_eq!(first, done(&records[0]));
    let again = ask(&mut desk, &acknowledge(&id, "k1", "Lan", Some(1)), 52);
    assert_eq!(again, (first, vec![]), "the same key gets the same answer");

    for (key, by, seen) in [("k2", "Minh", Some(1)), ("k3", "Minh", Some(2)), ("k4", "Minh", None)]
    {
        let (outcome, records) = ask(&mut desk, &acknowledge(&id, key, by, seen), 53);
        assert!(matches!(outcome, CommandOutcome::Stale(held) if held.rev == 2), "{key}");
        assert!(records.is_empty());
    }
    // Lan's answer was lost in a crash, and she asks again with a new key.
    let (outcome, records) = ask(&mut desk, &acknowledge(&id, "k5", "Lan", Some(1)), 54);
    assert_eq!((outcome, records), (done(&desk.alerts[&id]), vec![]));

    tell_one(&mut desk, &clear(&subject, 10, 60), 61);
    let (outcome, _) = ask(&mut desk, &acknowledge(&id, "k6", "Minh", Some(2)), 62);
    assert!(matches!(outcome, CommandOutcome::Over(held) if held.rev == 3));
}

#[test]
fn notes_are_cut_to_a_length_the_log_takes_and_only_the_last_ones_are_carried() {
    let (mut desk, _, id) = desk_with_one();
    let act = Act::Acknowledge { note: "ghi".repeat(9_999) };
    ask(&mut desk, &command(&id, "k", &"x".repeat(9_999), None, act), 51);
    let taken = desk.alerts[&id].acknowledgement.clone().unwrap();
    assert_eq!((taken.note.chars().count(), taken.by.chars().count()), (NOTE_CHARS, NAME_CHARS));
    for n in 0..20 {
        let act = Act::Note { text: format!("lần {n}") };
        let (outcome, records) =
            ask(&mut desk, &command(&id, &format!("n{n}"), "Lan", None, act), 52);
        assert_eq!((outcome, records[0].change), (done(&records[0]), Change::Noted));
    }
    let notes: Vec<&str> = desk.alerts[&id].notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, ["lần 15", "lần 16", "lần 17", "lần 18", "lần 19"]);
    let (outcome, _) =
        ask(&mut desk, &command(&id, "e", "Lan", None, Act::Note { text: " ".into() }), 53);
    assert!(refusal(&outcome).vi.contains("trống"));
}

#[test]
fn a_key_is_for_one_order_about_one_alert() {
    let (mut desk, subject, id) = desk_with_one();
    let other = Subject { device: device_id("stn-b"), ..subject };
    let other = tell_one(&mut desk, &raise(&other, 10), 11).id;
    ask(&mut desk, &acknowledge(&id, "k", "Lan", None), 51);
    let reused = (CommandOutcome::KeyReused, vec![]);
    assert_eq!(ask(&mut desk, &acknowledge(&other, "k", "Lan", None), 52), reused);
    assert_eq!(desk.alerts[&other].state, AlertState::Unacknowledged);
    let act = Act::Acknowledge { note: "khác".into() };
    assert_eq!(ask(&mut desk, &command(&id, "k", "Lan", None, act), 53), reused);
    let (told, _) = ask(&mut desk, &acknowledge(&id, "k", "Lan", None), 54);
    assert!(matches!(told, CommandOutcome::Done(_)));
}

#[test]
fn what_is_repeated_after_a_crash_is_done_once() {
    let until = at(9_000);
    let acts = [
        Act::Acknowledge { note: String::new() },
        Act::Assign { to: "Đội 2".into(), note: "đi ngay".into() },
        Act::Note { text: "đã gọi".into() },
        Act::Shelve { reason: "sửa".into(), until, one_shot: false },
        Act::Unshelve,
        Act::Suppress { reason: "thử còi".into(), until },
        Act::Unsuppress,
    ];
    let (mut desk, subject, id) = desk_with_one();
    for (n, act) in acts.into_iter().enumerate() {
        let rev = desk.alerts[&id].rev;
        for (key, records) in [("first", 1), ("again", 0)] {
            // After the crash the keys are forgotten: another one stands for that.
            let asked = command(&id, &format!("{key}{n}"), "Lan", Some(rev), act.clone());
            let (outcome, told) = ask(&mut desk, &asked, 60);
            assert_eq!(told.len(), records, "{key} {act:?}: {outcome:?}");
            assert_eq!(outcome, done(&desk.alerts[&id]), "{key} {act:?}");
        }
    }
    tell_one(&mut desk, &clear(&subject, 10, 70), 71);
    assert_eq!(desk.alerts[&id].state, AlertState::Normal, "Lan has taken it");
}

#[test]
fn a_shelf_needs_a_reason_and_an_end() {
    let (mut desk, _, id) = desk_with_one();
    let most = 8 * HOUR_MS;
    for (key, reason, until, says) in [
        ("a", " ", 1_000, "lý do"),
        ("b", "sửa", 60, "đã qua"),
        ("c", "sửa", 61 + most, "không quá 8 giờ"),
    ] {
        let act = Act::Shelve { reason: reason.into(), until: at(until), one_shot: false };
        let (outcome, told) = ask(&mut desk, &command(&id, key, "Lan", None, act), 60);
        assert!(refusal(&outcome).vi.contains(says), "{outcome:?}");
        assert!(told.is_empty());
    }
    let (outcome, told) = ask(&mut desk, &shelve(&id, "d", 60 + most, false), 60);
    assert_eq!(outcome, done(&told[0]));
    assert!(!told[0].is_shown() && told[0].state.is_open() && told[0].holds());
}

#[test]
fn a_shelf_covers_the_next_episodes_until_its_time_is_up() {
    let (mut desk, subject, id) = desk_with_one();
    ask(&mut desk, &shelve(&id, "s", 1_000, false), 60);
    let over = tell_one(&mut desk, &clear(&subject, 10, 70), 71);
    assert_eq!((over.state, over.change), (AlertState::Normal, Change::Cleared), "quietly");
    let next = tell_one(&mut desk, &raise(&subject, 80), 81);
    assert_eq!(next.shelving, over.shelving, "on the shelf from its first record");
    let elsewhere = Subject { device: device_id("stn-b"), ..subject.clone() };
    assert!(tell_one(&mut desk, &raise(&elsewhere, 80), 81).is_shown());

    assert!(pass(&mut desk, 999).is_empty());
    let back = pass(&mut desk, 1_000).alerts;
    assert_eq!(changes(&back), [(80, Change::Unshelved)]);
    assert!(back[0].is_shown());
    assert!(pass(&mut desk, 1_001).is_empty());
    tell_one(&mut desk, &clear(&subject, 80, 1_100), 1_101);
    assert!(tell(&mut desk, &raise(&subject, 1_200), 1_201)[0].is_shown());
}

#[test]
fn a_shelf_outlives_a_restart_also_when_its_alert_is_over() {
    let (mut desk, subject, id) = desk_with_one();
    ask(&mut desk, &shelve(&id, "s", 1_000, false), 60);
    tell_one(&mut desk, &clear(&subject, 10, 70), 71);
    let kept = desk.kept(at(75));
    let mut desk = super::desk();
    desk.resume(kept);
    assert!(!tell_one(&mut desk, &raise(&subject, 80), 81).is_shown());
    assert!(desk.kept(at(2_000)).alerts.len() == 1, "what is open stays");
}

#[test]
fn a_worse_level_is_told_though_a_milder_one_is_shelved() {
    let (mut desk, _, id) = desk_with_one();
    let level = |level: u8, start: i64| AlertRecord {
        id: AlertId::from_text(&format!("level-{level}-{start}")),
        level,
        started_at: at(start),
        ..desk_with_one().0.alerts[&id].clone()
    };
    let mut out = Records::default();
    desk.take_up(level(2, 10), at(20), &mut out);
    ask(&mut desk, &shelve(&level(2, 10).id, "s", 1_000, false), 60);
    desk.take_up(level(1, 70), at(70), &mut out);
    desk.take_up(level(3, 70), at(70), &mut out);
    assert!(desk.alerts[&level(1, 70).id].shelving.is_some());
    assert!(desk.alerts[&level(3, 70).id].is_shown());
}

#[test]
fn one_shot_is_for_this_episode_only() {
    let (mut desk, subject, id) = desk_with_one();
    ask(&mut desk, &shelve(&id, "s", 1_000, true), 60);
    assert_eq!(tell_one(&mut desk, &clear(&subject, 10, 70), 71).state, AlertState::Normal);
    let next = tell_one(&mut desk, &raise(&subject, 80), 81);
    assert!(next.is_shown());
    // Also if it takes the place of a shelf for a time.
    ask(&mut desk, &shelve(&next.id, "x", 1_000, false), 82);
    ask(&mut desk, &shelve(&next.id, "y", 1_000, true), 83);
    tell_one(&mut desk, &clear(&subject, 80, 84), 84);
    let next = tell_one(&mut desk, &raise(&subject, 85), 85);
    assert!(next.is_shown());
    // When the condition is gone there is no shot to wait for.
    tell_one(&mut desk, &clear(&subject, 85, 90), 91);
    let (outcome, _) = ask(&mut desk, &shelve(&next.id, "t", 1_000, true), 92);
    assert!(refusal(&outcome).en.contains("acknowledge"));
    let (outcome, told) = ask(&mut desk, &shelve(&next.id, "u", 1_000, false), 92);
    assert_eq!(outcome, done(&told[0]));
    let (outcome, _) = ask(&mut desk, &command(&next.id, "v", "Lan", None, Act::Unshelve), 93);
    assert!(matches!(outcome, CommandOutcome::Done(_)));
    let (outcome, _) = ask(&mut desk, &command(&next.id, "w", "Minh", Some(9), Act::Unshelve), 94);
    assert!(matches!(outcome, CommandOutcome::Stale(_)));
}

fn latched() -> (Desk, Subject, AlertId) {
    let rule = Rule { latched: true, ..flood_3() };
    let mut desk = desk_under(std::slice::from_ref(&rule));
    let subject = Subject { edition: edition(rule), ..subject() };
    let id = tell_one(&mut desk, &raise(&subject, 10), 11).id;
    (desk, subject, id)
}

#[test]
fn a_latched_alert_stays_until_a_person_resets_it() {
    let reset = |id: &AlertId, key: &str| {
        command(id, key, "Lan", None, Act::Reset { note: "đã kiểm tra tại chỗ".into() })
    };
    let (mut desk, subject, id) = latched();
    let (outcome, _) = ask(&mut desk, &reset(&id, "early"), 20);
    assert!(refusal(&outcome).vi.contains("chốt"));
    ask(&mut desk, &acknowledge(&id, "k", "Lan", None), 51);
    assert_eq!(tell_one(&mut desk, &clear(&subject, 10, 60), 61).state, AlertState::Latched);
    let (_, told) = ask(&mut desk, &reset(&id, "r"), 70);
    assert_eq!((told[0].change, told[0].state), (Change::Reset, AlertState::Normal));
    let note = &told[0].notes[0];
    assert_eq!((note.by.as_str(), note.text.as_str()), ("Lan", "Đã đặt lại. đã kiểm tra tại chỗ"));

    // Returned first, then taken.
    let (mut desk, subject, id) = latched();
    let returned = tell_one(&mut desk, &clear(&subject, 10, 60), 61);
    assert_eq!(returned.state, AlertState::ReturnedUnacknowledged);
    let (_, told) = ask(&mut desk, &acknowledge(&id, "k", "Lan", None), 62);
    assert_eq!(told[0].state, AlertState::Latched);
    // A new episode takes its place.
    let told = tell(&mut desk, &raise(&subject, 80), 81);
    assert_eq!(changes(&told), [(80, Change::Raised), (10, Change::Superseded)]);

    // A one-shot shelf is used up, the latch is not.
    let (mut desk, subject, id) = latched();
    ask(&mut desk, &shelve(&id, "s", 1_000, true), 52);
    let told = tell(&mut desk, &clear(&subject, 10, 60), 61);
    assert_eq!(changes(&told), [(10, Change::Cleared), (10, Change::Unshelved)]);
    assert!(told[1].state == AlertState::Latched && told[1].is_shown());
}

#[test]
fn a_person_suppresses_until_a_time_and_the_next_episode_is_told() {
    let (mut desk, subject, id) = desk_with_one();
    let act = Act::Suppress { reason: "thử còi".into(), until: at(1_000) };
    let (_, told) = ask(&mut desk, &command(&id, "s", "Lan", None, act), 60);
    let why = told[0].suppression.clone().unwrap().why;
    assert_eq!(why, Explanation::Person { by: "Lan".into(), reason: "thử còi".into() });
    assert!(pass(&mut desk, 999).is_empty());
    assert_eq!(changes(&pass(&mut desk, 1_000).alerts), [(10, Change::Unsuppressed)]);
    let (outcome, _) = ask(&mut desk, &command(&id, "u", "Minh", Some(9), Act::Unsuppress), 1_001);
    assert!(matches!(outcome, CommandOutcome::Stale(_)));
    tell_one(&mut desk, &clear(&subject, 10, 1_100), 1_101);
    assert_eq!(desk.alerts[&id].state, AlertState::ReturnedUnacknowledged, "it was shown again");
}

#[test]
fn closing_is_refused_while_readings_say_that_it_holds() {
    let close = |id: &AlertId, key: &str| {
        let note = "nhầm".into();
        command(id, key, "Lan", None, Act::Close { cause: Cause::FalseAlarm, note })
    };
    let (mut desk, subject, id) = desk_with_one();
    let (outcome, told) = ask(&mut desk, &close(&id, "a"), 51);
    assert!(refusal(&outcome).vi.contains("chưa thể đóng"));
    assert!(told.is_empty());
    tell_one(&mut desk, &clear(&subject, 10, 60), 61);
    let (outcome, told) = ask(&mut desk, &close(&id, "b"), 62);
    assert_eq!((outcome, told[0].state), (done(&told[0]), AlertState::Normal));
    assert_eq!(told[0].closing.as_ref().unwrap().cause, Cause::FalseAlarm);
    let (outcome, told) = ask(&mut desk, &close(&id, "c"), 63);
    assert_eq!((outcome, told), (done(&desk.alerts[&id]), vec![]), "her own, once");
    // Nobody measures the end of happenings.
    let counted = Condition::Events {
        kinds: vec!["crowd".into()],
        attributes: vec![],
        least: 1,
        within_ms: 60_000,
        distinct: None,
        scope: sen_model::condition::Scope::Device,
        quiet_ms: 60_000,
    };
    let rule = rule("crowd", counted);
    let mut desk = desk_under(std::slice::from_ref(&rule));
    let subject = Subject { edition: edition(rule), metric: None, ..subject };
    let id = tell(&mut desk, &raise(&subject, 10), 11)[0].id.clone();
    let (_, told) = ask(&mut desk, &close(&id, "d"), 62);
    assert_eq!(told[0].change, Change::Closed);
    assert!(tell(&mut desk, &clear(&subject, 10, 70), 71).is_empty(), "over is over");
}

#[test]
fn a_record_of_an_alert_is_small() {
    let (desk, _, id) = desk_with_one();
    let record = &desk.alerts[&id];
    let text = record.text.vi.capacity() + record.text.en.capacity() + record.group.capacity();
    let bytes = std::mem::size_of::<AlertRecord>() + text + record.rule_version.capacity();
    assert!(bytes < 2_048, "{bytes} bytes");
}
