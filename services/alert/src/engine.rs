//! Pure: judges readings by rules. Deterministic: the same memory and the same readings in the
//! same order give the same transitions; only absence, windows of a series that fell silent, and
//! the end of waiting look at the clock, which is an argument.
//!
//! Which rules judge a series is settled when the series is first seen. Only good readings raise
//! or clear; readings of any quality end a silence.
//!
//! With a wait ([`Timing::wait_ms`]) the readings of a device are judged in the order of event
//! time: any order of arrival within the wait, with any repeats, gives exactly the alerts of the
//! sorted readings. Without it they are judged as they come, and a track makes the best of it.

use std::collections::HashMap;
use std::sync::Arc;

use sen_model::{
    AlertId, AlertRecord, Condition, DeviceId, Quality, ReadingBatch, Registry, Rule, RuleId,
    SeriesKey, Timestamp,
};

use crate::book::RuleBook;
use crate::builtin::PROBE;
use crate::hearing::{Complaint, Complaints, Heard, Hearing, subject};
use crate::memory::{Memory, Series, Values, Watched};
use crate::queue::Held;
use crate::schedule;
use crate::track::Stamp;
use crate::transition::{Subject, Transition};

/// Tracks and watches in all, at most: beyond it new series are not judged, and counted.
pub(crate) const MOST_TRACKS: usize = 500_000;
/// Latest values kept of a series that an expression names, at most.
const MOST_VALUES: usize = 256;
/// Series whose latest values are kept, at most: beyond it those of new ones are missing.
const MOST_NAMED: usize = 100_000;
/// A beat so little ahead of the clock is behind the next one, which comes each ten seconds.
const HARMLESS_AHEAD_MS: i64 = 5_000;

/// How long readings may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// A breach in a reading that took longer than this is marked late; a window of a series that
    /// fell silent is over when its end is so far back.
    pub(crate) late_after_ms: i64,
    /// How long a reading waits for those that were measured before it; 0 = not at all.
    pub(crate) wait_ms: i64,
}

/// What the engine did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// A rule looked at a value.
    pub(crate) evaluations: u64,
    /// Readings older than the memory of a rule about them.
    pub(crate) forgotten: u64,
    /// Readings that could not be judged for want of room for their series.
    pub(crate) refused: u64,
    /// Readings that came too late for every window, or were too many for their pane.
    pub(crate) uncounted: u64,
    /// Expressions not judged because a named value was missing.
    pub(crate) unreferenced: u64,
    /// Expressions that failed.
    pub(crate) failed: u64,
}

/// The rules and what they remember.
pub(crate) struct Engine {
    book: RuleBook,
    devices: HashMap<DeviceId, Watched>,
    values: Values,
    timing: Timing,
    tracks: usize,
    resumed_at: Timestamp,
    counts: Counts,
    complaints: Complaints,
}

impl Engine {
    /// Judges by these rules, with what was remembered under the same edition of each.
    pub(crate) fn new(
        rules: &[Rule],
        registry: Arc<Registry>,
        timing: Timing,
        memory: Memory,
        now: Timestamp,
    ) -> Self {
        let book = RuleBook::new(rules, registry);
        let (devices, values) = memory.under(&book, now);
        let tracks = devices.values().map(Watched::len).sum();
        Self {
            book,
            devices,
            values,
            timing,
            tracks,
            resumed_at: now,
            counts: Counts::default(),
            complaints: Complaints::default(),
        }
    }

    /// Puts other rules in force, from the next reading on.
    pub(crate) fn replace(&mut self, rules: &[Rule], registry: Arc<Registry>, now: Timestamp) {
        let memory = self.memory();
        self.book = RuleBook::new(rules, registry);
        (self.devices, self.values) = memory.under(&self.book, now);
        self.tracks = self.devices.values().map(Watched::len).sum();
        self.complaints = Complaints::default();
    }

    /// Judges the readings of one packet.
    pub(crate) fn judge(&mut self, batch: &ReadingBatch, out: &mut Vec<Transition>) {
        self.note_values(batch);
        let Some((mut hearing, watched)) = self.call(batch, out) else { return };
        let received_at = batch.received_at;
        let (timing, Watched { watches, series: all, queue }) = (hearing.timing, watched);
        hearing.hear(None, watches, received_at);
        for reading in &batch.readings {
            let Some(series) = hearing.series(all, &reading.metric, received_at) else { continue };
            hearing.hear(Some(&reading.metric), &mut series.watches, received_at);
            if reading.quality != Quality::Good {
                continue;
            }
            let heard = Heard::now(reading, received_at, timing);
            if timing.wait_ms == 0 {
                hearing.judge(series, heard);
            } else if !series.is_empty() {
                let metric = reading.metric.clone();
                queue.push(Held::new(heard.at(), metric, reading.value, received_at));
            }
        }
        while let Some(held) = queue.pop(timing.wait_ms) {
            if let Some(series) = hearing.series(all, &held.1, held.received_at()) {
                hearing.judge(series, Heard::held(&held, timing));
            }
        }
    }

    /// The device of a packet before the rules, with its memory; `None` if no rule is about it.
    fn call<'a>(
        &'a mut self,
        batch: &'a ReadingBatch,
        out: &'a mut Vec<Transition>,
    ) -> Option<(Hearing<'a>, &'a mut Watched)> {
        let Self { book, devices, values, timing, tracks, counts, complaints, .. } = self;
        let (device, timing) = (&batch.device, *timing);
        let mut hearing = Hearing { book, device, timing, values, tracks, counts, complaints, out };
        if !devices.contains_key(device) {
            let metrics = batch.readings.iter().map(|reading| &reading.metric);
            let judged = metrics.filter(|metric| book.looks_at(metric));
            let mut watched = book.watch(device, judged, batch.received_at);
            watched.series.retain(|series| !series.is_empty());
            if watched.len() == 0 || !hearing.has_room(watched.len()) {
                return None;
            }
            devices.insert(device.clone(), watched);
        }
        devices.get_mut(device).map(|watched| (hearing, watched))
    }

    /// Keeps the values that expressions ask for, as soon as they come.
    fn note_values(&mut self, batch: &ReadingBatch) {
        if !self.book.has_references() {
            return;
        }
        for reading in batch.readings.iter().filter(|reading| reading.quality == Quality::Good) {
            if self.book.refers_to(&batch.device, &reading.metric) {
                let (device, metric) = (batch.device.clone(), reading.metric.clone());
                let key = SeriesKey { device, metric };
                if self.values.len() >= MOST_NAMED && !self.values.contains_key(&key) {
                    self.counts.refused += 1;
                    continue;
                }
                let recent = self.values.entry(key).or_default();
                let at = Stamp(reading.event_time.as_millis(), reading.sequence);
                recent.note(at, reading.value);
                recent.forget(i64::MAX, MOST_VALUES);
            }
        }
    }

    /// Listening begins (again): silence is counted from here.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.resumed_at = now;
    }

    /// Nothing that is remembered of silence lies ahead of the clock, which may have been set back.
    /// The centre's own beats, told by that clock, are judged as if they were the first: to go on
    /// with what is remembered of a time that is not yet, each would be too old.
    pub(crate) fn turn_back(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        let beyond = now.plus_ms(HARMLESS_AHEAD_MS);
        for (device, Watched { watches, series: all, .. }) in &mut self.devices {
            let single = all.iter_mut().flat_map(|series| &mut series.watches);
            watches.iter_mut().chain(single).for_each(|(_, watch)| watch.turn_back(now));
            if device.as_str() != PROBE {
                continue;
            }
            for Series { metric, tracks, .. } in all {
                let ahead = tracks.iter_mut().filter(|(number, track)| {
                    let rule = &self.book.editions[*number].rule;
                    rule.id.as_str() == PROBE && track.is_ahead_of(beyond)
                });
                for (number, track) in ahead {
                    let edition = &self.book.editions[*number];
                    let open = std::mem::take(track).open();
                    out.extend(open.map(|started_at| Transition::Clear {
                        subject: subject(edition, device, Some(metric)),
                        started_at,
                        ceased_at: started_at,
                        event_time: started_at,
                        value: None,
                    }));
                }
            }
        }
    }

    /// What the clock alone decides: readings have waited long enough, windows are over, somebody
    /// has been silent for too long. Call it only when every reading received before `now` has
    /// been judged.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        self.close_windows(now, out);
        self.judge_silence(now, out);
    }

    /// Judges what has waited long enough by the clock, and the windows that are over by it.
    fn close_windows(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        let Self { book, devices, values, timing, tracks, counts, complaints, .. } = self;
        let timing = *timing;
        for (device, Watched { series: all, queue, .. }) in devices {
            let mut hearing =
                Hearing { book, device, timing, values, tracks, counts, complaints, out };
            while let Some(held) = queue.pop_by_clock(timing.wait_ms, now) {
                if let Some(series) = hearing.series(all, &held.1, held.received_at()) {
                    hearing.judge(series, Heard::held(&held, timing));
                }
            }
            all.iter_mut().for_each(|series| hearing.close_windows(series, now));
        }
    }

    /// Looks for what has been silent for too long.
    fn judge_silence(&mut self, now: Timestamp, out: &mut Vec<Transition>) {
        for (device, watched) in &mut self.devices {
            let whole = watched.watches.iter_mut().map(|watch| (None, watch));
            let single = watched.series.iter_mut().flat_map(|series| {
                let metric = &series.metric;
                series.watches.iter_mut().map(move |watch| (Some(metric), watch))
            });
            for (metric, (number, watch)) in whole.chain(single) {
                let edition = &self.book.editions[*number];
                let Condition::Absence { missing_ms } = edition.rule.condition else { continue };
                let when = edition.rule.when.as_ref();
                if when.is_some_and(|when| !schedule::covers(when, now)) {
                    out.extend(watch.rest(now).map(|started_at| Transition::Clear {
                        subject: subject(edition, device, metric),
                        started_at,
                        ceased_at: now,
                        event_time: now,
                        value: None,
                    }));
                    continue;
                }
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
        self.held().iter().map(|(subject, start)| subject.episode(*start)).collect()
    }

    /// The episodes this engine holds open, with their beginnings.
    pub(crate) fn held(&self) -> Vec<(Subject, Timestamp)> {
        let mut open = Vec::new();
        let mut add = |number: usize, device: &DeviceId, metric, start: Option<Timestamp>| {
            let edition = &self.book.editions[number];
            open.extend(start.map(|start| (subject(edition, device, metric), start)));
        };
        for (device, watched) in &self.devices {
            for (number, watch) in &watched.watches {
                add(*number, device, None, watch.open());
            }
            for series in &watched.series {
                for (number, watch) in &series.watches {
                    add(*number, device, Some(&series.metric), watch.open());
                }
                for (number, track) in series.all_tracks() {
                    add(number, device, Some(&series.metric), track.open());
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

    /// Rules that turned out not to be judgeable, each once.
    pub(crate) fn complaints(&mut self) -> Vec<Complaint> {
        self.complaints.take()
    }

    /// A copy of what it remembers.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(&self.book, &self.devices, &self.values)
    }
}

#[cfg(test)]
mod tests;
