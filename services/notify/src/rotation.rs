//! A layer of a team: its members take turns, handing over at fixed times. Pure: time is an input.

use std::ops::Range;

use sen_model::Timestamp;
use sen_model::condition::Hours;
use sen_model::time::{DAY_MS, MINUTE_MS, VIETNAM_OFFSET_MS};

/// The first Monday before the epoch's Thursday, in days.
const MONDAY_BEFORE_EPOCH: i64 = 3;

/// The times at which one hands over to the next, by the day or by the week in Vietnam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandOvers {
    is_weekly: bool,
    /// Milliseconds after midnight, or after Monday's midnight; in order, at least one.
    offsets: Vec<i64>,
}

impl HandOvers {
    /// Reads `07:00` (each day) and `monday 07:30` (each week); not both in one list.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, String> {
        let parsed: Vec<_> = texts.iter().map(|text| parse_one(text)).collect::<Result<_, _>>()?;
        let is_weekly = parsed.iter().any(|(day, _)| day.is_some());
        if parsed.is_empty() || parsed.iter().any(|(day, _)| day.is_some() != is_weekly) {
            let advice = "name at least one, each with a weekday or each without: \"monday 07:30\", \
                          or \"07:00\" for every day";
            return Err(advice.to_owned());
        }
        let offset =
            |(day, minute): (Option<i64>, i64)| day.unwrap_or(0) * DAY_MS + minute * MINUTE_MS;
        let mut offsets: Vec<i64> = parsed.into_iter().map(offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        Ok(Self { is_weekly, offsets })
    }

    fn period_ms(&self) -> i64 {
        if self.is_weekly { 7 * DAY_MS } else { DAY_MS }
    }

    /// Milliseconds since a beginning of a period long ago.
    fn local(&self, at: Timestamp) -> i64 {
        let days = if self.is_weekly { MONDAY_BEFORE_EPOCH } else { 0 };
        at.as_millis() + VIETNAM_OFFSET_MS + days * DAY_MS
    }

    /// How many hand-overs there have been by `at`, counted from long ago.
    fn count(&self, at: Timestamp) -> i64 {
        let local = self.local(at);
        let (cycle, within) =
            (local.div_euclid(self.period_ms()), local.rem_euclid(self.period_ms()));
        let passed = self.offsets.partition_point(|offset| *offset <= within);
        cycle * self.offsets.len() as i64 + passed as i64
    }

    /// Every hand-over within a stretch of time, in order.
    fn within(&self, stretch: &Range<Timestamp>) -> Vec<Timestamp> {
        let cycle_of = |at| self.local(at).div_euclid(self.period_ms());
        let shift = self.local(Timestamp::default());
        (cycle_of(stretch.start)..=cycle_of(stretch.end))
            .flat_map(|cycle| {
                let begin = cycle * self.period_ms() - shift;
                self.offsets.iter().map(move |offset| Timestamp::from_millis(begin + offset))
            })
            .filter(|at| stretch.contains(at))
            .collect()
    }
}

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn parse_one(text: &str) -> Result<(Option<i64>, i64), String> {
    let wrong = || format!("`{text}` is no hand-over: write \"07:00\" or \"monday 07:30\"");
    match text.split_once(' ') {
        None => Ok((None, minute_of_day(text).ok_or_else(wrong)?)),
        Some((day, time)) => {
            let day = WEEKDAYS.iter().position(|name| *name == day).ok_or_else(wrong)?;
            Ok((Some(day as i64), minute_of_day(time).ok_or_else(wrong)?))
        }
    }
}

/// Minutes after midnight of `07:30`.
pub(crate) fn minute_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| digits && *number < most)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// The part of the day of `07:30-17:00`.
pub(crate) fn hours(text: &str) -> Option<Hours> {
    let (from, until) = text.split_once('-')?;
    let minute = |text: &str| u16::try_from(minute_of_day(text.trim())?).ok();
    Some(Hours { from: minute(from)?, until: minute(until)? }).filter(|h| h.from != h.until)
}

/// Whether a moment lies in a part of the day in Vietnam; the part may run over midnight.
pub(crate) fn is_within(hours: Hours, at: Timestamp) -> bool {
    let minute = (at.as_millis() + VIETNAM_OFFSET_MS).rem_euclid(DAY_MS) / MINUTE_MS;
    hours.contains(minute)
}

/// The next moment after `at` at which it is `minute` after midnight in Vietnam.
pub(crate) fn next_time(minute: u16, at: Timestamp) -> Timestamp {
    let local = at.as_millis() + VIETNAM_OFFSET_MS;
    let midnight = local - local.rem_euclid(DAY_MS) - VIETNAM_OFFSET_MS;
    let today = Timestamp::from_millis(midnight + i64::from(minute) * MINUTE_MS);
    if today > at { today } else { today.plus_ms(DAY_MS) }
}

/// Members who take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The ids of people, in their order; at least one.
    pub(crate) members: Vec<String>,
    /// Midnight of the day whose first hand-over is the first member's.
    pub(crate) start: Timestamp,
    /// When they hand over.
    pub(crate) hand_overs: HandOvers,
    /// The part of the day in which the layer serves; none = all day.
    pub(crate) hours: Option<Hours>,
}

impl Layer {
    /// The members at `at`, the one whose turn it is first; none outside the layer's hours.
    pub(crate) fn line_up(&self, at: Timestamp) -> impl Iterator<Item = &str> {
        let serves = self.hours.is_none_or(|hours| is_within(hours, at));
        let length = self.members.len();
        // The first hand-over at or after the start is the first member's.
        let first = self.hand_overs.count(self.start.plus_ms(-1)) + 1;
        let turn = (self.hand_overs.count(at) - first).rem_euclid(length.max(1) as i64) as usize;
        let members = self.members.iter().cycle().skip(turn).take(length);
        members.map(String::as_str).filter(move |_| serves)
    }

    /// Every moment within a stretch at which somebody else may be first.
    pub(crate) fn edges(&self, stretch: &Range<Timestamp>) -> Vec<Timestamp> {
        let mut edges = self.hand_overs.within(stretch);
        if let Some(hours) = self.hours {
            for minute in [hours.from, hours.until] {
                let mut at = next_time(minute, stretch.start.plus_ms(-1));
                while at < stretch.end {
                    edges.push(at);
                    at = at.plus_ms(DAY_MS);
                }
            }
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(hand_overs: &[&str]) -> Layer {
        let texts: Vec<String> = hand_overs.iter().map(|&text| text.to_owned()).collect();
        Layer {
            members: ["an", "binh", "chi"].map(str::to_owned).to_vec(),
            start: time("2026-11-02T00:00:00+07:00"),
            hand_overs: HandOvers::parse(&texts).unwrap(),
            hours: None,
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn members_hand_over_by_the_week_the_day_and_the_shift() {
        let cases: [(&[&str], &str, &str); 12] = [
            (&["monday 07:30"], "2026-11-02T07:29:59+07:00", "chi"),
            (&["monday 07:30"], "2026-11-02T07:30:00+07:00", "an"),
            (&["monday 07:30"], "2026-11-09T07:29:59+07:00", "an"),
            (&["monday 07:30"], "2026-11-09T07:30:00+07:00", "binh"),
            (&["monday 07:30"], "2026-11-23T07:30:00+07:00", "an"),
            (&["sunday 18:00"], "2026-11-08T18:00:00+07:00", "an"),
            (&["07:00"], "2026-11-02T07:00:00+07:00", "an"),
            (&["07:00"], "2026-11-03T06:59:59+07:00", "an"),
            (&["07:00"], "2026-11-03T00:00:00Z", "binh"),
            (&["07:00", "15:00", "23:00"], "2026-11-02T16:00:00+07:00", "binh"),
            (&["23:00", "07:00", "15:00"], "2026-11-03T01:00:00+07:00", "chi"),
            (&["07:00", "15:00", "23:00"], "2026-11-03T07:00:00+07:00", "an"),
        ];
        for (hand_overs, at, expected) in cases {
            let layer = layer(hand_overs);
            assert_eq!(layer.line_up(time(at)).next(), Some(expected), "{hand_overs:?} at {at}");
        }
    }

    #[test]
    fn a_layer_serves_in_its_hours_also_over_midnight() {
        let night = Layer { hours: hours("17:00-07:30"), ..layer(&["07:30"]) };
        for (at, serves) in [("16:59", false), ("17:00", true), ("00:00", true), ("07:30", false)] {
            let at = time(&format!("2026-11-05T{at}:00+07:00"));
            assert_eq!(night.line_up(at).count(), if serves { 3 } else { 0 }, "{at}");
        }
        let day = time("2026-11-05T00:00:00+07:00")..time("2026-11-06T00:00:00+07:00");
        let mut edges = night.edges(&day);
        edges.sort();
        edges.dedup();
        assert_eq!(edges, ["07:30", "17:00"].map(|at| time(&format!("2026-11-05T{at}:00+07:00"))));
    }

    #[test]
    fn nonsense_is_refused() {
        for texts in [&["7:00"][..], &["funday 07:00"], &["24:00"], &["07:00", "monday 07:00"], &[]]
        {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            assert!(HandOvers::parse(&texts).is_err(), "{texts:?}");
        }
        assert!(hours("07:00-07:00").is_none() && hours("07:00").is_none());
    }
}
