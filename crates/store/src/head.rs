//! The head: everything not yet in chunks, and the newest point of every series, in memory.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sen_model::Timestamp;

use crate::directory::Directory;
use crate::point::{Identity, Point, SeriesId, Span, quality_of_code, quality_to_code};
use crate::{Checkpoint, Written};

/// What the store's callers and its thread share.
pub(crate) struct Shared {
    directory: RwLock<Directory>,
    head: Mutex<Head>,
}

impl Shared {
    /// Over what was loaded.
    pub(crate) fn new(directory: Directory, head: Head) -> Self {
        Self { directory: RwLock::new(directory), head: Mutex::new(head) }
    }

    /// The names, to look up.
    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names, to add one.
    pub(crate) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points; held for some microseconds at a time.
    pub(crate) fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A point in 32 bytes: there may be millions.
#[derive(Clone, Copy, Debug)]
struct Packed {
    event_time: i64,
    received_at: i64,
    value: f64,
    sequence: u32,
    /// The generation it was written in, and in the low two bits its quality.
    stamp: u32,
}

impl Packed {
    fn new(point: &Point, generation: u32) -> Self {
        Self {
            event_time: point.event_time.as_millis(),
            received_at: point.received_at.as_millis(),
            value: point.value,
            sequence: point.sequence,
            stamp: generation << 2 | u32::from(quality_to_code(point.quality)),
        }
    }

    fn point(&self) -> Point {
        Point {
            event_time: Timestamp::from_millis(self.event_time),
            sequence: self.sequence,
            value: self.value,
            quality: quality_of_code((self.stamp & 0b11) as u8),
            received_at: Timestamp::from_millis(self.received_at),
        }
    }

    fn identity(&self) -> Identity {
        (self.event_time, self.sequence)
    }

    fn generation(&self) -> u32 {
        self.stamp >> 2
    }
}

/// One series in memory.
#[derive(Debug, Default)]
struct Slot {
    /// Points not in chunks, in order of identity.
    points: Vec<Packed>,
    /// The newest point of all, by identity, wherever it is.
    latest: Option<Point>,
    /// Event time of the newest point in chunks: later ones need no look at the disk.
    sealed_to: Option<i64>,
    /// Whether it is listed in `Head::touched`.
    touched: bool,
}

/// The points of all series that are not in chunks.
///
/// Every point carries the *generation* it was written in; a commit makes a generation durable
/// and begins the next. Only durable generations are sealed: chunks never hold a point that the
/// checkpoint does not cover.
#[derive(Debug)]
pub(crate) struct Head {
    slots: Vec<Slot>,
    generation: u32,
    committed: u32,
    /// Series with points that are not durable.
    touched: Vec<SeriesId>,
    /// Points in all slots.
    points: u64,
    /// New points since the store was opened.
    written: u64,
    /// Points before this are expired.
    floor: Timestamp,
    /// A series whose newest point is before this has nothing left, not even summaries.
    empty_before: Timestamp,
    /// The last committed checkpoint.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// When the store was begun; none before the first sweep.
    pub(crate) begun: Option<Timestamp>,
}

/// A point to be looked for in chunks: which of a batch, of which series, which identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// Its series.
    pub(crate) series: SeriesId,
    /// What it is.
    pub(crate) identity: Identity,
    /// Its place in the batch.
    pub(crate) index: usize,
}

/// Out-of-order points nearer to the end than this are put in place one by one; a backlog further
/// back is merged in one pass per batch, so that no order of arrival costs quadratic time.
const NEAR_END: usize = 64;

impl Head {
    /// An empty head over series with the newest sealed point of each.
    pub(crate) fn new(
        sealed: Vec<Option<Point>>,
        floor: Timestamp,
        checkpoint: Option<Checkpoint>,
    ) -> Self {
        let slot = |latest: Option<Point>| Slot {
            latest,
            sealed_to: latest.map(|point| point.event_time.as_millis()),
            ..Slot::default()
        };
        Self {
            slots: sealed.into_iter().map(slot).collect(),
            generation: 1,
            committed: 0,
            touched: Vec::new(),
            points: 0,
            written: 0,
            floor,
            empty_before: Timestamp::from_millis(i64::MIN),
            checkpoint,
            begun: None,
        }
    }

    /// Makes room for a series.
    pub(crate) fn reserve(&mut self, series: SeriesId) {
        if series.index() >= self.slots.len() {
            self.slots.resize_with(series.index() + 1, Slot::default);
        }
    }

    /// Which points of a batch are old enough to be in chunks already.
    pub(crate) fn behind(&self, points: &[(SeriesId, Point)]) -> Vec<Wanted> {
        let mut behind = Vec::new();
        for (index, (series, point)) in points.iter().enumerate() {
            let sealed_to = self.slots.get(series.index()).and_then(|slot| slot.sealed_to);
            let identity = point.identity();
            if sealed_to.is_some_and(|sealed_to| identity.0 <= sealed_to)
                && point.event_time >= self.floor
            {
                behind.push(Wanted { series: *series, identity, index });
            }
        }
        behind
    }

    /// The places in a batch of the points that are here, in order.
    pub(crate) fn here(&self, points: &[(SeriesId, Point)]) -> Vec<usize> {
        let is_here =
            |(series, point): &(SeriesId, Point)| self.point(*series, point.identity()).is_some();
        (0..).zip(points).filter(|(_, entry)| is_here(entry)).map(|(index, _)| index).collect()
    }

    /// Inserts the points of a batch and leaves in it those that were new. `known` are the places
    /// in the batch of points known to be here or in chunks, in order.
    pub(crate) fn insert(
        &mut self,
        points: &mut Vec<(SeriesId, Point)>,
        known: &[usize],
    ) -> Written {
        let mut written = Written::default();
        let mut is_new = vec![false; points.len()];
        let mut far = Vec::new();
        let mut known = known.iter().peekable();
        for (index, (series, point)) in points.iter().enumerate() {
            let is_known = known.next_if_eq(&&index).is_some();
            if point.event_time < self.floor {
                written.expired += 1;
            } else if !is_known {
                self.reserve(*series);
                is_new[index] = match self.place(*series, point) {
                    Place::Taken => true,
                    Place::Known => false,
                    Place::Far => {
                        far.push(Wanted { series: *series, identity: point.identity(), index });
                        false
                    }
                };
            }
        }
        self.insert_far(far, points, &mut is_new);
        let mut verdicts = is_new.into_iter();
        let all = points.len();
        points.retain(|_| verdicts.next().unwrap_or(false));
        written.repeated = all - points.len() - written.expired;
        self.points += points.len() as u64;
        self.written += points.len() as u64;
        written
    }

    /// Puts loaded points, durable already, in place.
    pub(crate) fn load(&mut self, series: SeriesId, points: Vec<Point>) {
        let generation = std::mem::replace(&mut self.generation, 0);
        let mut batch: Vec<_> = points.into_iter().map(|point| (series, point)).collect();
        self.insert(&mut batch, &[]);
        self.generation = generation;
        self.written = 0;
        self.touched.clear();
        self.slots[series.index()].touched = false;
    }

    fn place(&mut self, series: SeriesId, point: &Point) -> Place {
        let generation = self.generation;
        let slot = &mut self.slots[series.index()];
        let identity = point.identity();
        let packed = Packed::new(point, generation);
        if slot.points.last().is_none_or(|last| last.identity() < identity) {
            if slot.points.len() == slot.points.capacity() {
                // By half, not double: most of the memory of many quiet series is spare room.
                slot.points.reserve_exact((slot.points.len() / 2).max(1));
            }
            slot.points.push(packed);
        } else {
            match slot.points.binary_search_by_key(&identity, Packed::identity) {
                Ok(_) => return Place::Known,
                Err(at) if slot.points.len() - at > NEAR_END => return Place::Far,
                Err(at) => slot.points.insert(at, packed),
            }
        }
        self.note(series, point);
        Place::Taken
    }

    /// Merges points far from the end of their series, series by series.
    fn insert_far(
        &mut self,
        mut far: Vec<Wanted>,
        points: &[(SeriesId, Point)],
        is_new: &mut [bool],
    ) {
        far.sort_unstable();
        // The first of equal identities counts: they are next to each other, by place.
        far.dedup_by_key(|wanted| (wanted.series, wanted.identity));
        for run in far.chunk_by(|a, b| a.series == b.series) {
            let series = run[0].series;
            let old = std::mem::take(&mut self.slots[series.index()].points);
            let mut merged = Vec::with_capacity(old.len() + run.len());
            let mut old = old.into_iter().peekable();
            for wanted in run {
                while let Some(before) = old.next_if(|p| p.identity() < wanted.identity) {
                    merged.push(before);
                }
                let point = &points[wanted.index].1;
                merged.push(Packed::new(point, self.generation));
                is_new[wanted.index] = true;
                self.note(series, point);
            }
            merged.extend(old);
            self.slots[series.index()].points = merged;
        }
    }

    /// Notes that a series got a new point.
    fn note(&mut self, series: SeriesId, point: &Point) {
        let slot = &mut self.slots[series.index()];
        if slot.latest.is_none_or(|latest| latest.identity() < point.identity()) {
            slot.latest = Some(*point);
        }
        if !slot.touched {
            slot.touched = true;
            self.touched.push(series);
        }
    }

    /// Ends the generation being written and lists the series that have points to be made durable.
    pub(crate) fn freeze(&mut self) -> Frozen {
        let mut series = std::mem::take(&mut self.touched);
        series.sort_unstable();
        for touched in &series {
            self.slots[touched.index()].touched = false;
        }
        let frozen = Frozen { series, committed: self.committed, generation: self.generation };
        self.generation += 1;
        frozen
    }

    /// The points of a series that a commit is to make durable.
    pub(crate) fn frozen(&self, frozen: &Frozen, series: SeriesId) -> Vec<Point> {
        let wanted = frozen.committed + 1..=frozen.generation;
        let points = self.slots[series.index()].points.iter();
        points.filter(|packed| wanted.contains(&packed.generation())).map(Packed::point).collect()
    }

    /// The commit succeeded.
    pub(crate) fn committed(&mut self, frozen: &Frozen, checkpoint: Checkpoint) {
        self.committed = frozen.generation;
        self.checkpoint = Some(checkpoint);
    }

    /// The commit failed: its points wait for the next.
    pub(crate) fn thaw(&mut self, frozen: Frozen) {
        for series in frozen.series {
            let slot = &mut self.slots[series.index()];
            if !slot.touched {
                slot.touched = true;
                self.touched.push(series);
            }
        }
    }

    /// The oldest durable points of up to `most_series` series from `first` on, at most
    /// `most_points`; and the series to go on with, if there is more.
    pub(crate) fn to_seal(
        &self,
        first: usize,
        most_series: usize,
        most_points: usize,
    ) -> (Vec<(SeriesId, Vec<Point>)>, Option<usize>) {
        let (mut slice, mut room) = (Vec::new(), most_points);
        for at in first..self.slots.len() {
            if slice.len() == most_series {
                return (slice, Some(at));
            }
            let durable = |packed: &&Packed| packed.generation() <= self.committed;
            let mut durable = self.slots[at].points.iter().filter(durable).map(Packed::point);
            let points: Vec<_> = durable.by_ref().take(room).collect();
            room -= points.len();
            let is_more = durable.next().is_some();
            if !points.is_empty() {
                slice.push((SeriesId(at as u32), points));
            }
            if is_more {
                return (slice, Some(at));
            }
        }
        (slice, None)
    }

    /// These points, sealed from the durable ones, are in chunks now.
    pub(crate) fn sealed(&mut self, slice: &[(SeriesId, Vec<Point>)]) {
        for (series, points) in slice {
            let slot = &mut self.slots[series.index()];
            let (before, committed) = (slot.points.len(), self.committed);
            let newest = points.last().map(Point::identity);
            slot.points.retain(|packed| {
                packed.generation() > committed || Some(packed.identity()) > newest
            });
            // Most series are quiet: give their room back.
            slot.points.shrink_to(slot.points.len());
            self.points -= (before - slot.points.len()) as u64;
            slot.sealed_to = slot.sealed_to.max(newest.map(|(time, _)| time));
        }
    }

    /// The points of a series in a span, and the newest time its chunks may hold.
    pub(crate) fn points_in(&self, series: SeriesId, span: Span) -> (Vec<Point>, Option<i64>) {
        let Some(slot) = self.slots.get(series.index()) else { return (Vec::new(), None) };
        let from = slot.points.partition_point(|packed| packed.event_time < span.first_ms());
        let to = slot.points.partition_point(|packed| packed.event_time <= span.last_ms());
        let points = slot.points.get(from..to).unwrap_or_default();
        (points.iter().map(Packed::point).collect(), slot.sealed_to)
    }

    /// The point of an identity, if it is here.
    pub(crate) fn point(&self, series: SeriesId, identity: Identity) -> Option<Point> {
        let points = &self.slots.get(series.index())?.points;
        let at = points.binary_search_by_key(&identity, Packed::identity).ok()?;
        Some(points[at].point())
    }

    /// The newest point of every series that has one.
    pub(crate) fn latest_of_all(&self) -> Vec<(SeriesId, Point)> {
        let latest = |(at, slot): (u32, &Slot)| Some((SeriesId(at), slot.latest?));
        (0..).zip(&self.slots).filter_map(latest).collect()
    }

    /// The series of which nothing is left, at most `limit`.
    pub(crate) fn empty(&self, limit: usize) -> Vec<SeriesId> {
        let is_empty = |slot: &Slot| {
            let is_old = |latest: Point| latest.event_time < self.empty_before;
            slot.points.is_empty() && slot.latest.is_some_and(is_old)
        };
        let empty = (0..).zip(&self.slots).filter(|(_, slot)| is_empty(slot));
        empty.map(|(at, _)| SeriesId(at)).take(limit).collect()
    }

    /// Forgets what is known of series that are gone.
    pub(crate) fn forget(&mut self, series: &[SeriesId]) {
        for series in series {
            if let Some(slot) = self.slots.get_mut(series.index()) {
                *slot = Slot { touched: slot.touched, ..Slot::default() };
            }
        }
    }

    /// New points since the store was opened, and points in memory.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.written, self.points)
    }

    /// Raises the floor below which points are expired, and forgets those in memory; before `lowest`
    /// nothing stays, of no tier.
    pub(crate) fn expire_before(&mut self, floor: Timestamp, lowest: Timestamp) {
        self.floor = self.floor.max(floor);
        self.empty_before = self.empty_before.max(lowest);
        for slot in &mut self.slots {
            let expired =
                slot.points.partition_point(|packed| packed.event_time < floor.as_millis());
            slot.points.drain(..expired);
            self.points -= expired as u64;
        }
    }
}

/// Where a point went.
enum Place {
    /// In order, or near the end.
    Taken,
    /// Its identity was known.
    Known,
    /// It belongs far from the end.
    Far,
}

/// A generation on its way to the disk.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// The series that have points of it.
    pub(crate) series: Vec<SeriesId>,
    committed: u32,
    generation: u32,
}
