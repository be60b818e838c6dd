//! The task that looks after a topic: notices when its stream is not what it was, moves the head of
//! a quiet partition on, and deletes what nobody needs any more.
//!
//! Every process that has a topic open does so; a deletion done twice changes nothing. Records go
//! only below the lowest cursor of all processes, and only when age or size allow it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::Info;
use tokio::time::{Instant, timeout};

use super::ask;
use super::cursors::Kept;
use super::epochs::Look;
use super::shared::Shared;
use crate::embedded::system_now_ms;

/// How often the stream is looked at.
const WATCH: Duration = Duration::from_secs(2);
/// How often old records are looked for when no cursor was saved.
const RETENTION: Duration = Duration::from_secs(60);
/// How often the epoch is compared and the head noted beside it.
const NOTE: Duration = Duration::from_secs(30);
/// How often a quiet partition is asked whether it is really quiet.
const QUIET: Duration = Duration::from_secs(10);
/// Looks in a row after which a stream that is not what it was is believed: a replica that has just
/// become the leader may still be applying what it has.
const LOOKS: u32 = 5;

/// Looks after a topic until it ends.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let begun = Instant::now();
    let (mut retained, mut noted, mut asked) = (begun, begun, begun);
    let mut doubts = 0;
    while !shared.is_over() {
        let is_saved = timeout(WATCH, shared.saved.notified()).await.is_ok();
        let now = Instant::now();
        if is_saved || now - retained > RETENTION {
            retained = now;
            warned(&shared, "old records", retain(&shared, false).await);
        }
        let doubted = look(&shared).await;
        doubts = if doubted { doubts + 1 } else { 0 };
        let is_other = now - noted > NOTE && {
            noted = now;
            is_in_another_life(&shared).await
        };
        if doubts >= LOOKS || is_other {
            renew(&shared).await;
            return;
        }
        if !doubted && now - asked > QUIET {
            asked = now;
            warned(&shared, "a quiet partition", move_on(&shared).await);
        }
    }
}

fn warned(shared: &Shared, what: &str, result: io::Result<()>) {
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

async fn is_in_another_life(shared: &Shared) -> bool {
    let last = match shared.head() {
        0 => 0,
        head => shared.numbering.sequence(head),
    };
    let noted = shared.epochs.note(&shared.name, &shared.epoch, last).await;
    // No answer is no news.
    matches!(noted, Ok(false))
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
    match retain(shared, true).await {
        Ok(()) => {
            let topic = &shared.name;
            tracing::warn!(topic, "the servers are full: old records went early");
        }
        error => warned(shared, "room", error),
    }
}

/// Deletes what may go.
async fn retain(shared: &Shared, early: bool) -> io::Result<()> {
    let cursors = shared.cursors.all().await.map_err(io::Error::other)?;
    let info = shared.refresh().await?;
    if info.state.messages == 0 || info.created.unix_timestamp_nanos() != shared.created_ns {
        return Ok(());
    }
    let of_topic = |kept: &&Kept| kept.topic == shared.name && !(early && kept.yields);
    let mut lowest = None;
    for kept in cursors.iter().filter(of_topic) {
        let needed = needed(shared, kept, &info).await?;
        lowest = Some(lowest.map_or(needed, |lowest: u64| lowest.min(needed)));
    }
    let allowed = if early && lowest.is_some() {
        info.state.last_sequence + 1
    } else {
        allowed(shared, &info).await?
    };
    let to = allowed.min(lowest.unwrap_or(u64::MAX));
    if to > info.state.first_sequence {
        let purge = async { shared.stream.purge().sequence(to).await };
        ask(purge).await.map_err(io::Error::other)?;
        shared.refresh().await?;
    }
    Ok(())
}

/// The first message a cursor still needs. Of another epoch, or without a position, it needs all;
/// that of a partition all of its partition.
async fn needed(shared: &Shared, kept: &Kept, info: &Info) -> io::Result<u64> {
    let is_placed = kept.epoch == shared.epoch && kept.next > 0;
    let from = if is_placed { shared.numbering.sequence(kept.next) } else { 1 };
    let (first, end) = (info.state.first_sequence, info.state.last_sequence + 1);
    match kept.partition {
        // What came later than we looked is not deleted now anyway.
        Some(partition) if from < end => {
            let subjects = shared.names.partition(partition);
            let next = shared.next_of(&subjects, from.max(first)).await?;
            Ok(next.unwrap_or(end).min(end))
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
    use super::beyond;

    #[test]
    fn what_is_beyond_the_size_goes() {
        assert_eq!(beyond(1_000, 10, 1_000), 0);
        assert_eq!(beyond(1_000, 10, 500), 5);
        assert_eq!(beyond(1_000, 10, 0), 10);
        assert_eq!(beyond(0, 0, 0), 0);
        assert_eq!(beyond(u64::MAX, u64::MAX, 0), u64::MAX);
    }
}
