//! Walks series after series through the store and writes their rows, a slice at a time, so that
//! memory stays bounded and nobody else waits long for the store.

use std::io::Write;
use std::ops::ControlFlow;

use sen_model::{Registry, SeriesKey, Tier, Timestamp};
use sen_store::{Point, SeriesId, Span, Store, StoreError};
use sen_table::{Encoder, TableError};

use crate::rows::{Resolution, RowsOf};

/// Readings or summaries asked of the store at once. Only if more readings than this share one
/// millisecond of one series is a slice larger.
const SLICE: usize = 5_000;

/// What is written.
pub struct Job<'j> {
    /// Where it comes from.
    pub store: &'j Store,
    /// What its series are called.
    pub registry: &'j Registry,
    /// Which series, in this order.
    pub series: Vec<(SeriesId, SeriesKey)>,
    /// Of which time; of summaries those whose window begins in it.
    pub span: Span,
    /// Readings or summaries.
    pub resolution: Resolution,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Series that are complete.
    pub series: usize,
    /// Rows written.
    pub rows: u64,
}

/// Why a table is not complete.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store could not be read.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// The table could not be written.
    #[error("cannot write the table")]
    Table(#[from] TableError),
    /// The caller asked to stop.
    #[error("stopped before it was complete")]
    Stopped,
}

impl Job<'_> {
    /// Takes the series of the store that fit, by device and metric.
    pub fn chosen(store: &Store, fits: impl Fn(&SeriesKey) -> bool) -> Vec<(SeriesId, SeriesKey)> {
        let mut series = store.series();
        series.retain(|(_, key)| fits(key));
        series.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
        series
    }

    /// Writes every row. After each slice the caller hears how far it is and may break it off.
    pub async fn write<W: Write + Send>(
        &self,
        table: &mut Encoder<W>,
        mut after_slice: impl FnMut(Done, &mut W) -> ControlFlow<()>,
    ) -> Result<Done, WriteError> {
        let mut done = Done::default();
        for (id, key) in &self.series {
            let rows = RowsOf::new(self.registry, key);
            let mut from = Some(self.span.from);
            while let Some(start) = from {
                let span = Span { from: start, to: self.span.to };
                from = match self.resolution {
                    Resolution::Raw => self.readings(*id, &rows, span, table).await?,
                    Resolution::Of(tier) => self.summaries(*id, tier, &rows, span, table).await?,
                };
                done.rows = table.count();
                if after_slice(done, table.out_mut()).is_break() {
                    return Err(WriteError::Stopped);
                }
            }
            done.series += 1;
        }
        // Also with no series at all, and with the last one counted.
        let _ = after_slice(done, table.out_mut());
        Ok(done)
    }

    /// Writes a slice of readings and tells where the next one begins.
    async fn readings<W: Write + Send>(
        &self,
        id: SeriesId,
        rows: &RowsOf<'_>,
        span: Span,
        table: &mut Encoder<W>,
    ) -> Result<Option<Timestamp>, WriteError> {
        let (points, next) = slice(self.store, id, span, SLICE).await?;
        let mut cells = Vec::new();
        for point in &points {
            rows.reading(point.event_time, point.value, point.quality, &mut cells);
            table.row(&cells)?;
        }
        Ok(next)
    }

    /// Writes a slice of summaries and tells where the next one begins.
    async fn summaries<W: Write + Send>(
        &self,
        id: SeriesId,
        tier: Tier,
        rows: &RowsOf<'_>,
        span: Span,
        table: &mut Encoder<W>,
    ) -> Result<Option<Timestamp>, WriteError> {
        let found = self.store.summaries(id, tier, span, SLICE).await?;
        let mut cells = Vec::new();
        for summary in found.iter().filter(|summary| !summary.partial.is_empty()) {
            rows.summary(summary.start, &summary.partial, &mut cells);
            table.row(&cells)?;
        }
        let last = found.last().filter(|_| found.len() >= SLICE);
        Ok(last.map(|last| last.start.plus_ms(1)))
    }
}

/// Readings of the beginning of a span, whole milliseconds only, and where the next slice begins.
///
/// Readings of one millisecond differ by their sequence, which no span can be cut by: those of the
/// last one are left to the next slice, since there may be more of them.
async fn slice(
    store: &Store,
    id: SeriesId,
    span: Span,
    mut limit: usize,
) -> Result<(Vec<Point>, Option<Timestamp>), StoreError> {
    loop {
        let mut points = store.points(id, span, limit).await?;
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Ok((points, None));
        };
        let (first, last) = (first.event_time, last.event_time);
        if points.len() < limit {
            return Ok((points, None));
        }
        if first < last {
            points.truncate(points.partition_point(|point| point.event_time < last));
            return Ok((points, Some(last)));
        }
        limit *= 2;
    }
}
