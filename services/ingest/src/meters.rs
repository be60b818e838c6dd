//! What ingest counts. Handles are made once: looking a metric up by name costs more than a packet.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use sen_model::{Event, Quarantined, ReadingBatch, RejectReason};

/// What is counted for all sources together.
pub(crate) struct Meters {
    readings: Counter,
    events: Counter,
    quarantined: [Counter; RejectReason::ALL.len()],
    acknowledge_seconds: Histogram,
    series: Gauge,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            readings: counter!("sen_ingest_readings_total"),
            events: counter!("sen_ingest_events_total"),
            quarantined: RejectReason::ALL.map(
                |reason| counter!("sen_ingest_quarantined_total", "reason" => reason.as_str()),
            ),
            acknowledge_seconds: histogram!("sen_ingest_acknowledge_seconds"),
            series: gauge!("sen_ingest_series"),
        }
    }

    /// These batches are on disk.
    pub(crate) fn kept_batches(&self, batches: &[ReadingBatch]) {
        let readings: usize = batches.iter().map(|batch| batch.readings.len()).sum();
        self.readings.increment(readings as u64);
    }

    /// These events are on disk.
    pub(crate) fn kept_events(&self, events: &[Event]) {
        self.events.increment(events.len() as u64);
    }

    /// These quarantine records are on disk.
    pub(crate) fn quarantined(&self, records: &[Quarantined]) {
        for record in records {
            let known = RejectReason::ALL.iter().position(|known| *known == record.reason);
            if let Some(counter) = known.and_then(|index| self.quarantined.get(index)) {
                counter.increment(1);
            }
        }
    }

    /// How long a packet waited until it was on disk.
    pub(crate) fn durable_after(&self, waited: std::time::Duration) {
        self.acknowledge_seconds.record(waited);
    }

    /// How many series are known.
    pub(crate) fn series(&self, count: usize) {
        self.series.set(count as f64);
    }
}

/// What is counted for one source.
pub(crate) struct SourceMeters {
    packets: Counter,
    bytes: Counter,
    too_large: Counter,
}

impl SourceMeters {
    pub(crate) fn new(source: &str) -> Self {
        let source = source.to_owned();
        Self {
            packets: counter!("sen_ingest_packets_total", "source" => source.clone()),
            too_large: counter!("sen_ingest_too_large_total", "source" => source.clone()),
            bytes: counter!("sen_ingest_bytes_total", "source" => source),
        }
    }

    /// A packet of so many bytes of payload was heard.
    pub(crate) fn heard(&self, bytes: usize) {
        self.packets.increment(1);
        self.bytes.increment(bytes as u64);
    }

    /// A connection ended because of a packet too large to be heard.
    pub(crate) fn too_large(&self) {
        self.too_large.increment(1);
    }
}

/// What is counted for the connections of our own endpoint.
pub(crate) struct ConnectionMeters {
    open: Gauge,
    refused: Counter,
}

impl ConnectionMeters {
    pub(crate) fn new() -> Self {
        Self {
            open: gauge!("sen_ingest_connections"),
            refused: counter!("sen_ingest_connections_refused_total"),
        }
    }

    /// How many connections are open.
    pub(crate) fn open(&self, count: usize) {
        self.open.set(count as f64);
    }

    /// A connection was closed because there are too many.
    pub(crate) fn refused(&self) {
        self.refused.increment(1);
    }
}
