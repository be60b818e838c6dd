//! Pure: what was quarantined, by reason and by device, since this process started.

use std::collections::BTreeMap;

use sen_model::{DeviceId, Quarantined, RejectReason};

/// Devices that are counted one by one; what comes under further names counts by reason only, so
/// that a sender who invents names costs no memory.
pub const MOST_DEVICES: usize = 10_000;
/// Where native topics begin; the device follows.
const NATIVE: &str = "sen/v1/";

/// Counts of quarantine.
#[derive(Debug, Default)]
pub struct Counts {
    by_reason: BTreeMap<RejectReason, u64>,
    by_device: BTreeMap<DeviceId, u64>,
}

impl Counts {
    /// Counts one refused packet or reading.
    pub fn add(&mut self, refused: &Quarantined) {
        *self.by_reason.entry(refused.reason).or_default() += 1;
        let Some(device) = sender(refused) else { return };
        if let Some(count) = self.by_device.get_mut(&device) {
            *count += 1;
        } else if self.by_device.len() < MOST_DEVICES {
            self.by_device.insert(device, 1);
        }
    }

    /// Counts of every reason there is, also of those with none.
    pub fn by_reason(&self) -> BTreeMap<&'static str, u64> {
        let count = |reason: RejectReason| self.by_reason.get(&reason).copied().unwrap_or(0);
        RejectReason::ALL.into_iter().map(|reason| (reason.as_str(), count(reason))).collect()
    }

    /// How much came from a device.
    pub fn of_device(&self, device: &DeviceId) -> u64 {
        self.by_device.get(device).copied().unwrap_or(0)
    }

    /// The devices from which something was refused.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.by_device.keys()
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.by_reason.values().sum()
    }
}

/// The device a refused packet seems to come from: by its topic, else by its client id.
fn sender(refused: &Quarantined) -> Option<DeviceId> {
    let by_topic = refused.topic.strip_prefix(NATIVE).and_then(|rest| rest.split('/').next());
    let named = by_topic.and_then(|name| DeviceId::new(name).ok());
    named.or_else(|| DeviceId::new(&refused.client).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sen_model::Timestamp;

    fn refused(client: &str, topic: &str, reason: RejectReason) -> Quarantined {
        Quarantined {
            received_at: Timestamp::default(),
            source: "mqtt".into(),
            client: client.into(),
            topic: topic.into(),
            reason,
            detail: String::new(),
            payload: Vec::new(),
            payload_bytes: 0,
        }
    }

    #[test]
    fn counts_by_reason_and_by_the_likely_sender() {
        let mut counts = Counts::default();
        counts.add(&refused("gw-1", "sen/v1/stn-my-tho/telemetry", RejectReason::BadJson));
        counts.add(&refused("gw-1", "plant/7", RejectReason::UnknownTopic));
        counts.add(&refused("###", "sen/v1/#/x", RejectReason::UnknownTopic));
        assert_eq!(counts.of_device(&DeviceId::new("stn-my-tho").unwrap()), 1);
        assert_eq!(counts.of_device(&DeviceId::new("gw-1").unwrap()), 1);
        assert_eq!(counts.by_reason()["unknown_topic"], 2);
        assert_eq!(counts.by_reason()["too_old"], 0);
        assert_eq!(counts.total(), 3);
    }

    #[test]
    fn invented_names_cost_no_memory() {
        let mut counts = Counts::default();
        for n in 0..MOST_DEVICES + 500 {
            counts.add(&refused("", &format!("sen/v1/dev{n}/telemetry"), RejectReason::BadShape));
        }
        assert_eq!(counts.devices().count(), MOST_DEVICES);
        assert_eq!(counts.total(), MOST_DEVICES as u64 + 500);
    }
}
