//! A day of the simulated province as packets, with a flood, salt water, a power cut and a storm
//! of alarms in it: some dozens of devices at the intervals at which they report.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use sen_model::time::HOUR_MS;
use sen_model::{Quality, Reading, ReadingBatch, Registry};
use sen_simulator::{Config, Heard, Road, Scenario, record};

use crate::judging::{shipped, shipped_registry};

/// 23 November 2026, midnight in Vietnam.
pub const BEGIN_MS: i64 = 1_795_366_800_000;

/// What happens, and how many hours after the beginning it begins.
const STORY: [(i64, Option<Scenario>); 5] = [
    (0, None),
    (5, Some(Scenario::Flood)),
    (10, Some(Scenario::Salinity)),
    (15, Some(Scenario::Outage)),
    (20, Some(Scenario::StormOfAlarms)),
];
/// When the day is over.
const END_H: i64 = 24;
/// Devices of each other kind, at most.
const OF_A_KIND: usize = 3;
/// The gauges on the river for which the state has set alarm levels.
const GAUGES: [&str; 3] = ["stn-tan-chau", "stn-cao-lanh", "stn-my-tho"];
/// Kinds that shipped rules with a limit are about.
const KINDS: [&str; 8] =
    ["river", "salinity", "gate", "traffic", "air", "rain", "weather", "water"];

/// What the centre hears in a day.
pub struct Day {
    /// Every device, also those that say nothing this day.
    pub registry: Arc<Registry>,
    /// In the order in which they are heard.
    pub packets: Vec<ReadingBatch>,
}

/// The day; it is the same for everybody.
pub static DAY: LazyLock<Day> = LazyLock::new(|| {
    let registry = shipped_registry();
    let mut chosen: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for device in registry.devices().filter(|device| KINDS.contains(&device.kind.as_str())) {
        let of_kind = chosen.entry(&device.kind).or_default();
        let is_gauge = GAUGES.contains(&device.id.as_str());
        if is_gauge || (device.kind != "river" && of_kind.len() < OF_A_KIND) {
            of_kind.push(device.clone());
        }
    }
    let speaking =
        Registry::new(chosen.into_values().flatten().collect(), registry.places().to_vec());
    let ends = STORY.iter().skip(1).map(|(hour, _)| *hour).chain([END_H]);
    let mut packets: Vec<ReadingBatch> = Vec::new();
    for ((begin_h, scenario), end_h) in STORY.into_iter().zip(ends) {
        let span_ms = BEGIN_MS + begin_h * HOUR_MS..BEGIN_MS + end_h * HOUR_MS;
        packets.extend(heard(&speaking, scenario, span_ms));
    }
    packets.sort_by_key(|packet| packet.received_at);
    Day { registry: Arc::new(registry), packets }
});

/// When the day is over, in milliseconds since 1970 UTC.
pub const END_MS: i64 = BEGIN_MS + END_H * HOUR_MS;

fn heard(
    registry: &Registry,
    scenario: Option<Scenario>,
    span_ms: Range<i64>,
) -> Vec<ReadingBatch> {
    let shipped: toml::Table = shipped("sen.toml").parse().expect("what is shipped is TOML");
    let mut config: Config = shipped["simulator"].clone().try_into().expect("it is whole");
    config.scenario = scenario;
    let mut packets: Vec<ReadingBatch> = Vec::new();
    record(&config, registry, span_ms, Road::Mobile, |heard| {
        let Heard { device, metric, event_time, received_at, value } = heard;
        let reading = Reading { metric, event_time, value, quality: Quality::Good, sequence: 0 };
        match packets.last_mut() {
            Some(last) if last.device == device && last.received_at == received_at => {
                last.readings.push(reading);
            }
            _ => packets.push(ReadingBatch { device, received_at, readings: vec![reading] }),
        }
    });
    packets
}
