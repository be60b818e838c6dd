//! The tiers of roll-ups: windows of a fixed length, each a whole number of the windows below it.
//! Pure: values only.
//!
//! Every instant of `i64` lies in exactly one window of each tier. The first and the last window of
//! `i64` are cut off by its ends, so that nothing overflows.

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp, VIETNAM_OFFSET_MS};

/// How long the windows of a roll-up are.
///
/// Days are calendar days of Asia/Ho_Chi_Minh, which has been at UTC+7 without daylight saving since
/// 13 June 1975 (IANA time zone database). That offset is a whole number of hours, so the shorter
/// windows begin where those of UTC do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// One minute.
    #[serde(rename = "1m")]
    Minute,
    /// Fifteen minutes.
    #[serde(rename = "15m")]
    QuarterHour,
    /// One hour.
    #[serde(rename = "1h")]
    Hour,
    /// One calendar day in Vietnam.
    #[serde(rename = "1d")]
    Day,
}

impl Tier {
    /// All of them, the finest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::QuarterHour, Self::Hour, Self::Day];

    /// The stable name, as in the API and in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::QuarterHour => "15m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// Length of a window, in milliseconds.
    pub const fn length_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::QuarterHour => 15 * MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// The tier its windows are made of; none below the finest, which is made of readings.
    pub const fn finer(self) -> Option<Self> {
        match self {
            Self::Minute => None,
            Self::QuarterHour => Some(Self::Minute),
            Self::Hour => Some(Self::QuarterHour),
            Self::Day => Some(Self::Hour),
        }
    }

    /// The tier that is made of its windows; none above the coarsest.
    pub const fn coarser(self) -> Option<Self> {
        match self {
            Self::Minute => Some(Self::QuarterHour),
            Self::QuarterHour => Some(Self::Hour),
            Self::Hour => Some(Self::Day),
            Self::Day => None,
        }
    }

    /// The start of the window a time belongs to.
    pub const fn start_of(self, time: Timestamp) -> Timestamp {
        Timestamp::from_millis(time.as_millis().saturating_sub(self.into_window_ms(time)))
    }

    /// The first instant after the window that begins at `start`. The last window of `i64` has no
    /// instant after it and ends with `i64`.
    pub const fn end_of(self, start: Timestamp) -> Timestamp {
        start.plus_ms(self.length_ms() - self.into_window_ms(start))
    }

    /// How far into its window a time is.
    const fn into_window_ms(self, time: Timestamp) -> i64 {
        let length = self.length_ms();
        // First the remainder, then the offset: their sum cannot overflow.
        let shift = match self {
            Self::Day => VIETNAM_OFFSET_MS,
            _ => 0,
        };
        (time.as_millis().rem_euclid(length) + shift).rem_euclid(length)
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no tier.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no tier: 1m, 15m, 1h or 1d")]
pub struct UnknownTier(String);

impl std::str::FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|tier| tier.as_str() == text);
        named.ok_or_else(|| UnknownTier(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_one_of_vietnam() {
        let start = Tier::Day.start_of(at("2024-02-29T00:30:00+07:00"));
        assert_eq!(start, at("2024-02-29T00:00:00+07:00"));
        assert_eq!(Tier::Day.end_of(start), at("2024-03-01T00:00:00+07:00"));
        assert_eq!(Tier::Day.start_of(at("2024-02-28T23:59:59.999+07:00")).plus_ms(DAY_MS), start);
    }

    #[test]
    fn windows_before_the_epoch_are_as_long_as_others() {
        let start = Tier::QuarterHour.start_of(Timestamp::from_millis(-1));
        assert_eq!(start, Timestamp::from_millis(-15 * MINUTE_MS));
        assert_eq!(Tier::QuarterHour.end_of(start), Timestamp::from_millis(0));
    }

    #[test]
    fn names_come_back() {
        for tier in Tier::ALL {
            assert_eq!(tier.as_str().parse::<Tier>().unwrap(), tier);
            assert_eq!(tier.coarser().and_then(Tier::finer).unwrap_or(tier), tier);
        }
        assert!("7m".parse::<Tier>().is_err());
    }

    fn time() -> impl Strategy<Value = i64> {
        let near_an_end = (0..3 * DAY_MS, any::<bool>());
        prop_oneof![
            any::<i64>(),
            near_an_end.prop_map(|(by, low)| if low { i64::MIN + by } else { i64::MAX - by }),
            -3 * DAY_MS..3 * DAY_MS,
        ]
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_one_window_of_each_tier(ms in time()) {
            let time = Timestamp::from_millis(ms);
            for tier in Tier::ALL {
                let start = tier.start_of(time);
                let end = tier.end_of(start);
                prop_assert!(start <= time && (time < end || end.as_millis() == i64::MAX));
                prop_assert_eq!(tier.start_of(start), start);
                let length = i128::from(end.as_millis()) - i128::from(start.as_millis());
                let is_whole = start.as_millis() != i64::MIN && end.as_millis() != i64::MAX;
                prop_assert!(length <= i128::from(tier.length_ms()));
                prop_assert!(!is_whole || length == i128::from(tier.length_ms()));
                if is_whole {
                    prop_assert_eq!(tier.start_of(end), end);
                }
                // A window lies within one of the coarser tier.
                if let Some(coarser) = tier.coarser() {
                    prop_assert_eq!(coarser.start_of(start), coarser.start_of(time));
                }
            }
        }
    }
}
