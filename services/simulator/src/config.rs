//! The `[simulator]` section of `sen.toml`.

use sen_chassis::Problem;
use serde::Deserialize;

use crate::outbox::IN_FLIGHT_MOST;
use crate::scenario::Scenario;

/// Fastest and slowest a simulated day may go by.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;
/// Most happenings an hour for one device: one in each slot of five minutes.
const EVENTS_MOST: f64 = 12.0;
/// Most packets one connection may keep: about 30 MB of the largest ones.
const BUFFER_MOST: usize = 10_000;

/// How the simulated province lives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Chance: the same seed gives the same province.
    pub seed: u64,
    /// How many times faster than the clock tides, days and seasons go by. Devices report at
    /// their interval and with the clock's time all the same.
    pub speed: f64,
    /// The drill; absent = an ordinary day.
    #[serde(default)]
    pub scenario: Option<Scenario>,
    /// Whether a small drama (a salt tongue at one sluice, a jam on one bridge) takes place now
    /// and then, so that a newcomer sees an alert rise and clear.
    pub demo: bool,
    /// MQTT connections over which the devices speak, as behind gateways; 0 = one a device.
    pub connections: usize,
    /// Happenings an hour that a camera or a reporting office sends, on average.
    pub events_per_hour: f64,
    /// Packets one connection keeps while the broker is away.
    pub buffer_packets: usize,
    /// What goes wrong, and how often.
    pub faults: Faults,
}

/// How often devices go wrong; each a probability from 0 to 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// That a measurement is missing.
    pub gap_rate: f64,
    /// That a device is silent for a minute or two within 20 minutes, and sends later what it
    /// kept.
    pub late_rate: f64,
    /// That what a device says is said twice.
    pub duplicate_rate: f64,
    /// That a packet is rubbish.
    pub bad_rate: f64,
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut want = |good: bool, key: &str, rule: &str| {
            if !good {
                problems.push(Problem::new(format!("simulator.{key}"), rule));
            }
        };
        want(SPEEDS.contains(&self.speed), "speed", "must be from 0.01 to 10000; 1 is life");
        let events = (0.0..=EVENTS_MOST).contains(&self.events_per_hour);
        want(events, "events_per_hour", "must be from 0 to 12");
        let buffer = (2 * IN_FLIGHT_MOST..=BUFFER_MOST).contains(&self.buffer_packets);
        want(buffer, "buffer_packets", "must be from 32 to 10000");
        let Faults { gap_rate, late_rate, duplicate_rate, bad_rate } = self.faults;
        let rates = [
            ("faults.gap_rate", gap_rate),
            ("faults.late_rate", late_rate),
            ("faults.duplicate_rate", duplicate_rate),
            ("faults.bad_rate", bad_rate),
        ];
        for (key, rate) in rates {
            want((0.0..=1.0).contains(&rate), key, "is a probability: from 0 to 1");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> toml::Table {
        let defaults: toml::Table = include_str!("../../../config/sen.toml").parse().unwrap();
        defaults["simulator"].as_table().unwrap().clone()
    }

    #[test]
    fn the_shipped_section_is_whole_and_right() {
        let config: Config = shipped().try_into().unwrap();
        assert_eq!(config.check(), []);
        assert_eq!(config.scenario, None);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let mut table = shipped();
        table.insert("speed".into(), f64::NAN.into());
        table.insert("buffer_packets".into(), 3.into());
        table["faults"].as_table_mut().unwrap().insert("gap_rate".into(), 1.5.into());
        table.insert("scenario".into(), "storm-of-alarms".into());
        let config: Config = table.try_into().unwrap();
        let keys: Vec<String> = config.check().into_iter().map(|problem| problem.key).collect();
        let expected = ["speed", "buffer_packets", "faults.gap_rate"];
        assert_eq!(keys, expected.map(|key| format!("simulator.{key}")));
        assert_eq!(config.scenario, Some(Scenario::StormOfAlarms));
    }
}
