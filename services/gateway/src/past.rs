//! Every read of readings and summaries of the past, in one place: where they come from is nobody
//! else's business.

use sen_model::{SeriesKey, Tier};
use sen_store::{Point, Span, Store, StoreError, Summary};

/// What was measured; cheap to clone.
#[derive(Clone)]
pub(crate) struct Past(Store);

impl Past {
    /// What a store holds.
    pub(crate) fn new(store: Store) -> Self {
        Self(store)
    }

    /// Whether anything was ever kept of a series.
    pub(crate) fn has(&self, series: &SeriesKey) -> bool {
        self.0.find(&series.device, &series.metric).is_some()
    }

    /// Every series of which anything was kept.
    pub(crate) fn series(&self) -> Vec<SeriesKey> {
        self.0.series().into_iter().map(|(_, key)| key).collect()
    }

    /// Readings of a series in a span, by event time and sequence, at most `limit`.
    pub(crate) async fn points(
        &self,
        series: &SeriesKey,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Point>, StoreError> {
        match self.0.find(&series.device, &series.metric) {
            Some(id) => self.0.points(id, span, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// All readings of a series in a span if they are at most `most`, else the smallest and the
    /// largest of each of equal steps.
    pub(crate) async fn points_downsampled(
        &self,
        series: &SeriesKey,
        span: Span,
        most: usize,
    ) -> Result<Vec<Point>, StoreError> {
        match self.0.find(&series.device, &series.metric) {
            Some(id) => self.0.points_downsampled(id, span, most).await,
            None => Ok(Vec::new()),
        }
    }

    /// Summaries of a tier whose windows start in a span, in order, at most `limit`.
    pub(crate) async fn summaries(
        &self,
        series: &SeriesKey,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        match self.0.find(&series.device, &series.metric) {
            Some(id) => self.0.summaries(id, tier, span, limit).await,
            None => Ok(Vec::new()),
        }
    }
}
