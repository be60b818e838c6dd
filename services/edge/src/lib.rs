//! A centre in a commune: forwards what it holds to the province.
//!
//! The centre itself is whole without the province: it hears, judges and notifies. Beside that, this
//! service follows the log with cursors of its own and publishes every reading and event to the
//! MQTT endpoint of the centre above, in order for each device. A cursor moves only when the centre
//! above has acknowledged, which there means that it is on disk; what is sent twice is the same
//! reading, and counts once. While the line is cut the log keeps what is missing above.
//!
//! Read `encode` (a record as it is published), `outbox` (what is open, and in which order it
//! goes), `lane` (one topic of the log), `line` (one connection) and `forward` (all of it together).

mod config;
mod encode;
mod forward;
mod lane;
mod line;
mod outbox;

use std::convert::Infallible;

use sen_chassis::{Clock, Health, Shutdown};
use sen_log::{Cursor, ReadError, Topic};
use sen_model::{DeviceId, Event, Quarantined, ReadingBatch, Timestamp};
use tokio::sync::watch;

pub use config::Config;

use forward::Forwarder;
use lane::{Lane, Naming};

/// The name of this service in [`Health`], and of its cursors.
pub const UPSTREAM: &str = "upstream";

/// What the service is connected to.
pub struct Ports {
    /// What is forwarded, and how far it has been.
    pub readings: (Topic<ReadingBatch>, Cursor),
    /// As above; none if events are not forwarded.
    pub events: Option<(Topic<Event>, Cursor)>,
    /// Where everything is kept that the centre above refuses for good.
    pub quarantine: Topic<Quarantined>,
    /// As which device this centre reports for itself: the centre above hears it under a name that
    /// tells the centres apart.
    pub own: DeviceId,
    /// Devices that mean something only here.
    pub kept_here: Vec<DeviceId>,
    /// When something was refused.
    pub clock: Clock,
    /// Where it tells whether the centre above takes what is forwarded: part [`UPSTREAM`].
    pub health: Health,
}

/// The service could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration has a mistake that [`Config::check`] tells.
    #[error("upstream.{0} is wrong: `sen check` tells why")]
    Config(&'static str),
    /// The password cannot be read.
    #[error("cannot read the password of the upstream")]
    Password(#[source] std::io::Error),
    /// A cursor cannot be read.
    #[error("cannot read how far was forwarded")]
    Cursor(#[from] ReadError),
}

/// The service, bound and not yet running.
pub struct Edge(Forwarder);

impl Edge {
    /// Takes the cursors; connects to nothing and spawns nothing.
    pub fn bind(config: Config, ports: Ports) -> Result<Self, BindError> {
        let Ports { readings, events, quarantine, own, kept_here, clock, health } = ports;
        let to = config.address().ok_or(BindError::Config("broker"))?;
        let above = config.own_device().ok_or(BindError::Config("client_id"))?;
        let password = config.password().map_err(BindError::Password)?;
        let naming = Naming { own: (own, above), kept_here };
        health.ill(UPSTREAM, "not connected yet");
        let readings = Lane::begin(readings.0, readings.1, naming.clone())?;
        let events =
            events.map(|(topic, cursor)| Lane::begin(topic, cursor, naming)).transpose()?;
        let backoff = forward::backoff();
        let kept_at = watch::Sender::new(Timestamp::from_millis(clock.now_ms()));
        Ok(Self(Forwarder {
            config,
            to,
            password,
            readings,
            events,
            quarantine,
            clock,
            health,
            refusal: None,
            backoff,
            kept_at,
        }))
    }

    /// When the centre above last took something, or there was nothing it lacked; at first, when
    /// this service was bound. What is long ago means that the line is cut.
    pub fn kept_at(&self) -> watch::Receiver<Timestamp> {
        self.0.kept_at.subscribe()
    }

    /// Forwards until asked to stop; a line that is lost is no reason to end.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        self.0.run(shutdown).await;
        Ok(())
    }
}
