//! Pure: one device as its gateway sees it: measures at its interval, skips a measurement now and
//! then, keeps what it cannot send and flushes it later, repeats itself, and at times talks
//! rubbish. All of it from the seed and the clock it is given.

use std::collections::VecDeque;
use std::sync::Arc;

use sen_model::time::{MINUTE_MS, SECOND_MS};
use sen_model::{Device, DeviceId};

use crate::config::Faults;
use crate::noise::{mix, unit};
use crate::packet::{self, Measured, Packet};
use crate::province::Province;
use crate::site::Site;

/// The first reports come within this time, however long the interval: a fresh map fills at once.
const FIRST_WITHIN_MS: i64 = 10 * SECOND_MS;
/// Most measurements a silent device keeps: an hour at five seconds. The oldest make room.
const KEPT_MOST: usize = 720;
/// Most measurements in one packet of a flush.
const FLUSH_MOST: usize = 60;
/// A device is late at most once in each slot of this length, for 30 s to 2 min.
const LATE_SLOT_MS: i64 = 20 * MINUTE_MS;

/// A device that measures, and what it has not been able to say yet.
#[derive(Debug)]
pub(crate) struct Reporter {
    device: Device,
    site: Site,
    province: Arc<Province>,
    faults: Faults,
    due_ms: i64,
    told_ms: i64,
    kept: VecDeque<Measured>,
}

impl Reporter {
    /// A device that begins when the province does.
    pub(crate) fn new(device: Device, province: Arc<Province>, faults: Faults) -> Self {
        let site = Site::of(&device, province.seed);
        let spread_ms = device.interval_ms.min(FIRST_WITHIN_MS) as f64;
        let due_ms = province.start_ms + (unit(site.seed, -7) * spread_ms) as i64;
        let told_ms = province.start_ms;
        Self { device, site, province, faults, due_ms, told_ms, kept: VecDeque::new() }
    }

    /// When it measures next, in milliseconds since the Unix epoch.
    pub(crate) fn due_ms(&self) -> i64 {
        self.due_ms
    }

    /// Its name.
    pub(crate) fn id(&self) -> &DeviceId {
        &self.device.id
    }

    /// Chance of this device alone.
    pub(crate) fn seed(&self) -> u64 {
        self.site.seed
    }

    /// What it says at `now_ms`, which is its due time or later; nothing before.
    pub(crate) fn step(&mut self, now_ms: i64) -> Vec<Packet> {
        if now_ms < self.due_ms {
            return Vec::new();
        }
        self.wait_from(now_ms);
        let silent = self.is_silent(now_ms);
        let measured = self.measure(now_ms);
        if silent {
            self.keep(measured);
            return Vec::new();
        }
        let mut packets = self.flush();
        packets.extend(measured.map(|measured| self.say(&measured)));
        packets.extend(self.tell(now_ms));
        self.repeat(now_ms, packets)
    }

    /// As [`step`](Self::step), but the bare measurements that it says, in order.
    pub(crate) fn measure_and_flush(&mut self, now_ms: i64) -> Vec<Measured> {
        self.wait_from(now_ms);
        let silent = self.is_silent(now_ms);
        let measured = self.measure(now_ms);
        self.keep(measured);
        if silent { Vec::new() } else { self.kept.drain(..).collect() }
    }

    fn wait_from(&mut self, now_ms: i64) {
        self.due_ms += self.device.interval_ms;
        if self.due_ms <= now_ms {
            // The machine slept: what was not measured is not made up.
            self.due_ms = now_ms + self.device.interval_ms;
        }
    }

    fn chance(&self, what: u64, index: i64, rate: f64) -> bool {
        unit(mix(self.site.seed ^ what), index) < rate
    }

    /// Without power in a drill, or in one of its own late spells.
    fn is_silent(&self, now_ms: i64) -> bool {
        if self.province.push(&self.device, &self.site, now_ms).silent {
            return true;
        }
        let slot = now_ms.div_euclid(LATE_SLOT_MS);
        if !self.chance(1, slot, self.faults.late_rate) {
            return false;
        }
        let length_ms = (30.0 + 90.0 * unit(self.site.seed ^ 2, slot)) * SECOND_MS as f64;
        let room_ms = LATE_SLOT_MS as f64 - length_ms;
        let start_ms = unit(self.site.seed ^ 3, slot) * room_ms;
        let within_ms = now_ms.rem_euclid(LATE_SLOT_MS) as f64;
        (start_ms..start_ms + length_ms).contains(&within_ms)
    }

    /// A measurement, unless this one is a gap or the device measures nothing.
    fn measure(&self, now_ms: i64) -> Option<Measured> {
        if self.chance(4, now_ms, self.faults.gap_rate) {
            return None;
        }
        let values = self.province.values(&self.device, &self.site, now_ms);
        (!values.is_empty()).then_some(Measured { at_ms: now_ms, values })
    }

    fn keep(&mut self, measured: Option<Measured>) {
        self.kept.extend(measured);
        if self.kept.len() > KEPT_MOST {
            self.kept.pop_front();
        }
    }

    fn flush(&mut self) -> Vec<Packet> {
        let kept: Vec<Measured> = self.kept.drain(..).collect();
        kept.chunks(FLUSH_MOST).map(|kept| packet::flush(&self.device.id, kept)).collect()
    }

    fn say(&self, measured: &Measured) -> Packet {
        if self.chance(5, measured.at_ms, self.faults.bad_rate) {
            let pick = unit(self.site.seed ^ 6, measured.at_ms) * packet::RUBBISH_KINDS as f64;
            return packet::rubbish(&self.device.id, measured, pick as usize);
        }
        packet::telemetry(&self.device.id, measured)
    }

    /// What happened since it last told; what happened in a silent time is told late.
    fn tell(&mut self, now_ms: i64) -> Vec<Packet> {
        let happenings = self.province.happenings(&self.device, &self.site, self.told_ms..now_ms);
        self.told_ms = now_ms;
        let (province, device) = (&self.province, &self.device.id);
        let told = happenings
            .iter()
            .map(|happening| packet::event(device, happening, province.clock_ms(happening.at_ms)));
        told.collect()
    }

    /// Now and then a device did not hear that it was heard, and says all of it again.
    fn repeat(&self, now_ms: i64, packets: Vec<Packet>) -> Vec<Packet> {
        if self.chance(7, now_ms, self.faults.duplicate_rate) {
            return packets.iter().chain(&packets).cloned().collect();
        }
        packets
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::scenario::Scenario;

    const START_MS: i64 = 1_795_402_800_000; // 2026-11-23T10:00:00+07:00
    const NO_FAULTS: Faults =
        Faults { gap_rate: 0.0, late_rate: 0.0, duplicate_rate: 0.0, bad_rate: 0.0 };

    fn device(kind: &str) -> Device {
        let body = serde_json::json!({
            "id": "stn-cao-lanh", "name": { "vi": "Trạm Cao Lãnh", "en": "Cao Lãnh station" },
            "kind": kind, "field": "environment", "area": "29869", "lat": 10.417, "lon": 105.645,
            "interval_ms": 10_000,
            "metrics": [{ "metric": "water_level_m", "unit": "m",
                          "name": { "vi": "Mực nước", "en": "Water level" } }],
        });
        serde_json::from_value(body).unwrap()
    }

    fn province(seed: u64, scenario: Option<Scenario>) -> Arc<Province> {
        let (speed, demo, events_per_hour, start_ms) = (1.0, false, 12.0, START_MS);
        Arc::new(Province { seed, speed, scenario, demo, events_per_hour, start_ms })
    }

    /// What it says until `minutes` have passed, and how often it measured.
    fn life(mut reporter: Reporter, minutes: i64) -> (Vec<Packet>, usize) {
        let (mut said, mut measured) = (Vec::new(), 0);
        while reporter.due_ms() < START_MS + minutes * MINUTE_MS {
            said.extend(reporter.step(reporter.due_ms()));
            measured += 1;
        }
        (said, measured)
    }

    /// The times of all readings in the packets that are whole.
    fn times(packets: &[Packet]) -> Vec<i64> {
        let parsed = packets.iter().filter(|packet| packet.topic.ends_with("/telemetry"));
        let parsed = parsed.filter_map(|packet| serde_json::from_slice(&packet.payload).ok());
        let single = parsed.flat_map(|body: Value| match body {
            Value::Array(bodies) => bodies,
            body => vec![body],
        });
        let whole = single.filter(|body| body["values"]["water_level_m"].is_number());
        whole.map(|body| body["ts"].as_i64().unwrap()).filter(|ts| *ts >= START_MS).collect()
    }

    fn reporter(faults: &Faults) -> Reporter {
        Reporter::new(device("river"), province(7, None), faults.clone())
    }

    #[test]
    fn reports_soon_after_the_start_and_then_at_its_interval() {
        let (said, measured) = life(reporter(&NO_FAULTS), 60);
        let times = times(&said);
        assert_eq!((times.len(), said.len()), (measured, measured));
        assert!(times[0] < START_MS + FIRST_WITHIN_MS);
        assert!(times.windows(2).all(|two| two[1] - two[0] == 10_000));
    }

    #[test]
    fn the_same_seed_lives_the_same_life() {
        let faults = Faults { gap_rate: 0.1, late_rate: 0.5, duplicate_rate: 0.1, bad_rate: 0.1 };
        let lived =
            |seed| life(Reporter::new(device("river"), province(seed, None), faults.clone()), 90).0;
        assert_eq!(lived(7), lived(7));
        assert_ne!(lived(7), lived(8));
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let rates = |gap_rate, late_rate, duplicate_rate, bad_rate| Faults {
            gap_rate,
            late_rate,
            duplicate_rate,
            bad_rate,
        };
        let (said, measured) = life(reporter(&rates(0.0, 0.0, 1.0, 0.0)), 10);
        assert_eq!(said.len(), 2 * measured);
        assert!(said.chunks(2).all(|pair| pair[0] == pair[1]));
        assert!(life(reporter(&rates(1.0, 0.0, 0.0, 0.0)), 10).0.is_empty());
        let (said, measured) = life(reporter(&rates(0.0, 0.0, 0.0, 1.0)), 10);
        assert_eq!((said.len(), times(&said).len()), (measured, 0));
    }

    #[test]
    fn what_a_late_device_kept_arrives_whole_and_in_order() {
        let late = Faults { late_rate: 1.0, ..NO_FAULTS };
        let (said, measured) = life(reporter(&late), 60);
        let times = times(&said);
        assert!(said.len() < measured, "never late");
        assert_eq!(times.len(), measured);
        assert!(times.is_sorted());
    }

    #[test]
    fn a_power_cut_silences_it_and_it_comes_back_with_what_it_kept() {
        let mut reporter =
            Reporter::new(device("river"), province(7, Some(Scenario::Outage)), NO_FAULTS);
        let (mut during, mut after) = (Vec::new(), Vec::new());
        while reporter.due_ms() < START_MS + 15 * MINUTE_MS {
            let now_ms = reporter.due_ms();
            let said = reporter.step(now_ms);
            let cut = (START_MS + 40_000..START_MS + 680_000).contains(&now_ms);
            if cut { during.extend(said) } else { after.extend(said) }
        }
        assert!(during.is_empty());
        let times = times(&after);
        assert!(times.windows(2).all(|two| two[1] - two[0] == 10_000), "{times:?}");
    }

    #[test]
    fn a_machine_that_slept_makes_nothing_up() {
        let mut reporter = reporter(&NO_FAULTS);
        let late_ms = reporter.due_ms() + 3_600_000;
        assert_eq!(times(&reporter.step(late_ms)), [late_ms]);
        assert!(reporter.step(late_ms + 9_999).is_empty());
        assert_eq!(reporter.step(late_ms + 10_000).len(), 1);
    }

    #[test]
    fn a_camera_tells_each_happening_once_with_its_time() {
        let camera = Reporter::new(device("camera"), province(7, None), NO_FAULTS);
        let (said, _) = life(camera, 60);
        let events = said.iter().filter(|packet| packet.topic == "sen/v1/stn-cao-lanh/event");
        let events: Vec<Value> =
            events.map(|packet| serde_json::from_slice(&packet.payload).unwrap()).collect();
        let ids: std::collections::BTreeSet<_> =
            events.iter().map(|event| event["id"].to_string()).collect();
        assert!(events.len() >= 8 && ids.len() == events.len(), "{events:?}");
        for event in &events {
            let ts = event["ts"].as_i64().unwrap();
            assert!((START_MS..START_MS + 60 * MINUTE_MS).contains(&ts));
            assert!(event["text"].is_string() && event["attributes"]["confidence"].is_string());
        }
    }
}
