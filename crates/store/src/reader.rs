//! Queries: a few reading connections, each used by one blocking task at a time. What the writer
//! must look up has a connection of its own, so that no question of people makes readings wait.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use sen_model::{Partial, Tier, Timestamp};
use tokio::sync::Semaphore;

use crate::downsample::Downsampler;
use crate::head::{Shared, Wanted};
use crate::point::{Point, SeriesId, Span, Summary, day_of};
use crate::seal::note_damage;
use crate::unsent::{self, Unsent};
use crate::{StoreError, chunk, database, merge, tiers};

/// Queries that read the disk at the same time; the others wait.
const CONNECTIONS: usize = 2;
/// Look-ups for the writer at the same time: it is one task.
const WRITER_CONNECTIONS: usize = 1;

/// The reading side of the store.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    file: PathBuf,
    /// For people.
    pub(crate) queries: Lane,
    /// For the writer.
    pub(crate) look_ups: Lane,
}

/// Connections for one kind of questions.
pub(crate) struct Lane {
    file: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    pub(crate) turns: Arc<Semaphore>,
}

impl Readers {
    /// Over a file that exists; connections are opened when they are first needed.
    pub(crate) fn new(file: PathBuf, shared: Arc<Shared>) -> Self {
        let lane = |connections| Lane {
            file: file.clone(),
            idle: Arc::default(),
            turns: Arc::new(Semaphore::new(connections)),
        };
        Self { queries: lane(CONNECTIONS), look_ups: lane(WRITER_CONNECTIONS), shared, file }
    }

    /// Points of a series in a span, in order, at most `limit`.
    pub(crate) async fn points(
        &self,
        series: SeriesId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Point>, StoreError> {
        let taking = (Vec::new(), limit);
        let (points, _) = self
            .scan(series, span, taking, |(points, limit), point| {
                if points.len() >= *limit {
                    return ControlFlow::Break(());
                }
                points.push(point);
                ControlFlow::Continue(())
            })
            .await?;
        Ok(points)
    }

    /// Points of a series in a span, thinned to at most `max_points`.
    pub(crate) async fn points_downsampled(
        &self,
        series: SeriesId,
        span: Span,
        max_points: usize,
    ) -> Result<Vec<Point>, StoreError> {
        // All of them as long as they fit; from then on smallest and largest of each step.
        struct Thinning {
            all: Vec<Point>,
            thinned: Option<Downsampler>,
        }
        let begin = Thinning { all: Vec::new(), thinned: None };
        let end = self
            .scan(series, span, begin, move |so_far, point| {
                match &mut so_far.thinned {
                    Some(thinned) => thinned.add(point),
                    None if so_far.all.len() < max_points => so_far.all.push(point),
                    None => {
                        let mut thinned = Downsampler::new(span, max_points);
                        so_far.all.drain(..).for_each(|earlier| thinned.add(earlier));
                        thinned.add(point);
                        so_far.thinned = Some(thinned);
                    }
                }
                ControlFlow::Continue(())
            })
            .await?;
        Ok(end.thinned.map_or(end.all, Downsampler::finish))
    }

    /// The aggregate of each window; for the writer.
    pub(crate) async fn fold(
        &self,
        windows: Vec<(SeriesId, Span)>,
    ) -> Result<Vec<Partial>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let in_memory = |(series, span): &(SeriesId, Span)| {
            let (points, sealed_to) = shared.head().points_in(*series, *span);
            let only = sealed_to.is_none_or(|sealed_to| sealed_to < span.first_ms());
            (points, only)
        };
        let found: Vec<(Vec<Point>, bool)> = windows.iter().map(in_memory).collect();
        if found.iter().all(|(_, only)| *only) {
            return Ok(found.iter().map(|(points, _)| fold(points)).collect());
        }
        self.look_ups
            .read(move |connection| {
                let windows = windows.into_iter().zip(found);
                let folded = windows.map(|((series, span), (points, only))| {
                    if only {
                        return Ok(fold(&points));
                    }
                    let mut partial = Partial::default();
                    scan(connection, series, span, points, |point| {
                        partial.add(point.moment(), point.quality);
                        ControlFlow::Continue(())
                    })?;
                    Ok(partial)
                });
                folded.collect()
            })
            .await
    }

    /// Summaries of a series in a span, in order, at most `limit`.
    pub(crate) async fn summaries(
        &self,
        series: SeriesId,
        tier: Tier,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        let (mut found, mut from) = (Vec::new(), Some(span.first_ms()));
        // Others take their turns between, and nothing goes on once nobody waits for the answer.
        while let Some(first) = from.filter(|_| found.len() < limit) {
            let (span, limit) = (first..=span.last_ms(), limit - found.len());
            let look = move |connection: &Connection| {
                // One moment for rows and marks; reading, it ends by being dropped.
                let moment = connection.unchecked_transaction()?;
                tiers::windows(&moment, tier, series, &span, limit)
            };
            let (mut some, next) = self.queries.read(look).await?;
            found.append(&mut some);
            from = next;
        }
        Ok(found)
    }

    /// Marked summaries, for the archive.
    pub(crate) async fn unsent(
        &self,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Unsent>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.queries.read(move |connection| unsent::find(connection, &shared, until, limit)).await
    }

    /// Which of the wanted points are in chunks: their places in the batch, in order; for the
    /// writer.
    pub(crate) async fn which_are_sealed(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<usize>, StoreError> {
        self.look_ups
            .read(move |connection| {
                let mut sealed = Vec::new();
                look_up(connection, wanted, |index, _| sealed.push(index))?;
                sealed.sort_unstable();
                Ok(sealed)
            })
            .await
    }

    /// The stored point of each identity, in their order.
    pub(crate) async fn stored(
        &self,
        identities: &[(SeriesId, Timestamp, u32)],
    ) -> Result<Vec<Option<Point>>, StoreError> {
        let (mut stored, mut elsewhere) = (Vec::with_capacity(identities.len()), Vec::new());
        {
            let head = self.shared.head();
            for (index, (series, event_time, sequence)) in identities.iter().enumerate() {
                let identity = (event_time.as_millis(), *sequence);
                let here = head.point(*series, identity);
                if here.is_none() {
                    elsewhere.push(Wanted { series: *series, identity, index });
                }
                stored.push(here);
            }
        }
        if elsewhere.is_empty() {
            return Ok(stored);
        }
        self.queries
            .read(move |connection| {
                look_up(connection, elsewhere, |index, point| stored[index] = Some(*point))?;
                Ok(stored)
            })
            .await
    }

    /// Size of the files, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let size = |ending: &str| {
            let path = format!("{}{ending}", self.file.display());
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        size("") + size("-wal")
    }

    /// Feeds the points of a series in a span, in order, to `take` until it breaks.
    async fn scan<S: Send + 'static>(
        &self,
        series: SeriesId,
        span: Span,
        mut state: S,
        mut take: impl FnMut(&mut S, Point) -> ControlFlow<()> + Send + 'static,
    ) -> Result<S, StoreError> {
        // The head first, the chunks after: a point may go from the one to the other between.
        let (points, sealed_to) = self.shared.head().points_in(series, span);
        if sealed_to.is_none_or(|sealed_to| sealed_to < span.first_ms()) {
            let _ = points.into_iter().try_for_each(|point| take(&mut state, point));
            return Ok(state);
        }
        self.queries
            .read(move |connection| {
                scan(connection, series, span, points, |point| take(&mut state, point))?;
                Ok(state)
            })
            .await
    }
}

impl Lane {
    /// Runs a query on a free connection, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (idle, file) = (Arc::clone(&self.idle), self.file.clone());
        let run = move || {
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = free.map_or_else(|| database::connect_to_read(&file), Ok)?;
            let answer = query(&connection);
            match &answer {
                // A connection that failed may be broken: the next query opens another.
                Err(StoreError::Database(_)) => {}
                _ => idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection),
            }
            drop(turn);
            answer
        };
        tokio::task::spawn_blocking(run).await.map_err(|_| StoreError::Closed)?
    }
}

fn fold(points: &[Point]) -> Partial {
    let mut partial = Partial::default();
    points.iter().for_each(|point| partial.add(point.moment(), point.quality));
    partial
}

/// Feeds points of the head and of chunks, in order and each once, to `take` until it breaks.
fn scan(
    connection: &Connection,
    series: SeriesId,
    span: Span,
    head: Vec<Point>,
    mut take: impl FnMut(Point) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let (from, last) = (span.first_ms(), span.last_ms());
    let mut head = VecDeque::from(head);
    let mut next_day = connection.prepare_cached("SELECT min(day) FROM chunk WHERE day >= ?1")?;
    let mut select = connection.prepare_cached(
        "SELECT points FROM chunk
         WHERE day = ?1 AND series = ?2 AND first_time <= ?3 AND last_time >= ?4
         ORDER BY first_time, first_sequence",
    )?;
    let mut from_day = day_of(from);
    // Only days that exist are visited, however wide the span.
    while let Some(day) = next_day.query_row([from_day], |row| row.get::<_, Option<i64>>(0))? {
        if day > day_of(last) {
            break;
        }
        let mut rows = select.query(params![day, series.0, last, from])?;
        while let Some(row) = rows.next()? {
            let chunk = row.get_ref(0)?.as_blob().ok().and_then(|it| chunk::decode(day, it));
            let Some(chunk) = chunk else {
                note_damage(series, day);
                continue;
            };
            let inside: Vec<Point> =
                chunk.into_iter().filter(|point| span.contains(point.event_time)).collect();
            let Some(last) = inside.last().map(Point::identity) else { continue };
            let until = head.partition_point(|point| point.identity() <= last);
            let before: Vec<Point> = head.drain(..until).collect();
            let mut merged = merge::merge(&inside, &before).into_iter();
            if merged.try_for_each(&mut take).is_break() {
                return Ok(());
            }
        }
        from_day = day + 1;
    }
    let _ = head.into_iter().try_for_each(take);
    Ok(())
}

/// Finds points in chunks, and hands each over with its place in the batch.
fn look_up(
    connection: &Connection,
    mut wanted: Vec<Wanted>,
    mut found: impl FnMut(usize, &Point),
) -> Result<(), StoreError> {
    wanted.sort_unstable();
    let together = |a: &Wanted, b: &Wanted| {
        a.series == b.series && day_of(a.identity.0) == day_of(b.identity.0)
    };
    wanted.chunk_by(together).try_for_each(|run| look_up_day(connection, run, &mut found))
}

/// The same for points of one series and day, in order.
fn look_up_day(
    connection: &Connection,
    wanted: &[Wanted],
    found: &mut impl FnMut(usize, &Point),
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(()) };
    let (series, day) = (first.series, day_of(first.identity.0));
    let mut select = connection.prepare_cached(
        "SELECT first_time, last_time, points FROM chunk
         WHERE day = ?1 AND series = ?2 AND first_time <= ?3 AND last_time >= ?4",
    )?;
    let (from, to) = (first.identity.0, last.identity.0);
    let mut rows = select.query(params![day, series.0, to, from])?;
    while let Some(row) = rows.next()? {
        let (begin, end): (i64, i64) = (row.get(0)?, row.get(1)?);
        let at = |time: i64| wanted.partition_point(|wanted| wanted.identity.0 < time);
        let within = &wanted[at(begin)..wanted.partition_point(|wanted| wanted.identity.0 <= end)];
        if within.is_empty() {
            continue;
        }
        let Some(points) = row.get_ref(2)?.as_blob().ok().and_then(|it| chunk::decode(day, it))
        else {
            note_damage(series, day);
            continue;
        };
        for wanted in within {
            if let Ok(at) = points.binary_search_by_key(&wanted.identity, Point::identity) {
                found(wanted.index, &points[at]);
            }
        }
    }
    Ok(())
}
