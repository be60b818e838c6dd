//! VictoriaMetrics, a single node: line protocol in, its Prometheus and export APIs out.

use std::time::Duration;

use reqwest::Url;
use sen_model::{SeriesKey, Tier, Timestamp};

use crate::error::ArchiveError;
use crate::gzip::post_gzip;
use crate::http::{ANSWER_BYTES, Http, ask};
use crate::slices::Slices;
use crate::statistics::Statistics;
use crate::{Config, Point, Prepared, Span};

mod export;

/// The times it may hold, in milliseconds: 1970 to 2100.
const ALL_MS: (i64, i64) = (0, 4_102_444_800_000);
/// An answer below this is short: the next slice may be longer.
const SHORT_BYTES: usize = ANSWER_BYTES / 16;
/// A look-back that reaches 1970 from [`ALL_MS`]'s end.
const LOOK_BACK: &str = "130y";

#[derive(Clone, Debug)]
pub(crate) struct Victoria(Http);

impl Victoria {
    pub(crate) fn new(
        base: &Url,
        config: &Config,
        timeout: Duration,
    ) -> Result<Self, ArchiveError> {
        let token = config.token.as_ref();
        Http::new(base.clone(), "Bearer", token, timeout).map(Self)
    }

    /// Health, and warnings about settings that lose or double samples.
    pub(crate) async fn prepare(&self) -> Result<Prepared, ArchiveError> {
        let health = ask(self.0.get("health")?).await?;
        if !health.starts_with(b"OK") {
            return Err(ArchiveError::Answer("it is not that of VictoriaMetrics".into()));
        }
        // May be closed to us by a key of its own; then we know less.
        let metrics = ask(self.0.get("metrics")?).await.unwrap_or_default();
        let metrics = String::from_utf8_lossy(&metrics);
        let version = ["short_version", "version"]
            .iter()
            .find_map(|key| export::told(&metrics, "vm_app_version", key))
            .map(str::to_owned);
        let mut warnings = Vec::new();
        let flag = |name: &str, key| {
            export::told(&metrics, &format!("flag{{name=\"{name}\""), key).unwrap_or_default()
        };
        if matches!(flag("dedup.minScrapeInterval", " value"), "" | "0s") {
            warnings.push(
                "VictoriaMetrics keeps repeated samples: Sen reads past them, other readers see \
                 them twice; start it with -dedup.minScrapeInterval=1ms"
                    .to_owned(),
            );
        }
        if flag("retentionPeriod", "is_set") != "true" {
            warnings.push(
                "VictoriaMetrics keeps one month unless told otherwise and drops older samples \
                 without a word; start it with -retentionPeriod=10y, say"
                    .to_owned(),
            );
        }
        Ok(Prepared { version, warnings })
    }

    /// When this process of the server began, as it says; none where it is closed to us.
    pub(crate) async fn life(&self) -> Result<Option<String>, ArchiveError> {
        let metrics = match ask(self.0.get("metrics")?).await {
            Err(error @ ArchiveError::Unreachable { .. }) => return Err(error),
            metrics => metrics.unwrap_or_default(),
        };
        let metrics = String::from_utf8_lossy(&metrics);
        let began = metrics.lines().find_map(|line| line.strip_prefix("vm_app_start_timestamp "));
        Ok(began.map(str::to_owned))
    }

    /// Writes lines. The server drops what it cannot parse and says 204 all the same.
    pub(crate) async fn send(&self, lines: &str) -> Result<(), ArchiveError> {
        ask(post_gzip(self.0.post("api/v2/write")?, lines)?).await?;
        Ok(())
    }

    /// The readings of a series in a span, page by page.
    pub(crate) fn pages(&self, key: &SeriesKey, span: Span) -> Pages<'_> {
        let selector = selector("reading_(value|quality|received_at)", key, None);
        Pages { victoria: self, selector, slices: Slices::new(span, ALL_MS, 1) }
    }

    pub(crate) async fn latest(&self, key: &SeriesKey) -> Result<Option<Point>, ArchiveError> {
        let selector = selector("reading_value", key, None);
        let query = format!("tlast_over_time({selector}[{LOOK_BACK}])");
        let end = seconds(ALL_MS.1);
        let request = self.0.get("api/v1/query")?;
        let request = request.query(&[("query", &*query), ("time", &end), ("nocache", "1")]);
        let found = export::largest(&ask(request).await?).map_err(ArchiveError::Answer)?;
        let Some(time_s) = found else { return Ok(None) };
        let at = Timestamp::from_millis((time_s * 1e3).round() as i64);
        let mut pages = self.pages(key, Span { from: at, to: at.plus_ms(1) });
        Ok(pages.next().await?.pop())
    }

    pub(crate) async fn summaries(
        &self,
        key: &SeriesKey,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Statistics>, ArchiveError> {
        let selector = selector("summary_.+", key, Some(tier));
        // A summary stands anywhere in its window: read whole windows.
        let whole = Span { from: tier.start_of(span.from), ..span };
        let mut slices = Slices::new(whole, ALL_MS, tier.length_ms());
        let mut all = Vec::new();
        while let Some(slice) = slices.current().filter(|_| all.len() < limit) {
            let last = Timestamp::from_millis(slice.to.as_millis().saturating_sub(1));
            let windows = Span { from: slice.from, to: tier.end_of(tier.start_of(last)) };
            match self.export(&selector, windows).await {
                Ok(bytes) => {
                    let found = export::statistics(&bytes, tier, span);
                    let found = found.map_err(ArchiveError::Answer)?;
                    all.extend(found.into_iter().filter(|one| slice.contains(one.start)));
                    slices.advance(bytes.len() < SHORT_BYTES);
                }
                Err(ArchiveError::AnswerTooLong { .. }) if slices.shorten() => {}
                Err(error) => return Err(error),
            }
        }
        all.truncate(limit);
        Ok(all)
    }

    pub(crate) async fn series(&self) -> Result<Vec<SeriesKey>, ArchiveError> {
        let (from, to) = (seconds(1_000), seconds(ALL_MS.1));
        let request = self.0.get("api/v1/series")?;
        let request =
            request.query(&[("match[]", "reading_value"), ("start", &from), ("end", &to)]);
        export::series(&ask(request).await?).map_err(ArchiveError::Answer)
    }

    /// Makes what was written visible to queries now; by itself that takes a second or two.
    pub(crate) async fn flush(&self) -> Result<(), ArchiveError> {
        ask(self.0.get("internal/force_flush")?).await.map(drop)
    }

    async fn export(&self, selector: &str, span: Span) -> Result<Vec<u8>, ArchiveError> {
        // A millisecond more on either side, since these are seconds in floats there; what is
        // outside of the span is left out when it has been read.
        let from = seconds(span.from.as_millis().saturating_sub(1).max(0));
        let to = seconds(span.to.as_millis().saturating_add(1));
        let request = self.0.get("api/v1/export")?;
        ask(request.query(&[("match[]", selector), ("start", &from), ("end", &to)])).await
    }
}

/// A read in progress.
pub(crate) struct Pages<'a> {
    victoria: &'a Victoria,
    selector: String,
    slices: Slices,
}

impl Pages<'_> {
    /// The next points; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<Point>, ArchiveError> {
        while let Some(slice) = self.slices.current() {
            match self.victoria.export(&self.selector, slice).await {
                Ok(bytes) => {
                    self.slices.advance(bytes.len() < SHORT_BYTES);
                    let points = export::points(&bytes, slice).map_err(ArchiveError::Answer)?;
                    if !points.is_empty() {
                        return Ok(points);
                    }
                }
                Err(ArchiveError::AnswerTooLong { .. }) if self.slices.shorten() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }
}

/// Selects the series whose name matches. The names of devices, metrics and tiers have no
/// character that means something between quotes: their types see to that.
fn selector(names: &str, key: &SeriesKey, tier: Option<Tier>) -> String {
    let SeriesKey { device, metric } = key;
    let tier = tier.map(|tier| format!(",tier=\"{tier}\"")).unwrap_or_default();
    format!("{{__name__=~\"{names}\",device=\"{device}\",metric=\"{metric}\"{tier}}}")
}

/// Milliseconds as seconds, exactly.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000))
}
