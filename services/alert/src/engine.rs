//! Pure: judges readings by rules. Deterministic: the same memory and the same readings in the
//! same order give the same transitions; only absence looks at the clock, which is an argument.
//!
//! Which rules judge a series is settled when the series is first seen. Only good readings raise
//! or clear; readings of any quality end a silence.

use std::collections::HashMap;
use std::sync::Arc;

use sen_model::{
    AlertId, AlertRecord, Condition, DeviceId, Metric, Quality, Reading, ReadingBatch, Registry,
    Rule, RuleId, Timestamp,
};

use crate::book::RuleBook;
use crate::memory::{Memory, Series, Watched};
use crate::silence::Watch;
use crate::track::{Finding, Stamp, Track, Zone};
use crate::transition::{Edition, Subject, Transition};

/// Tracks and watches in all, at most: beyond it new series are not judged, and counted.
const MOST_TRACKS: usize = 500_000;

/// What the engine did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// A rule looked at a value.
    pub(crate) evaluations: u64,
    /// Readings older than the memory of their track.
    pub(crate) forgotten: u64,
    /// Readings that could not be judged for want of room for their series.
    pub(crate) refused: u64,
}

/// The rules and what they remember.
pub(crate) struct Engine {
    book: RuleBook,
    devices: HashMap<DeviceId, Watched>,
    late_after_ms: i64,
    tracks: usize,
    resumed_at: Timestamp,
    counts: Counts,
}

impl Engine {
    /// Judges by these rules, with what was remembered under the same edition of each.
    pub(crate) fn new(
        rules: &[Rule],
        registry: Arc<Registry>,
        late_after_ms: i64,
        memory: Memory,
        now: Timestamp,
    ) -> Self {
        let book = RuleBook::new(rules, registry);
        let devices = memory.under(&book, now);
        let tracks = devices.values().map(Watched::len).sum();
        let counts = Counts::default();
        Self { book, devices, late_after_ms, tracks, resumed_at: now, counts }
    }

    /// Puts other rules in force, from the next reading on.
    pub(crate) fn replace(&mut self, rules: &[Rule], registry: Arc<Registry>, now: Timestamp) {
        let memory = self.memory();
        self.book = RuleBook::new(rules, registry);
        self.devices = memory.under(&self.book, now);
        self.tracks = self.devices.values().map(Watched::len).sum();
    }

    /// Judges the readings of one packet.
    pub(crate) fn judge(&mut self, batch: &ReadingBatch, out: &mut Vec<Transition>) {
        let Self { book, devices, late_after_ms, tracks, counts, .. } = self;
        let mut hearing =
            Hearing { book, batch, late_after_ms: *late_after_ms, tracks, counts, out };
        let watched = match devices.get_mut(&batch.device) {
            Some(watched) => watched,
            None => {
                let Some(watched) = hearing.meet() else { return };
                devices.entry(batch.device.clone()).or_insert(watched)
            }
        };
        hearing.hear(None, &mut watched.watches);
        for reading in &batch.readings {
            if let Some(series) = hearing.series(watched, &reading.metric) {
                hearing.hear(Some(&reading.metric), &mut series.watches);
                hearing.judge(&mut series.tracks, reading);
            }
        }
    }

    /// Listening begins (again): silence is counted from here.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.resumed_at = now;
    }

    /// Looks for what has been silent for too long. Call it only when every reading received
    /// before `now` has been judged.
    pub(crate) fn judge_silence(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        for (device, watched) in &mut self.devices {
            let whole = watched.watches.iter_mut().map(|watch| (None, watch));
            let single = watched.series.iter_mut().flat_map(|series| {
                let metric = &series.metric;
                series.watches.iter_mut().map(move |watch| (Some(metric), watch))
            });
            for (metric, (number, watch)) in whole.chain(single) {
                let edition = &self.book.editions[*number];
                let Condition::Absence { missing_ms } = edition.rule.condition else { continue };
                let silent = watch.judge(now, self.resumed_at, missing_ms);
                out.extend(silent.map(|started_at| Transition::Raise {
                    subject: subject(edition, device, metric),
                    started_at,
                    event_time: now,
                    value: None,
                    late: false,
                    members: Vec::new(),
                }));
            }
        }
    }

    /// Takes over a silence that the alert log knows to be open. What raised it was the clock, so
    /// replaying readings cannot find it again.
    pub(crate) fn adopt(&mut self, record: &AlertRecord) {
        let Some(watched) = self.devices.get_mut(&record.device) else { return };
        for (number, watch) in watched.watches_of(record.metric.as_ref()) {
            let edition = &self.book.editions[*number];
            if edition.rule.id == record.rule && *edition.version == *record.rule_version {
                watch.adopt(record.started_at);
            }
        }
    }

    /// The ids of the episodes this engine holds open.
    pub(crate) fn open(&self) -> Vec<AlertId> {
        let mut open = Vec::new();
        let mut add = |number: usize, device: &DeviceId, metric, start: Option<Timestamp>| {
            let edition = &self.book.editions[number];
            open.extend(start.map(|start| subject(edition, device, metric).episode(start)));
        };
        for (device, watched) in &self.devices {
            for (number, watch) in &watched.watches {
                add(*number, device, None, watch.open());
            }
            for series in &watched.series {
                for (number, watch) in &series.watches {
                    add(*number, device, Some(&series.metric), watch.open());
                }
                for (number, track) in &series.tracks {
                    add(*number, device, Some(&series.metric), track.open());
                }
            }
        }
        open
    }

    /// The rule of this id, in the edition now in force.
    pub(crate) fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.book.rule(id)
    }

    /// What it did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// A copy of what it remembers.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(&self.book, &self.devices)
    }
}

/// One packet before the engine.
struct Hearing<'a> {
    book: &'a RuleBook,
    batch: &'a ReadingBatch,
    late_after_ms: i64,
    tracks: &'a mut usize,
    counts: &'a mut Counts,
    out: &'a mut Vec<Transition>,
}

impl Hearing<'_> {
    /// A memory of a device that is not remembered, if any rule is about what it sends.
    fn meet(&mut self) -> Option<Watched> {
        let metrics = self.batch.readings.iter().map(|reading| &reading.metric);
        let judged = metrics.filter(|metric| self.book.looks_at(metric));
        let mut watched = self.book.watch(&self.batch.device, judged, self.batch.received_at);
        watched.series.retain(|series| !series.is_empty());
        (watched.len() > 0 && self.has_room(watched.len())).then_some(watched)
    }

    /// The memory of a series, new if need be; `None` if no rule is about it.
    fn series<'w>(&mut self, watched: &'w mut Watched, metric: &Metric) -> Option<&'w mut Series> {
        if !self.book.looks_at(metric) {
            return None;
        }
        let found = watched.series.iter().position(|series| series.metric == *metric);
        if let Some(index) = found {
            return watched.series.get_mut(index);
        }
        let series = self.book.series(&self.batch.device, metric, self.batch.received_at);
        // An empty series is remembered too, so that its rules are not sought again; but only for
        // devices of the registry, whose number is known.
        let is_stranger = !self.book.knows(&self.batch.device);
        if (series.is_empty() && is_stranger) || !self.has_room(series.len()) {
            return None;
        }
        watched.series.push(series);
        watched.series.last_mut()
    }

    fn has_room(&mut self, more: usize) -> bool {
        let has_room = *self.tracks + more <= MOST_TRACKS;
        if has_room {
            *self.tracks += more;
        } else {
            self.counts.refused += 1;
        }
        has_room
    }

    /// The packet ends the silences of its device or series.
    fn hear(&mut self, metric: Option<&Metric>, watches: &mut [(usize, Watch)]) {
        let received_at = self.batch.received_at;
        for (number, watch) in watches {
            let Some(started_at) = watch.hear(received_at) else { continue };
            self.out.push(Transition::Clear {
                subject: subject(&self.book.editions[*number], &self.batch.device, metric),
                started_at,
                ceased_at: received_at,
                event_time: received_at,
                value: None,
            });
        }
    }

    fn judge(&mut self, tracks: &mut [(usize, Track)], reading: &Reading) {
        if reading.quality != Quality::Good {
            return;
        }
        let is_old = self.batch.received_at.since_ms(reading.event_time) > self.late_after_ms;
        let at = Stamp(reading.event_time.as_millis(), reading.sequence);
        for (number, track) in tracks {
            let edition = &self.book.editions[*number];
            let Condition::Threshold { limit } = &edition.rule.condition else { continue };
            self.counts.evaluations += 1;
            let Some(findings) = track.judge(at, Zone::of(reading.value, limit), limit) else {
                self.counts.forgotten += 1;
                continue;
            };
            for finding in findings {
                let subject = subject(edition, &self.batch.device, Some(&reading.metric));
                self.out.push(told(finding, subject, reading.value, is_old));
            }
        }
    }
}

fn subject(edition: &Edition, device: &DeviceId, metric: Option<&Metric>) -> Subject {
    Subject {
        edition: edition.clone(),
        device: device.clone(),
        metric: metric.cloned(),
        area: None,
    }
}

fn told(finding: Finding, subject: Subject, value: f64, is_old: bool) -> Transition {
    match finding {
        Finding::Raised { started_at, event_time, out_of_order } => Transition::Raise {
            subject,
            started_at,
            event_time,
            value: Some(value),
            late: out_of_order || is_old,
            members: Vec::new(),
        },
        Finding::Cleared { started_at, ceased_at, event_time, from_this_reading } => {
            let value = from_this_reading.then_some(value);
            Transition::Clear { subject, started_at, ceased_at, event_time, value }
        }
    }
}

#[cfg(test)]
mod tests;
