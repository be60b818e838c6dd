//! Quarantine: what could not be taken, kept with its reason so that nothing is lost in silence.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Longest part of a refused payload that is kept, in bytes.
pub const KEPT_PAYLOAD_BYTES: usize = 4_096;

/// Why something was not taken. The name is stable: it is a metric label and an API value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// No convention is configured for this topic.
    UnknownTopic,
    /// A topic only Sen may publish to, such as `sen/v1/alerts/…`.
    ReservedTopic,
    /// The payload is not UTF-8.
    NotUtf8,
    /// The payload is not JSON, or nested too deep.
    BadJson,
    /// JSON of a shape the convention does not have.
    BadShape,
    /// A device id, metric or other name that breaks its rule.
    BadName,
    /// Not a finite number, or larger than 1e12.
    BadValue,
    /// More readings in one packet than the limit.
    TooMany,
    /// A packet over the size limit.
    TooLarge,
    /// Event time further ahead than the guard allows.
    TooFarAhead,
    /// Event time further back than the guard allows.
    TooOld,
    /// The device or the centre has reached its limit of series.
    TooManySeries,
    /// The device makes new series faster than allowed.
    NewSeriesTooFast,
    /// The archive would not take it. The working store has it all the same.
    ArchiveRefused,
    /// The centre above this one would not take it. This centre has it all the same.
    UpstreamRefused,
}

impl RejectReason {
    /// The stable name, as in metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTopic => "unknown_topic",
            Self::ReservedTopic => "reserved_topic",
            Self::NotUtf8 => "not_utf8",
            Self::BadJson => "bad_json",
            Self::BadShape => "bad_shape",
            Self::BadName => "bad_name",
            Self::BadValue => "bad_value",
            Self::TooMany => "too_many",
            Self::TooLarge => "too_large",
            Self::TooFarAhead => "too_far_ahead",
            Self::TooOld => "too_old",
            Self::TooManySeries => "too_many_series",
            Self::NewSeriesTooFast => "new_series_too_fast",
            Self::ArchiveRefused => "archive_refused",
            Self::UpstreamRefused => "upstream_refused",
        }
    }

    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 15] = [
        Self::UnknownTopic,
        Self::ReservedTopic,
        Self::NotUtf8,
        Self::BadJson,
        Self::BadShape,
        Self::BadName,
        Self::BadValue,
        Self::TooMany,
        Self::TooLarge,
        Self::TooFarAhead,
        Self::TooOld,
        Self::TooManySeries,
        Self::NewSeriesTooFast,
        Self::ArchiveRefused,
        Self::UpstreamRefused,
    ];
}

/// One packet, or one reading of it, that was not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When Sen heard it.
    pub received_at: Timestamp,
    /// Where it came in: `mqtt`, `broker:<name>`, `http`; or `archive` or `upstream`, where it should
    /// have gone.
    pub source: String,
    /// The MQTT client id or peer, as it named itself.
    pub client: String,
    /// The topic or path it came on.
    pub topic: String,
    /// Why it was not taken.
    pub reason: RejectReason,
    /// What exactly was wrong, in words for the person who mends the device.
    pub detail: String,
    /// The first [`KEPT_PAYLOAD_BYTES`] of the payload.
    #[serde(with = "lossy")]
    pub payload: Vec<u8>,
    /// How long the payload was, in bytes.
    pub payload_bytes: u64,
}

/// Payloads are shown as text, since a person reads them; the log keeps the bytes.
mod lossy {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(from).map(String::into_bytes)
    }
}
