//! Escalations as stories: what happens, when, and what is due then.

use std::collections::BTreeMap;

use sen_model::alert::{Acknowledgement, Explanation, Shelving, Suppression};
use sen_model::{Change, DeviceId, Field, OnCallRecord, RuleId, Severity, Text};

use super::*;
use crate::settings::OnCall;
use crate::settings::tests::sample;

/// A Wednesday at noon: it is An's turn, and Chi's among the chiefs.
const NOON: &str = "2026-11-04T12:00:00+07:00";

pub(crate) fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

pub(crate) fn alert(severity: Severity, at: Timestamp) -> AlertRecord {
    AlertRecord {
        text: Text::new("Mực nước vượt báo động III", "Water above alarm level III"),
        ..AlertRecord::raised(
            AlertId::from_text("a"),
            RuleId::new("flood").unwrap(),
            "v".into(),
            severity,
            Field::Environment,
            DeviceId::new("stn-my-tho").unwrap(),
            at,
        )
    }
}

/// A book with one alert, a clock, and everything that was ever recorded.
struct Story {
    on: OnCall,
    notes: BTreeMap<String, OnCallRecord>,
    book: Book,
    alert: AlertRecord,
    now: Timestamp,
    log: Vec<Delivery>,
}

impl Story {
    fn of(severity: Severity) -> Self {
        Self::begun(severity, noon())
    }

    fn begun(severity: Severity, now: Timestamp) -> Self {
        let alert = alert(severity, now);
        let mut book = Book::default();
        let (on, notes, log) = (sample(), BTreeMap::new(), Vec::new());
        book.fold_alert(&Arc::new(alert.clone()), &on.policies);
        Self { on, notes, book, alert, now, log }
    }

    /// Lets time go by and takes what becomes due, told as `step person channel state`.
    fn after(&mut self, seconds: i64) -> Vec<String> {
        self.now = self.now.plus_ms(seconds * 1_000);
        let mut told = Vec::new();
        loop {
            let rota = Rota { on: &self.on, entries: &self.notes };
            let due = self.book.due(rota, self.now);
            if due.is_empty() {
                return told;
            }
            for record in due {
                let Delivery { step, person, channel, state, .. } = &record;
                told.push(format!("{step} {person} {channel} {state:?}").to_lowercase());
                self.book.fold_delivery(&record);
                self.log.push(record);
            }
        }
    }

    /// A try of what was last recorded for a step ends.
    fn ends(&mut self, step: u32, channel: &str, state: DeliveryState) {
        let wanted = |known: &&Delivery| known.step == step && known.channel == channel;
        let delivery = self.log.iter().rfind(wanted).unwrap().clone();
        self.book.set_out(&delivery.alert, &delivery.id);
        let now = self.now;
        let record = self.book.came_back(&delivery.alert, &delivery.id, state, "why", now);
        if let Some(record) = record {
            self.book.fold_delivery(&record);
            self.log.push(record);
        }
    }

    /// The alert changes.
    fn changes(&mut self, change: Change, how: impl FnOnce(&mut AlertRecord)) {
        how(&mut self.alert);
        self.alert.rev += 1;
        self.alert.change = change;
        self.alert.recorded_at = self.now;
        self.book.fold_alert(&Arc::new(self.alert.clone()), &self.on.policies);
    }

    fn acknowledged(&mut self, by: &str) {
        let (by, at, note) = (by.to_owned(), self.now, String::new());
        self.changes(Change::Acknowledged, |alert| {
            alert.state = AlertState::Acknowledged;
            alert.acknowledgement = Some(Acknowledgement { by, at, note });
        });
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_unanswered_step_gives_way_to_the_next() {
    let mut story = Story::of(Severity::CRITICAL);
    assert_eq!(story.after(0), ["1 an push waiting"]);
    story.ends(1, "push", DeliveryState::Delivered);
    assert_eq!(story.after(119), NOTHING);
    assert_eq!(story.after(1), ["1 an sms waiting"]);
    story.ends(1, "sms", DeliveryState::Delivered);
    assert_eq!(story.after(120), ["2 chi sms waiting"]);
    story.ends(2, "sms", DeliveryState::Delivered);
    assert_eq!(story.after(299), NOTHING);
    assert_eq!(story.after(1), ["3 an push waiting"], "once more from the beginning");
    assert_eq!(story.after(120), ["3 an sms waiting"]);
    assert_eq!(story.after(120), ["4 chi sms waiting"]);
    assert_eq!(story.after(299), NOTHING);
    assert_eq!((story.book.unanswered(), story.book.newly_unanswered().len()), (0, 0));
    assert_eq!(story.after(1), NOTHING, "that was all");
    assert_eq!(story.book.wake(), Some(story.now.plus_ms(900_000)));
    assert_eq!((story.book.unanswered(), story.book.newly_unanswered().len()), (1, 1));
    assert_eq!(story.after(899), NOTHING);
    assert_eq!(story.book.newly_unanswered().len(), 0, "told once");
    assert_eq!(story.after(1), ["5 an push waiting"], "what is critical begins again");
    assert_eq!(story.after(120), ["5 an sms waiting"]);
    assert_eq!(story.book.unanswered(), 1, "still");
    story.acknowledged("chi");
    story.after(0);
    assert_eq!(story.book.unanswered(), 0);
}

#[test]
fn what_is_not_critical_counts_as_unanswered_and_ends() {
    let mut story = Story::of(Severity::HIGH);
    let mut told = 0;
    for _ in 0..1_000 {
        told += story.after(60).len();
    }
    assert!(told > 0);
    assert_eq!((story.book.unanswered(), story.book.wake().unwrap().as_millis()), (1, i64::MAX));
    assert_eq!(story.book.newly_unanswered().len(), 1);
}

#[test]
fn channels_that_fail_at_once_do_not_bring_the_repetition_forward() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Failed);
    story.after(0);
    story.ends(1, "sms", DeliveryState::Failed);
    story.after(0);
    story.ends(2, "sms", DeliveryState::Failed);
    // Two channels of two minutes and one of five.
    assert_eq!(story.after(539), NOTHING);
    assert_eq!(story.after(1), ["3 an push waiting"]);
}

fn explained(story: &mut Story) {
    let why = Explanation::Dependency {
        alert: AlertId::from_text("gateway"),
        device: DeviceId::new("gateway-1").unwrap(),
    };
    let at = story.now;
    story.changes(Change::Suppressed, |alert| {
        alert.suppression = Some(Suppression { why, at, until: None });
    });
}

#[test]
fn a_gateway_that_comes_and_goes_does_not_begin_it_anew() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Delivered);
    let mut told = Vec::new();
    for _ in 0..10 {
        explained(&mut story);
        told.extend(story.after(20));
        story.changes(Change::Unsuppressed, |alert| alert.suppression = None);
        told.extend(story.after(20));
    }
    told.retain(|told| told.ends_with("waiting"));
    told.dedup();
    assert_eq!(told[..1], ["1 an sms waiting"], "it goes on");
    assert!(told.contains(&"2 chi sms waiting".to_owned()), "{told:?}");
    // Long after everything would have been over it is another matter.
    explained(&mut story);
    story.after(1_081);
    story.changes(Change::Unsuppressed, |alert| alert.suppression = None);
    assert_eq!(story.after(0), ["1 an push waiting"]);
}

#[test]
fn what_was_cancelled_meanwhile_begins_anew_under_its_key() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    explained(&mut story);
    assert_eq!(story.after(30), ["1 an push cancelled"]);
    story.changes(Change::Unsuppressed, |alert| alert.suppression = None);
    assert_eq!(story.after(0), ["1 an push waiting"]);
    assert_eq!((story.log[2].id.clone(), story.log[2].rev), (story.log[0].id.clone(), 3));
    assert_eq!(story.book.fresh.len(), 1, "to be sent");
    assert_eq!(story.after(89), NOTHING);
    assert_eq!(story.after(1), ["1 an sms waiting"]);
}

#[test]
fn a_clock_that_is_set_neither_holds_nor_hastens_it() {
    for set_by in [-3_600, 3_600] {
        let mut story = Story::of(Severity::CRITICAL);
        story.after(0);
        story.ends(1, "push", DeliveryState::Delivered);
        story.after(60);
        story.now = story.now.plus_ms(set_by * 1_000);
        story.book.clock_was_set(set_by * 1_000);
        assert_eq!(story.after(59), NOTHING);
        assert_eq!(story.after(1), ["1 an sms waiting"]);
    }
}

#[test]
fn a_channel_that_is_stuck_does_not_hold_the_escalation() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Waiting);
    story.ends(1, "push", DeliveryState::Waiting);
    assert_eq!(story.after(120), ["1 an sms waiting"]);
    assert_eq!(story.after(120), ["2 chi sms waiting"]);
}

#[test]
fn what_fails_for_good_counts_as_unanswered_at_once() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Failed);
    assert_eq!(story.after(1), ["1 an sms waiting"], "the next channel");
    story.ends(1, "sms", DeliveryState::Failed);
    assert_eq!(story.after(0), ["2 chi sms waiting"], "the next step");
}

#[test]
fn whoever_cannot_be_reached_is_passed_over() {
    // It is Bình's turn, who takes no push messages.
    let mut story = Story::begun(Severity::CRITICAL, "2026-11-11T12:00:00+07:00".parse().unwrap());
    assert_eq!(story.after(0), ["1 binh push failed", "1 binh sms waiting"]);
    // Nobody is there at all.
    let mut story = Story::of(Severity::CRITICAL);
    for (n, person) in ["an", "binh", "chi"].iter().enumerate() {
        let (from, until) = (story.now.plus_ms(-1), story.now.plus_ms(1_000_000));
        let entry = sen_model::OnCallEntry::Absence {
            person: (*person).to_owned(),
            from,
            until,
            reason: String::new(),
        };
        let id = n.to_string();
        let record =
            OnCallRecord { id: id.clone(), rev: 1, open: true, by: "t".into(), at: from, entry };
        story.notes.insert(id, record);
    }
    let told = story.after(0);
    assert_eq!(told, ["1 nobody push failed", "1 nobody sms failed", "2 chi sms failed"]);
    assert_eq!(story.after(540).len(), 3, "once more, when the policy says so");
}

#[test]
fn an_acknowledgement_stops_it_and_is_noted_with_whoever_gave_it() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Delivered);
    story.after(120);
    story.acknowledged("an");
    let mut told = story.after(0);
    told.sort();
    assert_eq!(told, ["1 an push acknowledged", "1 an sms acknowledged"]);
    assert_eq!(story.after(10_000), NOTHING);
}

#[test]
fn what_still_waits_is_cancelled_when_somebody_else_takes_it() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Delivered);
    story.after(120);
    // By the name that is shown on screens.
    story.acknowledged("Lê Kim Chi");
    assert_eq!(story.after(0), ["1 an sms cancelled"]);
    assert_eq!(story.after(10_000), NOTHING);
}

#[test]
fn what_is_under_way_is_recorded_as_it_ends() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    let id = story.log[0].id.clone();
    story.book.set_out(&story.alert.id.clone(), &id);
    story.acknowledged("an");
    assert_eq!(story.after(1), NOTHING, "it may be out already");
    story.ends(1, "push", DeliveryState::Delivered);
    assert_eq!(story.after(0), ["1 an push acknowledged"]);
}

#[test]
fn everything_that_takes_an_alert_off_the_list_stops_it() {
    type How = (Change, fn(&mut AlertRecord));
    let ways: [How; 5] = [
        (Change::Cleared, |alert| alert.state = AlertState::Normal),
        (Change::Closed, |alert| alert.state = AlertState::Normal),
        (Change::Shelved, |alert| {
            let (by, reason, at) = (String::new(), String::new(), alert.started_at);
            alert.shelving = Some(Shelving { by, at, reason, until: at, one_shot: false });
        }),
        (Change::Suppressed, |alert| {
            let why = Explanation::Maintenance { entry: "work-1".into() };
            alert.suppression = Some(Suppression { why, at: alert.started_at, until: None });
        }),
        (Change::TakenOut, |alert| alert.out_of_service = Some("out-1".into())),
    ];
    for (change, how) in ways {
        let mut story = Story::of(Severity::CRITICAL);
        story.after(0);
        story.changes(change, how);
        assert_eq!(story.after(0), ["1 an push cancelled"], "{change:?}");
        assert_eq!(story.after(100_000), NOTHING, "{change:?}");
        story.book.prune();
        assert_eq!(story.book.cases.is_empty(), !story.alert.state.is_open(), "{change:?}");
    }
}

#[test]
fn an_alert_that_comes_back_from_the_shelf_starts_again() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Delivered);
    story.changes(Change::Shelved, |alert| {
        let (by, reason, at) = (String::new(), String::new(), alert.started_at);
        alert.shelving = Some(Shelving { by, at, reason, until: at, one_shot: false });
    });
    assert_eq!(story.after(3_600), NOTHING);
    story.changes(Change::Unshelved, |alert| alert.shelving = None);
    assert_eq!(story.after(0), ["1 an push waiting"]);
    assert_ne!(story.log[0].id, story.log.last().unwrap().id, "another escalation, another key");
}

#[test]
fn changes_that_are_no_answer_do_not_disturb_it() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    for change in [Change::Assigned, Change::Noted, Change::Updated] {
        story.changes(change, |alert| alert.value = Some(2.0));
        assert_eq!(story.after(10), NOTHING, "{change:?}");
    }
    story.changes(Change::Cleared, |alert| alert.state = AlertState::ReturnedUnacknowledged);
    assert_eq!(story.after(90), ["1 an sms waiting"], "nobody has taken it yet");
}

#[test]
fn milder_alerts_wait_for_their_delay_and_for_the_morning() {
    let mut story = Story::of(Severity::HIGH);
    assert_eq!(story.after(29), NOTHING);
    assert_eq!(story.after(1), ["1 an email waiting"]);
    let night = "2026-11-04T23:00:00+07:00".parse().unwrap();
    let mut story = Story::begun(Severity::LOW, night);
    assert_eq!(story.after(7 * 3_600 - 1), NOTHING);
    assert_eq!(story.after(1), ["1 binh email waiting"], "An is away from midnight on");
    let mut story = Story::begun(Severity::CRITICAL, night);
    assert_eq!(story.after(0), ["1 an push waiting"]);
}

#[test]
fn after_a_night_without_us_it_goes_on_where_it_was() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    story.ends(1, "push", DeliveryState::Delivered);
    // A new process: what it knows is a checkpoint, or the topics from their beginning.
    let saved = serde_json::to_vec(&story.book).unwrap();
    let mut read: Book = serde_json::from_slice(&saved).unwrap();
    read.take_up();
    let mut folded = Book::default();
    story.log.iter().for_each(|record| folded.fold_delivery(record));
    folded.fold_alert(&Arc::new(story.alert.clone()), &story.on.policies);
    for book in [read, folded] {
        let (on, notes, log) = (sample(), BTreeMap::new(), story.log.clone());
        let (alert, now) = (story.alert.clone(), story.now);
        let mut again = Story { on, notes, book, alert, now, log };
        assert_eq!(again.after(0), NOTHING, "nothing is told twice");
        assert_eq!(again.after(119), NOTHING);
        assert_eq!(again.after(36_000), ["1 an sms waiting"], "one step, not all at once");
        assert_eq!(again.after(120), ["2 chi sms waiting"]);
    }
}

#[test]
fn a_delivery_without_its_alert_is_cancelled() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    let mut book = Book::default();
    book.fold_delivery(&story.log[0]);
    story.book = book;
    assert_eq!(story.after(0), ["1 an push cancelled"]);
    story.book.prune();
    assert!(story.book.cases.is_empty());
}

#[test]
fn an_hour_without_a_relay_does_not_fill_the_log() {
    let mut story = Story::of(Severity::CRITICAL);
    story.after(0);
    for _ in 0..1_000 {
        story.ends(1, "push", DeliveryState::Waiting);
    }
    assert_eq!(story.log.len(), 1 + 10, "tries 1, 2, 4 … 512");
    assert_eq!(story.log.last().unwrap().attempts, 512);
    story.ends(1, "push", DeliveryState::Delivered);
    assert_eq!(story.log.last().unwrap().attempts, 1_001);
}
