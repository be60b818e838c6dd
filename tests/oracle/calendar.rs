//! Where windows begin, by the calendar rather than by arithmetic on offsets. Pure: values only.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use sen_model::Tier;

/// How long windows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many whole minutes, counted from 1970-01-01T00:00Z.
    Minutes(u16),
    /// A calendar day in Vietnam.
    VietnamDay,
}

/// Since this moment Vietnam's clocks have shown what they show today: 13 June 1975 (IANA).
const TODAYS_CLOCK_MS: i64 = 171_820_800_000;

static VIETNAM: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::get("Asia/Ho_Chi_Minh").expect("the time zone database is built in")
});

impl Length {
    /// The windows a tier claims to have.
    pub fn of(tier: Tier) -> Self {
        match tier.as_str() {
            "1m" => Self::Minutes(1),
            "15m" => Self::Minutes(15),
            "1h" => Self::Minutes(60),
            "1d" => Self::VietnamDay,
            other => panic!("no window of the oracle for {other}"),
        }
    }

    /// The start of the window this moment lies in. The first window of `i64` begins with it.
    pub fn start_of(self, time_ms: i64) -> i64 {
        let start = match self {
            Self::Minutes(minutes) => floor(time_ms, 0, i128::from(minutes) * 60_000),
            Self::VietnamDay => midnight(time_ms),
        };
        i64::try_from(start).unwrap_or(i64::MIN)
    }
}

/// The last multiple of `length` at or before a moment, counted from `origin`.
fn floor(time_ms: i64, origin: i128, length: i128) -> i128 {
    let since = i128::from(time_ms) - origin;
    let mut windows = since / length;
    if windows * length > since {
        windows -= 1;
    }
    origin + windows * length
}

/// The midnight before a moment in Vietnam: by the time zone database where today's clock is in
/// force, by the calendar of UTC+7 before, and by counting days where no calendar reaches.
fn midnight(time_ms: i64) -> i128 {
    let zone = if time_ms >= TODAYS_CLOCK_MS {
        VIETNAM.clone()
    } else {
        TimeZone::fixed(Offset::constant(7))
    };
    let by_calendar = Timestamp::from_millisecond(time_ms)
        .and_then(|moment| moment.to_zoned(zone).start_of_day())
        .map(|midnight| i128::from(midnight.timestamp().as_millisecond()));
    by_calendar.unwrap_or_else(|_| floor(time_ms, -7 * 3_600_000, 86_400_000))
}
