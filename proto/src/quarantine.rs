//! `Quarantined`: what could not be taken.

use prost::Message;
use sen_model::{Quarantined, RejectReason, Timestamp};

use crate::field::refused;
use crate::{DecodeError, Wire, v1};

impl Wire for Quarantined {
    fn encode(&self, out: &mut Vec<u8>) {
        v1::Quarantined::from(self).encode_raw(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::Quarantined::decode(bytes)?.try_into()
    }
}

impl From<&Quarantined> for v1::Quarantined {
    fn from(quarantined: &Quarantined) -> Self {
        Self {
            received_at_ms: quarantined.received_at.as_millis(),
            source: quarantined.source.clone(),
            client: quarantined.client.clone(),
            topic: quarantined.topic.clone(),
            reason: v1::RejectReason::from(quarantined.reason).into(),
            detail: quarantined.detail.clone(),
            payload: quarantined.payload.clone(),
            payload_bytes: quarantined.payload_bytes,
        }
    }
}

impl TryFrom<v1::Quarantined> for Quarantined {
    type Error = DecodeError;

    fn try_from(message: v1::Quarantined) -> Result<Self, DecodeError> {
        let reason = reason_of(message.reason()).ok_or_else(|| refused("reason"))?;
        Ok(Self {
            received_at: Timestamp::from_millis(message.received_at_ms),
            source: message.source,
            client: message.client,
            topic: message.topic,
            reason,
            detail: message.detail,
            payload: message.payload,
            payload_bytes: message.payload_bytes,
        })
    }
}

impl From<RejectReason> for v1::RejectReason {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::UnknownTopic => Self::UnknownTopic,
            RejectReason::ReservedTopic => Self::ReservedTopic,
            RejectReason::NotUtf8 => Self::NotUtf8,
            RejectReason::BadJson => Self::BadJson,
            RejectReason::BadShape => Self::BadShape,
            RejectReason::BadName => Self::BadName,
            RejectReason::BadValue => Self::BadValue,
            RejectReason::TooMany => Self::TooMany,
            RejectReason::TooLarge => Self::TooLarge,
            RejectReason::TooFarAhead => Self::TooFarAhead,
            RejectReason::TooOld => Self::TooOld,
            RejectReason::TooManySeries => Self::TooManySeries,
            RejectReason::NewSeriesTooFast => Self::NewSeriesTooFast,
            RejectReason::ArchiveRefused => Self::ArchiveRefused,
            RejectReason::UpstreamRefused => Self::UpstreamRefused,
        }
    }
}

/// Generated getters turn unknown numbers into `Unspecified`, which is no reason.
fn reason_of(reason: v1::RejectReason) -> Option<RejectReason> {
    RejectReason::ALL.into_iter().find(|known| v1::RejectReason::from(*known) == reason)
}
