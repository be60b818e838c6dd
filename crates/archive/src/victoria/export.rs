//! Answers of VictoriaMetrics: an export of samples, one series a line of JSON. Pure: bytes in,
//! points and statistics out; total on any input.
//!
//! The server keeps a sample as often as it was written, and samples of one time in no order. Of
//! samples that should be one, the largest value counts: that is what the server itself keeps when
//! it removes duplicates. Who wrote first cannot be known; the writer must never send two different
//! values of one identity, and the store that feeds it does not.

use std::collections::BTreeMap;

use sen_model::{SeriesKey, Tier, Timestamp};
use serde::Deserialize;

use crate::row::{COUNT, GOOD_COUNT, SUM, quality_of_code};
use crate::statistics::Statistics;
use crate::{Point, Span};

/// One series of an export.
#[derive(Debug, Deserialize)]
struct Exported {
    metric: BTreeMap<String, String>,
    /// Numbers; text or null where one is infinite or none.
    values: Vec<serde_json::Value>,
    timestamps: Vec<i64>,
}

/// The values of one identity, by column.
type Columns = BTreeMap<String, f64>;

/// The columns of every series of an export, by time and sequence; `prefix` is cut from the names.
fn columns(bytes: &[u8], prefix: &str) -> Result<BTreeMap<(i64, u32), Columns>, String> {
    let mut all: BTreeMap<(i64, u32), Columns> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let series: Exported =
            serde_json::from_slice(line).map_err(|error| format!("not an export: {error}"))?;
        let name = series.metric.get("__name__").and_then(|name| name.strip_prefix(prefix));
        let Some(name) = name else { continue };
        let sequence = series.metric.get("sequence").map_or(Ok(0), |text| text.parse());
        let Ok(sequence) = sequence else { continue };
        if series.values.len() != series.timestamps.len() {
            return Err("a series has not as many values as times".into());
        }
        for (time_ms, value) in series.timestamps.iter().zip(&series.values) {
            let Some(value) = value.as_f64() else { continue };
            let kept = all.entry((*time_ms, sequence)).or_default();
            let column = kept.entry(name.to_owned()).or_insert(value);
            if value.total_cmp(column).is_gt() {
                *column = value;
            }
        }
    }
    Ok(all)
}

/// The points of an export, in order.
///
/// The three series of a reading become visible one by one: a point of which one is not there yet
/// is not there yet.
pub(crate) fn points(bytes: &[u8], span: Span) -> Result<Vec<Point>, String> {
    let point = |((time_ms, sequence), columns): ((i64, u32), Columns)| {
        let event_time = Timestamp::from_millis(time_ms);
        let column = |name: &str| columns.get(name).copied();
        let point = Point {
            event_time,
            sequence,
            value: column("value")?,
            quality: quality_of_code(column("quality")? as i64),
            received_at: Timestamp::from_millis(column("received_at")? as i64),
        };
        span.contains(event_time).then_some(point)
    };
    Ok(columns(bytes, "reading_")?.into_iter().filter_map(point).collect())
}

/// The statistics of an export, in order: of each window the version that counts most readings,
/// which is the last one.
pub(crate) fn statistics(bytes: &[u8], tier: Tier, span: Span) -> Result<Vec<Statistics>, String> {
    let mut windows: BTreeMap<Timestamp, Statistics> = BTreeMap::new();
    for ((time_ms, _), columns) in columns(bytes, "summary_")? {
        let start = tier.start_of(Timestamp::from_millis(time_ms));
        let column = |name: &str| columns.get(name).copied();
        let (Some(count), Some(good_count), Some(sum)) =
            (column(COUNT), column(GOOD_COUNT), column(SUM))
        else {
            continue;
        };
        let statistics = Statistics {
            start,
            tier,
            count: count as u64,
            good_count: good_count as u64,
            sum,
            mean: column("mean"),
            min: column("min"),
            max: column("max"),
            first: column("first"),
            last: column("last"),
            stddev: column("stddev"),
            p50: column("p50"),
            p95: column("p95"),
            partial: None,
        };
        if span.contains(start) {
            windows.insert(start, statistics);
        }
    }
    Ok(windows.into_values().collect())
}

/// An answer of the query API, of which we need the labels and a number.
#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "data")]
    found: Found,
}

#[derive(Deserialize)]
struct Found {
    result: Vec<Sampled>,
}

#[derive(Deserialize)]
struct Sampled {
    /// Time, and the number as text.
    value: (f64, String),
}

/// The largest number of a query's answer; none if it found nothing.
pub(crate) fn largest(bytes: &[u8]) -> Result<Option<f64>, String> {
    let vector: Vector =
        serde_json::from_slice(bytes).map_err(|error| format!("not an answer: {error}"))?;
    let numbers = vector.found.result.iter().filter_map(|sampled| sampled.value.1.parse().ok());
    Ok(numbers.max_by(f64::total_cmp))
}

/// An answer that lists series.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "data")]
    series: Vec<BTreeMap<String, String>>,
}

/// Every series of a list; those with other names are not ours.
pub(crate) fn series(bytes: &[u8]) -> Result<Vec<SeriesKey>, String> {
    let listed: Listed =
        serde_json::from_slice(bytes).map_err(|error| format!("not a list: {error}"))?;
    let key = |labels: &BTreeMap<String, String>| {
        let device = labels.get("device")?.parse().ok()?;
        Some(SeriesKey { device, metric: labels.get("metric")?.parse().ok()? })
    };
    let mut keys: Vec<_> = listed.series.iter().filter_map(key).collect();
    keys.sort_unstable();
    // A sequence makes a series of its own there.
    keys.dedup();
    Ok(keys)
}

/// A flag or the version, as the server's own metrics tell them: the value of `key="…"` on the line
/// that begins with `start`.
pub(crate) fn told<'a>(metrics: &'a str, start: &str, key: &str) -> Option<&'a str> {
    let line = metrics.lines().find(|line| line.starts_with(start))?;
    let (_, rest) = line.split_once(&format!("{key}=\""))?;
    rest.split('"').next().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::Quality;

    use super::*;

    fn line(name: &str, sequence: &str, values: &str, times: &str) -> String {
        let sequence = match sequence {
            "" => String::new(),
            sequence => format!(r#","sequence":"{sequence}""#),
        };
        format!(
            r#"{{"metric":{{"__name__":"{name}"{sequence}}},"values":[{values}],"timestamps":[{times}]}}"#
        ) + "\n"
    }

    #[test]
    fn repeats_are_one_and_halves_are_not_there_yet() {
        let text = [
            line("reading_value", "", "1.5,1.5,2.5,9", "10,10,10,30"),
            line("reading_quality", "", "0,0", "10,10"),
            line("reading_received_at", "", "12,12", "10,30"),
            line("reading_value", "7", "4,null", "10,20"),
            line("reading_quality", "7", "1", "10"),
            line("reading_received_at", "7", "13", "10"),
            line("other_value", "", "1", "10"),
        ];
        let points = points(text.concat().as_bytes(), Span::ALL).unwrap();
        let found: Vec<_> = points
            .iter()
            .map(|p| (p.event_time.as_millis(), p.sequence, p.value, p.quality))
            .collect();
        assert_eq!(found, [(10, 0, 2.5, Quality::Good), (10, 7, 4.0, Quality::Suspect)]);
    }

    #[test]
    fn the_last_version_of_a_window_counts() {
        let text = [
            line("summary_count", "", "2,3,1", "60002,60003,120001"),
            line("summary_good_count", "", "2,3,0", "60002,60003,120001"),
            line("summary_sum", "", "8,6,0", "60002,60003,120001"),
            line("summary_mean", "", "4,2", "60002,60003"),
        ];
        let text = text.concat();
        let statistics = statistics(text.as_bytes(), Tier::Minute, Span::ALL).unwrap();
        let found: Vec<_> =
            statistics.iter().map(|s| (s.start.as_millis(), s.count, s.sum, s.mean)).collect();
        assert_eq!(found, [(60_000, 3, 6.0, Some(2.0)), (120_000, 1, 0.0, None)]);
    }

    #[test]
    fn flags_and_lists_are_read() {
        let metrics = "vm_app_version{version=\"victoria-1\", short_version=\"v1\"} 1\n\
                       flag{name=\"dedup.minScrapeInterval\", value=\"0s\", is_set=\"false\"} 1\n";
        assert_eq!(told(metrics, "vm_app_version", "short_version"), Some("v1"));
        assert_eq!(told(metrics, "flag{name=\"dedup.minScrapeInterval\"", " value"), Some("0s"));
        assert_eq!(told(metrics, "flag{name=\"other\"", "value"), None);
        let list = br#"{"data":[{"device":"stn-01","metric":"a","sequence":"1"},{"device":"stn-01","metric":"a"},{"device":"X"}]}"#;
        assert_eq!(series(list).unwrap().len(), 1);
        let vector =
            br#"{"data":{"result":[{"value":[1,"2.5"]},{"value":[1,"7"]},{"value":[1,"x"]}]}}"#;
        assert_eq!(largest(vector), Ok(Some(7.0)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = points(&bytes, Span::ALL);
            let _ = statistics(&bytes, Tier::Day, Span::ALL);
            let _ = (largest(&bytes), series(&bytes));
        }
    }
}
