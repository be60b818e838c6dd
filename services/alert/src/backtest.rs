//! What a set of rules would have raised: the live stages over stored history.
//!
//! Readings of the series that any of the rules looks at are read from the store in stretches of
//! time, merged over the series in the order of event time, and judged as if each had been received
//! when it was measured. The rules in force are judged beside them, over the same readings. Judging
//! begins early enough for the longest delay and window; what was raised before the first moment
//! does not count. Silence is looked for as time passes, but not over a time in which nothing at all
//! was heard: then the centre itself was down.
//!
//! Events are in the log and not in the store: rules about them raise nothing here.

mod answer;
mod reach;
mod tally;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sen_chassis::clock::Stopwatch;
use sen_model::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use sen_model::{
    BacktestReport, DeviceId, Metric, Reading, ReadingBatch, Registry, Rule, RuleId, SeriesKey,
    Timestamp,
};
use sen_store::{Point, SeriesId, Span, Store, StoreError};

use crate::engine::Timing;
use crate::evaluator::{Evaluator, Remembered};
use crate::transition::Transition;
use tally::Episodes;

pub use answer::Backtester;
pub use tally::MOST_LISTED;

/// How long a stretch is at first; it grows and shrinks with what it holds, within these bounds.
const STRETCH_MS: i64 = 15 * MINUTE_MS;
const SHORTEST_MS: i64 = SECOND_MS;
const LONGEST_MS: i64 = DAY_MS;
/// Readings in memory at once, about; and of one series at once, at least.
const MOST_POINTS: usize = 400_000;
const LEAST_POINTS: usize = 1_000;
/// How often, in the time of the readings, silence is looked for.
const LOOK_MS: i64 = 5 * SECOND_MS;
/// Nothing heard from anybody for longer than this: the centre was down.
const DOWN_MS: i64 = MINUTE_MS;
/// Everything is received when it is measured, so nothing is late; but the window of a series that
/// fell silent is over after so long.
const LATE_AFTER_MS: i64 = 5 * MINUTE_MS;
/// The device that reports for the centre itself, whose readings show that it was up.
const CENTRE: &str = "sen-centre";

/// Rules to try over stored history.
pub struct Backtest {
    /// Where the history is.
    pub store: Store,
    /// Devices and places.
    pub registry: Arc<Registry>,
    /// The rules to try.
    pub tried: Vec<Rule>,
    /// The rules to compare them with.
    pub in_force: Vec<Rule>,
    /// From when, by event time.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// How far a backtest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Come {
    /// To here, by event time.
    pub to: Timestamp,
    /// Readings judged.
    pub readings: u64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// Nothing lies between.
    #[error("{to} is not after {from}: nothing lies between")]
    Empty {
        /// From.
        from: Timestamp,
        /// To.
        to: Timestamp,
    },
    /// The history cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// The rules raise too much to be compared.
    #[error(
        "more than {most} alerts by {by}: take a shorter time, or mend what chatters first",
        most = tally::MOST_EPISODES
    )]
    TooMany {
        /// By then.
        by: Timestamp,
    },
    /// Whoever asked does not want it any more.
    #[error("stopped at {0}")]
    Stopped(Timestamp),
}

/// One set of rules at work.
struct Side {
    evaluator: Evaluator,
    episodes: Episodes,
    found: Vec<Transition>,
}

/// A series that is read, and which device and metric that is.
struct Source {
    id: SeriesId,
    device: usize,
    metric: Metric,
    /// Whether a rule looks at it.
    is_judged: bool,
}

/// A reading of a stretch: when, of which device and source, and what.
type Placed = (Timestamp, usize, usize, Point);

impl Backtest {
    /// Runs it. `go_on` is told after each stretch how far it has come, and may stop it.
    pub async fn run(
        self,
        mut go_on: impl FnMut(Come) -> ControlFlow<()>,
    ) -> Result<BacktestReport, BacktestError> {
        let (from, to) = (self.from, self.to);
        if from >= to {
            return Err(BacktestError::Empty { from, to });
        }
        let watch = Stopwatch::start();
        let rules: Vec<&Rule> = self.tried.iter().chain(&self.in_force).collect();
        let begin = from.plus_ms(-reach::look_back_ms(&rules));
        let (devices, sources) = self.sources(&rules);
        let mut play = Play::new(&self, devices, begin);
        let mut stretch_ms = STRETCH_MS;
        let mut at = begin;
        while at < to {
            let until = at.plus_ms(stretch_ms).min(to);
            let (points, until) = self.read(&sources, Span { from: at, to: until }).await?;
            stretch_ms = match points.len() {
                many if many > MOST_POINTS => (stretch_ms / 2).max(SHORTEST_MS),
                few if few < MOST_POINTS / 4 => (stretch_ms * 2).min(LONGEST_MS),
                _ => stretch_ms,
            };
            play.judge(&points, &sources);
            at = until;
            if play.sides.iter().any(|side| side.episodes.are_too_many()) {
                return Err(BacktestError::TooMany { by: at });
            }
            if go_on(Come { to: at, readings: play.readings }).is_break() {
                return Err(BacktestError::Stopped(at));
            }
        }
        play.end(to);
        let frame = BacktestReport {
            from,
            to,
            readings: play.readings,
            series: play.heard.len() as u64,
            took_ms: u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
            trials: Vec::new(),
            raised: 0,
            chatter: 0,
            rules: Vec::new(),
        };
        let [tried, in_force] = play.sides.map(|side| side.episodes);
        let ids = |rules: &[Rule]| -> Vec<RuleId> {
            let told = rules.iter().filter(|rule| rule.standing != sen_model::Standing::Part);
            told.map(|rule| rule.id.clone()).collect()
        };
        let ids = (ids(&self.tried), ids(&self.in_force));
        Ok(tally::report(tried, in_force, (&ids.0, &ids.1), frame))
    }

    /// The series that the rules look at, by device and metric.
    fn sources(&self, rules: &[&Rule]) -> (Vec<DeviceId>, Vec<Source>) {
        let mut series: Vec<(SeriesKey, SeriesId)> =
            self.store.series().into_iter().map(|(id, key)| (key, id)).collect();
        series.sort_unstable();
        let pulse = series.iter().position(|(key, _)| key.device.as_str() == CENTRE);
        let mut devices: Vec<DeviceId> = Vec::new();
        let mut sources = Vec::with_capacity(series.len());
        for (number, (key, id)) in series.into_iter().enumerate() {
            let is_judged = reach::looks_at(rules, &self.registry, &key);
            if !is_judged && pulse != Some(number) {
                continue;
            }
            let SeriesKey { device, metric } = key;
            if devices.last() != Some(&device) {
                devices.push(device);
            }
            sources.push(Source { id, device: devices.len() - 1, metric, is_judged });
        }
        (devices, sources)
    }

    /// The readings of a span in order, and until when all of them are there: where one series has
    /// very many, that is earlier than asked for.
    async fn read(
        &self,
        sources: &[Source],
        span: Span,
    ) -> Result<(Vec<Placed>, Timestamp), BacktestError> {
        let mut limit = (MOST_POINTS / sources.len().max(1)).max(LEAST_POINTS);
        loop {
            let (mut all, mut until) = (Vec::new(), span.to);
            for (number, source) in sources.iter().enumerate() {
                let points = self.store.points(source.id, span, limit).await?;
                if let Some(last) = points.last().filter(|_| points.len() == limit) {
                    until = until.min(last.event_time);
                }
                let placed = |point: Point| (point.event_time, source.device, number, point);
                all.extend(points.into_iter().map(placed));
            }
            if until > span.from {
                all.retain(|placed| placed.0 < until);
                all.sort_by_key(|(at, device, number, point)| {
                    (*at, *device, *number, point.sequence)
                });
                return Ok((all, until));
            }
            // So many of one instant: they belong together.
            limit *= 2;
        }
    }
}

/// The readings as they pass by.
struct Play {
    sides: [Side; 2],
    registry: Arc<Registry>,
    devices: Vec<DeviceId>,
    from: Timestamp,
    now: Timestamp,
    looked_at: Timestamp,
    readings: u64,
    heard: HashSet<usize>,
}

impl Play {
    fn new(ask: &Backtest, devices: Vec<DeviceId>, begin: Timestamp) -> Self {
        let side = |rules: &[Rule]| {
            let registry = Arc::clone(&ask.registry);
            let memory = Remembered::default();
            let timing = Timing { late_after_ms: LATE_AFTER_MS, wait_ms: 0 };
            let evaluator = Evaluator::new(rules, registry, timing, memory, begin);
            Side { evaluator, episodes: Episodes::default(), found: Vec::new() }
        };
        Self {
            sides: [side(&ask.tried), side(&ask.in_force)],
            registry: Arc::clone(&ask.registry),
            devices,
            from: ask.from,
            now: begin,
            looked_at: begin,
            readings: 0,
            heard: HashSet::new(),
        }
    }

    fn judge(&mut self, points: &[Placed], sources: &[Source]) {
        for packet in points.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some((at, device, _, _)) = packet.first() else { continue };
            self.pass_to_reading(*at);
            let reading = |(_, _, number, point): &Placed| Reading {
                metric: sources[*number].metric.clone(),
                event_time: point.event_time,
                value: point.value,
                quality: point.quality,
                sequence: point.sequence,
            };
            let batch = ReadingBatch {
                device: self.devices[*device].clone(),
                received_at: *at,
                readings: packet.iter().map(reading).collect(),
            };
            if *at >= self.from {
                let judged = packet.iter().map(|(_, _, number, _)| *number);
                for number in judged.filter(|number| sources[*number].is_judged) {
                    self.readings += 1;
                    self.heard.insert(number);
                }
            }
            for side in &mut self.sides {
                side.evaluator.judge(&batch, &mut side.found);
            }
            self.collect();
        }
    }

    /// Time passes until the next reading: silence is looked for on the way, unless nobody was
    /// heard for so long that the centre itself must have been down.
    fn pass_to_reading(&mut self, at: Timestamp) {
        if at.since_ms(self.now) > DOWN_MS {
            self.sides.iter_mut().for_each(|side| side.evaluator.resume(at));
            self.looked_at = at;
        } else {
            self.look_until(at);
        }
        self.now = at;
    }

    /// Nothing more is heard until the end.
    fn end(&mut self, to: Timestamp) {
        if to.since_ms(self.now) <= DOWN_MS {
            self.look_until(to);
        }
    }

    fn look_until(&mut self, at: Timestamp) {
        while at.since_ms(self.looked_at) >= LOOK_MS {
            self.looked_at = self.looked_at.plus_ms(LOOK_MS);
            for side in &mut self.sides {
                side.evaluator.tick(self.looked_at, &mut side.found);
            }
            self.collect();
        }
    }

    fn collect(&mut self) {
        for side in &mut self.sides {
            if !side.found.is_empty() {
                let found = std::mem::take(&mut side.found);
                side.episodes.take(found, self.from, &self.registry);
            }
        }
    }
}
