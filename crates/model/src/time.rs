//! Points in time: `i64` milliseconds UTC inside, RFC 3339 with offset at the edges.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds in a second, a minute, an hour and a day.
pub const SECOND_MS: i64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds (Vietnam keeps no daylight saving, so every day has this length).
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// Vietnam's offset from UTC, in hours.
const VIETNAM_OFFSET_HOURS: i8 = 7;
/// The same in milliseconds.
pub const VIETNAM_OFFSET_MS: i64 = VIETNAM_OFFSET_HOURS as i64 * HOUR_MS;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Serialised as RFC 3339 with Vietnam's offset (`2026-11-23T14:02:05.120+07:00`); parsed with any
/// offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The text was not an RFC 3339 time with an offset.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time with an offset, such as 2026-11-23T14:02:05+07:00")]
pub struct InvalidTime(String);

impl Timestamp {
    /// The time `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time moved by `ms`, stopping at the ends of `i64`.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How long after `earlier` this is, in milliseconds; negative if before.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the window of `length_ms` holding this time; right for negative times too.
    pub const fn floor_to(self, length_ms: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(length_ms)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Times outside jiff's range (years -9999 to 9999) can only come from bad input; they are
        // shown as a number rather than refused, so that a quarantine entry can print them.
        let Ok(instant) = jiff::Timestamp::from_millisecond(self.0) else {
            return write!(f, "{}ms", self.0);
        };
        let offset = jiff::tz::Offset::constant(VIETNAM_OFFSET_HOURS);
        let zoned = instant.to_zoned(TimeZone::fixed(offset));
        write!(f, "{}", zoned.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|_| InvalidTime(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_vietnam_time_and_reads_any_offset() {
        let time: Timestamp = "2026-11-23T07:02:05.120Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-23T14:02:05.120+07:00");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }

    #[test]
    fn floors_negative_times_downwards() {
        assert_eq!(Timestamp(-1).floor_to(MINUTE_MS), Timestamp(-MINUTE_MS));
        assert_eq!(Timestamp(59_999).floor_to(MINUTE_MS), Timestamp(0));
        assert_eq!(Timestamp(i64::MIN).floor_to(MINUTE_MS), Timestamp(i64::MIN));
    }

    #[test]
    fn prints_times_no_calendar_has() {
        assert_eq!(Timestamp(i64::MAX).to_string(), format!("{}ms", i64::MAX));
    }
}
