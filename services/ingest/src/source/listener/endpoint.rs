//! The MQTT server itself, by the library `mqtt5`; and the seam to it. This module and
//! [`rules`](super::rules) are the only ones that know the library: another one, or a session layer
//! of our own, would take their place. What it would have to offer is what the listener calls,
//! [`Endpoint`] with `new`, `serve`, `publish`, `sweep` and `stop`; what it would have to keep to is
//! in the tests `endpoint` (our promise) and `conformance` (MQTT's rules).
//!
//! We accept connections ourselves and give each to the library's connection handler in a task of
//! ours, so that connections are counted, bounded and joined, and so that each carries its own
//! state ([`Connection`](super::rules::Connection)) into the library's hooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::QoS;
use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::transport::BrokerTransport;
use mqtt5::broker::{AuthProvider, BrokerConfig, ResourceLimits, ResourceMonitor};
use mqtt5::packet::publish::PublishPacket;
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::rules::{CONNECTION, Connection, Rules};
use crate::intake::Door;
use crate::topic;

/// Packets of ours that may wait for one subscriber, in each of the library's two lanes.
const WAITING_FOR_SUBSCRIBER: usize = 1_024;
/// Filters one client may subscribe to.
const FILTERS_PER_CLIENT: usize = 32;
/// Topic aliases of one connection: each may be as long as a packet and is kept.
const TOPIC_ALIASES: u16 = 8;
/// QoS 2 packets of one client between PUBREC and PUBREL.
const RECEIVE_MAXIMUM: u16 = 1_024;
/// QoS 2: its handshake is completed only after the log, like PUBACK. To refuse it would mean to
/// drop in silence, since MQTT 3.1.1 has no refusal.
const HIGHEST_QOS: u8 = 2;

/// Bounds of the endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Largest packet, in bytes.
    pub packet_bytes: usize,
    /// Most retained messages of ours.
    pub retained: usize,
}

/// Why a message of ours was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Clients may only subscribe to `sen/v1/alerts/…` and `cmd/…`: nobody could read it.
    #[error("`{0}` is not a topic Sen publishes on")]
    Topic(String),
    /// There are too many retained messages.
    #[error("there are already {0} retained messages")]
    Full(usize),
}

/// The server side of MQTT.
pub(crate) struct Endpoint {
    config: Arc<BrokerConfig>,
    router: Arc<MessageRouter>,
    rules: Arc<Rules>,
    stats: Arc<BrokerStats>,
    monitor: Arc<ResourceMonitor>,
    stop: broadcast::Sender<()>,
    retained: usize,
}

impl Endpoint {
    #[expect(
        clippy::disallowed_methods,
        reason = "the library's handler takes its stop signal this way; one signal is ever sent"
    )]
    pub(crate) fn new(limits: Limits, door: Door) -> Self {
        let rules = Arc::new(Rules::new(door));
        Self {
            config: Arc::new(settings(limits, &rules)),
            router: Arc::new(MessageRouter::new()),
            rules,
            stats: Arc::new(BrokerStats::new()),
            monitor: Arc::new(ResourceMonitor::new(ResourceLimits {
                // The listener counts connections; the log sets the pace of messages.
                max_message_rate_per_client: 0,
                max_bandwidth_per_client: 0,
                ..ResourceLimits::default()
            })),
            stop: broadcast::channel(1).0,
            retained: limits.retained,
        }
    }

    /// Serves one connection until it ends.
    pub(crate) fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static {
        let rules: Arc<dyn AuthProvider> = Arc::clone(&self.rules) as _;
        let handler = ClientHandler::new(
            BrokerTransport::tcp(stream),
            peer,
            Arc::clone(&self.config),
            Arc::clone(&self.router),
            rules,
            // No storage: a session lasts as long as its connection. What a subscriber missed it
            // finds in the retained messages.
            None,
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.stop.subscribe(),
        );
        // Boxed: the library's future is several kilobytes.
        let served = Box::pin(handler.run());
        CONNECTION.scope(Connection::default(), async move {
            if let Err(error) = served.await {
                tracing::debug!(%peer, %error, "an mqtt connection ended");
            }
        })
    }

    /// Publishes a retained message of ours to the subscribers; an empty payload takes the retained
    /// message away.
    pub(crate) async fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), PublishError> {
        if !topic::is_reserved(topic) || topic.starts_with('$') || topic.contains(['+', '#']) {
            return Err(PublishError::Topic(topic.to_owned()));
        }
        let full = self.router.retained_count().await >= self.retained;
        if full && !payload.is_empty() && !self.router.has_retained_message(topic).await {
            return Err(PublishError::Full(self.retained));
        }
        let mut packet = PublishPacket::new(topic.to_owned(), payload, QoS::AtLeastOnce);
        packet.retain = true;
        self.router.route_message(&packet, None).await;
        Ok(())
    }

    /// Forgets what connections that ended left behind.
    pub(crate) async fn sweep(&self) {
        self.router.sweep_sessions().await;
    }

    /// Tells every connection to end; wills of clients are not published any more, since it is we
    /// who leave.
    pub(crate) fn stop(&self) {
        self.rules.stop();
        // An error means that nobody is connected.
        let _ = self.stop.send(());
    }
}

fn settings(limits: Limits, rules: &Arc<Rules>) -> BrokerConfig {
    let mut config = BrokerConfig::new()
        .with_max_packet_size(limits.packet_bytes)
        .with_maximum_qos(HIGHEST_QOS)
        .with_max_subscriptions_per_client(FILTERS_PER_CLIENT)
        .with_client_channel_capacity(WAITING_FOR_SUBSCRIBER)
        .with_sys_topics_enabled(false)
        .with_session_expiry(Duration::ZERO);
    config.topic_alias_maximum = TOPIC_ALIASES;
    config.server_receive_maximum = Some(RECEIVE_MAXIMUM);
    config.shared_subscription_available = false;
    config.storage_config.enable_persistence = false;
    // No bound of the library's on retained messages: it would refuse what clients publish with
    // the retain flag, in silence where the client speaks 3.1.1. Clients never get to retain
    // anything, and what we retain we bound ourselves.
    config.max_retained_messages = 0;
    config.event_handler = Some(Arc::clone(rules) as _);
    config
}
