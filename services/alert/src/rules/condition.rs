//! Pure: the condition of a rule. One key says which kind it is (`at_least`, `missing`,
//! `expression`, …), the others are its details; a detail of another kind is a mistake.

use std::collections::BTreeMap;

use sen_model::condition::{Reference, Statistic};
use sen_model::{Bound, Condition, DeviceId, Level, Limit, Metric, Severity};
use serde::Deserialize;

use super::groups;
use super::section::Section;
use crate::panes::MOST_PANES;

/// Levels of a rule, at most.
const MOST_LEVELS: usize = 10;

/// How a kind of condition is written.
struct Form {
    /// Keys that say it is of this kind: one of them stands there.
    marks: &'static [&'static str],
    /// Keys with its details.
    details: &'static [&'static str],
    read: fn(&mut Section<'_>, &str) -> Option<Condition>,
}

/// Every kind.
const FORMS: [Form; 11] = [
    Form {
        marks: &["at_least", "above", "at_most", "below"],
        details: &["clear", "for", "clear_for", "window", "every", "statistic", "least_count"],
        read: read_limit_or_window,
    },
    Form { marks: &["level"], details: &[], read: read_levels },
    Form {
        marks: &["rate_at_least", "rate_above", "rate_at_most", "rate_below"],
        details: &["clear", "for", "clear_for", "per", "within"],
        read: read_rate,
    },
    Form {
        marks: &["delta_at_least", "delta_above", "delta_at_most", "delta_below"],
        details: &["clear", "for", "clear_for", "within"],
        read: read_delta,
    },
    Form { marks: &["frozen"], details: &["tolerance"], read: read_frozen },
    Form { marks: &["missing"], details: &[], read: read_absence },
    Form {
        marks: &["expression"],
        details: &["references", "for", "clear_for"],
        read: read_expression,
    },
    Form {
        marks: &["all_of", "any_of", "of"],
        details: &["least", "scope", "for"],
        read: groups::read_composite,
    },
    Form {
        marks: &["neighbours_of"],
        details: &["least", "distance_m", "within"],
        read: groups::read_neighbours,
    },
    Form {
        marks: &["first"],
        details: &["then", "within", "downstream"],
        read: groups::read_sequence,
    },
    Form {
        marks: &["events"],
        details: &["attributes", "least", "within", "distinct", "scope", "quiet"],
        read: groups::read_events,
    },
];

/// The condition of a rule.
pub(super) fn read(section: &mut Section<'_>) -> Option<Condition> {
    let marked = |form: &'static Form| form.marks.iter().map(move |mark| (form, *mark));
    let all: Vec<(&Form, &str)> = FORMS.iter().flat_map(marked).collect();
    let given: Vec<(&Form, &str)> =
        all.iter().copied().filter(|(_, mark)| section.has(mark)).collect();
    let Some((&(form, mark), others)) = given.split_first() else {
        let marks: Vec<String> = all.iter().map(|(_, mark)| format!("`{mark}`")).collect();
        let one_of = format!("says nothing of when it holds: it needs one of {}", marks.join(", "));
        section.problem("rule", one_of);
        skip_details(section, &[]);
        return None;
    };
    for (_, other) in others {
        section.skip(other);
        section.problem(other, format!("`{mark}` is given too: one condition a rule"));
    }
    if !others.is_empty() {
        section.skip(mark);
        skip_details(section, &[]);
        return None;
    }
    for stray in skip_details(section, form.details) {
        section.problem(stray, format!("makes no sense beside `{mark}`"));
    }
    (form.read)(section, mark)
}

/// Takes every detail but these; gives those that were there.
fn skip_details(section: &mut Section<'_>, but: &[&str]) -> Vec<&'static str> {
    let mut skipped = Vec::new();
    for key in FORMS.iter().flat_map(|form| form.details) {
        if section.has(key) && !but.contains(key) {
            section.skip(key);
            skipped.push(*key);
        }
    }
    skipped
}

/// The bound of a key such as `at_least` or `rate_below`.
fn read_bound(section: &mut Section<'_>, mark: &str) -> Option<Bound> {
    let value = section.take_number(mark)?;
    let make = match mark.trim_start_matches("rate_").trim_start_matches("delta_") {
        "at_least" => Bound::AtLeast,
        "above" => Bound::Above,
        "at_most" => Bound::AtMost,
        _ => Bound::Below,
    };
    Some(make(value))
}

fn read_limit(section: &mut Section<'_>, mark: &str) -> Option<Limit> {
    let bound = read_bound(section, mark);
    let clear = section.take_number("clear");
    let for_ms = section.take_duration("for").unwrap_or(0);
    let clear_for_ms = section.take_duration("clear_for").unwrap_or(0);
    let bound = bound?;
    if clear.is_some_and(|clear| bound.is_broken_by(clear)) {
        let side = if bound.is_upper() { "below" } else { "above" };
        let limit = bound.limit();
        section.problem("clear", format!("must be {side} the limit {limit}, or it never clears"));
    }
    Some(Limit { bound, clear, for_ms, clear_for_ms })
}

fn read_limit_or_window(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let limit = read_limit(section, mark);
    if section.has("window") {
        return read_window(section, limit);
    }
    for key in ["every", "statistic", "least_count"] {
        if section.has(key) {
            section.skip(key);
            section.problem(key, "needs a `window`");
        }
    }
    limit.map(|limit| Condition::Threshold { limit })
}

fn read_window(section: &mut Section<'_>, limit: Option<Limit>) -> Option<Condition> {
    let window_ms = section.require_span("window");
    let every = section.has("every").then(|| section.take_span("every"));
    let statistic: Option<Statistic> = section.require("statistic");
    let least_count = section.take("least_count").unwrap_or(0);
    let window_ms = window_ms?;
    let every_ms = every.unwrap_or(Some(window_ms))?;
    if window_ms % every_ms != 0 {
        section.problem("window", "must be a whole number of times `every`");
    } else if window_ms / every_ms > MOST_PANES {
        let most = format!("holds {} times `every`: {MOST_PANES} at most", window_ms / every_ms);
        section.problem("window", most);
    }
    let (statistic, limit) = (statistic?, limit?);
    Some(Condition::Window { window_ms, every_ms, statistic, limit, least_count })
}

fn read_levels(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let tables = section.take_tables(mark);
    let count = tables.len();
    let mut levels: Vec<Level> = Vec::new();
    for (line, table) in tables {
        let mut inner = section.within(line, table);
        if let Some(level) = read_level(&mut inner) {
            if let Some(milder) = levels.last() {
                check_order(milder, &level, &mut inner);
            }
            levels.push(level);
        }
        section.absorb(inner);
    }
    if !(2..=MOST_LEVELS).contains(&count) {
        section.problem(mark, format!("{count} levels: from 2 to {MOST_LEVELS}"));
    }
    (levels.len() == count).then_some(Condition::Levels { levels })
}

fn read_level(section: &mut Section<'_>) -> Option<Level> {
    let severity: Option<Severity> = section.require("severity");
    let marks = FORMS[0].marks.iter().copied().filter(|mark| section.has(mark));
    let given: Vec<&str> = marks.collect();
    let limit = match given.as_slice() {
        [mark] => read_limit(section, mark),
        _ => {
            given.iter().for_each(|mark| section.skip(mark));
            let one_of = "needs one of `at_least`, `above`, `at_most` or `below`";
            section.problem("level", one_of);
            None
        }
    };
    Some(Level { severity: severity?, limit: limit? })
}

/// From the mildest to the worst: a worse level lies further out, and is not less severe.
fn check_order(milder: &Level, worse: &Level, section: &mut Section<'_>) {
    let (inner, outer) = (milder.limit.bound, worse.limit.bound);
    if std::mem::discriminant(&inner) != std::mem::discriminant(&outer) {
        section.problem("level", "all levels of a rule are limits of one kind");
        return;
    }
    let is_further = match inner.is_upper() {
        true => outer.limit() > inner.limit(),
        false => outer.limit() < inner.limit(),
    };
    if !is_further {
        let (outer, inner) = (outer.limit(), inner.limit());
        let message = format!("{outer} does not lie beyond {inner}: from the mildest to the worst");
        section.problem("level", message);
    }
    if worse.severity > milder.severity {
        section.problem("severity", "is less severe than the level before it");
    }
}

fn read_rate(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let limit = read_limit(section, mark);
    let per_ms = section.require_span("per");
    let within_ms = section.require_span("within");
    Some(Condition::Rate { limit: limit?, per_ms: per_ms?, within_ms: within_ms? })
}

fn read_delta(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let limit = read_limit(section, mark);
    let within_ms = section.require_span("within");
    Some(Condition::Delta { limit: limit?, within_ms: within_ms? })
}

fn read_frozen(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let for_ms = section.take_span(mark);
    let tolerance = section.take_number("tolerance").unwrap_or(0.0);
    if tolerance < 0.0 {
        section.problem("tolerance", "must not be negative");
    }
    Some(Condition::Frozen { tolerance, for_ms: for_ms? })
}

fn read_absence(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    section.take_span(mark).map(|missing_ms| Condition::Absence { missing_ms })
}

/// A named value: a metric of the same device, or of another one.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write a metric, or { device = \"…\", metric = \"…\" }")]
enum Named {
    Own(Metric),
    Of { device: DeviceId, metric: Metric },
}

fn read_expression(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let cel: Option<String> = section.take(mark);
    let named: BTreeMap<String, Named> = section.take("references").unwrap_or_default();
    let for_ms = section.take_duration("for").unwrap_or(0);
    let clear_for_ms = section.take_duration("clear_for").unwrap_or(0);
    let mut references = Vec::new();
    for (name, named) in named {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let starts_well = name.bytes().next().is_some_and(is_letter);
        if !starts_well || !name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit()) {
            section.problem("references", format!("`{name}` must be of a-z, 0-9 and _"));
        }
        let (device, metric) = match named {
            Named::Own(metric) => (None, metric),
            Named::Of { device, metric } => (Some(device), metric),
        };
        references.push(Reference { name, device, metric });
    }
    Some(Condition::Expression { cel: cel?, references, for_ms, clear_for_ms })
}
