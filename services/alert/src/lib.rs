//! Readings to alerts: judges every reading by the rules, keeps the alert desk, and writes every
//! change to the topic `alerts` before anyone else sees it. What is decided or found about the whole
//! centre goes to the topic `desk`, and what rules on trial find to the topic `shadow`.
//!
//! Read in this order: [`rules`] (the file), `track` and `silence` (what a limit and an absence
//! remember and find), `gauge`, `panes` and `expression` (what other kinds of rule make of a
//! reading before a track judges it), `schedule` (when a rule is judged at all), `hearing` (one
//! device before its rules), `engine` (all rules over all series), `happenings` (rules about events),
//! `groups` (rules about alerts), `evaluator` (these three as one), `desk` (the lifecycle and the
//! commands), `trial` (rules on trial), `judge` (all of them, and the checkpoint), `service` (the
//! shell: logs, clock, file, queue); and [`backtest`] (the evaluator over the store).
//! Everything but the shell is pure and deterministic.
//!
//! Durations (`for`, `clear_for`) run on event time only: if a device falls silent, nothing is
//! raised or cleared by the passing of time, and an absence rule says so instead.

pub mod backtest;
mod book;
mod builtin;
mod desk;
mod engine;
mod evaluator;
mod expression;
#[cfg(test)]
mod fixtures;
mod found;
mod gauge;
mod groups;
mod happenings;
mod hearing;
mod inputs;
mod journal;
mod judge;
mod memory;
mod panes;
mod queue;
mod recent;
mod records;
mod rehearsal;
mod rule_file;
pub mod rules;
mod schedule;
mod scope;
mod selection;
mod service;
mod silence;
mod track;
mod transition;
mod trial;
mod waiting;
mod wording;

use std::path::PathBuf;
use std::sync::Arc;

use sen_chassis::call::Answerer;
use sen_chassis::{Clock, Health, Problem, Shutdown};
use sen_log::{AppendError, Checkpoint, Cursor, ReadError, Topic};
use sen_model::{
    AlertRecord, Command, CommandOutcome, DeskRecord, Event, Progress, ReadingBatch, Registry, Rule,
};
use serde::Deserialize;
use tokio::sync::watch;

pub use rehearsal::Rehearsal;
pub use rule_file::RulesFollower;

use rule_file::RuleFile;
use service::Service;

/// How the service works; the rules are in their own file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How often the position and the memory are saved, in milliseconds: what is judged again
    /// after a crash. A large memory is saved less often.
    pub checkpoint_interval_ms: u64,
    /// A breach in a reading that took longer than this to reach us is marked late, in
    /// milliseconds.
    pub late_after_ms: i64,
    /// How long a reading waits for those of its device that were measured before it, in
    /// milliseconds; 0 = it is judged as it comes. Whatever comes in another order within it gives
    /// exactly the alerts of the sorted readings, and every alert comes so much later.
    #[serde(default)]
    pub wait_ms: i64,
    /// How often silence is looked for and the rules file is looked at, in milliseconds.
    pub tick_ms: u64,
    /// How long a person may shelve an alert, at most, in milliseconds.
    pub shelve_most_ms: i64,
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: i64, least: i64, most: i64| {
            if !(least..=most).contains(&value) {
                let message = format!("{value} is not between {least} and {most}");
                problems.push(Problem::new(format!("alert.{key}"), message));
            }
        };
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        within("checkpoint_interval_ms", signed(self.checkpoint_interval_ms), 1, 600_000);
        within("late_after_ms", self.late_after_ms, 1_000, 86_400_000);
        within("wait_ms", self.wait_ms, 0, self.late_after_ms);
        within("tick_ms", signed(self.tick_ms), 1, 10_000);
        within("shelve_most_ms", self.shelve_most_ms, 60_000, 604_800_000);
        problems
    }
}

/// What the service reads, writes and asks.
pub struct Ports {
    /// What it judges.
    pub readings: Topic<ReadingBatch>,
    /// What it writes; it must be the only one.
    pub alerts: Topic<AlertRecord>,
    /// What it writes of the whole centre; it must be the only one.
    pub desk: Topic<DeskRecord>,
    /// What it writes of rules on trial; it must be the only one.
    pub shadow: Topic<AlertRecord>,
    /// Happenings, which it judges, too.
    pub events: Topic<Event>,
    /// Its position in the readings, with all that it remembers.
    pub cursor: Cursor,
    /// Its position in the events, so that none goes before it is judged; the checkpoint over the
    /// readings has it, too.
    pub events_cursor: Cursor,
    /// What people and programs ask of the desk.
    pub commands: Answerer<Command, CommandOutcome>,
    /// Devices and places.
    pub registry: Arc<Registry>,
    /// Now.
    pub clock: Clock,
    /// Where it says how it is, as `alert` and `rules`.
    pub health: Health,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Mistakes in the section or the rules.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
    /// The rules file cannot be read.
    #[error("cannot read {path}")]
    RuleFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The checkpoint cannot be read.
    #[error("cannot read the checkpoint")]
    Checkpoint(#[source] ReadError),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Why the service ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The readings, the alerts or the desk cannot be read.
    #[error("cannot read the log")]
    Read(#[from] ReadError),
    /// An alert can never be written.
    #[error("cannot write alerts")]
    Append(#[source] AppendError),
}

/// The service, bound and not yet running.
pub struct Alert {
    config: Config,
    file: RuleFile,
    rules: watch::Sender<Arc<Vec<Rule>>>,
    progress: watch::Sender<Progress>,
    checkpoint: Option<Checkpoint>,
    ports: Ports,
}

impl Alert {
    /// Reads the rules file and the checkpoint; spawns nothing.
    pub fn bind(config: Config, rules: PathBuf, ports: Ports) -> Result<Self, BindError> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(BindError::Problems(problems));
        }
        let (file, rules) = RuleFile::open(rules, &ports.registry)?;
        let checkpoint = ports.cursor.load().map_err(BindError::Checkpoint)?;
        let next = checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.next);
        let (rules, _) = watch::channel(Arc::new(rules));
        let (progress, _) = watch::channel(Progress { next, ..Progress::default() });
        Ok(Self { config, file, rules, progress, checkpoint, ports })
    }

    /// Follows the rules in force.
    pub fn rules(&self) -> watch::Receiver<Arc<Vec<Rule>>> {
        self.rules.subscribe()
    }

    /// Follows how far the readings are judged, with every alert they raised in the log.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Judges until asked to stop, then drains the readings and events to their heads, saves its
    /// position and returns.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        Service::start(self).await?.run(&shutdown).await
    }
}
