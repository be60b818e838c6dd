//! The points that every store is given: 60 of 100 series are sensors of a tenth, 20 are
//! counters, 20 are noise of full precision; half of them tick on the second, half do not.

use std::fmt::Write;

use sen_model::{Quality, Timestamp};
use sen_store::Point;

/// 2026-11-23T00:00:00Z.
pub(super) const BEGIN_MS: i64 = 1_795_392_000_000;
/// How often every series has a point.
pub(super) const STEP_MS: i64 = 10_000;

/// Chance from a number: the finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The point of a series at one tick.
pub(super) fn point(series: u64, tick: u64) -> Point {
    let chance = mix(series << 32 ^ tick);
    let late = if series.is_multiple_of(2) { 0 } else { chance % 7 };
    let event_ms = BEGIN_MS + tick as i64 * STEP_MS + late as i64;
    let unit = (chance >> 11) as f64 / (1_u64 << 53) as f64;
    let value = match series % 5 {
        0 => tick as f64 * 3.0 + (chance % 3) as f64,
        1 => unit,
        _ => {
            let angle = tick as f64 * STEP_MS as f64 / 86_400_000.0 * std::f64::consts::TAU;
            ((25.0 + 5.0 * angle.sin() + 0.2 * unit) * 10.0).round() / 10.0
        }
    };
    let received_at = Timestamp::from_millis(event_ms + (chance % 5) as i64);
    let event_time = Timestamp::from_millis(event_ms);
    Point { event_time, sequence: 0, value, quality: Quality::Good, received_at }
}

/// The same points as lines of InfluxDB's protocol, in milliseconds.
pub(super) fn lines(points: impl Iterator<Item = (u64, Point)>) -> String {
    let mut text = String::new();
    for (series, point) in points {
        let (value, time) = (point.value, point.event_time.as_millis());
        // Writing to a string does not fail.
        let _ = writeln!(text, "sen,series=s{series} value={value} {time}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_the_same_again_in_order_and_one_a_tick() {
        for series in 0..10 {
            let points: Vec<Point> = (0..100).map(|tick| point(series, tick)).collect();
            assert_eq!(points[7], point(series, 7));
            assert!(points.windows(2).all(|two| two[0].event_time < two[1].event_time));
        }
    }

    #[test]
    fn lines_carry_series_value_and_time() {
        let text = lines([(4, point(4, 0)), (5, point(5, 0))].into_iter());
        let value = point(4, 0).value;
        assert!(text.starts_with(&format!("sen,series=s4 value={value} {BEGIN_MS}\n")), "{text}");
        assert_eq!(text.lines().count(), 2);
    }
}
