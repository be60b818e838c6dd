//! Pure: what a rule that looks back makes of a reading: the zone it is in, and the number to show.
//!
//! From there on it is judged like any value against a limit, by a [`Track`](crate::track::Track).
//! A gauge that cannot say anything yet (nothing to compare with) gives nothing.

use sen_model::{Condition, Limit};

use crate::recent::Recent;
use crate::track::Zone;

/// A reading as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sight {
    pub(crate) zone: Zone,
    pub(crate) value: f64,
}

impl Sight {
    /// A number against a limit.
    pub(crate) fn of(value: f64, limit: &Limit) -> Self {
        Self { zone: Zone::of(value, limit), value }
    }
}

/// Looks at the reading at `index` as this condition does; nothing for a condition of another kind.
pub(crate) fn look(
    condition: &Condition,
    limit: &Limit,
    recent: &Recent,
    index: usize,
) -> Option<Sight> {
    match *condition {
        Condition::Rate { per_ms, within_ms, .. } => {
            let (difference, elapsed_ms) = change(recent, index, within_ms)?;
            let rate = difference * per_ms as f64 / elapsed_ms as f64;
            (elapsed_ms > 0).then(|| Sight::of(rate, limit))
        }
        Condition::Delta { within_ms, .. } => {
            let (difference, _) = change(recent, index, within_ms)?;
            Some(Sight::of(difference, limit))
        }
        Condition::Frozen { tolerance, for_ms } => frozen(recent, index, tolerance, for_ms),
        _ => None,
    }
}

/// The difference to the oldest reading not older than `within_ms`, and the time between.
fn change(recent: &Recent, index: usize, within_ms: i64) -> Option<(f64, i64)> {
    let oldest = recent.oldest_within(index, within_ms)?;
    let ((from, before), (to, now)) = (recent.get(oldest)?, recent.get(index)?);
    (oldest < index).then(|| (now - before, to.0.saturating_sub(from.0)))
}

/// Broken once the value has stood still for `for_ms`, good when it has moved within that time,
/// between while it has not been watched for so long.
fn frozen(recent: &Recent, index: usize, tolerance: f64, for_ms: i64) -> Option<Sight> {
    let (at, value) = recent.get(index)?;
    let oldest = recent.oldest_within(index, for_ms)?;
    let from = at.0.saturating_sub(for_ms);
    let starts_there = recent.get(oldest).is_some_and(|(stamp, _)| stamp.0 == from);
    // The reading before the span tells how it was when the span began.
    let first = match oldest.checked_sub(1) {
        Some(before) if !starts_there => before,
        _ => oldest,
    };
    let is_covered = recent.get(first).is_some_and(|(stamp, _)| stamp.0 <= from);
    let (mut least, mut most) = (value, value);
    for other in recent.range(first..=index) {
        (least, most) = (least.min(other), most.max(other));
    }
    let zone = match most - least <= tolerance {
        true if is_covered => Zone::Broken,
        true => Zone::Between,
        false => Zone::Good,
    };
    Some(Sight { zone, value })
}

#[cfg(test)]
mod tests {
    use sen_model::Bound;

    use super::*;
    use crate::recent::Noted;
    use crate::track::Stamp;

    fn looked(condition: &Condition, readings: &[(i64, f64)]) -> Option<Sight> {
        let mut recent = Recent::default();
        let mut last = None;
        for (ms, value) in readings {
            let Noted::At(index) = recent.note(Stamp(*ms, 0), *value) else { panic!("{ms}") };
            last = Some(index);
        }
        look(condition, &limit(), &recent, last.unwrap())
    }

    fn limit() -> Limit {
        Limit { bound: Bound::AtLeast(3.0), clear: Some(1.0), for_ms: 0, clear_for_ms: 0 }
    }

    fn sight(zone: Zone, value: f64) -> Option<Sight> {
        Some(Sight { zone, value })
    }

    #[test]
    fn a_rate_is_the_change_since_the_oldest_reading_in_reach_over_its_time() {
        let rate = Condition::Rate { limit: limit(), per_ms: 60, within_ms: 60 };
        for (readings, expected) in [
            (&[(0, 5.0)][..], None),
            (&[(0, 1.0), (60, 4.0)], sight(Zone::Broken, 3.0)),
            (&[(0, 1.0), (30, 2.0)], sight(Zone::Between, 2.0)),
            (&[(0, 9.0), (10, 9.0), (60, 9.0)], sight(Zone::Good, 0.0)),
            (&[(0, 0.0), (61, 9.0)], None),
            (&[(0, 0.0), (1, 5.0), (61, 9.0)], sight(Zone::Broken, 4.0)),
            (&[(60, 9.0), (0, 5.0)], None),
            (&[(0, 0.0), (60, 9.0), (30, 1.0)], sight(Zone::Between, 2.0)),
        ] {
            assert_eq!(looked(&rate, readings), expected, "{readings:?}");
        }
    }

    #[test]
    fn a_delta_is_the_change_itself() {
        let delta = Condition::Delta { limit: limit(), within_ms: 60 };
        for (readings, expected) in [
            (&[(0, 5.0)][..], None),
            (&[(0, 1.0), (1, 4.0)], sight(Zone::Broken, 3.0)),
            (&[(0, 4.0), (10, 9.0), (60, 2.0)], sight(Zone::Good, -2.0)),
        ] {
            assert_eq!(looked(&delta, readings), expected, "{readings:?}");
        }
    }

    #[test]
    fn a_value_is_frozen_once_it_was_watched_to_stand_still_for_so_long() {
        let frozen = Condition::Frozen { tolerance: 0.1, for_ms: 60 };
        for (readings, zone) in [
            (&[(0, 5.0)][..], Zone::Between),
            (&[(0, 5.0), (59, 5.0)], Zone::Between),
            (&[(0, 5.0), (60, 5.0)], Zone::Broken),
            (&[(0, 5.0), (30, 5.1), (60, 5.0)], Zone::Broken),
            (&[(0, 5.0), (30, 5.2), (60, 5.0)], Zone::Good),
            (&[(0, 5.2), (10, 5.0), (60, 5.0)], Zone::Good),
            (&[(0, 5.2), (5, 5.0), (70, 5.0)], Zone::Broken),
            (&[(0, 1.0), (10, 5.0), (70, 5.0)], Zone::Broken),
            (&[(0, 5.0), (90, 5.0)], Zone::Broken),
        ] {
            let found = looked(&frozen, readings).map(|sight| sight.zone);
            assert_eq!(found, Some(zone), "{readings:?}");
        }
    }
}
