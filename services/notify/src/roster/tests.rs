//! Who is on call: by example, and what always holds.

use proptest::prelude::*;
use sen_model::time::{HOUR_MS, MINUTE_MS};

use super::*;
use crate::rotation::{HandOvers, hours};
use crate::settings::tests::sample;

fn time(text: &str) -> Timestamp {
    format!("2026-11-{text}:00+07:00").parse().unwrap()
}

fn record(id: &str, at: i64, entry: OnCallEntry) -> OnCallRecord {
    let at = Timestamp::from_millis(at);
    OnCallRecord { id: id.into(), rev: 1, open: true, by: "test".into(), at, entry }
}

fn stand_in(person: &str, from: &str, until: &str) -> OnCallEntry {
    let (team, person) = ("duty".to_owned(), person.to_owned());
    OnCallEntry::Override { team, person, from: time(from), until: time(until) }
}

fn absent(person: &str, from: &str, until: &str) -> OnCallEntry {
    let (person, reason) = (person.to_owned(), String::new());
    OnCallEntry::Absence { person, from: time(from), until: time(until), reason }
}

fn entries(entries: Vec<OnCallRecord>) -> BTreeMap<String, OnCallRecord> {
    entries.into_iter().map(|record| (record.id.clone(), record)).collect()
}

#[test]
fn stand_ins_come_first_and_the_absent_are_passed_over() {
    let on = sample();
    let changes = entries(vec![
        record("1", 1, stand_in("chi", "07T08:00", "07T12:00")),
        record("2", 2, stand_in("binh", "07T10:00", "07T11:00")),
        record("3", 3, absent("binh", "10T00:00", "12T00:00")),
        record("4", 4, stand_in("binh", "11T00:00", "11T12:00")),
        record("5", 5, absent("chi", "11T00:00", "11T12:00")),
    ]);
    let rota = Rota { on: &on, entries: &changes };
    let cases = [
        ("04T12:00", "an", false),
        // The file says that she is away this day.
        ("05T12:00", "binh", true),
        ("06T00:00", "an", false),
        ("07T08:00", "chi", true),
        // The newer one counts.
        ("07T10:30", "binh", true),
        ("07T11:00", "chi", true),
        ("07T12:00", "an", false),
        ("09T12:00", "binh", false),
        ("10T12:00", "chi", true),
        // Whoever was to stand in is absent, and so is the next one.
        ("11T08:00", "an", true),
        ("12T00:00", "binh", false),
    ];
    for (at, person, stands_in) in cases {
        let expected = Some(OnDuty { person, stands_in });
        assert_eq!(rota.who("duty", time(at)), expected, "at {at}");
    }
    assert_eq!(rota.who("nobody's", time("04T12:00")), None);
}

#[test]
fn the_first_layer_that_serves_is_asked() {
    let on = sample();
    let changes = entries(vec![record("1", 1, absent("chi", "04T00:00", "05T00:00"))]);
    let rota = Rota { on: &on, entries: &changes };
    let who = |at| rota.who("chiefs", time(at)).map(|on_duty| on_duty.person);
    assert_eq!(who("02T08:00"), Some("chi"), "the day layer");
    assert_eq!(who("02T18:00"), Some("binh"), "the night layer");
    assert_eq!(who("03T18:00"), Some("chi"));
    assert_eq!(who("04T08:00"), Some("binh"), "the day layer is away");
}

#[test]
fn a_roster_tells_two_weeks_and_no_push_subscriptions() {
    let on = sample();
    let (endpoint, keys) = ("https://push.example".to_owned(), String::new());
    let push =
        OnCallEntry::Push { person: "an".into(), endpoint, p256dh: keys.clone(), auth: keys };
    let over = absent("binh", "01T00:00", "02T00:00");
    let changes = entries(vec![record("1", 1, push), record("2", 2, over)]);
    let roster = Rota { on: &on, entries: &changes }.roster(time("04T12:00"));
    assert_eq!(roster.people.len(), 3);
    let turns: Vec<_> = roster.teams[0]
        .turns
        .iter()
        .map(|turn| (turn.person.as_str(), turn.from, turn.until, turn.stands_in))
        .collect();
    let expected = [
        ("an", time("02T07:30"), time("05T00:00"), false),
        ("binh", time("05T00:00"), time("06T00:00"), true),
        ("an", time("06T00:00"), time("09T07:30"), false),
        ("binh", time("09T07:30"), time("16T07:30"), false),
        ("chi", time("16T07:30"), time("18T12:00"), false),
    ];
    assert_eq!(turns, expected);
    let ids: Vec<_> = roster.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["file-absence-1"], "neither what is over nor who takes push messages");
}

const PEOPLE: [&str; 4] = ["an", "binh", "chi", "dung"];

prop_compose! {
    fn layers()(
        members in prop::sample::subsequence(PEOPLE.to_vec(), 1..4),
        weekly in any::<bool>(),
        times in prop::collection::btree_set((0_i64..7, 0_i64..24, 0_i64..60), 1..4),
        hours_ in prop::option::of((0_u16..24, 0_u16..24)),
        start in 0_i64..40,
    ) -> Layer {
        let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let texts: Vec<_> = times
            .into_iter()
            .map(|(day, hour, minute)| {
                let day = if weekly { format!("{} ", days[day as usize]) } else { String::new() };
                format!("{day}{hour:02}:{minute:02}")
            })
            .collect();
        Layer {
            members: members.into_iter().map(str::to_owned).collect(),
            start: time("02T00:00").plus_ms(-start * DAY_MS),
            hand_overs: HandOvers::parse(&texts).unwrap(),
            hours: hours_.and_then(|(from, until)| hours(&format!("{from:02}:15-{until:02}:15"))),
        }
    }
}

prop_compose! {
    fn changes()(
        each in prop::collection::vec(
            (0..PEOPLE.len(), any::<bool>(), -20_i64 * 24..20 * 24, 1_i64..200), 0..12)
    ) -> BTreeMap<String, OnCallRecord> {
        let entry = |(person, stands_in, from, hours): (usize, bool, i64, i64)| {
            let person = PEOPLE[person].to_owned();
            let from = time("10T12:00").plus_ms(from * HOUR_MS);
            let until = from.plus_ms(hours * HOUR_MS);
            if stands_in {
                OnCallEntry::Override { team: "duty".into(), person, from, until }
            } else {
                OnCallEntry::Absence { person, from, until, reason: String::new() }
            }
        };
        let records = each.into_iter().enumerate();
        entries(records.map(|(n, each)| record(&n.to_string(), n as i64, entry(each))).collect())
    }
}

fn on_call(layers: Vec<Layer>) -> OnCall {
    let team = Team { id: "duty".into(), name: Text::new("Trực", "Duty"), layers };
    OnCall { teams: vec![team], entries: Vec::new(), ..sample() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn somebody_is_called_whenever_anybody_is_there(
        layers in prop::collection::vec(layers(), 1..4),
        changes in changes(),
        minutes in -20_000_i64..20_000,
    ) {
        let on = on_call(layers);
        let rota = Rota { on: &on, entries: &changes };
        let at = time("10T12:00").plus_ms(minutes * MINUTE_MS);
        let serving = on.teams[0].layers.iter().flat_map(|layer| layer.line_up(at));
        let anybody = serving.filter(|person| !rota.is_absent(person, at)).count() > 0;
        let called = rota.who("duty", at);
        prop_assert!(!anybody || called.is_some());
        prop_assert!(called.is_none_or(|on_duty| !rota.is_absent(on_duty.person, at)));
    }

    #[test]
    fn turns_tell_exactly_who_is_called_when(
        layers in prop::collection::vec(layers(), 1..4),
        changes in changes(),
    ) {
        let on = on_call(layers);
        let rota = Rota { on: &on, entries: &changes };
        let now = time("10T12:00");
        let turns = rota.turns(&on.teams[0], now);
        for pair in turns.windows(2) {
            prop_assert!(pair[0].until <= pair[1].from, "they overlap");
        }
        let mut at = now;
        while at < now.plus_ms(AHEAD_MS) {
            let turn = turns.iter().find(|turn| (turn.from..turn.until).contains(&at));
            let told = turn.map(|turn| (turn.person.as_str(), turn.stands_in));
            let called = rota.who("duty", at).map(|d| (d.person, d.stands_in));
            prop_assert_eq!(told, called, "at {}", at);
            at = at.plus_ms(7 * MINUTE_MS + 13);
        }
        // Where somebody is called on both sides of an end, the turns touch.
        for pair in turns.windows(2).filter(|pair| pair[0].until < pair[1].from) {
            prop_assert!(rota.who("duty", pair[0].until).is_none());
            prop_assert!(rota.who("duty", pair[1].from.plus_ms(-1)).is_none());
        }
    }
}
