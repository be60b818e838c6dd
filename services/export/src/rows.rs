//! Readings and summaries as rows of a table. Pure: values in, cells out.

use std::str::FromStr;

use sen_model::{Device, Metric, Partial, Place, Quality, Registry, SeriesKey, Tier, Timestamp};
use sen_table::{Cell, Column, Kind};

/// Readings as they were measured, or summaries of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Readings.
    Raw,
    /// Summaries.
    Of(Tier),
}

impl Resolution {
    /// The tier of summaries; none for readings.
    pub fn tier(self) -> Option<Tier> {
        match self {
            Self::Raw => None,
            Self::Of(tier) => Some(tier),
        }
    }

    /// Its name: `raw`, or that of the tier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Of(tier) => tier.as_str(),
        }
    }
}

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "raw" {
            return Ok(Self::Raw);
        }
        let unknown = |_| format!("`{text}` is no tier: raw, 1m, 15m, 1h or 1d");
        text.parse().map(Self::Of).map_err(unknown)
    }
}

/// What every row begins with.
const SERIES: [Column; 10] = [
    Column::new("device", Kind::Text),
    Column::new("device_name_vi", Kind::Text),
    Column::new("device_name_en", Kind::Text),
    Column::new("area", Kind::Text),
    Column::new("area_name", Kind::Text),
    Column::new("field", Kind::Text),
    Column::new("kind", Kind::Text),
    Column::new("metric", Kind::Text),
    Column::new("unit", Kind::Text),
    Column::new("time", Kind::Time),
];

const READING: [Column; 2] =
    [Column::new("value", Kind::Float), Column::new("quality", Kind::Text)];

const SUMMARY: [Column; 13] = [
    Column::new("count", Kind::Integer),
    Column::new("good_count", Kind::Integer),
    Column::new("good_share", Kind::Float),
    Column::new("sum", Kind::Float),
    Column::new("mean", Kind::Float),
    Column::new("min", Kind::Float),
    Column::new("max", Kind::Float),
    Column::new("first", Kind::Float),
    Column::new("last", Kind::Float),
    Column::new("stddev", Kind::Float),
    Column::new("p50", Kind::Float),
    Column::new("p95", Kind::Float),
    Column::new("p99", Kind::Float),
];

/// The columns of a table.
pub fn columns(resolution: Resolution) -> Vec<Column> {
    match resolution {
        Resolution::Raw => [&SERIES[..], &READING].concat(),
        Resolution::Of(_) => [&SERIES[..], &SUMMARY].concat(),
    }
}

/// What the rows of one series have in rows.
pub(crate) struct RowsOf<'r> {
    key: &'r SeriesKey,
    device: Option<&'r Device>,
    area: Option<&'r Place>,
}

impl<'r> RowsOf<'r> {
    pub(crate) fn new(registry: &'r Registry, key: &'r SeriesKey) -> Self {
        let device = registry.device(&key.device);
        let area = device.and_then(|device| registry.area(&device.area));
        Self { key, device, area }
    }

    fn begin<'c>(&'c self, time: Timestamp, cells: &mut Vec<Cell<'c>>) {
        let of_device =
            |text: fn(&Device) -> &str| self.device.map_or(Cell::Absent, |it| Cell::Text(text(it)));
        let spec = |metric: &Metric| self.device.and_then(|device| device.metric(metric));
        cells.clear();
        cells.extend([
            Cell::Text(self.key.device.as_str()),
            of_device(|device| &device.name.vi),
            of_device(|device| &device.name.en),
            of_device(|device| device.area.as_str()),
            self.area.map_or(Cell::Absent, |place| Cell::Text(&place.name.vi)),
            of_device(|device| device.field.as_str()),
            of_device(|device| &device.kind),
            Cell::Text(self.key.metric.as_str()),
            spec(&self.key.metric).map_or(Cell::Absent, |spec| Cell::Text(&spec.unit)),
            Cell::Time(time),
        ]);
    }

    /// A reading as a row.
    pub(crate) fn reading<'c>(
        &'c self,
        time: Timestamp,
        value: f64,
        quality: Quality,
        cells: &mut Vec<Cell<'c>>,
    ) {
        self.begin(time, cells);
        cells.extend([Cell::Float(value), Cell::Text(word(quality))]);
    }

    /// A summary as a row; its time is the start of its window.
    pub(crate) fn summary<'c>(
        &'c self,
        start: Timestamp,
        partial: &Partial,
        cells: &mut Vec<Cell<'c>>,
    ) {
        self.begin(start, cells);
        let integer = |count: u64| Cell::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        let share = partial.good_count as f64 / partial.count as f64;
        let some_good = partial.good_count > 0;
        cells.extend([
            integer(partial.count),
            integer(partial.good_count),
            Cell::Float(share),
            Cell::float(some_good.then(|| partial.sum())),
            Cell::float(partial.mean()),
            Cell::float(partial.min()),
            Cell::float(partial.max()),
            Cell::float(partial.first().map(|moment| moment.value)),
            Cell::float(partial.last().map(|moment| moment.value)),
            Cell::float(partial.variance().map(f64::sqrt)),
            Cell::float(partial.quantile(0.5)),
            Cell::float(partial.quantile(0.95)),
            Cell::float(partial.quantile(0.99)),
        ]);
    }
}

/// As the API has it.
fn word(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Suspect => "suspect",
        Quality::Bad => "bad",
    }
}
