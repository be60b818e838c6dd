//! Retained MQTT messages for sirens and third parties: `sen/v1/alerts/{area}/{alert}`.
//!
//! The payload is the record as JSON while the alert is open, and empty when it is over, which
//! removes the retained message: whoever subscribes to `sen/v1/alerts/#` gets what is open now and
//! every change from then on.

use std::future::Future;

use sen_model::AlertRecord;

use super::{Channel, ChannelError, Delivery};

/// The level of the topic for alerts of devices whose area is not known.
const NO_AREA: &str = "unknown";

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The world hiccups: the message is published again. The words are for the log.
    Retry(String),
    /// There are too many retained messages: this one is passed over, so that those which remove
    /// one get through. The words are for the log.
    Full(String),
    /// The message will never be taken. The words are for the log.
    Refused(String),
}

impl From<PublishError> for ChannelError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Retry(why) => Self::Retry(why),
            PublishError::Full(why) => Self::Full(why),
            PublishError::Refused(why) => Self::Refused(why),
        }
    }
}

/// Something that can publish to MQTT subscribers.
pub trait Publish: Send + Sync {
    /// Publishes a retained message at QoS 1; an empty payload removes the retained one, and must
    /// succeed however many there are. `rev` grows with what is published on a topic: where several
    /// can publish, one that comes after a higher `rev` changes nothing, and that is well.
    fn publish_retained(
        &self,
        topic: String,
        payload: Vec<u8>,
        rev: u32,
    ) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// The channel over a publisher.
#[derive(Debug)]
pub struct Mqtt<P>(P);

impl<P: Publish> Mqtt<P> {
    /// Publishes through `publisher`.
    pub fn new(publisher: P) -> Self {
        Self(publisher)
    }
}

impl<P: Publish> Channel for Mqtt<P> {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn deliver<'a>(&'a self, record: &'a AlertRecord) -> Delivery<'a> {
        Box::pin(async move {
            let payload = payload(record).map_err(|e| ChannelError::Refused(e.to_string()))?;
            Ok(self.0.publish_retained(topic(record), payload, record.rev).await?)
        })
    }

    /// The endpoint within this process keeps retained messages in memory.
    fn forgets(&self) -> bool {
        true
    }
}

/// Where the alert is published; the same for all its records.
fn topic(record: &AlertRecord) -> String {
    let area = record.area.as_ref().map_or(NO_AREA, |area| area.as_str());
    format!("sen/v1/alerts/{area}/{}", record.id)
}

fn payload(record: &AlertRecord) -> Result<Vec<u8>, serde_json::Error> {
    if record.state.is_open() { serde_json::to_vec(record) } else { Ok(Vec::new()) }
}
