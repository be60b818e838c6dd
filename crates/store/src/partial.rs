//! The mergeable aggregate of a window.

/// Count, fixed-point sums, extremes, first and last, quantile sketch of some readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// How many readings.
    pub count: u64,
}
