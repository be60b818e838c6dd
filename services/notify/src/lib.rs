//! Alerts to people and machines: hands every record of the topic `alerts` to each channel.
//!
//! Each channel reads the log at its own pace by its own position, so one that is stuck delays no
//! other; nothing is queued. A record is tried until it is delivered or refused. Positions are
//! saved together in one cursor, whose place is the lowest of them, so that the log keeps what any
//! channel has not delivered: after a crash a channel gets its last records again, never too few.
//!
//! Read [`channel`] (the plug point and the first channel), `fold` (which alerts are open),
//! `lane` (one channel on its way through the log), `service` (starting, saving, stopping).

pub mod channel;
mod fold;
mod lane;
mod service;

use sen_chassis::{Clock, Problem, Shutdown};
use sen_log::{Checkpoint, Cursor, Offset, ReadError, Topic};
use sen_model::AlertRecord;
use serde::Deserialize;

use channel::Channel;

/// How the service works.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How often the positions are saved, in milliseconds: what is delivered twice after a crash.
    pub checkpoint_interval_ms: u64,
    /// The longest pause between two tries to deliver a record, in milliseconds.
    pub retry_most_ms: u64,
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let keys = [
            ("checkpoint_interval_ms", self.checkpoint_interval_ms),
            ("retry_most_ms", self.retry_most_ms),
        ];
        let is_wrong = |(_, value): &(_, u64)| !(1..=600_000).contains(value);
        keys.into_iter()
            .filter(is_wrong)
            .map(|(key, value)| {
                let message = format!("{value} is not between 1 and 600000");
                Problem::new(format!("notify.{key}"), message)
            })
            .collect()
    }
}

/// What the service reads and where it delivers.
pub struct Ports {
    /// What it delivers.
    pub alerts: Topic<AlertRecord>,
    /// Its position in them.
    pub cursor: Cursor,
    /// The ways to reach people and machines; their names differ.
    pub channels: Vec<Box<dyn Channel>>,
    /// Now.
    pub clock: Clock,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Mistakes in the section.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// Two channels of one name would share a position.
    #[error("there are two channels called `{0}`")]
    SameName(&'static str),
    /// The positions cannot be read.
    #[error("cannot read the checkpoint")]
    Checkpoint(#[source] ReadError),
}

/// Why the service ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The alerts cannot be read.
    #[error("cannot read the alerts")]
    Read(#[from] ReadError),
    /// A channel failed for good.
    #[error("a channel stopped")]
    Lane(#[from] sen_chassis::tasks::TaskError<ReadError>),
}

/// The service, bound and not yet running.
pub struct Notify {
    config: Config,
    checkpoint: Option<Checkpoint>,
    /// The last alert before us.
    head: Offset,
    ports: Ports,
}

impl Notify {
    /// Reads the positions; spawns nothing.
    pub fn bind(config: Config, ports: Ports) -> Result<Self, BindError> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(BindError::Problems(problems));
        }
        let mut names: Vec<_> = ports.channels.iter().map(|channel| channel.name()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(BindError::SameName(pair[0]));
        }
        let checkpoint = ports.cursor.load().map_err(BindError::Checkpoint)?;
        Ok(Self { config, checkpoint, head: ports.alerts.head(), ports })
    }

    /// Delivers until asked to stop, then drains the alerts to the head, saves the positions and
    /// returns. A channel that fails at that moment gets the rest at the next start.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        service::run(self, shutdown).await
    }
}
