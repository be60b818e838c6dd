//! InfluxDB 2. Its management goes through `influxdb2`; writes and queries through our own client,
//! since that crate's write hides `Retry-After` and sends line protocol uncompressed, and its
//! queries read answers without a bound and panic when one breaks off.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use sen_model::{DeviceId, Metric, SeriesKey, Tier, Timestamp};

use crate::error::ArchiveError;
use crate::gzip::post_gzip;
use crate::http::{Http, ask};
use crate::line::time_of_ns;
use crate::row::quality_of_code;
use crate::slices::Slices;
use crate::statistics::Statistics;
use crate::{Config, Point, Prepared, Span, decode_partial};

mod csv;
mod flux;
mod setup;

use csv::Record;
use flux::Literal;

/// Most rows asked for in one query; longer reads are several.
const PAGE_ROWS: usize = 20_000;
/// Most series named in one answer.
const MOST_SERIES: i64 = 200_000;
/// All of time, as InfluxDB keeps it, in whole milliseconds.
const ALL_MS: (i64, i64) = (i64::MIN / 1_000_000, i64::MAX / 1_000_000);
/// The same in nanoseconds.
const ALL_NS: (i64, i64) = (i64::MIN + 2, i64::MAX - 1);

#[derive(Clone, Debug)]
pub(crate) struct Influx {
    http: Http,
    management: influxdb2::Client,
    org: String,
    bucket: String,
    retention_days: Option<u32>,
}

impl Influx {
    pub(crate) fn new(
        base: &Url,
        org: &str,
        bucket: &str,
        config: &Config,
        timeout: Duration,
    ) -> Result<Self, ArchiveError> {
        let token = config.token.as_ref();
        Ok(Self {
            http: Http::new(base.clone(), "Token", token, timeout)?,
            management: setup::management(base, org, token, timeout)?,
            org: org.to_owned(),
            bucket: bucket.to_owned(),
            retention_days: config.retention_days,
        })
    }

    pub(crate) async fn prepare(&self) -> Result<Prepared, ArchiveError> {
        self.set_up().await
    }

    /// Writes lines, all of them or (by the server's account) not.
    pub(crate) async fn send(&self, lines: &str) -> Result<(), ArchiveError> {
        let place = [("org", &*self.org), ("bucket", &*self.bucket), ("precision", "ns")];
        ask(post_gzip(self.http.post("api/v2/write")?.query(&place), lines)?).await?;
        Ok(())
    }

    /// The readings of a series in a span, page by page.
    pub(crate) fn pages(&self, key: &SeriesKey, span: Span) -> Pages<'_> {
        Pages(Cursor::new(self, span), key.clone())
    }

    pub(crate) async fn latest(&self, key: &SeriesKey) -> Result<Option<Point>, ArchiveError> {
        let rows = self.query(flux::LATEST, ALL_NS, &of_series(key)).await?;
        rows.last().map(point_of).transpose().map_err(ArchiveError::Answer)
    }

    pub(crate) async fn summaries(
        &self,
        key: &SeriesKey,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Statistics>, ArchiveError> {
        let mut values = of_series(key).to_vec();
        values.push(("tier", Literal::Text(tier.as_str())));
        let mut cursor = Cursor::new(self, span);
        let mut all = Vec::new();
        while all.len() < limit {
            let rows = cursor.next(flux::SUMMARIES, &values, limit - all.len()).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                all.push(statistics_of(tier, row).map_err(ArchiveError::Answer)?);
            }
        }
        Ok(all)
    }

    pub(crate) async fn series(&self) -> Result<Vec<SeriesKey>, ArchiveError> {
        let rows = self.query(flux::SERIES, ALL_NS, &[("limit", Literal::Whole(MOST_SERIES))]);
        let key = |row: &Record| {
            let device = DeviceId::new(row.get("device")?).ok()?;
            Some(SeriesKey { device, metric: Metric::new(row.get("metric")?).ok()? })
        };
        // Series with other names are not ours.
        Ok(rows.await?.iter().filter_map(key).collect())
    }

    async fn query(
        &self,
        text: &str,
        (from, to): (i64, i64),
        values: &[(&str, Literal<'_>)],
    ) -> Result<Vec<Record>, ArchiveError> {
        let mut all = vec![
            ("bucket", Literal::Text(&self.bucket)),
            ("from", Literal::Whole(from)),
            ("to", Literal::Whole(to)),
        ];
        all.extend_from_slice(values);
        let request = self.http.post("api/v2/query")?.query(&[("org", &self.org)]);
        let body = flux::body(text, &all).to_string();
        let answer = ask(request.header(CONTENT_TYPE, "application/json").body(body)).await?;
        csv::parse(&answer).map_err(ArchiveError::Answer)
    }
}

/// A read of rows in progress.
struct Cursor<'a> {
    influx: &'a Influx,
    slices: Slices,
    /// Every row before it has been read: finer than the slices.
    from_ns: i64,
}

impl<'a> Cursor<'a> {
    fn new(influx: &'a Influx, span: Span) -> Self {
        Self { influx, slices: Slices::new(span, ALL_MS, 1), from_ns: i64::MIN }
    }

    /// The next rows, at most `most`; none at the end.
    async fn next(
        &mut self,
        text: &str,
        values: &[(&str, Literal<'_>)],
        most: usize,
    ) -> Result<Vec<Record>, ArchiveError> {
        let page = most.min(PAGE_ROWS);
        let mut values = values.to_vec();
        values.push(("limit", Literal::Whole(page as i64)));
        while let Some(slice) = self.slices.current() {
            let span = (ns_of(slice.from).max(self.from_ns), ns_of(slice.to));
            let rows = self.influx.query(text, span, &values).await?;
            match rows.last() {
                Some(last) if rows.len() >= page => {
                    let last_ns = csv::time_ns(last).map_err(ArchiveError::Answer)?;
                    self.slices.resume(time_of_ns(last_ns).0.as_millis());
                    self.from_ns = last_ns.saturating_add(1);
                }
                _ => self.slices.advance(rows.len() < page / 4),
            }
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }
}

/// A read of points in progress.
pub(crate) struct Pages<'a>(Cursor<'a>, SeriesKey);

impl Pages<'_> {
    /// The next points, at most `most`; none at the end.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<Point>, ArchiveError> {
        let rows = self.0.next(flux::POINTS, &of_series(&self.1), most).await?;
        rows.iter().map(point_of).collect::<Result<_, _>>().map_err(ArchiveError::Answer)
    }
}

fn of_series(key: &SeriesKey) -> [(&'static str, Literal<'_>); 2] {
    [("device", Literal::Text(key.device.as_str())), ("metric", Literal::Text(key.metric.as_str()))]
}

/// Nanoseconds of a time within [`ALL_MS`].
fn ns_of(time: Timestamp) -> i64 {
    time.as_millis().saturating_mul(1_000_000)
}

fn point_of(row: &Record) -> Result<Point, String> {
    let (event_time, sequence) = time_of_ns(csv::time_ns(row)?);
    Ok(Point {
        event_time,
        sequence,
        value: csv::value(row, "value")?,
        quality: quality_of_code(csv::value(row, "quality")?),
        received_at: Timestamp::from_millis(csv::value(row, "received_at")?),
    })
}

fn statistics_of(tier: Tier, row: &Record) -> Result<Statistics, String> {
    let (start, _) = time_of_ns(csv::time_ns(row)?);
    let text: String = csv::value(row, "_value")?;
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| "a summary that is not base64")?;
    let partial = decode_partial(start, &bytes).ok_or("a damaged summary")?;
    Ok(Statistics::exact(start, tier, partial))
}
