//! A broker of somebody else's: we subscribe with QoS 1 and a persistent session, and acknowledge
//! by hand, after the log.
//!
//! Packet ids are numbered anew by every connection, so an acknowledgement that comes late, after a
//! reconnect, would acknowledge another packet, and that one would be lost. Therefore a connection
//! and everything that belongs to it (event loop, its buffered events, the handle acknowledgements
//! are sent with, the receipts still awaited) live and die together: an acknowledgement of an older
//! connection has nowhere to go, and the broker sends the packet again.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::Error::PayloadSizeLimitExceeded;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet, Publish,
    QoS, SubscribeFilter, SubscribeReasonCode,
};
use sen_chassis::backoff::Backoff;
use sen_chassis::{Health, Shutdown};
use tokio::sync::mpsc;

use crate::intake::{Door, Heard, Receipt, Stopped};
use crate::sources::Broker;

/// How long connecting, CONNACK included, may take.
const CONNECT_TIMEOUT_S: u64 = 5;
/// Room among our requests to the broker. A packet id is 16 bits, so no more acknowledgements than
/// that can be owed, and with room for all of them sending one never waits: waiting for the event
/// loop from what the event loop waits for would stand still for ever. They do pile up: the event
/// loop takes in up to ten packets for each request it sends. Memory is taken as it is needed.
const ACKNOWLEDGEMENTS: usize = u16::MAX as usize;
/// Room beside them: SUBSCRIBE, DISCONNECT.
const OTHER_REQUESTS: usize = 4;

/// One broker we subscribe to.
pub(crate) struct BrokerSource {
    broker: Broker,
    door: Door,
    health: Health,
    /// Its name in [`Health`]: `broker:<name>`.
    part: String,
    /// Whether the broker has confirmed the filters since this process started: they may have
    /// changed while it kept our session.
    subscribed: bool,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Connection(#[source] Box<ConnectionError>),
    #[error(
        "the broker keeps sending a packet of {bytes} bytes, over max_packet_bytes = {limit}, and \
         nothing behind it can be heard: raise max_packet_bytes in sources.toml until it has \
         passed, and let the broker refuse such packets (Mosquitto: max_packet_size)"
    )]
    TooLarge { bytes: usize, limit: usize },
    #[error("the broker refused a subscription")]
    SubscriptionRefused,
    #[error("the requests to the broker do not fit their queue")]
    RequestsFull,
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl BrokerSource {
    pub(crate) fn new(broker: Broker, door: Door, health: Health) -> Self {
        let part = format!("broker:{}", broker.name);
        health.ill(&part, "not connected yet");
        Self { broker, door, health, part, subscribed: false }
    }

    /// Keeps a connection up until shutdown.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let seed = u64::from(std::process::id());
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), seed);
        while !shutdown.is_requested() {
            let lost = tokio::select! {
                () = shutdown.requested() => return,
                lost = self.connection(&mut backoff) => lost,
            };
            if matches!(lost, Lost::Stopped(_)) {
                return;
            }
            if matches!(lost, Lost::TooLarge { .. }) {
                self.door.too_large();
            }
            self.health.ill(&self.part, lost.to_string());
            if backoff.is_fresh() {
                tracing::warn!(broker = self.broker.name, error = %lost, "lost a broker");
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(backoff.failed()) => {}
            }
        }
    }

    /// One connection from CONNECT to its end.
    async fn connection(&mut self, backoff: &mut Backoff) -> Lost {
        let requests = ACKNOWLEDGEMENTS + OTHER_REQUESTS;
        let (client, mut events) = AsyncClient::new(self.options(), requests);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_TIMEOUT_S).set_tcp_nodelay(true);
        events.set_network_options(network);
        let (taken, waiting) = mpsc::channel(self.broker.max_in_flight);
        let ended = tokio::select! {
            ended = self.listen(&client, &mut events, &taken, backoff) => ended,
            ended = acknowledge(&client, waiting) => ended,
        };
        match ended {
            Err(lost) => lost,
            Ok(never) => match never {},
        }
    }

    fn options(&self) -> MqttOptions {
        let Broker { client_id, host, port, .. } = &self.broker;
        let mut options = MqttOptions::new(client_id, host, *port);
        options
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_keep_alive(self.broker.keep_alive())
            .set_max_packet_size(self.broker.max_packet_bytes, self.broker.max_packet_bytes);
        options
    }

    /// Reads what the broker sends. While the log or the window is full it does not read on.
    async fn listen(
        &mut self,
        client: &AsyncClient,
        events: &mut EventLoop,
        taken: &mpsc::Sender<(Publish, Receipt)>,
        backoff: &mut Backoff,
    ) -> Result<Infallible, Lost> {
        loop {
            let event = events.poll().await.map_err(|error| self.lost(error))?;
            let Event::Incoming(packet) = event else { continue };
            match packet {
                Packet::ConnAck(answer) if self.subscribed && answer.session_present => {
                    self.connected(backoff);
                }
                Packet::ConnAck(_) => self.subscribe(client)?,
                Packet::SubAck(answer) => {
                    if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                        return Err(Lost::SubscriptionRefused);
                    }
                    self.subscribed = true;
                    self.connected(backoff);
                }
                Packet::Publish(publish) => self.take(publish, taken).await?,
                _ => {}
            }
        }
    }

    /// In MQTT 3.1.1 there is no way to refuse one packet, and to leave the session behind would
    /// lose what the broker keeps for us. So the operator has to act, and is told how.
    fn lost(&self, error: ConnectionError) -> Lost {
        use rumqttc::StateError::Deserialization;
        match error {
            ConnectionError::MqttState(Deserialization(PayloadSizeLimitExceeded(bytes))) => {
                Lost::TooLarge { bytes, limit: self.broker.max_packet_bytes }
            }
            other => Lost::Connection(Box::new(other)),
        }
    }

    fn subscribe(&mut self, client: &AsyncClient) -> Result<(), Lost> {
        self.subscribed = false;
        let filter = |path: &String| SubscribeFilter::new(path.clone(), QoS::AtLeastOnce);
        let filters: Vec<SubscribeFilter> = self.broker.filters.iter().map(filter).collect();
        client.try_subscribe_many(filters).map_err(|_| Lost::RequestsFull)
    }

    fn connected(&self, backoff: &mut Backoff) {
        backoff.succeeded();
        self.health.well(&self.part);
        tracing::info!(broker = self.broker.name, "subscribed to a broker");
    }

    async fn take(
        &self,
        publish: Publish,
        taken: &mpsc::Sender<(Publish, Receipt)>,
    ) -> Result<(), Stopped> {
        let heard = Heard {
            client: self.broker.client_id.as_str().into(),
            topic: publish.topic.as_str().into(),
            payload: publish.payload.clone(),
            retained: publish.retain,
        };
        if publish.qos == QoS::AtMostOnce {
            return self.door.take_unreceipted(heard).await;
        }
        let receipt = self.door.take(heard).await?;
        // What is kept for the acknowledgement is the packet id, not the payload.
        let publish = Publish { payload: Bytes::new(), ..publish };
        taken.send((publish, receipt)).await.map_err(|_| Stopped)
    }
}

/// Acknowledges packets in the order they came, each after its receipt.
async fn acknowledge(
    client: &AsyncClient,
    mut waiting: mpsc::Receiver<(Publish, Receipt)>,
) -> Result<Infallible, Lost> {
    while let Some((publish, receipt)) = waiting.recv().await {
        receipt.durable().await?;
        client.try_ack(&publish).map_err(|_| Lost::RequestsFull)?;
    }
    Err(Lost::Stopped(Stopped))
}
