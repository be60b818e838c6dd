//! Which days are due. Pure: times in, days out.
//!
//! A file holds one calendar day of Vietnam. It is made at the hour of the export on the day after,
//! but not before the last readings of the day had time to arrive, and looked at again at that hour of the following `late_days` days, since readings may come
//! late. Whatever was missed is made up for, as far back as files are kept.

use std::collections::BTreeMap;
use std::fmt;

use sen_model::Timestamp;
use sen_model::time::{DAY_MS, MINUTE_MS, VIETNAM_OFFSET_MS};

/// How long after its end a day is left alone, in minutes: until its last readings are stored.
pub const SETTLED_MIN: i64 = 10;

/// A calendar day of Vietnam, counted from 1 January 1970; printed as `2026-11-23`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The day of a time.
    pub fn of(time: Timestamp) -> Self {
        Self(time.plus_ms(VIETNAM_OFFSET_MS).as_millis().div_euclid(DAY_MS))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(DAY_MS)).plus_ms(-VIETNAM_OFFSET_MS)
    }

    /// The first instant after it.
    pub fn end(self) -> Timestamp {
        Self(self.0.saturating_add(1)).start()
    }

    /// The day of a date such as `2026-11-23`.
    pub fn parse(date: &str) -> Option<Self> {
        let day = Self::of(format!("{date}T00:00:00+07:00").parse().ok()?);
        // Not `2026-11-23T00:00:00+07:00x`, whatever the parser thinks of it.
        (day.to_string() == date).then_some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start().to_string();
        f.write_str(start.split('T').next().unwrap_or(&start))
    }
}

/// When files of an export are made and how long they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The hour, in minutes after midnight in Vietnam; at [`SETTLED_MIN`] if it is earlier.
    pub at_min: i64,
    /// On how many further days a file is looked at again.
    pub late_days: i64,
    /// Files that are kept.
    pub keep: i64,
}

impl Schedule {
    /// The hour on a day.
    fn hour_of(&self, day: Day) -> Timestamp {
        day.start().plus_ms(self.at_min.max(SETTLED_MIN) * MINUTE_MS)
    }

    /// The last hour of the export up to now.
    pub fn latest(&self, now: Timestamp) -> Timestamp {
        let today = Day::of(now);
        let hour = self.hour_of(today);
        if hour <= now { hour } else { self.hour_of(Day(today.0 - 1)) }
    }

    /// The days whose file is to be made or looked at again, the oldest first. `looked` tells when
    /// the file of each day that has one was last looked at; without any, history begins yesterday.
    pub fn due(&self, looked: &BTreeMap<Day, Timestamp>, now: Timestamp) -> Vec<Day> {
        let newest = Day(Day::of(self.latest(now)).0 - 1);
        let first = looked.keys().next().map_or(newest.0, |first| first.0);
        let oldest = first.max(newest.0 - self.keep + 1);
        let is_due = |day: &Day| match looked.get(day) {
            None => true,
            Some(looked) => {
                let last = self.hour_of(Day(day.0 + 1 + self.late_days));
                *looked < self.latest(now).min(last)
            }
        };
        (oldest..=newest.0).map(Day).filter(is_due).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO: Schedule = Schedule { at_min: 120, late_days: 2, keep: 5 };

    fn time(text: &str) -> Timestamp {
        format!("{text}+07:00").parse().unwrap()
    }

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    fn dates(days: &[Day]) -> Vec<String> {
        days.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_day_is_that_of_vietnam() {
        assert_eq!(Day::of("2026-11-22T17:00:00Z".parse().unwrap()), day("2026-11-23"));
        assert_eq!(Day::of("2026-11-22T16:59:59.999Z".parse().unwrap()), day("2026-11-22"));
        assert_eq!(day("2024-02-29").end(), day("2024-03-01").start());
        assert_eq!(day("1969-12-31").0, -1);
        for wrong in ["2026-02-29", "2026-2-1", "", "2026-11-23T00"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn yesterday_is_due_at_its_hour_and_not_before() {
        let nothing = BTreeMap::new();
        assert_eq!(dates(&TWO.due(&nothing, time("2026-11-23T01:59:59.999"))), ["2026-11-21"]);
        assert_eq!(dates(&TWO.due(&nothing, time("2026-11-23T02:00:00"))), ["2026-11-22"]);
    }

    #[test]
    fn a_day_is_left_alone_until_its_last_readings_are_stored() {
        let midnight = Schedule { at_min: 0, ..TWO };
        let looked = BTreeMap::from([(day("2026-11-21"), time("2026-11-25T00:00:00"))]);
        assert_eq!(midnight.due(&looked, time("2026-11-23T00:09:59.999")), []);
        assert_eq!(dates(&midnight.due(&looked, time("2026-11-23T00:10:00"))), ["2026-11-22"]);
    }

    #[test]
    fn missed_days_are_made_up_for_as_far_as_files_are_kept() {
        let looked = BTreeMap::from([(day("2026-11-01"), time("2026-11-04T02:00:01"))]);
        let due = TWO.due(&looked, time("2026-11-05T12:00:00"));
        assert_eq!(dates(&due), ["2026-11-02", "2026-11-03", "2026-11-04"]);
        let due = TWO.due(&looked, time("2026-11-20T12:00:00"));
        assert_eq!((due.len(), due[0]), (5, day("2026-11-15")));
    }

    #[test]
    fn a_file_is_looked_at_again_on_the_days_after_and_then_rests() {
        let mut looked = BTreeMap::new();
        let mut asked = Vec::new();
        for hour in 0..24 * 6 {
            let now = time("2026-11-22T12:00:00").plus_ms(hour * 60 * MINUTE_MS);
            for due in TWO.due(&looked, now) {
                looked.insert(due, now);
                if due == day("2026-11-22") {
                    asked.push(now);
                }
            }
        }
        let hours = ["2026-11-23T02:00:00", "2026-11-24T02:00:00", "2026-11-25T02:00:00"];
        assert_eq!(asked, hours.map(time));
    }

    proptest! {
        #[test]
        fn whatever_was_missed_everything_kept_is_there_once_it_runs(
            at_min in 0..1_440_i64, late_days in 1..5_i64, keep in 1..9_i64,
            pauses in prop::collection::vec(1..200_i64, 1..20),
        ) {
            let schedule = Schedule { at_min, late_days, keep };
            let mut looked = BTreeMap::new();
            let mut now = time("2026-11-22T12:00:00");
            let first = Day(Day::of(schedule.latest(now)).0 - 1);
            for pause in pauses {
                let due = schedule.due(&looked, now);
                prop_assert!(due.windows(2).all(|two| two[0] < two[1]));
                let settled = |day: &Day| day.end().plus_ms(SETTLED_MIN * MINUTE_MS) <= now;
                prop_assert!(due.iter().all(settled), "only days that are over and settled");
                looked.extend(due.into_iter().map(|day| (day, now)));
                prop_assert_eq!(schedule.due(&looked, now), []);
                let newest = Day::of(schedule.latest(now)).0 - 1;
                for kept in (newest - keep + 1).max(first.0)..=newest {
                    prop_assert!(looked.contains_key(&Day(kept)));
                }
                now = now.plus_ms(pause * 60 * MINUTE_MS);
            }
        }
    }
}
