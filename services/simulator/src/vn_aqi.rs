//! Pure: the hourly VN_AQI of particulate matter, as in Decision 1459/QĐ-TCMT of 12 November 2019.

/// The index at each breakpoint.
const INDEX: [f64; 8] = [0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0];

/// A pollutant's breakpoints, in micrograms a cubic metre.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breakpoints([f64; 8]);

/// PM2.5.
pub(crate) const PM25: Breakpoints =
    Breakpoints([0.0, 25.0, 50.0, 80.0, 150.0, 250.0, 350.0, 500.0]);
/// PM10.
pub(crate) const PM10: Breakpoints =
    Breakpoints([0.0, 50.0, 150.0, 250.0, 350.0, 420.0, 500.0, 600.0]);

/// Hours a NowCast looks back.
pub(crate) const NOWCAST_HOURS: usize = 12;

impl Breakpoints {
    /// The index of a concentration: linear between breakpoints, whole, at most 500.
    pub(crate) fn index(self, concentration: f64) -> f64 {
        let above = self.0.iter().position(|breakpoint| concentration < *breakpoint);
        let Some(above) = above else { return INDEX[INDEX.len() - 1] };
        // Below the first breakpoint there is only a negative concentration: a sensor's noise.
        let Some(below) = above.checked_sub(1) else { return 0.0 };
        let slope = (INDEX[above] - INDEX[below]) / (self.0[above] - self.0[below]);
        (INDEX[below] + slope * (concentration - self.0[below])).round()
    }
}

/// The NowCast concentration of the last hours, the latest first; `None` where two of the three
/// latest are missing and the Decision wants no index published.
pub(crate) fn nowcast(hours: &[Option<f64>; NOWCAST_HOURS]) -> Option<f64> {
    if hours[..3].iter().flatten().count() < 2 {
        return None;
    }
    let known = || hours.iter().enumerate().filter_map(|(hour, value)| Some((hour, (*value)?)));
    let most = known().map(|(_, value)| value).fold(f64::MIN, f64::max);
    let least = known().map(|(_, value)| value).fold(f64::MAX, f64::min);
    let ratio = if most > 0.0 { least / most } else { 1.0 };
    if ratio <= 0.5 {
        return Some(known().map(|(hour, value)| value * 0.5_f64.powi(hour as i32 + 1)).sum());
    }
    let (sum, weights) = known().fold((0.0, 0.0), |(sum, weights), (hour, value)| {
        let weight = ratio.powi(hour as i32);
        (sum + weight * value, weights + weight)
    });
    Some(sum / weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Decision's example: PM2.5 from 20:00 back to 09:00.
    const EXAMPLE: [f64; 12] =
        [20.6, 19.6, 22.4, 20.3, 16.5, 19.0, 16.5, 19.5, 23.5, 20.5, 24.7, 26.9];

    #[test]
    fn agrees_with_the_examples_of_the_decision() {
        let cast = nowcast(&EXAMPLE.map(Some)).unwrap();
        assert!((cast - 20.266).abs() < 0.001, "{cast}");
        assert_eq!(PM25.index(cast), 41.0);
        assert_eq!(PM25.index(55.7), 110.0);
    }

    #[test]
    fn is_linear_between_breakpoints_and_ends_at_500() {
        let cases = [
            (PM25, 0.0, 0.0),
            (PM25, 12.5, 25.0),
            (PM25, 25.0, 50.0),
            (PM25, 65.0, 125.0),
            (PM25, 149.9, 200.0),
            (PM25, 200.0, 250.0),
            (PM25, 600.0, 500.0),
            (PM10, 100.0, 75.0),
            (PM10, 385.0, 250.0),
            (PM10, -1.0, 0.0),
        ];
        for (breakpoints, concentration, index) in cases {
            assert_eq!(breakpoints.index(concentration), index, "{concentration}");
        }
    }

    #[test]
    fn falls_back_to_halves_and_knows_when_too_little_is_known() {
        let mut hours = [Some(10.0); NOWCAST_HOURS];
        hours[11] = Some(40.0);
        // Σ (1/2)^i · c_i, i = 1 … 12
        let by_hand = 10.0 * (1.0 - 0.5_f64.powi(11)) + 40.0 * 0.5_f64.powi(12);
        assert!((nowcast(&hours).unwrap() - by_hand).abs() < 1e-12);
        hours[0] = None;
        assert!(nowcast(&hours).is_some());
        hours[2] = None;
        assert_eq!(nowcast(&hours), None);
    }
}
