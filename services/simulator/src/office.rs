//! Pure: the offices and the economy. Queues at the one-stop offices, trucks, visitors, prices.

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

use crate::calendar::Calendar;
use crate::noise::{unit, wander};
use crate::site::Site;

/// Office hours: 7:00 to 11:30 and 13:00 to 17:00, Monday to Friday.
const OPEN: [(f64, f64); 2] = [(7.0, 11.5), (13.0, 17.0)];

/// How much of today's work is done: 0 in the morning, 1 in the evening.
fn work_done(calendar: Calendar) -> f64 {
    let (mut done_h, mut all_h) = (0.0, 0.0);
    for (from, to) in OPEN {
        done_h += (calendar.hour.min(to) - from).max(0.0);
        all_h += to - from;
    }
    done_h / all_h
}

fn is_open(calendar: Calendar) -> bool {
    let within = OPEN.iter().any(|(from, to)| (*from..*to).contains(&calendar.hour));
    within && !calendar.is_weekend()
}

/// People waiting at the counters: most at the start of each half of the day.
pub(crate) fn waiting(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    if !is_open(calendar) {
        return 0.0;
    }
    let rush = 0.4 + 0.6 * calendar.time_of_day(8.2, 2.5).max(calendar.time_of_day(13.8, 2.0));
    let flow = 1.0 + 0.5 * wander(site.seed, at_ms, 8 * MINUTE_MS);
    (9.0 * site.size * rush * flow).round()
}

/// People served since this morning; never falls within a day.
pub(crate) fn served_today(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    if calendar.is_weekend() {
        return 0.0;
    }
    let all_day = 70.0 * site.size * (0.75 + 0.5 * unit(site.seed, calendar.day));
    (all_day * work_done(calendar)).floor()
}

/// Files past their date of return; changes from day to day.
pub(crate) fn late_files(site: &Site, at_ms: i64) -> f64 {
    (1.6 * site.size * (1.0 + wander(site.seed ^ 1, at_ms, 2 * DAY_MS))).round()
}

/// Trucks an hour through a border gate that opens from 6:00 to 18:00.
pub(crate) fn border_trucks_per_h(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    let open = calendar.time_of_day(9.5, 4.0).max(0.8 * calendar.time_of_day(14.5, 4.0));
    let flow = 1.0 + 0.3 * wander(site.seed, at_ms, 20 * MINUTE_MS);
    (28.0 * site.size * open * flow).round()
}

/// Visitors an hour: daytime, and twice as many at weekends.
pub(crate) fn tourists_per_h(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    let weekend = if calendar.is_weekend() { 2.0 } else { 1.0 };
    let day = calendar.time_of_day(9.5, 3.5).max(calendar.time_of_day(15.5, 3.5));
    let flow = 1.0 + 0.25 * wander(site.seed, at_ms, 15 * MINUTE_MS);
    (110.0 * site.size * weekend * day * flow).round()
}

/// Paddy price in đồng a kilogram: one market for the province, a little apart in each place.
pub(crate) fn rice_price_vnd_kg(site: &Site, at_ms: i64) -> f64 {
    let market = 450.0 * wander(site.province_seed ^ 2, at_ms, 20 * DAY_MS);
    let here = 60.0 * wander(site.seed, at_ms, 6 * HOUR_MS);
    6_700.0 + market + here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_on_in_office_hours_only() {
        let at = |hour| Calendar { day: 20_780, hour, year: 0.9 };
        let cases = [(6.0, 0.0), (7.0, 0.0), (11.5, 4.5 / 8.5), (12.5, 4.5 / 8.5), (18.0, 1.0)];
        for (hour, done) in cases {
            assert_eq!(work_done(at(hour)), done, "{hour}");
        }
        let monday = at(8.0);
        assert!(!monday.is_weekend() && is_open(monday));
        assert!(!is_open(at(12.0)) && !is_open(at(17.0)));
    }
}
