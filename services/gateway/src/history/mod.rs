//! The last 24 hours of every tile, for all screens at once: gathered from the store when a screen
//! asks, kept for some seconds, so that a hundred screens that start together cost as much as one.
//!
//! It is made of readings, not of summaries: a reading is in the store at once and a summary only
//! after the next commit, and a day of one series is a few compressed blocks against 1,440 rows.
//! The newest minutes are read anew for every answer, so that no reading falls between an answer
//! that was kept and the first values that a screen hears live.

mod line;

use std::sync::Arc;

use sen_model::time::{DAY_MS, MINUTE_MS};
use sen_model::{DeviceId, Metric, Quality, Registry, SeriesKey, Tier, Timestamp};
use sen_store::{Span, StoreError};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use crate::past::{Past, PastError};
use crate::wall::{Statistic, Tile, Wall};
use line::{Chorus, Grid, Voice, minute_of};
pub(crate) use line::{Line, Step, start_of};

/// How far back a history reaches.
pub(crate) const REACH_MS: i64 = DAY_MS;
/// Devices of a tile that has a history, at most. Of more than these there is none: a sum over
/// some would be drawn as if it were the whole.
pub(crate) const MOST_DEVICES: usize = 1_000;
/// How long a line is kept.
const KEPT_MS: i64 = 20_000;
/// Minutes gathered for whoever was away for less than that, and for all others: a day and the
/// minute it began in.
const HOUR: i64 = 61;
const DAY: i64 = DAY_MS / MINUTE_MS + 1;
/// Readings of one device looked at, at most: a little more than one a second for a day. Of a
/// device that sends more, the minutes are taken from their summaries.
const MOST_READINGS: usize = 100_000;
/// A reading counts for this many intervals of its device; then the tile calls the device lost.
const BELIEVED_INTERVALS: i64 = 5;

/// The histories of all tiles.
pub(crate) struct Histories {
    tiles: Vec<Arc<History>>,
    /// One gathers at a time: the store has other askers.
    turn: Arc<Semaphore>,
}

/// That of one tile.
struct History {
    source: Source,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// What was gathered.
struct Kept {
    at: Timestamp,
    line: Line,
}

/// Which readings make a tile.
struct Source {
    tile: String,
    metric: Metric,
    statistic: Option<Statistic>,
    /// Each with the minutes for which its readings count after their own.
    devices: Vec<(DeviceId, i64)>,
}

impl Histories {
    /// Of these tiles; nothing is read yet.
    pub(crate) fn new(wall: &Wall, registry: &Registry) -> Self {
        let history = |tile| {
            let source = Source::of(tile, registry);
            Arc::new(History { source, kept: Arc::default() })
        };
        Self { tiles: wall.tiles.iter().map(history).collect(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// How many devices a tile is over; none if there is no such tile.
    pub(crate) fn devices(&self, tile: &str) -> Option<usize> {
        self.find(tile).map(|history| history.source.devices.len())
    }

    /// What a tile said from `from`, or a day ago if that is later, to `now`. Off the async threads; whoever
    /// asks for the same tile meanwhile waits and takes what is there then.
    pub(crate) async fn line(
        &self,
        tile: &str,
        past: &Past,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Line>, PastError> {
        let Some(history) = self.find(tile).map(Arc::clone) else { return Ok(None) };
        let from = from.max(now.plus_ms(-REACH_MS));
        let mut kept = Arc::clone(&history.kept).lock_owned().await;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (past, runtime) = (past.clone(), tokio::runtime::Handle::current());
        let gather = move || {
            // Both are held until the end, even if whoever asked has gone.
            let _turn = turn;
            runtime.block_on(history.source.current(&mut kept, &past, from, now))
        };
        tokio::task::spawn_blocking(gather).await.map_err(|_| StoreError::Closed)?.map(Some)
    }

    fn find(&self, tile: &str) -> Option<&Arc<History>> {
        self.tiles.iter().find(|history| history.source.tile == tile)
    }
}

impl Kept {
    fn serves(&self, from: Timestamp, now: Timestamp) -> bool {
        (0..KEPT_MS).contains(&now.since_ms(self.at)) && self.line.reaches(minute_of(from))
    }
}

impl Source {
    fn of(tile: &Tile, registry: &Registry) -> Self {
        let devices = match &tile.device {
            // One device has gaps where it was silent.
            Some(device) => vec![(device.clone(), 0)],
            None => registry
                .devices()
                .filter(|device| tile.kind.as_ref() == Some(&device.kind))
                .filter(|device| device.metric(&tile.metric).is_some())
                .map(|device| (device.id.clone(), believed_minutes(device.interval_ms)))
                .collect(),
        };
        let (tile, metric, statistic) = (tile.id.clone(), tile.metric.clone(), tile.statistic);
        Self { tile, metric, statistic, devices }
    }

    /// The line kept, gathered anew if it is old or too short, with the newest minutes of now.
    async fn current(
        &self,
        kept: &mut OwnedMutexGuard<Option<Kept>>,
        past: &Past,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Line, PastError> {
        let last = minute_of(now);
        match kept.as_ref().filter(|kept| kept.serves(from, now)) {
            Some(Kept { at, line }) => {
                let mut line = line.clone();
                let newest = Grid::between(minute_of(*at) - 1, last);
                line.renew(self.gather(past, newest, MOST_READINGS).await?);
                Ok(line)
            }
            None => {
                let minutes = if minute_of(from) > last - HOUR { HOUR } else { DAY };
                let grid = Grid::between(last - minutes + 1, last);
                let line = self.gather(past, grid, MOST_READINGS).await?;
                **kept = Some(Kept { at: now, line: line.clone() });
                Ok(line)
            }
        }
    }

    /// The line of some minutes from the store, one device after the other.
    async fn gather(&self, past: &Past, grid: Grid, most: usize) -> Result<Line, PastError> {
        let mut chorus = Chorus::new(grid);
        for (device, believed) in &self.devices {
            let series = SeriesKey { device: device.clone(), metric: self.metric.clone() };
            let voice = listen(past, &series, grid, *believed, most).await?;
            chorus.add(&voice, *believed);
        }
        Ok(chorus.line(self.statistic))
    }
}

/// The good readings of one series; of more than `most` the minutes from their summaries, and only
/// what came after these as readings.
async fn listen(
    past: &Past,
    series: &SeriesKey,
    grid: Grid,
    before: i64,
    most: usize,
) -> Result<Voice, PastError> {
    let mut voice = Voice::new(grid);
    let mut span = Span { from: grid.from().plus_ms(-before * MINUTE_MS), to: grid.to() };
    let mut points = past.points(series, span, most + 1).await?;
    if points.len() > most {
        let minutes = usize::try_from(before).unwrap_or(0) + grid.len;
        for summary in past.summaries(series, Tier::Minute, span, minutes).await? {
            span.from = summary.start.plus_ms(MINUTE_MS);
            if let Some(extremes) = summary.partial.extremes {
                let (min, value, max) = (extremes.min, extremes.last.value, extremes.max);
                voice.add(minute_of(summary.start), Step { min, value, max });
            }
        }
        points = past.points(series, span, most).await?;
    }
    for point in points.iter().filter(|point| point.quality == Quality::Good) {
        voice.reading(point.event_time, point.value);
    }
    Ok(voice)
}

/// At least one minute, at most a day.
fn believed_minutes(interval_ms: i64) -> i64 {
    let ms = interval_ms.saturating_mul(BELIEVED_INTERVALS);
    (ms.clamp(1, DAY_MS) - 1) / MINUTE_MS + 1
}

#[cfg(test)]
mod tests;
