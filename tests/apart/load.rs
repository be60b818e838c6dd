//! Devices that report all the time, each over one endpoint and, when that is gone, over the other;
//! one whose readings raise and clear an alert again and again; and callers, each with one reading
//! that raises a critical alert.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use sen_tests::asking::now_ms;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, payload_of, reading, topic_of};
use sen_tests::oracle::Report;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::calls::{CALL, caller};
use crate::{SWING, TRIAL};

/// How many devices report beside the one that swings, and how often each.
const DEVICES: usize = 6;
const EVERY: Duration = Duration::from_millis(150);
/// What they measure.
pub(crate) const LEVEL: &str = "water_level_m";
/// How often the one that swings reports, and how many readings it stays up, and down.
const SWING_EVERY: Duration = Duration::from_millis(500);
const SWING_STAYS: u64 = 4;
/// What breaches the limits of the trial rules, and what clears.
const OVER: f64 = 12.0;
const UNDER: f64 = 1.0;
/// How long a device waits for a connection or a PUBACK before it tries the other endpoint.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// What was sent and acknowledged, and when.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) ledger: Ledger,
    /// All that was acknowledged, in the order in which it was, each with when that was.
    pub(crate) acknowledged: Vec<(i64, Report)>,
}

/// What all devices have.
#[derive(Clone)]
struct Shared {
    ports: [u16; 2],
    book: Arc<Mutex<Book>>,
    failures: Arc<AtomicUsize>,
}

/// Devices at work.
pub(crate) struct Load {
    shared: Shared,
    stop: watch::Sender<bool>,
    /// Whose turn it is to call, and where it tells that its reading was acknowledged.
    callers: mpsc::Sender<Turn>,
    devices: JoinSet<()>,
}

type Turn = (usize, oneshot::Sender<()>);

/// How the devices that only report are called.
pub(crate) fn name_of(number: usize) -> String {
    format!("load-{number}")
}

impl Load {
    /// Lets them begin on these two ports.
    pub(crate) fn begin(ports: [u16; 2]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let shared = Shared { ports, book: Arc::default(), failures: Arc::default() };
        let mut devices = JoinSet::new();
        for number in 0..=DEVICES {
            let name = if number < DEVICES { name_of(number) } else { SWING.to_owned() };
            devices.spawn(Line::of(&shared, name, number).report(stopped.clone()));
        }
        let (callers, called) = mpsc::channel(1);
        devices.spawn(call(shared.clone(), called));
        Self { shared, stop, callers, devices }
    }

    /// Lets the caller of a number report its breach, and waits until that is acknowledged.
    pub(crate) async fn call(&self, number: usize) -> anyhow::Result<()> {
        let (done, acknowledged) = oneshot::channel();
        self.callers.send((number, done)).await?;
        Ok(timeout(sen_tests::PATIENCE, acknowledged).await??)
    }

    /// How many readings were acknowledged up to now.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.book().acknowledged.len()
    }

    /// How often a device tried in vain.
    pub(crate) fn failures(&self) -> usize {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// How many readings were acknowledged between two times.
    pub(crate) fn acknowledged_between(&self, from_ms: i64, to_ms: i64) -> usize {
        let book = self.shared.book();
        let within = |(at_ms, _): &&(i64, Report)| (from_ms..to_ms).contains(at_ms);
        book.acknowledged.iter().filter(within).count()
    }

    /// Waits until so many more are acknowledged.
    pub(crate) async fn more(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        sen_tests::wait_for("more acknowledgements", async || {
            (self.acknowledged() >= wanted).then_some(())
        })
        .await;
    }

    /// Lets them end once all that was sent is acknowledged and the swinging alert is not open.
    pub(crate) async fn end(mut self) -> anyhow::Result<Book> {
        self.stop.send_replace(true);
        drop(self.callers);
        let ending = async {
            while let Some(ended) = self.devices.join_next().await {
                ended?;
            }
            anyhow::Ok(())
        };
        timeout(sen_tests::PATIENCE, ending).await.context("the devices wait for ever")??;
        Ok(std::mem::take(&mut *self.shared.book()))
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn call(shared: Shared, mut called: mpsc::Receiver<Turn>) {
    while let Some((number, done)) = called.recv().await {
        let name = caller(number);
        let report = reading(&name, CALL, now_ms(), OVER);
        Line::of(&shared, name, number).deliver(report).await;
        // Whoever waited may have given up.
        let _ = done.send(());
    }
}

/// One device.
struct Line {
    shared: Shared,
    name: String,
    /// Which of the ports it uses.
    at: usize,
    device: Option<Device>,
}

impl Line {
    fn of(shared: &Shared, name: String, number: usize) -> Self {
        Self { shared: shared.clone(), name, at: number % shared.ports.len(), device: None }
    }

    async fn report(mut self, stopped: watch::Receiver<bool>) {
        let swings = self.name == SWING;
        let mut pause = interval(if swings { SWING_EVERY } else { EVERY });
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last_ms, mut number) = (0, 0_u64);
        loop {
            pause.tick().await;
            let is_up = swings && (number / SWING_STAYS).is_multiple_of(2);
            let stop = *stopped.borrow();
            if stop && (!swings || number > 0) {
                // The last word of the one that swings is that all is well.
                if swings {
                    last_ms = now_ms().max(last_ms + 1);
                    self.deliver(reading(SWING, TRIAL, last_ms, UNDER)).await;
                }
                return;
            }
            last_ms = now_ms().max(last_ms + 1);
            let report = if swings {
                reading(SWING, TRIAL, last_ms, if is_up { OVER } else { UNDER })
            } else {
                reading(&self.name, LEVEL, last_ms, value_of(number))
            };
            number += 1;
            self.deliver(report).await;
        }
    }

    /// Sends it until it is acknowledged, over whichever endpoint answers.
    async fn deliver(&mut self, report: Report) {
        self.shared.book().ledger.note_sent(std::slice::from_ref(&report));
        let (topic, payload) = (topic_of(&self.name), payload_of(std::slice::from_ref(&report)));
        let mut pause = interval(TRY_EVERY);
        loop {
            pause.tick().await;
            match timeout(ANSWER_WITHIN, self.once(&topic, &payload)).await {
                Ok(Ok(())) => break,
                _ => {
                    self.shared.failures.fetch_add(1, Ordering::Relaxed);
                    self.device = None;
                    self.at = (self.at + 1) % self.shared.ports.len();
                }
            }
        }
        let mut book = self.shared.book();
        book.ledger.note_acknowledged(std::slice::from_ref(&report));
        book.acknowledged.push((now_ms(), report));
    }

    async fn once(&mut self, topic: &str, payload: &str) -> anyhow::Result<()> {
        let device = match self.device.take() {
            Some(device) => device,
            None => Device::connect(&self.name, self.shared.ports[self.at]).await?,
        };
        self.device.insert(device).publish(topic, payload).await
    }
}

/// Under every alarm level, and exact in binary.
fn value_of(number: u64) -> f64 {
    0.25 + (number % 512) as f64 / 1024.0
}
