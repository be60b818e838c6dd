//! What the server's mapping makes of the buckets, and whether it has as many partitions as the
//! settings say.
//!
//! A message that the mapping brings into a partition nobody knows would be kept and never be
//! aggregated. So before a batched topic is written to, one empty message is sent to each bucket and
//! heard where it arrives. It names a stream that is not there, so that none keeps it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::names::{BUCKETS, Names};

/// How long the first of the messages is waited for, and how long all of them: without permission to
/// hear them nothing is known.
const FIRST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
/// The header that names the stream a message is for.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// A stream that is not there: names of ours hold no capital letters.
const NOWHERE: &str = "NOWHERE";

/// To which bucket the records of each are sent: one for all that share a partition, so that a
/// message holds as many records as it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lanes([u64; BUCKETS as usize]);

impl Default for Lanes {
    /// Each for itself: right whatever the mapping is.
    fn default() -> Self {
        Self(std::array::from_fn(|bucket| bucket as u64))
    }
}

impl Lanes {
    /// By the partition of each bucket.
    fn of(partitions: &BTreeMap<u64, u32>) -> Self {
        let first_of = |bucket: &u64| {
            let partition = partitions.get(bucket)?;
            let mut same = partitions.iter().filter(|(_, other)| *other == partition);
            same.next().map(|(first, _)| *first)
        };
        let Self(mut lanes) = Self::default();
        for lane in &mut lanes {
            *lane = first_of(lane).unwrap_or(*lane);
        }
        Self(lanes)
    }

    /// Where a record with this hash of its key is sent.
    pub(crate) fn of_key(&self, key: u64) -> u64 {
        self.0[(key % BUCKETS) as usize]
    }
}

/// The partition of each bucket after the mapping of the server we are connected to, as far as the
/// messages were heard.
pub(crate) async fn partitions(client: &Client, names: &Names) -> BTreeMap<u64, u32> {
    let mut partitions = BTreeMap::new();
    let Ok(mut heard) = client.subscribe(names.all()).await else { return partitions };
    let mut headers = HeaderMap::new();
    headers.insert(EXPECTED_STREAM, NOWHERE);
    for bucket in 0..BUCKETS {
        let (subject, headers) = (names.bucket(bucket), headers.clone());
        if client.publish_with_headers(subject, headers, "".into()).await.is_err() {
            return partitions;
        }
    }
    let begun = Instant::now();
    while partitions.len() < BUCKETS as usize {
        let until = begun + if partitions.is_empty() { FIRST } else { PATIENCE };
        let Ok(Some(message)) = timeout_at(until, heard.next()).await else { break };
        // Of readings that come meanwhile, too: it is the same mapping.
        let mut tokens = message.subject.split('.').skip(2);
        let partition = tokens.next().and_then(|token| token.parse::<u32>().ok());
        let bucket = tokens.next().and_then(|token| token.parse::<u64>().ok());
        partitions.extend(bucket.zip(partition));
    }
    partitions
}

/// What records are sent by. Only if every bucket was heard are some sent together.
pub(crate) fn lanes(partitions: &BTreeMap<u64, u32>) -> Lanes {
    if partitions.len() == BUCKETS as usize { Lanes::of(partitions) } else { Lanes::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_one_partition_are_sent_together_if_all_are_known() {
        let mut partitions: BTreeMap<u64, u32> =
            (0..BUCKETS).map(|n| (n, (n % 3) as u32)).collect();
        let together = lanes(&partitions);
        for key in 0..1_000_u64 {
            assert_eq!(together.of_key(key), key % BUCKETS % 3);
        }
        partitions.remove(&7);
        assert_eq!(lanes(&partitions), Lanes::default());
        assert_eq!(lanes(&partitions).of_key(BUCKETS + 9), 9);
    }
}
