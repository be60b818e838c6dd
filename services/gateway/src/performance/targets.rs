//! Pure: how good a figure ought to be, and who says so.

use super::report::{Bound, Target};

const ISA: &str = "ISA-18.2-2016 / IEC 62682";
const EEMUA: &str = "EEMUA 191";

/// The target of a figure, for one operator; none where neither standard has a number.
pub(super) fn target(figure: &str) -> Option<Target> {
    let (bound, value, source) = match figure {
        "per_10_min_mean" => (Bound::AtMost, 1.0, ISA),
        "per_10_min_peak" => (Bound::AtMost, 10.0, ISA),
        "per_hour_mean" => (Bound::AtMost, 6.0, ISA),
        "per_hour_peak" => (Bound::AtMost, 15.0, EEMUA),
        "per_day_mean" => (Bound::AtMost, 150.0, ISA),
        "per_day_peak" => (Bound::AtMost, 300.0, ISA),
        "chattering_alarms" => (Bound::AtMost, 0.0, ISA),
        "fleeting" => (Bound::AtMost, 0.0, ISA),
        "stale" => (Bound::AtMost, 4.0, ISA),
        "top_ten_share" => (Bound::AtMost, 0.05, ISA),
        "critical_and_high_share" => (Bound::AtMost, 0.05, EEMUA),
        "medium_share" => (Bound::AtMost, 0.15, EEMUA),
        "low_share" => (Bound::AtLeast, 0.8, EEMUA),
        "flood_share" => (Bound::AtMost, 0.01, ISA),
        _ => return None,
    };
    Some(Target { bound, value, source })
}
