//! The figures against a second implementation that looks at every moment by itself, and against
//! cases whose answers are known.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use sen_model::{AlertId, AlertRecord, AlertState, Change, Field, Metric, RuleId, Severity};
use sen_model::{DeviceId, Timestamp};

use super::csv::{Separator, table};
use super::episodes::{Episodes, KEPT_DAYS, KEPT_ROWS};
use super::report::{Asked, Performance, Report, performance};
use crate::sample;

/// One episode as a test makes it up, times in milliseconds.
#[derive(Clone, Debug)]
struct Made {
    rule: u8,
    device: u8,
    severity: u8,
    field: bool,
    raised: i64,
    /// How long after the raise it was shown; none = it was suppressed at first and to its end.
    hidden: Option<i64>,
    taken: Option<i64>,
    cleared: Option<i64>,
    shelved: bool,
    drill: bool,
}

impl Made {
    fn field(&self) -> Field {
        if self.field { Field::Environment } else { Field::Security }
    }

    fn shown(&self) -> Option<i64> {
        self.hidden.map(|hidden| self.raised + hidden)
    }

    /// The records of the log it makes.
    fn records(&self, number: usize) -> Vec<AlertRecord> {
        let at = Timestamp::from_millis;
        let mut record = AlertRecord::raised(
            AlertId::from_text(&format!("e{number}")),
            RuleId::new(format!("rule-{}", self.rule)).unwrap(),
            "1".into(),
            Severity::try_from(self.severity).unwrap(),
            self.field(),
            DeviceId::new(format!("dev-{}", self.device)).unwrap(),
            at(self.raised),
        );
        record.metric = Some(Metric::new("m").unwrap());
        record.drill = self.drill;
        let hide = || sen_model::alert::Suppression {
            why: sen_model::alert::Explanation::Person { by: "Lan".into(), reason: "x".into() },
            at: at(self.raised),
            until: None,
        };
        record.suppression = (self.hidden != Some(0)).then(hide);
        let mut records = vec![record.clone()];
        let mut steps: Vec<(i64, Change)> = Vec::new();
        steps.extend(self.hidden.filter(|ms| *ms > 0).map(|ms| (ms, Change::Unsuppressed)));
        steps.extend(self.taken.map(|ms| (ms, Change::Acknowledged)));
        steps.extend(self.shelved.then_some((1_000_000_000, Change::Shelved)));
        steps.extend(self.cleared.map(|ms| (ms, Change::Cleared)));
        steps.sort_by_key(|(ms, _)| *ms);
        for (ms, change) in steps {
            record.rev += 1;
            record.change = change;
            record.recorded_at = at(self.raised + ms);
            match change {
                Change::Unsuppressed => record.suppression = None,
                Change::Acknowledged => {
                    record.state = AlertState::Acknowledged;
                    let (by, note) = ("Lan".to_owned(), String::new());
                    let at = record.recorded_at;
                    record.acknowledgement =
                        Some(sen_model::alert::Acknowledgement { by, at, note });
                }
                Change::Shelved => {
                    record.shelving = Some(sen_model::alert::Shelving {
                        by: "Lan".into(),
                        at: record.recorded_at,
                        reason: "x".into(),
                        until: record.recorded_at.plus_ms(1),
                        one_shot: false,
                    });
                }
                _ => record.state = AlertState::Normal,
            }
            records.push(record.clone());
            if change == Change::Cleared {
                break;
            }
        }
        records
    }
}

/// Folds the records in the order in which they were made.
fn folded(made: &[Made]) -> Episodes {
    let mut records: Vec<AlertRecord> =
        made.iter().enumerate().flat_map(|(number, one)| one.records(number)).collect();
    records.sort_by_key(|record| record.recorded_at);
    let mut episodes = Episodes::default();
    for (offset, record) in records.iter().enumerate() {
        episodes.apply(offset as u64 + 1, record);
        episodes.apply(offset as u64 + 1, record);
    }
    episodes
}

fn figures(made: &[Made], asked: &Asked) -> Performance {
    performance(&folded(made).rows_before(asked.to), asked)
}

fn made() -> impl Strategy<Value = Made> {
    let step = 20_000;
    let hidden = prop_oneof![6 => Just(Some(0)), 1 => (1..40i64).prop_map(move |n| Some(n * step)), 1 => Just(None)];
    let times =
        (0..600i64, hidden, proptest::option::of(0..300i64), proptest::option::of(1..300i64));
    let what =
        (0..3u8, 0..4u8, 1..5u8, any::<bool>(), any::<bool>(), proptest::bool::weighted(0.1));
    (times, what).prop_map(move |((raised, hidden, taken, cleared), what)| {
        let (rule, device, severity, field, long, drill) = what;
        let cleared = cleared.map(|n| if long { n * HOUR_MS / 4 } else { n * step });
        let raised = raised * step;
        // What is over cannot be shown or taken any more.
        let before = |ms: i64| cleared.is_none_or(|cleared| ms < cleared);
        let hidden = hidden.filter(|ms| before(*ms));
        let taken = taken.map(|n| n * step + 1).filter(|ms| before(*ms) && hidden.is_some());
        let shelved = cleared.is_none() && long;
        Made { rule, device, severity, field, raised, hidden, taken, cleared, shelved, drill }
    })
}

/// The second implementation: no sorting, no sliding, every figure by its definition.
struct Naive<'m> {
    made: Vec<&'m Made>,
    from: i64,
    to: i64,
    now: i64,
}

impl Naive<'_> {
    fn shown(&self) -> Vec<&Made> {
        let within = |at: i64| self.from <= at && at < self.to;
        self.made
            .iter()
            .copied()
            .filter(|one| !one.drill && one.shown().is_some_and(within))
            .collect()
    }

    fn all_times(&self) -> Vec<i64> {
        let real = self.made.iter().filter(|one| !one.drill);
        real.filter_map(|one| one.shown()).filter(|at| *at < self.to).collect()
    }

    fn peak(&self, window: i64) -> f64 {
        let times: Vec<i64> = self.shown().iter().filter_map(|one| one.shown()).collect();
        let within =
            |begin: &i64| times.iter().filter(|at| (*begin..begin + window).contains(at)).count();
        times.iter().map(within).max().unwrap_or(0) as f64
    }

    fn chattering(&self) -> (f64, f64) {
        let shown = self.shown();
        let same = |a: &Made, b: &Made| (a.rule, a.device) == (b.rule, b.device);
        let is_chatter = |one: &&&Made| {
            let at = one.shown().unwrap();
            let near: Vec<i64> = shown
                .iter()
                .filter(|other| same(one, other))
                .filter_map(|other| other.shown())
                .collect();
            let within = |begin: i64| {
                (begin..=begin + MINUTE_MS).contains(&at)
                    && near.iter().filter(|t| (begin..=begin + MINUTE_MS).contains(t)).count() >= 3
            };
            near.iter().any(|begin| within(*begin))
        };
        let chatter: Vec<&&Made> = shown.iter().filter(is_chatter).collect();
        let alarms: BTreeSet<(u8, u8)> = chatter.iter().map(|one| (one.rule, one.device)).collect();
        (alarms.len() as f64, chatter.len() as f64)
    }

    /// The flood's time by looking at every step of the clock.
    fn flood_ms(&self) -> f64 {
        const LOOK: i64 = 20_000;
        let times = self.all_times();
        let (mut flooded, mut total) = (false, 0);
        let begin = times.iter().min().copied().unwrap_or(self.to).min(self.from);
        let mut at = begin - begin.rem_euclid(LOOK);
        while at < self.to {
            let recent = times.iter().filter(|t| at - 10 * MINUTE_MS < **t && **t <= at).count();
            flooded = if flooded { recent >= 5 } else { recent >= 10 };
            if flooded && at >= self.from {
                total += LOOK;
            }
            at += LOOK;
        }
        total as f64
    }

    /// Looks at the state of every alert at each moment at which one more can be stale.
    fn stale(&self) -> f64 {
        let real = || self.made.iter().filter(|one| !one.drill);
        let is_stale = |one: &Made, at: i64| {
            let ended = one.cleared.map_or(self.now, |ms| one.raised + ms);
            one.shown().is_some_and(|shown| at - shown >= DAY_MS) && at < ended
        };
        let moments = real().filter_map(|one| Some(one.shown()? + DAY_MS)).chain([self.from]);
        let within = moments.filter(|at| self.from <= *at && *at < self.to);
        let counts = within.map(|at| real().filter(|one| is_stale(one, at)).count());
        counts.max().unwrap_or(0) as f64
    }

    fn part(mut lasted: Vec<i64>, percent: usize) -> Option<f64> {
        lasted.sort_unstable();
        let enough = |ms: &&i64| {
            let within = lasted.iter().filter(|one| one <= ms).count();
            within * 100 >= percent * lasted.len()
        };
        lasted.iter().find(enough).map(|ms| *ms as f64 / 1_000.0)
    }

    fn figures(&self) -> Vec<(&'static str, Option<f64>)> {
        let shown = self.shown();
        let count = shown.len() as f64;
        let span = (self.to - self.from) as f64;
        let spread = |amount: f64| (span > 0.0).then(|| amount / span);
        let mean = |window: i64| spread(count * window as f64);
        let (alarms, chattering) = self.chattering();
        let lasted = |one: &&&Made| one.cleared.map(|ms| one.raised + ms - one.shown().unwrap());
        let fleeting =
            shown.iter().filter(|one| lasted(one).is_some_and(|ms| ms <= MINUTE_MS)).count();
        let share = |wanted: &dyn Fn(u8) -> bool| {
            let some = shown.iter().filter(|one| wanted(one.severity)).count();
            (!shown.is_empty()).then(|| some as f64 / count)
        };
        let taken =
            shown.iter().filter_map(|one| Some((one.raised + one.taken? - one.shown()?).max(0)));
        let taken: Vec<i64> = taken.collect();
        let over: Vec<i64> = shown.iter().filter_map(|one| lasted(&one)).collect();
        vec![
            ("per_10_min_mean", mean(10 * MINUTE_MS)),
            ("per_10_min_peak", Some(self.peak(10 * MINUTE_MS))),
            ("per_hour_mean", mean(HOUR_MS)),
            ("per_hour_peak", Some(self.peak(HOUR_MS))),
            ("per_day_mean", mean(DAY_MS)),
            ("per_day_peak", Some(self.peak(DAY_MS))),
            ("chattering_alarms", Some(alarms)),
            ("chattering", Some(chattering)),
            ("fleeting", Some(fleeting as f64)),
            ("stale", Some(self.stale())),
            ("critical_and_high_share", share(&|severity| severity <= 2)),
            ("medium_share", share(&|severity| severity == 3)),
            ("low_share", share(&|severity| severity == 4)),
            ("acknowledge_median", Self::part(taken.clone(), 50)),
            ("acknowledge_p90", Self::part(taken, 90)),
            ("clear_median", Self::part(over.clone(), 50)),
            ("clear_p90", Self::part(over, 90)),
            ("flood_time", Some(self.flood_ms() / 1_000.0)),
            ("flood_share", spread(self.flood_ms())),
        ]
    }
}

fn of(report: &Report, name: &str) -> Option<f64> {
    report
        .figures
        .iter()
        .find(|figure| figure.name == name)
        .unwrap_or_else(|| panic!("{name}"))
        .value
}

fn asked(from: i64, to: i64, now: i64) -> Asked {
    let at = Timestamp::from_millis;
    Asked { from: at(from), to: at(to), now: at(now), desk: None, rule: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn two_implementations_agree(
        made in proptest::collection::vec(made(), 0..60),
        from in 0..300i64,
        // Most are hours long, some days: only then can anything be stale.
        length in prop_oneof![3 => 1..600i64, 1 => 4_000..11_000i64],
        tail in 0..10_000i64,
    ) {
        let (from, to) = (from * 20_000, (from + length) * 20_000);
        let now = to + tail * 20_000;
        let answer = figures(&made, &asked(from, to, now));
        // What is shown of the span begins with the first alert of any kind.
        let first = made.iter().map(|one| one.raised).filter(|at| *at < to).min();
        let covered = first.map_or(to, |first| first.max(from));
        prop_assert_eq!(answer.covered_from.as_millis(), covered);
        let from = covered;
        let check = |report: &Report, made: Vec<&Made>| {
            let naive = Naive { made, from, to, now };
            prop_assert_eq!(report.shown, naive.shown().len() as u64);
            for (name, wanted) in naive.figures() {
                prop_assert_eq!(of(report, name), wanted, "{} of {}", name, report.of);
            }
            Ok(())
        };
        check(&answer.total, made.iter().collect())?;
        for desk in &answer.desks {
            check(desk, made.iter().filter(|one| one.field().as_str() == desk.of).collect())?;
        }
        for rule in &answer.rules {
            check(rule, made.iter().filter(|one| format!("rule:rule-{}", one.rule) == rule.of).collect())?;
        }
        let raised = |one: &&Made| !one.drill && (from..to).contains(&one.raised);
        let never = made.iter().filter(raised).filter(|one| one.hidden.is_none()).count();
        prop_assert_eq!(answer.total.never_shown, never as u64);
    }
}

fn plain(rule: u8, raised: i64, cleared: Option<i64>) -> Made {
    Made {
        rule,
        device: 0,
        severity: 3,
        field: true,
        raised,
        hidden: Some(0),
        taken: None,
        cleared,
        shelved: false,
        drill: false,
    }
}

#[test]
fn known_cases_have_known_answers() {
    // Three raises within a minute, each gone after five seconds; one that holds for two days.
    let mut made: Vec<Made> = (0..3).map(|n| plain(1, n * 25_000, Some(5_000))).collect();
    made.push(plain(2, 0, Some(2 * DAY_MS)));
    let answer = figures(&made, &asked(0, 3 * DAY_MS, 3 * DAY_MS));
    let total = &answer.total;
    for (name, wanted) in [
        ("chattering_alarms", 1.0),
        ("chattering", 3.0),
        ("fleeting", 3.0),
        ("stale", 1.0),
        ("per_10_min_peak", 4.0),
        ("top_ten_share", 1.0),
        ("floods", 0.0),
        ("medium_share", 1.0),
    ] {
        assert_eq!(of(total, name), Some(wanted), "{name}");
    }
    assert_eq!(of(total, "acknowledge_median"), None);
    assert_eq!((total.top[0].count, total.top[0].share), (3, 0.75));
    let met = |name: &str| total.figures.iter().find(|one| one.name == name).unwrap().met;
    assert_eq!(
        (met("chattering_alarms"), met("stale"), met("clear_p90")),
        (Some(false), Some(true), None)
    );
    assert!(!answer.enough && answer.rules.len() == 2 && answer.desks.len() == 1);
    assert!(answer.rules[0].figures.iter().all(|figure| figure.target.is_none()));
}

#[test]
fn stale_are_as_many_as_were_so_at_one_time() {
    // One a day, each of two days: each is stale through its second day, the next one after it.
    let made: Vec<Made> =
        (0..5).map(|n| plain(n, i64::from(n) * DAY_MS, Some(2 * DAY_MS))).collect();
    let span = asked(0, 9 * DAY_MS, 9 * DAY_MS);
    assert_eq!(of(&figures(&made, &span).total, "stale"), Some(1.0), "five, but never two at once");
    let longer: Vec<Made> =
        made.iter().map(|one| Made { cleared: Some(3 * DAY_MS + 1), ..*one }).collect();
    assert_eq!(of(&figures(&longer, &span).total, "stale"), Some(3.0));
    let open: Vec<Made> = made.into_iter().map(|one| Made { cleared: None, ..one }).collect();
    assert_eq!(of(&figures(&open, &span).total, "stale"), Some(5.0));
    assert_eq!(of(&figures(&open, &asked(0, DAY_MS, 9 * DAY_MS)).total, "stale"), Some(0.0));
}

#[test]
fn days_before_the_first_alert_are_no_quiet_ones() {
    let at = |day: i64| day * DAY_MS;
    let made: Vec<Made> = (0..10).map(|n| plain(n, at(100) + i64::from(n), None)).collect();
    let answer = figures(&made, &asked(at(72), at(102), at(102)));
    assert_eq!((answer.from.as_millis(), answer.covered_from.as_millis()), (at(72), at(100)));
    assert_eq!((of(&answer.total, "per_day_mean"), answer.enough), (Some(5.0), false));
    // One rule or desk alone is judged by the time since the first alert of any.
    let rule =
        Asked { rule: Some(RuleId::new("rule-9").unwrap()), ..asked(at(99), at(130), at(130)) };
    let alone = figures(&made, &rule);
    assert_eq!((alone.covered_from.as_millis(), alone.enough), (at(100), true));
    for before in
        [figures(&made, &asked(at(1), at(50), at(102))), figures(&[], &asked(0, at(50), at(50)))]
    {
        assert_eq!((before.covered_from, before.enough), (before.to, false));
        assert_eq!(of(&before.total, "per_day_mean"), None);
        assert_eq!(of(&before.total, "flood_share"), None);
        assert_eq!(of(&before.total, "per_day_peak"), Some(0.0));
    }
}

#[test]
fn ten_within_ten_minutes_are_a_flood_until_fewer_than_five_are_left() {
    let made: Vec<Made> = (0..12).map(|n| plain(n as u8, n * 30_000, None)).collect();
    let answer = figures(&made, &asked(0, HOUR_MS, HOUR_MS));
    // From the tenth on, at 270 s, until the eighth (210 s) is ten minutes old.
    assert_eq!(of(&answer.total, "floods"), Some(1.0));
    assert_eq!(of(&answer.total, "flood_time"), Some(540.0));
    let half = figures(&made, &asked(300_000, 600_000, HOUR_MS));
    assert_eq!(of(&half.total, "flood_share"), Some(1.0));
}

#[test]
fn one_desk_or_rule_is_asked_for_alone_and_the_table_says_the_same() {
    let mut made: Vec<Made> = (0..4).map(|n| plain(n as u8, i64::from(n) * 1_000, None)).collect();
    made[3].field = false;
    let desk = Asked { desk: Some(Field::Environment), ..asked(0, DAY_MS, DAY_MS) };
    let answer = figures(&made, &desk);
    assert_eq!((answer.total.of.as_str(), answer.total.shown), ("environment", 3));
    assert!(answer.desks.is_empty() && answer.rules.len() == 3);
    let rule = Asked { rule: Some(RuleId::new("rule-3").unwrap()), ..asked(0, DAY_MS, DAY_MS) };
    let answer = figures(&made, &rule);
    assert_eq!((answer.total.shown, answer.rules.len()), (1, 0));

    let commas = table(&figures(&made, &desk), Separator::Comma);
    let mut lines = commas.split("\r\n");
    assert_eq!(lines.next(), Some("of,figure,value,unit,bound,target,met"));
    assert_eq!(lines.next(), Some("environment,shown,3,1,,,"));
    assert!(commas.contains("\r\nenvironment,per_day_mean,3,1,at_most,150,true\r\n"), "{commas}");
    assert!(commas.lines().skip(1).all(|line| line.matches(',').count() == 6));
    let semicolons = table(&figures(&made, &desk), Separator::Semicolon);
    assert!(semicolons.starts_with("\u{feff}of;figure;value;"), "{semicolons}");
}

#[test]
fn rows_are_kept_for_a_year_and_a_month_and_for_a_number_of_them() {
    let mut episodes = Episodes::default();
    let mut number = 0;
    let mut record = sample::alert("e", 1, Field::Security);
    let mut raise = |at: i64, times: usize| {
        for _ in 0..times {
            number += 1;
            record.id = AlertId::from_text(&format!("e{number}"));
            record.recorded_at = Timestamp::from_millis(at);
            episodes.apply(number, &record);
        }
        episodes.rows_before(record.recorded_at.plus_ms(1)).len()
    };
    assert_eq!(raise(0, 1), 1);
    assert_eq!(raise(DAY_MS, 1), 2);
    assert_eq!(raise(KEPT_DAYS * DAY_MS + 1, 1), 2, "the first one is older than that now");
    assert_eq!(raise(KEPT_DAYS * DAY_MS + 2, KEPT_ROWS + 9), KEPT_ROWS);
}
