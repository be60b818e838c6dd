//! Counting happenings: windows, scopes, repeats, quiet, and a replay.

use proptest::prelude::*;
use sen_model::{Rule, Selector};

use super::*;
use crate::fixtures::{at, device_id, registry, rule};

fn condition(least: u32, within_ms: i64, quiet_ms: i64) -> Condition {
    Condition::Events {
        kinds: vec!["fire_smoke".into()],
        attributes: Vec::new(),
        least,
        within_ms,
        distinct: None,
        scope: Scope::Device,
        quiet_ms,
    }
}

fn edition(condition: Condition) -> Edition {
    let rule = Rule { selector: Selector::default(), ..rule("fire", condition) };
    Edition::all_of(&rule).swap_remove(0)
}

const LATE_AFTER_MS: i64 = 1_000_000;

fn stage(condition: Condition) -> Happenings {
    restored(condition, EventMemory::default())
}

fn restored(condition: Condition, memory: EventMemory) -> Happenings {
    let registry = Arc::new(registry());
    Happenings::new(&[edition(condition)], registry, LATE_AFTER_MS, memory, at(0))
}

fn event(id: &str, device: &str, ms: i64) -> Event {
    Event {
        id: id.into(),
        device: device_id(device),
        kind: "fire_smoke".into(),
        event_time: at(ms),
        received_at: at(ms),
        text: String::new(),
        attributes: BTreeMap::new(),
    }
}

fn with(attribute: (&str, &str), event: Event) -> Event {
    let attributes = BTreeMap::from([(attribute.0.to_owned(), attribute.1.to_owned())]);
    Event { attributes, ..event }
}

/// `+` raised (`~` late), `-` ended: place, beginning, event time.
fn lines(found: &[Found]) -> Vec<String> {
    let line = |found: &Found| {
        let (sign, time) = match &found.what {
            Change::Raised { event_time, late: false, .. } => ("+", event_time),
            Change::Raised { event_time, .. } => ("~", event_time),
            Change::Cleared { event_time, .. } => ("-", event_time),
            Change::Joined { .. } => panic!("{found:?}"),
        };
        let (device, began) = (&found.place.device, found.started_at.as_millis());
        format!("{sign}{device} {began} {}", time.as_millis())
    };
    found.iter().map(line).collect()
}

fn hear(stage: &mut Happenings, events: &[Event]) -> Vec<String> {
    let mut out = Vec::new();
    events.iter().for_each(|event| stage.hear(event, &mut out));
    lines(&out)
}

fn quiet(stage: &mut Happenings, now: i64) -> Vec<String> {
    let mut out = Vec::new();
    stage.judge_quiet(at(now), &mut out);
    lines(&out)
}

#[test]
fn enough_within_the_time_make_one_episode_until_it_is_quiet() {
    let mut stage = stage(condition(3, 100, 500));
    let events = [0, 90, 180].map(|ms| event(&ms.to_string(), "stn-a", ms));
    assert_eq!(hear(&mut stage, &events), [""; 0], "never three within 100");
    let more = [185, 190, 300].map(|ms| event(&ms.to_string(), "stn-a", ms));
    assert_eq!(hear(&mut stage, &more), ["+stn-a 90 185"]);
    assert_eq!(quiet(&mut stage, 800), [""; 0], "exactly as long is not longer");
    assert_eq!(quiet(&mut stage, 801), ["-stn-a 90 800"]);
    assert_eq!(quiet(&mut stage, 9_000), [""; 0]);
    // What was counted counts no more.
    let again =
        [301, 302].map(|ms| Event { received_at: at(900), ..event(&ms.to_string(), "stn-a", ms) });
    assert_eq!(hear(&mut stage, &again), [""; 0]);
    let third = Event { received_at: at(901), ..event("303", "stn-a", 303) };
    assert_eq!(hear(&mut stage, &[third]), ["+stn-a 301 303"]);
}

#[test]
fn a_repeat_changes_nothing_and_does_not_prolong() {
    let mut stage = stage(condition(2, 100, 500));
    let one = event("a", "stn-a", 10);
    let again = Event { received_at: at(400), ..one.clone() };
    assert_eq!(hear(&mut stage, &[one.clone(), again.clone()]), [""; 0]);
    assert_eq!(hear(&mut stage, &[event("a", "stn-b", 11)]), [""; 0], "another reporter's `a`");
    assert_eq!(hear(&mut stage, &[event("b", "stn-a", 20)]), ["+stn-a 10 20"]);
    assert_eq!(hear(&mut stage, &[again]), [""; 0]);
    assert_eq!(quiet(&mut stage, 521), ["-stn-a 10 520"]);
    assert_eq!(hear(&mut stage, &[one]), [""; 0]);
}

#[test]
fn scopes_attributes_and_what_is_distinct() {
    let in_area = |distinct: Option<&str>| Condition::Events {
        kinds: vec!["fire_smoke".into(), "crowd".into()],
        attributes: vec![("checked".into(), "yes".into())],
        least: 2,
        within_ms: 100,
        distinct: distinct.map(str::to_owned),
        scope: Scope::Area,
        quiet_ms: 500,
    };
    let checked = |id, device, ms| with(("checked", "yes"), event(id, device, ms));
    let events = [
        checked("1", "stn-a", 1),
        event("2", "stn-a", 2),
        with(("checked", "no"), event("3", "stn-b", 3)),
        checked("4", "stranger", 4),
        checked("5", "stn-a", 5),
        checked("6", "stn-b", 6),
    ];
    let told = |distinct| hear(&mut stage(in_area(distinct)), &events);
    assert_eq!(told(None), ["+area-28261 1 5"]);
    assert_eq!(told(Some("device")), ["+area-28261 1 6"]);
    assert_eq!(told(Some("plate")), [""; 0]);
    // A reporter may say where it was.
    let mut said = checked("7", "stranger", 7);
    said.attributes.insert("area".into(), "28261".into());
    let told = hear(&mut stage(in_area(None)), &[said, checked("8", "stn-a", 8)]);
    assert_eq!(told, ["+area-28261 7 8"]);
}

#[test]
fn our_own_absence_is_not_quiet_and_a_late_event_is_late() {
    let mut stage = stage(condition(1, 0, 500));
    let late = Event { received_at: at(LATE_AFTER_MS + 11), ..event("a", "stn-a", 10) };
    assert_eq!(hear(&mut stage, &[late]), ["~stn-a 10 10"]);
    let heard = LATE_AFTER_MS + 11;
    stage.resume(at(heard + 10_000));
    assert_eq!(quiet(&mut stage, heard + 10_400), [""; 0]);
    assert_eq!(quiet(&mut stage, heard + 10_501), [format!("-stn-a 10 {}", heard + 500)]);
}

#[test]
fn a_step_back_of_the_clock_neither_prolongs_what_is_open_nor_hides_its_end() {
    for is_told_again in [false, true] {
        let mut stage = stage(condition(1, 60_000, 10_000));
        assert_eq!(hear(&mut stage, &[event("a", "stn-a", 600_000)]), ["+stn-a 600000 600000"]);
        stage.resume(at(300_000));
        stage.turn_back(at(300_000));
        let mut heard = 300_000;
        if is_told_again {
            heard = 301_000;
            hear(&mut stage, &[event("b", "stn-a", heard)]);
        }
        assert_eq!(quiet(&mut stage, heard + 10_000), [""; 0]);
        assert_eq!(quiet(&mut stage, heard + 10_001), ["-stn-a 600000 600000"]);
    }
}

#[test]
fn outside_its_hours_nothing_counts_and_what_is_open_ends() {
    use sen_model::condition::{Hours, When};
    use sen_model::time::HOUR_MS;
    let hours = vec![Hours { from: 6 * 60, until: 8 * 60 }];
    let mut edition = edition(condition(1, 0, 100 * HOUR_MS));
    let when = Some(When { hours, ..When::default() });
    edition.rule = Arc::new(Rule { when, ..(*edition.rule).clone() });
    let memory = EventMemory::default();
    let mut stage = Happenings::new(&[edition], Arc::new(registry()), LATE_AFTER_MS, memory, at(0));
    let eight = DAY_MS + HOUR_MS;
    assert_eq!(hear(&mut stage, &[event("a", "stn-a", eight)]), [""; 0]);
    let told = hear(&mut stage, &[event("b", "stn-a", eight - 9)]);
    assert_eq!(told, [format!("+stn-a {0} {0}", eight - 9)]);
    assert_eq!(quiet(&mut stage, eight - 1), [""; 0]);
    assert_eq!(quiet(&mut stage, eight + 5), [format!("-stn-a {} {eight}", eight - 9)]);
    let next = DAY_MS + eight - 9;
    assert_eq!(hear(&mut stage, &[event("c", "stn-a", next)]), [format!("+stn-a {next} {next}")]);
}

#[test]
fn a_reporter_that_floods_costs_a_bounded_memory() {
    let mut stage = stage(condition(2, 1_000, 500));
    for n in 0..5_000 {
        hear(&mut stage, &[event(&n.to_string(), "stn-a", n)]);
    }
    let bytes = serde_json::to_vec(&stage.memory()).unwrap().len();
    assert!(bytes < 40_000, "{bytes} bytes");
    assert_eq!(hear(&mut stage, &[event("old", "stn-a", 3)]), [""; 0]);
    assert_eq!(stage.counts().forgotten, 1);
    for n in 0..MOST_SCOPES + 10 {
        hear(&mut stage, &[event("x", &format!("stranger-{n}"), 9_000)]);
    }
    assert_eq!(stage.rules[0].spells.len(), MOST_SCOPES);
    assert_eq!(stage.open().len(), 1, "what is open stays");
}

proptest! {
    /// Events as they come, the clock now and then, restarts from the last checkpoint: the same
    /// episodes, told at least once.
    #[test]
    fn a_replay_makes_the_same_episodes(
        steps in prop::collection::vec((0_i64..400, 0_usize..2, -50_i64..1, any::<bool>()), 1..40),
        least in 1_u32..4,
        saved in any::<prop::sample::Index>(),
        died in any::<prop::sample::Index>(),
    ) {
        let condition = condition(least, 120, 200);
        let mut now = 0;
        let events: Vec<(Event, bool)> = steps
            .iter()
            .enumerate()
            .map(|(n, (pause, device, ago, looks))| {
                now += pause;
                let device = ["stn-a", "stn-b"][*device];
                let event = Event { event_time: at(now + ago), ..event(&n.to_string(), device, now) };
                (event, *looks)
            })
            .collect();
        // Undisturbed, and without anybody who looks at the clock.
        let mut stage = stage(condition.clone());
        let plain: Vec<Event> = events.iter().map(|(event, _)| event.clone()).collect();
        let mut wanted = hear(&mut stage, &plain);
        wanted.extend(quiet(&mut stage, now + 10_000));
        // In life: saved somewhere, dead somewhere after it.
        let saved = saved.index(events.len());
        let died = saved + died.index(events.len() - saved);
        let mut told = Vec::new();
        let mut stage = restored(condition.clone(), EventMemory::default());
        let mut memory = serde_json::to_vec(&stage.memory()).unwrap();
        for (n, (event, looks)) in events[..died].iter().enumerate() {
            if n == saved {
                memory = serde_json::to_vec(&stage.memory()).unwrap();
            }
            if *looks {
                told.extend(quiet(&mut stage, event.received_at.as_millis()));
            }
            told.extend(hear(&mut stage, std::slice::from_ref(event)));
        }
        let from = if died > saved { saved } else { 0 };
        let mut stage = restored(condition, serde_json::from_slice(&memory).unwrap());
        told.extend(hear(&mut stage, &plain[from..]));
        told.extend(quiet(&mut stage, now + 10_000));
        for lines in [&mut told, &mut wanted] {
            lines.sort();
            lines.dedup();
        }
        prop_assert_eq!(told, wanted);
    }
}
