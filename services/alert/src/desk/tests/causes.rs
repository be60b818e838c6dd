//! What may hide what: never the milder the worse, and never what is hidden itself.

use proptest::prelude::*;
use sen_model::alert::Explanation;
use sen_model::condition::Scope;
use sen_model::{DeskAct, Reach, Registry, RuleId, Selector};

use super::*;

const HOUR: i64 = 3_600_000;

/// A gateway with three stations behind it.
fn network() -> Registry {
    let mut devices: Vec<_> = registry().devices().cloned().collect();
    let like = devices[0].clone();
    let mut add = |id: &str, gateway: Option<&str>| {
        let mut device = sen_model::Device { id: device_id(id), ..like.clone() };
        device.relations.gateway = gateway.map(device_id);
        devices.push(device);
    };
    add("gw-1", None);
    ["behind-1", "behind-2", "behind-3"].into_iter().for_each(|id| add(id, Some("gw-1")));
    Registry::new(devices, registry().places().to_vec())
}

/// As shipped: alarm levels of stations; a wave, which is milder than they are; a wide flood.
fn rules() -> Vec<Rule> {
    let of = |ids: &[&str]| ids.iter().map(|id| RuleId::new(id).unwrap()).collect::<Vec<_>>();
    let (first, then) = (RuleId::new("flood-3").unwrap(), RuleId::new("flood-2").unwrap());
    let wave = Condition::Sequence { first, then, within_ms: HOUR, downstream: true };
    let over =
        |ids: &[&str], least, scope| Condition::Composite { of: of(ids), least, scope, for_ms: 0 };
    let rule = |id: &str, severity, condition| Rule {
        severity,
        selector: Selector::default(),
        ..rule(id, condition)
    };
    let silence = || Condition::Absence { missing_ms: 1_000 };
    vec![
        rule("flood-3", Severity::CRITICAL, limit(None, 0, 0)),
        rule("flood-2", Severity::HIGH, limit(None, 0, 0)),
        rule("flood-wave", Severity::HIGH, wave),
        rule("flood-wide", Severity::CRITICAL, over(&["flood-3", "flood-2"], 2, Scope::Province)),
        rule("silent-gateway", Severity::HIGH, silence()),
        rule("silent-river", Severity::MEDIUM, silence()),
        rule("silent-vital", Severity::CRITICAL, silence()),
        rule("area-dark", Severity::HIGH, over(&["silent-river"], 2, Scope::Area)),
    ]
}

fn centre() -> Desk {
    let mut desk = Desk::new(Around::new(Arc::new(network()), HOUR));
    desk.take_rules(&rules(), at(0), &mut Records::default());
    desk
}

fn about(rule: &str, device: &str) -> Subject {
    let rule = rules().into_iter().find(|it| it.id.as_str() == rule).unwrap();
    Subject { edition: edition(rule), device: device_id(device), metric: None, area: None }
}

fn id(subject: &Subject, start: i64) -> AlertId {
    subject.episode(at(start))
}

fn raise_with(subject: &Subject, start: i64, members: &[AlertId]) -> Transition {
    match raise(subject, start) {
        Transition::Raise { subject, started_at, event_time, late, .. } => Transition::Raise {
            subject,
            started_at,
            event_time,
            late,
            value: Some(members.len() as f64),
            members: members.to_vec(),
        },
        other => other,
    }
}

fn join(subject: &Subject, start: i64, members: &[AlertId]) -> Transition {
    let (subject, started_at) = (subject.clone(), at(start));
    Transition::Join { subject, started_at, members: members.to_vec() }
}

fn is_shown(desk: &Desk, subject: &Subject, start: i64) -> bool {
    desk.alerts[&id(subject, start)].is_shown()
}

fn shelve(alert: &AlertId, key: &str, until: i64) -> Command {
    let act = Act::Shelve { reason: "biết".into(), until: at(until), one_shot: false };
    command(alert, key, "Lan", None, act)
}

#[test]
fn a_broader_alert_hides_nothing_worse_than_itself() {
    let mut desk = centre();
    let (worse, same) = (about("flood-3", "stn-a"), about("flood-2", "stn-b"));
    let (wave, wide) = (about("flood-wave", "stn-b"), about("flood-wide", "province"));
    let members = [id(&worse, 10), id(&same, 10)];
    tell(&mut desk, &raise(&worse, 10), 10);
    tell(&mut desk, &raise(&same, 10), 10);
    tell(&mut desk, &raise_with(&wave, 20, &members), 20);
    assert!(is_shown(&desk, &worse, 10), "critical, and the wave is not");
    assert!(!is_shown(&desk, &same, 10));
    tell(&mut desk, &raise_with(&wide, 30, &members), 30);
    assert!(!is_shown(&desk, &worse, 10), "the wide flood is critical too");
}

#[test]
fn who_joins_a_broader_alert_that_was_taken_is_shown_and_it_says_how_many_it_counts() {
    let mut desk = centre();
    let subjects = ["stn-a", "stn-b", "pump-1", "gw-1"].map(|device| about("flood-3", device));
    let ids = subjects.clone().map(|subject| id(&subject, 10));
    let wide = about("flood-wide", "province");
    subjects.iter().for_each(|subject| drop(tell(&mut desk, &raise(subject, 10), 10)));
    tell(&mut desk, &raise_with(&wide, 20, &ids[..2]), 20);
    tell(&mut desk, &join(&wide, 20, &ids[..3]), 30);
    assert!(!is_shown(&desk, &subjects[2], 10), "nobody has taken it");
    let broad = desk.alerts[&id(&wide, 20)].clone();
    assert_eq!((broad.value, broad.members.len()), (Some(3.0), 3));
    assert!(broad.text.vi.contains("3 cảnh báo cùng lúc"), "{}", broad.text.vi);

    ask(&mut desk, &acknowledge(&broad.id, "k", "Lan", None), 40);
    tell(&mut desk, &join(&wide, 20, &ids), 50);
    assert!(is_shown(&desk, &subjects[3], 10), "whoever took it has not seen this one");
    assert!(!is_shown(&desk, &subjects[2], 10), "seen when it was taken");
    assert_eq!(pass(&mut desk, 60).alerts, [], "and it stays so");
}

#[test]
fn what_is_put_aside_hides_nothing_until_it_is_back() {
    let mut desk = centre();
    let (one, wide) = (about("flood-3", "stn-a"), about("flood-wide", "province"));
    tell(&mut desk, &raise(&one, 10), 10);
    tell(&mut desk, &raise_with(&wide, 20, &[id(&one, 10)]), 20);
    assert!(!is_shown(&desk, &one, 10));
    ask(&mut desk, &shelve(&id(&wide, 20), "s", 100), 30);
    assert!(is_shown(&desk, &one, 10), "on the shelf");
    pass(&mut desk, 100);
    assert!(!is_shown(&desk, &one, 10), "back from the shelf");

    let act = Act::Suppress { reason: "biết".into(), until: at(200) };
    ask(&mut desk, &command(&id(&wide, 20), "p", "Lan", None, act), 110);
    assert!(is_shown(&desk, &one, 10), "suppressed by a person");
    pass(&mut desk, 200);
    assert!(!is_shown(&desk, &one, 10), "shown again");

    let reach = Reach { rule: Some(wide.edition.rule.id.clone()), ..Reach::default() };
    let act = DeskAct::TakeOut { reach, reason: "kiểm tra".into() };
    let order = Order::Desk { act };
    let take_out = Command { order, ..acknowledge(&id(&wide, 20), "o", "Lan", None) };
    ask(&mut desk, &take_out, 210);
    assert!(is_shown(&desk, &one, 10), "out of service");
}

#[test]
fn a_gateway_put_aside_for_a_while_still_explains_its_devices_but_not_out_of_service() {
    let (gateway, river) = (about("silent-gateway", "gw-1"), about("silent-river", "behind-1"));
    let vital = about("silent-vital", "behind-2");
    let mut desk = centre();
    for subject in [&gateway, &river, &vital] {
        tell(&mut desk, &raise(subject, 10), 10);
    }
    assert!(!is_shown(&desk, &river, 10));
    assert!(is_shown(&desk, &vital, 10), "critical, and the gateway is not");
    ask(&mut desk, &shelve(&id(&gateway, 10), "s", 100), 20);
    assert!(!is_shown(&desk, &river, 10), "whoever shelved the gateway knows");
    let act = Act::Suppress { reason: "biết".into(), until: at(300) };
    ask(&mut desk, &command(&id(&gateway, 10), "p", "Lan", None, act), 30);
    assert!(is_shown(&desk, &river, 10));
    pass(&mut desk, 300);
    assert!(!is_shown(&desk, &river, 10));
    let reach = Reach { device: Some(gateway.device.clone()), ..Reach::default() };
    let order = Order::Desk { act: DeskAct::TakeOut { reach, reason: "hỏng".into() } };
    let take_out = Command { order, ..acknowledge(&id(&gateway, 10), "o", "Lan", None) };
    ask(&mut desk, &take_out, 310);
    assert!(is_shown(&desk, &river, 10));
}

#[test]
fn one_dead_gateway_is_one_alert_whichever_is_found_first() {
    let gateway = about("silent-gateway", "gw-1");
    let rivers = ["behind-1", "behind-2"].map(|device| about("silent-river", device));
    let dark = about("area-dark", "area-28261");
    let ids = rivers.clone().map(|river| id(&river, 10));
    let mut steps = vec![raise(&gateway, 10), raise(&rivers[0], 10), raise(&rivers[1], 10)];
    steps.push(raise_with(&dark, 20, &ids));
    for turn in 0..steps.len() {
        let mut desk = centre();
        steps.rotate_left(1);
        steps.iter().for_each(|step| drop(tell(&mut desk, step, 30)));
        let shown: Vec<_> = desk.open().into_iter().filter(|alert| alert.is_shown()).collect();
        assert_eq!(shown.len(), 1, "turn {turn}: {shown:?}");
        assert_eq!(shown[0].rule.as_str(), "silent-gateway");

        // One that is not behind the gateway is more than the gateway.
        let other = about("silent-river", "stn-a");
        tell(&mut desk, &raise(&other, 40), 40);
        tell(&mut desk, &join(&dark, 20, &[&ids[..], &[id(&other, 40)]].concat()), 40);
        assert!(is_shown(&desk, &dark, 20));
        tell(&mut desk, &clear(&other, 40, 50), 50);
        assert!(!is_shown(&desk, &dark, 20));
        // When the gateway speaks again the rest is given back, under the broader alert.
        tell(&mut desk, &clear(&gateway, 10, 60), 60);
        assert!(is_shown(&desk, &dark, 20) && !is_shown(&desk, &rivers[0], 10));
    }
}

#[test]
fn advice_names_those_that_speak_now_told_anew_once_a_minute() {
    let speaks = |id: &str| Rule { stage: Some(3), ..rule(id, limit(None, 0, 0)) };
    let rules = [speaks("one"), speaks("two")];
    let mut desk = desk_under(&rules);
    let [one, two] = rules.map(|rule| Subject { edition: edition(rule), ..subject() });
    let mut out = Records::default();
    desk.apply(&raise(&one, 10), at(1_000), &mut out);
    desk.apply(&raise(&two, 20), at(2_000), &mut out);
    desk.apply(&clear(&one, 10, 30), at(3_000), &mut out);
    desk.pass_time(at(60_999), &mut out);
    let named = |record: &DeskRecord| match &record.entry {
        Entry::StageAdvice { stage: 3, alerts } => Some(alerts.clone()),
        _ => None,
    };
    assert_eq!(out.desk.iter().filter_map(named).collect::<Vec<_>>(), [[id(&one, 10)]]);
    desk.pass_time(at(61_000), &mut out);
    desk.pass_time(at(600_000), &mut out);
    let all: Vec<_> = out.desk.iter().filter_map(named).collect();
    assert_eq!(all, [[id(&one, 10)], [id(&two, 20)]]);
}

/// Something that may happen to one of the alerts.
#[derive(Clone, Debug)]
enum Step {
    Raise,
    Clear,
    Acknowledge,
    Shelve,
    Suppress,
    TakeOut,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize)>> {
    let step = prop_oneof![
        6 => Just(Step::Raise),
        2 => Just(Step::Clear),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::Shelve),
        1 => Just(Step::Suppress),
        1 => Just(Step::TakeOut),
        1 => Just(Step::Wait),
    ];
    proptest::collection::vec((step, 0_usize..8), 1..40)
}

/// Does a step to one of these alerts, the last three of which are broader.
fn act(desk: &mut Desk, subjects: &[Subject; 8], step: &Step, which: usize, now: i64) {
    let (subject, ids) = (&subjects[which], subjects.clone().map(|subject| id(&subject, 10)));
    let key = now.to_string();
    let person = |act| command(&ids[which], &key, "Lan", None, act);
    match step {
        Step::Raise if which < 5 => drop(tell(desk, &raise(subject, 10), now)),
        Step::Raise => {
            let members = if which == 7 { &ids[3..5] } else { &ids[..2] };
            tell(desk, &raise_with(subject, 10, members), now);
        }
        Step::Clear => drop(tell(desk, &clear(subject, 10, now), now)),
        Step::Acknowledge => drop(ask(desk, &acknowledge(&ids[which], &key, "Lan", None), now)),
        Step::Shelve => drop(ask(desk, &shelve(&ids[which], &key, now + 50), now)),
        Step::Suppress => {
            let act = Act::Suppress { reason: "biết".into(), until: at(now + 50) };
            ask(desk, &person(act), now);
        }
        Step::TakeOut => {
            let reach = Reach { device: Some(subject.device.clone()), ..Reach::default() };
            let order = Order::Desk { act: DeskAct::TakeOut { reach, reason: "hỏng".into() } };
            ask(desk, &Command { order, ..person(Act::Unshelve) }, now);
        }
        Step::Wait => drop(pass(desk, now)),
    }
}

proptest! {
    #[test]
    fn nothing_is_hidden_by_what_is_milder_over_or_put_aside(steps in steps()) {
        let mut desk = centre();
        let subjects = [
            about("flood-3", "stn-a"),
            about("flood-2", "stn-b"),
            about("silent-gateway", "gw-1"),
            about("silent-river", "behind-1"),
            about("silent-vital", "behind-2"),
            about("flood-wave", "stn-b"),
            about("flood-wide", "province"),
            about("area-dark", "area-28261"),
        ];
        for (now, (step, which)) in (1..).zip(&steps) {
            let now = now * 20;
            act(&mut desk, &subjects, step, *which, now);
            pass(&mut desk, now);
            for alert in desk.open() {
                let Some(held) = &alert.suppression else { continue };
                let (cause, may_wait) = match &held.why {
                    Explanation::Dependency { alert, .. } => (alert, true),
                    Explanation::Level { alert } | Explanation::Member { alert } => (alert, false),
                    Explanation::Person { .. } | Explanation::Maintenance { .. } => continue,
                };
                let cause = &desk.alerts[cause];
                prop_assert!(cause.holds() && cause.severity <= alert.severity);
                prop_assert!(cause.out_of_service.is_none());
                prop_assert!(may_wait || cause.shelving.is_none());
                let by_person = |held: &sen_model::alert::Suppression| {
                    matches!(held.why, Explanation::Person { .. })
                };
                prop_assert!(!cause.suppression.as_ref().is_some_and(by_person));
            }
        }
    }
}
