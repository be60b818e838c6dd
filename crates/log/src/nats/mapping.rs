//! Whether the server's mapping has as many partitions as the settings say.
//!
//! A message that the mapping brings into a partition nobody knows would be kept and never be
//! aggregated. So before a batched topic is written to, one empty message is sent to each bucket and
//! heard where it arrives. It names a stream that is not there, so that none keeps it.

use std::time::Duration;

use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::names::{BUCKETS, Names};

/// How long the messages are waited for; without permission to hear them nothing is known.
const PATIENCE: Duration = Duration::from_secs(1);
/// The header that names the stream a message is for.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// A stream that is not there: names of ours hold no capital letters.
const NOWHERE: &str = "NOWHERE";

/// The largest partition that the mapping of the server we are connected to leads to; none if no
/// message was heard.
pub(crate) async fn largest_partition(client: &Client, names: &Names) -> Option<u32> {
    let mut heard = client.subscribe(names.all()).await.ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(EXPECTED_STREAM, NOWHERE);
    for bucket in 0..BUCKETS {
        let (subject, headers) = (names.bucket(bucket), headers.clone());
        client.publish_with_headers(subject, headers, "".into()).await.ok()?;
    }
    let until = Instant::now() + PATIENCE;
    let (mut largest, mut probes) = (None, 0);
    while probes < BUCKETS {
        let Ok(Some(message)) = timeout_at(until, heard.next()).await else { break };
        let is_probe = message.headers.is_some_and(|headers| {
            headers.get(EXPECTED_STREAM).is_some_and(|stream| stream.as_str() == NOWHERE)
        });
        probes += u64::from(is_probe);
        let partition = message.subject.split('.').nth(2).and_then(|token| token.parse().ok());
        largest = largest.max(partition);
    }
    largest
}
