//! The lifecycle and the words of the desk.

mod acts;
mod causes;
mod history;
mod noise;
mod orders;

use std::sync::Arc;

use sen_model::{Act, AlertState, Bound, Changed, Condition, Limit, Rule, Severity};

use super::answers::MOST_ANSWERS;
use super::*;
use crate::fixtures::{at, device_id, limit, metric, registry, rule};
use crate::transition::{Edition, Subject};
use crate::wording::{Scene, Unwatched};

const HOUR_MS: i64 = 3_600_000;

fn edition(rule: Rule) -> Edition {
    Edition::all_of(&rule).remove(0)
}

fn flood_3() -> Rule {
    rule("flood-3", limit(None, 0, 0))
}

fn subject() -> Subject {
    Subject {
        edition: edition(flood_3()),
        device: device_id("stn-a"),
        metric: Some(metric("level")),
        area: None,
    }
}

/// A desk of the small registry, with these rules in force.
fn desk_under(rules: &[Rule]) -> Desk {
    let mut desk = Desk::new(Around::new(Arc::new(registry()), 8 * HOUR_MS));
    desk.take_rules(rules, at(0), &mut Records::default());
    desk
}

fn desk() -> Desk {
    desk_under(&[flood_3()])
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
    let mut out = Records::default();
    desk.apply(transition, at(now), &mut out);
    out.alerts
}

/// Tells the desk one transition that makes one record.
fn tell_one(desk: &mut Desk, transition: &Transition, now: i64) -> AlertRecord {
    let mut out = tell(desk, transition, now);
    assert_eq!(out.len(), 1, "{out:?}");
    out.remove(0)
}

/// Gives the desk a command; gives the answer and what it recorded.
fn ask(desk: &mut Desk, command: &Command, now: i64) -> (CommandOutcome, Vec<AlertRecord>) {
    let mut out = Records::default();
    let outcome = desk.carry_out(command, at(now), &mut out);
    (outcome, out.alerts)
}

/// Lets time pass; gives what was recorded.
fn pass(desk: &mut Desk, now: i64) -> Records {
    let mut out = Records::default();
    desk.pass_time(at(now), &mut out);
    out
}

/// What was recorded: which episode, and what happened to it.
fn changes(records: &[AlertRecord]) -> Vec<(i64, Change)> {
    records.iter().map(|record| (record.started_at.as_millis(), record.change)).collect()
}

fn done(record: &AlertRecord) -> CommandOutcome {
    CommandOutcome::Done(Changed::Alert(Box::new(record.clone())))
}

fn command(id: &AlertId, key: &str, by: &str, expected_rev: Option<u32>, act: Act) -> Command {
    Command {
        idempotency_key: key.into(),
        order: Order::Alert { alert: id.clone(), expected_rev, act },
        by: by.into(),
        at: at(50),
    }
}

fn acknowledge(id: &AlertId, key: &str, by: &str, expected_rev: Option<u32>) -> Command {
    command(id, key, by, expected_rev, Act::Acknowledge { note: "đã gọi".into() })
}

/// A desk with one alert raised at 10.
fn desk_with_one() -> (Desk, Subject, AlertId) {
    let (mut desk, subject) = (desk(), subject());
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
    let (outcome, records) = ask(&mut desk, &acknowledge(&id, "k", "Lan", Some(2)), 51);
    assert_eq!((records[0].rev, records[0].state), (3, AlertState::Normal));
    assert_eq!(outcome, done(&records[0]));
    assert_eq!(desk.open_count(), 0);

    let (mut desk, subject, id) = desk_with_one();
    let (_, records) = ask(&mut desk, &acknowledge(&id, "k", "Lan", Some(1)), 51);
    assert_eq!(records[0].state, AlertState::Acknowledged);
    let over = tell_one(&mut desk, &clear(&subject, 10, 60), 61);
    assert_eq!((over.rev, over.state), (3, AlertState::Normal));
    assert_eq!(over.acknowledgement.unwrap().by, "Lan");
}

#[test]
fn a_notice_needs_nobody_to_take_it_off_the_list() {
    let low = Rule { severity: Severity::LOW, ..rule("notice", limit(None, 0, 0)) };
    let subject = Subject { edition: edition(low), ..subject() };
    let mut desk = desk();
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
fn what_is_over_is_forgotten_in_the_end_and_what_is_open_never() {
    let (mut desk, subject) = (desk(), subject());
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
        ask(&mut desk, &acknowledge(&AlertId::from_text("no"), &format!("k{n}"), "Lan", None), 1);
    }
    assert_eq!(desk.answers.len(), MOST_ANSWERS);
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
        let mut after = self::desk();
        log[..3].iter().for_each(|record| after.fold(record.clone()));
        let mut out = Records::default();
        if is_told_again {
            after.apply(&raise(&subject, 10), at(31), &mut out);
        }
        after.tidy(at(31), &mut out);
        assert_eq!(out.alerts, log[3..]);
    }
}

#[test]
fn a_full_list_lets_the_least_severe_of_the_oldest_go_and_never_what_still_holds() {
    let (mut desk, holding) = (desk(), subject());
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
    let mut desk = desk_under(&[]);
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
