//! Pure: the latest reading of every series, compactly, and which of them changed since when.
//!
//! A series costs about a hundred bytes: names are kept once for each device and once for each
//! metric, and rows refer to them by number. Every change takes the next number of one counter, so
//! "what changed since" is a comparison of numbers, for any connection at any time.

use std::collections::{BTreeMap, HashMap};

use sen_model::{DeviceId, Field, Metric, Quality, ReadingBatch, Registry, Timestamp};

use crate::view::View;
use crate::wire::quality_code;

/// Devices besides those of the registry that are kept; what comes under further names is only
/// counted, so that a sender who invents names costs no memory.
pub const MOST_STRANGERS: usize = 20_000;

/// One value with its times, as the API and the ticks show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// When it was measured.
    pub event_time: Timestamp,
    /// Tells readings of one millisecond apart.
    pub sequence: u32,
    /// The value.
    pub value: f64,
    /// How far to trust it.
    pub quality: Quality,
    /// When it was heard.
    pub received_at: Timestamp,
}

/// What is known of one device.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its id.
    pub id: DeviceId,
    /// When it was last heard; none if never.
    pub at: Option<Timestamp>,
    /// Its readings that were taken.
    pub accepted: u64,
    field: Option<Field>,
    /// Its series: number of the metric, number of the row.
    series: Vec<(u32, u32)>,
}

/// One series. `changed` is 0 as long as no reading came.
#[derive(Clone, Copy, Debug)]
struct Row {
    device: u32,
    metric: u32,
    changed: u64,
    reading: Sighting,
}

/// The latest reading of every series.
#[derive(Debug, Default)]
pub struct Latest {
    devices: Vec<Heard>,
    by_id: BTreeMap<DeviceId, u32>,
    metrics: Vec<Metric>,
    by_name: HashMap<Metric, u32>,
    rows: Vec<Row>,
    version: u64,
    /// Rows that changed after `taken`, once each.
    fresh: Vec<u32>,
    taken: u64,
    most_series: usize,
    /// Devices that the registry does not know.
    strangers: usize,
    accepted: u64,
    refused: u64,
}

/// Rows that changed between two versions.
#[derive(Clone, Debug, Default)]
pub struct Fresh {
    /// Changes up to this one are not in it.
    pub from: u64,
    /// Changes up to this one are in it.
    pub to: u64,
    /// The rows.
    rows: Vec<u32>,
}

/// A walk of one connection over everything that changed since a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    since: u64,
    /// Where the connection stands when the walk is over.
    pub until: u64,
    row: usize,
}

impl Latest {
    /// Knows the registry's series and no value; takes at most `most_series` series.
    pub fn new(registry: &Registry, most_series: usize) -> Self {
        let mut latest = Self { most_series, ..Self::default() };
        for device in registry.devices() {
            let number = latest.add(&device.id, Some(device.field));
            for spec in &device.metrics {
                latest.row(number, &spec.metric);
            }
        }
        latest
    }

    /// Takes the readings of one packet.
    pub fn apply(&mut self, batch: &ReadingBatch) {
        let count = batch.readings.len() as u64;
        self.accepted += count;
        let Some(device) = self.device(&batch.device) else {
            self.refused += count;
            return;
        };
        let heard = &mut self.devices[device as usize];
        heard.at = heard.at.max(Some(batch.received_at));
        heard.accepted += count;
        for reading in &batch.readings {
            let one = Sighting {
                event_time: reading.event_time,
                sequence: reading.sequence,
                value: reading.value,
                quality: reading.quality,
                received_at: batch.received_at,
            };
            self.put(device, &reading.metric, one);
        }
    }

    /// Takes a reading that the store already held when this process started: the device was heard
    /// then, but not counted again.
    pub fn restore(&mut self, device: &DeviceId, metric: &Metric, reading: Sighting) {
        let Some(device) = self.device(device) else {
            self.refused += 1;
            return;
        };
        let heard = &mut self.devices[device as usize];
        heard.at = heard.at.max(Some(reading.received_at));
        self.put(device, metric, reading);
    }

    /// A device was heard by something other than a reading.
    pub fn heard(&mut self, device: &DeviceId, at: Timestamp) {
        let Some(device) = self.device(device) else { return };
        let heard = &mut self.devices[device as usize];
        heard.at = heard.at.max(Some(at));
    }

    /// One device.
    pub fn of_device(&self, id: &DeviceId) -> Option<&Heard> {
        self.by_id.get(id).map(|number| &self.devices[*number as usize])
    }

    /// The devices after `after`, by id.
    pub fn devices_after(&self, after: Option<&DeviceId>) -> impl Iterator<Item = &Heard> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.by_id.range((from, Unbounded)).map(|(_, number)| &self.devices[*number as usize])
    }

    /// The series of a device with their latest reading, by metric.
    pub fn series_of(&self, heard: &Heard) -> Vec<(&Metric, Option<&Sighting>)> {
        let mut series: Vec<_> = heard
            .series
            .iter()
            .map(|(metric, row)| {
                let row = &self.rows[*row as usize];
                let reading = (row.changed > 0).then_some(&row.reading);
                (&self.metrics[*metric as usize], reading)
            })
            .collect();
        series.sort_unstable_by_key(|(metric, _)| *metric);
        series
    }

    /// Readings that were taken, of all devices.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// How many series there are, and how many readings were of series or devices beyond the limit.
    pub fn sizes(&self) -> (usize, u64) {
        (self.rows.len(), self.refused)
    }

    /// Takes what changed since the last call. Every row in it is there once.
    pub fn take_fresh(&mut self) -> Fresh {
        let from = std::mem::replace(&mut self.taken, self.version);
        Fresh { from, to: self.version, rows: std::mem::take(&mut self.fresh) }
    }

    /// Writes rows of `fresh` from position `next` on as one tick frame of at most about
    /// `most_bytes`; none if no row of this view is left.
    pub fn frame_of_fresh(
        &self,
        fresh: &Fresh,
        view: View,
        next: &mut usize,
        most_bytes: usize,
    ) -> Option<String> {
        let mut frame = Frame::new(most_bytes);
        while let Some(row) = fresh.rows.get(*next) {
            if !frame.has_room() {
                break;
            }
            self.write(*row as usize, view, &mut frame);
            *next += 1;
        }
        frame.finish()
    }

    /// Begins a walk over what changed since `since`; 0 = everything.
    pub fn walk(&self, since: u64) -> Walk {
        Walk { since, until: self.version, row: 0 }
    }

    /// The next tick frame of a walk, of at most about `most_bytes`; none when it is over.
    pub fn frame_of_walk(&self, walk: &mut Walk, view: View, most_bytes: usize) -> Option<String> {
        let mut frame = Frame::new(most_bytes);
        while walk.row < self.rows.len() && frame.has_room() {
            if self.rows[walk.row].changed > walk.since {
                self.write(walk.row, view, &mut frame);
            }
            walk.row += 1;
        }
        frame.finish()
    }

    fn write(&self, row: usize, view: View, frame: &mut Frame) {
        let row = &self.rows[row];
        let device = &self.devices[row.device as usize];
        if view.admits(device.field) {
            frame.push(&device.id, &self.metrics[row.metric as usize], &row.reading);
        }
    }

    fn put(&mut self, device: u32, metric: &Metric, reading: Sighting) {
        // A number JSON cannot say would make a frame that no screen can read.
        let Some(number) = self.row(device, metric).filter(|_| reading.value.is_finite()) else {
            self.refused += 1;
            return;
        };
        let row = &mut self.rows[number as usize];
        let order = |one: &Sighting| (one.event_time, one.sequence);
        if row.changed > 0 && order(&reading) <= order(&row.reading) {
            return;
        }
        if row.changed <= self.taken {
            self.fresh.push(number);
        }
        self.version += 1;
        row.changed = self.version;
        row.reading = reading;
    }

    /// The number of a device; none if it is a stranger and there are too many.
    fn device(&mut self, id: &DeviceId) -> Option<u32> {
        if let Some(number) = self.by_id.get(id) {
            return Some(*number);
        }
        if self.strangers >= MOST_STRANGERS {
            return None;
        }
        self.strangers += 1;
        Some(self.add(id, None))
    }

    fn add(&mut self, id: &DeviceId, field: Option<Field>) -> u32 {
        let number = self.devices.len() as u32;
        self.by_id.insert(id.clone(), number);
        self.devices.push(Heard {
            id: id.clone(),
            at: None,
            accepted: 0,
            field,
            series: Vec::new(),
        });
        number
    }

    fn row(&mut self, device: u32, metric: &Metric) -> Option<u32> {
        if let Some(known) = self.by_name.get(metric) {
            let series = &self.devices[device as usize].series;
            if let Some((_, row)) = series.iter().find(|(number, _)| number == known) {
                return Some(*row);
            }
        }
        if self.rows.len() >= self.most_series {
            return None;
        }
        let metric = self.metric(metric);
        let row = self.rows.len() as u32;
        let reading = Sighting {
            event_time: Timestamp::from_millis(i64::MIN),
            sequence: 0,
            value: 0.0,
            quality: Quality::Good,
            received_at: Timestamp::from_millis(i64::MIN),
        };
        self.rows.push(Row { device, metric, changed: 0, reading });
        self.devices[device as usize].series.push((metric, row));
        Some(row)
    }

    fn metric(&mut self, name: &Metric) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = self.metrics.len() as u32;
        self.metrics.push(name.clone());
        self.by_name.insert(name.clone(), number);
        number
    }
}

/// A tick frame being written. Device ids and metrics need no escaping: their alphabet is narrow.
struct Frame {
    text: String,
    most_bytes: usize,
}

/// Longest row: two names of 64 bytes, two numbers, punctuation.
const ROW_BYTES: usize = 200;
const OPENING: &str = r#"{"type":"tick","upserts":["#;

impl Frame {
    fn new(most_bytes: usize) -> Self {
        Self { text: String::new(), most_bytes }
    }

    fn has_room(&self) -> bool {
        self.text.len() + ROW_BYTES <= self.most_bytes
    }

    fn push(&mut self, device: &DeviceId, metric: &Metric, reading: &Sighting) {
        use std::fmt::Write;
        self.text.push_str(if self.text.is_empty() { OPENING } else { "," });
        let (at, quality) = (reading.event_time.as_millis(), quality_code(reading.quality));
        // `{:?}` of a finite f64 is its shortest exact form and always valid JSON.
        let _ = write!(self.text, r#"["{device}","{metric}",{:?},{at},{quality}]"#, reading.value);
    }

    fn finish(mut self) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push_str("]}");
        Some(self.text)
    }
}

#[cfg(test)]
mod tests;
