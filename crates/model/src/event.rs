//! Events: discrete happenings reported by a system or a person (camera, citizen, security).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::DeviceId;
use crate::time::Timestamp;

/// One happening. Identity: (device, id); where the reporter gives no id, ingest derives one from
/// the content, so that a retransmission is the same event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The reporter's own id of it, or a hash of the content.
    pub id: String,
    /// Who reported it.
    pub device: DeviceId,
    /// What kind of happening: `crowd`, `fire_smoke`, `citizen_report`, …
    pub kind: String,
    /// When it happened.
    pub event_time: Timestamp,
    /// When Sen heard of it.
    pub received_at: Timestamp,
    /// What the reporter wrote; shown as text, never as markup.
    pub text: String,
    /// Anything else, as text.
    pub attributes: BTreeMap<String, String>,
}
