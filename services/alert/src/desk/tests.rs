//! The lifecycle, the commands, and the words of the desk.

use proptest::prelude::*;
use sen_model::{Bound, Condition, Limit, Rule, Severity};

use super::*;
use crate::fixtures::{at, device_id, limit, metric, registry, rule};
use crate::transition::Edition;

fn edition(rule: Rule) -> Edition {
    Edition::all_of(&rule).remove(0)
}

fn subject() -> Subject {
    let edition = edition(rule("flood-3", limit(None, 0, 0)));
    Subject { edition, device: device_id("stn-a"), metric: Some(metric("level")), area: None }
}

fn raise(subject: &Subject, start: i64) -> Transition {
    let (started_at, event_time) = (at(start), at(start));
    Transition::Raise {
        subject: subject.clone(),
        started_at,
        event_time,
        value: Some(1.62),
        late: false,
        members: Vec::new(),
    }
}

fn clear(subject: &Subject, start: i64, end: i64) -> Transition {
    let (started_at, ceased_at, event_time) = (at(start), at(end), at(end));
    Transition::Clear {
        subject: subject.clone(),
        started_at,
        ceased_at,
        event_time,
        value: Some(1.5),
    }
}

/// Tells the desk one transition; gives what it recorded.
fn tell(desk: &mut Desk, transition: &Transition, now: i64) -> Vec<AlertRecord> {
    let mut out = Vec::new();
    desk.apply(transition, &registry(), at(now), &mut out);
    out
}

/// Tells the desk one transition that makes one record.
fn tell_one(desk: &mut Desk, transition: &Transition, now: i64) -> AlertRecord {
    let mut out = tell(desk, transition, now);
    assert_eq!(out.len(), 1, "{out:?}");
    out.remove(0)
}

/// What was recorded: which episode, and what happened to it.
fn changes(records: &[AlertRecord]) -> Vec<(i64, Change)> {
    records.iter().map(|record| (record.started_at.as_millis(), record.change)).collect()
}

fn order(id: &AlertId, expected_rev: Option<u32>, note: &str) -> Order {
    let act = sen_model::Act::Acknowledge { note: note.into() };
    Order::Alert { alert: id.clone(), expected_rev, act }
}

fn acknowledge(id: &AlertId, key: &str, by: &str, expected_rev: Option<u32>) -> Command {
    Command {
        idempotency_key: key.into(),
        order: order(id, expected_rev, "đã gọi"),
        by: by.into(),
        at: at(50),
    }
}

/// A desk with one alert raised at 10.
fn desk_with_one() -> (Desk, Subject, AlertId) {
    let (mut desk, subject) = (Desk::default(), subject());
    let record = tell_one(&mut desk, &raise(&subject, 10), 11);
    (desk, subject, record.id)
}

#[test]
fn an_alert_says_what_where_and_how_much_in_both_languages() {
    let (desk, _, id) = desk_with_one();
    let record = &desk.alerts[&id];
    assert_eq!(
        record.text.vi,
        "Báo động III Mỹ Tho: mực nước 1,62 m (ngưỡng 1,60 m) tại Trạm stn-a, Phường Mỹ Tho"
    );
    assert_eq!(
        record.text.en,
        "Alarm level III Mỹ Tho: water level 1.62 m (limit 1.60 m) at Station stn-a, My Tho Ward"
    );
    assert_eq!((record.rev, record.state), (1, AlertState::Unacknowledged));
    assert_eq!(record.area.as_ref().unwrap().as_str(), "28261");
}

#[test]
fn the_lifecycle_is_that_of_isa_18_2() {
    let (mut desk, subject, id) = desk_with_one();
    let returned = tell_one(&mut desk, &clear(&subject, 10, 20), 21);
    assert_eq!((returned.rev, returned.state), (2, AlertState::ReturnedUnacknowledged));
    assert_eq!((returned.cleared_at, returned.value), (Some(at(20)), Some(1.5)));
    assert!(
        returned.text.vi.contains("đã xuống dưới ngưỡng, mực nước 1,5"),
        "{}",
        returned.text.vi
    );
    let (outcome, record) = desk.carry_out(&acknowledge(&id, "k", "Lan", Some(2)), at(51));
    let record = record.unwrap();
    assert_eq!((record.rev, record.state), (3, AlertState::Normal));
    assert_eq!(outcome, CommandOutcome::Done(Changed::Alert(Box::new(record))));
    assert_eq!(desk.open_count(), 0);

    let (mut desk, subject, id) = desk_with_one();
    let (_, record) = desk.carry_out(&acknowledge(&id, "k", "Lan", Some(1)), at(51));
    assert_eq!(record.unwrap().state, AlertState::Acknowledged);
    let over = tell_one(&mut desk, &clear(&subject, 10, 60), 61);
    assert_eq!((over.rev, over.state), (3, AlertState::Normal));
    assert_eq!(over.acknowledgement.unwrap().by, "Lan");
}

#[test]
fn a_notice_needs_nobody_to_take_it_off_the_list() {
    let low = Rule { severity: Severity::LOW, ..rule("notice", limit(None, 0, 0)) };
    let subject = Subject { edition: edition(low), ..subject() };
    let mut desk = Desk::default();
    tell_one(&mut desk, &raise(&subject, 10), 11);
    let over = tell_one(&mut desk, &clear(&subject, 10, 20), 21);
    assert_eq!(over.state, AlertState::Normal);
}

#[test]
fn what_was_told_before_changes_nothing() {
    let (mut desk, subject, _) = desk_with_one();
    assert!(tell(&mut desk, &raise(&subject, 10), 99).is_empty());
    assert!(!tell(&mut desk, &clear(&subject, 10, 20), 99).is_empty());
    assert!(tell(&mut desk, &clear(&subject, 10, 20), 99).is_empty());
    assert!(tell(&mut desk, &raise(&subject, 10), 99).is_empty());
    assert!(tell(&mut desk, &clear(&subject, 7, 20), 99).is_empty(), "never raised");
}

#[test]
fn commands_tell_who_was_first() {
    let (mut desk, subject, id) = desk_with_one();
    let unknown = acknowledge(&AlertId::from_text("nonsense"), "k0", "Lan", None);
    assert_eq!(desk.carry_out(&unknown, at(51)), (CommandOutcome::Unknown, None));

    let (first, record) = desk.carry_out(&acknowledge(&id, "k1", "Lan", Some(1)), at(51));
    assert!(
        matches!(&first, CommandOutcome::Done(Changed::Alert(done)) if Some(&**done) == record.as_ref())
    );
    let again = desk.carry_out(&acknowledge(&id, "k1", "Lan", Some(1)), at(52));
    assert_eq!(again, (first, None), "the same key gets the same answer");

    for (key, by, seen) in [("k2", "Minh", Some(1)), ("k3", "Minh", Some(2)), ("k4", "Minh", None)]
    {
        let (outcome, record) = desk.carry_out(&acknowledge(&id, key, by, seen), at(53));
        assert!(matches!(outcome, CommandOutcome::Stale(held) if held.rev == 2), "{key}");
        assert!(record.is_none());
    }
    // Lan's answer was lost in a crash, and she asks again with a new key.
    let (outcome, record) = desk.carry_out(&acknowledge(&id, "k5", "Lan", Some(1)), at(54));
    assert!(
        matches!(outcome, CommandOutcome::Done(Changed::Alert(held)) if held.rev == 2)
            && record.is_none()
    );

    tell_one(&mut desk, &clear(&subject, 10, 60), 61);
    let (outcome, _) = desk.carry_out(&acknowledge(&id, "k6", "Minh", Some(2)), at(62));
    assert!(matches!(outcome, CommandOutcome::Over(held) if held.rev == 3));
}

#[test]
fn notes_are_cut_to_a_length_the_log_takes() {
    let (mut desk, _, id) = desk_with_one();
    let mut command = acknowledge(&id, "k", &"x".repeat(9_999), None);
    command.order = order(&id, None, &"ghi".repeat(9_999));
    let taken = desk.carry_out(&command, at(51)).1.unwrap().acknowledgement.unwrap();
    assert_eq!((taken.note.chars().count(), taken.by.chars().count()), (NOTE_CHARS, NAME_CHARS));
}

#[test]
fn what_is_over_is_forgotten_in_the_end_and_what_is_open_never() {
    let (mut desk, subject) = (Desk::default(), subject());
    let first = tell_one(&mut desk, &raise(&subject, 1), 1);
    let over = |n: i64| AlertRecord {
        id: AlertId::from_text(&format!("{n}")),
        state: AlertState::Normal,
        ..first.clone()
    };
    (0..MOST_CLOSED as i64 + 10).for_each(|n| desk.fold(over(n)));
    assert_eq!((desk.alerts.len(), desk.open_count()), (MOST_CLOSED + 1, 1));
    assert_eq!(desk.open()[0].id, first.id);
    for n in 0..MOST_ANSWERS + 10 {
        desk.carry_out(
            &acknowledge(&AlertId::from_text("no"), &format!("k{n}"), "Lan", None),
            at(1),
        );
    }
    assert_eq!((desk.answers.len(), desk.keys.len()), (MOST_ANSWERS, MOST_ANSWERS));
}

#[test]
fn a_newer_alert_stands_for_one_that_nobody_took() {
    let (mut desk, subject, id) = desk_with_one();
    tell_one(&mut desk, &clear(&subject, 10, 20), 21);
    let told = tell(&mut desk, &raise(&subject, 30), 31);
    assert_eq!(changes(&told), [(30, Change::Raised), (10, Change::Superseded)]);
    assert_eq!((told[1].rev, told[1].state, &told[1].id), (3, AlertState::Normal, &id));
    assert_eq!((told[1].event_time, told[1].recorded_at), (at(30), at(31)));
    assert!(told[1].text.vi.starts_with("Được thay bằng cảnh báo mới. "), "{}", told[1].text.vi);
    assert_eq!(desk.open_count(), 1);
    for again in [raise(&subject, 10), clear(&subject, 10, 20), raise(&subject, 30)] {
        assert_eq!(tell(&mut desk, &again, 99), [], "told before");
    }
    // Another series and another rule have lists of their own.
    let other = Subject { device: device_id("stn-b"), ..subject.clone() };
    tell_one(&mut desk, &clear(&subject, 30, 40), 41);
    tell_one(&mut desk, &raise(&other, 50), 51);
    let other = Subject { edition: edition(rule("flood-2", limit(None, 0, 0))), ..subject };
    tell_one(&mut desk, &raise(&other, 50), 51);
    assert_eq!(desk.open_count(), 3);
}

#[test]
fn an_older_episode_found_late_does_not_stand_for_a_newer_one() {
    let (mut desk, subject, _) = desk_with_one();
    tell_one(&mut desk, &clear(&subject, 10, 20), 21);
    assert_eq!(changes(&tell(&mut desk, &raise(&subject, 5), 22)), [(5, Change::Raised)]);
    let told = tell(&mut desk, &clear(&subject, 5, 7), 22);
    assert_eq!(changes(&told), [(5, Change::Cleared), (5, Change::Superseded)]);
    assert_eq!(desk.open()[0].started_at, at(10));
}

#[test]
fn what_a_crash_cut_off_after_a_raise_is_done_when_it_is_told_again() {
    let (mut desk, subject, _) = desk_with_one();
    let mut log = vec![desk.open()[0].clone()];
    log.extend(tell(&mut desk, &clear(&subject, 10, 20), 21));
    log.extend(tell(&mut desk, &raise(&subject, 30), 31));
    for is_told_again in [true, false] {
        let mut after = Desk::default();
        log[..3].iter().for_each(|record| after.fold(record.clone()));
        let mut out = Vec::new();
        if is_told_again {
            out.extend(tell(&mut after, &raise(&subject, 10), 31));
        }
        after.tidy(at(31), &mut out);
        assert_eq!(out, log[3..]);
    }
}

#[test]
fn a_full_list_lets_the_least_severe_of_the_oldest_go_and_never_what_still_holds() {
    let (mut desk, holding) = (Desk::default(), subject());
    tell_one(&mut desk, &raise(&holding, 1), 1);
    let waiting = |n: usize, severity| {
        let state = AlertState::ReturnedUnacknowledged;
        let device = device_id(&format!("d-{n}"));
        let id = AlertId::from_text(&format!("{n}"));
        let started_at = at(n as i64);
        AlertRecord { id, state, device, severity, started_at, ..desk.open()[0].clone() }
    };
    let severity = |n| if n < 9 { Severity::CRITICAL } else { Severity::HIGH };
    let many: Vec<_> = (2..=MOST_OPEN).map(|n| waiting(n, severity(n))).collect();
    many.into_iter().for_each(|record| desk.fold(record));
    assert_eq!(desk.open_count(), MOST_OPEN);
    let next = Subject { device: device_id("stn-b"), ..holding.clone() };
    let told = tell(&mut desk, &raise(&next, 50_000), 50_000);
    assert_eq!(changes(&told), [(50_000, Change::Raised), (9, Change::Superseded)]);
    assert!(told[1].text.en.starts_with("Taken off the list"), "{}", told[1].text.en);
    assert_eq!(desk.open_count(), MOST_OPEN);

    // Where every condition holds, nothing gives way.
    let mut desk = Desk::default();
    for n in 0..MOST_OPEN + 2 {
        let device = device_id(&format!("d-{n}"));
        tell_one(&mut desk, &raise(&Subject { device, ..holding.clone() }, 1), 1);
    }
    assert_eq!(desk.open_count(), MOST_OPEN + 2);
}

#[test]
fn the_end_of_an_episode_is_told_by_the_side_of_its_limit() {
    let threshold = |bound, clear| Condition::Threshold {
        limit: Limit { bound, clear, for_ms: 0, clear_for_ms: 0 },
    };
    for (condition, value, vi, en) in [
        (limit(None, 0, 0), Some(1.5), "đã xuống dưới ngưỡng, mực nước 1,5", "has fallen below"),
        (limit(None, 0, 0), None, "đã xuống dưới ngưỡng tại", "has fallen below the limit at"),
        (
            threshold(Bound::Below(4.0), Some(4.3)),
            Some(4.5),
            "đã tăng lên trên ngưỡng,",
            "has risen",
        ),
        (
            threshold(Bound::AtMost(4.0), None),
            None,
            "đã tăng lên trên ngưỡng tại",
            "has risen above",
        ),
        (
            threshold(Bound::Above(0.0), None),
            Some(0.0),
            "đã về trong ngưỡng,",
            "is within the limit",
        ),
        (threshold(Bound::Above(9.0), None), None, "đã về trong ngưỡng tại", "is within the limit"),
        (
            threshold(Bound::Above(9.0), None),
            Some(8.0),
            "đã xuống dưới ngưỡng,",
            "has fallen below",
        ),
        (Condition::Absence { missing_ms: 1 }, None, "đã có số liệu trở lại tại", "readings again"),
    ] {
        let registry = registry();
        let subject = Subject { edition: edition(rule("r", condition)), ..subject() };
        let text = Scene::new(&registry, &subject).cleared(value, at(0));
        assert!(text.vi.contains(vi) && text.en.contains(en), "{vi}: {text:?}");
        assert!(!text.vi.contains("bình thường") && !text.en.contains("normal"), "{text:?}");
    }
}

#[test]
fn a_key_is_for_one_order_about_one_alert() {
    let (mut desk, subject, id) = desk_with_one();
    let other = Subject { device: device_id("stn-b"), ..subject };
    let other = tell_one(&mut desk, &raise(&other, 10), 11).id;
    desk.carry_out(&acknowledge(&id, "k", "Lan", None), at(51));
    let told = desk.carry_out(&acknowledge(&other, "k", "Lan", None), at(52));
    assert_eq!(told, (CommandOutcome::KeyReused, None));
    assert_eq!(desk.alerts[&other].state, AlertState::Unacknowledged);
    let order = order(&id, None, "khác");
    let told = desk.carry_out(&Command { order, ..acknowledge(&id, "k", "Lan", None) }, at(53));
    assert_eq!(told, (CommandOutcome::KeyReused, None));
    let (told, _) = desk.carry_out(&acknowledge(&id, "k", "Lan", None), at(54));
    assert!(matches!(told, CommandOutcome::Done(_)));
}

#[derive(Clone, Debug)]
enum Act {
    Raise(i64),
    Clear(i64),
    Acknowledge(i64, u8, Option<u32>),
    Withdraw(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let alert = 0_i64..4;
    let act = prop_oneof![
        alert.clone().prop_map(Act::Raise),
        alert.clone().prop_map(Act::Clear),
        (alert.clone(), any::<u8>(), proptest::option::of(0_u32..4))
            .prop_map(|(alert, key, rev)| Act::Acknowledge(alert, key, rev)),
        alert.prop_map(Act::Withdraw),
    ];
    proptest::collection::vec(act, 0..60)
}

proptest! {
    /// Whatever is told in whatever order: revisions count up by one, the first is the raise,
    /// nothing follows the end, only the newest alert waits for a person after its condition has
    /// gone, and folding the log gives the desk back.
    #[test]
    fn the_log_of_a_desk_is_a_lifecycle(acts in acts()) {
        let (subject, registry) = (subject(), registry());
        let mut desk = Desk::default();
        let mut log: Vec<AlertRecord> = Vec::new();
        for act in acts {
            let id = |alert| subject.episode(at(alert));
            match act {
                Act::Raise(alert) => desk.apply(&raise(&subject, alert), &registry, at(9), &mut log),
                Act::Clear(alert) => {
                    desk.apply(&clear(&subject, alert, 9), &registry, at(9), &mut log);
                }
                Act::Acknowledge(alert, key, rev) => {
                    let command = acknowledge(&id(alert), &format!("{key}"), "Lan", rev);
                    log.extend(desk.carry_out(&command, at(9)).1);
                }
                Act::Withdraw(alert) => desk.withdraw(&id(alert), true, at(9), &mut log),
            }
            let open = desk.open();
            let (newest, others) = open.split_last().map_or((None, &[][..]), |(n, o)| (Some(n), o));
            let waits = |alert: &&AlertRecord| alert.state == AlertState::ReturnedUnacknowledged;
            prop_assert!(!others.iter().any(waits), "{:?} before {:?}", others, newest);
        }
        let mut folded = Desk::default();
        for record in &log {
            let before = folded.alerts.get(&record.id);
            let rev = before.map_or(0, |held| held.rev);
            prop_assert_eq!(record.rev, rev + 1);
            prop_assert_eq!(record.change == Change::Raised, rev == 0);
            let may = match before.map(|held| held.state) {
                None => [AlertState::Unacknowledged, AlertState::Unacknowledged],
                Some(AlertState::Unacknowledged) => {
                    [AlertState::Acknowledged, AlertState::ReturnedUnacknowledged]
                }
                Some(AlertState::Acknowledged | AlertState::ReturnedUnacknowledged) => {
                    [AlertState::Normal, AlertState::Normal]
                }
                Some(AlertState::Latched | AlertState::Normal) => return Err(TestCaseError::fail("after the end")),
            };
            prop_assert!(may.contains(&record.state), "{:?} to {:?}", before, record.state);
            folded.fold(record.clone());
        }
        prop_assert_eq!(folded.open_count(), desk.open().len());
        prop_assert_eq!(folded.alerts, desk.alerts);
    }
}
