//! The answer for one window, from all of its values. Pure: values only.

use std::collections::BTreeMap;

use sen_model::Quality;

use super::Report;

/// A value that was told, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// When, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Tells reports of one millisecond apart.
    pub sequence: u32,
    /// What.
    pub value: f64,
}

/// What the summary of one window must say.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Reports of any quality.
    pub count: u64,
    /// Good ones; everything below is about these.
    pub good_count: u64,
    /// Σ of the values in whole millionths.
    pub sum_micro: i128,
    /// Σ of their squares, or none if it is more than `u128` holds.
    pub sum_squares: Option<u128>,
    /// The first and the last in order of (time, sequence).
    pub ends: Option<(Told, Told)>,
    /// Sorted, so that the smallest is first and the largest last.
    values: Vec<f64>,
    /// The values in whole millionths.
    micros: Vec<i128>,
}

impl Answer {
    /// Of the reports of one window, each once and in order.
    pub fn of(reports: &[&Report]) -> Self {
        let good: Vec<&Report> =
            reports.iter().copied().filter(|report| report.quality == Quality::Good).collect();
        let told = |report: &&Report| Told {
            time_ms: report.time_ms,
            sequence: report.sequence,
            value: report.value,
        };
        let mut values: Vec<f64> = good.iter().map(|report| report.value).collect();
        values.sort_by(f64::total_cmp);
        let micros: Vec<i128> =
            good.iter().map(|report| (report.value * 1e6).round() as i128).collect();
        Self {
            count: reports.len() as u64,
            good_count: good.len() as u64,
            sum_micro: micros.iter().sum(),
            sum_squares: micros.iter().try_fold(0_u128, |sum, micro| {
                sum.checked_add(micro.unsigned_abs().pow(2)).filter(|sum| *sum < u128::MAX)
            }),
            ends: good.first().map(told).zip(good.last().map(told)),
            values,
            micros,
        }
    }

    /// The smallest value.
    pub fn min(&self) -> Option<f64> {
        self.values.first().copied()
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.values.last().copied()
    }

    /// The mean squared distance from the mean, by two passes; none without a sum of squares.
    pub fn variance(&self) -> Option<f64> {
        self.sum_squares.filter(|_| self.good_count > 0)?;
        let count = i128::from(self.good_count);
        // n times the distance of each value from the mean, in exact integers.
        let distances = self.micros.iter().map(|micro| (micro * count - self.sum_micro) as f64);
        let squares: f64 = distances.map(|distance| distance * distance).sum();
        Some(squares / (count as f64).powi(3) / 1e12)
    }

    /// The value at rank `q`: that many of the others, rounded down, are before it.
    pub fn true_quantile(&self, q: f64) -> Option<f64> {
        self.values.get(rank(q, self.values.len())?).copied()
    }

    /// What DDSketch gives for it (Masson, Rim, Lee: VLDB 2019, algorithms 1 and 2, with α = 1 %
    /// and without collapsing), held within the smallest and the largest value and exact at both.
    pub fn sketched_quantile(&self, q: f64) -> Option<f64> {
        if q <= 0.0 || q >= 1.0 {
            return if q <= 0.0 { self.min() } else { self.max() };
        }
        let rank = rank(q, self.values.len())?;
        let mut counts: BTreeMap<(i8, i32), usize> = BTreeMap::new();
        for value in &self.values {
            *counts.entry(bin_of(*value)).or_default() += 1;
        }
        let mut passed = 0;
        let (bin, _) = counts.into_iter().find(|(_, count)| {
            passed += count;
            passed > rank
        })?;
        Some(middle_of(bin).max(self.min()?).min(self.max()?))
    }
}

/// How many values stand before the one at rank `q`.
fn rank(q: f64, count: usize) -> Option<usize> {
    Some((q * count.checked_sub(1)? as f64).floor() as usize)
}

const ALPHA: f64 = 0.01;
const GAMMA: f64 = (1.0 + ALPHA) / (1.0 - ALPHA);

/// Sign and signed index, in the order of values; what is below 10⁻⁹ is zero.
fn bin_of(value: f64) -> (i8, i32) {
    if value.abs() < 1e-9 {
        return (0, 0);
    }
    let index = (value.abs().ln() / GAMMA.ln()).ceil() as i32;
    if value > 0.0 { (1, index) } else { (-1, -index) }
}

/// The value a bin stands for.
fn middle_of((sign, index): (i8, i32)) -> f64 {
    let power = f64::from(index * i32::from(sign));
    f64::from(sign) * 2.0 * (power * GAMMA.ln()).exp() / (GAMMA + 1.0)
}
