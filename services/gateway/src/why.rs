//! Pure: why an alert was raised: how far back its condition looked, which alerts hang together with
//! it, and what else changed near it in time and space.

use std::sync::Arc;

use sen_model::alert::Explanation;
use sen_model::time::{HOUR_MS, MINUTE_MS};
use sen_model::{AlertId, AlertRecord, Condition, Partial};

/// Alerts that are told as related, at most.
pub const MOST_RELATED: usize = 50;
/// Alerts that began further apart than this have nothing to do with each other, in milliseconds.
pub const NEAR_MS: i64 = HOUR_MS;
/// Devices further away than this are not near, in metres.
pub const NEAR_M: f64 = 15_000.0;
/// How long before and after the start values are compared, in milliseconds.
pub const COMPARED_MS: i64 = 30 * MINUTE_MS;
/// Changes that are told, at most.
pub const MOST_CHANGES: usize = 12;
/// How many intervals of the device are told at least.
const LEAST_INTERVALS: i64 = 10;
/// How far back is told at most, in milliseconds: a week.
const MOST_BACK_MS: i64 = 7 * 24 * HOUR_MS;
/// Mean radius of the earth, in metres.
const EARTH_M: f64 = 6_371_008.8;

/// A version of an episode in its parts: the edition of the rule, and the level if it has some.
pub fn edition(rule_version: &str) -> (&str, Option<usize>) {
    match rule_version.rsplit_once('.') {
        Some((edition, level)) => match level.parse() {
            Ok(level) => (edition, Some(level)),
            Err(_) => (rule_version, None),
        },
        None => (rule_version, None),
    }
}

/// How long before its start a condition looked at readings, in milliseconds; at least ten
/// intervals of the device.
pub fn look_back_ms(condition: Option<&Condition>, level: Option<usize>, interval_ms: i64) -> i64 {
    let needs = match condition {
        None => 0,
        Some(Condition::Threshold { limit }) => limit.for_ms,
        Some(Condition::Levels { levels }) => {
            let chosen = level.and_then(|level| levels.get(level.checked_sub(1)?));
            let longest = levels.iter().map(|level| level.limit.for_ms).max();
            chosen.map(|level| level.limit.for_ms).or(longest).unwrap_or(0)
        }
        Some(Condition::Rate { limit, within_ms, .. } | Condition::Delta { limit, within_ms }) => {
            limit.for_ms.saturating_add(*within_ms)
        }
        Some(Condition::Frozen { for_ms, .. }) => *for_ms,
        Some(Condition::Absence { missing_ms }) => *missing_ms,
        Some(Condition::Window { window_ms, limit, .. }) => limit.for_ms.saturating_add(*window_ms),
        Some(Condition::Expression { for_ms, .. } | Condition::Composite { for_ms, .. }) => *for_ms,
        Some(
            Condition::Neighbours { within_ms, .. }
            | Condition::Sequence { within_ms, .. }
            | Condition::Events { within_ms, .. },
        ) => *within_ms,
    };
    let least = interval_ms.max(1_000).saturating_mul(LEAST_INTERVALS);
    needs.saturating_add(least).clamp(least, MOST_BACK_MS.max(least))
}

/// How closely an alert hangs together with another; the smaller the closer, none = not at all.
fn relation(alert: &AlertRecord, other: &AlertRecord) -> Option<u8> {
    if alert.id == other.id {
        return None;
    }
    let explained = |one: &AlertRecord, by: &AlertId| {
        let why = one.suppression.as_ref().map(|suppression| &suppression.why);
        matches!(
            why,
            Some(
                Explanation::Level { alert }
                | Explanation::Dependency { alert, .. }
                | Explanation::Member { alert }
            ) if alert == by
        )
    };
    let is_part = |whole: &AlertRecord, part: &AlertRecord| whole.members.contains(&part.id);
    if is_part(alert, other) || explained(alert, &other.id) {
        return Some(0);
    }
    if is_part(other, alert) || explained(other, &alert.id) {
        return Some(1);
    }
    if alert.started_at.since_ms(other.started_at).saturating_abs() > NEAR_MS {
        return None;
    }
    let is_grouped = !alert.group.is_empty() && alert.group == other.group;
    match (is_grouped, alert.device == other.device) {
        (true, _) => Some(2),
        (false, true) => Some(3),
        (false, false) => None,
    }
}

/// The alerts that hang together with one, the closest first, then those that began closest to it.
pub fn related<'a>(
    alert: &AlertRecord,
    all: impl Iterator<Item = &'a Arc<AlertRecord>>,
) -> Vec<Arc<AlertRecord>> {
    let mut found: Vec<(u8, i64, &Arc<AlertRecord>)> = all
        .filter_map(|other| {
            let apart = alert.started_at.since_ms(other.started_at).saturating_abs();
            Some((relation(alert, other)?, apart, other))
        })
        .collect();
    found.sort_by(|a, b| (a.0, a.1, &a.2.id).cmp(&(b.0, b.1, &b.2.id)));
    found.into_iter().take(MOST_RELATED).map(|(_, _, other)| Arc::clone(other)).collect()
}

/// How a series changed at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The mean before.
    pub before: f64,
    /// The mean after.
    pub after: f64,
    /// The difference in terms of how far values were spread before: what changes are compared by.
    pub weight: f64,
}

/// Compares what was measured before with what was measured after; none where one of them is
/// missing.
pub fn shift(before: &Partial, after: &Partial) -> Option<Shift> {
    let (mean, then) = (before.mean()?, after.mean()?);
    // A series that stood still has no spread: any change of it weighs, but by its size.
    let least = (mean.abs() * 1e-3).max(1e-9);
    let spread = before.variance().unwrap_or(0.0).max(0.0).sqrt().max(least);
    let shift = Shift { before: mean, after: then, weight: (then - mean).abs() / spread };
    (shift.weight.is_finite() && shift.weight > 0.0).then_some(shift)
}

/// The distance between two points (latitude, longitude in degrees) over a round earth, in metres.
pub fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let (north, east) = ((lat_b - lat_a) / 2.0, (b.1 - a.1).to_radians() / 2.0);
    let h = north.sin().powi(2) + lat_a.cos() * lat_b.cos() * east.sin().powi(2);
    2.0 * EARTH_M * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use sen_model::alert::Suppression;
    use sen_model::{Bound, Field, Level, Limit, Moment, Quality, Severity, Timestamp};

    fn limit(for_ms: i64) -> Limit {
        Limit { bound: Bound::AtLeast(1.0), clear: None, for_ms, clear_for_ms: 0 }
    }

    #[test]
    fn a_levelled_version_is_an_edition_and_a_level() {
        assert_eq!(edition("5f2c9a01b7d3"), ("5f2c9a01b7d3", None));
        assert_eq!(edition("5f2c9a01b7d3.2"), ("5f2c9a01b7d3", Some(2)));
        assert_eq!(edition("odd.name"), ("odd.name", None));
    }

    #[test]
    fn it_looks_back_as_far_as_the_condition_did_and_ten_intervals_more() {
        let ten = 600_000;
        let level = |for_ms| Level { severity: Severity::HIGH, limit: limit(for_ms) };
        let levels = Condition::Levels { levels: vec![level(1_000), level(9_000)] };
        let delta = Condition::Delta { limit: limit(1_000), within_ms: 30_000 };
        let forever = Condition::Absence { missing_ms: i64::MAX };
        for (condition, chosen, wanted) in [
            (None, None, ten),
            (Some(&Condition::Threshold { limit: limit(5_000) }), None, ten + 5_000),
            (Some(&levels), Some(1), ten + 1_000),
            (Some(&levels), Some(2), ten + 9_000),
            (Some(&levels), None, ten + 9_000),
            (Some(&levels), Some(0), ten + 9_000),
            (Some(&delta), None, ten + 31_000),
            (Some(&forever), None, MOST_BACK_MS),
        ] {
            assert_eq!(look_back_ms(condition, chosen, 60_000), wanted, "{condition:?} {chosen:?}");
        }
        assert_eq!(look_back_ms(None, None, 0), 10_000);
    }

    #[test]
    fn alerts_hang_together_by_cause_group_and_device() {
        let alert = |id: &str, device: &str, group: &str, started: i64| {
            let mut record = sample::alert(id, 1, Field::Environment);
            record.device = sen_model::DeviceId::new(device).unwrap();
            (record.group, record.started_at) = (group.to_owned(), Timestamp::from_millis(started));
            record
        };
        let mut one = alert("one", "dev-1", "flood|28261", 10 * NEAR_MS);
        one.members = vec![AlertId::from_text("part")];
        let mut explained = alert("explained", "dev-9", "", 0);
        let why = Explanation::Dependency { alert: one.id.clone(), device: one.device.clone() };
        explained.suppression =
            Some(Suppression { why, at: Timestamp::from_millis(0), until: None });
        let all: Vec<Arc<AlertRecord>> = [
            alert("same-device", "dev-1", "", 10 * NEAR_MS + 5),
            alert("long-ago", "dev-1", "flood|28261", 8 * NEAR_MS),
            alert("same-group", "dev-2", "flood|28261", 9 * NEAR_MS),
            alert("part", "dev-7", "", 0),
            alert("stranger", "dev-8", "x", 10 * NEAR_MS),
            explained,
            one.clone(),
        ]
        .map(Arc::new)
        .into();
        let found = related(&one, all.iter());
        let ids: Vec<&str> = found.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["part", "explained", "same-group", "same-device"]);
        let of_part = related(&all[3], all.iter());
        assert_eq!(of_part[0].id, one.id, "and the other way round");
    }

    #[test]
    fn a_change_weighs_by_the_spread_of_what_was_before() {
        let partial = |values: &[f64]| {
            let mut partial = Partial::default();
            for (n, value) in values.iter().enumerate() {
                let event_time = Timestamp::from_millis(n as i64);
                partial.add(Moment { event_time, sequence: 0, value: *value }, Quality::Good);
            }
            partial
        };
        let calm = shift(&partial(&[10.0, 10.1, 9.9]), &partial(&[12.0])).unwrap();
        let wild = shift(&partial(&[0.0, 20.0, 10.0]), &partial(&[15.0])).unwrap();
        assert!(calm.weight > wild.weight, "{calm:?} {wild:?}");
        assert!((calm.before - 10.0).abs() < 1e-9 && (calm.after - 12.0).abs() < 1e-9);
        assert!(shift(&partial(&[1.0, 1.0]), &partial(&[2.0])).unwrap().weight.is_finite());
        assert_eq!(shift(&partial(&[1.0]), &partial(&[1.0])), None);
        assert_eq!(shift(&Partial::default(), &partial(&[1.0])), None);
        assert_eq!(shift(&partial(&[1.0]), &Partial::default()), None);
    }

    #[test]
    fn distances_are_those_of_a_round_earth() {
        let degree = distance_m((10.0, 106.0), (11.0, 106.0));
        assert!((degree - 111_195.0).abs() < 100.0, "{degree}");
        assert!(distance_m((10.35, 106.36), (10.35, 106.36)).abs() < 1e-6);
        let east = distance_m((10.0, 106.0), (10.0, 107.0));
        assert!(east < degree && east > 0.98 * degree);
    }
}
