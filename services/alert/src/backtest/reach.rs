//! Pure: what a set of rules looks at, and how far back it must look before it can say anything.

use sen_model::time::{DAY_MS, MINUTE_MS};
use sen_model::{Condition, Limit, Registry, Rule, SeriesKey};

use crate::selection::selects;

/// Added to what the rules ask for: readings do not come on the millisecond.
const MARGIN_MS: i64 = 10 * MINUTE_MS;
/// Looked back at most, whatever the rules ask for.
const MOST_MS: i64 = 31 * DAY_MS;

/// Whether any of the rules looks at a series.
pub(super) fn looks_at(rules: &[&Rule], registry: &Registry, series: &SeriesKey) -> bool {
    let known = registry.device(&series.device);
    rules.iter().any(|rule| {
        let metrics = &rule.selector.metrics;
        let is_own = (metrics.is_empty() || metrics.contains(&series.metric))
            && selects(&rule.selector, &series.device, known);
        is_own || refers_to(&rule.condition, series)
    })
}

/// Whether an expression names a series beside the reading.
fn refers_to(condition: &Condition, series: &SeriesKey) -> bool {
    let Condition::Expression { references, .. } = condition else { return false };
    references.iter().any(|reference| {
        reference.metric == series.metric
            && reference.device.as_ref().is_none_or(|device| *device == series.device)
    })
}

/// How long before the first moment the rules must have been judging, in milliseconds.
pub(super) fn look_back_ms(rules: &[&Rule]) -> i64 {
    let needs = |is_group: bool| {
        let of = rules.iter().map(|rule| need_ms(&rule.condition));
        of.filter(|need| need.1 == is_group).map(|need| need.0).max().unwrap_or(0)
    };
    let both = needs(false).saturating_add(needs(true)).saturating_add(MARGIN_MS);
    both.clamp(0, MOST_MS)
}

/// What a condition needs to look back at, and whether it looks at alerts rather than readings.
fn need_ms(condition: &Condition) -> (i64, bool) {
    let delays = |limit: &Limit| limit.for_ms.saturating_add(limit.clear_for_ms);
    match condition {
        Condition::Threshold { limit } => (delays(limit), false),
        Condition::Levels { levels } => {
            (levels.iter().map(|level| delays(&level.limit)).max().unwrap_or(0), false)
        }
        Condition::Rate { limit, within_ms, .. } | Condition::Delta { limit, within_ms } => {
            (within_ms.saturating_add(delays(limit)), false)
        }
        Condition::Frozen { for_ms, .. } => (*for_ms, false),
        Condition::Absence { missing_ms } => (*missing_ms, false),
        Condition::Window { window_ms, limit, .. } => {
            (window_ms.saturating_mul(2).saturating_add(delays(limit)), false)
        }
        Condition::Expression { for_ms, clear_for_ms, .. } => {
            (for_ms.saturating_add(*clear_for_ms), false)
        }
        Condition::Composite { for_ms, .. } => (*for_ms, true),
        Condition::Neighbours { within_ms, .. } | Condition::Sequence { within_ms, .. } => {
            (*within_ms, true)
        }
        Condition::Events { within_ms, quiet_ms, .. } => {
            (within_ms.saturating_add(*quiet_ms), false)
        }
    }
}
