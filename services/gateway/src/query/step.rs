//! Pure: the windows of a question. A step is a whole multiple of a tier, so that its windows are
//! exact: each is merged from whole windows of that tier.
//!
//! Windows are counted from midnight in Vietnam on Monday 5 January 1970. So the steps that divide
//! a day begin anew at every midnight there, days are calendar days, and seven days begin on
//! Mondays (ISO 8601). Counting them by number keeps the arithmetic away from the ends of `i64`,
//! where the first window is cut off, as that of every tier is.
//!
//! A window belongs to the range that holds its start: ranges that meet share no window and miss
//! none, and what is shown of a window is always the whole of it.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS, VIETNAM_OFFSET_MS};
use sen_model::{Tier, Timestamp};

use super::parameters::shown;

/// Monday 1970-01-05T00:00:00+07:00.
const ORIGIN_MS: i64 = 4 * DAY_MS - VIETNAM_OFFSET_MS;
/// The longest step, in days: a leap year.
const MOST_DAYS: i64 = 366;
/// What a step is chosen from, in milliseconds: what people read off a clock or a calendar.
const NICE_MS: [i64; 18] = [
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
    28 * DAY_MS,
    84 * DAY_MS,
    364 * DAY_MS,
];

/// How long the windows of an answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    length_ms: i64,
    tier: Tier,
}

impl Step {
    /// Of this length, if windows of it are whole windows of a tier and fit into days.
    fn new(length_ms: i64) -> Option<Self> {
        let divides_a_day = length_ms >= MINUTE_MS && DAY_MS % length_ms == 0;
        let is_days = length_ms % DAY_MS == 0 && (1..=MOST_DAYS).contains(&(length_ms / DAY_MS));
        let divides = |tier: &Tier| length_ms % tier.length_ms() == 0;
        let tier = Tier::ALL.into_iter().rev().find(divides);
        tier.filter(|_| divides_a_day || is_days).map(|tier| Self { length_ms, tier })
    }

    /// The shortest readable step with at most `most` windows in a range, merged from windows of the
    /// tier `finest` or coarser ones; none if the range is too long for all of them.
    pub(crate) fn for_points(
        from: Timestamp,
        to: Timestamp,
        most: usize,
        finest: Tier,
    ) -> Option<Self> {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let steps = NICE_MS.into_iter().filter_map(Self::new);
        let steps = steps.filter(|step| step.tier >= finest);
        steps.into_iter().find(|step| count(&step.numbers(from, to)) <= most)
    }

    /// The tier its windows are merged from: the coarsest that divides it.
    pub(crate) fn tier(self) -> Tier {
        self.tier
    }

    /// How many windows of its tier a window has.
    pub(crate) fn ratio(self) -> usize {
        usize::try_from(self.length_ms / self.tier.length_ms()).unwrap_or(usize::MAX)
    }

    /// The number of the window that holds a time.
    pub(crate) fn number_of(self, time: Timestamp) -> i64 {
        let since = i128::from(time.as_millis()) - i128::from(ORIGIN_MS);
        // A window has 60,000 ms at least, so that its number is far from the ends.
        i64::try_from(since.div_euclid(i128::from(self.length_ms))).unwrap_or_default()
    }

    /// The start of a window; that of the first one is where `i64` begins, and one after the last
    /// begins where `i64` ends.
    pub(crate) fn start(self, number: i64) -> Timestamp {
        let start = i128::from(number) * i128::from(self.length_ms) + i128::from(ORIGIN_MS);
        let within = start.clamp(i64::MIN.into(), i64::MAX.into());
        Timestamp::from_millis(i64::try_from(within).unwrap_or_default())
    }

    /// The windows that start in a range; a range that ends with `i64` has no end.
    pub(crate) fn numbers(self, from: Timestamp, to: Timestamp) -> Range<i64> {
        let from_number = |time: Timestamp| {
            let number = self.number_of(time);
            if self.start(number) == time { number } else { number + 1 }
        };
        let end = match to.as_millis() {
            i64::MAX => self.number_of(to) + 1,
            _ => from_number(to),
        };
        from_number(from)..end
    }
}

/// How many windows these are.
pub(crate) fn count(numbers: &Range<i64>) -> u64 {
    u64::try_from(numbers.end.saturating_sub(numbers.start)).unwrap_or(0)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY_MS, 'd'), (HOUR_MS, 'h'), (MINUTE_MS, 'm')];
        let whole = units.into_iter().find(|(unit, _)| self.length_ms % unit == 0);
        let (unit, letter) = whole.unwrap_or((1, 's'));
        write!(f, "{}{letter}", self.length_ms / unit)
    }
}

/// The text names no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a step: minutes, hours or days that divide a day, such as 1m, 5m, 15m, 1h, 6h, \
     1d, or whole days up to 366d, such as 7d"
)]
pub(crate) struct UnknownStep(String);

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        let units = [('m', MINUTE_MS), ('h', HOUR_MS), ('d', DAY_MS)];
        let found = units.into_iter().find_map(|(letter, unit)| {
            let digits = text.strip_suffix(letter)?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number: i64 = digits.parse().ok().filter(|_| plain)?;
            Self::new(number.checked_mul(unit)?)
        });
        found.ok_or_else(|| UnknownStep(shown(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn step(text: &str) -> Step {
        text.parse().unwrap()
    }

    #[test]
    fn a_step_is_read_from_the_coarsest_tier_that_divides_it() {
        for (text, tier, ratio) in [
            ("1m", Tier::Minute, 1),
            ("5m", Tier::Minute, 5),
            ("15m", Tier::QuarterHour, 1),
            ("90m", Tier::QuarterHour, 6),
            ("60m", Tier::Hour, 1),
            ("6h", Tier::Hour, 6),
            ("24h", Tier::Day, 1),
            ("7d", Tier::Day, 7),
            ("366d", Tier::Day, 366),
        ] {
            let step = step(text);
            assert_eq!((step.tier(), step.ratio()), (tier, ratio), "{text}");
        }
        assert_eq!(
            ["60m", "90m", "48h", "5m"].map(|text| step(text).to_string()),
            ["1h", "90m", "2d", "5m"]
        );
        for wrong in [
            "",
            "m",
            "0m",
            "7m",
            "-1m",
            "+1m",
            "5h",
            "36h",
            "367d",
            "1w",
            "1",
            "99999999999999999d",
        ] {
            assert!(wrong.parse::<Step>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn windows_begin_where_clocks_and_calendars_in_vietnam_do() {
        for (text, inside, start) in [
            ("1d", "2024-02-29T23:59:59.999+07:00", "2024-02-29T00:00:00+07:00"),
            ("1d", "2024-02-29T17:00:00Z", "2024-03-01T00:00:00+07:00"),
            ("6h", "2024-02-29T05:59:59+07:00", "2024-02-29T00:00:00+07:00"),
            ("2h", "2026-11-23T14:02:05+07:00", "2026-11-23T14:00:00+07:00"),
            // 2026-11-23 is a Monday.
            ("7d", "2026-11-29T23:59:59+07:00", "2026-11-23T00:00:00+07:00"),
            ("15m", "1969-12-31T23:59:59.999Z", "1969-12-31T23:45:00Z"),
        ] {
            let step = step(text);
            assert_eq!(step.start(step.number_of(at(inside))), at(start), "{text} {inside}");
        }
    }

    #[test]
    fn a_range_has_the_windows_that_start_in_it() {
        let hour = step("1h");
        let (from, to) = (at("2026-11-23T14:00:00+07:00"), at("2026-11-23T16:00:00+07:00"));
        for (from, to, first, windows) in [
            (from, to, 14, 2),
            (from.plus_ms(1), to, 15, 1),
            (from.plus_ms(-1), to, 14, 2),
            (from, to.plus_ms(1), 14, 3),
            (from, to.plus_ms(-1), 14, 2),
            (from, from.plus_ms(1), 14, 1),
            (from.plus_ms(1), from.plus_ms(2), 15, 0),
        ] {
            let numbers = hour.numbers(from, to);
            assert_eq!(count(&numbers), windows);
            let wanted = at("2026-11-23T00:00:00+07:00").plus_ms(first * HOUR_MS);
            assert_eq!(hour.start(numbers.start), wanted);
        }
    }

    #[test]
    fn the_ends_of_time_have_their_windows() {
        let (min, max) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        for text in ["1m", "6h", "7d"] {
            let step = step(text);
            let all = step.numbers(min, max);
            assert_eq!(step.start(all.start), min);
            assert_eq!(
                step.start(all.start + 1),
                step.start(all.start).max(step.start(all.start + 1))
            );
            assert_eq!(step.number_of(max) + 1, all.end);
            assert_eq!(step.start(all.end), max);
            assert_eq!(count(&step.numbers(min.plus_ms(1), max)), count(&all) - 1);
        }
        assert_eq!(Step::for_points(min, max, 10_000, Tier::Minute), None);
    }

    #[test]
    fn the_step_is_the_shortest_readable_one_that_fits() {
        let from = at("2026-01-01T00:00:00+07:00");
        for (days, points, wanted) in [
            (1, 1_440, "1m"),
            (1, 1_439, "2m"),
            (365, 1_000, "12h"),
            (365, 365, "1d"),
            (1, 1, "1d"),
        ] {
            let chosen =
                Step::for_points(from, from.plus_ms(days * DAY_MS), points, Tier::Minute).unwrap();
            assert_eq!(chosen.to_string(), wanted);
        }
    }

    fn any_time() -> impl Strategy<Value = i64> {
        prop_oneof![
            any::<i64>(),
            -400 * DAY_MS..400 * DAY_MS,
            (0..400 * DAY_MS).prop_map(|by| i64::MIN + by),
            (0..400 * DAY_MS).prop_map(|by| i64::MAX - by),
        ]
    }

    proptest! {
        #[test]
        fn a_window_is_made_of_whole_windows_of_its_tier(
            time in any_time(),
            text in prop::sample::select(vec!["1m", "5m", "15m", "90m", "1h", "3h", "1d", "7d", "30d"]),
        ) {
            let (step, time) = (step(text), Timestamp::from_millis(time));
            let number = step.number_of(time);
            let (start, end) = (step.start(number), step.start(number + 1));
            prop_assert!(start <= time && (time < end || end.as_millis() == i64::MAX));
            prop_assert_eq!(step.tier().start_of(start), start);
            let inner = step.tier().start_of(time);
            prop_assert!(start <= inner && step.tier().end_of(inner) <= end);
        }

        #[test]
        fn ranges_that_meet_share_no_window_and_miss_none(
            mut times in prop::array::uniform3(any_time()),
            text in prop::sample::select(vec!["1m", "6h", "1d", "7d"]),
        ) {
            times.sort_unstable();
            let [a, b, c] = times.map(Timestamp::from_millis);
            let step = step(text);
            prop_assume!(b.as_millis() < i64::MAX);
            let (left, right, whole) = (step.numbers(a, b), step.numbers(b, c), step.numbers(a, c));
            prop_assert_eq!((left.start, right.end), (whole.start, whole.end));
            prop_assert_eq!(left.end, right.start);
        }
    }
}
