//! The mergeable aggregate of a window: the same result in whatever order readings arrive.
//! Pure: values only.
//!
//! Sums are fixed-point integers, because sums of `f64` depend on the order of the terms; extremes
//! compare by total order; first and last go by (event time, sequence), never by arrival. So
//! `merge` is associative and commutative with [`Partial::default`] as its identity, as long as no
//! reading is counted twice: telling repeats apart is the store's work.

use crate::reading::Quality;
use crate::sketch::Sketch;
use crate::time::Timestamp;

/// Fixed-point units in one unit of the metric.
const SCALE: f64 = 1e6;
/// Larger magnitudes are counted as this (ingest lets none through).
const LARGEST: f64 = 1e12;

/// Count, fixed-point sums, extremes, first and last, quantile sketch of the readings of a window.
///
/// Only good readings enter the statistics: a value nobody trusts raises no alert and must not
/// move a mean either. It is still counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// How many readings, of any quality.
    pub count: u64,
    /// How many of them were good.
    pub good_count: u64,
    /// Σ of the good values in millionths, each rounded to the nearest. It cannot overflow: 2^64
    /// values of 10^18 are 1.8 · 10^37, and `i128` holds 1.7 · 10^38.
    pub sum_micro: i128,
    /// Σ of the squares of the values so rounded. It stops at `u128::MAX`, which is beyond 10^14
    /// values of 10^6 but only 340 of 10^12; there is no variance then. Stopping at a largest
    /// value keeps the sum of non-negative terms independent of their order.
    pub sum_squares: u128,
    /// Smallest, largest, first and last good value; none without a good reading.
    pub extremes: Option<Extremes>,
    /// The distribution of the good values.
    pub sketch: Sketch,
}

/// Smallest, largest, first and last of at least one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The first by event time, then sequence.
    pub first: Moment,
    /// The last by event time, then sequence.
    pub last: Moment,
}

/// A value and when it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// When.
    pub event_time: Timestamp,
    /// Tells moments of one millisecond apart.
    pub sequence: u32,
    /// What.
    pub value: f64,
}

impl Moment {
    /// The order of moments; by value only if the identity is equal, so that it is total.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let identity = (self.event_time, self.sequence).cmp(&(other.event_time, other.sequence));
        identity.then(self.value.total_cmp(&other.value))
    }
}

impl Extremes {
    /// Those of one moment.
    fn of(moment: Moment) -> Self {
        Self { min: moment.value, max: moment.value, first: moment, last: moment }
    }

    fn merge(&mut self, other: &Self) {
        if other.min.total_cmp(&self.min).is_lt() {
            self.min = other.min;
        }
        if other.max.total_cmp(&self.max).is_gt() {
            self.max = other.max;
        }
        if other.first.order(&self.first).is_lt() {
            self.first = other.first;
        }
        if other.last.order(&self.last).is_gt() {
            self.last = other.last;
        }
    }
}

impl Partial {
    /// The partial nearest to numbers that were kept without their distribution: `sum` and
    /// `deviation` (population standard deviation) are of the good values. It has no quantiles.
    pub fn without_distribution(
        (count, good_count): (u64, u64),
        sum: f64,
        deviation: Option<f64>,
        extremes: Option<Extremes>,
    ) -> Self {
        let good = good_count.max(1) as f64;
        let deviation = deviation.unwrap_or_default();
        // Σx² = n (σ² + μ²). Casts of floats to integers saturate.
        let squares = good * (deviation * deviation + (sum / good) * (sum / good));
        Self {
            count,
            good_count,
            sum_micro: (sum * SCALE).round() as i128,
            sum_squares: (squares * SCALE * SCALE).round() as u128,
            extremes,
            sketch: Sketch::default(),
        }
    }

    /// Adds one reading. Total: a value that is not finite is counted as not good.
    pub fn add(&mut self, moment: Moment, quality: Quality) {
        self.count = self.count.saturating_add(1);
        if quality != Quality::Good || !moment.value.is_finite() {
            return;
        }
        self.good_count = self.good_count.saturating_add(1);
        let micro = (moment.value.clamp(-LARGEST, LARGEST) * SCALE).round() as i128;
        self.sum_micro = self.sum_micro.saturating_add(micro);
        let square = micro.unsigned_abs() * micro.unsigned_abs();
        self.sum_squares = self.sum_squares.saturating_add(square);
        self.sketch.add(moment.value);
        self.merge_extremes(&Extremes::of(moment));
    }

    /// Adds everything the other partial holds.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.good_count = self.good_count.saturating_add(other.good_count);
        self.sum_micro = self.sum_micro.saturating_add(other.sum_micro);
        self.sum_squares = self.sum_squares.saturating_add(other.sum_squares);
        self.sketch.merge(&other.sketch);
        if let Some(extremes) = &other.extremes {
            self.merge_extremes(extremes);
        }
    }

    /// Whether it holds no reading.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sum of the good values.
    pub fn sum(&self) -> f64 {
        self.sum_micro as f64 / SCALE
    }

    /// The mean of the good values.
    pub fn mean(&self) -> Option<f64> {
        (self.good_count > 0).then(|| self.sum() / self.good_count as f64)
    }

    /// The population variance of the good values; none also where the sum of squares overflowed.
    pub fn variance(&self) -> Option<f64> {
        if self.good_count == 0 || self.sum_squares == u128::MAX {
            return None;
        }
        let count = u128::from(self.good_count);
        let magnitude = self.sum_micro.unsigned_abs();
        let exact = match (count.checked_mul(self.sum_squares), magnitude.checked_mul(magnitude)) {
            // n Σx² - (Σx)² in integers, where floats would cancel to nothing.
            (Some(squares), Some(square)) => squares.saturating_sub(square) as f64,
            _ => {
                let square = (magnitude as f64) * (magnitude as f64);
                (count as f64 * self.sum_squares as f64 - square).max(0.0)
            }
        };
        Some(exact / (count as f64 * count as f64) / (SCALE * SCALE))
    }

    /// The smallest good value.
    pub fn min(&self) -> Option<f64> {
        self.extremes.map(|extremes| extremes.min)
    }

    /// The largest good value.
    pub fn max(&self) -> Option<f64> {
        self.extremes.map(|extremes| extremes.max)
    }

    /// The first good value by event time, then sequence.
    pub fn first(&self) -> Option<Moment> {
        self.extremes.map(|extremes| extremes.first)
    }

    /// The last good value by event time, then sequence.
    pub fn last(&self) -> Option<Moment> {
        self.extremes.map(|extremes| extremes.last)
    }

    /// The good value at rank `q` (0 to 1), within 1 %, exact at both ends, never outside [min, max].
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let extremes = self.extremes?;
        match q {
            ..=0.0 => Some(extremes.min),
            1.0.. => Some(extremes.max),
            // Where the distribution of a part is missing, that of the rest says nothing.
            _ if self.sketch.count() != self.good_count => None,
            _ => Some(self.sketch.quantile(q)?.clamp(extremes.min, extremes.max)),
        }
    }

    fn merge_extremes(&mut self, other: &Extremes) {
        match &mut self.extremes {
            Some(extremes) => extremes.merge(other),
            None => self.extremes = Some(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(time_ms: i64, sequence: u32, value: f64) -> Moment {
        Moment { event_time: Timestamp::from_millis(time_ms), sequence, value }
    }

    fn partial_of(moments: &[(Moment, Quality)]) -> Partial {
        let mut partial = Partial::default();
        moments.iter().for_each(|(moment, quality)| partial.add(*moment, *quality));
        partial
    }

    #[test]
    fn knows_mean_variance_extremes_and_order() {
        let good = [(3, 2.0), (1, 4.0), (2, 4.0), (4, 6.0)];
        let mut moments: Vec<_> =
            good.map(|(time, value)| (moment(time, 0, value), Quality::Good)).into();
        moments.push((moment(0, 0, 1e9), Quality::Suspect));
        let partial = partial_of(&moments);
        assert_eq!((partial.count, partial.good_count), (5, 4));
        assert_eq!(
            (partial.sum(), partial.mean(), partial.variance()),
            (16.0, Some(4.0), Some(2.0))
        );
        assert_eq!((partial.min(), partial.max()), (Some(2.0), Some(6.0)));
        assert_eq!((partial.first().unwrap().value, partial.last().unwrap().value), (4.0, 6.0));
        assert_eq!((partial.quantile(0.0), partial.quantile(1.0)), (Some(2.0), Some(6.0)));
    }

    #[test]
    fn without_a_good_reading_there_are_no_statistics() {
        let partial = partial_of(&[
            (moment(0, 0, 1.0), Quality::Bad),
            (moment(1, 0, f64::NAN), Quality::Good),
        ]);
        assert_eq!((partial.count, partial.good_count), (2, 0));
        let all = [
            partial.mean(),
            partial.variance(),
            partial.min(),
            partial.max(),
            partial.quantile(0.5),
        ];
        assert_eq!(all, [None; 5]);
    }

    #[test]
    fn numbers_alone_give_everything_but_quantiles() {
        let moments: Vec<_> = [(1, 4.0), (2, 4.5), (3, 2.25)]
            .map(|(time, value)| (moment(time, 0, value), Quality::Good))
            .into();
        let whole = partial_of(&moments);
        let deviation = whole.variance().map(f64::sqrt);
        let near = Partial::without_distribution((3, 3), whole.sum(), deviation, whole.extremes);
        assert_eq!((near.mean(), near.max(), near.sum()), (whole.mean(), whole.max(), whole.sum()));
        let off = near.variance().unwrap() - whole.variance().unwrap();
        assert!(off.abs() < 1e-9, "{off}");
        assert_eq!(near.quantile(0.5), None);
    }

    #[test]
    fn huge_values_lose_the_variance_but_not_the_sum() {
        let many: Vec<_> = (0..400).map(|time| (moment(time, 0, 1e12), Quality::Good)).collect();
        let partial = partial_of(&many);
        assert_eq!((partial.mean(), partial.variance()), (Some(1e12), None));
    }

    fn moments() -> impl Strategy<Value = Vec<(Moment, Quality)>> {
        let value = prop_oneof![-1e12..1e12_f64, -10.0..10.0_f64, Just(0.0), Just(-0.0)];
        let quality = prop_oneof![
            4 => Just(Quality::Good), 1 => Just(Quality::Suspect), 1 => Just(Quality::Bad)
        ];
        let one = (any::<i64>(), 0..3_u32, value, quality)
            .prop_map(|(time, sequence, value, quality)| (moment(time, sequence, value), quality));
        prop::collection::vec(one, 0..30)
    }

    fn merged(mut left: Partial, right: &Partial) -> Partial {
        left.merge(right);
        left
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative_with_an_identity(a in moments(), b in moments(), c in moments()) {
            let (a, b, c) = (partial_of(&a), partial_of(&b), partial_of(&c));
            prop_assert_eq!(merged(merged(a.clone(), &b), &c), merged(a.clone(), &merged(b.clone(), &c)));
            prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
            prop_assert_eq!(merged(a.clone(), &Partial::default()), a.clone());
            prop_assert_eq!(merged(Partial::default(), &a), a);
        }

        #[test]
        fn any_order_and_any_split_give_the_whole(all in moments(), at in any::<prop::sample::Index>()) {
            let whole = partial_of(&all);
            let reversed: Vec<_> = all.iter().rev().copied().collect();
            prop_assert_eq!(partial_of(&reversed), whole.clone());
            let (left, right) = all.split_at(at.index(all.len() + 1));
            prop_assert_eq!(merged(partial_of(left), &partial_of(right)), whole);
        }
    }
}
