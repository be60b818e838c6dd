//! The stages together: what follows from an edit of the rules, and from a lost memory.

use sen_model::condition::Scope;
use sen_model::{Selector, Standing};

use super::*;
use crate::fixtures::{at, level, limit, registry, rule};

const TIMING: Timing = Timing { late_after_ms: 60_000, wait_ms: 0 };

fn part() -> Rule {
    Rule { standing: Standing::Part, ..rule("high", limit(None, 0, 0)) }
}

fn composite(id: &str, of: &str, least: u32) -> Rule {
    let of = vec![RuleId::new(of).unwrap()];
    let condition = Condition::Composite { of, least, scope: Scope::Area, for_ms: 0 };
    Rule { selector: Selector::default(), ..rule(id, condition) }
}

/// `+` or `-`, rule, device and beginning of each transition.
fn lines(transitions: &[Transition]) -> Vec<String> {
    let line = |transition: &Transition| {
        let (sign, subject, started_at) = match transition {
            Transition::Raise { subject, started_at, .. } => ('+', subject, started_at),
            Transition::Join { subject, started_at, .. } => ('.', subject, started_at),
            Transition::Clear { subject, started_at, .. } => ('-', subject, started_at),
        };
        let rule = &subject.edition.rule.id;
        format!("{sign}{rule} {} {}", subject.device, started_at.as_millis())
    };
    transitions.iter().map(line).collect()
}

fn aligned(evaluator: &mut Evaluator, now: i64) -> Vec<String> {
    let mut out = Vec::new();
    evaluator.align(std::iter::empty(), at(now), &mut out);
    lines(&out)
}

#[test]
fn a_new_group_learns_what_holds_and_an_edited_part_lets_go() {
    let registry = Arc::new(registry());
    let rules = [part()];
    let memory = Remembered::default();
    let mut evaluator = Evaluator::new(&rules, Arc::clone(&registry), TIMING, memory, at(0));
    let mut out = Vec::new();
    evaluator.judge(&level("stn-a", 10, 2.0), &mut out);
    evaluator.judge(&level("stn-b", 20, 2.0), &mut out);
    assert_eq!(lines(&out), ["+high stn-a 10", "+high stn-b 20"]);

    let with_groups = [composite("outer", "pair", 1), composite("pair", "high", 2), part()];
    evaluator.replace(&with_groups, &registry, at(30));
    assert_eq!(aligned(&mut evaluator, 30), ["+pair area-28261 20", "+outer area-28261 20"]);
    assert_eq!(aligned(&mut evaluator, 31), [""; 0], "once");

    let stricter = Rule { standing: Standing::Part, ..rule("high", limit(None, 5_000, 0)) };
    let edited = [composite("outer", "pair", 1), composite("pair", "high", 2), stricter];
    evaluator.replace(&edited, &registry, at(40));
    assert_eq!(aligned(&mut evaluator, 40), ["-pair area-28261 20", "-outer area-28261 20"]);
    assert_eq!(evaluator.open(), []);
}

#[test]
fn a_group_that_a_crash_took_from_memory_is_ended_and_told_anew() {
    let registry = Arc::new(registry());
    let rules = [
        composite("silent-pair", "silent", 2),
        rule("silent", Condition::Absence { missing_ms: 5_000 }),
    ];
    let new =
        || Evaluator::new(&rules, Arc::clone(&registry), TIMING, Remembered::default(), at(0));
    let mut evaluator = new();
    let mut out = Vec::new();
    evaluator.tick(at(5_001), &mut out);
    assert_eq!(lines(&out).last().map(String::as_str), Some("+silent-pair area-28261 0"));
    let Some(Transition::Raise { subject, started_at, members, .. }) = out.pop() else { panic!() };

    // The next life knows of the group from the log only: its parts were recorded nowhere.
    let record = AlertRecord {
        members,
        area: subject.area.clone(),
        ..AlertRecord::raised(
            subject.episode(started_at),
            subject.edition.rule.id.clone(),
            subject.edition.version.to_string(),
            subject.edition.severity,
            subject.edition.rule.field,
            subject.device.clone(),
            started_at,
        )
    };
    let mut evaluator = new();
    let mut out = Vec::new();
    evaluator.resume(at(6_000));
    evaluator.align(std::iter::once(&record), at(6_000), &mut out);
    assert_eq!(lines(&out), ["-silent-pair area-28261 0"]);
    out.clear();
    evaluator.tick(at(11_001), &mut out);
    let again = lines(&out).pop();
    assert_eq!(again.as_deref(), Some("+silent-pair area-28261 1"), "another episode");
}
