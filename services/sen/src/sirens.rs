//! Hands the alerts of the notify service to the subscribers of the MQTT endpoint.

use sen_ingest::Publisher;
use sen_notify::channel::Channel;

/// The endpoint's publisher, as the notify service wants it.
pub struct Sirens(Publisher);

impl Sirens {
    /// The channel over this publisher.
    pub fn channel(publisher: Publisher) -> Box<dyn Channel> {
        Box::new(sen_notify::channel::mqtt::Mqtt::new(Self(publisher)))
    }
}
