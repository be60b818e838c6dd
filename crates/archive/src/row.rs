//! What is archived, as lines: the schema of both servers. Pure: rows in, lines out.
//!
//! | | InfluxDB | VictoriaMetrics |
//! |---|---|---|
//! | a reading | `reading,device,metric value quality received_at` | the same, three series; a sequence above 0 is a tag |
//! | a summary | `summary,device,metric,tier` with columns for people and `partial` | the same without `partial`, a series a column |
//! | time of a reading | event time in ms · 10⁶ + sequence | event time |
//! | time of a summary | start of the window | start of the window + its count in ms |
//!
//! VictoriaMetrics keeps every sample it is given. A summary is corrected by one that counts more
//! readings, so the count in the time puts the correction after what it corrects, whereas the same
//! summary written again falls on itself. A reader takes the last one of each window.

use crate::encode_partial;
use crate::line::{Line, Refusal, Value, encode, time_ns};
use crate::statistics::Statistics;
use crate::{Point, Summary};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sen_model::{Quality, SeriesKey, Tier, Timestamp};

/// One thing to be archived; its series and event time (and tier) say which, so that writing it
/// again changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A reading.
    Reading(SeriesKey, Point),
    /// The summary of a window of any tier.
    Summary(SeriesKey, Summary),
}

/// Whose dialect of line protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    InfluxDb,
    VictoriaMetrics,
}

/// The columns of a summary that are numbers, as both servers name them.
pub(crate) const COUNT: &str = "count";
pub(crate) const GOOD_COUNT: &str = "good_count";
pub(crate) const SUM: &str = "sum";

impl Row {
    /// Appends the row as one line.
    pub(crate) fn encode(&self, dialect: Dialect, out: &mut String) -> Result<(), Refusal> {
        match self {
            Self::Reading(key, point) => encode_reading(dialect, out, key, point),
            Self::Summary(key, summary) => encode_summary(dialect, out, key, summary),
        }
    }
}

fn encode_reading(
    dialect: Dialect,
    out: &mut String,
    key: &SeriesKey,
    point: &Point,
) -> Result<(), Refusal> {
    let fields = [
        ("value", Value::Float(point.value)),
        ("quality", Value::Integer(quality_to_code(point.quality))),
        ("received_at", Value::Integer(point.received_at.as_millis())),
    ];
    let (device, metric) = (("device", key.device.as_str()), ("metric", key.metric.as_str()));
    let line =
        Line { measurement: "reading", tags: &[device, metric], fields: &fields, time_ns: 0 };
    match dialect {
        Dialect::InfluxDb => {
            encode(out, &Line { time_ns: time_ns(point.event_time, point.sequence)?, ..line })
        }
        Dialect::VictoriaMetrics if point.sequence == 0 => {
            encode(out, &Line { time_ns: positive_ns(point.event_time)?, ..line })
        }
        Dialect::VictoriaMetrics => {
            let sequence = point.sequence.to_string();
            let tags = [device, metric, ("sequence", &sequence)];
            encode(out, &Line { tags: &tags, time_ns: positive_ns(point.event_time)?, ..line })
        }
    }
}

fn encode_summary(
    dialect: Dialect,
    out: &mut String,
    key: &SeriesKey,
    Summary { start, tier, partial }: &Summary,
) -> Result<(), Refusal> {
    let tags =
        [("device", key.device.as_str()), ("metric", key.metric.as_str()), ("tier", tier.as_str())];
    let statistics = Statistics::of(*start, *tier, partial);
    let mut fields = vec![
        (COUNT, count(partial.count)),
        (GOOD_COUNT, count(partial.good_count)),
        (SUM, Value::Float(statistics.sum)),
    ];
    let numbers = statistics.columns().into_iter();
    fields.extend(numbers.filter_map(|(name, value)| Some((name, Value::Float(value?)))));
    let line = Line { measurement: "summary", tags: &tags, fields: &fields, time_ns: 0 };
    match dialect {
        Dialect::InfluxDb => {
            let exact = BASE64_STANDARD.encode(encode_partial(*start, partial));
            let fields = [line.fields, &[("partial", Value::Text(&exact))]].concat();
            encode(out, &Line { fields: &fields, time_ns: time_ns(*start, 0)?, ..line })
        }
        Dialect::VictoriaMetrics => {
            let time = start.plus_ms(version_ms(*tier, partial.count));
            encode(out, &Line { time_ns: positive_ns(time)?, ..line })
        }
    }
}

/// A count as the servers keep it; none reaches the end of `i64`.
fn count(count: u64) -> Value<'static> {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// How far into its window a summary of so many readings is written: within the window.
fn version_ms(tier: Tier, count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).clamp(0, tier.length_ms() - 1)
}

/// VictoriaMetrics keeps nothing before 1970.
fn positive_ns(time: Timestamp) -> Result<i64, Refusal> {
    match time_ns(time, 0)? {
        ns @ 0.. => Ok(ns),
        _ => Err(Refusal::Time),
    }
}

pub(crate) fn quality_to_code(quality: Quality) -> i64 {
    match quality {
        Quality::Good => 0,
        Quality::Suspect => 1,
        Quality::Bad => 2,
    }
}

/// The quality of a code; what is unknown is not to be trusted.
pub(crate) fn quality_of_code(code: i64) -> Quality {
    match code {
        0 => Quality::Good,
        1 => Quality::Suspect,
        _ => Quality::Bad,
    }
}

#[cfg(test)]
mod tests {
    use sen_model::{DeviceId, Metric, Moment, Partial};

    use super::*;

    fn key() -> SeriesKey {
        SeriesKey {
            device: DeviceId::new("stn-01").unwrap(),
            metric: Metric::new("level_m").unwrap(),
        }
    }

    fn line(row: &Row, dialect: Dialect) -> String {
        let mut out = String::new();
        row.encode(dialect, &mut out).unwrap();
        out
    }

    #[test]
    fn a_reading_is_one_line() {
        let time = Timestamp::from_millis(1_000);
        let point = Point {
            event_time: time,
            sequence: 3,
            value: 1.5,
            quality: Quality::Suspect,
            received_at: time.plus_ms(7),
        };
        let row = Row::Reading(key(), point);
        assert_eq!(
            line(&row, Dialect::InfluxDb),
            "reading,device=stn-01,metric=level_m value=1.5,quality=1i,received_at=1007i 1000000003\n"
        );
        assert_eq!(
            line(&row, Dialect::VictoriaMetrics),
            "reading,device=stn-01,metric=level_m,sequence=3 value=1.5,quality=1i,received_at=1007i 1000000000\n"
        );
        let before_1970 = Point { event_time: Timestamp::from_millis(-1), ..point };
        let refused =
            Row::Reading(key(), before_1970).encode(Dialect::VictoriaMetrics, &mut String::new());
        assert_eq!(refused, Err(Refusal::Time));
    }

    #[test]
    fn a_summary_is_one_line_and_its_correction_comes_later() {
        let start = Timestamp::from_millis(60_000);
        let mut partial = Partial::default();
        let moment = Moment { event_time: start, sequence: 0, value: 2.0 };
        partial.add(moment, Quality::Good);
        let row = |partial: &Partial| {
            Row::Summary(key(), Summary { start, tier: Tier::Minute, partial: partial.clone() })
        };
        let first = line(&row(&partial), Dialect::VictoriaMetrics);
        assert_eq!(
            first,
            "summary,device=stn-01,metric=level_m,tier=1m count=1i,good_count=1i,sum=2,mean=2,\
             min=2,max=2,first=2,last=2,stddev=0,p50=2,p95=2 60001000000\n"
        );
        partial.add(Moment { sequence: 1, ..moment }, Quality::Bad);
        assert!(line(&row(&partial), Dialect::VictoriaMetrics).ends_with(" 60002000000\n"));
        let exact = line(&row(&partial), Dialect::InfluxDb);
        assert!(exact.ends_with("\" 60000000000\n") && exact.contains(",partial=\""), "{exact}");
        let many = version_ms(Tier::Minute, u64::MAX);
        assert_eq!(many, 59_999);
    }
}
