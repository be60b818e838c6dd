//! Reads a stream in order through a consumer of our own: for followers and for readers behind.
//!
//! Consumers here are ephemeral, without acknowledgements, and checked message by message: the
//! server counts what it delivers, and a count that jumps ends the scan; whoever reads begins a new
//! one where it was. A durable consumer for each partition would show its lag to the server's own
//! tools, but it would belong to two instances at once while an old owner that was paused comes
//! back: each would get a share of the messages, and both would miss the rest. Positions therefore
//! live in our cursors alone, and `Log::lags` tells them.
//!
//! Pull requests are written here and not by the client library: its batches do not wake up after a
//! heartbeat, and without heartbeats a request lost with a connection is noticed too late.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{Context, Message};
use async_nats::{StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

/// After this long without a sign the server forgets the consumer.
const IDLE: Duration = Duration::from_secs(10);
/// How often the server shows that a pull request still waits.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Silence after which a scan is given up.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a pull request of a follower waits.
const PULL: Duration = Duration::from_secs(20);

/// A message as it stands in the stream.
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) message: Message,
}

/// One consumer, read in order. Whoever gives a message back takes it before asking for more.
pub(crate) struct Scan {
    context: Context,
    pull_subject: String,
    inbox: String,
    subscriber: Subscriber,
    /// Messages delivered so far, as the server counts them.
    delivered: u64,
    /// The sequence the next message has at least.
    pub(crate) next: u64,
    /// Given back: read before they were wanted.
    ahead: VecDeque<Stored>,
    /// Messages the pull request under way may still bring.
    asked: usize,
}

impl Scan {
    /// Begins at a sequence, with the messages of some subjects or of all.
    pub(crate) async fn begin(
        context: &Context,
        stream: &str,
        filter: Option<&str>,
        next: u64,
    ) -> io::Result<Self> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next.max(1) },
            ack_policy: AckPolicy::None,
            filter_subject: filter.unwrap_or_default().to_owned(),
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let client = context.client();
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(inbox.clone()).await.map_err(io::Error::other)?;
        let consumer = context.create_consumer_on_stream(config, stream);
        let consumer = consumer.await.map_err(io::Error::other)?;
        let name = &consumer.cached_info().name;
        Ok(Self {
            context: context.clone(),
            pull_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"),
            inbox,
            subscriber,
            delivered: 0,
            next: next.max(1),
            ahead: VecDeque::new(),
            asked: 0,
        })
    }

    /// Asks for messages: those that are there, or also those that come.
    pub(crate) async fn pull(&mut self, messages: usize, waits: bool) -> io::Result<()> {
        let request = if waits {
            let (expires, heartbeat) = (PULL.as_nanos(), HEARTBEAT.as_nanos());
            format!(r#"{{"batch":{messages},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#)
        } else {
            format!(r#"{{"batch":{messages},"no_wait":true}}"#)
        };
        let (subject, inbox) = (self.pull_subject.clone(), self.inbox.clone());
        let client = self.context.client();
        let sent = client.publish_with_reply(subject, inbox, request.into());
        timeout(SILENCE, sent).await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        self.asked = messages;
        Ok(())
    }

    /// Whether a pull request is under way.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked > 0
    }

    /// Whether a message that was given back waits.
    pub(crate) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The next message; none at the end of the pull request: there may be more. An error ends the
    /// scan.
    pub(crate) async fn step(&mut self) -> io::Result<Option<Stored>> {
        if let Some(stored) = self.ahead.pop_front() {
            self.next = stored.sequence + 1;
            return Ok(Some(stored));
        }
        loop {
            if self.asked == 0 {
                return Ok(None);
            }
            let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the server is silent");
            let message = timeout(SILENCE, self.subscriber.next()).await.map_err(silent)?;
            let message = message.ok_or_else(|| io::Error::other("the client is closed"))?;
            if let Some(stored) = self.take(message)? {
                return Ok(Some(stored));
            }
        }
    }

    /// The next message if it is here already.
    pub(crate) fn ready(&mut self) -> Option<io::Result<Option<Stored>>> {
        self.step().now_or_never()
    }

    /// Gives a message back: the next step gives it again.
    pub(crate) fn give_back(&mut self, stored: Stored) {
        self.next = stored.sequence;
        self.ahead.push_front(stored);
    }

    fn take(&mut self, message: async_nats::Message) -> io::Result<Option<Stored>> {
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return Ok(None),
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => {
                self.asked = 0;
                return Ok(None);
            }
            Some(status) => {
                let why = message.description.unwrap_or_default();
                return Err(io::Error::other(format!("the server ended a read: {status} {why}")));
            }
        }
        let message = Message { message, context: self.context.clone() };
        let place = message.info().map_err(io::Error::other)?;
        let (sequence, counted) = (place.stream_sequence, place.consumer_sequence);
        if counted != self.delivered + 1 || sequence < self.next {
            return Err(io::Error::other("the server skipped messages of a read"));
        }
        self.delivered = counted;
        self.next = sequence + 1;
        self.asked -= 1;
        Ok(Some(Stored { sequence, message }))
    }
}
