//! Alerts to people and machines.
//!
//! **Machines** get every record of the topic `alerts`: each channel reads the log at its own pace
//! by its own position, so one that is stuck delays no other; nothing is queued. A record is tried
//! until it is delivered or refused. Positions are saved together in one cursor, whose place is the
//! lowest of them, so that the log keeps what any channel has not delivered: after a crash a
//! channel gets its last records again, never too few. Read [`channel`] (the plug points and the
//! siren), `fold` (which alerts are open), `lane` (one channel on its way through the log).
//!
//! **People** are called by the steps of a policy until one of them answers. Read `settings` (who,
//! when and how: `oncall.toml`), `rotation` and `roster` (who is on call), `policy`, `escalation`
//! (what is due), `outbox` (what goes out together, and again), `letter` (what it says), `notes`
//! (what people change), `link` (acknowledging by one tap), `people` (the shell around all that),
//! `egress` (the one door for HTTP). `deadman` and `watch` tell when alerting itself has stopped.
//!
//! `service` starts, saves and stops both.

pub mod channel;
mod deadman;
mod egress;
mod escalation;
mod fold;
mod keys;
mod lane;
mod letter;
mod link;
mod notes;
mod outbox;
mod people;
mod policy;
mod roster;
mod rotation;
mod secret;
mod service;
mod settings;
mod wall;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use sen_chassis::call::Answerer;
use sen_chassis::{Clock, Problem, Shutdown};
use sen_log::{Checkpoint, Cursor, Offset, ReadError, Topic};
use sen_model::{AlertRecord, Delivery, OnCallAnswer, OnCallAsk, OnCallRecord, Rule};
use serde::Deserialize;
use tokio::sync::watch::Receiver;

use channel::Channel;
pub use egress::{Limits, Looked, Lookup, SystemLookup};
pub use keys::{KEY_FILES, make_keys};
pub use secret::Secret;
pub use settings::{OnCall, ReadSecret};

/// How the service works.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How often the positions are saved, in milliseconds: what is delivered twice after a crash.
    pub checkpoint_interval_ms: u64,
    /// The longest pause between two tries to deliver a record, in milliseconds.
    pub retry_most_ms: u64,
    /// A person gets at most one message in this time over a channel, in milliseconds; what comes
    /// in between is gathered into the next one. Critical alerts never wait.
    pub gather_ms: u64,
    /// How long a message is tried before it has failed, in milliseconds.
    pub give_up_ms: u64,
    /// How often the clock is looked at, in milliseconds.
    pub tick_ms: u64,
    /// Where people reach the screens, such as `https://sen.example.vn`: links to acknowledge by
    /// begin with it. Empty = messages carry no links.
    pub public_url: String,
}

/// The longest that any of the intervals may be: a day.
const LONGEST_MS: u64 = 86_400_000;

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let keys = [
            ("checkpoint_interval_ms", self.checkpoint_interval_ms, 600_000),
            ("retry_most_ms", self.retry_most_ms, 600_000),
            ("gather_ms", self.gather_ms, LONGEST_MS),
            ("give_up_ms", self.give_up_ms, LONGEST_MS),
            ("tick_ms", self.tick_ms, 10_000),
        ];
        let is_wrong = |(_, value, most): &(_, u64, u64)| !(1..=*most).contains(value);
        let mut problems: Vec<_> = keys
            .into_iter()
            .filter(is_wrong)
            .map(|(key, value, most)| {
                let message = format!("{value} is not between 1 and {most}");
                Problem::new(format!("notify.{key}"), message)
            })
            .collect();
        let url = &self.public_url;
        if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
            let advice = format!("`{url}` is no address: write https://… as people type it");
            problems.push(Problem::new("notify.public_url", advice));
        }
        problems
    }
}

/// What the service reads and where it delivers.
pub struct Ports {
    /// What it delivers.
    pub alerts: Topic<AlertRecord>,
    /// Its position in them.
    pub cursor: Cursor,
    /// The ways to reach machines; their names differ.
    pub channels: Vec<Box<dyn Channel>>,
    /// What calling people takes.
    pub people: PeoplePorts,
    /// Now.
    pub clock: Clock,
}

/// What calling people takes.
pub struct PeoplePorts {
    /// Who is called, when and how.
    pub on_call: OnCall,
    /// Another position in the alerts.
    pub cursor: Cursor,
    /// What was delivered to whom; written by this service only.
    pub deliveries: Topic<Delivery>,
    /// What people change about who is on call; written by this service only.
    pub oncall: Topic<OnCallRecord>,
    /// Alerts of rules on trial; those of the probe prove that alerting works.
    pub shadow: Topic<AlertRecord>,
    /// The rules in force: what is to be done about an alert.
    pub rules: Receiver<Arc<Vec<Rule>>>,
    /// Questions about who is on call.
    pub asks: Answerer<OnCallAsk, OnCallAnswer>,
    /// The folder of the keys that sign links and push messages; made if it is not there.
    pub keys: PathBuf,
    /// Finds the addresses of names for outbound HTTP.
    pub lookup: Arc<dyn Lookup>,
    /// How long outbound HTTP may take.
    pub limits: Limits,
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
    /// There are no keys.
    #[error(transparent)]
    Keys(#[from] keys::KeyError),
    /// Mails cannot be sent.
    #[error(transparent)]
    Mail(#[from] channel::email::MailError),
    /// Outbound HTTP cannot be made ready.
    #[error("outbound HTTP cannot be made ready: {0}")]
    Egress(String),
}

/// Why the service ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The alerts cannot be read.
    #[error("cannot read the alerts")]
    Read(#[from] ReadError),
    /// A part of it stopped.
    #[error("a part of the service stopped")]
    Part(#[from] sen_chassis::tasks::TaskError<PartError>),
    /// People cannot be called.
    #[error("people cannot be called")]
    People(#[from] people::PeopleError),
}

/// Why a part of the service stopped.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The alerts cannot be read.
    #[error("cannot read the alerts")]
    Read(#[from] ReadError),
    /// People cannot be called.
    #[error("people cannot be called")]
    People(#[from] people::PeopleError),
}

/// The service, bound and not yet running.
pub struct Notify {
    config: Config,
    checkpoint: Option<Checkpoint>,
    /// The last alert before us.
    head: Offset,
    keys: keys::Keys,
    couriers: people::Couriers,
    egress: Arc<egress::Egress>,
    on_call: Arc<OnCall>,
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
        let keys = keys::Keys::open(&ports.people.keys)?;
        let on_call = Arc::new(ports.people.on_call.clone());
        let lookup = Arc::clone(&ports.people.lookup);
        let door = |allow: &egress::address::Allow| {
            egress::Egress::new(allow.clone(), Arc::clone(&lookup), ports.people.limits)
                .map(Arc::new)
                .map_err(|error| BindError::Egress(error.to_string()))
        };
        let egress = door(&on_call.allow)?;
        let vapid = channel::push::Vapid::new(&keys.vapid);
        let push_allow = on_call.push.as_ref().map(|push| push.allow.clone());
        let push = channel::push::Door { vapid, egress: door(&push_allow.unwrap_or_default())? };
        let couriers = people::couriers(&on_call, &egress, push)?;
        let head = ports.alerts.head();
        Ok(Self { config, checkpoint, head, keys, couriers, egress, on_call, ports })
    }

    /// Delivers until asked to stop, then drains the alerts to the head, saves the positions and
    /// returns. A channel that fails at that moment gets the rest at the next start.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        service::run(self, shutdown).await
    }
}
