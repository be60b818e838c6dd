//! A mergeable sketch of a distribution: quantiles within 1 % of the value. Pure: values only.
//!
//! The semantics are DDSketch's (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile
//! sketch with relative-error guarantees", VLDB 2019) with a fixed γ and no collapsing of buckets,
//! so that merging is exact in any order. A one-minute window holds a handful of values, hence the
//! buckets are kept sparsely: a sorted list of the ones in use.

/// How far a quantile may be from the true value, relative to it.
pub const RELATIVE_ERROR: f64 = 0.01;
/// The ratio of the bounds of one bucket.
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// Magnitudes below this count as zero: finer than any sensor of a city.
const SMALLEST: f64 = 1e-9;
/// Lifts the bucket index of [`SMALLEST`] (about -1,036) above zero, so that one signed key holds
/// the sign of the value too.
const LIFT: i32 = 2_048;
/// The largest key: that of the largest finite magnitude (index 35,488) fits well below it.
const KEY_MAX: i32 = 65_536;

/// How many values fell into which bucket; equal sketches hold equal values up to the error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// (key, count), sorted by key. Key 0 is zero, positive keys are positive values, negative
    /// keys negative ones; the order of keys is the order of values.
    buckets: Vec<(i32, u32)>,
}

impl Sketch {
    /// Counts one finite value. A bucket's count stops at `u32::MAX`: more than a sensor can send
    /// in any window.
    pub fn add(&mut self, value: f64) {
        self.add_count(key_of(value), 1);
    }

    /// Counts everything the other sketch has counted.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in &other.buckets {
            self.add_count(*key, *count);
        }
    }

    /// How many values it has counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// The value at rank `q` (0 to 1, clamped), within [`RELATIVE_ERROR`]; none if it is empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.count().checked_sub(1)? as f64).floor() as u64;
        let mut below = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            below += u64::from(*count);
            below > rank
        });
        reached.map(|(key, _)| value_of(*key))
    }

    /// The buckets in use, sorted: what is stored of a sketch.
    pub fn buckets(&self) -> &[(i32, u32)] {
        &self.buckets
    }

    /// A sketch of stored buckets; none if they are not sorted, or one is empty.
    pub fn from_buckets(buckets: Vec<(i32, u32)>) -> Option<Self> {
        let sorted = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let sound = buckets.iter().all(|(key, count)| key.abs() <= KEY_MAX && *count > 0);
        (sorted && sound).then_some(Self { buckets })
    }

    fn add_count(&mut self, key: i32, count: u32) {
        match self.buckets.binary_search_by_key(&key, |bucket| bucket.0) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => {
                if self.buckets.len() == self.buckets.capacity() {
                    // With little spare room: there are many sketches of few buckets.
                    self.buckets.reserve_exact(1 + self.buckets.len() / 2);
                }
                self.buckets.insert(at, (key, count));
            }
        }
    }
}

fn key_of(value: f64) -> i32 {
    let magnitude = value.abs();
    if magnitude < SMALLEST {
        return 0;
    }
    // A cast of a float to an integer saturates, so this is total.
    let index = (magnitude.ln() / GAMMA.ln()).ceil() as i32;
    let key = index.saturating_add(LIFT).clamp(1, KEY_MAX);
    if value < 0.0 { -key } else { key }
}

/// The middle of a bucket: at most [`RELATIVE_ERROR`] from every value in it.
fn value_of(key: i32) -> f64 {
    let middle = 2.0 * GAMMA.powi(key.abs() - LIFT) / (GAMMA + 1.0);
    match key {
        0 => 0.0,
        1.. => middle,
        _ => -middle,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_sketch_has_no_quantile() {
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn every_magnitude_has_a_key_of_its_sign() {
        for value in [0.0, 1e-300, 1e-9, 0.3, 1.0, 1e12, f64::MAX] {
            assert!(key_of(value) >= 0 && key_of(-value) == -key_of(value), "{value}");
            assert!(key_of(value) < KEY_MAX, "{value}");
        }
        assert!(key_of(1e-9) > 0 && key_of(1e-9) < key_of(1e-3));
    }

    #[test]
    fn unsorted_or_empty_buckets_are_refused() {
        assert!(Sketch::from_buckets(vec![(1, 1), (1, 1)]).is_none());
        assert!(Sketch::from_buckets(vec![(1, 0)]).is_none());
        assert!(Sketch::from_buckets(vec![(i32::MIN + 1, 1)]).is_none());
        assert!(Sketch::from_buckets(vec![(-3, 1), (0, 9), (4, 2)]).is_some());
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_error(mut values in prop::collection::vec(-1e12..1e12_f64, 1..200), q in 0.0..=1.0_f64) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            values.sort_by(f64::total_cmp);
            let exact = values[(q * (values.len() - 1) as f64).floor() as usize];
            let found = sketch.quantile(q).unwrap();
            prop_assert!((found - exact).abs() <= exact.abs() * (RELATIVE_ERROR + 1e-9) + SMALLEST, "{found} {exact}");
        }
    }
}
