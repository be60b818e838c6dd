//! Fleets of devices: as fast as acknowledgements allow, as fast as the socket takes, or at a rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use sen_chassis::Clock;
use sen_chassis::clock::Stopwatch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::device::Device;
use super::packet::{Qos, Template};
use super::report::{LONGEST_US, histogram};
use super::values::{ALERTING, EventTimes, SentTimes, load_metric, load_value};

/// Packets of one write at QoS 0: enough to hide the system call, few enough to stay fair.
const BURST: u64 = 64;
/// Series of a whole fleet, so that a fleet of few devices has many series each and event times
/// need not run ahead of the clock; never fewer than one a device nor more than a device may have.
const FLEET_SERIES: usize = 1_024;
const DEVICE_SERIES: usize = 128;
/// Connections being made at the same time.
const CONNECTING: usize = 32;
/// How long the last acknowledgements may take after the sending has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// A device and what it will send.
pub(super) struct Sender {
    device: Device,
    templates: Vec<Template>,
    times: EventTimes,
    sequence: u64,
    clock: Clock,
    begun: Stopwatch,
}

/// What a fleet did.
pub(super) struct Tally {
    /// Readings written to sockets.
    pub sent: u64,
    /// Readings acknowledged.
    pub acknowledged: u64,
    /// ... of these, within the time that counts.
    pub counted: u64,
    /// From the write to the acknowledgement, of packets that were answered within that time.
    pub latency_us: Histogram<u64>,
    /// How far sending fell behind its plan at worst: waiting for the endpoint, or for a core.
    pub behind_us: u64,
}

impl Tally {
    fn new() -> Self {
        Self { sent: 0, acknowledged: 0, counted: 0, latency_us: histogram(), behind_us: 0 }
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.counted += other.counted;
        self.behind_us = self.behind_us.max(other.behind_us);
        self.latency_us.add(&other.latency_us).context("histograms of one shape")
    }
}

/// Who sends what.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    /// First part of the devices' names.
    pub name: &'static str,
    /// How many.
    pub devices: usize,
    /// Values of one packet.
    pub readings_per_packet: usize,
    /// How packets are sent.
    pub qos: Qos,
    /// The metrics of each device; as many as [`FLEET_SERIES`] allows if none are given.
    pub metrics: Option<Vec<String>>,
}

impl Fleet {
    /// Plain load.
    pub(super) fn plain(devices: usize, qos: Qos) -> Self {
        Self { name: "bench", devices, readings_per_packet: 1, qos, metrics: None }
    }

    /// Devices that raise and clear alerts.
    pub(super) fn alerting(devices: usize) -> Self {
        let metrics = Some(vec![ALERTING.to_owned()]);
        Self { name: "siren", devices, readings_per_packet: 1, qos: Qos::AtLeastOnce, metrics }
    }

    /// The metrics of each device.
    pub(super) fn metrics(&self) -> Vec<String> {
        let free = || {
            let least = self.readings_per_packet.max(1);
            let count = (FLEET_SERIES / self.devices.max(1)).clamp(least, DEVICE_SERIES.max(least));
            (0..count).map(load_metric).collect()
        };
        self.metrics.clone().unwrap_or_else(free)
    }

    /// The name of one device.
    pub(super) fn device(&self, index: usize) -> String {
        format!("{}-{index:05}", self.name)
    }

    /// Connects every device.
    pub(super) async fn connect(
        &self,
        mqtt: SocketAddr,
        begun: Stopwatch,
    ) -> anyhow::Result<Vec<Sender>> {
        let metrics = self.metrics();
        let mut senders = Vec::with_capacity(self.devices);
        for first in (0..self.devices).step_by(CONNECTING) {
            let mut connecting = JoinSet::new();
            for index in first..self.devices.min(first + CONNECTING) {
                let name = self.device(index);
                let templates: Vec<Template> = metrics
                    .chunks(self.readings_per_packet.max(1))
                    .map(|metrics| Template::new(&name, metrics, self.qos))
                    .collect();
                connecting.spawn(async move {
                    let device = Device::connect(mqtt, &name).await?;
                    let times = EventTimes::new(templates.len());
                    let clock = Clock::system();
                    Ok(Sender { device, templates, times, sequence: index as u64, clock, begun })
                });
            }
            senders.extend(join(connecting).await?);
        }
        Ok(senders)
    }
}

/// When a closed loop stops, and what of it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Not counted: connections warm up, files grow.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

impl Sender {
    fn now_us(&self) -> u64 {
        micros(self.begun.elapsed())
    }

    fn put_next(&mut self) -> u64 {
        let (time_ms, slot) = self.times.next(self.clock.now_ms());
        self.sequence += 1;
        let (value, now_us) = (load_value(self.sequence), self.now_us());
        self.device.put(&self.templates[slot], time_ms, value, now_us);
        self.templates[slot].readings()
    }

    /// Keeps `window` packets unacknowledged until the span is over or `most` packets were sent.
    async fn saturate(mut self, window: usize, span: Span, most: u64) -> anyhow::Result<Tally> {
        let mut tally = Tally::new();
        let start_us = self.now_us();
        let counts_from_us = start_us + micros(span.warm_up);
        let end_us = counts_from_us + micros(span.measured);
        let mut packets = 0;
        loop {
            while packets < most && self.device.in_flight() < window && self.now_us() < end_us {
                tally.sent += self.put_next();
                packets += 1;
            }
            self.device.flush().await?;
            if self.device.in_flight() == 0 {
                return Ok(tally);
            }
            let answers = tokio::time::timeout(LAST_ANSWERS, self.device.answers())
                .await
                .with_context(|| format!("no acknowledgement for {LAST_ANSWERS:?}"))??;
            let now_us = self.now_us();
            let counts = (counts_from_us..end_us).contains(&now_us);
            for answer in answers {
                tally.acknowledged += answer.readings;
                if counts {
                    tally.counted += answer.readings;
                    tally.latency_us.saturating_record(now_us.saturating_sub(answer.sent_us));
                }
            }
        }
    }

    /// Sends `packets` packets as fast as the socket takes them; gives the device back, since
    /// closing it could throw away what the endpoint has not yet read.
    async fn pour(mut self, packets: u64) -> anyhow::Result<(u64, Device)> {
        let mut readings = 0;
        let mut left = packets;
        while left > 0 {
            let burst = left.min(BURST);
            for _ in 0..burst {
                readings += self.put_next();
            }
            self.device.flush().await?;
            left -= burst;
        }
        Ok((readings, self.device))
    }

    /// Sends one packet each `period`, whether or not the earlier ones were answered.
    async fn pace(
        mut self,
        plan: Pace,
        first: Duration,
        period: Duration,
    ) -> anyhow::Result<Tally> {
        let mut tally = Tally::new();
        let start = Instant::now();
        let mut ticks = tokio::time::interval_at(start + first, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut breach = false;
        loop {
            tokio::select! {
                planned = ticks.tick() => {
                    if planned.duration_since(start) >= plan.lasts {
                        break;
                    }
                    breach = !breach || plan.alerts.as_ref().is_some_and(|how| !how.returns);
                    tally.behind_us = tally.behind_us.max(micros(planned.elapsed()));
                    tally.sent += match &plan.alerts {
                        None => self.put_next(),
                        Some(how) => self.put_alerting(&how.sent, breach),
                    };
                    self.device.flush().await?;
                }
                answers = self.device.answers() => self.note(&answers?, &mut tally),
            }
        }
        while self.device.in_flight() > 0 {
            let answers = tokio::time::timeout(LAST_ANSWERS, self.device.answers())
                .await
                .with_context(|| format!("no acknowledgement for {LAST_ANSWERS:?}"))??;
            self.note(&answers, &mut tally);
        }
        Ok(tally)
    }

    fn put_alerting(&mut self, sent: &SentTimes, breach: bool) -> u64 {
        let (time_ms, slot) = self.times.next(self.clock.now_ms());
        let now_us = self.now_us();
        self.device.put(&self.templates[slot], time_ms, sent.take(breach, now_us), now_us);
        self.templates[slot].readings()
    }

    fn note(&self, answers: &[super::device::Acknowledged], tally: &mut Tally) {
        let now_us = self.now_us();
        for answer in answers {
            tally.acknowledged += answer.readings;
            tally.counted += answer.readings;
            tally.latency_us.saturating_record(now_us.saturating_sub(answer.sent_us));
        }
    }
}

/// An open loop.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Packets a second of the whole fleet.
    pub per_s: f64,
    /// For how long.
    pub lasts: Duration,
    /// Break the limit, and note when each value was sent.
    pub alerts: Option<Alerting>,
}

/// How a fleet makes alerts.
#[derive(Clone, Debug)]
pub(super) struct Alerting {
    /// When each value was sent.
    pub sent: Arc<SentTimes>,
    /// Whether every other value keeps the limit, so that what was raised is cleared.
    pub returns: bool,
}

/// Every sender keeps its window full.
pub(super) async fn saturate(
    senders: Vec<Sender>,
    window: usize,
    span: Span,
    most_packets_each: u64,
) -> anyhow::Result<Tally> {
    let mut running = JoinSet::new();
    for sender in senders {
        running.spawn(sender.saturate(window, span, most_packets_each));
    }
    sum(running).await
}

/// The senders share `packets` between them; gives the readings sent and the open connections.
pub(super) async fn pour(senders: Vec<Sender>, packets: u64) -> anyhow::Result<(u64, Vec<Device>)> {
    let each = packets.div_ceil(senders.len().max(1) as u64);
    let mut running = JoinSet::new();
    for sender in senders {
        running.spawn(sender.pour(each));
    }
    let (sent, devices): (Vec<u64>, Vec<Device>) = join(running).await?.into_iter().unzip();
    Ok((sent.iter().sum(), devices))
}

/// The senders take turns, evenly spread over time.
pub(super) async fn pace(senders: Vec<Sender>, plan: &Pace) -> anyhow::Result<Tally> {
    let apart = Duration::from_secs_f64(1.0 / plan.per_s);
    let count = u32::try_from(senders.len())?;
    let mut running = JoinSet::new();
    for (index, sender) in (0_u32..).zip(senders) {
        running.spawn(sender.pace(plan.clone(), apart * index, apart * count));
    }
    sum(running).await
}

async fn sum(running: JoinSet<anyhow::Result<Tally>>) -> anyhow::Result<Tally> {
    let mut total = Tally::new();
    for tally in join(running).await? {
        total.add(&tally)?;
    }
    Ok(total)
}

/// Joins all; the first failure ends the rest.
pub(super) async fn join<T: 'static>(
    mut running: JoinSet<anyhow::Result<T>>,
) -> anyhow::Result<Vec<T>> {
    let mut results = Vec::with_capacity(running.len());
    while let Some(ended) = running.join_next().await {
        results.push(ended.context("a task panicked")??);
    }
    Ok(results)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::endpoint::{Endpoint, Received};
    use super::super::values::LIMIT;
    use super::*;

    const NO_WARM_UP: Span =
        Span { warm_up: Duration::ZERO, measured: Duration::from_secs(LAST_ANSWERS.as_secs()) };

    /// One device against one endpoint, which acknowledges `window` packets at once.
    async fn one<T>(
        fleet: Fleet,
        (window, last): (usize, usize),
        load: impl AsyncFnOnce(Vec<Sender>) -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Received)> {
        let endpoint = Endpoint::bind().await?;
        let address = endpoint.address;
        let sending = async {
            let senders = fleet.connect(address, Stopwatch::start()).await?;
            load(senders).await
        };
        tokio::try_join!(sending, endpoint.serve(window, last))
    }

    fn times_and_metrics(received: &Received) -> BTreeSet<(i64, String)> {
        let identity = |payload: &String| {
            let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
            let metrics = payload["values"].as_object().unwrap().keys().cloned();
            (payload["ts"].as_i64().unwrap(), metrics.collect::<Vec<_>>().join(","))
        };
        received.payloads.iter().map(identity).collect()
    }

    #[tokio::test]
    async fn a_closed_loop_keeps_its_window_full_and_counts_every_acknowledgement()
    -> anyhow::Result<()> {
        let fleet = Fleet::plain(1, Qos::AtLeastOnce);
        let (tally, received) =
            one(fleet, (7, 100), async |senders| saturate(senders, 7, NO_WARM_UP, 100).await)
                .await?;
        assert_eq!((tally.sent, tally.acknowledged, tally.counted), (100, 100, 100));
        assert_eq!(tally.latency_us.len(), 100);
        assert_eq!((received.publishes, received.most_waiting), (100, 7));
        assert_eq!(times_and_metrics(&received).len(), 100, "an identity came twice");
        Ok(())
    }

    #[tokio::test]
    async fn what_comes_in_the_warm_up_is_acknowledged_but_does_not_count() -> anyhow::Result<()> {
        let span = Span { warm_up: LAST_ANSWERS, measured: LAST_ANSWERS };
        let fleet = Fleet { readings_per_packet: 4, ..Fleet::plain(1, Qos::AtLeastOnce) };
        let (tally, _) =
            one(fleet, (1, 10), async |senders| saturate(senders, 3, span, 10).await).await?;
        assert_eq!((tally.sent, tally.acknowledged, tally.counted), (40, 40, 0));
        assert_eq!(tally.latency_us.len(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn qos_0_pours_all_of_it_out() -> anyhow::Result<()> {
        let fleet = Fleet::plain(1, Qos::AtMostOnce);
        let (sent, received) =
            one(fleet, (1, 1), async |senders| Ok(pour(senders, 1_000).await?.0)).await?;
        assert_eq!((sent, received.publishes, received.most_waiting), (1_000, 1_000, 0));
        assert_eq!(times_and_metrics(&received).len(), 1_000, "an identity came twice");
        Ok(())
    }

    #[tokio::test]
    async fn an_open_loop_keeps_its_rate_and_breaks_the_limit_every_other_time()
    -> anyhow::Result<()> {
        let sent = Arc::new(SentTimes::new());
        let alerts = Some(Alerting { sent: Arc::clone(&sent), returns: true });
        let plan = Pace { per_s: 50.0, lasts: Duration::from_secs(2), alerts };
        let (tally, received) =
            one(Fleet::alerting(1), (1, 1), async |senders| pace(senders, &plan).await).await?;
        assert_eq!((tally.sent, tally.acknowledged, sent.taken()), (100, 100, 100));
        for (index, payload) in received.payloads.iter().enumerate() {
            let payload: serde_json::Value = serde_json::from_str(payload)?;
            let value = payload["values"][ALERTING].as_f64().unwrap();
            assert_eq!(value >= f64::from(LIMIT), index % 2 == 0, "{payload}");
            assert!(sent.sent_us(value).is_some());
        }
        Ok(())
    }

    #[test]
    fn a_fleet_has_about_a_thousand_series_however_many_devices_it_has() {
        for (devices, metrics) in [(1, 128), (8, 128), (100, 10), (1_000, 1), (20_000, 1)] {
            assert_eq!(
                Fleet::plain(devices, Qos::AtMostOnce).metrics().len(),
                metrics,
                "{devices}"
            );
        }
    }
}
