//! The dead man's beat: a device that goes the whole way, from the MQTT endpoint through the log and
//! the rules to a record, each ten seconds. Whoever watches the records knows within half a minute
//! that alerting has stopped; and how long the way takes.
//!
//! It says 1 and 0 in turn, so that the built-in rule about it raises and clears with every beat.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use rumqttc::{AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS};
use sen_chassis::{Clock, Shutdown};
use tokio::time::{Interval, MissedTickBehavior};

/// Its id in `devices.toml`.
pub(crate) const DEVICE: &str = "sen-probe";
/// How often it beats; `interval_ms` of its kind in `devices.toml`.
const INTERVAL: Duration = Duration::from_secs(10);
/// The pause before it connects again.
const RETRY: Duration = Duration::from_secs(1);
/// A dead endpoint is found in twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Beats on their way, at most: older ones are of no use to anybody.
const IN_FLIGHT: usize = 4;

/// What ended a connection; boxed, for it is large and rare.
type Lost = Box<ConnectionError>;
/// What the MQTT client has to say; dropping it closes the connection.
type Session = Pin<Box<dyn Stream<Item = Result<Event, Lost>> + Send>>;

/// The device.
pub(crate) struct Probe {
    broker: SocketAddr,
    clock: Clock,
    beats: u64,
}

impl Probe {
    /// A probe of the endpoint at this address; nothing is connected yet.
    pub(crate) fn new(broker: SocketAddr, clock: Clock) -> Self {
        Self { broker, clock, beats: 0 }
    }

    /// Beats until asked to stop, over as many connections as it takes.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Err(error) = self.speak(&mut ticks, &shutdown).await {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "the probe lost the endpoint"
            );
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        Ok(())
    }

    /// One connection, from connecting to its loss.
    async fn speak(&mut self, ticks: &mut Interval, shutdown: &Shutdown) -> Result<(), Lost> {
        let (client, mut session) = self.connect();
        let mut is_connected = false;
        loop {
            tokio::select! {
                event = session.next() => match event {
                    Some(event) => is_connected |= matches!(event?, Event::Incoming(Packet::ConnAck(_))),
                    None => return Ok(()),
                },
                _ = ticks.tick(), if is_connected => self.beat(&client),
                () = shutdown.requested() => return Ok(()),
            }
        }
    }

    fn connect(&self) -> (AsyncClient, Session) {
        let mut options =
            MqttOptions::new(DEVICE, self.broker.ip().to_string(), self.broker.port());
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true);
        let (client, driver) = AsyncClient::new(options, IN_FLIGHT);
        // `poll` must not be dropped half-way, as `select!` would; inside a stream it is not.
        let session = stream::unfold(driver, |mut driver| async move {
            let event = driver.poll().await;
            Some((event.map_err(Box::new), driver))
        });
        (client, Box::pin(session))
    }

    fn beat(&mut self, client: &AsyncClient) {
        self.beats += 1;
        let payload = serde_json::json!({
            "ts": self.clock.now_ms(),
            "values": { "beat": self.beats % 2 },
        });
        let topic = format!("sen/v1/{DEVICE}/telemetry");
        let sent = client.try_publish(topic, QoS::AtLeastOnce, false, payload.to_string());
        if sent.is_err() {
            tracing::debug!("a beat found no room: the ones before it are not acknowledged");
        }
    }
}
