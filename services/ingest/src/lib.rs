//! Packets to readings: what devices publish is decoded, judged, and kept in the log; only then is
//! it acknowledged.
//!
//! Read in the order of a packet's life: [`source`](self) (off the wire), `decode` (what it says),
//! `guard`, `series` and `quality` (whether it may be taken), `sort` (what is to be kept), `intake`
//! (into the log, and the receipt that comes back).

mod config;
mod decode;
mod guard;
mod intake;
mod meters;
mod packet;
mod quality;
mod series;
mod sort;
mod source;
mod sources;
mod topic;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use sen_chassis::tasks::TaskError;
use sen_chassis::{Clock, Health, Shutdown, Tasks};
use sen_log::Topic;
use sen_model::{DeviceId, Event, Quarantined, ReadingBatch, Registry, Timestamp};

pub use config::Config;
pub use source::listener::PublishError;
pub use sources::{Broker, Sources};

use intake::{Intake, QueueLimits, Topics, WriteError, Writer};
use sort::Sorter;
use source::broker::BrokerSource;
use source::listener::{Endpoint, Listener};

/// What ingest is connected to.
pub struct Ports {
    /// Where readings are kept.
    pub readings: Topic<ReadingBatch>,
    /// Where events are kept.
    pub events: Topic<Event>,
    /// Where everything is kept that could not be taken.
    pub quarantine: Topic<Quarantined>,
    /// What is known of devices.
    pub registry: Arc<Registry>,
    /// Devices Sen itself speaks as: what anybody else publishes in their name goes to quarantine.
    pub reserved: Vec<DeviceId>,
    /// The time of arrival.
    pub clock: Clock,
    /// Where it tells whether it works: parts `ingest` and `broker:<name>`.
    pub health: Health,
}

/// Ingest could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen for mqtt on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Ingest had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log will not take anything any more.
    #[error("ingest cannot write")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A task panicked: a bug.
    #[error("a task of ingest panicked")]
    Panicked(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The service, bound and not yet running.
pub struct Ingest {
    listener: Option<Listener>,
    brokers: Vec<BrokerSource>,
    writer: Writer,
    /// Tells the writer that every source has ended.
    last_call: Shutdown,
}

impl Ingest {
    /// Takes the socket; nothing runs yet. From here on a publisher can be had, and what it
    /// publishes is there for the first subscriber.
    pub async fn bind(config: &Config, sources: &Sources, ports: Ports) -> Result<Self, BindError> {
        let Ports { readings, events, quarantine, registry, reserved, clock, health } = ports;
        let (guard, series) = (config.guard(), config.series());
        let began = Timestamp::from_millis(clock.now_ms());
        let sorter = Sorter::new(guard, series, config.max_payload_bytes, reserved, began);
        let limits = QueueLimits { packets: config.queue_packets, bytes: config.queue_bytes };
        let (intake, queue) = Intake::new(sorter, registry, clock, limits);
        let listener = match config.address() {
            None => None,
            Some(address) => {
                let bound = Listener::bind(address, config, intake.door("mqtt")).await;
                Some(bound.map_err(|source| BindError::Listen { address, source })?)
            }
        };
        let broker = |broker: &Broker| {
            let door = intake.door(&format!("broker:{}", broker.name));
            BrokerSource::new(broker.clone(), door, health.clone())
        };
        let brokers = sources.broker.iter().map(broker).collect();
        let last_call = Shutdown::new();
        let topics = Topics { readings, events, quarantine };
        let writer = Writer::new(queue, topics, health, last_call.clone());
        Ok(Self { listener, brokers, writer, last_call })
    }

    /// Where devices can publish to; none if the endpoint is off.
    pub fn mqtt_address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(Listener::address)
    }

    /// A way to publish to the subscribers of our own endpoint.
    pub fn publisher(&self) -> Publisher {
        Publisher(self.listener.as_ref().map(Listener::endpoint))
    }

    /// Serves until shutdown: then the sources end first, and everything they handed over is
    /// written before it returns.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { listener, brokers, writer, last_call } = self;
        let mut sources = Tasks::<Infallible>::new();
        if let Some(listener) = listener {
            let shutdown = shutdown.clone();
            sources.spawn("mqtt endpoint", async move {
                listener.run(shutdown).await;
                Ok(())
            });
        }
        for broker in brokers {
            let shutdown = shutdown.clone();
            sources.spawn("broker", async move {
                broker.run(shutdown).await;
                Ok(())
            });
        }
        let mut writing = Tasks::<WriteError>::new();
        writing.spawn("writer", writer.run());
        loop {
            tokio::select! {
                Some(ended) = writing.join_next() => return finished(ended),
                Some(ended) = sources.join_next() => {
                    ended.map_err(|error| RunError::Panicked(Box::new(error)))?;
                }
                () = shutdown.requested(), if sources.is_empty() && !last_call.is_requested() => {
                    last_call.request();
                }
                else => return Ok(()),
            }
        }
    }
}

fn finished(ended: Result<&'static str, TaskError<WriteError>>) -> Result<(), RunError> {
    match ended {
        Ok(_) => Ok(()),
        Err(error @ TaskError::Failed { .. }) => Err(RunError::Write(Box::new(error))),
        Err(error) => Err(RunError::Panicked(Box::new(error))),
    }
}

/// Publishes to the subscribers of our own endpoint; cheap to clone.
#[derive(Clone)]
pub struct Publisher(Option<Arc<Endpoint>>);

impl Publisher {
    /// Publishes a retained message with QoS 1, on `sen/v1/alerts/…` or `cmd/{client}/…`. An empty
    /// payload takes the retained message away. Without an endpoint there are no subscribers, and
    /// nothing is done.
    pub async fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), PublishError> {
        match &self.0 {
            Some(endpoint) => endpoint.publish(topic, payload).await,
            None => Ok(()),
        }
    }
}
