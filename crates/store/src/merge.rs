//! Sorted runs of points into one, and one into chunks. Pure: points in, plans out.

use std::cmp::Ordering;

use crate::chunk::CHUNK_POINTS;
use crate::point::{Identity, Point};

/// Two runs in order as one run in order; of equal identities the one of `first` counts.
pub(crate) fn merge(first: &[Point], second: &[Point]) -> Vec<Point> {
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut a, mut b) = (first.iter().peekable(), second.iter().peekable());
    while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
        match left.identity().cmp(&right.identity()) {
            Ordering::Less => merged.extend(a.next()),
            Ordering::Greater => merged.extend(b.next()),
            Ordering::Equal => {
                merged.extend(a.next());
                b.next();
            }
        }
    }
    merged.extend(a);
    merged.extend(b);
    merged
}

/// The range of a chunk that exists, and how many points it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Identity of its first point: its key.
    pub(crate) first: Identity,
    /// Event time of its last point.
    pub(crate) last_ms: i64,
    /// How many points.
    pub(crate) count: usize,
}

/// One rewrite: these chunks (by index) and these points (by range) become new chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// Existing chunks that are read, merged and replaced; possibly none.
    pub(crate) chunks: std::ops::Range<usize>,
    /// The new points that go in.
    pub(crate) points: std::ops::Range<usize>,
}

/// Plans how new points of one series and day, in order, join its chunks, which are in order and
/// disjoint, and stay so.
///
/// A point goes to the chunk whose range it falls into, up to the beginning of the next. Points
/// after the last chunk take along the chunks before them as long as those are at most twice what
/// has been gathered: so every point is rewritten a logarithmic number of times, and a day of a
/// slow series ends as few chunks.
pub(crate) fn plan(chunks: &[Extent], points: &[Point]) -> Vec<Rewrite> {
    let mut rewrites = Vec::new();
    let mut begin = 0;
    for at in 0..chunks.len() {
        let last = at + 1 == chunks.len();
        let end = match chunks.get(at + 1) {
            Some(next) => begin + points[begin..].partition_point(|p| p.identity() < next.first),
            // Equal times count as within: their sequences may be.
            None => {
                begin + points[begin..].partition_point(|p| p.identity().0 <= chunks[at].last_ms)
            }
        };
        if end > begin && !last {
            rewrites.push(Rewrite { chunks: at..at + 1, points: begin..end });
        } else if last {
            let inside = end > begin;
            let after = points.len() - begin;
            // A chunk is rewritten once: those that got points above stay out of it.
            let free = rewrites.last().map_or(0, |before: &Rewrite| before.chunks.end);
            rewrites.extend(at_the_end(chunks, free, inside, after, begin..points.len()));
            return rewrites;
        }
        begin = end;
    }
    if begin < points.len() {
        rewrites.push(Rewrite { chunks: 0..0, points: begin..points.len() });
    }
    rewrites
}

/// The rewrite of the last chunks, from index `free` on, with the `gathered` points of a range,
/// some of them `inside` the last chunk.
fn at_the_end(
    chunks: &[Extent],
    free: usize,
    inside: bool,
    mut gathered: usize,
    points: std::ops::Range<usize>,
) -> Option<Rewrite> {
    if points.is_empty() {
        return None;
    }
    let mut from = chunks.len();
    while let Some(before) = from.checked_sub(1).filter(|before| *before >= free) {
        let must = inside && from == chunks.len();
        let worth = chunks[before].count <= 2 * gathered;
        let fits = chunks[before].count + gathered <= CHUNK_POINTS;
        if !(must || worth && fits) {
            break;
        }
        gathered += chunks[before].count;
        from = before;
    }
    Some(Rewrite { chunks: from..chunks.len(), points })
}

/// Cuts a run into chunks of at most [`CHUNK_POINTS`], as even as can be.
pub(crate) fn cut(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    let pieces = points.len().div_ceil(CHUNK_POINTS).max(1);
    points.chunks(points.len().div_ceil(pieces).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::{Quality, Timestamp};

    use super::*;

    fn point(time: i64, sequence: u32) -> Point {
        let event_time = Timestamp::from_millis(time);
        Point { event_time, sequence, value: 0.0, quality: Quality::Good, received_at: event_time }
    }

    fn run(size: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Point>> {
        prop::collection::btree_set((0..3_000_i64, 0..3_u32), size)
            .prop_map(|set| set.into_iter().map(|(time, sequence)| point(time, sequence)).collect())
    }

    fn extent(points: &[Point]) -> Extent {
        let last_ms = points[points.len() - 1].identity().0;
        Extent { first: points[0].identity(), last_ms, count: points.len() }
    }

    /// Carries a plan out as the sealing does.
    fn apply(chunks: &mut Vec<Vec<Point>>, points: &[Point]) {
        let extents: Vec<Extent> = chunks.iter().map(|chunk| extent(chunk)).collect();
        let mut next = Vec::new();
        let mut kept = 0;
        for rewrite in plan(&extents, points) {
            next.extend(chunks[kept..rewrite.chunks.start.max(kept)].iter().cloned());
            let old = chunks[rewrite.chunks.clone()].concat();
            next.extend(cut(&merge(&old, &points[rewrite.points])).map(<[Point]>::to_vec));
            kept = rewrite.chunks.end.max(kept);
        }
        next.extend(chunks[kept.min(chunks.len())..].iter().cloned());
        next.sort_by_key(|chunk| chunk[0].identity());
        *chunks = next;
    }

    proptest! {
        #[test]
        fn chunks_stay_disjoint_and_hold_everything(runs in prop::collection::vec(run(1..400), 1..8)) {
            let mut chunks: Vec<Vec<Point>> = Vec::new();
            let mut all = Vec::new();
            for run in &runs {
                apply(&mut chunks, run);
                all = merge(&all, run);
                prop_assert_eq!(chunks.concat(), all.clone());
                prop_assert!(chunks.iter().all(|chunk| (1..=CHUNK_POINTS).contains(&chunk.len())));
            }
        }
    }

    #[test]
    fn a_slow_series_ends_as_few_chunks() {
        let mut chunks = Vec::new();
        let mut rewritten = 0;
        for minute in 0..480 {
            let three: Vec<Point> = (0..3).map(|at| point(minute * 60_000 + at, 0)).collect();
            let extents: Vec<Extent> =
                chunks.iter().map(|chunk: &Vec<Point>| extent(chunk)).collect();
            let [Rewrite { chunks: replaced, .. }] = &plan(&extents, &three)[..] else { panic!() };
            rewritten += extents[replaced.clone()].iter().map(|extent| extent.count).sum::<usize>();
            apply(&mut chunks, &three);
        }
        assert!(chunks.len() <= 12, "{} chunks of 1,440 points", chunks.len());
        assert!(rewritten <= 1_440 * 9, "{rewritten} points rewritten for 1,440");
    }

    #[test]
    fn one_late_point_rewrites_one_chunk() {
        let chunk = |from: i64| Extent { first: (from, 0), last_ms: from + 99, count: 720 };
        let chunks = [chunk(0), chunk(100), chunk(200)];
        let planned = plan(&chunks, &[point(150, 1)]);
        assert_eq!(planned, [Rewrite { chunks: 1..2, points: 0..1 }]);
        let planned = plan(&chunks, &[point(-5, 0)]);
        assert_eq!(planned, [Rewrite { chunks: 0..1, points: 0..1 }]);
        let planned = plan(&chunks, &[point(300, 0)]);
        assert_eq!(planned, [Rewrite { chunks: 3..3, points: 0..1 }]);
    }
}
