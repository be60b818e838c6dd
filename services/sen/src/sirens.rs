//! Hands the alerts of the notify service to the subscribers of the MQTT endpoint.

use sen_ingest::Publisher;
use sen_notify::channel::Channel;
use sen_notify::channel::mqtt::{Mqtt, Publish, PublishError};

/// The endpoint's publisher, as the notify service wants it.
pub(crate) struct Sirens(Publisher);

impl Sirens {
    /// The channel over this publisher.
    pub(crate) fn channel(publisher: Publisher) -> Box<dyn Channel> {
        Box::new(Mqtt::new(Self(publisher)))
    }
}

impl Publish for Sirens {
    async fn publish_retained(
        &self,
        topic: String,
        payload: Vec<u8>,
        _rev: u32,
    ) -> Result<(), PublishError> {
        // Nobody else publishes here, so nothing comes late.
        self.0.publish(&topic, payload).await.map_err(|error| match error {
            sen_ingest::PublishError::Full(_) => PublishError::Full(error.to_string()),
            sen_ingest::PublishError::Topic(_) => PublishError::Refused(error.to_string()),
        })
    }
}
