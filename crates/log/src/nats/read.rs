//! Readers behind the tail: some records from a place on, from the server, and nothing left out.
//!
//! A consumer may stand on a replica that is behind, and then says "no more" too early. So a reader
//! only steps over a place when the stream's leader says that nothing is there.

use std::io;
use std::sync::atomic::Ordering;

use super::scan::{Scan, Stored};
use super::shared::Shared;
use crate::backend::{Chunk, Offset, ReadError};

/// Messages asked for at once, and bytes after which a read is long enough.
const READ_MESSAGES: u64 = 256;
const READ_BYTES: usize = 512 << 10;

/// Some records from `from` on, none beyond the head.
pub(crate) async fn read(shared: &Shared, from: Offset) -> Result<Chunk, ReadError> {
    if shared.is_renewed.load(Ordering::Acquire) {
        return Err(ReadError::Renewed(shared.name.clone()));
    }
    let head = shared.head();
    if from > head {
        return Ok(Chunk { next: from, ..Chunk::default() });
    }
    check_floor(shared, from)?;
    let (start, last) = (shared.numbering.sequence(from), shared.numbering.sequence(head));
    let stored = fetch(shared, start, last).await.map_err(ReadError::Io)?;
    let Some(newest) = stored.last().map(|stored| stored.sequence) else {
        return step_over(shared, from, head).await;
    };
    let missing = newest + 1 - start - stored.len() as u64;
    if missing > 0 {
        shared.refresh().await.map_err(ReadError::Io)?;
        check_floor(shared, from)?;
        if shared.filter.is_none() {
            shared.count_damage(missing, start);
        }
    }
    let mut chunk = Chunk { next: shared.numbering.first(newest + 1), ..Chunk::default() };
    stored.iter().for_each(|stored| shared.unpack(stored, &mut chunk));
    chunk.records.retain(|(offset, _)| *offset >= from);
    Ok(chunk)
}

fn check_floor(shared: &Shared, wanted: Offset) -> Result<(), ReadError> {
    let floor = shared.floor.load(Ordering::Acquire);
    if wanted < floor { Err(ReadError::BelowFloor { wanted, floor }) } else { Ok(()) }
}

/// Messages from `start` to `last` at most.
async fn fetch(shared: &Shared, start: u64, last: u64) -> io::Result<Vec<Stored>> {
    let mut scan = match shared.take_scan(start) {
        Some(scan) => scan,
        None => {
            let (stream, filter) = (shared.names.stream(), shared.filter.as_deref());
            Scan::begin(&shared.context, &stream, filter, start).await?
        }
    };
    let (mut stored, mut bytes) = (Vec::new(), 0);
    if !scan.is_asked() && !scan.has_ahead() {
        scan.pull(READ_MESSAGES.min(last + 1 - start) as usize, false).await?;
    }
    while bytes < READ_BYTES {
        match scan.step().await {
            Ok(Some(next)) if next.sequence > last => {
                scan.give_back(next);
                break;
            }
            Ok(Some(next)) => {
                bytes += next.message.payload.len();
                stored.push(next);
            }
            Ok(None) => break,
            // What came before it is in order; the next read begins a new scan.
            Err(_) if !stored.is_empty() => return Ok(stored),
            Err(error) => return Err(error),
        }
    }
    if !stored.is_empty() {
        shared.keep_scan(scan);
    }
    Ok(stored)
}

/// Nothing came although the head is further on: the leader knows why.
async fn step_over(shared: &Shared, from: Offset, head: Offset) -> Result<Chunk, ReadError> {
    let last_sequence = shared.refresh().await.map_err(ReadError::Io)?.state.last_sequence;
    check_floor(shared, from)?;
    let (start, last) = (shared.numbering.sequence(from), shared.numbering.sequence(head));
    let subjects = shared.filter.clone().unwrap_or_else(|| shared.names.all());
    let next = shared.next_of(&subjects, start).await.map_err(ReadError::Io)?;
    let over = |to: u64| Chunk { next: shared.numbering.first(to), ..Chunk::default() };
    match next {
        Some(next) if next > last => Ok(over(last + 1)),
        Some(next) if next > start && shared.filter.is_none() => {
            shared.count_damage(next - start, start);
            Ok(over(next))
        }
        None if shared.filter.is_some() && last_sequence >= last => Ok(over(last + 1)),
        _ => Err(ReadError::Io(io::Error::other("the replica that was asked is behind"))),
    }
}
