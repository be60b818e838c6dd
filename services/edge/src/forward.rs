//! The conversation with the centre above: sends what the lanes hold, and hears the answers.

use std::convert::Infallible;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::PubAckReason;
use sen_chassis::backoff::Backoff;
use sen_chassis::clock::Stopwatch;
use sen_chassis::{Clock, Health, Shutdown};
use sen_log::{ReadError, Topic};
use sen_model::{DeviceId, Event, Quarantined, ReadingBatch, RejectReason, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::UPSTREAM;
use crate::config::{Address, Config};
use crate::lane::{Forwarded, Lane};
use crate::line::{Driver, Line, Lost, Said, Verdict, is_too_large, verdict};
use crate::outbox::Packet;

/// How often the position is saved and looked at.
const TICK: Duration = Duration::from_secs(1);
/// Nothing at all was heard for so long while packets are on their way: the line is lost, even if
/// the system still takes what we write.
const SILENCE: Duration = Duration::from_secs(9);
/// Between tries while there is no line: from, to.
const RETRY_FROM: Duration = Duration::from_millis(200);
const RETRY_TO: Duration = Duration::from_secs(5);

/// What is forwarded, and to whom.
pub(crate) struct Forwarder {
    pub(crate) config: Config,
    pub(crate) to: Address,
    pub(crate) password: Option<String>,
    pub(crate) readings: Lane<ReadingBatch>,
    pub(crate) events: Option<Lane<Event>>,
    pub(crate) quarantine: Topic<Quarantined>,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    /// Why the last answer was a refusal. Until something is taken again, that is what health says.
    pub(crate) refusal: Option<String>,
    pub(crate) backoff: Backoff,
    /// When the centre above last had everything, or took something.
    pub(crate) kept_at: watch::Sender<Timestamp>,
}

/// Which packet an answer is about: each device has at most one on its way in each lane.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Readings(DeviceId),
    Event(DeviceId),
}

/// What the other side allows.
#[derive(Clone, Copy)]
struct Limits {
    window: usize,
    packet_bytes: usize,
}

/// Delays that spread the communes of a province.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(RETRY_FROM, RETRY_TO, u64::from(std::process::id()))
}

impl Forwarder {
    /// Forwards until asked to stop. What is not known to be kept above then is sent after the next
    /// start.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let lost = tokio::select! {
                () = shutdown.requested() => break,
                lost = self.connection() => lost,
            };
            if matches!(lost, Lost::Read(ReadError::Closed)) {
                // Everything is stopping.
                shutdown.requested().await;
                break;
            }
            let pause = self.lost(&lost);
            self.save().await;
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.save().await;
    }

    /// One connection to its end.
    async fn connection(&mut self) -> Lost {
        let (line, driver) = Line::new(&self.config, self.password.as_deref(), &self.to);
        let (mouth, ear) = Driver::ear();
        tokio::select! {
            lost = Box::pin(driver.run(mouth)) => lost,
            spoken = Box::pin(self.speak(line, ear)) => match spoken {
                Err(lost) => lost,
                Ok(never) => match never {},
            },
        }
    }

    async fn speak(
        &mut self,
        mut line: Line<Key>,
        mut ear: mpsc::Receiver<Said>,
    ) -> Result<Infallible, Lost> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut limits = None;
        let mut heard = Stopwatch::start();
        loop {
            if let Some(limits) = limits {
                self.fill().await?;
                self.send(&mut line, limits).await?;
            }
            let is_up = limits.is_some();
            tokio::select! {
                said = ear.recv() => match said.ok_or(Lost::Confused)? {
                    Said::Left(id) => line.left(id)?,
                    said => {
                        heard = Stopwatch::start();
                        self.hear(said, &mut line, &mut limits).await?;
                    }
                },
                arrived = self.readings.arrival(), if is_up && self.readings.has_room() => arrived?,
                arrived = arrival(&mut self.events), if is_up => arrived?,
                _ = tick.tick() => {
                    if self.on_their_way() > 0 && heard.elapsed() > SILENCE {
                        return Err(Lost::Silent);
                    }
                    self.save().await;
                    self.look(is_up);
                }
            }
        }
    }

    async fn hear(
        &mut self,
        said: Said,
        line: &mut Line<Key>,
        limits: &mut Option<Limits>,
    ) -> Result<(), Lost> {
        match said {
            Said::Up { window, packet_bytes } => {
                *limits = Some(Limits { window, packet_bytes });
                self.look(true);
            }
            Said::Answered(id, reason) => self.answered(line.answered(id)?, reason).await?,
            Said::Left(_) | Said::Alive => {}
        }
        Ok(())
    }

    async fn answered(&mut self, key: Key, reason: PubAckReason) -> Result<(), Lost> {
        match verdict(reason) {
            Verdict::Kept => {
                if let Some(packet) = self.settle(&key) {
                    metrics::counter!("sen_upstream_forwarded_total", "topic" => level(&key))
                        .increment(packet.says);
                }
                self.refusal = None;
                self.works();
                Ok(())
            }
            Verdict::Never => self.refused(key, &format!("the centre above says {reason:?}")).await,
            Verdict::Later => Err(Lost::NotNow(reason)),
            Verdict::Unheard => Err(Lost::NobodyThere),
        }
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        if let Some(events) = &mut self.events {
            events.fill().await?;
        }
        self.readings.fill().await
    }

    async fn send(&mut self, line: &mut Line<Key>, limits: Limits) -> Result<(), Lost> {
        while self.on_their_way() < limits.window {
            let Some((key, payload)) = self.next() else { return Ok(()) };
            let topic = topic(&key);
            if is_too_large(&topic, &payload, limits.packet_bytes) {
                let limit = limits.packet_bytes;
                let detail = format!("over the {limit} bytes a packet the centre above takes");
                self.refused(key, &detail).await?;
            } else {
                line.publish(key, &topic, payload)?;
            }
        }
        Ok(())
    }

    /// The next packet to send. Events are few, and people wait for them: they go first.
    fn next(&mut self) -> Option<(Key, Vec<u8>)> {
        let events = self.events.as_mut();
        if let Some((device, packet)) = events.and_then(|events| events.outbox.send()) {
            return Some((Key::Event(device), packet.payload()));
        }
        let (device, packet) = self.readings.outbox.send()?;
        Some((Key::Readings(device), packet.payload()))
    }

    /// A packet that can never be taken above: kept in quarantine here, so that what is behind it
    /// can go on.
    async fn refused(&mut self, key: Key, detail: &str) -> Result<(), Lost> {
        let on_its_way = match &key {
            Key::Readings(device) => self.readings.outbox.on_its_way(device),
            Key::Event(device) => {
                self.events.as_ref().and_then(|events| events.outbox.on_its_way(device))
            }
        };
        let Some(packet) = on_its_way else { return Err(Lost::Confused) };
        let mut payload = packet.payload();
        let payload_bytes = payload.len() as u64;
        payload.truncate(sen_model::quarantine::KEPT_PAYLOAD_BYTES);
        let record = Quarantined {
            received_at: Timestamp::from_millis(self.clock.now_ms()),
            source: UPSTREAM.to_owned(),
            client: self.config.client_id.clone(),
            topic: topic(&key),
            reason: RejectReason::UpstreamRefused,
            detail: detail.to_owned(),
            payload,
            payload_bytes,
        };
        self.quarantine.append(vec![record]).await.map_err(Lost::Quarantine)?;
        if let Some(packet) = self.settle(&key) {
            metrics::counter!("sen_upstream_refused_total", "topic" => level(&key))
                .increment(packet.says);
        }
        let why = format!("{detail}: what was refused last is in quarantine ({})", topic(&key));
        self.health.ill(UPSTREAM, &why);
        self.refusal = Some(why);
        Ok(())
    }

    fn settle(&mut self, key: &Key) -> Option<Packet> {
        match key {
            Key::Readings(device) => self.readings.outbox.settle(device),
            Key::Event(device) => self.events.as_mut()?.outbox.settle(device),
        }
    }

    fn on_their_way(&self) -> usize {
        let events = self.events.as_ref().map_or(0, |events| events.outbox.on_their_way());
        self.readings.outbox.on_their_way() + events
    }

    fn behind(&self) -> u64 {
        self.readings.behind() + self.events.as_ref().map_or(0, Lane::behind)
    }

    async fn save(&mut self) {
        self.readings.save().await;
        if let Some(events) = &mut self.events {
            events.save().await;
        }
    }

    /// Tells how far it is behind. With nothing to send, a line that is up is all that can be known.
    fn look(&mut self, is_up: bool) {
        let behind = self.behind();
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        metrics::gauge!("sen_upstream_behind_records").set(behind as f64);
        if is_up && behind == 0 {
            self.works();
        }
    }

    fn works(&mut self) {
        match &self.refusal {
            None => self.health.well(UPSTREAM),
            Some(why) => self.health.ill(UPSTREAM, why),
        }
        self.kept_at.send_replace(Timestamp::from_millis(self.clock.now_ms()));
        if self.backoff.succeeded() {
            tracing::info!(
                behind = self.behind(),
                "the centre above takes what is forwarded again"
            );
        }
    }

    /// Tells of a lost line, prepares to send again, and says how long to wait.
    fn lost(&mut self, lost: &Lost) -> Duration {
        self.readings.outbox.line_lost();
        if let Some(events) = &mut self.events {
            events.outbox.line_lost();
        }
        self.look(false);
        let behind = self.behind();
        if self.backoff.is_fresh() {
            tracing::warn!(error = %lost, behind, "nothing is forwarded: what waits stays in the log");
        }
        self.health.ill(UPSTREAM, format!("{lost}; {behind} records wait to be forwarded"));
        self.backoff.failed()
    }
}

/// Waits for events where they are forwarded and there is room; else for ever.
async fn arrival(lane: &mut Option<Lane<Event>>) -> Result<(), ReadError> {
    match lane {
        Some(lane) if lane.has_room() => lane.arrival().await,
        _ => std::future::pending().await,
    }
}

fn level(key: &Key) -> &'static str {
    match key {
        Key::Readings(_) => ReadingBatch::LEVEL,
        Key::Event(_) => Event::LEVEL,
    }
}

fn topic(key: &Key) -> String {
    let (Key::Readings(device) | Key::Event(device)) = key;
    format!("sen/v1/{device}/{}", level(key))
}
