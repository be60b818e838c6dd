//! Pure: checks the rules of a file against each other.

use std::collections::{HashMap, HashSet};

use sen_model::condition::Scope;
use sen_model::{AreaCode, Condition, Device, Registry, Rule, RuleId, Standing};

use super::Entry;
use crate::selection::selects;

/// Notes references to rules that do not exist or cannot be meant, circles, and parts of nothing.
pub(super) fn check(entries: &mut [Entry<'_>], registry: &Registry) {
    // Also the names of rules that could not be read: what is wrong with them is told there.
    let names: HashSet<RuleId> = entries.iter().filter_map(|entry| entry.id.clone()).collect();
    let rules: HashMap<RuleId, Rule> = entries
        .iter()
        .filter_map(|entry| entry.rule.clone())
        .map(|rule| (rule.id.clone(), rule))
        .collect();
    let used: HashSet<&RuleId> = rules.values().flat_map(|rule| parts(&rule.condition)).collect();
    for Entry { section, rule, .. } in entries {
        let Some(rule) = rule else { continue };
        for (keys, part) in keyed_parts(&rule.condition) {
            let key = keys.iter().find(|key| section.was_given(key)).copied().unwrap_or("rule");
            if !names.contains(part) {
                section.problem(key, format!("there is no rule `{part}`"));
            } else if let Some(problem) = rules.get(part).and_then(|p| unfit(&rule.condition, p)) {
                section.problem(key, problem);
            }
        }
        if let Some(circle) = circle(rule, &rules) {
            section.problem("id", format!("depends on itself: {circle}"));
        }
        if rule.standing == Standing::Part && !used.contains(&rule.id) {
            section.problem("standing", "no other rule uses this part");
        }
        if let Some(problem) = never_together(rule, &rules, registry) {
            section.problem("scope", problem);
        }
        if needs_a_river(&rule.condition)
            && !registry.devices().any(|d| d.relations.upstream.is_some())
        {
            section.problem("downstream", "no device of devices.toml has an `upstream`");
        }
    }
}

/// The rules a condition names, each with the keys it may be named by.
fn keyed_parts(condition: &Condition) -> Vec<(&'static [&'static str], &RuleId)> {
    match condition {
        Condition::Composite { of, .. } => {
            of.iter().map(|id| (&["of", "any_of", "all_of"][..], id)).collect()
        }
        Condition::Neighbours { of, .. } => vec![(&["neighbours_of"], of)],
        Condition::Sequence { first, then, .. } => vec![(&["first"], first), (&["then"], then)],
        _ => Vec::new(),
    }
}

fn parts(condition: &Condition) -> impl Iterator<Item = &RuleId> {
    keyed_parts(condition).into_iter().map(|(_, id)| id)
}

fn needs_a_river(condition: &Condition) -> bool {
    matches!(condition, Condition::Sequence { downstream: true, .. })
}

/// Whether a rule is about devices rather than about areas, the province or events.
fn is_about_devices(rule: &Rule) -> bool {
    match &rule.condition {
        Condition::Composite { scope, .. } | Condition::Events { scope, .. } => {
            *scope == Scope::Device
        }
        Condition::Neighbours { .. } | Condition::Sequence { .. } => false,
        _ => true,
    }
}

/// Why a rule cannot be a part of this condition.
fn unfit(whole: &Condition, part: &Rule) -> Option<String> {
    let wants_devices = match whole {
        Condition::Composite { scope, .. } => *scope == Scope::Device,
        _ => true,
    };
    let id = &part.id;
    (wants_devices && !is_about_devices(part))
        .then(|| format!("`{id}` is not about single devices"))
}

/// The way from a rule over its parts back to it.
fn circle(rule: &Rule, rules: &HashMap<RuleId, Rule>) -> Option<String> {
    let mut seen = HashSet::new();
    let mut ways: Vec<Vec<&RuleId>> = parts(&rule.condition).map(|id| vec![id]).collect();
    while let Some(way) = ways.pop() {
        let last = way.last()?;
        if **last == rule.id {
            let names = way.iter().map(|id| format!("`{id}`"));
            return Some(names.collect::<Vec<_>>().join(", then "));
        }
        if let Some(part) = rules.get(*last).filter(|_| seen.insert(*last)) {
            ways.extend(parts(&part.condition).map(|id| [way.as_slice(), &[id]].concat()));
        }
    }
    None
}

/// Why so many of the parts can never hold in one scope.
fn never_together(
    rule: &Rule,
    rules: &HashMap<RuleId, Rule>,
    registry: &Registry,
) -> Option<&'static str> {
    let Condition::Composite { of, least, scope, .. } = &rule.condition else { return None };
    let parts: Vec<&Rule> = of.iter().filter_map(|id| rules.get(id)).collect();
    // Of parts over parts the devices are not known here.
    if parts.len() != of.len() || of.len() < 2 || parts.iter().any(|p| is_over_others(p)) {
        return None;
    }
    let mut by_device: HashMap<&str, u32> = HashMap::new();
    let mut by_area: HashMap<&AreaCode, u32> = HashMap::new();
    for part in parts {
        let mut areas = HashSet::new();
        for device in registry.devices().filter(|device| is_judged(part, device)) {
            *by_device.entry(device.id.as_str()).or_default() += 1;
            areas.insert(&device.area);
        }
        for area in areas {
            *by_area.entry(area).or_default() += 1;
        }
    }
    match scope {
        Scope::Device if by_device.values().all(|parts| parts < least) => {
            Some("no device is judged by so many of these rules")
        }
        Scope::Area if by_area.values().all(|parts| parts < least) => {
            Some("no area has devices for so many of these rules")
        }
        _ => None,
    }
}

fn is_over_others(rule: &Rule) -> bool {
    matches!(rule.condition, Condition::Events { .. }) || parts(&rule.condition).next().is_some()
}

/// Whether a rule judges a device by anything it measures.
fn is_judged(rule: &Rule, device: &Device) -> bool {
    let metrics = &rule.selector.metrics;
    let measures = |metric| device.metrics.is_empty() || device.metric(metric).is_some();
    selects(&rule.selector, &device.id, Some(device))
        && (metrics.is_empty() || metrics.iter().any(measures))
}
