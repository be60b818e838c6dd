//! Pure: the hour, the day and the season in the province.

use sen_model::time::{DAY_MS, HOUR_MS};

/// Vietnam's offset from UTC, in hours.
const OFFSET_HOURS: i64 = 7;
/// The mean length of a year, in days.
const YEAR_DAYS: f64 = 365.2425;
/// 1 January 1970 was a Thursday: day 3 of a week that begins on Monday.
const FIRST_WEEKDAY: i64 = 3;

/// A moment on the province's clock and calendar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Calendar {
    /// Days since 1 January 1970, in Vietnam.
    pub day: i64,
    /// Hours since midnight, with a fraction: 0 to 24.
    pub hour: f64,
    /// How much of the year has gone: 0 to 1, right to about a day.
    pub year: f64,
}

impl Calendar {
    /// The moment `at_ms` milliseconds after the Unix epoch.
    pub(crate) fn at(at_ms: i64) -> Self {
        let local_ms = at_ms + OFFSET_HOURS * HOUR_MS;
        let day = local_ms.div_euclid(DAY_MS);
        let hour = local_ms.rem_euclid(DAY_MS) as f64 / HOUR_MS as f64;
        let year = ((day as f64 + hour / 24.0) / YEAR_DAYS).rem_euclid(1.0);
        Self { day, hour, year }
    }

    /// The first millisecond of this day.
    pub(crate) fn midnight_ms(self) -> i64 {
        self.day * DAY_MS - OFFSET_HOURS * HOUR_MS
    }

    /// Saturday or Sunday.
    pub(crate) fn is_weekend(self) -> bool {
        (self.day + FIRST_WEEKDAY).rem_euclid(7) >= 5
    }

    /// A season from 0 to 1: 1 in its middle `peak`, 0 from `half_width` away on (fractions of a
    /// year), a cosine between.
    pub(crate) fn season(self, peak: f64, half_width: f64) -> f64 {
        let away = (self.year - peak + 0.5).rem_euclid(1.0) - 0.5;
        bell(away / half_width)
    }

    /// A time of day from 0 to 1: 1 at `peak` o'clock, 0 from `half_width` hours away on.
    pub(crate) fn time_of_day(self, peak: f64, half_width: f64) -> f64 {
        let away = (self.hour - peak + 12.0).rem_euclid(24.0) - 12.0;
        bell(away / half_width)
    }
}

/// 1 at 0, 0 from -1 and 1 on, half a cosine wave between.
fn bell(away: f64) -> f64 {
    if away.abs() >= 1.0 { 0.0 } else { (1.0 + (std::f64::consts::PI * away).cos()) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sen_model::Timestamp;

    fn at(text: &str) -> Calendar {
        Calendar::at(text.parse::<Timestamp>().unwrap().as_millis())
    }

    #[test]
    fn knows_hours_weekends_and_seasons() {
        let monday = at("2026-11-23T06:30:00+07:00");
        assert!((monday.hour - 6.5).abs() < 1e-9 && !monday.is_weekend());
        assert!(at("2026-11-22T23:59:00+07:00").is_weekend());
        assert!(at("2026-11-21T00:00:00+07:00").is_weekend());
        assert!(!at("2026-11-20T23:00:00+07:00").is_weekend());
        assert!((at("2026-10-02T00:00:00+07:00").year - 0.75).abs() < 0.01);
        assert_eq!(monday.midnight_ms(), at("2026-11-23T00:00:00+07:00").midnight_ms());
    }

    #[test]
    fn bells_meet_over_midnight_and_new_year() {
        assert!(at("2026-11-23T23:00:00+07:00").time_of_day(1.0, 6.0) > 0.5);
        assert!(at("2026-12-31T00:00:00+07:00").season(0.02, 0.2) > 0.9);
        assert_eq!(at("2026-07-01T00:00:00+07:00").season(0.02, 0.2), 0.0);
    }
}
