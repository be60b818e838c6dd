//! Silence: who was not heard for too long, when the centre looked every so often. Pure: values
//! only.

use sen_model::{Condition, DeviceId, Registry, Rule};

use super::{Episode, is_about};

/// When somebody was heard.
pub type Heard = (DeviceId, i64);

/// The episodes of absence rules about whole devices, sorted. The centre listens from `begun_ms` on
/// and looks at each of `looks_ms`, in order, when all heard until then is judged.
pub fn of_silence(
    rules: &[Rule],
    registry: &Registry,
    heard: &[Heard],
    begun_ms: i64,
    looks_ms: &[i64],
) -> Vec<Episode> {
    let mut episodes = Vec::new();
    for rule in rules {
        let Condition::Absence { missing_ms } = rule.condition else { continue };
        assert!(
            rule.selector.metrics.is_empty() && rule.when.is_none(),
            "no answer for {}",
            rule.id
        );
        for device in registry.devices() {
            if !is_about(rule, &device.id, Some(device)) {
                continue;
            }
            let mut times: Vec<i64> =
                heard.iter().filter(|(id, _)| *id == device.id).map(|(_, at_ms)| *at_ms).collect();
            times.sort_unstable();
            episodes.extend(silences(&times, missing_ms, begun_ms, looks_ms).into_iter().map(
                |(start_ms, raised_ms, end_ms)| Episode {
                    rule: rule.id.clone(),
                    level: 0,
                    device: device.id.clone(),
                    metric: None,
                    start_ms,
                    raised_ms,
                    end_ms,
                },
            ));
        }
    }
    episodes.sort();
    episodes
}

/// Start, the look that told it, and end of each silence.
fn silences(
    times: &[i64],
    missing_ms: i64,
    begun_ms: i64,
    looks_ms: &[i64],
) -> Vec<(i64, i64, Option<i64>)> {
    let mut found: Vec<(i64, i64, Option<i64>)> = Vec::new();
    for look_ms in looks_ms {
        let before = times.iter().rev().find(|at_ms| **at_ms <= *look_ms);
        let last_ms = before.copied().unwrap_or(begun_ms);
        let is_told = found.last().is_some_and(|(start_ms, ..)| *start_ms == last_ms);
        if !is_told && look_ms - last_ms > missing_ms {
            let end_ms = times.iter().find(|at_ms| **at_ms > last_ms).copied();
            found.push((last_ms, *look_ms, end_ms));
        }
    }
    found
}
