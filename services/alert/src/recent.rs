//! Pure: the last good readings of one series, in order, for rules that compare a reading with
//! earlier ones.
//!
//! It is bounded twice: by the time that some rule looks back, and by [`MOST_READINGS`]. What is
//! older is forgotten: a reading from there is not judged by these rules, and counted. A repeat is
//! recognised exactly as long as its reading is remembered. A late reading is judged at its own
//! place with what is remembered before it; what was judged after it is not judged again.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::track::Stamp;

/// Readings of one series remembered, at most: six hours at ten readings a minute.
pub(crate) const MOST_READINGS: usize = 4_096;

/// A number that a checkpoint keeps to the last bit, which decimal text read by a fast parser
/// does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exact(pub(crate) f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.to_bits())
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|bits| Self(f64::from_bits(bits)))
    }
}

/// Where a reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// To this place in the order.
    At(usize),
    /// It is there already.
    Repeat,
    /// It is older than the memory.
    Forgotten,
}

/// The last good readings of one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    #[serde(rename = "r")]
    readings: VecDeque<(Stamp, Exact)>,
    /// Everything up to here is forgotten.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    floor: Option<Stamp>,
}

impl Recent {
    /// Whether there is nothing to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.floor.is_none()
    }

    /// Remembers a reading; of two with one stamp the first counts.
    pub(crate) fn note(&mut self, at: Stamp, value: f64) -> Noted {
        if self.floor.is_some_and(|floor| at <= floor) {
            return Noted::Forgotten;
        }
        let is_newest = self.readings.back().is_none_or(|(last, _)| *last < at);
        if is_newest {
            self.readings.push_back((at, Exact(value)));
            return Noted::At(self.readings.len() - 1);
        }
        match self.readings.binary_search_by_key(&at, |(stamp, _)| *stamp) {
            Ok(_) => Noted::Repeat,
            Err(index) => {
                self.readings.insert(index, (at, Exact(value)));
                Noted::At(index)
            }
        }
    }

    /// The reading at a place.
    pub(crate) fn get(&self, index: usize) -> Option<(Stamp, f64)> {
        self.readings.get(index).map(|(stamp, value)| (*stamp, value.0))
    }

    /// The place of the oldest reading not older than `within_ms` before that at `index`; `index`
    /// itself if there is none before it.
    pub(crate) fn oldest_within(&self, index: usize, within_ms: i64) -> Option<usize> {
        let (at, _) = self.get(index)?;
        let from = at.0.saturating_sub(within_ms);
        Some(self.readings.partition_point(|(stamp, _)| stamp.0 < from))
    }

    /// The readings of a stretch of places.
    pub(crate) fn range(
        &self,
        places: std::ops::RangeInclusive<usize>,
    ) -> impl Iterator<Item = f64> {
        self.readings.range(places).map(|(_, value)| value.0)
    }

    /// The latest value at or before a time.
    pub(crate) fn latest(&self, at_ms: i64) -> Option<f64> {
        let after = self.readings.partition_point(|(stamp, _)| stamp.0 <= at_ms);
        self.get(after.checked_sub(1)?).map(|(_, value)| value)
    }

    /// Forgets what is older than `span_ms` before the newest, but for one reading that shows how
    /// it was when that span began; then what is beyond `most`.
    pub(crate) fn forget(&mut self, span_ms: i64, most: usize) {
        let Some((newest, _)) = self.readings.back() else { return };
        let from = newest.0.saturating_sub(span_ms);
        // Those exactly as old as the span are all still within it: several may be of one moment.
        let first_is_over = |readings: &VecDeque<(Stamp, Exact)>| {
            readings.front().is_some_and(|(first, _)| first.0 < from)
                && readings.get(1).is_some_and(|(second, _)| second.0 <= from)
        };
        while self.readings.len() > most || first_is_over(&self.readings) {
            let Some((stamp, _)) = self.readings.pop_front() else { return };
            self.floor = Some(stamp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(readings: &[(i64, f64)]) -> Recent {
        let mut recent = Recent::default();
        for (ms, value) in readings {
            recent.note(Stamp(*ms, 0), *value);
        }
        recent
    }

    #[test]
    fn readings_are_in_order_whatever_order_they_come_in_and_repeats_change_nothing() {
        let mut recent = recent(&[(30, 3.0), (10, 1.0), (20, 2.0)]);
        assert_eq!(recent, self::recent(&[(10, 1.0), (20, 2.0), (30, 3.0)]));
        assert_eq!(recent.note(Stamp(20, 0), 9.0), Noted::Repeat);
        assert_eq!(recent.note(Stamp(20, 1), 9.0), Noted::At(2));
        assert_eq!((recent.latest(19), recent.latest(20)), (Some(1.0), Some(9.0)));
        assert_eq!(recent.latest(9), None);
        assert_eq!(recent.oldest_within(3, 10), Some(1), "exactly as old is not older");
    }

    #[test]
    fn what_is_too_old_or_too_much_is_forgotten_and_said_to_be() {
        let mut recent = recent(&[(0, 0.0), (10, 1.0), (20, 2.0), (30, 3.0)]);
        recent.forget(15, 9);
        assert_eq!(recent.get(0), Some((Stamp(10, 0), 1.0)), "how it was when the span began");
        assert_eq!(recent.note(Stamp(0, 0), 0.0), Noted::Forgotten);
        recent.forget(1_000, 2);
        assert_eq!(recent.get(0), Some((Stamp(20, 0), 2.0)));
    }

    #[test]
    fn of_several_in_the_moment_the_span_begins_none_is_forgotten() {
        let mut recent = recent(&[(0, 0.0), (10, 1.0)]);
        recent.note(Stamp(10, 1), 7.0);
        recent.note(Stamp(70, 0), 2.0);
        recent.forget(60, 9);
        assert_eq!(recent.get(0), Some((Stamp(10, 0), 1.0)));
        assert_eq!(recent.oldest_within(2, 60), Some(0));
    }

    #[test]
    fn numbers_survive_a_checkpoint_to_the_last_bit() {
        let values = [0.1 + 0.2, 1e-300, -0.0, 12_345_678.901_234_567];
        let readings: Vec<_> = values.iter().enumerate().map(|(n, v)| (n as i64, *v)).collect();
        let recent = recent(&readings);
        let text = serde_json::to_string(&recent).unwrap();
        let again: Recent = serde_json::from_str(&text).unwrap();
        let bits = |recent: &Recent| recent.range(0..=3).map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(&recent));
    }
}
