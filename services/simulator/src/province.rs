//! Pure: the province as a function. What any metric of any device shows at any moment, from the
//! seed, the scenario and the time; no state, so that every moment can be asked for alone.

use std::ops::Range;

use sen_model::{Device, Metric, MetricSpec};

use crate::config::Config;
use crate::happening::{self, Happening};
use crate::noise::wander;
use crate::scenario::{self, Push, Scenario};
use crate::site::Site;
use crate::{office, river, sky, street};

/// What sets one simulated province apart from another.
#[derive(Clone, Debug)]
pub(crate) struct Province {
    /// Chance: the same seed gives the same province.
    pub seed: u64,
    /// How many times faster than the clock tides, days and seasons go by; 1 is life.
    pub speed: f64,
    /// The drill, if any; its timeline goes by the clock, whatever the speed.
    pub scenario: Option<Scenario>,
    /// Whether the small drama of the demonstration takes place.
    pub demo: bool,
    /// Happenings an hour that a camera or a reporting office sends, on average.
    pub events_per_hour: f64,
    /// When the province was started, in milliseconds since the Unix epoch.
    pub start_ms: i64,
}

impl Province {
    /// The province of a configuration, started at a time.
    pub(crate) fn new(config: &Config, start_ms: i64) -> Self {
        let Config { seed, speed, scenario, demo, events_per_hour, .. } = *config;
        Self { seed, speed, scenario, demo, events_per_hour, start_ms }
    }

    /// The moment in the province's life when the clock says `now_ms`.
    pub(crate) fn world_ms(&self, now_ms: i64) -> i64 {
        self.start_ms + ((now_ms - self.start_ms) as f64 * self.speed) as i64
    }

    /// The clock's time of a moment in the province's life.
    pub(crate) fn clock_ms(&self, world_ms: i64) -> i64 {
        self.start_ms + ((world_ms - self.start_ms) as f64 / self.speed) as i64
    }

    /// How the drill and the drama push a device.
    pub(crate) fn push(&self, device: &Device, site: &Site, now_ms: i64) -> Push {
        let elapsed_s = (now_ms - self.start_ms) as f64 / 1_000.0;
        scenario::push(self.scenario, self.demo, device, site, elapsed_s)
    }

    /// What every metric of `device` shows when the clock says `now_ms`.
    pub(crate) fn values(&self, device: &Device, site: &Site, now_ms: i64) -> Vec<(Metric, f64)> {
        let (at_ms, push) = (self.world_ms(now_ms), self.push(device, site, now_ms));
        let shown = device.metrics.iter().filter_map(|spec| {
            let (value, digits) = match spec.metric.as_str() {
                "reports_today" => (self.reports_today(device, site, at_ms), 0),
                _ => value(site, spec, at_ms, push)?,
            };
            Some((spec.metric.clone(), rounded(value, digits)))
        });
        shown.collect()
    }

    /// What `device` reports in a span of the clock.
    pub(crate) fn happenings(
        &self,
        device: &Device,
        site: &Site,
        span_ms: Range<i64>,
    ) -> Vec<Happening> {
        let span_ms = self.world_ms(span_ms.start)..self.world_ms(span_ms.end);
        happening::between(device, site, span_ms, self.events_per_hour)
    }

    fn reports_today(&self, device: &Device, site: &Site, at_ms: i64) -> f64 {
        happening::count_today(device, site, at_ms, self.events_per_hour) as f64
    }
}

/// The value of one metric and how many digits its sensor shows; none where it is unknown here and
/// has no plausible range to wander in.
fn value(site: &Site, spec: &MetricSpec, at_ms: i64, push: Push) -> Option<(f64, i32)> {
    Some(match spec.metric.as_str() {
        "water_level_m" => (river::level_m(site, at_ms, push.flood), 3),
        "salinity_g_l" => (river::salinity_g_l(site, at_ms, push.salt), 2),
        "gate_open_pct" => (river::gate_open_pct(site, at_ms, push.salt), 0),
        "ph" => (river::ph(site, at_ms), 2),
        "do_mg_l" => (river::oxygen_mg_l(site, at_ms), 2),
        "cod_mg_l" => (river::cod_mg_l(site, at_ms), 1),
        "tss_mg_l" => (river::solids_mg_l(site, at_ms), 1),
        "rain_1h_mm" => (sky::rain_mm(site, at_ms, 1, push.rain), 1),
        "rain_12h_mm" => (sky::rain_mm(site, at_ms, 12, push.rain), 1),
        "rain_24h_mm" => (sky::rain_mm(site, at_ms, 24, push.rain), 1),
        "air_temperature_c" => (sky::temperature_c(site, at_ms), 1),
        "humidity_pct" => (sky::humidity_pct(site, at_ms), 0),
        "wind_m_s" => (sky::wind_m_s(site, at_ms), 1),
        "pm25_ug_m3" => (sky::pm25_ug_m3(site, at_ms, push), 1),
        "pm10_ug_m3" => (sky::pm10_ug_m3(site, at_ms, push), 1),
        "vn_aqi" => (sky::vn_aqi(site, at_ms, push)?, 0),
        "vehicles_per_h" => (street::vehicles_per_h(site, at_ms, push.jam), 0),
        "mean_speed_km_h" => (street::mean_speed_km_h(site, at_ms, push.jam), 1),
        "people_count" => (street::people_count(site, at_ms), 0),
        "power_kw" => (street::lamps_kw(site, at_ms), 1),
        "lamps_on" => (street::lamps_on(site, at_ms), 0),
        "lamps_faulty" => (street::lamps_faulty(site, at_ms), 0),
        "power_mw" => (street::load_mw(site, at_ms), 2),
        "waiting" => (office::waiting(site, at_ms), 0),
        "served_today" => (office::served_today(site, at_ms), 0),
        "late_files" => (office::late_files(site, at_ms), 0),
        "border_trucks_per_h" => (office::border_trucks_per_h(site, at_ms), 0),
        "tourists_per_h" => (office::tourists_per_h(site, at_ms), 0),
        "rice_price_vnd_kg" => (office::rice_price_vnd_kg(site, at_ms), -1),
        "heartbeat" => (1.0, 0),
        _ => (wander_in_range(site, spec, at_ms)?, 3),
    })
}

/// A metric nobody described here keeps to the middle fifth of its plausible range.
fn wander_in_range(site: &Site, spec: &MetricSpec, at_ms: i64) -> Option<f64> {
    let (min, max) = (spec.min?, spec.max?);
    let seed = crate::noise::seed_for(site.seed, spec.metric.as_str());
    Some((min + max) / 2.0 + (max - min) / 10.0 * wander(seed, at_ms, 600_000))
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    // Adding zero turns -0 into 0.
    (value * scale).round() / scale + 0.0
}

#[cfg(test)]
mod tests;
