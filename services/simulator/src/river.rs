//! Pure: the river. Levels, salt, sluice gates and water quality.
//!
//! The constants are fitted so that an ordinary year stays below alarm level I of every station
//! (Decision 05/2020/QĐ-TTg) and a dry season brings salt as far as the bulletins tell of.

use std::f64::consts::TAU;

use sen_model::time::{HOUR_MS, MINUTE_MS};

use crate::calendar::Calendar;
use crate::noise::{jitter, wander};
use crate::site::Site;

/// One constituent of the tide at the mouth.
struct Constituent {
    period_h: f64,
    amplitude_m: f64,
    /// Over this many kilometres upstream it falls to 1/e.
    reach_km: f64,
    phase: f64,
}

/// The principal lunar (M2), solar (S2: spring and neap) and the diurnal (K1) constituents; their
/// periods are those of the tide tables.
const TIDE: [Constituent; 3] = [
    Constituent { period_h: 12.420_6, amplitude_m: 0.70, reach_km: 120.0, phase: 0.0 },
    Constituent { period_h: 12.0, amplitude_m: 0.16, reach_km: 120.0, phase: 1.1 },
    Constituent { period_h: 23.934_5, amplitude_m: 0.38, reach_km: 160.0, phase: 2.3 },
];

/// How fast the tide travels upstream, in kilometres an hour.
const TIDE_KM_PER_H: f64 = 25.0;
/// Away from the river the tide fades over this many kilometres of canals.
const CANAL_REACH_KM: f64 = 9.0;

/// The tide at a site, in metres about its mean.
fn tide_m(site: &Site, at_ms: i64) -> f64 {
    let delay_h = site.river_km / TIDE_KM_PER_H;
    let at_h = at_ms as f64 / HOUR_MS as f64 - delay_h;
    let on_river = TIDE.iter().map(|part| {
        let amplitude = part.amplitude_m * (-site.river_km / part.reach_km).exp();
        amplitude * (TAU * at_h / part.period_h + part.phase).cos()
    });
    on_river.sum::<f64>() * (-site.inland_km / CANAL_REACH_KM).exp()
}

/// The flood of the rainy season on the Mekong: 1 in early October, 0 from December to June.
fn flood_season(at_ms: i64) -> f64 {
    Calendar::at(at_ms).season(0.76, 0.30)
}

/// Mean level of a site without tide, in metres: higher and more seasonal upstream.
fn mean_level_m(site: &Site, at_ms: i64) -> f64 {
    let upstream = (site.river_km / 212.0).min(1.0);
    let sheltered = if site.inland_km > CANAL_REACH_KM { 0.6 } else { 1.0 };
    let this_year = 1.0 + 0.08 * wander(site.province_seed, at_ms, 365 * 24 * HOUR_MS);
    let flood = 1.9 * upstream.powf(1.8) * sheltered * this_year;
    0.08 + 0.42 * upstream.powf(1.2) + flood * flood_season(at_ms)
}

/// Flood crests by kilometres from the mouth: 0.25 m above alarm level III of the stations.
const CRESTS: [(f64, f64); 6] =
    [(0.0, 1.75), (24.0, 1.85), (46.0, 1.85), (107.0, 2.05), (145.0, 2.55), (212.0, 4.75)];

fn crest_m(river_km: f64) -> f64 {
    let reach = CRESTS.windows(2).find(|ends| river_km <= ends[1].0);
    let Some([from, to]) = reach else { return CRESTS[CRESTS.len() - 1].1 };
    from.1 + (to.1 - from.1) * (river_km - from.0) / (to.0 - from.0)
}

/// Water level in metres above the national datum.
pub(crate) fn level_m(site: &Site, at_ms: i64, flood: f64) -> f64 {
    let swell = 0.012 * wander(site.seed, at_ms, 7 * MINUTE_MS) + 0.003 * jitter(site.seed, at_ms);
    let ordinary = mean_level_m(site, at_ms) + tide_m(site, at_ms);
    ordinary + (crest_m(site.river_km) - ordinary) * flood + swell
}

/// The dry season: 1 in mid-March, 0 from August to November.
fn dry_season(at_ms: i64) -> f64 {
    Calendar::at(at_ms).season(0.20, 0.32)
}

/// Salinity in grams a litre: falls exponentially upstream, rises and falls with the tide.
pub(crate) fn salinity_g_l(site: &Site, at_ms: i64, salt: f64) -> f64 {
    let dry = dry_season(at_ms);
    let this_year = 1.0 + 0.25 * wander(site.province_seed ^ 1, at_ms, 365 * 24 * HOUR_MS);
    let (at_mouth, reach_km) = (0.5 + 16.0 * dry * this_year, 16.0 + 12.0 * dry);
    let ordinary = at_mouth * (-site.river_km / reach_km).exp();
    let with_tide = ordinary * (1.0 + 0.35 * tide_m(site, at_ms).clamp(-1.0, 1.0));
    // At the crest of a drill: 9 g/L at Xuân Hòa (42 km) and 2 g/L at Phú Phong (64 km), as in
    // March 2024.
    let tongue = 9.0 * ((42.0 - site.river_km.max(20.0)) / 15.0).exp();
    let noise = 0.015 * wander(site.seed, at_ms, 3 * MINUTE_MS) + 0.01 * jitter(site.seed, at_ms);
    (with_tide + tongue * salt).min(32.0) * (1.0 + noise)
}

/// The sluices close from this salinity on: Nguyễn Tấn Thành was shut at 0.69 g/L.
const GATE_SHUTS_G_L: f64 = 0.69;
/// They stand wide open below it by this much; in between they move.
const GATE_MOVES_G_L: f64 = 0.1;

/// How far a sluice gate is open, in percent.
pub(crate) fn gate_open_pct(site: &Site, at_ms: i64, salt: f64) -> f64 {
    let outside = salinity_g_l(site, at_ms, salt);
    (100.0 * (GATE_SHUTS_G_L - outside) / GATE_MOVES_G_L).clamp(0.0, 100.0)
}

/// Acidity; QCVN 08:2023 wants 6.0 to 8.5.
pub(crate) fn ph(site: &Site, at_ms: i64) -> f64 {
    let daily = 0.12 * Calendar::at(at_ms).time_of_day(15.0, 9.0);
    7.1 + daily + 0.2 * wander(site.seed, at_ms, 30 * HOUR_MS) + 0.02 * jitter(site.seed, at_ms)
}

/// Dissolved oxygen in milligrams a litre: algae make it by day. Class B begins at 5.0.
pub(crate) fn oxygen_mg_l(site: &Site, at_ms: i64) -> f64 {
    let daily = 0.8 * Calendar::at(at_ms).time_of_day(15.0, 9.0);
    5.8 + daily + 0.3 * wander(site.seed ^ 2, at_ms, 40 * HOUR_MS) + 0.04 * jitter(site.seed, at_ms)
}

/// Chemical oxygen demand in milligrams a litre. Class B ends at 15.
pub(crate) fn cod_mg_l(site: &Site, at_ms: i64) -> f64 {
    let rises_with_size = 9.0 + 1.5 * site.size;
    rises_with_size
        + 1.8 * wander(site.seed ^ 3, at_ms, 20 * HOUR_MS)
        + 0.2 * jitter(site.seed, at_ms)
}

/// Suspended solids in milligrams a litre: silt comes with the flood. Class B ends at 100.
pub(crate) fn solids_mg_l(site: &Site, at_ms: i64) -> f64 {
    let silt = 36.0 * flood_season(at_ms);
    42.0 + silt + 9.0 * wander(site.seed ^ 4, at_ms, 16 * HOUR_MS) + jitter(site.seed, at_ms)
}
