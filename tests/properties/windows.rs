//! Windows by arithmetic against windows by the calendar.

use proptest::prelude::*;
use sen_model::time::DAY_MS;
use sen_model::{Tier, Timestamp};
use sen_tests::oracle::Length;

/// Any moment; many near the ends of `i64`, near 1970, and in the centuries calendars know.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![
        1 => any::<i64>(),
        1 => (0..3 * DAY_MS, any::<bool>())
            .prop_map(|(by, low)| if low { i64::MIN + by } else { i64::MAX - by }),
        1 => -3 * DAY_MS..3 * DAY_MS,
        // Years 1000 to 9999, and a millisecond beside each midnight in Vietnam of 1900 to 2100.
        3 => -30_610_224_000_000..253_402_300_799_999_i64,
        3 => (-25_567..47_482_i64, -1..=1_i64)
            .prop_map(|(day, beside)| day * DAY_MS - 7 * 3_600_000 + beside),
    ]
}

proptest! {
    #[test]
    fn every_moment_lies_in_the_window_the_calendar_says_and_in_no_other(ms in moment()) {
        let time = Timestamp::from_millis(ms);
        for tier in Tier::ALL {
            let (start, length) = (tier.start_of(time), Length::of(tier));
            prop_assert_eq!(start.as_millis(), length.start_of(ms), "{} of {}", tier, ms);
            let end = tier.end_of(start);
            prop_assert!(start <= time && (time < end || end.as_millis() == i64::MAX));
            // The moment before the window and the first one after it are of other windows.
            if let Some(before) = start.as_millis().checked_sub(1) {
                prop_assert!(length.start_of(before) < start.as_millis());
            }
            if end.as_millis() < i64::MAX {
                prop_assert_eq!(length.start_of(end.as_millis()), end.as_millis());
            }
        }
    }
}

/// Moments in words, and the Vietnamese day they lie in.
#[test]
fn leap_days_and_years_before_the_epoch_are_days_like_others() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (moment, start, end) in [
        ("2024-02-29T12:00:00+07:00", "2024-02-29T00:00:00+07:00", "2024-03-01T00:00:00+07:00"),
        ("2023-02-28T23:59:59+07:00", "2023-02-28T00:00:00+07:00", "2023-03-01T00:00:00+07:00"),
        ("2000-02-29T00:00:00+07:00", "2000-02-29T00:00:00+07:00", "2000-03-01T00:00:00+07:00"),
        ("1900-02-28T20:00:00Z", "1900-03-01T00:00:00+07:00", "1900-03-02T00:00:00+07:00"),
        ("1969-12-31T23:00:00Z", "1970-01-01T00:00:00+07:00", "1970-01-02T00:00:00+07:00"),
    ] {
        let found = Tier::Day.start_of(at(moment));
        assert_eq!((found, Tier::Day.end_of(found)), (at(start), at(end)), "{moment}");
        assert_eq!(Length::VietnamDay.start_of(at(moment).as_millis()), found.as_millis());
    }
}
