//! InfluxDB 2. Its management goes through `influxdb2`; writes and queries through our own client,
//! since that crate's write hides `Retry-After` and sends line protocol uncompressed, and its
//! queries read answers without a bound and panic when one breaks off.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use sen_model::{DeviceId, Metric, SeriesKey, Tier, Timestamp};
use sen_store::{Point, Span, decode_partial};

use crate::Prepared;
use crate::error::ArchiveError;
use crate::gzip::post_gzip;
use crate::http::{Http, Token, ask};
use crate::line::{time_ns, time_of_ns};
use crate::row::quality_of_code;
use crate::statistics::Statistics;

mod csv;
mod flux;
mod setup;

use csv::Record;
use flux::Literal;

/// Most rows asked for in one query; longer reads are several.
const PAGE_ROWS: usize = 20_000;
/// Most series named in one answer.
const MOST_SERIES: i64 = 200_000;
/// All of time, as InfluxDB keeps it.
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
        base: Url,
        org: String,
        bucket: String,
        token: Option<&Token>,
        retention_days: Option<u32>,
    ) -> Result<Self, ArchiveError> {
        let management = setup::management(&base, &org, token)?;
        let http = Http::new(base, "Token", token)?;
        Ok(Self { http, management, org, bucket, retention_days })
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
        let (from, to) = span_ns(span);
        Pages { influx: self, key: key.clone(), from, to }
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
        let (mut from, to) = span_ns(span);
        let mut all = Vec::new();
        while all.len() < limit && from < to {
            let page = (limit - all.len()).min(PAGE_ROWS);
            let mut values = of_series(key).to_vec();
            values.extend([("tier", Literal::Text(tier.as_str())), page_of(page)]);
            let rows = self.query(flux::SUMMARIES, (from, to), &values).await?;
            for row in &rows {
                all.push(statistics_of(tier, row).map_err(ArchiveError::Answer)?);
            }
            match rows.last() {
                Some(last) if rows.len() == page => {
                    from = csv::time_ns(last).map_err(ArchiveError::Answer)? + 1;
                }
                _ => break,
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

/// A read in progress.
pub(crate) struct Pages<'a> {
    influx: &'a Influx,
    key: SeriesKey,
    from: i64,
    to: i64,
}

impl Pages<'_> {
    /// The next points, at most `most`; none at the end.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<Point>, ArchiveError> {
        if self.from >= self.to || most == 0 {
            return Ok(Vec::new());
        }
        let page = most.min(PAGE_ROWS);
        let mut values = of_series(&self.key).to_vec();
        values.push(page_of(page));
        let rows = self.influx.query(flux::POINTS, (self.from, self.to), &values).await?;
        self.from = match rows.last() {
            Some(last) if rows.len() == page => {
                csv::time_ns(last).map_err(ArchiveError::Answer)? + 1
            }
            _ => self.to,
        };
        rows.iter().map(point_of).collect::<Result<_, _>>().map_err(ArchiveError::Answer)
    }
}

fn of_series(key: &SeriesKey) -> [(&'static str, Literal<'_>); 2] {
    [("device", Literal::Text(key.device.as_str())), ("metric", Literal::Text(key.metric.as_str()))]
}

fn page_of(rows: usize) -> (&'static str, Literal<'static>) {
    ("limit", Literal::Whole(rows as i64))
}

/// A span in nanoseconds, from inclusive to exclusive, cut to what InfluxDB keeps.
fn span_ns(span: Span) -> (i64, i64) {
    let bound = |time: Timestamp| match time_ns(time, 0) {
        Ok(ns) => ns,
        Err(_) if time.as_millis() < 0 => ALL_NS.0,
        Err(_) => ALL_NS.1,
    };
    (bound(span.from), bound(span.to))
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
