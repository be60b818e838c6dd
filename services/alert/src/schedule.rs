//! Pure: whether a rule is judged at a time: hours, weekdays, seasons and holidays in Vietnam.
//!
//! Vietnam has been at UTC+7 without daylight saving since 13 June 1975 (IANA time zone database),
//! so calendar and clock are arithmetic. Days before year 1 or after 9999 are outside every
//! schedule.

use sen_model::Timestamp;
use sen_model::condition::{Date, Season, When};
use sen_model::time::{DAY_MS, MINUTE_MS, VIETNAM_OFFSET_MS};

/// Whether every part of the schedule that is given matches.
pub(crate) fn covers(when: &When, at: Timestamp) -> bool {
    let local_ms = at.as_millis().saturating_add(VIETNAM_OFFSET_MS);
    let days = local_ms.div_euclid(DAY_MS);
    let minute = local_ms.rem_euclid(DAY_MS) / MINUTE_MS;
    // 1 January 1970 was a Thursday.
    let weekday = (days + 3).rem_euclid(7) + 1;
    if !any(&when.weekdays, |wanted| i64::from(*wanted) == weekday) {
        return false;
    }
    if !any(&when.hours, |hours| hours.contains(minute)) {
        return false;
    }
    if when.seasons.is_empty() && when.holidays.is_none() {
        return true;
    }
    let Some(date) = date_of(days) else { return false };
    let is_holiday = || when.calendar.iter().any(|(from, until)| (*from..=*until).contains(&date));
    any(&when.seasons, |season| is_in(season, date))
        && when.holidays.is_none_or(|wanted| wanted == is_holiday())
}

/// The first moment after this one at which it may begin or cease to be judged: a midnight, or a
/// beginning or end of hours.
pub(crate) fn next_edge(when: &When, after: Timestamp) -> Timestamp {
    let local_ms = after.as_millis().saturating_add(VIETNAM_OFFSET_MS);
    let midnight = local_ms.saturating_sub(local_ms.rem_euclid(DAY_MS));
    let minutes = when.hours.iter().flat_map(|hours| [hours.from, hours.until]);
    let today = minutes.map(|minute| i64::from(minute) * MINUTE_MS).chain([DAY_MS]);
    let ahead = today.map(|ms| midnight.saturating_add(ms)).filter(|edge| *edge > local_ms);
    let edge = ahead.min().unwrap_or(i64::MAX);
    Timestamp::from_millis(edge.saturating_sub(VIETNAM_OFFSET_MS))
}

/// From when on it is not judged, at or after this moment; none within a year and more.
pub(crate) fn closes(when: &When, from: Timestamp) -> Option<Timestamp> {
    const MOST_EDGES: usize = 4_000;
    let edges = std::iter::successors(Some(from), |at| Some(next_edge(when, *at)));
    edges.take(MOST_EDGES).find(|edge| !covers(when, *edge))
}

/// Whether one of the parts matches; no parts = no condition.
fn any<T>(parts: &[T], matches: impl Fn(&T) -> bool) -> bool {
    parts.is_empty() || parts.iter().any(matches)
}

fn is_in(season: &Season, (_, month, day): Date) -> bool {
    let day = (month, day);
    if season.from <= season.until {
        (season.from..=season.until).contains(&day)
    } else {
        day >= season.from || day <= season.until
    }
}

/// The date of a day, counted from 1 January 1970, in the Gregorian calendar.
///
/// The calendar repeats every 400 years (146,097 days); years are counted from 1 March, so that
/// the leap day is the last of its year.
fn date_of(days: i64) -> Option<Date> {
    const ERA_DAYS: i64 = 146_097;
    let since_march_0 = days.checked_add(719_468)?;
    let (era, day) = (since_march_0.div_euclid(ERA_DAYS), since_march_0.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    // Months from March have 31, 30, 31, 30, 31 days, over and over: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let year = i16::try_from(year).ok().filter(|year| (1..=9_999).contains(year))?;
    Some((year, u8::try_from(month).ok()?, u8::try_from(day_of_month).ok()?))
}

/// How many days a month has; none if there is no such month.
pub(crate) fn days_in(year: i16, month: u8) -> Option<u8> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sen_model::condition::Hours;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, date) in [
            ("1970-01-01T00:00:00+07:00", (1970, 1, 1)),
            ("2000-02-29T12:00:00+07:00", (2000, 2, 29)),
            ("2100-03-01T00:00:00+07:00", (2100, 3, 1)),
            ("1969-12-31T23:59:59+07:00", (1969, 12, 31)),
            ("2026-11-23T17:00:00Z", (2026, 11, 24)),
        ] {
            let days = (at(text).as_millis() + VIETNAM_OFFSET_MS).div_euclid(DAY_MS);
            assert_eq!(date_of(days), Some(date), "{text}");
        }
        assert_eq!(date_of(i64::MAX), None);
        // Day after day, as a calendar is written.
        let (mut year, mut month, mut day) = (1899_i16, 12_u8, 31_u8);
        for days in -25_568..60_000 {
            assert_eq!(date_of(days), Some((year, month, day)), "{days}");
            day += 1;
            if day > days_in(year, month).unwrap() {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn every_given_part_must_match() {
        let night = When { hours: vec![Hours { from: 21 * 60, until: 6 * 60 }], ..When::default() };
        let weekend = When { weekdays: vec![6, 7], ..When::default() };
        let dry =
            When { seasons: vec![Season { from: (12, 1), until: (5, 31) }], ..When::default() };
        let flood =
            When { seasons: vec![Season { from: (8, 1), until: (11, 30) }], ..When::default() };
        let tet = vec![((2027, 2, 5), (2027, 2, 11))];
        let holidays = When { holidays: Some(true), calendar: tet.clone(), ..When::default() };
        let workdays = When {
            weekdays: vec![1, 2, 3, 4, 5],
            holidays: Some(false),
            calendar: tet,
            ..When::default()
        };
        for (name, when, time, expected) in [
            ("always", &When::default(), "2026-11-23T12:00:00+07:00", true),
            ("night begins", &night, "2026-11-23T21:00:00+07:00", true),
            ("before night", &night, "2026-11-23T20:59:59+07:00", false),
            ("after midnight", &night, "2026-11-24T05:59:59+07:00", true),
            ("night ends", &night, "2026-11-24T06:00:00+07:00", false),
            ("night in UTC", &night, "2026-11-23T14:00:00Z", true),
            ("Monday", &weekend, "2026-11-23T00:00:00+07:00", false),
            ("Sunday", &weekend, "2026-11-22T23:59:59+07:00", true),
            ("Sunday in UTC, Monday here", &weekend, "2026-11-22T17:00:00Z", false),
            ("over New Year", &dry, "2027-01-01T00:00:00+07:00", true),
            ("last day", &dry, "2027-05-31T23:59:59+07:00", true),
            ("day after", &dry, "2027-06-01T00:00:00+07:00", false),
            ("day before", &dry, "2026-11-30T23:59:59+07:00", false),
            ("in season", &flood, "2026-08-01T00:00:00+07:00", true),
            ("off season", &flood, "2026-07-31T23:59:59+07:00", false),
            ("Tết", &holidays, "2027-02-11T23:00:00+07:00", true),
            ("after Tết", &holidays, "2027-02-12T00:00:00+07:00", false),
            ("Friday in Tết", &workdays, "2027-02-05T09:00:00+07:00", false),
            ("Friday", &workdays, "2027-02-12T09:00:00+07:00", true),
        ] {
            assert_eq!(covers(when, at(time)), expected, "{name}");
        }
        let far = Timestamp::from_millis(i64::MAX);
        assert!(!covers(&dry, far) && covers(&When::default(), far));
    }
}
