//! Whether a rule is judged at a time, by the time zone database and a calendar. Pure: values only.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sen_model::condition::When;

/// Whether every part that is given matches.
pub(super) fn is_judged(when: &When, time_ms: i64) -> bool {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("the time zone database is built in");
    let moment = Timestamp::from_millisecond(time_ms).expect("the oracle is asked of this age");
    let local = moment.to_zoned(zone).datetime();
    let minute =
        u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    let hours = when.hours.iter().any(|hours| {
        let runs_over_midnight = hours.from > hours.until;
        let (after, before) = (minute >= hours.from, minute < hours.until);
        if runs_over_midnight { after || before } else { after && before }
    });
    let weekday = local.weekday().to_monday_one_offset().unsigned_abs();
    let day = (local.month().unsigned_abs(), local.day().unsigned_abs());
    let season = when.seasons.iter().any(|season| {
        let runs_over_new_year = season.from > season.until;
        let (after, before) = (day >= season.from, day <= season.until);
        if runs_over_new_year { after || before } else { after && before }
    });
    let is_holiday = when.calendar.iter().any(|(first, last)| {
        let date = |(year, month, day): (i16, u8, u8)| {
            Date::new(year, month.cast_signed(), day.cast_signed()).expect("a day of the calendar")
        };
        date(*first) <= local.date() && local.date() <= date(*last)
    });
    (when.hours.is_empty() || hours)
        && (when.weekdays.is_empty() || when.weekdays.contains(&weekday))
        && (when.seasons.is_empty() || season)
        && when.holidays.is_none_or(|wanted| wanted == is_holiday)
}
