//! Pure: the conditions over other rules and over events.

use std::collections::BTreeMap;

use sen_model::condition::Scope;
use sen_model::{Condition, RuleId};

use super::section::Section;
use crate::groups::{MOST_BESIDE, MOST_HOLDING};
use crate::happenings::MOST_SEEN;

/// Parts of a composite, at most.
const MOST_PARTS: usize = 50;
/// Neighbours are no farther from one another: beyond it write a composite of an area.
const MOST_METRES: f64 = 50_000.0;

/// Nobody counts further than is remembered.
fn check_countable(section: &mut Section<'_>, least: Option<u32>, most: usize) {
    if least.is_some_and(|least| least as usize > most) {
        section.problem("least", format!("no more than {most} are counted: take fewer"));
    }
}

/// `all_of`, `any_of`, or `of` with `least`.
pub(super) fn read_composite(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let of: Option<Vec<RuleId>> = section.take(mark);
    let least = read_least(section, mark, of.as_deref().unwrap_or_default());
    let scope: Option<Scope> = section.require("scope");
    let for_ms = section.take_duration("for").unwrap_or(0);
    let (of, least, scope) = (of?, least?, scope?);
    if scope == Scope::Device && of.len() == 1 {
        section.problem("scope", "one rule about one device is that rule: count areas or more");
    }
    Some(Condition::Composite { of, least, scope, for_ms })
}

fn read_least(section: &mut Section<'_>, mark: &str, of: &[RuleId]) -> Option<u32> {
    let parts = u32::try_from(of.len()).unwrap_or(u32::MAX);
    let least = match mark {
        "of" => section.require("least"),
        _ if section.has("least") => {
            section.skip("least");
            section.problem("least", format!("`{mark}` says how many: write `of` with `least`"));
            return None;
        }
        "all_of" => Some(parts),
        _ => Some(1),
    };
    if !(1..=MOST_PARTS).contains(&of.len()) {
        section.problem(mark, format!("names {} rules: from 1 to {MOST_PARTS}", of.len()));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = of.iter().find(|id| !seen.insert(*id)) {
        section.problem(mark, format!("names `{twice}` twice"));
    }
    // With one part, devices are counted, and there may be many.
    if least.is_some_and(|least| least == 0 || (parts > 1 && least > parts)) {
        section.problem("least", format!("must be from 1 to {parts}"));
        return None;
    }
    check_countable(section, least, MOST_HOLDING);
    least
}

/// `neighbours_of`.
pub(super) fn read_neighbours(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let of: Option<RuleId> = section.take(mark);
    let least: Option<u32> = section.require("least");
    if !section.has("distance_m") {
        section.problem("distance_m", "is missing");
    }
    let distance_m = section.take_number("distance_m");
    let within_ms = section.require_span("within");
    if least.is_some_and(|least| least < 2) {
        section.problem("least", "one device has no neighbour: 2 or more");
    }
    check_countable(section, least, MOST_BESIDE);
    if distance_m.is_some_and(|metres| metres <= 0.0) {
        section.problem("distance_m", "must be more than 0 metres");
    }
    if distance_m.is_some_and(|metres| metres > MOST_METRES) {
        let advice = format!("at most {MOST_METRES} metres: beyond that count an area");
        section.problem("distance_m", advice);
    }
    let (of, least) = (of?, least?);
    Some(Condition::Neighbours { of, least, distance_m: distance_m?, within_ms: within_ms? })
}

/// `first` and `then`.
pub(super) fn read_sequence(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let first: Option<RuleId> = section.take(mark);
    let then: Option<RuleId> = section.require("then");
    let within_ms = section.require_span("within");
    let downstream = section.take("downstream").unwrap_or(false);
    Some(Condition::Sequence { first: first?, then: then?, within_ms: within_ms?, downstream })
}

/// `events`.
pub(super) fn read_events(section: &mut Section<'_>, mark: &str) -> Option<Condition> {
    let kinds: Option<Vec<String>> = section.take(mark);
    let attributes: BTreeMap<String, String> = section.take("attributes").unwrap_or_default();
    let least = section.take("least").unwrap_or(1_u32);
    let within_ms = section.require_span("within");
    let distinct = section.take("distinct");
    let scope: Option<Scope> = section.require("scope");
    let quiet_ms = section.require_span("quiet");
    if kinds.as_ref().is_some_and(Vec::is_empty) {
        section.problem(mark, "name at least one kind of event");
    }
    if least == 0 {
        section.problem("least", "must be at least 1");
    }
    check_countable(section, Some(least), MOST_SEEN);
    Some(Condition::Events {
        kinds: kinds?,
        attributes: attributes.into_iter().collect(),
        least,
        within_ms: within_ms?,
        distinct,
        scope: scope?,
        quiet_ms: quiet_ms?,
    })
}
