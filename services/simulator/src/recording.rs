//! Pure: what a centre hears of the province in a span of time, without a broker and as fast as it
//! can be made: for measurements of what stands behind ingest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use sen_model::{DeviceId, Metric, Registry, Timestamp};

use crate::config::Config;
use crate::noise::{exponential, unit};
use crate::province::Province;
use crate::reporter::Reporter;

/// How readings travel to the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// On one machine, as `sen run --simulate` does: heard within three milliseconds.
    Loopback,
    /// Over mobile networks: 60 ms at best, 60 ms more on average, one in a hundred beyond 0.3 s.
    Mobile,
}

/// One reading as the centre hears it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Who says it.
    pub device: DeviceId,
    /// What it measured.
    pub metric: Metric,
    /// When it was measured.
    pub event_time: Timestamp,
    /// When it arrives.
    pub received_at: Timestamp,
    /// The value.
    pub value: f64,
}

/// Timers wake up to this much late, so event times are not on the second.
const TIMER_LATE_MS: f64 = 3.0;
const LOOPBACK_MS: f64 = 3.0;
const MOBILE_LEAST_MS: f64 = 60.0;
const MOBILE_MEAN_MS: f64 = 60.0;

/// Tells everything the devices of `registry` say in a span (milliseconds since the Unix epoch), in
/// the order they say it; what a device kept while it was silent comes late, as in life. Rubbish
/// and repeats are left out: they end before the store.
pub fn record(
    config: &Config,
    registry: &Registry,
    span_ms: Range<i64>,
    road: Road,
    mut hear: impl FnMut(Heard),
) {
    let province = Arc::new(Province::new(config, span_ms.start));
    let mut reporters: Vec<Reporter> = registry
        .devices()
        .map(|device| Reporter::new(device.clone(), Arc::clone(&province), config.faults.clone()))
        .collect();
    let due = reporters.iter().enumerate().map(|(at, reporter)| Reverse((reporter.due_ms(), at)));
    let mut queue: BinaryHeap<_> = due.collect();
    while let Some(Reverse((due_ms, at))) = queue.pop().filter(|next| next.0.0 < span_ms.end) {
        let reporter = &mut reporters[at];
        let seed = reporter.seed();
        let now_ms = due_ms + (unit(seed ^ 8, due_ms) * TIMER_LATE_MS) as i64;
        let on_the_road_ms = match road {
            Road::Loopback => unit(seed ^ 9, due_ms) * LOOPBACK_MS,
            Road::Mobile => MOBILE_LEAST_MS + exponential(seed ^ 9, due_ms, MOBILE_MEAN_MS),
        };
        let received_at = Timestamp::from_millis(now_ms + on_the_road_ms as i64);
        for measured in reporter.measure_and_flush(now_ms) {
            let event_time = Timestamp::from_millis(measured.at_ms);
            for (metric, value) in measured.values {
                let device = reporter.id().clone();
                hear(Heard { device, metric, event_time, received_at, value });
            }
        }
        queue.push(Reverse((reporter.due_ms(), at)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sen_model::time::MINUTE_MS;

    use super::*;

    const START_MS: i64 = 1_795_402_800_000; // 2026-11-23T10:00:00+07:00

    fn registry() -> Registry {
        let read = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
            std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
        };
        sen_model::registry_file::parse(&read("devices.toml"), &read("places.toml")).unwrap()
    }

    fn heard(road: Road, late_rate: f64) -> Vec<Heard> {
        let shipped: toml::Table = include_str!("../../../config/sen.toml").parse().unwrap();
        let mut config: Config = shipped["simulator"].clone().try_into().unwrap();
        config.faults.late_rate = late_rate;
        let mut heard = Vec::new();
        let span_ms = START_MS..START_MS + 30 * MINUTE_MS;
        record(&config, &registry(), span_ms, road, |reading| heard.push(reading));
        heard
    }

    #[test]
    fn an_hour_is_heard_in_order_and_the_same_again() {
        for road in [Road::Loopback, Road::Mobile] {
            let heard = heard(road, 0.0);
            assert_eq!(heard, self::heard(road, 0.0));
            let mut newest = BTreeMap::new();
            for reading in &heard {
                assert!(reading.received_at >= reading.event_time);
                let series = (reading.device.clone(), reading.metric.clone());
                let before = newest.insert(series, reading.event_time);
                assert!(before < Some(reading.event_time));
            }
            assert!(newest.len() > 300, "{} series", newest.len());
        }
    }

    #[test]
    fn what_was_kept_comes_late_and_is_not_lost() {
        let (prompt, late) = (heard(Road::Loopback, 0.0), heard(Road::Loopback, 1.0));
        let behind = |reading: &&Heard| reading.received_at.since_ms(reading.event_time) > 5_000;
        assert_eq!(prompt.iter().filter(behind).count(), 0);
        assert!(late.iter().filter(behind).count() > 100);
        let share = late.len() as f64 / prompt.len() as f64;
        // At the end of the span some are still kept.
        assert!((0.9..=1.0).contains(&share), "{share}");
    }
}
