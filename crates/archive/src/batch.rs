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
    /// Takes a row at `now`, or gives it back if the batch is full: write it first.
    pub fn push(&mut self, row: Row, now: Timestamp) -> Result<(), Row> {
        if self.is_full() {
            return Err(row);
        }
        self.since.get_or_insert(now);
        self.bytes += row.estimated_bytes();
        self.rows.push(row);
        Ok(())
    }

    /// Whether the batch should be written at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let waited = self.since.is_some_and(|since| now.since_ms(since) >= BATCH_AGE_MS);
        waited || self.is_full()
    }

    /// What has been gathered; nothing is left.
    pub fn take(&mut self) -> Vec<Row> {
        std::mem::take(self).rows
    }

    /// Whether nothing has been gathered.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
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
        assert!(!batcher.is_due(at) && batcher.is_empty());
        batcher.push(row(), at).unwrap();
        batcher.push(row(), at.plus_ms(BATCH_AGE_MS)).unwrap();
        assert!(!batcher.is_due(at.plus_ms(BATCH_AGE_MS - 1)));
        assert!(batcher.is_due(at.plus_ms(BATCH_AGE_MS)));
        assert_eq!(batcher.take().len(), 2);
        assert!(batcher.is_empty() && !batcher.is_due(at.plus_ms(9 * BATCH_AGE_MS)));
    }

    #[test]
    fn size_makes_it_due_and_full() {
        let mut batcher = Batcher::default();
        let at = Timestamp::from_millis(0);
        let taken =
            std::iter::repeat_with(row).take_while(|row| batcher.push(row.clone(), at).is_ok());
        let taken = taken.take(2 * BATCH_ROWS).count();
        assert_eq!(taken, BATCH_ROWS);
        assert!(batcher.is_due(at));
        batcher.take();
        assert!(batcher.push(row(), at).is_ok());
    }
}
