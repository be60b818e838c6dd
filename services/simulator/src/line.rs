//! One MQTT connection and the devices behind it: publishes at QoS 1, reconnects, and sends again
//! what was not acknowledged.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use rumqttc::{AsyncClient, ConnectionError, Event, MqttOptions, Outgoing, Packet, QoS};
use sen_chassis::backoff::Backoff;
use sen_chassis::{Clock, Shutdown};

use crate::outbox::{IN_FLIGHT_MOST, Outbox};
use crate::reporter::Reporter;

/// How often the client asks whether the broker still lives; a dead one is found in twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The waits between two attempts to connect.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MOST: Duration = Duration::from_secs(10);
/// How long a stopping line waits for its last acknowledgements.
const DRAIN: Duration = Duration::from_secs(1);

/// What ended a session; boxed, for it is large and rare.
type Lost = Box<ConnectionError>;

/// What the MQTT client has to say; dropping it closes the connection.
type Session = Pin<Box<dyn Stream<Item = Result<Event, Lost>> + Send>>;

/// How many lines have lost their broker, so that two hundred of them warn once.
pub(crate) type LostLines = Arc<AtomicUsize>;

/// A connection, the devices that speak over it, and what they have still to deliver.
pub(crate) struct Line {
    client_id: String,
    broker: SocketAddr,
    clock: Clock,
    reporters: Vec<Reporter>,
    outbox: Outbox,
    backoff: Backoff,
    lost_lines: LostLines,
}

impl Line {
    /// A line of these devices; nothing is connected yet.
    pub(crate) fn new(
        client_id: String,
        broker: SocketAddr,
        clock: Clock,
        reporters: Vec<Reporter>,
        buffer_packets: usize,
        lost_lines: LostLines,
    ) -> Self {
        let seed = crate::noise::seed_for(0, &client_id);
        Self {
            client_id,
            broker,
            clock,
            reporters,
            outbox: Outbox::new(buffer_packets, IN_FLIGHT_MOST),
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST, seed),
            lost_lines,
        }
    }

    /// Speaks until asked to stop, over as many connections as it takes.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        while let Err(lost) = self.speak(&shutdown).await {
            self.outbox.lost();
            self.note_loss(&lost);
            let again_in = self.backoff.failed();
            if !self.wait(again_in, &shutdown).await {
                break;
            }
        }
        Ok(())
    }

    /// One connection, from connecting to its loss or to the end of the drain.
    async fn speak(&mut self, shutdown: &Shutdown) -> Result<(), Lost> {
        let (client, mut session) = self.connect();
        loop {
            self.hand_over(&client);
            let due = self.until_due();
            tokio::select! {
                event = session.next() => self.hear(event)?,
                () = tokio::time::sleep(due) => self.measure(),
                () = shutdown.requested() => break,
            }
        }
        // A broker that is gone will not acknowledge any more; nobody waits longer than the drain.
        let _ = tokio::time::timeout(DRAIN, self.drain(&client, &mut session)).await;
        let _ = client.try_disconnect();
        let _ = tokio::time::timeout(DRAIN, farewell(&mut session)).await;
        Ok(())
    }

    /// A new client each time: identifiers and unacknowledged packets of the last connection stay
    /// in the outbox, which knows them, instead of in a client that forgets them when the broker
    /// has no session.
    fn connect(&self) -> (AsyncClient, Session) {
        let host = self.broker.ip().to_string();
        let mut options = MqttOptions::new(&self.client_id, host, self.broker.port());
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true);
        let (client, driver) = AsyncClient::new(options, IN_FLIGHT_MOST);
        // `poll` must not be dropped half-way, as `select!` would; inside a stream it is not.
        let session = stream::unfold(driver, |mut driver| async move {
            let event = driver.poll().await;
            Some((event.map_err(Box::new), driver))
        });
        (client, Box::pin(session))
    }

    fn hand_over(&mut self, client: &AsyncClient) {
        while let Some(packet) = self.outbox.next() {
            let (topic, payload) = (packet.topic.clone(), packet.payload.clone());
            // The queue holds as many as the window: it is never full, and open while we hold it.
            if client.try_publish(topic, QoS::AtLeastOnce, false, payload).is_err() {
                break;
            }
        }
    }

    fn hear(&mut self, event: Option<Result<Event, Lost>>) -> Result<(), Lost> {
        match event {
            Some(Ok(Event::Outgoing(Outgoing::Publish(id)))) => self.outbox.numbered(id),
            Some(Ok(Event::Incoming(Packet::PubAck(acknowledgement)))) => {
                if self.outbox.acknowledged(acknowledgement.pkid) {
                    metrics::counter!("sen_simulator_packets_acknowledged_total").increment(1);
                }
                self.note_success();
            }
            Some(Ok(_)) => {}
            Some(Err(lost)) => return Err(lost),
            None => return Err(Box::new(ConnectionError::RequestsDone)),
        }
        Ok(())
    }

    async fn drain(&mut self, client: &AsyncClient, session: &mut Session) -> Result<(), Lost> {
        while !self.outbox.is_empty() {
            self.hand_over(client);
            let event = session.next().await;
            self.hear(event)?;
        }
        Ok(())
    }

    /// Lets every device that is due measure and speak into the outbox.
    fn measure(&mut self) {
        let now_ms = self.clock.now_ms();
        for reporter in &mut self.reporters {
            for packet in reporter.step(now_ms) {
                if self.outbox.push(packet) {
                    metrics::counter!("sen_simulator_packets_dropped_total").increment(1);
                }
            }
        }
    }

    fn until_due(&self) -> Duration {
        let due_ms = self.reporters.iter().map(Reporter::due_ms).min().unwrap_or(i64::MAX);
        let wait_ms = due_ms.saturating_sub(self.clock.now_ms()).max(0);
        Duration::from_millis(wait_ms.unsigned_abs())
    }

    /// Measures on without a connection for so long; false if asked to stop.
    async fn wait(&mut self, pause: Duration, shutdown: &Shutdown) -> bool {
        let mut pause = std::pin::pin!(tokio::time::sleep(pause));
        loop {
            let due = self.until_due();
            tokio::select! {
                () = &mut pause => return true,
                () = tokio::time::sleep(due) => self.measure(),
                () = shutdown.requested() => return false,
            }
        }
    }

    fn note_loss(&self, lost: &Lost) {
        metrics::counter!("sen_simulator_connections_lost_total").increment(1);
        if self.backoff.is_fresh() && self.lost_lines.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(broker = %self.broker, error = %lost, "simulated devices lost the broker");
        }
    }

    fn note_success(&mut self) {
        if self.backoff.succeeded() && self.lost_lines.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::info!(broker = %self.broker, "simulated devices are connected again");
        }
    }
}

/// Until the disconnection is on the wire, so that the broker does not take it for a failure.
async fn farewell(session: &mut Session) {
    while let Some(Ok(event)) = session.next().await {
        if event == Event::Outgoing(Outgoing::Disconnect) {
            break;
        }
    }
}
