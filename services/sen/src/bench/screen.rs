//! Screens that measure: when each alert arrives, and whether any is missing.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use sen_chassis::Shutdown;
use sen_chassis::clock::Stopwatch;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::load::join;
use super::report::histogram;
use super::values::SentTimes;

/// How long a screen may take to be live.
const LIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// The library's default would be 128 KiB a screen and twice the CPU.
const BUFFER_BYTES: usize = 4 * 1024;

/// What is read of a frame; the rest is skipped.
#[derive(Deserialize)]
struct Frame<'t> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'t, str>,
    seq: Option<u64>,
    prev: Option<u64>,
    to: Option<u64>,
    as_of: Option<u64>,
    value: Option<f64>,
    #[serde(default, borrow)]
    device: Cow<'t, str>,
    #[serde(default)]
    items: Vec<Item>,
}

/// What is read of an alert of a snapshot.
#[derive(Deserialize)]
struct Item {
    device: String,
}

/// One connected screen.
pub(super) struct Screen {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seq: u64,
    tally: Tally,
}

/// What screens got.
pub(super) struct Tally {
    /// Frames of any kind.
    pub frames: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Alert frames that answer a reading of the generator.
    pub alerts: u64,
    /// Alert frames whose `prev` was not the last seq.
    pub gaps: u64,
    /// From before the reading's write to after the frame's parsing.
    pub latency_us: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self { frames: 0, bytes: 0, alerts: 0, gaps: 0, latency_us: histogram() }
    }
}

impl Screen {
    /// Connects and reads until the server says `live`.
    pub(super) async fn connect(http: SocketAddr, name: &str) -> anyhow::Result<Self> {
        let mut screen = Self::hello(http, name).await?;
        let reading = async {
            while screen.step(None).await?.kind != "live" {}
            anyhow::Ok(())
        };
        tokio::time::timeout(LIVE_TIMEOUT, reading).await.context("a screen is not live")??;
        Ok(screen)
    }

    /// Connects and says hello; the answer is still to be read.
    pub(super) async fn hello(http: SocketAddr, name: &str) -> anyhow::Result<Self> {
        let url = format!("ws://{http}/api/v1/live");
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES);
        let (mut socket, _) =
            tokio_tungstenite::connect_async_with_config(url, Some(config), true).await?;
        let hello = serde_json::json!({
            "type": "hello", "v": 1, "screen": name, "view": "all", "resume": null
        });
        socket.send(Message::text(hello.to_string())).await?;
        Ok(Self { socket, seq: 0, tally: Tally::new() })
    }

    /// Reads until an alert of `device` is on the glass, in a snapshot or as a frame.
    pub(super) async fn until_alert_of(&mut self, device: &str) -> anyhow::Result<()> {
        while !self.step(None).await?.devices.iter().any(|named| named == device) {}
        Ok(())
    }

    /// Counts until asked to stop.
    async fn watch(mut self, watch: Watch) -> anyhow::Result<Tally> {
        loop {
            tokio::select! {
                () = watch.stop.requested() => return Ok(self.tally),
                step = self.step(Some(&watch)) => step.map(drop)?,
            }
        }
    }

    async fn step(&mut self, watch: Option<&Watch>) -> anyhow::Result<Step> {
        let text = loop {
            match self.socket.next().await.context("the socket ended")?? {
                Message::Text(text) => break text,
                Message::Close(close) => bail!("a screen was closed: {close:?}"),
                _ => {}
            }
        };
        let frame: Frame<'_> = serde_json::from_str(&text)?;
        self.tally.frames += 1;
        self.tally.bytes += text.len() as u64;
        let is_alert = frame.kind == "alert";
        if is_alert || frame.kind == "skip" {
            self.tally.gaps += u64::from(frame.prev != Some(self.seq));
        }
        self.seq = frame.seq.or(frame.to).or(frame.as_of).unwrap_or(self.seq);
        let sent_us = watch
            .filter(|_| is_alert)
            .and_then(|watch| Some((watch, watch.sent.sent_us(frame.value?)?)));
        if let Some((watch, sent_us)) = sent_us {
            self.tally.alerts += 1;
            watch.arrived.fetch_add(1, Ordering::Relaxed);
            watch.note(sent_us, &mut self.tally.latency_us);
        }
        let mut devices: Vec<String> = frame.items.into_iter().map(|item| item.device).collect();
        devices.extend(is_alert.then(|| frame.device.into_owned()));
        Ok(Step { kind: frame.kind.into_owned(), devices })
    }
}

/// What one frame said, as far as the callers want to know.
struct Step {
    kind: String,
    /// Whose alerts it carried.
    devices: Vec<String>,
}

/// What watching screens share.
#[derive(Clone)]
struct Watch {
    sent: Arc<SentTimes>,
    arrived: Arc<AtomicU64>,
    begun: Stopwatch,
    counts_from_us: u64,
    stop: Shutdown,
}

impl Watch {
    fn note(&self, sent_us: u64, latency_us: &mut Histogram<u64>) {
        if sent_us >= self.counts_from_us {
            let now_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            latency_us.saturating_record(now_us.saturating_sub(sent_us));
        }
    }
}

/// Screens being watched.
pub(super) struct Screens {
    running: JoinSet<anyhow::Result<Tally>>,
    watch: Watch,
    count: u64,
}

impl Screens {
    /// Connects `count` screens; alerts of readings sent before `counts_from` (on `begun`) are
    /// counted, but not their latency.
    pub(super) async fn connect(
        http: SocketAddr,
        count: usize,
        sent: Arc<SentTimes>,
        begun: Stopwatch,
        warm_up: Duration,
    ) -> anyhow::Result<Self> {
        let mut screens = Vec::with_capacity(count);
        for index in 0..count {
            screens.push(Screen::connect(http, &format!("bench-{index}")).await?);
        }
        let counts_from_us = u64::try_from((begun.elapsed() + warm_up).as_micros())?;
        let arrived = Arc::new(AtomicU64::new(0));
        let watch = Watch { sent, arrived, begun, counts_from_us, stop: Shutdown::new() };
        let mut running = JoinSet::new();
        for screen in screens {
            running.spawn(screen.watch(watch.clone()));
        }
        Ok(Self { running, watch, count: count as u64 })
    }

    /// Waits until every screen has every alert, or `patience` is over; gives the sums and how
    /// many alerts are missing.
    pub(super) async fn finish(self, patience: Duration) -> anyhow::Result<(Tally, u64)> {
        let expected = self.watch.sent.taken() * self.count;
        let arriving = async {
            let mut pause = tokio::time::interval(Duration::from_millis(5));
            while self.watch.arrived.load(Ordering::Relaxed) < expected {
                pause.tick().await;
            }
        };
        // What is missing after the patience is counted below.
        let _ = tokio::time::timeout(patience, arriving).await;
        self.watch.stop.request();
        let mut total = Tally::new();
        for tally in join(self.running).await? {
            total.frames += tally.frames;
            total.bytes += tally.bytes;
            total.alerts += tally.alerts;
            total.gaps += tally.gaps;
            total.latency_us.add(&tally.latency_us).context("histograms of one shape")?;
        }
        ensure!(total.alerts <= expected, "{} alerts for {expected}", total.alerts);
        let missing = expected - total.alerts;
        Ok((total, missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_frame_of_the_protocol() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/live");
        let mut kinds = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let frame: Frame<'_> =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if frame.kind == "alert" {
                assert!(frame.seq.is_some() && frame.prev.is_some() && !frame.device.is_empty());
            }
            kinds.insert(frame.kind.into_owned());
        }
        for kind in ["alert", "snapshot", "skip", "live", "tick", "heartbeat", "welcome"] {
            assert!(kinds.contains(kind), "no fixture of {kind}");
        }
    }
}
