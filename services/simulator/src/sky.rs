//! Pure: the sky. Showers and their accumulations, temperature, humidity, wind, particulates.

use std::f64::consts::TAU;

use sen_model::time::{HOUR_MS, MINUTE_MS};

use crate::calendar::Calendar;
use crate::noise::{exponential, jitter, unit, wander};
use crate::scenario::Push;
use crate::site::Site;
use crate::vn_aqi::{self, NOWCAST_HOURS};

/// Each square of the sky has at most one shower in each slot of this length.
const SLOT_MS: i64 = 3 * HOUR_MS;
/// Mean and most rain of one shower, in millimetres.
const SHOWER_MEAN_MM: f64 = 7.0;
const SHOWER_MOST_MM: f64 = 38.0;

/// One shower: when, how long and how much.
struct Shower {
    start_ms: i64,
    length_ms: f64,
    total_mm: f64,
}

fn shower(site: &Site, slot: i64) -> Option<Shower> {
    let calendar = Calendar::at(slot * SLOT_MS);
    let wet = calendar.season(0.63, 0.40);
    let afternoon = calendar.time_of_day(14.5, 4.5);
    let chance = 0.01 + wet * (0.05 + 0.22 * afternoon);
    if unit(site.sky_seed, slot) >= chance {
        return None;
    }
    let start_ms = slot * SLOT_MS + (unit(site.sky_seed ^ 1, slot) * SLOT_MS as f64) as i64;
    let length_ms = (20.0 + 70.0 * unit(site.sky_seed ^ 2, slot)) * MINUTE_MS as f64;
    let total_mm = exponential(site.sky_seed ^ 3, slot, SHOWER_MEAN_MM).min(SHOWER_MOST_MM);
    Some(Shower { start_ms, length_ms, total_mm })
}

impl Shower {
    /// Rain from its start to `at_ms`: it swells and fades as a squared sine.
    fn until_mm(&self, at_ms: i64) -> f64 {
        let part = ((at_ms - self.start_ms) as f64 / self.length_ms).clamp(0.0, 1.0);
        self.total_mm * (part - (TAU * part).sin() / TAU)
    }
}

/// Rain in the `hours` before `at_ms`, in millimetres. All lengths add up the same showers, so
/// 1 hour never has more than 12, nor 12 than 24.
pub(crate) fn rain_mm(site: &Site, at_ms: i64, hours: i64, push: f64) -> f64 {
    let from_ms = at_ms - hours * HOUR_MS;
    // A shower may begin at the end of its slot and last into the next one.
    let slots = (from_ms.div_euclid(SLOT_MS) - 1)..=at_ms.div_euclid(SLOT_MS);
    let fallen = slots.filter_map(|slot| shower(site, slot));
    let fallen: f64 = fallen.map(|s| s.until_mm(at_ms) - s.until_mm(from_ms)).sum();
    let here = 0.7 + 0.3 * unit(site.seed, -3);
    // The crest of a drill: mưa rất to both in 12 and in 24 hours.
    let burst = match hours {
        1 => 45.0,
        12 => 75.0,
        _ => 115.0,
    };
    fallen * here + burst * push
}

/// Air temperature in degrees Celsius.
pub(crate) fn temperature_c(site: &Site, at_ms: i64) -> f64 {
    let calendar = Calendar::at(at_ms);
    let season = 1.3 * calendar.season(0.30, 0.25) - 1.3 * calendar.season(0.98, 0.20);
    let daily = 3.6 * (TAU * (calendar.hour - 14.0) / 24.0).cos();
    let weather = 0.9 * wander(site.province_seed ^ 5, at_ms, 50 * HOUR_MS);
    let cooled = 2.5 * (rain_mm(site, at_ms, 1, 0.0) / 8.0).min(1.0);
    let here = 0.6 * (unit(site.seed, -4) - 0.5);
    27.4 + season + daily + weather + here - cooled + 0.05 * jitter(site.seed, at_ms)
}

/// Relative humidity in percent: falls as the air warms, rises with rain.
pub(crate) fn humidity_pct(site: &Site, at_ms: i64) -> f64 {
    let wet = 6.0 * Calendar::at(at_ms).season(0.63, 0.40);
    let rain = 8.0 * (rain_mm(site, at_ms, 1, 0.0) / 5.0).min(1.0);
    let dry_out = 4.0 * (temperature_c(site, at_ms) - 27.4);
    (78.0 + wet + rain - dry_out + 0.4 * jitter(site.seed ^ 6, at_ms)).clamp(30.0, 100.0)
}

/// Wind in metres a second: a sea breeze in the afternoon, gusts with rain.
pub(crate) fn wind_m_s(site: &Site, at_ms: i64) -> f64 {
    let breeze = 1.9 * Calendar::at(at_ms).time_of_day(15.0, 8.0);
    let gusts = 3.0 * (rain_mm(site, at_ms, 1, 0.0) / 10.0).min(1.0);
    let changing = 0.8 * wander(site.seed ^ 7, at_ms, 40 * MINUTE_MS);
    (1.7 + breeze + gusts + changing + 0.3 * jitter(site.seed ^ 7, at_ms)).max(0.0)
}

/// PM2.5 at the height of the smog drill, in micrograms a cubic metre: VN_AQI about 240.
const SMOG_UG_M3: f64 = 190.0;

/// PM2.5 without the sensor's jitter: more in the dry season, mornings and evenings; rain washes
/// it out.
fn pm25_calm(site: &Site, at_ms: i64, push: Push) -> f64 {
    let calendar = Calendar::at(at_ms);
    let season = 12.0 + 11.0 * calendar.season(0.06, 0.30);
    let rush = 0.22 * calendar.time_of_day(7.0, 3.5) + 0.28 * calendar.time_of_day(20.0, 4.5);
    let weather = 1.0 + 0.22 * wander(site.province_seed ^ 8, at_ms, 60 * HOUR_MS);
    let washed = (-rain_mm(site, at_ms, 12, 0.0) / 30.0).exp();
    let here = 0.85 + 0.2 * site.size;
    let ordinary = season * (1.0 + rush) * weather * washed * here;
    ordinary + (SMOG_UG_M3 * (0.8 + 0.2 * site.size) - ordinary) * push.smog
}

fn pm10_calm(site: &Site, at_ms: i64, push: Push) -> f64 {
    1.45 * pm25_calm(site, at_ms, push) + 8.0
}

/// PM2.5 in micrograms a cubic metre.
pub(crate) fn pm25_ug_m3(site: &Site, at_ms: i64, push: Push) -> f64 {
    pm25_calm(site, at_ms, push) * (1.0 + 0.03 * jitter(site.seed ^ 9, at_ms))
}

/// PM10 in micrograms a cubic metre.
pub(crate) fn pm10_ug_m3(site: &Site, at_ms: i64, push: Push) -> f64 {
    pm10_calm(site, at_ms, push) * (1.0 + 0.03 * jitter(site.seed ^ 10, at_ms))
}

/// The hourly VN_AQI: NowCast of the last twelve hours, the worse of PM2.5 and PM10.
///
/// A drill pushes all twelve hours alike, as if it had lasted so long: otherwise the index would
/// answer to a smog of five minutes tomorrow.
pub(crate) fn vn_aqi(site: &Site, at_ms: i64, push: Push) -> Option<f64> {
    let hours = |concentration: fn(&Site, i64, Push) -> f64| -> [Option<f64>; NOWCAST_HOURS] {
        std::array::from_fn(|hour| {
            let middle_ms = at_ms - hour as i64 * HOUR_MS - HOUR_MS / 2;
            Some(concentration(site, middle_ms, push))
        })
    };
    let pm25 = vn_aqi::PM25.index(vn_aqi::nowcast(&hours(pm25_calm))?);
    let pm10 = vn_aqi::PM10.index(vn_aqi::nowcast(&hours(pm10_calm))?);
    Some(pm25.max(pm10))
}
