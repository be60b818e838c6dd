//! Every read of readings and summaries of the past, in one place: where they come from is nobody
//! else's business.
//!
//! The store answers for what it keeps. What is older than that, or than the store itself, is asked
//! of the archive, if there is one, and joined with what the store still has; where both have
//! something the store's counts.

use sen_archive::{Archive, ArchiveError, Statistics};
use sen_chassis::Clock;
use sen_model::time::DAY_MS;
use sen_model::{Extremes, Moment, Partial, SeriesKey, Tier, Timestamp};
use sen_store::downsample::Downsampler;
use sen_store::{Config, Point, Span, Store, StoreError, Summary};

/// What was measured; cheap to clone.
#[derive(Clone)]
pub(crate) struct Past {
    store: Store,
    /// How long the store keeps what.
    kept: Config,
    /// Tells what is too old for it.
    clock: Clock,
    archive: Option<Archive>,
}

/// How late a reading may come, in days: of what was measured so long before the store was begun it
/// may have something.
const LATE_DAYS: i64 = 30;

/// Why the past cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PastError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive failed: ask for what the store keeps.
    #[error("what is older than {from} is in the archive, which does not answer")]
    Archive {
        /// From when on it need not be asked.
        from: Timestamp,
        /// What it says.
        #[source]
        source: ArchiveError,
    },
}

impl Past {
    /// What a store holds, and what is kept beside it.
    pub(crate) fn new(store: Store, kept: Config, clock: Clock, archive: Option<Archive>) -> Self {
        Self { store, kept, clock, archive }
    }

    /// Only what the store holds: for what must not wait for a server elsewhere.
    pub(crate) fn at_hand(&self) -> Self {
        Self { archive: None, ..self.clone() }
    }

    /// Whether anything is kept of a series.
    pub(crate) async fn has(&self, series: &SeriesKey) -> Result<bool, PastError> {
        if self.store.find(&series.device, &series.metric).is_some() {
            return Ok(true);
        }
        let Some(archive) = &self.archive else { return Ok(false) };
        let from = Timestamp::from_millis(self.clock.now_ms());
        let archived = archive.latest(std::slice::from_ref(series)).await;
        let archived = archived.map_err(|source| PastError::Archive { from, source })?;
        Ok(archived.first().is_some_and(Option::is_some))
    }

    /// The finest that is kept of a series from a time on: a tier, or none for readings.
    pub(crate) fn finest(&self, series: &SeriesKey, from: Timestamp) -> Option<Tier> {
        let is_kept = |tier: &Option<Tier>| {
            let kept_from = self.kept_from(series, *tier);
            // Of a store so young that nothing of it has gone yet, everything is there.
            let begun = self.store.begun().map(|begun| begun.plus_ms(-LATE_DAYS * DAY_MS));
            from >= kept_from || begun.is_none_or(|begun| begun >= kept_from)
        };
        let all = std::iter::once(None).chain(Tier::ALL.map(Some));
        match &self.archive {
            Some(_) => None,
            None => all.into_iter().find(is_kept).unwrap_or(Some(Tier::Day)),
        }
    }

    /// Every series of which anything was kept.
    pub(crate) fn series(&self) -> Vec<SeriesKey> {
        self.store.series().into_iter().map(|(_, key)| key).collect()
    }

    /// Readings of a series in a span, by event time and sequence, at most `limit`.
    pub(crate) async fn points(
        &self,
        series: &SeriesKey,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Point>, PastError> {
        let stored = match self.store.find(&series.device, &series.metric) {
            Some(id) => self.store.points(id, span, limit).await?,
            None => Vec::new(),
        };
        let Some((archive, early)) = self.early(series, None, span) else { return Ok(stored) };
        let archived = archive.points(series, early, limit).await;
        let archived = archived.map_err(|source| PastError::Archive { from: early.to, source })?;
        Ok(joined(archived, stored, |point| (point.event_time, point.sequence), limit))
    }

    /// All readings of a series in a span if they are at most `most`, else the smallest and the
    /// largest of each of equal steps.
    pub(crate) async fn points_downsampled(
        &self,
        series: &SeriesKey,
        span: Span,
        most: usize,
    ) -> Result<Vec<Point>, PastError> {
        let stored = match self.store.find(&series.device, &series.metric) {
            Some(id) => self.store.points_downsampled(id, span, most).await?,
            None => Vec::new(),
        };
        let Some((archive, early)) = self.early(series, None, span) else { return Ok(stored) };
        let archived = archive.points_downsampled(series, early, most).await;
        let archived = archived.map_err(|source| PastError::Archive { from: early.to, source })?;
        let all = joined(archived, stored, |point| (point.event_time, point.sequence), usize::MAX);
        if all.len() <= most {
            return Ok(all);
        }
        // Peaks of peaks are peaks of the whole.
        let mut downsampler = Downsampler::new(span, most);
        all.into_iter().for_each(|point| downsampler.add(point));
        Ok(downsampler.finish())
    }

    /// Summaries of a tier whose windows start in a span, in order, at most `limit`.
    pub(crate) async fn summaries(
        &self,
        series: &SeriesKey,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Summary>, PastError> {
        let stored = match self.store.find(&series.device, &series.metric) {
            Some(id) => self.store.summaries(id, tier, span, limit).await?,
            None => Vec::new(),
        };
        let Some((archive, early)) = self.early(series, Some(tier), span) else {
            return Ok(stored);
        };
        let archived = archive.summaries(series, tier, early, limit).await;
        let archived = archived.map_err(|source| PastError::Archive { from: early.to, source })?;
        let archived = archived.into_iter().map(summary).collect();
        Ok(joined(archived, stored, |summary| summary.start, limit))
    }

    /// The part of a span of which the store may lack something, and who has it.
    fn early(
        &self,
        series: &SeriesKey,
        tier: Option<Tier>,
        span: Span,
    ) -> Option<(&Archive, Span)> {
        let archive = self.archive.as_ref()?;
        let kept_from = self.kept_from(series, tier);
        let whole_from = self.store.begun().map_or(kept_from, |begun| begun.max(kept_from));
        let early = Span { from: span.from, to: span.to.min(whole_from) };
        (early.from < early.to).then_some((archive, early))
    }

    /// What is older the store has deleted.
    fn kept_from(&self, series: &SeriesKey, tier: Option<Tier>) -> Timestamp {
        let days = i64::from(self.kept.kept_days(&series.metric, tier));
        Timestamp::from_millis(self.clock.now_ms()).plus_ms(-days * DAY_MS)
    }
}

/// Two runs in order as one, at most `limit`; of equal keys the stored one counts.
fn joined<T, K: Ord>(
    mut archived: Vec<T>,
    stored: Vec<T>,
    key: impl Fn(&T) -> K,
    limit: usize,
) -> Vec<T> {
    archived.retain(|one| stored.binary_search_by_key(&key(one), &key).is_err());
    archived.extend(stored);
    archived.sort_by_key(|one| key(one));
    archived.truncate(limit);
    archived
}

/// An archived summary. Not every server keeps the distribution: then the quantiles are missing,
/// and everything else is as near as its numbers are.
fn summary(archived: Statistics) -> Summary {
    let (start, tier) = (archived.start, archived.tier);
    let partial = archived.partial.clone().unwrap_or_else(|| without_distribution(&archived));
    Summary { start, tier, partial }
}

fn without_distribution(archived: &Statistics) -> Partial {
    let first = Moment { event_time: archived.start, sequence: 0, value: 0.0 };
    let last = Moment { event_time: archived.tier.end_of(archived.start).plus_ms(-1), ..first };
    let extremes = (|| {
        Some(Extremes {
            min: archived.min?,
            max: archived.max?,
            first: Moment { value: archived.first?, ..first },
            last: Moment { value: archived.last?, ..last },
        })
    })();
    let counts = (archived.count, archived.good_count);
    Partial::without_distribution(counts, archived.sum, archived.stddev, extremes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_equal_keys_the_stored_one_counts() {
        let found = joined(vec![(1, 'a'), (2, 'a')], vec![(2, 's'), (3, 's')], |one| one.0, 9);
        assert_eq!(found, [(1, 'a'), (2, 's'), (3, 's')]);
        assert_eq!(joined(vec![(1, 'a')], vec![(5, 's')], |one| one.0, 1), [(1, 'a')]);
    }
}
