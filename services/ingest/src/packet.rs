//! What came off the wire, undecoded.

use std::sync::Arc;

use bytes::Bytes;
use sen_model::Timestamp;

/// One MQTT PUBLISH or will, as it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Where it came in: `mqtt` for our own endpoint, `broker:<name>` for a foreign broker.
    pub source: Arc<str>,
    /// The client id, as the client named itself.
    pub client: Arc<str>,
    /// The topic it was published on.
    pub topic: Arc<str>,
    /// The payload, untouched.
    pub payload: Bytes,
    /// When Sen heard it.
    pub received_at: Timestamp,
    /// Tells packets of one millisecond apart: each has another number, for as long as the process
    /// lives.
    pub number: u64,
    /// Whether it was delivered as retained state: then it is no news, and the time of its arrival
    /// says nothing about when it was measured.
    pub retained: bool,
}
