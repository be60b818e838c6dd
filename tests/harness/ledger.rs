//! The ledger of a story: what was sent, what was acknowledged, and the audit at the end.
//!
//! The audit stops the centre and looks at what it left on disk. Every acknowledged reading must be
//! stored with its value, or be in quarantine if it was a bad one; nothing may be there that was
//! never sent; and every window of every tier must be what the oracle makes of what is stored.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use sen_model::{DeviceId, Metric, Quality, SeriesKey, Timestamp};
use sen_store::{Span, Store};
use serde_json::{Value, json};

use crate::device::Device;
use crate::left::Ends;
use crate::oracle::{Oracle, Report};
use crate::pipeline::compare;

/// What makes two readings one.
type Identity = (SeriesKey, i64, u32);

/// The centre reports for itself too, and its probe goes the whole way.
const OURSELVES: [&str; 2] = ["sen-centre", "sen-probe"];
/// How the devices are called as which the centres of communes report for themselves.
const FORWARDED: &str = "sen-centre-";

/// What was sent and what was acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By identity, the value that was sent first.
    sent: BTreeMap<Identity, f64>,
    acknowledged: BTreeSet<Identity>,
    /// Packets that must be kept in quarantine, and how many of them were acknowledged.
    refused: u64,
    refused_acknowledged: u64,
}

/// What the audit counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Readings sent, each identity once.
    pub sent: usize,
    /// Of these, acknowledged.
    pub acknowledged: usize,
    /// Readings stored.
    pub stored: usize,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Windows that are as the oracle says.
    pub windows: usize,
}

/// A good reading of a series.
pub fn reading(device: &str, metric: &str, time_ms: i64, value: f64) -> Report {
    let (device, metric) = (DeviceId::new(device), Metric::new(metric));
    let series = SeriesKey {
        device: device.expect("a story names devices rightly"),
        metric: metric.expect("a story names metrics rightly"),
    };
    Report { series, time_ms, sequence: 0, value, quality: Quality::Good }
}

/// Readings of one device as the payload of one packet.
pub fn payload_of(reports: &[Report]) -> String {
    let object = |report: &Report| {
        let metric = report.series.metric.as_str();
        json!({"ts": report.time_ms, "seq": report.sequence, "values": {metric: report.value}})
    };
    Value::from(reports.iter().map(object).collect::<Vec<_>>()).to_string()
}

/// Where a device reports to.
pub fn topic_of(device: &str) -> String {
    format!("sen/v1/{device}/telemetry")
}

/// Event time in milliseconds and bits of a value.
pub type Timed = (i64, u64);

impl Ledger {
    /// Notes readings that are about to be sent.
    pub fn note_sent(&mut self, reports: &[Report]) {
        for report in reports {
            self.sent.entry(identity(report)).or_insert(report.value);
        }
    }

    /// Notes readings whose packet was acknowledged.
    pub fn note_acknowledged(&mut self, reports: &[Report]) {
        self.acknowledged.extend(reports.iter().map(identity));
    }

    /// Sends readings of one device in one packet and waits for its acknowledgement.
    pub async fn report(&mut self, device: &mut Device, reports: &[Report]) -> anyhow::Result<()> {
        let topic = topic_of(reports[0].series.device.as_str());
        self.note_sent(reports);
        device.publish(&topic, &payload_of(reports)).await?;
        self.note_acknowledged(reports);
        Ok(())
    }

    /// Sends a packet that must end in quarantine, with one record, and is acknowledged.
    pub async fn refused(
        &mut self,
        device: &mut Device,
        topic: &str,
        payload: &str,
    ) -> anyhow::Result<()> {
        self.refused += 1;
        device.publish(topic, payload).await?;
        self.refused_acknowledged += 1;
        Ok(())
    }

    /// How many readings were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Time and bits of the value of what a device sent, and of what of it was acknowledged.
    pub fn values_of(&self, device: &str) -> (BTreeSet<Timed>, BTreeSet<Timed>) {
        let of_device = self.sent.iter().filter(|(it, _)| it.0.device.as_str() == device);
        let value = |(it, value): (&Identity, &f64)| (it.1, value.to_bits());
        let acknowledged = |(it, _): &(&Identity, &f64)| self.acknowledged.contains(*it);
        let sent = of_device.clone().map(value).collect();
        (sent, of_device.filter(acknowledged).map(value).collect())
    }

    /// Stops the centre and holds what it left against what was sent; says what it counted.
    pub async fn audit(&self, centre: impl Ends, story: &str) -> anyhow::Result<Audit> {
        let left = centre.end().await?;
        let (mut counted, mut windows) = (0, 0);
        for parts in &left.stores {
            let mut stored = Vec::new();
            windows = 0;
            for part in parts {
                let reports = stored_in(part).await?;
                windows += compare(part, &Oracle::of(reports.iter().cloned())).await?;
                stored.extend(reports);
            }
            self.must_match(&stored)?;
            counted = stored.iter().filter(|report| !is_ours(&report.series)).count();
            let unique: BTreeSet<_> = stored.iter().map(identity).collect();
            ensure!(unique.len() == stored.len(), "a reading is in two parts of a store");
        }
        let quarantined = left.quarantined;
        ensure!(
            (self.refused_acknowledged..=self.refused).contains(&quarantined),
            "{quarantined} records in quarantine, {} expected",
            self.refused
        );
        let audit = Audit {
            sent: self.sent.len(),
            acknowledged: self.acknowledged.len(),
            stored: counted,
            quarantined,
            windows,
        };
        println!("{story}: {audit:?}");
        Ok(audit)
    }

    fn must_match(&self, stored: &[Report]) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        for report in stored.iter().filter(|report| !is_ours(&report.series)) {
            let sent = self.sent.get(&identity(report));
            let sent = sent.with_context(|| format!("never sent but stored: {report:?}"))?;
            ensure!(sent.to_bits() == report.value.to_bits(), "{sent} was sent: {report:?}");
            found.insert(identity(report));
        }
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        let some = &lost[..lost.len().min(3)];
        ensure!(lost.is_empty(), "acknowledged but lost: {} readings, {some:?}", lost.len());
        Ok(())
    }
}

fn identity(report: &Report) -> Identity {
    (report.series.clone(), report.time_ms, report.sequence)
}

fn is_ours(series: &SeriesKey) -> bool {
    let device = series.device.as_str();
    OURSELVES.contains(&device) || device.starts_with(FORWARDED)
}

/// Every reading in a store, as it was reported.
async fn stored_in(store: &Store) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for (id, series) in store.series() {
        for point in store.points(id, Span::ALL, usize::MAX).await? {
            reports.push(Report {
                series: series.clone(),
                time_ms: Timestamp::as_millis(point.event_time),
                sequence: point.sequence,
                value: point.value,
                quality: point.quality,
            });
        }
    }
    Ok(reports)
}
