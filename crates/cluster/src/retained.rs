//! Retained messages: the last of each topic, kept by the servers, for every broker to have.
//!
//! Each says where it stands in the order of its topic, and which message it replaces: one that
//! comes late, from a process that was stopped before it sent it, replaces nothing.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::StreamExt;
use sen_chassis::backoff::Backoff;
use tokio::time::sleep;
use tracing::warn;

use crate::hold::Chain;
use crate::{Cluster, Error, name};

/// Between two tries to follow: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Header of a message's place in the order of its topic.
const ORDER: &str = "Sen-Order";

/// How often a message is tried while others keep messages on the same topic.
const TRIES: u32 = 8;

/// What is kept on a topic.
#[derive(Default)]
struct Last {
    /// In the stream; 0 if nothing is kept.
    sequence: u64,
    order: u64,
    payload: Vec<u8>,
}

/// A message that replaces those before it on its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Any text, such as an MQTT topic.
    pub topic: String,
    /// Any bytes; empty = there is none any more, as in MQTT.
    pub payload: Vec<u8>,
}

/// Every retained message in order: first the last one of each topic, then what comes.
#[derive(Debug)]
pub struct RetainedFeed {
    cluster: Cluster,
    messages: Option<Following>,
    /// The stream's sequence of the last one given out.
    seen: Option<u64>,
    trouble: Backoff,
}

struct Following(Ordered);

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Following")
    }
}

impl Cluster {
    /// Keeps `payload` as the last message of `topic`, for all who follow now or later. When this
    /// returns well the servers have it, or (`false`) one with a higher `order`, which stays: so
    /// who is late changes nothing. The same message again is not written again.
    ///
    /// # Errors
    /// The servers did not take it, or not in time: it may be kept all the same; try again.
    pub async fn retain(&self, topic: &str, payload: &[u8], order: u64) -> Result<bool, Error> {
        let most = self.0.client.max_payload();
        if payload.len() > most {
            let (what, size) = (format!("the message on `{topic}`"), payload.len());
            return Err(Error::TooLarge { what, size, most });
        }
        let subject = self.subject(&format!("retained.{}", name::escape(topic)));
        let mut tries = 1;
        loop {
            let last = self.last_retained(&subject).await?;
            if last.order > order {
                return Ok(false);
            }
            if (last.order, last.payload.as_slice()) == (order, payload) && last.sequence > 0 {
                return Ok(true);
            }
            let message = PublishMessage::build()
                .payload(payload.to_vec().into())
                .header(ORDER, order.to_string())
                .expected_last_subject_sequence(last.sequence);
            let sent = self.0.jetstream.send_publish(subject.clone(), message).await;
            let kept = sent.map_err(Error::nats("take a retained message"))?.await;
            match kept {
                Ok(_) => return Ok(true),
                // Another came first: it may be a later one.
                Err(error)
                    if error.kind() == PublishErrorKind::WrongLastSequence && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(Error::nats("keep a retained message")(error)),
            }
        }
    }

    async fn last_retained(&self, subject: &str) -> Result<Last, Error> {
        let message = match self.0.retained.get_last_raw_message_by_subject(subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(Last::default());
            }
            Err(error) => return Err(Error::nats("show a retained message")(error)),
        };
        let order = message.headers.get(ORDER).and_then(|order| order.as_str().parse().ok());
        Ok(Last {
            sequence: message.sequence,
            order: order.unwrap_or_default(),
            payload: message.payload.to_vec(),
        })
    }

    /// Follows all retained messages.
    pub fn retained(&self) -> RetainedFeed {
        let trouble = Backoff::new(RETRY.0, RETRY.1, name::mark());
        RetainedFeed { cluster: self.clone(), messages: None, seen: None, trouble }
    }
}

impl RetainedFeed {
    /// The next message; waits while the servers cannot be reached. A message that was replaced
    /// before it could be given out is left out. Cancel-safe.
    pub async fn next(&mut self) -> Retained {
        loop {
            match self.try_next().await {
                Ok(Some(retained)) => {
                    self.trouble.succeeded();
                    return retained;
                }
                Ok(None) => {}
                Err(error) => {
                    self.messages = None;
                    if self.trouble.is_fresh() {
                        warn!(error = %Chain(&error), "retained messages are not followed, trying again");
                    }
                    sleep(self.trouble.failed()).await;
                }
            }
        }
    }

    /// One message; `None` for one that is not ours or when the following begins anew.
    async fn try_next(&mut self) -> Result<Option<Retained>, Error> {
        if self.messages.is_none() {
            self.messages = Some(follow(&self.cluster, self.seen).await?);
        }
        let Some(Following(messages)) = &mut self.messages else { return Ok(None) };
        let Some(message) = messages.next().await else {
            self.messages = None;
            return Ok(None);
        };
        let message = message.map_err(Error::nats("show a retained message"))?;
        let place =
            message.info().map_err(|source| Error::Nats { what: "number a message", source })?;
        self.seen = Some(place.stream_sequence);
        let prefix = self.cluster.subject("retained.");
        let topic = message.subject.strip_prefix(&prefix).and_then(name::unescape);
        Ok(topic.map(|topic| Retained { topic, payload: message.payload.to_vec() }))
    }
}

async fn follow(cluster: &Cluster, seen: Option<u64>) -> Result<Following, Error> {
    let stream = &cluster.0.retained;
    let known = stream.get_info().await.map_err(Error::nats("show the retained messages"))?;
    let deliver_policy = match seen {
        // A shorter stream is another one, made anew.
        Some(seen) if seen <= known.state.last_sequence => {
            DeliverPolicy::ByStartSequence { start_sequence: seen + 1 }
        }
        _ => DeliverPolicy::LastPerSubject,
    };
    let config = OrderedConfig {
        deliver_subject: cluster.0.client.new_inbox(),
        // All of them; without it servers do not give the last of each.
        filter_subject: cluster.subject("retained.*"),
        deliver_policy,
        ..OrderedConfig::default()
    };
    let failed = "show the retained messages";
    let consumer = stream.create_consumer(config).await.map_err(Error::nats(failed))?;
    Ok(Following(consumer.messages().await.map_err(Error::nats(failed))?))
}
