//! Pure: checks one rule against what the registry knows, so that no rule is silently dead.

use sen_model::{Condition, Device, Metric, Registry, Rule, Selector};

use super::section::Section;
use crate::expression::{self, Expression};
use crate::panes::MOST_IN_PANE;
use crate::recent::MOST_READINGS;
use crate::selection::selects;

/// Notes everything the rule names that does not exist, and everything it asks of devices that
/// they cannot give.
pub(super) fn check(rule: &Rule, registry: &Registry, section: &mut Section<'_>) {
    let selector = &rule.selector;
    match rule.condition {
        Condition::Composite { .. } | Condition::Neighbours { .. } | Condition::Sequence { .. } => {
            return check_selects_nothing(section);
        }
        Condition::Events { .. } if *selector == Selector::default() => return,
        Condition::Events { .. } if !selector.metrics.is_empty() => {
            section.problem("metrics", "events have none");
        }
        Condition::Events { .. } => {}
        Condition::Absence { .. } if *selector == Selector::default() => select_something(section),
        Condition::Absence { .. } => {}
        _ if selector.metrics.is_empty() => {
            section.problem("metrics", "a limit needs at least one metric to judge");
        }
        _ => {}
    }
    let is_all_known = check_names(selector, registry, section);
    let selected: Vec<&Device> =
        registry.devices().filter(|device| selects(selector, &device.id, Some(device))).collect();
    if selected.is_empty() {
        if is_all_known {
            let none = "selects no device: none is all that it asks for";
            section.problem("rule", none);
        }
        return;
    }
    check_metrics(&selector.metrics, &selected, section);
    check_interval(rule, &selected, section);
    check_expression(rule, registry, &selected, section);
}

fn select_something(section: &mut Section<'_>) {
    let words = "selects everything: give devices, kinds, areas, fields, tags or metrics";
    section.problem("rule", words);
}

/// A rule over other rules is about what these are about.
fn check_selects_nothing(section: &mut Section<'_>) {
    for key in ["devices", "kinds", "areas", "fields", "tags", "metrics"] {
        if section.was_given(key) {
            section.problem(key, "a rule over rules is about what these are about: say it there");
        }
    }
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
    let exists = |tag: &String| registry.devices().any(|device| device.tags.contains(tag));
    for tag in selector.tags.iter().filter(|tag| !exists(tag)) {
        unknown("tags", format!("there is no device with the tag `{tag}`"));
    }
    is_all_known
}

/// Each metric must be measured by one of the selected devices that says what it measures.
fn check_metrics(metrics: &[Metric], selected: &[&Device], section: &mut Section<'_>) {
    for metric in metrics {
        if !selected.iter().any(|device| measures(device, metric)) {
            section.problem("metrics", format!("no selected device measures `{metric}`"));
        }
    }
}

/// Whether a device measures something, or may: one without metrics says nothing of it.
fn measures(device: &Device, metric: &Metric) -> bool {
    device.metrics.is_empty() || device.metric(metric).is_some()
}

/// What looks back must find readings there, and no more than are remembered.
fn check_interval(rule: &Rule, selected: &[&Device], section: &mut Section<'_>) {
    let by_interval = |device: &&&Device| device.interval_ms;
    let (Some(slowest), Some(fastest)) =
        (selected.iter().max_by_key(by_interval), selected.iter().min_by_key(by_interval))
    else {
        return;
    };
    let (key, least_ms, span_ms, most) = match rule.condition {
        // Shorter than the interval it would be raised between any two readings.
        Condition::Absence { missing_ms } => ("missing", missing_ms, 0, usize::MAX),
        Condition::Window { every_ms, window_ms, .. } => {
            let key = if every_ms < window_ms { "every" } else { "window" };
            (key, every_ms, every_ms, MOST_IN_PANE)
        }
        Condition::Rate { within_ms, .. } | Condition::Delta { within_ms, .. } => {
            ("within", within_ms, within_ms, MOST_READINGS)
        }
        Condition::Frozen { for_ms, .. } => ("frozen", for_ms, for_ms, MOST_READINGS),
        _ => return,
    };
    if slowest.interval_ms >= least_ms {
        let (id, seconds) = (&slowest.id, slowest.interval_ms / 1_000);
        section.problem(key, format!("`{id}` reports every {seconds} s only: take longer"));
    }
    let readings = span_ms / fastest.interval_ms.max(1);
    if usize::try_from(readings).unwrap_or(usize::MAX) >= most {
        let id = &fastest.id;
        let message = format!("`{id}` sends {readings} readings in that time, {most} are kept");
        section.problem(key, message);
    }
}

/// An expression must compile, know what it names, and say true or false.
fn check_expression(
    rule: &Rule,
    registry: &Registry,
    selected: &[&Device],
    section: &mut Section<'_>,
) {
    let Condition::Expression { cel, references, .. } = &rule.condition else { return };
    for reference in references {
        let (name, metric) = (&reference.name, &reference.metric);
        let problem = match &reference.device {
            None if selected.iter().any(|device| measures(device, metric)) => continue,
            None => format!("`{name}`: no selected device measures `{metric}`"),
            Some(id) => match registry.device(id) {
                None => format!("`{name}`: there is no device `{id}`"),
                Some(device) if !measures(device, metric) => {
                    format!("`{name}`: `{id}` does not measure `{metric}`")
                }
                Some(_) => continue,
            },
        };
        section.problem("references", problem);
    }
    let (Some(device), Some(metric)) = (selected.first(), rule.selector.metrics.first()) else {
        return;
    };
    let tried = Expression::compile(cel, references).and_then(|expression| {
        expression::try_out(&expression, references, registry, (device, metric))
    });
    if let Err(problem) = tried {
        section.problem("expression", problem);
    }
}
