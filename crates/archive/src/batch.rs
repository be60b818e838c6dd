//! When to write: by size and by age. Pure: time is an input.

use sen_model::Timestamp;

use crate::row::Row;

/// Most rows of one batch, and most lines of one request.
pub const BATCH_ROWS: usize = 5_000;
/// Most bytes of one batch, about, and of the lines of one request before gzip.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// How long the first row of a batch waits for company, in milliseconds.
pub const BATCH_AGE_MS: i64 = 1_000;

/// Gathers rows until there are enough of them, or the first has waited long enough.
#[derive(Debug, Default)]
pub struct Batcher {
    rows: Vec<Row>,
    bytes: usize,
    /// When the first row came.
    since: Option<Timestamp>,
}

impl Batcher {
    /// Takes a row at `now`; gives the batch to be written once it is full.
    #[must_use = "what it gives is to be written"]
    pub fn push(&mut self, row: Row, now: Timestamp) -> Option<Vec<Row>> {
        self.since.get_or_insert(now);
        self.bytes += row.estimated_bytes();
        self.rows.push(row);
        let is_full = self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES;
        is_full.then(|| self.take())
    }

    /// The batch, if its first row has waited long enough at `now`.
    #[must_use = "what it gives is to be written"]
    pub fn due(&mut self, now: Timestamp) -> Option<Vec<Row>> {
        let waited = self.since.is_some_and(|since| now.since_ms(since) >= BATCH_AGE_MS);
        waited.then(|| self.take())
    }

    /// What has been gathered; nothing is left.
    pub fn take(&mut self) -> Vec<Row> {
        std::mem::take(self).rows
    }

    /// Whether nothing has been gathered.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use sen_model::{DeviceId, Metric, Quality, SeriesKey};
    use sen_store::Point;

    use super::*;

    fn row() -> Row {
        let device = DeviceId::new("stn-01").unwrap();
        let key = SeriesKey { device, metric: Metric::new("level_m").unwrap() };
        let at = Timestamp::from_millis(0);
        let point = Point {
            event_time: at,
            sequence: 0,
            value: 1.0,
            quality: Quality::Good,
            received_at: at,
        };
        Row::Reading(key, point)
    }

    #[test]
    fn age_makes_it_due() {
        let mut batcher = Batcher::default();
        let at = Timestamp::from_millis(500);
        assert!(batcher.due(at).is_none() && batcher.is_empty());
        assert!(batcher.push(row(), at).is_none());
        assert!(batcher.push(row(), at.plus_ms(BATCH_AGE_MS)).is_none());
        assert!(batcher.due(at.plus_ms(BATCH_AGE_MS - 1)).is_none());
        assert_eq!(batcher.due(at.plus_ms(BATCH_AGE_MS)).unwrap().len(), 2);
        assert!(batcher.is_empty() && batcher.due(at.plus_ms(9 * BATCH_AGE_MS)).is_none());
    }

    #[test]
    fn size_makes_it_full() {
        let mut batcher = Batcher::default();
        let at = Timestamp::from_millis(0);
        let given: Vec<_> = (0..2 * BATCH_ROWS).filter_map(|_| batcher.push(row(), at)).collect();
        assert_eq!(given.iter().map(Vec::len).collect::<Vec<_>>(), [BATCH_ROWS; 2]);
        assert!(batcher.take().is_empty());
    }
}
