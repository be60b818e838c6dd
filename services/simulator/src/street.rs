//! Pure: the streets. Traffic, people in view, lamps, power.

use std::f64::consts::TAU;

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

use crate::calendar::Calendar;
use crate::noise::{jitter, unit, wander};
use crate::site::Site;

/// Vehicles an hour that a road of size 1 can carry, motorcycles included.
const CAPACITY_PER_H: f64 = 2_600.0;
/// Density of a standstill drill, as a part of bumper to bumper.
const JAM_DENSITY: f64 = 0.82;

/// How dense the traffic is, from 0 (empty) to 1 (bumper to bumper).
fn density(site: &Site, at_ms: i64, jam: f64) -> f64 {
    let calendar = Calendar::at(at_ms);
    let (morning, evening) = if calendar.is_weekend() { (0.35, 0.5) } else { (0.62, 0.6) };
    let rush = (morning * calendar.time_of_day(7.2, 2.4))
        .max(evening * calendar.time_of_day(17.3, 2.8))
        .max(0.40 * calendar.time_of_day(12.0, 7.0));
    let changing = 1.0 + 0.08 * wander(site.seed, at_ms, 5 * MINUTE_MS);
    let demand = ((0.06 + rush) * changing).clamp(0.02, 0.80);
    // Greenshields: flow = capacity · 4·k·(1 − k); its root below one half is free flow.
    let free = (1.0 - (1.0 - demand).sqrt()) / 2.0;
    free + (JAM_DENSITY - free) * jam
}

/// Vehicles an hour, over the whole road.
pub(crate) fn vehicles_per_h(site: &Site, at_ms: i64, jam: f64) -> f64 {
    let density = density(site, at_ms, jam);
    let counted = 1.0 + 0.02 * jitter(site.seed ^ 1, at_ms);
    CAPACITY_PER_H * site.size * 4.0 * density * (1.0 - density) * counted
}

/// Mean speed in kilometres an hour: falls in proportion to density (Greenshields 1935).
pub(crate) fn mean_speed_km_h(site: &Site, at_ms: i64, jam: f64) -> f64 {
    let free_flow = 46.0 + 12.0 * unit(site.seed, -5);
    let measured = 1.0 + 0.02 * jitter(site.seed ^ 2, at_ms);
    free_flow * (1.0 - density(site, at_ms, jam)) * measured
}

/// People in a camera's view: markets fill in the morning, parks in the evening.
pub(crate) fn people_count(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    let busy = if calendar.is_weekend() { 1.3 } else { 1.0 };
    let day = (0.9 * calendar.time_of_day(6.8, 3.0))
        .max(0.8 * calendar.time_of_day(17.8, 3.5))
        .max(0.45 * calendar.time_of_day(12.0, 8.0));
    let flow = 1.0 + 0.2 * wander(site.seed, at_ms, 3 * MINUTE_MS);
    (80.0 * site.size * busy * (0.03 + day) * flow).max(0.0)
}

/// Half the length of the day in hours at 10.4 degrees north: longest on 21 June.
fn half_day_h(calendar: Calendar) -> f64 {
    6.0 + 0.33 * (TAU * (calendar.year - 0.47)).cos()
}

/// Local noon at 106 degrees east, in hours of Vietnam's clock.
const NOON_H: f64 = 11.93;

/// The part of the lamps that is switched on: they go on and off in groups over a quarter of an
/// hour around dusk and dawn.
fn switched_on(site: &Site, calendar: Calendar) -> f64 {
    let from_noon_h = (calendar.hour - NOON_H).abs();
    let early_h = 0.1 * (unit(site.seed, -6) - 0.5);
    ((from_noon_h - half_day_h(calendar) + early_h) / 0.25).clamp(0.0, 1.0)
}

/// How many street lamps an area has.
fn lamps(site: &Site) -> f64 {
    (520.0 * site.size).round()
}

/// Lamps that do not burn; repaired and broken over days.
pub(crate) fn lamps_faulty(site: &Site, at_ms: i64) -> f64 {
    let part = 0.007 + 0.005 * wander(site.seed, at_ms, 3 * DAY_MS);
    (lamps(site) * part).round()
}

/// Lamps that burn.
pub(crate) fn lamps_on(site: &Site, at_ms: i64) -> f64 {
    let part = switched_on(site, Calendar::at(at_ms));
    ((lamps(site) - lamps_faulty(site, at_ms)) * part).round()
}

/// Power of the lamps in kilowatts: 110 W each, dimmed to 70 W from 23:00 to 05:00, and 0.4 kW for
/// the cabinets.
pub(crate) fn lamps_kw(site: &Site, at_ms: i64) -> f64 {
    let hour = Calendar::at(at_ms).hour;
    let each_kw = if (5.0..23.0).contains(&hour) { 0.11 } else { 0.07 };
    0.4 + lamps_on(site, at_ms) * each_kw * (1.0 + 0.01 * jitter(site.seed ^ 3, at_ms))
}

/// Load of an area in megawatts: late morning, afternoon, and the evening peak.
pub(crate) fn load_mw(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    let working = if calendar.is_weekend() { 0.8 } else { 1.0 };
    let day = (0.26 * working * calendar.time_of_day(10.5, 5.0))
        + (0.24 * working * calendar.time_of_day(14.8, 4.5))
        + 0.42 * calendar.time_of_day(19.0, 4.5);
    let cooling = 0.08 * calendar.season(0.31, 0.25);
    let changing = 0.02 * wander(site.seed, at_ms, HOUR_MS / 4) + 0.004 * jitter(site.seed, at_ms);
    36.0 * site.size * (0.48 + day + cooling + changing)
}
