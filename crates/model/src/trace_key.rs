//! Pure: what a packet's trace is called. Every stage, in whatever process, makes the same name of
//! what it sees of the packet, so nothing has to be carried along with it.
//!
//! The name must stay the same from version to version: processes of two versions that work side by
//! side would else tear every trace apart.

use crate::reading::ReadingBatch;

/// Digits of pi: any fixed odd numbers with mixed bits would do.
const SEEDS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];
const FACTORS: [u64; 2] = [0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// Two lanes of 64 bits, each mixed by a multiplication folded onto itself.
struct Hash([u64; 2]);

impl Hash {
    fn word(&mut self, word: u64) {
        let mix = |lane: u64, factor: u64| {
            let product = u128::from(lane ^ word) * u128::from(factor);
            (product as u64) ^ ((product >> 64) as u64)
        };
        self.0 = [mix(self.0[0], FACTORS[0]), mix(self.0[1], FACTORS[1])];
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        // So that the end of one part is not taken for the beginning of the next.
        self.word(bytes.len() as u64);
    }
}

impl ReadingBatch {
    /// The id of this packet's trace, and when it was heard in milliseconds UTC.
    pub fn trace_key(&self) -> (u128, i64) {
        (self.trace_id(), self.received_at.as_millis())
    }

    /// The id of this packet's trace: a hash of its device, when it was heard, its first event time
    /// and how many readings it has. Never 0.
    pub fn trace_id(&self) -> u128 {
        let mut hash = Hash(SEEDS);
        hash.bytes(self.device.as_str().as_bytes());
        hash.word(self.received_at.as_millis().cast_unsigned());
        let first = self.readings.first().map_or(0, |reading| reading.event_time.as_millis());
        hash.word(first.cast_unsigned());
        hash.word(self.readings.len() as u64);
        let [high, low] = hash.0;
        (u128::from(high) << 64 | u128::from(low)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{DeviceId, Metric, Quality, Reading, Timestamp};

    fn batch(device: &str, heard_ms: i64, first_ms: i64, readings: usize) -> ReadingBatch {
        let reading = Reading {
            metric: Metric::new("water_level_m").unwrap(),
            event_time: Timestamp::from_millis(first_ms),
            value: 1.0,
            quality: Quality::Good,
            sequence: 0,
        };
        ReadingBatch {
            device: DeviceId::new(device).unwrap(),
            received_at: Timestamp::from_millis(heard_ms),
            readings: vec![reading; readings],
        }
    }

    #[test]
    fn the_name_is_the_same_in_every_version() {
        let id = batch("stn-my-tho", 1_790_000_000_123, 1_790_000_000_000, 3).trace_id();
        assert_eq!(format!("{id:032x}"), "0138ce328488853e71229872f6799af1");
    }

    #[test]
    fn whatever_differs_gives_another_name() {
        let ids = [
            batch("stn-my-tho", 2, 1, 3),
            batch("stn-my-thp", 2, 1, 3),
            batch("stn-my-tho", 3, 1, 3),
            batch("stn-my-tho", 2, 2, 3),
            batch("stn-my-tho", 1, 2, 3),
            batch("stn-my-tho", 2, 1, 4),
            batch("stn-my-tho-and-a-long-name", 2, 1, 3),
        ]
        .map(|batch| batch.trace_id());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn one_packet_in_a_thousand_is_a_thousandth_of_every_fleet() {
        // Devices in step, reporting each second: the least random of what a province sends.
        let mut traced = 0;
        let mut ids = BTreeSet::new();
        for device in 0..100 {
            for second in 0..1_000 {
                let ms = 1_790_000_000_000 + second * 1_000;
                let id = batch(&format!("stn-{device:04}"), ms, ms, 3).trace_id();
                traced += u32::from((id as u64).is_multiple_of(1_000));
                ids.insert(id);
            }
        }
        assert_eq!(ids.len(), 100_000, "no two have one name");
        assert!((50..150).contains(&traced), "{traced} of 100000");
    }
}
