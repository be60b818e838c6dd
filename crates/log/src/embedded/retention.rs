//! Deletes old segments: only below the lowest cursor, and only when the limits allow it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk;
use super::fault::{self, Step};
use super::segment::Segment;
use super::shared::Shared;
use crate::backend::Offset;
use crate::lock;

/// Deletes what may go, the oldest first. The cursors it relies on are durable already, so a crash
/// in between leaves at most too many segments, never too few.
pub(crate) fn apply(shared: &Shared) {
    let mut deleted = false;
    while let Some(segment) = take_oldest(shared) {
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

/// Takes the oldest segment out of the topic if it may go; the floor rises at once.
fn take_oldest(shared: &Shared) -> Option<Arc<Segment>> {
    let lowest = lock(&shared.cursors).values().copied().min().unwrap_or(Offset::MAX);
    let mut segments = lock(&shared.segments);
    // The last one is being written and stays.
    let [oldest, next, ..] = segments.as_slice() else { return None };
    let bytes: u64 = segments.iter().map(|segment| segment.bytes()).sum();
    let is_large = bytes > shared.retention.keep_bytes;
    // Every record in it was appended before the next segment was begun.
    let is_old = next.created_ms.is_some_and(|created_ms| {
        (shared.now_ms)().saturating_sub(created_ms) >= shared.retention.keep_ms
    });
    if next.base > lowest || !(is_old || is_large) {
        return None;
    }
    shared.floor.store(next.base, Ordering::Release);
    debug_assert!(oldest.base < next.base);
    Some(segments.remove(0))
}
