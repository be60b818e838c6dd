//! The lifecycle, the commands, and the words of the desk.

use std::sync::Arc;

use proptest::prelude::*;
use sen_model::{Rule, Severity};

use super::*;
use crate::fixtures::{at, device_id, limit, metric, registry, rule};
use crate::transition::Edition;

fn edition(rule: Rule) -> Edition {
    Edition { version: rule.version().into(), rule: Arc::new(rule) }
}

fn subject() -> Subject {
    let edition = edition(rule("flood-3", limit(None, 0, 0)));
    Subject { edition, device: device_id("stn-a"), metric: Some(metric("level")) }
}

fn raise(subject: &Subject, start: i64) -> Transition {
    let (started_at, event_time) = (at(start), at(start));
    Transition::Raise {
        subject: subject.clone(),
        started_at,
        event_time,
        value: Some(1.62),
        late: false,
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

fn acknowledge(id: &AlertId, key: &str, by: &str, expected_rev: Option<u32>) -> Command {
    Command {
        idempotency_key: key.into(),
        alert: id.clone(),
        expected_rev,
        order: Order::Acknowledge { note: "đã gọi".into() },
        by: by.into(),
        at: at(50),
    }
}

/// A desk with one alert raised at 10.
fn desk_with_one() -> (Desk, Subject, AlertId) {
    let (mut desk, subject) = (Desk::default(), subject());
    let record = desk.apply(&raise(&subject, 10), &registry(), at(11)).unwrap();
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
    let returned = desk.apply(&clear(&subject, 10, 20), &registry(), at(21)).unwrap();
    assert_eq!((returned.rev, returned.state), (2, AlertState::ReturnedUnacknowledged));
    assert_eq!((returned.cleared_at, returned.value), (Some(at(20)), Some(1.5)));
    assert!(
        returned.text.vi.contains("đã trở lại bình thường, mực nước 1,5 m"),
        "{}",
        returned.text.vi
    );
    let (outcome, record) = desk.carry_out(&acknowledge(&id, "k", "Lan", Some(2)), at(51));
    let record = record.unwrap();
    assert_eq!((record.rev, record.state), (3, AlertState::Normal));
    assert_eq!(outcome, CommandOutcome::Done(record));
    assert_eq!(desk.open_count(), 0);

    let (mut desk, subject, id) = desk_with_one();
    let (_, record) = desk.carry_out(&acknowledge(&id, "k", "Lan", Some(1)), at(51));
    assert_eq!(record.unwrap().state, AlertState::Acknowledged);
    let over = desk.apply(&clear(&subject, 10, 60), &registry(), at(61)).unwrap();
    assert_eq!((over.rev, over.state), (3, AlertState::Normal));
    assert_eq!(over.acknowledgement.unwrap().by, "Lan");
}

#[test]
fn a_notice_needs_nobody_to_take_it_off_the_list() {
    let low = Rule { severity: Severity::LOW, ..rule("notice", limit(None, 0, 0)) };
    let subject = Subject { edition: edition(low), ..subject() };
    let mut desk = Desk::default();
    desk.apply(&raise(&subject, 10), &registry(), at(11)).unwrap();
    let over = desk.apply(&clear(&subject, 10, 20), &registry(), at(21)).unwrap();
    assert_eq!(over.state, AlertState::Normal);
}

#[test]
fn what_was_told_before_changes_nothing() {
    let (mut desk, subject, _) = desk_with_one();
    assert!(desk.apply(&raise(&subject, 10), &registry(), at(99)).is_none());
    assert!(desk.apply(&clear(&subject, 10, 20), &registry(), at(99)).is_some());
    assert!(desk.apply(&clear(&subject, 10, 20), &registry(), at(99)).is_none());
    assert!(desk.apply(&raise(&subject, 10), &registry(), at(99)).is_none());
    assert!(desk.apply(&clear(&subject, 7, 20), &registry(), at(99)).is_none(), "never raised");
}

#[test]
fn commands_tell_who_was_first() {
    let (mut desk, subject, id) = desk_with_one();
    let unknown = acknowledge(&AlertId::from_text("nonsense"), "k0", "Lan", None);
    assert_eq!(desk.carry_out(&unknown, at(51)), (CommandOutcome::Unknown, None));

    let (first, record) = desk.carry_out(&acknowledge(&id, "k1", "Lan", Some(1)), at(51));
    assert!(matches!(&first, CommandOutcome::Done(done) if Some(done) == record.as_ref()));
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
    assert!(matches!(outcome, CommandOutcome::Done(held) if held.rev == 2) && record.is_none());

    desk.apply(&clear(&subject, 10, 60), &registry(), at(61)).unwrap();
    let (outcome, _) = desk.carry_out(&acknowledge(&id, "k6", "Minh", Some(2)), at(62));
    assert!(matches!(outcome, CommandOutcome::Over(held) if held.rev == 3));
}

#[test]
fn notes_are_cut_to_a_length_the_log_takes() {
    let (mut desk, _, id) = desk_with_one();
    let mut command = acknowledge(&id, "k", &"x".repeat(9_999), None);
    command.order = Order::Acknowledge { note: "ghi".repeat(9_999) };
    let taken = desk.carry_out(&command, at(51)).1.unwrap().acknowledgement.unwrap();
    assert_eq!((taken.note.chars().count(), taken.by.chars().count()), (NOTE_CHARS, NAME_CHARS));
}

#[test]
fn what_is_over_is_forgotten_in_the_end_and_what_is_open_never() {
    let (mut desk, subject) = (Desk::default(), subject());
    let first = desk.apply(&raise(&subject, 1), &registry(), at(1)).unwrap();
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
    /// nothing follows the end, and folding the log gives the desk back.
    #[test]
    fn the_log_of_a_desk_is_a_lifecycle(acts in acts()) {
        let (subject, registry) = (subject(), registry());
        let mut desk = Desk::default();
        let mut log: Vec<AlertRecord> = Vec::new();
        for act in acts {
            let id = |alert| subject.episode(at(alert));
            log.extend(match act {
                Act::Raise(alert) => desk.apply(&raise(&subject, alert), &registry, at(9)),
                Act::Clear(alert) => desk.apply(&clear(&subject, alert, 9), &registry, at(9)),
                Act::Acknowledge(alert, key, rev) => {
                    desk.carry_out(&acknowledge(&id(alert), &format!("{key}"), "Lan", rev), at(9)).1
                }
                Act::Withdraw(alert) => desk.withdraw(&id(alert), true, at(9)),
            });
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
                Some(AlertState::Normal) => return Err(TestCaseError::fail("after the end")),
            };
            prop_assert!(may.contains(&record.state), "{:?} to {:?}", before, record.state);
            folded.fold(record.clone());
        }
        prop_assert_eq!(folded.alerts, desk.alerts);
    }
}
