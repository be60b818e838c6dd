//! Sending messages to a stream until the servers acknowledged each, for a bounded time.
//!
//! A message whose answer was lost is sent again with the same id, which the server knows for two
//! minutes: it is stored once. Messages of one bucket are sent one after another, each when the one
//! before is stored: were two under way and the first lost, it would come after the second. Others
//! of one append may after a fault stand in another order than they were given, except in a topic
//! that is owned.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::shared::{Pause, Shared};
use crate::backend::AppendError;

/// Messages of one append that are under way at once.
const WINDOW_MESSAGES: usize = 256;
/// How long an append is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it is tried again when the process is about to end.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// After this long without anybody who takes the subject, the stream is asked whether it is there.
const UNHEARD: Duration = Duration::from_secs(4);
/// Once may be an election that was just over.
const ELECTED: u32 = 3;
/// Header of the id.
const ID: &str = "Nats-Msg-Id";

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) message: PublishMessage,
    pub(crate) id: String,
    pub(crate) records: u64,
    /// Messages with the same keep their order.
    pub(crate) bucket: Option<u64>,
}

/// Why one message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// It may work again.
    #[error("{0}")]
    Again(String),
    /// Nobody takes the subject.
    #[error("no server takes it")]
    NoStream,
    /// Another message came first.
    #[error("another message came first")]
    OutOfTurn,
    #[error(transparent)]
    Refused(AppendError),
}

impl Outgoing {
    pub(crate) fn new(subject: String, bytes: Vec<u8>, id: String, records: u64) -> Self {
        let message = PublishMessage::build().payload(bytes.into()).message_id(&id);
        Self { subject, message, id, records, bucket: None }
    }

    /// To stay in order with the others of its bucket.
    pub(crate) fn of_bucket(self, bucket: u64) -> Self {
        Self { bucket: Some(bucket), ..self }
    }
}

/// Sends messages that may stand anywhere, but for the order in their buckets; answers the sequence
/// of each.
pub(crate) async fn publish(
    shared: &Shared,
    outgoing: &[Outgoing],
) -> Result<Vec<u64>, AppendError> {
    let buckets: Vec<Option<u64>> = outgoing.iter().map(|it| it.bucket).collect();
    // Stored messages count from 1.
    let mut sequences = vec![0; outgoing.len()];
    let mut waiting: Vec<usize> = (0..outgoing.len()).collect();
    let mut attempt = Attempt::begin();
    while !waiting.is_empty() {
        let window = round(&buckets, &waiting);
        let results = send(shared, window.iter().map(|at| &outgoing[*at]), None).await;
        let mut trouble = None;
        for (at, result) in window.iter().zip(results) {
            match result {
                Ok(sequence) => sequences[*at] = sequence,
                Err(why) => {
                    trouble.get_or_insert(why);
                }
            }
        }
        waiting.retain(|at| sequences[*at] == 0);
        if let Some(trouble) = trouble {
            attempt.failed(shared, trouble).await?;
        }
    }
    Ok(sequences)
}

/// Pure: which of those that wait are sent at once: of each bucket only the first.
fn round(buckets: &[Option<u64>], waiting: &[usize]) -> Vec<usize> {
    let mut busy = BTreeSet::new();
    let is_next = |at: &usize| buckets[*at].is_none_or(|bucket| busy.insert(bucket));
    waiting.iter().copied().filter(is_next).take(WINDOW_MESSAGES).collect()
}

/// What an owner knows of its stream.
#[derive(Debug)]
pub(crate) struct Owned {
    /// The last sequence, as far as we know.
    last: u64,
    /// Ids of messages that were sent and may have been stored.
    unsure: BTreeSet<String>,
}

impl Owned {
    pub(crate) fn after(last: u64) -> Self {
        Self { last, unsure: BTreeSet::new() }
    }

    /// Sends messages one after another in the stream, each expected to be the next: fails as
    /// fenced when somebody else's message is in between.
    pub(crate) async fn publish(
        &mut self,
        shared: &Shared,
        outgoing: &[Outgoing],
    ) -> Result<Vec<u64>, AppendError> {
        let mut sequences = Vec::with_capacity(outgoing.len());
        let mut attempt = Attempt::begin();
        while sequences.len() < outgoing.len() {
            let waiting = &outgoing[sequences.len()..];
            let window = &waiting[..waiting.len().min(WINDOW_MESSAGES)];
            self.unsure.extend(window.iter().map(|it| it.id.clone()));
            let results = send(shared, window.iter(), Some(self.last)).await;
            let before = sequences.len();
            let mut trouble = None;
            for result in results {
                match result {
                    Ok(sequence) if trouble.is_none() => {
                        self.last = self.last.max(sequence);
                        sequences.push(sequence);
                    }
                    // Sent again in its turn, and then known by its id.
                    Ok(_) => {}
                    Err(why) => trouble = trouble.or(Some(why)),
                }
            }
            match trouble {
                None => {}
                // A repeat was known, so that the places of those after it were not as expected.
                Some(Trouble::OutOfTurn) if sequences.len() > before => {}
                Some(Trouble::OutOfTurn) => self.catch_up(shared, &mut attempt).await?,
                Some(trouble) => attempt.failed(shared, trouble).await?,
            }
        }
        self.unsure.clear();
        Ok(sequences)
    }

    /// The next place is taken: by a message of ours whose answer was lost, or by somebody else.
    async fn catch_up(
        &mut self,
        shared: &Shared,
        attempt: &mut Attempt,
    ) -> Result<(), AppendError> {
        let next = self.last + 1;
        match shared.stream.get_raw_message(next).await {
            Ok(message) => {
                let id = message.headers.get(ID).map(|id| id.as_str().to_owned());
                if !id.is_some_and(|id| self.unsure.contains(&id)) {
                    let (name, next) = (&shared.name, next);
                    return Err(AppendError::Fenced(format!("topic {name}, message {next}")));
                }
                self.last = next;
                Ok(())
            }
            Err(error) => attempt.failed(shared, Trouble::Again(error.to_string())).await,
        }
    }
}

/// The tries of one append.
struct Attempt {
    begun: Instant,
    pause: Pause,
    /// How often the stream was there and yet nobody took the subject.
    unmapped: u32,
}

impl Attempt {
    fn begin() -> Self {
        Self { begun: Instant::now(), pause: Pause::new(), unmapped: 0 }
    }

    /// Waits until it may be tried again, or says why not.
    async fn failed(&mut self, shared: &Shared, trouble: Trouble) -> Result<(), AppendError> {
        let is_leaving = shared.is_leaving.load(Ordering::Acquire);
        let patience = if is_leaving { LAST_PATIENCE } else { PATIENCE };
        let is_late = shared.is_over() || self.begun.elapsed() > patience;
        match trouble {
            Trouble::Refused(error) => return Err(error),
            Trouble::NoStream if self.begun.elapsed() > UNHEARD => {
                let error = unheard(shared).await;
                self.unmapped += u32::from(matches!(error, AppendError::Unmapped(_)));
                if is_late || self.unmapped > ELECTED {
                    return Err(error);
                }
            }
            Trouble::Again(reason) if is_late => return Err(AppendError::Unavailable(reason)),
            Trouble::OutOfTurn if is_late => {
                return Err(AppendError::Unavailable("the stream is being written".to_owned()));
            }
            _ => {}
        }
        self.pause.wait().await;
        Ok(())
    }
}

/// Nobody took the subject: no server, or no mapping of it into a stream that is there.
async fn unheard(shared: &Shared) -> AppendError {
    match shared.refresh().await {
        Ok(info) if info.cluster.as_ref().is_some_and(|cluster| cluster.leader.is_none()) => {
            AppendError::Unavailable("no server leads the stream".to_owned())
        }
        Ok(_) => AppendError::Unmapped(shared.names.bucket(0)),
        Err(error) => AppendError::Unavailable(error.to_string()),
    }
}

/// Sends messages and waits for the answer to each; `after` is the sequence they are to follow.
///
/// Then each but the first also names the message before it: the sequence alone would let the
/// second through when the first was refused because somebody else had taken its place.
async fn send<'a>(
    shared: &Shared,
    window: impl Iterator<Item = &'a Outgoing>,
    after: Option<u64>,
) -> Vec<Result<u64, Trouble>> {
    let mut answers = Vec::new();
    let mut before: Option<&str> = None;
    for (index, outgoing) in (0..).zip(window) {
        let mut message = outgoing.message.clone();
        if let Some(after) = after {
            message = message.expected_last_sequence(after + index);
            if let Some(id) = before.replace(&outgoing.id) {
                message = message.expected_last_message_id(id);
            }
        }
        answers.push(shared.context.send_publish(outgoing.subject.clone(), message).await);
    }
    // All answers are waited for at once: one timeout, not one for each.
    join_all(answers.into_iter().map(|sent| async move {
        let answer = sent.map_err(|error| trouble(&error))?;
        answer.await.map(|ack| ack.sequence).map_err(|error| trouble(&error))
    }))
    .await
}

pub(crate) fn trouble(error: &PublishError) -> Trouble {
    use std::error::Error;
    let source = error.source();
    let told = source.and_then(|it| it.downcast_ref::<async_nats::jetstream::Error>());
    match (error.kind(), told) {
        (PublishErrorKind::StreamNotFound, _) => Trouble::NoStream,
        (PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId, _) => {
            Trouble::OutOfTurn
        }
        (_, Some(told)) if is_full(told.error_code(), &told.to_string()) => {
            Trouble::Refused(AppendError::Full)
        }
        _ => Trouble::Again(error.to_string()),
    }
}

fn is_full(code: ErrorCode, text: &str) -> bool {
    match code {
        ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => true,
        // The server's store says in words what is the matter.
        ErrorCode::STREAM_STORE_FAILED => text.contains("maximum") || text.contains("no space"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{WINDOW_MESSAGES, round};

    #[test]
    fn of_each_bucket_one_message_is_under_way() {
        let buckets = [Some(1), Some(2), Some(1), None, None, Some(2), Some(1)];
        assert_eq!(round(&buckets, &[0, 1, 2, 3, 4, 5, 6]), [0, 1, 3, 4]);
        // The first failed: those behind it wait with it.
        assert_eq!(round(&buckets, &[0, 2, 5, 6]), [0, 5]);
        assert_eq!(round(&buckets, &[2, 6]), [2]);
        assert_eq!(round(&buckets, &[6]), [6]);
        assert_eq!(round(&buckets, &[]), [0; 0]);
    }

    #[test]
    fn a_round_is_bounded() {
        let waiting: Vec<usize> = (0..1_000).collect();
        assert_eq!(round(&[None; 1_000], &waiting), (0..WINDOW_MESSAGES).collect::<Vec<_>>());
    }
}
