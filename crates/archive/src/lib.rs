//! External time-series servers as an archive beside the working store: InfluxDB 2 and
//! VictoriaMetrics.
//!
//! The working store keeps what a centre works with, exactly; an archive keeps it for longer, and
//! for other programs to look at. It takes readings and summaries that the working store has
//! resolved already, and gives them back.
//!
//! - Writing again what was written changes nothing, so the writer may begin anew from its cursor.
//! - A row that the server refuses costs that row: it comes back with its reason, the rest is
//!   written.
//! - Every error tells whether to try again, and what a person should do if not.
//! - Everything has a time limit; every answer is bounded.
//!
//! [`row`] is the schema, [`line`] how it is written, [`location`] where, [`batch`] how much at once,
//! [`search`] what becomes of a refused batch; `influx` and `victoria` are the two servers.

use std::sync::Arc;
use std::time::Duration;

use sen_model::{SeriesKey, Tier};
use sen_store::downsample::Downsampler;
use sen_store::{decode_partial, encode_partial};

pub mod batch;
mod error;
mod gzip;
mod http;
mod influx;
pub mod line;
pub mod location;
pub mod row;
mod search;
mod slices;
mod statistics;
mod victoria;

pub use error::ArchiveError;
pub use http::{REQUEST as REQUEST_TIMEOUT, Token};
pub use location::{InvalidLocation, Location};
pub use row::Row;
pub use sen_store::{Point, Span, Summary};
pub use statistics::Statistics;

use influx::Influx;
use row::Dialect;
use search::{Lines, Search, Verdict};
use victoria::Victoria;

/// Most rows of one write that may be refused by the server before the write ends with an error:
/// each costs a search. A batch of no more rows than that never ends so.
pub const MOST_REFUSED: usize = 32;

/// Measured: VictoriaMetrics 1.79 has a sample on disk after 11 s at most. The rest is for a busy
/// machine.
const VICTORIA_SETTLES: Duration = Duration::from_secs(30);

/// Which archive, and how to use it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is.
    pub location: Location,
    /// What lets us in, if it asks.
    pub token: Option<Token>,
    /// How many days InfluxDB's bucket keeps its points: 0 is for ever, none leaves it as it is.
    /// VictoriaMetrics is told on its command line.
    pub retention_days: Option<u32>,
}

impl Config {
    /// A location with everything else as it is by default.
    pub fn new(location: Location) -> Self {
        Self { location, token: None, retention_days: None }
    }
}

/// A server that keeps readings and summaries; cheap to clone.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Server>);

#[derive(Debug)]
enum Server {
    Influx(Influx),
    Victoria(Victoria),
}

/// What was found at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The server's version, where it tells.
    pub version: Option<String>,
    /// What a person should know, in sentences: what was changed, and what could be set better.
    pub warnings: Vec<String>,
}

/// What became of the rows of a write: those that are not here are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that the server or its line protocol cannot take, in no order.
    pub refused: Vec<Refused>,
}

/// A row that was not written and will not be, however often it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its index in the write.
    pub row: usize,
    /// Why.
    pub reason: String,
}

impl Archive {
    /// A client of the archive; connects to nothing yet.
    pub fn new(config: Config) -> Result<Self, ArchiveError> {
        Self::with_timeout(config, REQUEST_TIMEOUT)
    }

    /// As [`new`](Self::new), with another limit to how long a request may take.
    pub fn with_timeout(config: Config, timeout: Duration) -> Result<Self, ArchiveError> {
        let server = match &config.location {
            Location::InfluxDb { base, org, bucket } => {
                Server::Influx(Influx::new(base, org, bucket, &config, timeout)?)
            }
            Location::VictoriaMetrics { base } => {
                Server::Victoria(Victoria::new(base, &config, timeout)?)
            }
        };
        Ok(Self(Arc::new(server)))
    }

    /// Asks for health and sets up what is missing: before the first write, and again after a
    /// retryable error.
    pub async fn prepare(&self) -> Result<Prepared, ArchiveError> {
        match &*self.0 {
            Server::Influx(influx) => influx.prepare().await,
            Server::Victoria(victoria) => victoria.prepare().await,
        }
    }

    /// Writes rows, in requests of at most [`batch::BATCH_ROWS`] lines and [`batch::BATCH_BYTES`].
    ///
    /// On an error some rows may be written; write them all again. [`ArchiveError::TooManyRefused`]
    /// can be got past with writes of at most [`MOST_REFUSED`] rows.
    pub async fn write(&self, rows: &[Row]) -> Result<Written, ArchiveError> {
        let (lines, unfit) = Lines::of(rows, self.dialect());
        let unfit = unfit.into_iter();
        let mut refused: Vec<_> =
            unfit.map(|(row, refusal)| Refused { row, reason: refusal.to_string() }).collect();
        let mut search = Search::new();
        while let Some(range) = search.next(&lines) {
            let verdict = match self.send(lines.text(&range)).await {
                Ok(()) => Verdict::Taken,
                Err(ArchiveError::Rejected { status: 400 | 422, text }) => Verdict::Refused(text),
                Err(ArchiveError::TooLarge) => Verdict::TooLong,
                Err(error) => return Err(error),
            };
            search.tell(range, verdict);
            if search.refused.len() > MOST_REFUSED {
                let text = search.refused.pop().map(|(_, reason)| reason).unwrap_or_default();
                return Err(ArchiveError::TooManyRefused { refused: MOST_REFUSED, text });
            }
        }
        let culprits = search.refused.into_iter();
        refused.extend(culprits.map(|(line, reason)| Refused { row: lines.row(line), reason }));
        Ok(Written { refused })
    }

    /// How long after a write the server may still lose it, if it crashes: the writer's cursor
    /// stays that far behind. InfluxDB answers when its log is on disk; VictoriaMetrics answers
    /// from memory and writes to disk each few seconds.
    pub fn settles_after(&self) -> Duration {
        match &*self.0 {
            Server::Influx(_) => Duration::ZERO,
            Server::Victoria(_) => VICTORIA_SETTLES,
        }
    }

    /// What changes when the server is started anew, where what it was given may then be lost;
    /// none where nothing is, or where it does not tell.
    pub async fn life(&self) -> Result<Option<String>, ArchiveError> {
        match &*self.0 {
            Server::Influx(_) => Ok(None),
            Server::Victoria(victoria) => victoria.life().await,
        }
    }

    /// Makes what was written visible to reads now, where that takes a while by itself.
    pub async fn flush(&self) -> Result<(), ArchiveError> {
        match &*self.0 {
            Server::Influx(_) => Ok(()),
            Server::Victoria(victoria) => victoria.flush().await,
        }
    }

    /// Points of a series in a span, in order, at most `limit`.
    pub async fn points(
        &self,
        key: &SeriesKey,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Point>, ArchiveError> {
        let mut pages = self.pages(key, span);
        let mut points = Vec::new();
        while points.len() < limit {
            let page = pages.next(limit - points.len()).await?;
            if page.is_empty() {
                break;
            }
            points.extend(page);
        }
        points.truncate(limit);
        Ok(points)
    }

    /// At most `max_points` points of a series in a span, as the working store gives them: all of
    /// them if they fit, otherwise the smallest and the largest of each of equal steps.
    ///
    /// It reads every point of the span, page by page: over months, summaries are faster.
    pub async fn points_downsampled(
        &self,
        key: &SeriesKey,
        span: Span,
        max_points: usize,
    ) -> Result<Vec<Point>, ArchiveError> {
        let mut pages = self.pages(key, span);
        let mut downsampler = Downsampler::new(span, max_points);
        let mut first = Vec::new();
        let mut count = 0_usize;
        loop {
            let page = pages.next(usize::MAX).await?;
            if page.is_empty() {
                break;
            }
            count += page.len();
            page.iter().for_each(|point| downsampler.add(*point));
            if count <= max_points {
                first.extend(page);
            } else {
                first = Vec::new();
            }
        }
        Ok(if count <= max_points { first } else { downsampler.finish() })
    }

    /// Summaries of a series whose windows begin in a span, in order, at most `limit`.
    pub async fn summaries(
        &self,
        key: &SeriesKey,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Statistics>, ArchiveError> {
        match &*self.0 {
            Server::Influx(influx) => influx.summaries(key, tier, span, limit).await,
            Server::Victoria(victoria) => victoria.summaries(key, tier, span, limit).await,
        }
    }

    /// The latest point of each of these series; one request a series or two.
    pub async fn latest(&self, keys: &[SeriesKey]) -> Result<Vec<Option<Point>>, ArchiveError> {
        let mut latest = Vec::with_capacity(keys.len());
        for key in keys {
            latest.push(match &*self.0 {
                Server::Influx(influx) => influx.latest(key).await?,
                Server::Victoria(victoria) => victoria.latest(key).await?,
            });
        }
        Ok(latest)
    }

    /// Every series that has a reading.
    pub async fn series(&self) -> Result<Vec<SeriesKey>, ArchiveError> {
        match &*self.0 {
            Server::Influx(influx) => influx.series().await,
            Server::Victoria(victoria) => victoria.series().await,
        }
    }

    fn dialect(&self) -> Dialect {
        match &*self.0 {
            Server::Influx(_) => Dialect::InfluxDb,
            Server::Victoria(_) => Dialect::VictoriaMetrics,
        }
    }

    async fn send(&self, lines: &str) -> Result<(), ArchiveError> {
        match &*self.0 {
            Server::Influx(influx) => influx.send(lines).await,
            Server::Victoria(victoria) => victoria.send(lines).await,
        }
    }

    fn pages(&self, key: &SeriesKey, span: Span) -> Pages<'_> {
        match &*self.0 {
            Server::Influx(influx) => Pages::Influx(influx.pages(key, span)),
            Server::Victoria(victoria) => Pages::Victoria(victoria.pages(key, span)),
        }
    }
}

/// A read of points in progress.
enum Pages<'a> {
    Influx(influx::Pages<'a>),
    Victoria(victoria::Pages<'a>),
}

impl Pages<'_> {
    /// The next points, in order, about `most` of them; none at the end.
    async fn next(&mut self, most: usize) -> Result<Vec<Point>, ArchiveError> {
        match self {
            Self::Influx(pages) => pages.next(most).await,
            Self::Victoria(pages) => pages.next().await,
        }
    }
}
