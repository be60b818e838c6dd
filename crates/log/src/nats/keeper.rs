//! The task that looks after a topic: notices when its stream is not what it was, moves the head of
//! a quiet partition on, and deletes what nobody needs any more.
//!
//! Every process that has a topic open does so; a deletion done twice changes nothing. Records go
//! only below the lowest cursor of all processes, and only when age or size allow it. What costs the
//! servers much (every cursor is listed) is done seldom, once for all views of a topic, and only
//! when age or size allow something to go.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::Info;
use tokio::time::{Instant, sleep};

use super::ask;
use super::cursors::Kept;
use super::epochs::Look;
use super::shared::Shared;
use crate::embedded::system_now_ms;
use crate::lock;

/// How often the stream is looked at.
pub(super) const WATCH: Duration = Duration::from_secs(2);
/// How often old records are looked for when no cursor was saved.
const RETENTION: Duration = Duration::from_secs(60);
/// How often the epoch is compared and the head noted beside it; in doubt at each look.
const NOTE: Duration = Duration::from_secs(30);
/// How often a quiet partition is asked whether it is really quiet.
const QUIET: Duration = Duration::from_secs(10);
/// Looks in a row after which a stream (or the epoch that is noted of it) that is not what it was is
/// believed: a replica that has just become the leader may still be applying what it has.
pub(super) const LOOKS: u32 = 5;
/// How long after one look for old records, for any view of the topic, the next may begin.
const APART: Duration = Duration::from_secs(10);
/// As [`APART`], when the servers are full and records are refused.
const APART_WHEN_FULL: Duration = Duration::from_secs(1);
/// Of so many parts of a topic the oldest goes at a time when the servers are full.
const EARLY_PARTS: u64 = 8;

/// When this process last looked for old records, by topic.
#[derive(Debug, Default)]
pub(crate) struct Looked(Mutex<BTreeMap<(String, bool), Instant>>);

impl Looked {
    /// Whether it is time to look again; then it counts as done.
    fn is_due(&self, topic: &str, early: bool) -> bool {
        let (mut looked, now) = (lock(&self.0), Instant::now());
        let apart = if early { APART_WHEN_FULL } else { APART };
        let last = looked.entry((topic.to_owned(), early));
        let is_due = match &last {
            Entry::Vacant(_) => true,
            Entry::Occupied(last) => now.saturating_duration_since(*last.get()) > apart,
        };
        if is_due {
            last.insert_entry(now);
        }
        is_due
    }

    /// Nothing could go early: the next look need not be so soon.
    fn put_off(&self, topic: &str) {
        let next = Instant::now() + APART - APART_WHEN_FULL;
        lock(&self.0).insert((topic.to_owned(), true), next);
    }
}

/// Looks after a topic until it ends.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let begun = Instant::now();
    let (mut retained, mut noted, mut asked) = (begun, begun, begun);
    // A cursor was saved since old records were looked for.
    let mut is_saved = false;
    let mut doubts = 0;
    while !shared.is_over() {
        // Always as long: looks that come close after each other prove nothing.
        sleep(WATCH).await;
        let now = Instant::now();
        is_saved |= shared.is_saved.swap(false, Ordering::AcqRel);
        let is_time = is_saved || now - retained > RETENTION;
        if is_time && shared.cursors.looked.is_due(&shared.name, false) {
            retained = now;
            let done = retain(&shared, false).await;
            is_saved = done.is_err();
            warned(&shared, "old records", done);
        }
        let doubted = look(&shared).await;
        let is_due = doubts > 0 || now - noted > NOTE;
        let is_other = if is_due { is_in_another_life(&shared).await } else { Some(false) };
        if is_due && is_other.is_some() {
            noted = now;
        }
        doubts = match is_other {
            _ if doubted => doubts + 1,
            Some(true) => doubts + 1,
            Some(false) => 0,
            None => doubts,
        };
        if doubts >= LOOKS {
            renew(&shared).await;
            return;
        }
        if !doubted && now - asked > QUIET {
            asked = now;
            warned(&shared, "a quiet partition", move_on(&shared).await);
        }
    }
}

fn warned<T>(shared: &Shared, what: &str, result: io::Result<T>) {
    if let Err(error) = result {
        let topic = &shared.name;
        tracing::debug!(topic, what, %error, "the servers were asked in vain");
    }
}

/// Whether the stream looks like another, or shorter than it is known to be.
async fn look(shared: &Shared) -> bool {
    // Before the question, so that the answer cannot be older than this.
    let known = match shared.head() {
        0 => 0,
        head => shared.numbering.sequence(head),
    };
    match shared.stream.get_info().await {
        Ok(info) => {
            let doubted = info.created.unix_timestamp_nanos() != shared.created_ns
                || info.state.last_sequence < known;
            if !doubted {
                shared.note(&info);
            }
            doubted
        }
        Err(error) => is_gone(&error),
    }
}

fn is_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    let told = error.source().and_then(|it| it.downcast_ref::<async_nats::jetstream::Error>());
    told.is_some_and(|told| told.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Whether another epoch is noted; none without an answer, which is no news.
async fn is_in_another_life(shared: &Shared) -> Option<bool> {
    let last = match shared.head() {
        0 => 0,
        head => shared.numbering.sequence(head),
    };
    let noted = shared.epochs.note(&shared.name, &shared.epoch, last).await;
    noted.ok().map(|is_ours| !is_ours)
}

/// The topic cannot be proven an extension of what it was: whoever opens it next finds a new epoch,
/// and everybody who has it open is told to start again.
async fn renew(shared: &Shared) {
    let topic = &shared.name;
    tracing::error!(topic, "the topic was begun anew or cut on the server: start again");
    if let Ok(info) = shared.stream.get_info().await {
        let created_ns = info.created.unix_timestamp_nanos();
        let look = Look { created_ns, last: info.state.last_sequence };
        if let Err(error) = shared.epochs.of(topic, look, Some(&shared.epoch)).await {
            tracing::warn!(topic, %error, "the new epoch could not be noted");
        }
    }
    shared.is_renewed.store(true, Ordering::Release);
    shared.end();
}

/// Nothing came for a partition while others went on: when the leader says that there is nothing,
/// the head goes on without, and with it the cursor of whoever follows.
async fn move_on(shared: &Shared) -> io::Result<()> {
    let Some(filter) = &shared.filter else { return Ok(()) };
    let head = shared.head();
    let known = if head == 0 { 0 } else { shared.numbering.sequence(head) };
    let last = shared.refresh().await?.state.last_sequence;
    if last > known && shared.next_of(filter, known + 1).await?.is_none_or(|next| next > last) {
        shared.raise(shared.numbering.last(last));
    }
    Ok(())
}

/// The servers are full: what all cursors (but those that yield) have passed goes before its time.
pub(crate) async fn relieve(shared: &Shared) {
    if !shared.cursors.looked.is_due(&shared.name, true) {
        return;
    }
    match retain(shared, true).await {
        Ok(true) => {
            let topic = &shared.name;
            tracing::warn!(topic, "the servers are full: the oldest that all have read went early");
            shared.prover.ask_soon();
        }
        Ok(false) => shared.cursors.looked.put_off(&shared.name),
        error => warned(shared, "room", error),
    }
}

/// Deletes what may go; whether anything did.
async fn retain(shared: &Shared, early: bool) -> io::Result<bool> {
    let info = shared.refresh().await?;
    let (first, end) = (info.state.first_sequence, info.state.last_sequence + 1);
    if info.state.messages == 0 || info.created.unix_timestamp_nanos() != shared.created_ns {
        return Ok(false);
    }
    let mut to = match early {
        // Not more than is needed: who reads without a cursor may still want it.
        true => first + info.state.messages.div_ceil(EARLY_PARTS),
        false => allowed(shared, &info).await?,
    };
    if to <= first {
        return Ok(false);
    }
    // As late as can be, so that hardly any are missed that were opened meanwhile.
    let mut cursors = shared.cursors.all(Some(&shared.name)).await.map_err(io::Error::other)?;
    cursors.retain(|kept| !(early && kept.yields));
    if early && cursors.is_empty() {
        to = allowed(shared, &info).await?;
    }
    // For those of partitions the leader is asked: last, and only while something may go.
    cursors.sort_by_key(|kept| kept.partition.is_some());
    for kept in &cursors {
        if to <= first {
            return Ok(false);
        }
        to = to.min(needed(shared, kept, first, to.min(end)).await?);
    }
    if to > first {
        let purge = async { shared.stream.purge().sequence(to).await };
        ask(purge).await.map_err(io::Error::other)?;
        shared.refresh().await?;
    }
    Ok(to > first)
}

/// The first message before `end` that a cursor still needs; `end` or more if there is none. Of
/// another epoch, or without a position, it needs all; that of a partition all of its partition.
async fn needed(shared: &Shared, kept: &Kept, first: u64, end: u64) -> io::Result<u64> {
    let is_placed = kept.epoch == shared.epoch && kept.next > 0;
    let from = if is_placed { shared.numbering.sequence(kept.next) } else { 1 };
    match kept.partition {
        Some(partition) if from < end => {
            let subjects = shared.names.partition(partition);
            let next = shared.next_of(&subjects, from.max(first)).await?;
            Ok(next.unwrap_or(end))
        }
        _ => Ok(from),
    }
}

/// The first message that must stay by age and size.
async fn allowed(shared: &Shared, info: &Info) -> io::Result<u64> {
    let state = &info.state;
    let cutoff_ms = system_now_ms().saturating_sub(shared.retention.keep_ms);
    let oldest_ms = state.first_timestamp.unix_timestamp_nanos() / 1_000_000;
    let by_age = if i128::from(cutoff_ms) <= oldest_ms {
        state.first_sequence
    } else {
        shared.sequence_at(cutoff_ms).await?
    };
    let by_size = beyond(state.bytes, state.messages, shared.retention.keep_bytes);
    Ok(by_age.max(state.first_sequence + by_size))
}

/// How many of the oldest messages go so that those that stay take at most `keep` bytes, as if all
/// were of the same size: the next look corrects it.
fn beyond(bytes: u64, messages: u64, keep: u64) -> u64 {
    let excess = u128::from(bytes.saturating_sub(keep)) * u128::from(messages);
    u64::try_from(excess / u128::from(bytes.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn old_records_are_looked_for_seldom_but_at_once_when_it_matters() {
        let looked = Looked::default();
        assert!(looked.is_due("a", false) && looked.is_due("b", false));
        assert!(looked.is_due("a", true), "the servers are full");
        tokio::time::advance(APART_WHEN_FULL + Duration::from_millis(1)).await;
        assert!(!looked.is_due("a", false));
        assert!(looked.is_due("a", true) && !looked.is_due("a", true));
        tokio::time::advance(APART).await;
        assert!(looked.is_due("a", false) && !looked.is_due("a", false));
        looked.put_off("a");
        tokio::time::advance(APART_WHEN_FULL * 2).await;
        assert!(!looked.is_due("a", true), "nothing could go");
        tokio::time::advance(APART).await;
        assert!(looked.is_due("a", true));
    }

    #[test]
    fn what_is_beyond_the_size_goes() {
        assert_eq!(beyond(1_000, 10, 1_000), 0);
        assert_eq!(beyond(1_000, 10, 500), 5);
        assert_eq!(beyond(1_000, 10, 0), 10);
        assert_eq!(beyond(0, 0, 0), 0);
        assert_eq!(beyond(u64::MAX, u64::MAX, 0), u64::MAX);
    }
}
