//! What groups tell, by example.

use super::*;

fn life(rule: &'static str, device: usize, began: i64, end: Option<i64>) -> Life {
    Life { rule, device, began, raised: began, end: end.map(|end| (end, end)) }
}

/// `+` began, `-` ended, `.` joined: rule, device, beginning and number of members.
fn lines(found: &[Found]) -> Vec<String> {
    let line = |found: &Found| {
        let (sign, members) = match &found.what {
            Change::Raised { members, late, .. } => (if *late { "~" } else { "+" }, members.len()),
            Change::Joined { members } => (".", members.len()),
            Change::Cleared { .. } => ("-", 0),
        };
        let (rule, device) = (&found.edition.rule.id, &found.place.device);
        format!("{sign}{rule} {device} {} {members}", found.started_at.as_millis())
    };
    found.iter().map(line).collect()
}

fn play(rules: &[(&str, Condition)], lives: &[Life]) -> Vec<String> {
    lines(&hear(&mut groups(rules), &in_time(lives, &[0])))
}

#[test]
fn it_begins_with_the_part_that_makes_it_enough_and_names_its_members() {
    let slow = Life { raised: 30, ..life("rising", 0, 20, Some(60)) };
    let lives = [life("high", 0, 5, None), slow, life("salty", 0, 40, None)];
    let rules = [("two", composite(&PARTS, 2, Scope::Device, 0))];
    let mut out = hear(&mut groups(&rules), &in_time(&lives, &[0]));
    assert_eq!(lines(&out), ["+two stn-0 20 2", ".two stn-0 20 3"]);
    let Change::Raised { event_time, members, .. } = out.swap_remove(0).what else { panic!() };
    assert_eq!(event_time.as_millis(), 30);
    assert_eq!(members, [lives[0].id(), lives[1].id()]);
}

#[test]
fn a_time_to_last_is_event_time_and_needs_no_news_of_the_parts() {
    let rules = [("long", composite(&["high"], 2, Scope::Area, 100))];
    let lives = [life("high", 0, 5, None), life("high", 1, 20, None)];
    let mut groups = groups(&rules);
    assert_eq!(lines(&hear(&mut groups, &in_time(&lives, &[0]))), [""; 0]);
    let mut out = Vec::new();
    groups.advance(119, &mut out);
    assert_eq!(lines(&out), [""; 0]);
    groups.advance(120, &mut out);
    groups.advance(500, &mut out);
    assert_eq!(lines(&out), ["+long area-28261 20 2"]);
}

#[test]
fn a_clock_that_was_ahead_and_set_back_leaves_no_group_in_its_future() {
    let rules = [("both", composite(&["high", "rising"], 2, Scope::Area, 60_000))];
    let mut groups = groups(&rules);
    let mut out = Vec::new();
    groups.advance(10_000_000, &mut out);
    groups.turn_back(100_000, &mut out);
    let lives = [life("high", 0, 100_000, None), life("rising", 1, 110_000, None)];
    assert_eq!(lines(&hear(&mut groups, &in_time(&lives, &[0]))), [""; 0], "not long enough yet");
    groups.advance(169_999, &mut out);
    assert_eq!(lines(&out), [""; 0]);
    groups.advance(170_000, &mut out);
    assert_eq!(lines(&out).len(), 1);

    // Told while the clock was ahead: it has not lasted so long, and is told when it has.
    let mut groups = super::groups(&rules);
    out.clear();
    hear(&mut groups, &in_time(&lives, &[0]));
    groups.advance(10_000_000, &mut out);
    assert_eq!(lines(&out).len(), 1);
    groups.turn_back(120_000, &mut out);
    assert_eq!(lines(&out).len(), 2, "ended");
    groups.advance(169_999, &mut out);
    assert_eq!(lines(&out).len(), 2);
    groups.advance(170_000, &mut out);
    assert_eq!(lines(&out).len(), 3, "and told anew");
}

#[test]
fn late_parts_make_it_late_and_move_nothing() {
    let rules = [("two", composite(&["high"], 2, Scope::Area, 0))];
    let mut groups = groups(&rules);
    let early = [life("high", 0, 10, None), life("high", 1, 50, None)];
    assert_eq!(lines(&hear(&mut groups, &in_time(&early, &[0]))), ["+two area-28261 50 2"]);
    // It held since 30, as comes out now: the alert keeps its beginning.
    let late = hear(&mut groups, &in_time(&[life("high", 2, 30, None)], &[0]));
    assert_eq!(lines(&late), [".two area-28261 50 3"]);
    // Elsewhere something is revealed that is over.
    let past = [life("high", 3, 10, Some(40)), life("high", 4, 20, Some(30))];
    let past: Vec<News> = past.iter().flat_map(Life::news).map(|(_, news)| news).collect();
    let late = hear(&mut groups, &past);
    assert_eq!(lines(&late), ["~two area-28270 20 2", "-two area-28270 20 0"]);
}

#[test]
fn neighbours_make_one_alert_a_crowd() {
    let beside = |least, within_ms| Condition::Neighbours {
        of: rule_id("high"),
        least,
        distance_m: 1_500.0,
        within_ms,
    };
    // 0-1-2 in a row, and 4-5 apart from them.
    let lives = [
        life("high", 0, 10, Some(100)),
        life("high", 1, 20, Some(90)),
        life("high", 2, 25, Some(200)),
        life("high", 4, 30, None),
        life("high", 5, 31, Some(40)),
    ];
    assert_eq!(
        play(&[("beside", beside(2, 50))], &lives),
        [
            "+beside stn-0 20 2",
            ".beside stn-0 20 3",
            "+beside stn-4 31 2",
            "-beside stn-4 31 0",
            "-beside stn-0 20 0",
        ]
    );
    // Three need one in the middle; and not so far apart in time.
    assert_eq!(play(&[("beside", beside(3, 50))], &lives)[0], "+beside stn-1 25 3");
    assert_eq!(play(&[("beside", beside(3, 14))], &lives), [""; 0]);
}

#[test]
fn a_sequence_goes_downstream_in_time() {
    let wave = |downstream, within_ms| Condition::Sequence {
        first: rule_id("high"),
        then: rule_id("high"),
        within_ms,
        downstream,
    };
    let lives =
        [life("high", 0, 10, Some(15)), life("high", 2, 40, Some(90)), life("high", 1, 50, None)];
    // The first may be over; station 1 lies upstream of 2 but came later.
    assert_eq!(play(&[("wave", wave(true, 35))], &lives), ["+wave stn-2 40 2", "-wave stn-2 40 0"]);
    assert_eq!(play(&[("wave", wave(true, 29))], &lives), [""; 0]);
    assert_eq!(play(&[("wave", wave(false, 10))], &lives), ["+wave stn-1 50 2"]);
}

#[test]
fn selectors_and_strangers() {
    let only = |areas: &[&str]| {
        let mut edition = edition("two", composite(&["high"], 2, Scope::Area, 0));
        let areas = areas.iter().map(|code| AreaCode::new(code).unwrap()).collect();
        let selector = Selector { areas, ..Selector::default() };
        edition.rule = Arc::new(Rule { selector, ..(*edition.rule).clone() });
        let lives = [0, 1, 3, 4].map(|n| life("high", n, n as i64, None));
        let mut groups = Groups::new(&[edition], registry(), GroupMemory::default());
        let mut found = lines(&hear(&mut groups, &in_time(&lives, &[0])));
        let stranger = News {
            place: Place::device(&fixtures::device_id("stranger")),
            ..life("high", 0, 9, None).news()[0].1.clone()
        };
        found.extend(lines(&hear(&mut groups, &[stranger])));
        found
    };
    assert_eq!(only(&[]), ["+two area-28261 1 2", "+two area-28270 4 2"]);
    assert_eq!(only(&["28270"]), ["+two area-28270 4 2"]);
}

#[test]
fn what_nobody_holds_any_more_is_let_go() {
    let rules = [
        ("outer", composite(&["two"], 1, Scope::Province, 0)),
        ("two", composite(&["high"], 2, Scope::Area, 0)),
    ];
    let mut groups = groups(&rules);
    let lives = [life("high", 0, 1, None), life("high", 1, 2, None)];
    let found = hear(&mut groups, &in_time(&lives, &[0]));
    assert_eq!(lines(&found), ["+two area-28261 2 2", "+outer province 2 1"]);
    let mut out = Vec::new();
    let held = lives.iter().map(Life::id).collect();
    groups.let_go(&held, fixtures::at(9), &mut out);
    assert_eq!(lines(&out), [""; 0]);
    groups.let_go(&HashSet::from([lives[0].id()]), fixtures::at(9), &mut out);
    assert_eq!(lines(&out), ["-two area-28261 2 0", "-outer province 2 0"]);
    assert_eq!(groups.open(), []);
}

#[test]
fn a_rule_made_of_itself_is_not_judged_and_much_chatter_is_forgotten() {
    let rules = [
        ("one", composite(&["other"], 1, Scope::Device, 0)),
        ("other", composite(&["one", "high"], 1, Scope::Device, 0)),
        ("sound", composite(&["high", "rising"], 2, Scope::Device, 0)),
    ];
    let mut groups = groups(&rules);
    let steady = life("rising", 0, 0, None);
    let mut lives = vec![steady];
    lives.extend((0..1_000).map(|n| life("high", 0, 10 * n, Some(10 * n + 5))));
    let found = hear(&mut groups, &in_time(&lives, &[0]));
    assert_eq!(told(&found).len(), 1, "only the sound one");
    assert_eq!(found.len(), 2_000);
    let bytes = serde_json::to_vec(&groups.memory()).unwrap().len();
    assert!(bytes < 20_000, "{bytes} bytes");
}

#[test]
fn outside_its_hours_a_group_does_not_hold() {
    use sen_model::condition::{Hours, When};
    use sen_model::time::{DAY_MS, HOUR_MS};
    // From six to eight in the morning in Vietnam; midnight there is 17:00 UTC.
    let hours = vec![Hours { from: 6 * 60, until: 8 * 60 }];
    let mut two = edition("two", composite(&["high"], 2, Scope::Area, 0));
    let when = Some(When { hours, ..When::default() });
    two.rule = Arc::new(Rule { when, ..(*two.rule).clone() });
    let mut groups = Groups::new(&[two], registry(), GroupMemory::default());
    let (six, eight) = (DAY_MS - HOUR_MS, DAY_MS + HOUR_MS);
    let lives = [life("high", 0, six - 10, None), life("high", 1, six - 5, Some(DAY_MS + six + 9))];
    assert_eq!(lines(&hear(&mut groups, &in_time(&lives[..1], &[0]))), [""; 0]);
    let news = lives[1].news();
    assert_eq!(lines(&hear(&mut groups, &[news[0].1.clone()])), [""; 0], "too early");
    let mut at = |now| {
        let mut out = Vec::new();
        groups.advance(now, &mut out);
        lines(&out)
    };
    assert_eq!(at(six - 1), [""; 0]);
    assert_eq!(at(six), [format!("+two area-28261 {six} 2")]);
    assert_eq!(at(eight - 1), [""; 0]);
    assert_eq!(at(eight + 7), [format!("-two area-28261 {six} 0")]);
    assert_eq!(at(DAY_MS + six + 8), [format!("+two area-28261 {} 2", DAY_MS + six)]);
    let end = hear(&mut groups, &[news[1].1.clone()]);
    assert_eq!(lines(&end), [format!("-two area-28261 {} 0", DAY_MS + six)]);
}
