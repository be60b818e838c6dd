//! A summary as an archive gives it back. Pure: values only.

use sen_model::{Partial, Tier, Timestamp};

/// The result of one window of one series.
///
/// Of InfluxDB everything follows from [`partial`](Self::partial), which is the one written, bit
/// for bit. VictoriaMetrics keeps numbers only: there `partial` is none, the numbers have 12
/// significant digits or so, and there are no other quantiles than these two.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Start of the window (inclusive).
    pub start: Timestamp,
    /// Which roll-up.
    pub tier: Tier,
    /// How many readings, of any quality.
    pub count: u64,
    /// How many of them were good.
    pub good_count: u64,
    /// The sum of the good values.
    pub sum: f64,
    /// Their mean; none without a good reading, as all that follow.
    pub mean: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The first by event time.
    pub first: Option<f64>,
    /// The last by event time.
    pub last: Option<f64>,
    /// The population standard deviation.
    pub stddev: Option<f64>,
    /// The median, within 1 %.
    pub p50: Option<f64>,
    /// The 95th percentile, within 1 %.
    pub p95: Option<f64>,
    /// The mergeable aggregate, where the server could keep it.
    pub partial: Option<Partial>,
}

impl Statistics {
    /// The numbers of a partial, without the partial itself.
    pub(crate) fn of(start: Timestamp, tier: Tier, partial: &Partial) -> Self {
        Self {
            start,
            tier,
            count: partial.count,
            good_count: partial.good_count,
            sum: partial.sum(),
            mean: partial.mean(),
            min: partial.min(),
            max: partial.max(),
            first: partial.first().map(|moment| moment.value),
            last: partial.last().map(|moment| moment.value),
            stddev: partial.variance().map(f64::sqrt),
            p50: partial.quantile(0.5),
            p95: partial.quantile(0.95),
            partial: None,
        }
    }

    /// That of a partial, with it.
    pub(crate) fn exact(start: Timestamp, tier: Tier, partial: Partial) -> Self {
        let numbers = Self::of(start, tier, &partial);
        Self { partial: Some(partial), ..numbers }
    }

    /// What there may be none of, by its name at the servers.
    pub(crate) fn columns(&self) -> [(&'static str, Option<f64>); 8] {
        [
            ("mean", self.mean),
            ("min", self.min),
            ("max", self.max),
            ("first", self.first),
            ("last", self.last),
            ("stddev", self.stddev),
            ("p50", self.p50),
            ("p95", self.p95),
        ]
    }
}
