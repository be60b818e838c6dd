//! From a packet to what the log keeps of it: readings, events, and quarantine for the rest. Pure.

use std::sync::Mutex;
use std::sync::PoisonError;

use sen_model::quarantine::KEPT_PAYLOAD_BYTES;
use sen_model::{
    Device, DeviceId, Event, Quarantined, Reading, ReadingBatch, Registry, RejectReason, Timestamp,
};

use crate::decode::{Decoded, Decoders, Measured, Reject};
use crate::guard::TimeGuard;
use crate::packet::Packet;
use crate::quality;
use crate::series::{SeriesBook, SeriesLimits, first_sequence};

/// Longest topic, client id or detail kept in quarantine, in bytes.
const KEPT_TEXT_BYTES: usize = 256;
/// How many details of one reason a quarantine record spells out.
const SPELLED_OUT: usize = 3;

/// What the log keeps of one packet: never nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sorted {
    /// The readings that were taken.
    pub batch: Option<ReadingBatch>,
    /// The events that were taken.
    pub events: Vec<Event>,
    /// What was not taken: one record for each reason.
    pub quarantined: Vec<Quarantined>,
}

/// The rules packets are sorted by.
pub(crate) struct Sorter {
    decoders: Decoders,
    guard: TimeGuard,
    book: Mutex<SeriesBook>,
    largest_payload_bytes: usize,
    /// Devices nobody outside may speak as.
    reserved: Vec<DeviceId>,
}

impl Sorter {
    /// Rules with an empty memory of series, for a process that began at `began`.
    pub(crate) fn new(
        guard: TimeGuard,
        limits: SeriesLimits,
        largest_payload_bytes: usize,
        reserved: Vec<DeviceId>,
        began: Timestamp,
    ) -> Self {
        let book = Mutex::new(SeriesBook::new(limits, first_sequence(began)));
        Self { decoders: Decoders::new(), guard, book, largest_payload_bytes, reserved }
    }

    /// How many series are known.
    pub(crate) fn series(&self) -> usize {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What is to be kept of `packet`.
    pub(crate) fn sort(&self, packet: &Packet, registry: &Registry) -> Sorted {
        if packet.payload.len() > self.largest_payload_bytes {
            let detail =
                format!("a payload over the limit of {} bytes", self.largest_payload_bytes);
            return refuse(packet, Reject::new(RejectReason::TooLarge, detail));
        }
        match self.decoders.decode(packet) {
            Ok(decoded) if self.reserved.contains(&decoded.device) => {
                let detail = "only Sen itself reports as this device";
                refuse(packet, Reject::new(RejectReason::ReservedTopic, detail))
            }
            Ok(decoded) => self.judge(decoded, packet, registry),
            Err(reject) => refuse(packet, reject),
        }
    }

    fn judge(&self, decoded: Decoded, packet: &Packet, registry: &Registry) -> Sorted {
        let Decoded { device, readings, mut events, mut rejects } = decoded;
        let now = packet.received_at;
        let known = registry.device(&device);
        let mut taken = Vec::with_capacity(readings.len());
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for measured in readings {
            let spec = known.and_then(|known: &Device| known.metric(&measured.metric));
            let judged = self
                .guard
                .check(measured.event_time, now)
                .and_then(|()| book.admit(&device, &measured.metric, spec.is_some(), now));
            match judged {
                Ok(()) => {
                    let ours = || book.sequence(&device, &measured.metric, now);
                    let sequence = measured.sequence.unwrap_or_else(ours);
                    taken.push(reading(measured, sequence, spec));
                }
                Err(reject) => rejects.push(reject),
            }
        }
        events.retain(|event| {
            let judged = self
                .guard
                .check(event.event_time, now)
                .and_then(|()| book.admit_events(&device, known.is_some(), now));
            judged.map_err(|reject| rejects.push(reject)).is_ok()
        });
        drop(book);
        let batch = ReadingBatch { device, received_at: now, readings: taken };
        Sorted {
            batch: (!batch.readings.is_empty()).then_some(batch),
            events,
            quarantined: quarantine(packet, rejects),
        }
    }
}

fn reading(measured: Measured, sequence: u32, spec: Option<&sen_model::MetricSpec>) -> Reading {
    Reading {
        quality: quality::judge(spec, measured.value, measured.quality),
        metric: measured.metric,
        event_time: measured.event_time,
        value: measured.value,
        sequence,
    }
}

/// The packet as a whole, for one reason.
pub(crate) fn refuse(packet: &Packet, reject: Reject) -> Sorted {
    Sorted { quarantined: quarantine(packet, vec![reject]), ..Sorted::default() }
}

/// One record for each reason. A record for each reject would let a packet of 64 KiB write
/// megabytes; the payload, which is kept, shows them all.
fn quarantine(packet: &Packet, rejects: Vec<Reject>) -> Vec<Quarantined> {
    let mut reasons: Vec<(RejectReason, Vec<String>)> = Vec::new();
    for Reject { reason, detail } in rejects {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, details)) => details.push(detail),
            None => reasons.push((reason, vec![detail])),
        }
    }
    let kept = &packet.payload[..packet.payload.len().min(KEPT_PAYLOAD_BYTES)];
    let record = |(reason, details): (RejectReason, Vec<String>)| Quarantined {
        received_at: packet.received_at,
        source: shortened(&packet.source),
        client: shortened(&packet.client),
        topic: shortened(&packet.topic),
        reason,
        detail: shortened(&spelled_out(&details)),
        payload: kept.to_vec(),
        payload_bytes: packet.payload.len() as u64,
    };
    reasons.into_iter().map(record).collect()
}

fn spelled_out(details: &[String]) -> String {
    let some = details[..details.len().min(SPELLED_OUT)].join("; ");
    match details.len().saturating_sub(SPELLED_OUT) {
        0 => some,
        more => format!("{more} more beside: {some}"),
    }
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(KEPT_TEXT_BYTES.min(text.len()));
    text[..end].to_owned()
}

/// A record to show when a batch cannot be kept because it is larger than the log's limit.
pub(crate) fn too_large(device: &str, received_at: Timestamp, limit: u64) -> Quarantined {
    Quarantined {
        received_at,
        source: "log".to_owned(),
        client: String::new(),
        topic: shortened(device),
        reason: RejectReason::TooLarge,
        detail: format!("over the log's limit of {limit} bytes a record"),
        payload: Vec::new(),
        payload_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sen_model::{Field, Metric, MetricSpec, Quality, Text};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn sorter() -> Sorter {
        let limits = SeriesLimits { per_device: 4, total: 100, new_per_minute: 2 };
        let reserved = vec!["sen-centre".parse().unwrap()];
        Sorter::new(TimeGuard::default(), limits, 60_000, reserved, NOW)
    }

    fn registry() -> Registry {
        let spec = MetricSpec {
            metric: Metric::new("level_m").unwrap(),
            name: Text::default(),
            unit: "m".into(),
            min: Some(-3.0),
            max: Some(8.0),
        };
        let device = Device {
            id: "stn-1".parse().unwrap(),
            name: Text::default(),
            kind: "river".into(),
            field: Field::Environment,
            area: "28261".parse().unwrap(),
            lat: 10.0,
            lon: 106.0,
            interval_ms: 60_000,
            tags: Vec::new(),
            relations: sen_model::Relations::default(),
            metrics: vec![spec],
        };
        Registry::new(vec![device], Vec::new())
    }

    fn packet(topic: &str, payload: &[u8]) -> Packet {
        Packet {
            source: "mqtt".into(),
            client: "c".into(),
            topic: topic.into(),
            payload: Bytes::copy_from_slice(payload),
            received_at: NOW,
            number: 1,
            retained: false,
        }
    }

    #[test]
    fn good_readings_go_on_and_bad_ones_are_kept_with_their_reasons() {
        let payload = format!(
            r#"[{{"level_m":9,"x":1}},{{"ts":1,"values":{{"x":1}}}},{{"ts":{},"x":2}},{{"y":null}}]"#,
            NOW.as_millis() + 3_600_000
        );
        let sorted =
            sorter().sort(&packet("sen/v1/stn-1/telemetry", payload.as_bytes()), &registry());
        let batch = sorted.batch.unwrap();
        let taken: Vec<_> = batch.readings.iter().map(|r| (r.metric.as_str(), r.quality)).collect();
        assert_eq!(taken, [("level_m", Quality::Suspect), ("x", Quality::Good)]);
        let reasons: Vec<_> = sorted.quarantined.iter().map(|q| q.reason).collect();
        use RejectReason::{BadValue, TooFarAhead, TooOld};
        assert_eq!(reasons, [BadValue, TooOld, TooFarAhead]);
        assert!(sorted.quarantined.iter().all(|q| q.payload == payload.as_bytes()));
    }

    #[test]
    fn readings_without_a_time_are_never_taken_for_one() {
        let sorter = sorter();
        let telemetry = |payload: &str| {
            let packet = packet("sen/v1/stn-1/telemetry", payload.as_bytes());
            sorter.sort(&packet, &registry()).batch.unwrap().readings
        };
        let mut readings = telemetry(r#"[{"x":1},{"x":2},{"seq":7,"x":3},{"seq":7,"x":4}]"#);
        readings.extend(telemetry(r#"{"x":1}"#));
        readings.extend(telemetry(r#"{"x":1}"#));
        assert!(readings.iter().all(|reading| reading.event_time == NOW));
        let sequences: Vec<u32> = readings.iter().map(|reading| reading.sequence).collect();
        assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
        // With a time of its own a reading is what the device says, also twice.
        let timed = format!(r#"[{{"ts":{0},"x":1}},{{"ts":{0},"x":2}}]"#, NOW.as_millis());
        let sequences =
            telemetry(&timed).iter().map(|reading| reading.sequence).collect::<Vec<_>>();
        assert_eq!(sequences, [0, 0], "a repetition of the first");
    }

    #[test]
    fn nobody_outside_speaks_as_a_reserved_device() {
        let cases: [(&str, &[u8]); 2] = [
            ("sen/v1/sen-centre/telemetry", br#"{"records_damaged":0}"#),
            ("sen/v1/sen-centre/event", br#"{"kind":"x"}"#),
        ];
        for (topic, payload) in cases {
            let sorted = sorter().sort(&packet(topic, payload), &registry());
            assert_eq!((sorted.batch, sorted.events), (None, Vec::new()), "{topic}");
            assert_eq!(sorted.quarantined[0].reason, RejectReason::ReservedTopic);
            assert_eq!(sorted.quarantined[0].payload, payload);
        }
    }

    #[test]
    fn every_packet_leaves_something() {
        let cases: [(&str, &[u8], RejectReason); 5] = [
            ("sen/v1/alerts/82/x", b"{}", RejectReason::ReservedTopic),
            ("cmd/stn-1/go", b"{}", RejectReason::ReservedTopic),
            ("tele/x/STATE", b"{}", RejectReason::UnknownTopic),
            ("sen/v1/stn-1/telemetry", &[b'7'; 60_001], RejectReason::TooLarge),
            ("sen/v1/cam-1/event", br#"{"kind":"x","ts":1}"#, RejectReason::TooOld),
        ];
        for (topic, payload, wanted) in cases {
            let sorted = sorter().sort(&packet(topic, payload), &registry());
            let reasons: Vec<_> = sorted.quarantined.iter().map(|q| q.reason).collect();
            assert_eq!((reasons.as_slice(), sorted.batch), ([wanted].as_slice(), None), "{topic}");
            assert!(sorted.quarantined[0].payload.len() <= KEPT_PAYLOAD_BYTES);
        }
    }

    #[test]
    fn a_packet_full_of_mistakes_writes_one_record_a_reason() {
        let payload = format!("[{}]", vec!["7"; 900].join(","));
        let topic = format!("sen/v1/{}/telemetry", "a".repeat(64));
        let sorted = sorter().sort(&packet(&topic, payload.as_bytes()), &registry());
        assert_eq!(sorted.quarantined.len(), 1);
        assert!(sorted.quarantined[0].detail.starts_with("897 more"), "{:?}", sorted.quarantined);
    }
}
