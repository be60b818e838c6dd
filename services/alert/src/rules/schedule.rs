//! Pure: when a rule is judged, as people write it, in Vietnam's time:
//!
//! ```toml
//! schedule = { hours = ["21:00 to 06:00"], weekdays = ["monday to friday"] }
//! schedule = { seasons = ["12-01 to 05-31"], holidays = "never" }
//!
//! [[holiday]]                      # for the whole file; `until` is the last day
//! name = { vi = "Tết Nguyên đán", en = "Lunar New Year" }
//! from = "2027-02-05"
//! until = "2027-02-11"
//! ```

use sen_model::Text;
use sen_model::condition::{Date, Hours, Season, When};

use super::check_text;
use super::section::Section;
use crate::schedule::days_in;

/// The holidays of the file, each from its first to its last day.
pub(super) type Calendar = Vec<(Date, Date)>;

/// Holidays of a file, at most.
const MOST_HOLIDAYS: usize = 500;

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The holidays: `[[holiday]]`.
pub(super) fn read_calendar(file: &mut Section<'_>) -> Calendar {
    let tables = file.take_tables("holiday");
    if tables.len() > MOST_HOLIDAYS {
        file.problem("holiday", format!("{MOST_HOLIDAYS} at most"));
    }
    let mut calendar = Calendar::new();
    for (line, table) in tables {
        let mut section = file.within(line, table);
        calendar.extend(read_holiday(&mut section));
        file.absorb(section);
    }
    calendar
}

fn read_holiday(section: &mut Section<'_>) -> Option<(Date, Date)> {
    let name: Option<Text> = section.require("name");
    check_text(section, "name", name.as_ref());
    let from: Option<String> = section.require("from");
    let until: Option<String> = section.take("until");
    let mut date = |key: &str, text: &str| {
        let date = parse_date(text);
        if date.is_none() {
            section.problem(key, format!("`{text}` is not a date such as \"2027-02-05\""));
        }
        date
    };
    let from = date("from", &from?)?;
    let until = until.map_or(Some(from), |until| date("until", &until))?;
    if until < from {
        section.problem("until", "lies before `from`");
    }
    Some((from, until))
}

/// The schedule of a rule; none if it is judged always.
pub(super) fn read(section: &mut Section<'_>, calendar: &Calendar) -> Option<When> {
    let mut inner = section.take_section("schedule")?;
    let hours = read_list(&mut inner, "hours", "21:00 to 06:00", parse_hours);
    let weekdays = read_list(&mut inner, "weekdays", "monday to friday", parse_weekdays);
    let seasons = read_list(&mut inner, "seasons", "12-01 to 05-31", parse_season);
    let holidays: Option<String> = inner.take("holidays");
    let holidays = holidays.and_then(|word| match word.as_str() {
        "only" => Some(true),
        "never" => Some(false),
        _ => {
            inner.problem("holidays", "write \"only\" or \"never\"");
            None
        }
    });
    if holidays.is_some() && calendar.is_empty() {
        inner.problem("holidays", "the file lists no [[holiday]]");
    }
    section.absorb(inner);
    let mut weekdays: Vec<u8> = weekdays.into_iter().flatten().collect();
    weekdays.sort_unstable();
    weekdays.dedup();
    let calendar = if holidays.is_some() { calendar.clone() } else { Vec::new() };
    let when = When { hours, weekdays, seasons, holidays, calendar };
    if when == When::default() {
        section.problem("schedule", "says nothing: leave it out if the rule is always judged");
    }
    Some(when)
}

fn read_list<T>(
    section: &mut Section<'_>,
    key: &str,
    example: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let texts: Vec<String> = section.take(key).unwrap_or_default();
    let mut parts = Vec::new();
    for text in texts {
        match parse(&text) {
            Some(part) => parts.push(part),
            None => section.problem(key, format!("`{text}` is not written as in \"{example}\"")),
        }
    }
    parts
}

fn parse_hours(text: &str) -> Option<Hours> {
    let (from, until) = text.split_once(" to ")?;
    let hours = Hours { from: parse_minute(from)?, until: parse_minute(until)? };
    (hours.from != hours.until && hours.from < 24 * 60).then_some(hours)
}

/// Minutes after midnight; 24:00 is the end of the day.
fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let minutes = u16::from(hour) * 60 + u16::from(minute);
    (minute < 60 && minutes <= 24 * 60).then_some(minutes)
}

/// One weekday, or from one to another, also over Sunday.
fn parse_weekdays(text: &str) -> Option<Vec<u8>> {
    let number = |name: &str| {
        let place = WEEKDAYS.iter().position(|day| *day == name.trim())?;
        u8::try_from(place + 1).ok()
    };
    let Some((from, until)) = text.split_once(" to ") else { return Some(vec![number(text)?]) };
    let (from, until) = (number(from)?, number(until)?);
    let last = if until < from { until + 7 } else { until };
    Some((from..=last).map(|day| (day - 1) % 7 + 1).collect())
}

fn parse_season(text: &str) -> Option<Season> {
    let (from, until) = text.split_once(" to ")?;
    Some(Season { from: parse_day(from)?, until: parse_day(until)? })
}

/// Month and day, of any year: 29 February too.
fn parse_day(text: &str) -> Option<(u8, u8)> {
    let (month, day) = text.trim().split_once('-')?;
    let (month, day) = (two_digits(month)?, two_digits(day)?);
    const LEAP_YEAR: i16 = 2_000;
    (1..=days_in(LEAP_YEAR, month)?).contains(&day).then_some((month, day))
}

fn parse_date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_once('-')?;
    let is_year = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let year: i16 = year.parse().ok().filter(|_| is_year)?;
    let (month, day) = parse_day(rest)?;
    (year > 0 && day <= days_in(year, month)?).then_some((year, month, day))
}

fn two_digits(text: &str) -> Option<u8> {
    let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The table of a schedule alone, for tests.
#[cfg(test)]
fn section<'t>(text: &'t str) -> Section<'t> {
    let table = toml::de::DeTable::parse(text).unwrap().into_inner();
    Section::new(text, table, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, hours) in [
            ("21:00 to 06:00", Some((1_260, 360))),
            ("00:00 to 24:00", Some((0, 1_440))),
            ("6:00 to 21:00", None),
            ("06:00 to 06:00", None),
            ("06:60 to 07:00", None),
            ("24:00 to 06:00", None),
            ("06:00-21:00", None),
        ] {
            let found = parse_hours(text).map(|hours| (hours.from, hours.until));
            assert_eq!(found, hours, "{text}");
        }
        for (text, days) in [
            ("sunday", Some(vec![7])),
            ("monday to friday", Some(vec![1, 2, 3, 4, 5])),
            ("saturday to monday", Some(vec![6, 7, 1])),
            ("mon", None),
        ] {
            assert_eq!(parse_weekdays(text), days, "{text}");
        }
        for (text, season) in [
            ("12-01 to 05-31", Some(((12, 1), (5, 31)))),
            ("02-29 to 03-01", Some(((2, 29), (3, 1)))),
            ("02-30 to 03-01", None),
            ("13-01 to 05-31", None),
        ] {
            let found = parse_season(text).map(|season| (season.from, season.until));
            assert_eq!(found, season, "{text}");
        }
        assert_eq!(parse_date("2027-02-05"), Some((2027, 2, 5)));
        assert_eq!((parse_date("2027-02-29"), parse_date("27-02-05")), (None, None));
    }

    #[test]
    fn a_schedule_that_cannot_be_meant_is_told() {
        let calendar = vec![((2027, 2, 5), (2027, 2, 11))];
        for (text, known, words) in [
            ("schedule = { hours = ['9 to 5'] }", true, "is not written as"),
            ("schedule = { holidays = 'sometimes' }", true, "\"only\" or \"never\""),
            ("schedule = { holidays = 'only' }", false, "no [[holiday]]"),
            ("schedule = {}", true, "says nothing"),
            ("schedule = { months = ['05'] }", true, "no such key"),
            ("schedule = 'at night'", true, "must be a table"),
        ] {
            let mut section = section(text);
            read(&mut section, &if known { calendar.clone() } else { Vec::new() });
            let problems = section.finish();
            assert!(problems.iter().any(|p| p.message.contains(words)), "{text}: {problems:?}");
        }
        let mut good = section("schedule = { holidays = 'never', weekdays = ['sunday'] }");
        let when = read(&mut good, &calendar).unwrap();
        assert_eq!((when.holidays, when.weekdays), (Some(false), vec![7]));
        assert_eq!((when.calendar, good.finish()), (calendar, vec![]));
    }
}
