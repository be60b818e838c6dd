//! A past for the questions of tests: readings in the store with the minutes that the aggregator
//! would have made, and beside it the readings themselves, for an oracle that looks at each.

use std::collections::BTreeMap;

use sen_model::{DeviceId, Metric, Partial, Quality, Tier, Timestamp};
use sen_store::{Checkpoint, Point, Summaries};
use serde_json::Value;

use crate::house::{House, NOW_MS, config, station};

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// Midnight of 23 November 2026 in Vietnam, a Monday.
pub(crate) const MONDAY_MS: i64 = 1_795_366_800_000;

pub(crate) const PM25: &str = "pm25_ug_m3";

/// A house with some air stations in two wards and a river.
pub(crate) struct Past {
    _folder: tempfile::TempDir,
    pub(crate) house: House,
    pub(crate) readings: BTreeMap<(String, String), Vec<Point>>,
    summaries: Summaries,
}

impl Past {
    pub(crate) async fn new() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: sen_gateway::Config) -> Self {
        let air = |id: &str, area: &str| station(id, "air", area, PM25, "ug/m3");
        let devices = vec![
            air("air-1", "28261"),
            air("air-2", "28261"),
            air("air-3", "28262"),
            station("river-1", "river", "28261", "water_level_m", "m"),
        ];
        Self::of(config, devices).await
    }

    /// The same over other devices.
    pub(crate) async fn over(devices: Vec<sen_model::Device>) -> Self {
        Self::of(config(), devices).await
    }

    async fn of(config: sen_gateway::Config, devices: Vec<sen_model::Device>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = House::over(folder.path(), config, devices).await;
        let (readings, summaries) = (BTreeMap::new(), Summaries::new());
        Self { _folder: folder, house, readings, summaries }
    }

    /// A device says: milliseconds, value and quality; all within windows of its own, as `settle`
    /// makes no window twice.
    pub(crate) async fn say(&mut self, device: &str, metric: &str, said: &[(i64, f64, Quality)]) {
        let (id, name) = (DeviceId::new(device).unwrap(), Metric::new(metric).unwrap());
        let series = self.house.store.series_id(&id, &name).unwrap();
        let all = self.readings.entry((device.to_owned(), metric.to_owned())).or_default();
        let mut sequences: BTreeMap<i64, u32> = BTreeMap::new();
        let mut minutes: BTreeMap<Timestamp, Partial> = BTreeMap::new();
        let mut points = Vec::new();
        for (ms, value, quality) in said {
            let event_time = Timestamp::from_millis(*ms);
            let sequence = sequences.entry(*ms).or_default();
            let received_at = Timestamp::from_millis(NOW_MS);
            let point = Point {
                event_time,
                sequence: *sequence,
                value: *value,
                quality: *quality,
                received_at,
            };
            *sequence += 1;
            let minute = minutes.entry(Tier::Minute.start_of(event_time)).or_default();
            minute.add(point.moment(), point.quality);
            points.push((series, point));
            all.push(point);
        }
        all.sort_by_key(|point| (point.event_time, point.sequence));
        let count = points.len();
        self.house.store.write(&mut points).await.unwrap();
        assert_eq!(points.len(), count, "each reading is new");
        for (start, partial) in &minutes {
            self.summaries.push(series, *start, partial);
        }
    }

    /// As a commit of the aggregator does.
    pub(crate) async fn settle(&mut self) {
        let checkpoint = Checkpoint { epoch: self.house.readings.epoch().0, next: 1 };
        let summaries = std::mem::take(&mut self.summaries);
        self.house.store.commit(summaries, checkpoint).await.unwrap();
    }

    /// Some days of every station: readings every few minutes, with gaps, with peaks, some not good.
    pub(crate) async fn fill(&mut self, from_ms: i64, count: i64) {
        let stations =
            [("air-1", PM25), ("air-2", PM25), ("air-3", PM25), ("river-1", "water_level_m")];
        for (number, (device, metric)) in (0..).zip(stations) {
            let mut said = Vec::new();
            for n in 0..count {
                // A gap of some hours now and then, at another time for each.
                if (n / 100 + number) % 5 == 0 {
                    continue;
                }
                let ms = from_ms + n * (4 * MINUTE_MS + 7_013) + number * 1_001;
                let value = ((n * 37 + number * 11) % 101) as f64 / 4.0 - 3.0;
                let quality = match (n + number) % 9 {
                    0 => Quality::Suspect,
                    1 if n % 2 == 0 => Quality::Bad,
                    _ if (n / 20) % 17 == 3 => Quality::Suspect,
                    _ => Quality::Good,
                };
                said.push((ms, value, quality));
            }
            self.say(device, metric, &said).await;
        }
        self.settle().await;
    }

    /// The items of an answer that fits one page.
    pub(crate) async fn items(&self, path: &str) -> Vec<Value> {
        let (status, answer) = self.house.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(answer["next"], Value::Null, "{path}");
        answer["items"].as_array().unwrap().clone()
    }

    /// The same in pages of so many.
    pub(crate) async fn pages(&self, path: &str, limit: usize) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = self.house.get(&format!("{path}&limit={limit}{cursor}")).await;
            assert_eq!(status, 200, "{path}{cursor}: {page}");
            let some = page["items"].as_array().unwrap();
            items.extend(some.iter().cloned());
            let Some(next) = page["next"].as_str() else { return items };
            assert_eq!(some.len(), limit, "only the last page is short");
            cursor = format!("&cursor={next}");
        }
    }
}

/// When a window or a reading is, in milliseconds.
pub(crate) fn at_ms(item: &Value, key: &str) -> i64 {
    item[key].as_str().unwrap().parse::<Timestamp>().unwrap().as_millis()
}
