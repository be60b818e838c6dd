//! Pure: checks one rule against what the registry knows, so that no rule is silently dead.

use sen_model::{Condition, Device, Metric, Registry, Rule, Selector};

use super::section::Section;
use crate::selection::selects;

/// Notes everything the rule names that does not exist.
pub(super) fn check(rule: &Rule, registry: &Registry, section: &mut Section<'_>) {
    let selector = &rule.selector;
    let is_threshold = matches!(rule.condition, Condition::Threshold { .. });
    if is_threshold && selector.metrics.is_empty() {
        section.problem("metrics", "a limit needs at least one metric to judge");
    } else if *selector == Selector::default() {
        section.problem("rule", "selects everything: give devices, kinds, areas or metrics");
    }
    let is_all_known = check_names(selector, registry, section);
    let selected: Vec<&Device> =
        registry.devices().filter(|device| selects(selector, &device.id, Some(device))).collect();
    if selected.is_empty() {
        if is_all_known {
            let none = "selects no device: none has the devices, kinds and areas it asks for";
            section.problem("rule", none);
        }
        return;
    }
    check_metrics(selector.metrics.iter(), &selected, section);
    check_interval(rule, &selected, section);
}

/// Each name must exist; tells whether all do.
fn check_names(selector: &Selector, registry: &Registry, section: &mut Section<'_>) -> bool {
    let mut is_all_known = true;
    let mut unknown = |key, message| {
        is_all_known = false;
        section.problem(key, message);
    };
    for device in selector.devices.iter().filter(|id| registry.device(id).is_none()) {
        unknown("devices", format!("there is no device `{device}`"));
    }
    for area in selector.areas.iter().filter(|code| registry.area(code).is_none()) {
        unknown("areas", format!("there is no area `{area}`"));
    }
    let exists = |kind: &str| registry.devices().any(|device| device.kind == kind);
    for kind in selector.kinds.iter().filter(|kind| !exists(kind)) {
        unknown("kinds", format!("there is no device of kind `{kind}`"));
    }
    is_all_known
}

/// Each metric must be measured by one of the selected devices that says what it measures.
fn check_metrics<'a>(
    metrics: impl Iterator<Item = &'a Metric>,
    selected: &[&Device],
    section: &mut Section<'_>,
) {
    let says_nothing = selected.iter().any(|device| device.metrics.is_empty());
    for metric in metrics {
        if !says_nothing && !selected.iter().any(|device| device.metric(metric).is_some()) {
            section.problem("metrics", format!("no selected device measures `{metric}`"));
        }
    }
}

/// An absence shorter than the reporting interval would be raised between any two readings.
fn check_interval(rule: &Rule, selected: &[&Device], section: &mut Section<'_>) {
    let Condition::Absence { missing_ms } = rule.condition else { return };
    let slowest = selected.iter().max_by_key(|device| device.interval_ms);
    let Some(slowest) = slowest.filter(|device| device.interval_ms >= missing_ms) else { return };
    let (id, seconds) = (&slowest.id, slowest.interval_ms / 1_000);
    section.problem("missing", format!("`{id}` reports every {seconds} s only: wait longer"));
}
