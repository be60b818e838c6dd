//! Devices that report one packet after the other until their connection ends or they are stopped,
//! with a ledger of all they said.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sen_tests::device::Device;
use sen_tests::ledger::{Audit, Ledger, payload_of, reading, topic_of};
use sen_tests::left::Ends;
use sen_tests::oracle::Report;
use sen_tests::wait_for;
use tokio::task::JoinSet;

use crate::{LEVEL, now_ms};

/// Readings in one packet.
const PACKET: i64 = 5;
/// Event time between two readings of one device: many to a minute.
const SPACING_MS: i64 = 700;

/// Some devices and their ledger.
pub(crate) struct Fleet {
    story: Arc<Story>,
    devices: JoinSet<()>,
}

struct Story {
    ledger: Mutex<Ledger>,
    /// Of each device, how many readings it has sent.
    sent: Vec<AtomicI64>,
    begun_ms: i64,
    stops: AtomicBool,
}

impl Fleet {
    /// Devices that have not reported yet; their first reading was six hours ago.
    pub(crate) fn of(devices: usize) -> Self {
        let story = Story {
            ledger: Mutex::default(),
            sent: (0..devices).map(|_| AtomicI64::new(0)).collect(),
            begun_ms: now_ms() - 6 * 3_600_000,
            stops: AtomicBool::new(false),
        };
        Self { story: Arc::new(story), devices: JoinSet::new() }
    }

    /// All devices report to this port.
    pub(crate) fn report_to(&mut self, port: u16) {
        self.story.stops.store(false, Ordering::Relaxed);
        for number in 0..self.story.sent.len() {
            self.devices.spawn(report(Arc::clone(&self.story), number, port));
        }
    }

    /// Waits until so many more readings have been acknowledged.
    pub(crate) async fn acknowledged(&self, more: usize) {
        let wanted = self.ledger().acknowledged() + more;
        wait_for("acknowledgements", async || {
            (self.ledger().acknowledged() >= wanted).then_some(())
        })
        .await;
    }

    /// Stops the devices after the packet they wait for.
    pub(crate) async fn stop(&mut self) {
        self.story.stops.store(true, Ordering::Relaxed);
        while self.devices.join_next().await.is_some() {}
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.story.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the devices and audits the centre.
    pub(crate) async fn audit(mut self, centre: impl Ends, story: &str) -> anyhow::Result<Audit> {
        self.stop().await;
        let ledger = std::mem::take(&mut *self.ledger());
        ledger.audit(centre, story).await
    }
}

async fn report(story: Arc<Story>, number: usize, port: u16) {
    let name = format!("fleet-{number}");
    let Ok(mut device) = Device::connect(&name, port).await else { return };
    while !story.stops.load(Ordering::Relaxed) {
        let first = story.sent[number].fetch_add(PACKET, Ordering::Relaxed);
        let reports: Vec<Report> = (first..first + PACKET)
            .map(|n| reading(&name, LEVEL, story.begun_ms + n * SPACING_MS, value_of(n)))
            .collect();
        let ledger = || story.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger().note_sent(&reports);
        if device.publish(&topic_of(&name), &payload_of(&reports)).await.is_err() {
            return;
        }
        ledger().note_acknowledged(&reports);
    }
}

/// Under every alarm level, and exact in binary.
fn value_of(number: i64) -> f64 {
    0.25 + (number % 512) as f64 / 1024.0
}
