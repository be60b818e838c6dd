//! Deletes old segments: only below the lowest cursor, and only when the limits allow it or the
//! disk is full.
//!
//! A disk that is full refuses appends, and then nothing would ever pass the limits of age and size
//! again. So when an append was refused, [`relieve`] gives up early what the limits would still
//! keep, but only where every record has been read by all who will ever need it: in ordinary
//! topics that have a cursor. Topics without one (nobody else has their records) and vital ones
//! (history is told from them) keep what their own limits promise, which are bounded in bytes. A
//! cursor that yields is not waited for then: what it misses must be had elsewhere.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk;
use super::fault::{self, Step};
use super::segment::Segment;
use super::shared::Shared;
use crate::backend::Offset;
use crate::lock;

/// Deletes what may go by age and size, the oldest first. The cursors it relies on are durable
/// already, so a crash in between leaves at most too many segments, never too few.
pub(crate) fn apply(shared: &Shared) {
    delete(shared, || take_oldest(shared, false));
}

/// Deletes segments of these topics before their time, until `wanted_bytes` are free that were not
/// before, or nothing is left that may go. Counts bytes deleted instead of asking the disk again,
/// since some file systems free them only later.
pub(crate) fn relieve<'a>(topics: impl Iterator<Item = &'a Shared>, wanted_bytes: u64) {
    let mut freed_bytes = 0;
    for shared in topics.filter(|shared| shared.gives_way) {
        let before = freed_bytes;
        delete(shared, || {
            let next = if freed_bytes < wanted_bytes { take_oldest(shared, true) } else { None };
            freed_bytes += next.as_ref().map_or(0, |segment| segment.bytes());
            next
        });
        if freed_bytes > before {
            let (topic, bytes) = (&shared.name, freed_bytes - before);
            tracing::warn!(topic, bytes, "the disk is nearly full: old records went early");
        }
    }
}

/// Deletes the segments that `take` gives.
fn delete(shared: &Shared, mut take: impl FnMut() -> Option<Arc<Segment>>) {
    let mut deleted = false;
    while let Some(segment) = take() {
        let unlinked =
            fault::check(Step::Unlink, &shared.name).and_then(|()| fs::remove_file(&segment.path));
        match unlinked {
            Ok(()) => deleted = true,
            // It stays on the disk, unread, until the next start finds it and tries again.
            Err(error) => {
                let path = segment.path.display();
                tracing::warn!(%path, %error, "an old log segment could not be deleted");
            }
        }
    }
    if deleted && let Err(error) = disk::sync_folder(&shared.folder) {
        tracing::warn!(topic = shared.name, %error, "a deletion could not be made durable");
    }
}

/// Takes the oldest segment out of the topic if it may go; the floor rises at once. With `early`
/// it need not be old nor the topic large, but a cursor must have passed it.
fn take_oldest(shared: &Shared, early: bool) -> Option<Arc<Segment>> {
    let yielding = lock(&shared.yielding);
    let holds = |name: &String| !(early && yielding.contains(name));
    let lowest =
        lock(&shared.cursors).iter().filter_map(|(name, next)| holds(name).then_some(*next)).min();
    drop(yielding);
    let mut segments = lock(&shared.segments);
    // The last one is being written and stays.
    let [oldest, next, ..] = segments.as_slice() else { return None };
    let bytes: u64 = segments.iter().map(|segment| segment.bytes()).sum();
    let is_large = bytes > shared.retention.keep_bytes;
    // Every record in it was appended before the next segment was begun.
    let is_old = (shared.now_ms)().saturating_sub(next.created_ms) >= shared.retention.keep_ms;
    let is_time = is_old || is_large || (early && lowest.is_some());
    if next.base > lowest.unwrap_or(Offset::MAX) || !is_time {
        return None;
    }
    shared.floor.store(next.base, Ordering::Release);
    debug_assert!(oldest.base < next.base);
    Some(segments.remove(0))
}
