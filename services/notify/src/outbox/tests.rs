//! What goes out together, when, and again.

use std::sync::Arc;

use sen_model::{AlertRecord, Delivery};

use super::*;
use crate::escalation::stories::alert;

const PACE: Pace =
    Pace { gather_ms: 60_000, retry_most: Duration::from_secs(30), give_up_ms: 600_000 };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

struct Desk {
    book: Book,
    outbox: Outbox,
}

impl Desk {
    fn new() -> Self {
        Self { book: Book::default(), outbox: Outbox::new(PACE) }
    }

    /// A delivery that waits, about an alert of its own.
    fn waits(&mut self, id: &str, severity: Severity, person: &str, channel: &str, now: i64) {
        let record = AlertRecord { id: AlertId::from_text(id), ..alert(severity, at(now)) };
        self.book.fold_alert(&Arc::new(record), &[]);
        self.book.fold_delivery(&Delivery {
            id: format!("d-{id}"),
            rev: 1,
            alert: AlertId::from_text(id),
            step: 1,
            person: person.into(),
            channel: channel.into(),
            state: DeliveryState::Waiting,
            attempts: 0,
            at: at(now),
            detail: String::new(),
        });
    }

    /// What goes out at a moment: the numbers and the members of each message.
    fn goes_out(&mut self, now: i64) -> Vec<(u64, Vec<String>)> {
        self.outbox.gather(&mut self.book, at(now));
        let started = self.outbox.start(&mut self.book, at(now));
        let members = |number: &u64| {
            let parcel = self.outbox.parcel(*number).unwrap();
            parcel.members.iter().map(|(alert, _)| alert.to_string()).collect()
        };
        started.iter().map(|number| (*number, members(number))).collect()
    }

    fn ends(&mut self, number: u64, ended: Ended, now: i64) -> Vec<DeliveryState> {
        let verdicts = self.outbox.ended(number, ended, &self.book, at(now));
        let state = |(alert, id, verdict): (AlertId, String, Verdict)| {
            let record = self.book.came_back(&alert, &id, verdict.state, "", at(now));
            record.iter().for_each(|record| self.book.fold_delivery(record));
            verdict.state
        };
        verdicts.into_iter().map(state).collect()
    }
}

#[test]
fn the_first_goes_at_once_and_the_next_ones_together_later() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::MEDIUM, "an", "sms", 0);
    assert_eq!(desk.goes_out(0), [(0, vec!["a".to_owned()])]);
    for (n, severity) in [(1, Severity::LOW), (2, Severity::HIGH), (3, Severity::MEDIUM)] {
        desk.waits(&format!("b{n}"), severity, "an", "sms", n);
    }
    assert_eq!(desk.goes_out(59), []);
    assert_eq!(desk.outbox.wake(&desk.book, at(59)), Some(at(60)));
    let together = vec!["b2".to_owned(), "b3".to_owned(), "b1".to_owned()];
    assert_eq!(desk.goes_out(60), [(1, together)], "the worst first");
    assert_ne!(desk.outbox.parcel(1).unwrap().key, "d-b2", "a key of their own");
    assert_eq!(desk.outbox.parcel(0).unwrap().key, "d-a", "of one it is the delivery's id");
}

#[test]
fn other_people_and_channels_do_not_wait_for_it() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::LOW, "an", "sms", 0);
    desk.goes_out(0);
    desk.waits("b", Severity::LOW, "an", "email", 1);
    desk.waits("c", Severity::LOW, "binh", "sms", 1);
    assert_eq!(desk.goes_out(1).len(), 2);
}

#[test]
fn critical_ones_never_wait_and_take_the_others_along() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::LOW, "an", "sms", 0);
    desk.goes_out(0);
    desk.waits("b", Severity::LOW, "an", "sms", 1);
    assert_eq!(desk.goes_out(1), []);
    desk.waits("c", Severity::CRITICAL, "an", "sms", 2);
    assert_eq!(desk.goes_out(2), [(1, vec!["c".to_owned(), "b".to_owned()])]);
    desk.waits("d", Severity::CRITICAL, "an", "sms", 2);
    assert_eq!(desk.goes_out(2), [(2, vec!["d".to_owned()])], "at once again");
}

#[test]
fn a_flood_of_a_thousand_is_one_message() {
    let mut desk = Desk::new();
    for n in 0..1_000 {
        desk.waits(&format!("{n}"), Severity::CRITICAL, "an", "sms", 0);
    }
    let out = desk.goes_out(0);
    assert_eq!((out.len(), out[0].1.len()), (1, 1_000));
}

#[test]
fn places_are_bounded_by_the_channel_and_some_are_kept_for_the_worst() {
    let mut desk = Desk::new();
    for n in 0..20 {
        desk.waits(&format!("{n}"), Severity::LOW, &format!("p{n}"), "sms", 0);
    }
    let first = desk.goes_out(0);
    assert_eq!(first.len(), PLACES);
    assert_eq!(desk.outbox.wake(&desk.book, at(0)), None, "a place becomes free when a try ends");
    desk.waits("other", Severity::LOW, "p0", "email", 0);
    assert_eq!(desk.goes_out(0).len(), 1, "a stuck channel delays no other");
    desk.waits("worst", Severity::CRITICAL, "p0", "sms", 0);
    assert_eq!(desk.goes_out(0).len(), 1, "nor the worst");
    desk.ends(first[0].0, Ended::Taken, 1);
    assert_eq!(desk.goes_out(1).len(), 0, "five are still under way");
    desk.ends(first[1].0, Ended::Taken, 1);
    assert_eq!(desk.goes_out(1).len(), 1);
}

#[test]
fn what_fails_comes_again_later_and_later_with_the_same_key_until_time_is_up() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::HIGH, "an", "sms", 0);
    let (mut now, mut tries, mut pauses) = (0, 0, Vec::new());
    let mut keys = std::collections::BTreeSet::new();
    loop {
        let out = desk.goes_out(now);
        if let Some((number, _)) = out.first() {
            tries += 1;
            keys.insert(desk.outbox.parcel(*number).unwrap().key.clone());
            if desk.ends(*number, Ended::Again(Duration::ZERO), now) == [DeliveryState::Failed] {
                break;
            }
            let next = desk.outbox.wake(&desk.book, at(now)).unwrap();
            pauses.push(next.since_ms(at(now)));
        }
        now += 1;
    }
    assert!((600..640).contains(&now), "given up after {now} s");
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["d-a"]);
    assert!(tries < 60 && pauses[0] <= 1_000, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 30_000), "{pauses:?}");
    assert!(pauses.last().unwrap() >= &15_000, "{pauses:?}");
    assert_eq!(desk.goes_out(10_000), []);
}

#[test]
fn a_receiver_that_asks_for_a_rest_gets_it() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::HIGH, "an", "sms", 0);
    let (number, _) = desk.goes_out(0)[0];
    desk.ends(number, Ended::Again(Duration::from_secs(90)), 0);
    assert_eq!(desk.goes_out(89), []);
    assert_eq!(desk.goes_out(90).len(), 1);
}

#[test]
fn whoever_no_longer_waits_leaves_the_message() {
    let mut desk = Desk::new();
    for id in ["a", "b"] {
        desk.waits(id, Severity::CRITICAL, "an", "sms", 0);
    }
    let (number, _) = desk.goes_out(0)[0];
    let key = desk.outbox.parcel(number).unwrap().key.clone();
    desk.ends(number, Ended::Again(Duration::ZERO), 0);
    let mut cancelled = desk.book.known(&AlertId::from_text("a"), "d-a").unwrap().delivery.clone();
    cancelled.rev += 1;
    cancelled.state = DeliveryState::Cancelled;
    desk.book.fold_delivery(&cancelled);
    assert_eq!(desk.goes_out(10), [(number, vec!["b".to_owned()])]);
    assert_eq!(desk.outbox.parcel(number).unwrap().key, key, "the key stays");
}

#[test]
fn nothing_is_tried_again_before_the_log_has_how_it_ended() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::CRITICAL, "an", "sms", 0);
    let (number, _) = desk.goes_out(0)[0];
    let (alert, id) = (AlertId::from_text("a"), "d-a");
    // The log refuses the record of this try for a while.
    desk.outbox.ended(number, Ended::Again(Duration::ZERO), &desk.book, at(0));
    let owed = desk.book.came_back(&alert, id, DeliveryState::Waiting, "", at(0)).unwrap();
    assert_eq!(desk.goes_out(10), []);
    assert_eq!(desk.goes_out(300), []);
    desk.book.fold_delivery(&owed);
    let (number, _) = desk.goes_out(301)[0];
    desk.outbox.ended(number, Ended::Taken, &desk.book, at(301));
    let taken = desk.book.came_back(&alert, id, DeliveryState::Delivered, "", at(301)).unwrap();
    assert_eq!((owed.rev, taken.rev), (2, 3), "a revision of its own");
    desk.book.fold_delivery(&taken);
    let known = desk.book.known(&alert, id).unwrap();
    assert_eq!(known.delivery.state, DeliveryState::Delivered);
}

#[test]
fn a_receiver_that_asks_for_a_rest_gets_it_from_everybody() {
    let mut desk = Desk::new();
    desk.waits("a", Severity::HIGH, "an", "sms", 0);
    let (number, _) = desk.goes_out(0)[0];
    desk.ends(number, Ended::Again(Duration::from_secs(90)), 0);
    desk.waits("b", Severity::CRITICAL, "binh", "sms", 1);
    desk.waits("c", Severity::LOW, "binh", "email", 1);
    let out: Vec<_> = desk.goes_out(1).into_iter().map(|(_, members)| members).collect();
    assert_eq!(out, [["c".to_owned()]], "the critical one would only prolong it");
    assert_eq!(desk.outbox.wake(&desk.book, at(1)), Some(at(90)));
    assert_eq!(desk.goes_out(90).len(), 2);
    // Behind `push` there are many receivers.
    desk.waits("d", Severity::HIGH, "an", "push", 100);
    let (number, _) = desk.goes_out(100)[0];
    desk.ends(number, Ended::Again(Duration::from_secs(90)), 100);
    desk.waits("e", Severity::HIGH, "binh", "push", 101);
    assert_eq!(desk.goes_out(101).len(), 1);
}

#[test]
fn waits_move_with_a_clock_that_is_set() {
    for set_by in [-3_600, 3_600] {
        let mut desk = Desk::new();
        desk.waits("a", Severity::HIGH, "an", "sms", 0);
        let (number, _) = desk.goes_out(0)[0];
        desk.ends(number, Ended::Again(Duration::from_secs(30)), 0);
        desk.waits("b", Severity::LOW, "an", "sms", 1);
        desk.book.clock_was_set(set_by * 1_000);
        desk.outbox.clock_was_set(set_by * 1_000);
        assert_eq!(desk.goes_out(set_by + 29), []);
        let (number, _) = desk.goes_out(set_by + 30)[0];
        let again = Ended::Again(Duration::ZERO);
        assert_eq!(desk.ends(number, again, set_by + 30), [DeliveryState::Waiting], "not too old");
        let together = desk.goes_out(set_by + 60).into_iter().map(|(_, members)| members);
        assert!(together.flatten().any(|alert| alert == "b"));
    }
}
