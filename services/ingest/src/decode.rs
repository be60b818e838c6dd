//! The plug point for payload conventions: pure and total functions from a packet to what it says.

pub(crate) mod event;
pub(crate) mod json;
pub(crate) mod native;

use sen_model::{DeviceId, Event, Metric, Quality, RejectReason, Timestamp};

use crate::packet::Packet;
use crate::topic;

/// Why something was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    /// The reason, by its stable name.
    pub reason: RejectReason,
    /// What exactly was wrong, in words for the person who mends the device.
    pub detail: String,
}

/// How much of a device's own text a reject repeats, in characters.
const SHOWN_CHARS: usize = 64;

impl Reject {
    /// A reject with its reason in words.
    pub(crate) fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// A reject that names the metric, field or place it is about.
    fn about(reason: RejectReason, what: &str, wrong: impl std::fmt::Display) -> Self {
        let what: String = what.chars().take(SHOWN_CHARS).collect();
        Self { reason, detail: format!("`{what}`: {wrong}") }
    }
}

/// One value as the device gave it, before guard, limits and quality.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// What was measured.
    pub metric: Metric,
    /// When; the arrival time where the device gave none.
    pub event_time: Timestamp,
    /// Finite and at most 1e12 in magnitude.
    pub value: f64,
    /// The device's own sequence number; 0 where it gave none. None where the device gave no time:
    /// the time of arrival tells nothing apart, so a number is found when the reading is taken.
    pub sequence: Option<u32>,
    /// How far the sender itself trusts it; good where it says nothing.
    pub quality: Quality,
}

/// What a packet says: the good parts, and what is wrong with the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// Who reports.
    pub device: DeviceId,
    /// Its readings, in the order of the payload.
    pub readings: Vec<Measured>,
    /// Happenings it reports.
    pub events: Vec<Event>,
    /// The parts that could not be taken.
    pub rejects: Vec<Reject>,
}

impl Decoded {
    /// Nothing yet.
    fn of(device: DeviceId) -> Self {
        Self { device, readings: Vec::new(), events: Vec::new(), rejects: Vec::new() }
    }
}

/// One payload convention.
pub(crate) trait Decoder: Send + Sync {
    /// Whether packets on this topic are of this convention.
    fn claims(&self, topic: &str) -> bool;

    /// What the packet says. Total: never panics, whatever the bytes; the same packet always gives
    /// the same answer. `Err` if nothing of it can be taken.
    fn decode(&self, packet: &Packet) -> Result<Decoded, Reject>;
}

/// Every convention there is, in the order they are asked.
pub(crate) struct Decoders(Vec<Box<dyn Decoder>>);

impl Decoders {
    /// The conventions of this edition: Sen's own.
    pub(crate) fn new() -> Self {
        Self(vec![Box::new(native::Native)])
    }

    /// Decodes by the first convention that claims the topic.
    pub(crate) fn decode(&self, packet: &Packet) -> Result<Decoded, Reject> {
        if topic::is_reserved(&packet.topic) {
            return Err(Reject::new(RejectReason::ReservedTopic, "only Sen publishes there"));
        }
        let mut decoders = self.0.iter().map(Box::as_ref);
        let Some(decoder) = decoders.find(|decoder| decoder.claims(&packet.topic)) else {
            let detail = "no convention has this topic: use sen/v1/{device}/telemetry or …/event";
            return Err(Reject::new(RejectReason::UnknownTopic, detail));
        };
        decoder.decode(packet)
    }
}
