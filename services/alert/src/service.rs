//! The shell: readings, events, commands, the clock and the rules file in; records of alerts and of
//! the desk out.
//!
//! One loop, no tasks of its own. After each step what was judged is appended to the alert log;
//! the next step begins when it is durable, or, while the disk takes nothing, at once and up to a
//! bound.

use std::sync::Arc;
use std::time::Duration;

use sen_chassis::Shutdown;
use sen_chassis::clock::Stopwatch;
use sen_chassis::trace::{self, Spans, Stage};
use sen_log::{AppendError, Checkpoint, Entry, Offset, Topic};
use sen_model::{
    AlertRecord, Command, CommandOutcome, Event, Progress, ReadingBatch, Rule, Timestamp,
};
use sen_proto::Wire;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::desk::{Around, MOST_CLOSED, MOST_ENDED};
use crate::engine::Timing;
use crate::inputs::{Heard, Inputs, Places};
use crate::journal::{Journal, Logs};
use crate::judge::{Judge, Nexts, Past, Saved};
use crate::records::Records;
use crate::rule_file::RuleFile;
use crate::waiting::Waiting;
use crate::{Alert, Config, Ports, RunError};

mod stopping;

/// The name its health is told under.
const PART: &str = "alert";
/// What it is called in traces: it works on what ingest wrote.
const STAGE: Stage = Stage { name: "alert", after: Some("ingest") };
/// Packets or events judged in one step, at most: what a command waits for.
const STEP_PACKETS: usize = 1_024;
/// Alerts of one packet that its span names, at most.
const ALERTS_TOLD: usize = 8;
/// Records of a log folded at once at the start.
const FOLD_RECORDS: usize = 4_096;
/// The part of the centre without which nobody is heard.
const INTAKE: &str = "ingest";
/// What the names of the brokers we listen to begin with.
const BROKERS: &str = "broker:";
/// A step of the clock from one tick to the next beyond this (or backwards) means that the machine
/// slept, that we were stopped, or that the clock was set: no silence is counted over it.
const LOST_TIME_MS: i64 = 15_000;
/// Saving takes at most one part in this of the time: a large memory is saved less often.
const CHECKPOINT_SHARE: u32 = 50;

/// A command, and where its answer goes.
type Asked = (Command, oneshot::Sender<CommandOutcome>);

/// What wakes the loop.
enum Step {
    Stop,
    Asked(Option<Box<Asked>>),
    Retry,
    Tick,
    Heard(Heard),
}

/// Everything the loop owns.
pub(crate) struct Service {
    config: Config,
    file: RuleFile,
    rules: watch::Sender<Arc<Vec<Rule>>>,
    progress: watch::Sender<Progress>,
    ports: Ports,
    inputs: Inputs,
    judge: Judge,
    journal: Journal,
    ticks: Interval,
    has_askers: bool,
    /// The heads at the start: until they are reached we live in the past.
    arrive_at: Option<Places>,
    last_tick: Timestamp,
    waiting: Waiting,
    /// Time was lost: when the heads of then are reached, nothing heard before is left to judge.
    caught_up_at: Option<Places>,
    /// Rules that wait for a checkpoint.
    next_rules: Option<Vec<Rule>>,
    /// What our health was last told as; nothing at first.
    has_said_well: Option<bool>,
    saved_next: Places,
    save_at: Instant,
    is_save_failing: bool,
    /// Of packets that are judged: they end when what follows from them is in the log.
    spans: Spans,
}

impl Service {
    /// Folds the alert log and takes up the checkpoint.
    pub(crate) async fn start(alert: Alert) -> Result<Self, RunError> {
        let Alert { config, file, rules, progress, checkpoint, ports } = alert;
        let now = Timestamp::from_millis(ports.clock.now_ms());
        let saved = checkpoint.as_ref().and_then(decode);
        // No cursor of theirs: they are others than those of the checkpoint, or it is the first.
        let are_same_events = ports.events_cursor.load()?.is_some();
        let next = checkpoint.as_ref().zip(saved.as_ref()).map(|(checkpoint, saved)| Places {
            readings: checkpoint.next,
            events: if are_same_events { saved.events_next } else { ports.events.floor() },
        });
        let inputs = Inputs::new(ports.readings.clone(), ports.events.clone(), next);
        let next = inputs.next();
        let logs = Logs {
            desk: ports.desk.clone(),
            alerts: ports.alerts.clone(),
            shadow: ports.shadow.clone(),
        };
        let next_rules = until_arrival(saved.as_ref(), &rules);
        let in_force = Arc::clone(&rules.borrow());
        let registry = Arc::clone(&ports.registry);
        let around = Around::new(Arc::clone(&registry), config.shelve_most_ms);
        let past = fold(saved, around, &logs).await?;
        let mut records = Records::default();
        let timing = Timing { late_after_ms: config.late_after_ms, wait_ms: config.wait_ms };
        let judge = Judge::new(&in_force, registry, timing, past, now, &mut records);
        let mut ticks = interval(Duration::from_millis(config.tick_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tracing::info!(?next, open = judge.open_count(), rules = in_force.len(), "judging");
        Ok(Self {
            arrive_at: Some(inputs.heads()),
            inputs,
            journal: Journal::new(logs, records),
            save_at: Instant::now() + Duration::from_millis(config.checkpoint_interval_ms),
            saved_next: next,
            last_tick: now,
            ticks,
            judge,
            config,
            file,
            rules,
            progress,
            ports,
            has_askers: true,
            waiting: Waiting::default(),
            caught_up_at: None,
            next_rules,
            has_said_well: None,
            is_save_failing: false,
            spans: Spans::default(),
        })
    }

    pub(crate) async fn run(mut self, shutdown: &Shutdown) -> Result<(), RunError> {
        self.settle().await?;
        loop {
            match self.wait(shutdown).await? {
                Step::Stop => break,
                Step::Asked(Some(asked)) => self.carry_out(*asked),
                Step::Asked(None) => self.has_askers = false,
                Step::Retry => {}
                Step::Tick => self.tick().await?,
                Step::Heard(heard) => self.judge(&heard),
            }
            self.settle().await?;
        }
        self.drain().await
    }

    async fn wait(&mut self, shutdown: &Shutdown) -> Result<Step, RunError> {
        let has_room = self.journal.has_room();
        let retry_at = self.journal.retry_at();
        let retry = sleep_until(retry_at.unwrap_or_else(Instant::now));
        Ok(tokio::select! {
            () = shutdown.requested() => Step::Stop,
            asked = self.ports.commands.next(), if has_room && self.has_askers => {
                Step::Asked(asked.map(Box::new))
            }
            () = retry, if retry_at.is_some() => Step::Retry,
            _ = self.ticks.tick() => Step::Tick,
            heard = self.inputs.hear(STEP_PACKETS), if has_room => Step::Heard(heard?),
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.ports.clock.now_ms())
    }

    fn judge(&mut self, heard: &Heard) {
        match heard {
            Heard::Readings(entries) => self.judge_readings(entries),
            Heard::Events(entries) => self.judge_events(entries),
        }
    }

    fn judge_events(&mut self, entries: &[Entry<Event>]) {
        let now = self.now();
        for entry in entries {
            self.judge.hear(&entry.record, now, &mut self.journal.records);
        }
    }

    fn judge_readings(&mut self, entries: &[Entry<ReadingBatch>]) {
        let now = self.now();
        let mut readings = 0;
        let mut spans = trace::begin(&STAGE, entries.iter().map(|entry| entry.record.trace_key()));
        for (packet, entry) in entries.iter().enumerate() {
            readings += entry.record.readings.len() as u64;
            let before = self.journal.records.alerts.len();
            self.judge.judge(&entry.record, now, &mut self.journal.records);
            if let Some(span) = spans.of(packet) {
                tell_alerts(span, &self.journal.records.alerts[before..]);
            }
        }
        self.spans.join(spans);
        if let Some(last) = entries.last() {
            let lag_ms = now.since_ms(last.record.received_at);
            metrics::gauge!("sen_alert_lag_ms").set(lag_ms as f64);
        }
        // Told to others only when the alerts are in the log.
        self.progress.send_if_modified(|progress| {
            progress.readings += readings;
            progress.new += readings;
            false
        });
    }

    fn carry_out(&mut self, (command, to): Asked) {
        let now = self.now();
        let outcome = self.judge.carry_out(&command, now, &mut self.journal.records);
        self.journal.answer(to, outcome);
    }

    async fn tick(&mut self) -> Result<(), RunError> {
        let now = self.now();
        if !(0..=LOST_TIME_MS).contains(&now.since_ms(self.last_tick)) {
            tracing::warn!("time was lost, silence is counted from now on");
            self.waiting = Waiting::default();
            self.caught_up_at = Some(self.inputs.heads());
            self.resume(now);
        } else if self.is_deaf() {
            self.resume(now);
        }
        self.last_tick = now;
        if self.arrive_at.is_none() {
            self.waiting.note(now, self.inputs.heads());
        }
        let changed = self.file.changed(&self.ports.registry, &self.ports.health);
        self.next_rules = changed.or(self.next_rules.take());
        self.take_rules().await?;
        if self.arrive_at.is_none() && self.journal.has_room() {
            self.judge.pass_time(now, &mut self.journal.records);
        }
        self.measure();
        Ok(())
    }

    /// Listening begins (again). Until we have arrived in the present that is still to come.
    fn resume(&mut self, now: Timestamp) {
        if self.arrive_at.is_none() {
            self.judge.resume(now, &mut self.journal.records);
        }
    }

    /// While the log takes no readings, or a broker that we listen to is away, it is we who are
    /// deaf, not the devices silent. A packet does not say which way it came, so one lost broker
    /// hides the silence of every device until it is back; its own loss is told by its health.
    fn is_deaf(&self) -> bool {
        let is_way_in = |part: &str| part == INTAKE || part.starts_with(BROKERS);
        self.ports.health.report().iter().any(|(part, ill)| is_way_in(part) && ill.is_some())
    }

    /// Puts new rules in force at a checkpoint: a replay from it then judges every later reading
    /// by the same rules as the first time, and makes the same ids.
    async fn take_rules(&mut self) -> Result<(), RunError> {
        if self.arrive_at.is_some() || !self.journal.is_clean() {
            return Ok(());
        }
        let Some(rules) = self.next_rules.take() else { return Ok(()) };
        if **self.rules.borrow() == rules {
            return Ok(());
        }
        if !self.save_for(&rules).await? {
            self.next_rules = Some(rules);
            return Ok(());
        }
        let now = self.now();
        self.judge.replace_rules(&rules, now, &mut self.journal.records);
        tracing::info!(rules = rules.len(), "new rules in force");
        self.rules.send_replace(Arc::new(rules));
        Ok(())
    }

    /// After each step: what follows from having come this far, and the records to the log.
    async fn settle(&mut self) -> Result<(), RunError> {
        let next = self.inputs.next();
        let now = self.now();
        if self.arrive_at.is_some_and(|heads| next.are_beyond(heads)) {
            self.arrive_at = None;
            self.resume(now);
            self.judge.withdraw(now, &mut self.journal.records);
            self.judge.pass_time(now, &mut self.journal.records);
            tracing::info!(?next, "everything so far is judged");
        }
        if self.arrive_at.is_none()
            && self.caught_up_at.take_if(|heads| next.are_beyond(*heads)).is_some()
        {
            self.resume(now);
        }
        if let Some(tick) = self.waiting.take(next) {
            self.judge.judge_silence(tick, &mut self.journal.records);
        }
        self.flush().await?;
        if self.journal.is_clean() {
            std::mem::take(&mut self.spans).end();
            let judged = next.readings;
            self.progress
                .send_if_modified(|told| std::mem::replace(&mut told.next, judged) != judged);
            if Instant::now() >= self.save_at && next != self.saved_next {
                self.save().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RunError> {
        self.journal.flush().await.map_err(RunError::Append)?;
        self.tell_health();
        Ok(())
    }

    /// Ill while alerts wait for the disk; well once every reading so far is judged.
    fn tell_health(&mut self) {
        let is_well = self.journal.retry_at().is_none();
        let has_something_to_say = !is_well || self.arrive_at.is_none();
        if !has_something_to_say || self.has_said_well == Some(is_well) {
            return;
        }
        self.has_said_well = Some(is_well);
        if is_well {
            self.ports.health.well(PART);
        } else {
            self.ports.health.ill(PART, "alerts cannot be written: see the log");
        }
    }

    /// Saves a checkpoint; everything judged must be in the log. Tells whether it is saved.
    async fn save(&mut self) -> Result<bool, RunError> {
        let rules = Arc::clone(&self.rules.borrow());
        self.save_for(&rules).await
    }

    /// Saves a checkpoint from which on these rules are in force; tells whether it is saved.
    async fn save_for(&mut self, rules: &[Rule]) -> Result<bool, RunError> {
        let stopwatch = Stopwatch::start();
        let next = self.inputs.next();
        let saved = self.judge.save(self.journal.logs.nexts(), next.events, rules, self.now());
        let result = match saved.encode() {
            Ok(state) => match self.save_at_places(next, state).await {
                // Another judges: our term is over.
                Err(error @ AppendError::Fenced(_)) => return Err(RunError::Append(error)),
                saved => saved.map_err(|error| error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        let pause = Duration::from_millis(self.config.checkpoint_interval_ms);
        self.save_at = Instant::now() + pause.max(stopwatch.elapsed() * CHECKPOINT_SHARE);
        match result {
            Ok(()) => {
                self.saved_next = next;
                if std::mem::take(&mut self.is_save_failing) {
                    tracing::info!("the checkpoint is saved again");
                }
                Ok(true)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_save_failing, true) {
                    tracing::warn!(error, "the checkpoint is not saved, the next one will be");
                }
                Ok(false)
            }
        }
    }

    /// First the checkpoint, then the events' own cursor: it may only be behind.
    async fn save_at_places(&self, next: Places, state: Vec<u8>) -> Result<(), AppendError> {
        self.ports.cursor.save(next.readings, state).await?;
        self.ports.events_cursor.save(next.events, Vec::new()).await
    }

    fn measure(&mut self) {
        for complaint in self.judge.complaints() {
            let (rule, problem) = (complaint.rule.as_str(), complaint.what);
            tracing::warn!(rule, problem, "a rule cannot be judged");
        }
        let counts = self.judge.counts();
        metrics::counter!("sen_alert_evaluations_total").absolute(counts.evaluations);
        metrics::counter!("sen_alert_forgotten_total").absolute(counts.forgotten);
        metrics::counter!("sen_alert_refused_total").absolute(counts.refused);
        metrics::counter!("sen_alert_uncounted_total").absolute(counts.uncounted);
        metrics::counter!("sen_alert_unreferenced_total").absolute(counts.unreferenced);
        metrics::counter!("sen_alert_expressions_failed_total").absolute(counts.failed);
        metrics::gauge!("sen_alert_open").set(self.judge.open_count() as f64);
        let standing = self.judge.standing();
        metrics::gauge!("sen_alert_shelved").set(standing.shelved as f64);
        metrics::gauge!("sen_alert_suppressed").set(standing.suppressed as f64);
        metrics::gauge!("sen_alert_out_of_service").set(standing.out_of_service as f64);
        metrics::gauge!("sen_alert_chattering").set(standing.chattering as f64);
        metrics::gauge!("sen_alert_flooded_desks").set(standing.flooded_desks as f64);
        metrics::gauge!("sen_alert_lag_packets").set(self.inputs.readings_behind() as f64);
    }
}

/// By the ids of the alerts that a packet changed its trace can be found.
fn tell_alerts(span: &mut trace::Span, alerts: &[AlertRecord]) {
    if !alerts.is_empty() {
        let ids: Vec<_> =
            alerts.iter().take(ALERTS_TOLD).map(|alert| alert.id.to_string()).collect();
        span.tell("sen.alerts", ids.join(" "));
    }
}

fn decode(checkpoint: &Checkpoint) -> Option<Saved> {
    let saved = Saved::decode(&checkpoint.state);
    if saved.is_none() {
        tracing::warn!("the checkpoint is of another version, every kept reading is judged again");
    }
    saved
}

/// Puts the rules of the checkpoint in force; gives those of the file if they are others. They
/// wait until every reading so far is judged, like any edit.
fn until_arrival(
    saved: Option<&Saved>,
    rules: &watch::Sender<Arc<Vec<Rule>>>,
) -> Option<Vec<Rule>> {
    let then = saved.and_then(Saved::rules).filter(|then| **then != **rules.borrow())?;
    let next = rules.send_replace(Arc::new(then.clone()));
    tracing::info!(
        "the rules have changed since the checkpoint, the new ones come into force soon"
    );
    Some(Vec::clone(&next))
}

/// What the logs say: from the checkpoint on, or all that is kept. Somewhat further back than
/// needed, to know what has ended lately.
async fn fold(saved: Option<Saved>, around: Around, logs: &Logs) -> Result<Past, RunError> {
    let nexts = saved.as_ref().map(|saved| saved.nexts);
    let from = |next: fn(&Nexts) -> u64, most: usize| {
        nexts.as_ref().map_or(1, |nexts| next(nexts).saturating_sub(most as u64))
    };
    let mut past = Past::new(saved, around);
    read(&logs.alerts, from(|nexts| nexts.alerts, MOST_CLOSED), |record| past.alert(record))
        .await?;
    read(&logs.desk, from(|nexts| nexts.desk, MOST_ENDED), |record| past.entry(record)).await?;
    read(&logs.shadow, from(|nexts| nexts.shadow, MOST_CLOSED), |record| past.trial(record))
        .await?;
    Ok(past)
}

async fn read<T: Wire + Clone>(
    log: &Topic<T>,
    from: Offset,
    mut take: impl FnMut(T),
) -> Result<(), RunError> {
    let mut reader = log.read_from(from.max(log.floor()));
    loop {
        let entries = reader.available(FOLD_RECORDS).await?;
        if entries.is_empty() {
            return Ok(());
        }
        entries.iter().for_each(|entry| take((*entry.record).clone()));
    }
}
