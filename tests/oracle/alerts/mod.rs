//! The oracle of alerts: which episodes the rules make of a list of reports, worked out apart from
//! the centre. Pure: values only.
//!
//! It is slow on purpose: it sorts all reports of a series, throws repeats out, and walks over them
//! once for each rule. Of the model it takes the names of things and what a rule says.

use sen_model::{
    Bound, Condition, Device, DeviceId, Limit, Metric, Registry, Rule, RuleId, Standing,
};

use super::Oracle;

mod schedule;
mod sight;
mod silence;
#[cfg(test)]
mod tests;
mod walk;

pub use silence::{Heard, of_silence};

use sight::sights;
use walk::walk;

/// One span in which a rule held for a series, as the alert about it must tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Episode {
    /// The rule.
    pub rule: RuleId,
    /// Which of its levels, from 1; 0 for a rule without levels.
    pub level: u8,
    /// The device.
    pub device: DeviceId,
    /// The metric; none for a device that is silent altogether.
    pub metric: Option<Metric>,
    /// When it began to hold, in milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// The event time by which that was certain.
    pub raised_ms: i64,
    /// When it ceased to hold.
    pub end_ms: Option<i64>,
}

/// The episodes that rules make of reports, sorted: everything but silence. Windows that end at or
/// before `looked_ms` are over by the clock, though nothing may have been measured since.
pub fn of_readings(
    rules: &[Rule],
    registry: &Registry,
    told: &Oracle,
    looked_ms: i64,
) -> Vec<Episode> {
    let mut episodes = Vec::new();
    for rule in rules.iter().filter(|rule| rule.standing == Standing::InForce) {
        for series in told.series().filter(|series| {
            rule.selector.metrics.contains(&series.metric)
                && is_about(rule, &series.device, registry.device(&series.device))
        }) {
            for (level, limit) in limits_of(&rule.condition) {
                let seen = sights(rule, &limit, told.reports(series), looked_ms);
                episodes.extend(walk(&seen, &limit).into_iter().map(|span| Episode {
                    rule: rule.id.clone(),
                    level,
                    device: series.device.clone(),
                    metric: Some(series.metric.clone()),
                    start_ms: span.start_ms,
                    raised_ms: span.raised_ms,
                    end_ms: span.end_ms,
                }));
            }
        }
    }
    episodes.sort();
    episodes
}

/// What a rule compares with: one limit, or one for each level. A value that stands still is 1,
/// one that moves is 0.
fn limits_of(condition: &Condition) -> Vec<(u8, Limit)> {
    match condition {
        Condition::Threshold { limit }
        | Condition::Rate { limit, .. }
        | Condition::Delta { limit, .. }
        | Condition::Window { limit, .. } => vec![(0, *limit)],
        Condition::Levels { levels } => {
            (1..).zip(levels).map(|(number, level)| (number, level.limit)).collect()
        }
        Condition::Frozen { .. } => {
            let bound = Bound::AtLeast(1.0);
            vec![(0, Limit { bound, clear: None, for_ms: 0, clear_for_ms: 0 })]
        }
        Condition::Absence { .. } => Vec::new(),
        other => panic!("the oracle has no answer for {other:?}"),
    }
}

/// Whether a rule is about a device, whatever it measures.
fn is_about(rule: &Rule, id: &DeviceId, known: Option<&Device>) -> bool {
    let asked = &rule.selector;
    let by_name = asked.devices.is_empty() || asked.devices.contains(id);
    let by_nature = match known {
        Some(device) => {
            (asked.kinds.is_empty() || asked.kinds.contains(&device.kind))
                && (asked.areas.is_empty() || asked.areas.contains(&device.area))
                && (asked.fields.is_empty() || asked.fields.contains(&device.field))
                && (asked.tags.is_empty() || asked.tags.iter().any(|tag| device.tags.contains(tag)))
        }
        None => {
            asked.kinds.is_empty()
                && asked.areas.is_empty()
                && asked.fields.is_empty()
                && asked.tags.is_empty()
        }
    };
    by_name && by_nature
}
