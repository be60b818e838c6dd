//! Pure: one device before the rules: its readings, one after the other, and its windows.

use std::collections::HashSet;

use sen_model::condition::Reference;
use sen_model::{Condition, DeviceId, Limit, Metric, Reading, RuleId, SeriesKey, Timestamp};

use crate::book::{RuleBook, shape};
use crate::engine::{Counts, MOST_TRACKS, Timing};
use crate::expression;
use crate::gauge::{self, Sight};
use crate::memory::{General, Series, Values};
use crate::panes::{Panes, Taken};
use crate::queue::Held;
use crate::recent::{MOST_READINGS, Noted};
use crate::schedule;
use crate::silence::Watch;
use crate::track::{Finding, Stamp, Track, Zone};
use crate::transition::{Edition, Subject, Transition};

/// A good reading, or the statistic of a window, as rules judge it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    at: Stamp,
    value: f64,
    /// Whether it took longer to reach us than a live reading may.
    is_old: bool,
    /// How far its series has come by it: never ahead of when it was heard, so that a device whose
    /// clock is ahead ends no window before its time.
    come_to: i64,
}

impl Heard {
    /// A reading of a packet.
    pub(crate) fn now(reading: &Reading, received_at: Timestamp, timing: Timing) -> Self {
        let at = Stamp(reading.event_time.as_millis(), reading.sequence);
        Self::at_place(at, reading.value, received_at, timing)
    }

    /// A reading that waited for others.
    pub(crate) fn held(held: &Held, timing: Timing) -> Self {
        Self::at_place(held.0, held.value(), held.received_at(), timing)
    }

    fn at_place(at: Stamp, value: f64, received_at: Timestamp, timing: Timing) -> Self {
        let is_old = received_at.since_ms(at.time()) > timing.late_after_ms;
        Self { at, value, is_old, come_to: at.0.min(received_at.as_millis()) }
    }

    /// The place of the reading in its series.
    pub(crate) fn at(&self) -> Stamp {
        self.at
    }
}

/// A rule that cannot be judged, and why: told once for each edition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) rule: RuleId,
    pub(crate) what: String,
}

/// What is wrong with rules while they are judged.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// Editions that were complained about, by number; as many as there are rules at most.
    told: HashSet<usize>,
    waiting: Vec<Complaint>,
}

impl Complaints {
    fn add(&mut self, number: usize, edition: &Edition, what: String) {
        if self.told.insert(number) {
            self.waiting.push(Complaint { rule: edition.rule.id.clone(), what });
        }
    }

    /// What was not yet told to anyone.
    pub(crate) fn take(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.waiting)
    }
}

/// One device before the rules.
pub(crate) struct Hearing<'a> {
    pub(crate) book: &'a RuleBook,
    pub(crate) device: &'a DeviceId,
    pub(crate) timing: Timing,
    pub(crate) values: &'a Values,
    pub(crate) tracks: &'a mut usize,
    pub(crate) counts: &'a mut Counts,
    pub(crate) complaints: &'a mut Complaints,
    pub(crate) out: &'a mut Vec<Transition>,
}

impl Hearing<'_> {
    /// The memory of a series, new if need be; `None` if no rule is about it.
    pub(crate) fn series<'w>(
        &mut self,
        all: &'w mut Vec<Series>,
        metric: &Metric,
        now: Timestamp,
    ) -> Option<&'w mut Series> {
        if !self.book.looks_at(metric) {
            return None;
        }
        let found = all.iter().position(|series| series.metric == *metric);
        if let Some(index) = found {
            return all.get_mut(index);
        }
        let series = self.book.series(self.device, metric, now);
        // An empty series is remembered too, so that its rules are not sought again; but only for
        // devices of the registry, whose number is known.
        let is_stranger = !self.book.knows(self.device);
        if (series.is_empty() && is_stranger) || !self.has_room(series.len()) {
            return None;
        }
        all.push(series);
        all.last_mut()
    }

    /// Whether so many tracks more may be kept.
    pub(crate) fn has_room(&mut self, more: usize) -> bool {
        let has_room = *self.tracks + more <= MOST_TRACKS;
        if has_room {
            *self.tracks += more;
        } else {
            self.counts.refused += 1;
        }
        has_room
    }

    /// A packet ends the silences of its device or series.
    pub(crate) fn hear(
        &mut self,
        metric: Option<&Metric>,
        watches: &mut [(usize, Watch)],
        received_at: Timestamp,
    ) {
        for (number, watch) in watches {
            let Some(started_at) = watch.hear(received_at) else { continue };
            self.out.push(Transition::Clear {
                subject: subject(&self.book.editions[*number], self.device, metric),
                started_at,
                // The clock may have been set back in between.
                ceased_at: received_at.max(started_at),
                event_time: received_at.max(started_at),
                value: None,
            });
        }
    }

    /// Judges a good reading by every rule about its series.
    pub(crate) fn judge(&mut self, series: &mut Series, heard: Heard) {
        for (number, track) in &mut series.tracks {
            let sight = Sight::of(heard.value, &self.book.editions[*number].limit);
            self.find(*number, track, &series.metric, heard, sight);
        }
        if let Some(general) = &mut series.general {
            self.judge_gauges(&series.metric, general, heard);
            for (number, panes, track) in &mut general.windows {
                self.count(*number, panes, track, &series.metric, heard);
            }
        }
    }

    /// Judges by the rules that compare a reading with earlier or other ones.
    fn judge_gauges(&mut self, metric: &Metric, general: &mut General, heard: Heard) {
        let General { span_ms, recent, gauges, .. } = general;
        let noted = (*span_ms > 0).then(|| recent.note(heard.at, heard.value));
        for (number, track) in gauges {
            let edition = &self.book.editions[*number];
            let sight = match (&edition.rule.condition, noted) {
                (Condition::Expression { references, .. }, None) => {
                    self.evaluate(*number, metric, heard, references)
                }
                // An expression of the reading alone needs no memory of others.
                (Condition::Expression { references, .. }, _) if references.is_empty() => {
                    self.evaluate(*number, metric, heard, references)
                }
                (_, None | Some(Noted::Repeat)) => None,
                (_, Some(Noted::Forgotten)) => {
                    self.counts.forgotten += 1;
                    None
                }
                (Condition::Expression { references, .. }, _) => {
                    self.evaluate(*number, metric, heard, references)
                }
                (condition, Some(Noted::At(index))) => {
                    gauge::look(condition, &edition.limit, recent, index)
                }
            };
            if let Some(sight) = sight {
                self.find(*number, track, metric, heard, sight);
            }
        }
        recent.forget(*span_ms, MOST_READINGS);
    }

    /// What an expression says of a reading; nothing where a named value is missing, or it fails.
    fn evaluate(
        &mut self,
        number: usize,
        metric: &Metric,
        heard: Heard,
        references: &[Reference],
    ) -> Option<Sight> {
        let (expression, scope) = self.book.expression(number)?;
        let mut named = Vec::with_capacity(references.len());
        for Reference { name, device, metric } in references {
            let device = device.as_ref().unwrap_or(self.device).clone();
            let key = SeriesKey { device, metric: metric.clone() };
            let latest = self.values.get(&key).and_then(|recent| recent.latest(heard.at.0));
            let Some(value) = latest else {
                self.counts.unreferenced += 1;
                return None;
            };
            named.push((name.as_str(), value));
        }
        let (device, event_time, value) = (self.device, heard.at.time(), heard.value);
        let subject = expression::Subject { device, metric, event_time, value };
        match scope.holds(expression, subject, &named) {
            Ok(holds) => {
                let zone = if holds { Zone::Broken } else { Zone::Good };
                Some(Sight { zone, value })
            }
            Err(what) => {
                self.counts.failed += 1;
                self.complaints.add(number, &self.book.editions[number], what);
                None
            }
        }
    }

    /// Counts a reading in the windows of a rule, and judges those that are over by it.
    fn count(
        &mut self,
        number: usize,
        panes: &mut Panes,
        track: &mut Track,
        metric: &Metric,
        heard: Heard,
    ) {
        let Some(shape) = shape(&self.book.editions[number].rule.condition) else { return };
        for (end, value) in panes.close(heard.come_to, &shape) {
            self.find_window(number, track, metric, Heard { at: Stamp(end, 0), value, ..heard });
        }
        if panes.add(heard.at, heard.value, &shape) == Taken::Refused {
            self.counts.uncounted += 1;
        }
    }

    /// Judges the windows of a series that the clock has left behind, though no reading has.
    pub(crate) fn close_windows(&mut self, series: &mut Series, now: Timestamp) {
        let Some(general) = &mut series.general else { return };
        let until = now.plus_ms(-self.timing.late_after_ms).as_millis();
        for (number, panes, track) in &mut general.windows {
            let condition = &self.book.editions[*number].rule.condition;
            let Some(shape) = shape(condition).filter(|_| panes.is_waiting()) else { continue };
            for (end, value) in panes.close(until, &shape) {
                let heard = Heard { at: Stamp(end, 0), value, is_old: false, come_to: end };
                self.find_window(*number, track, &series.metric, heard);
            }
        }
    }

    fn find_window(&mut self, number: usize, track: &mut Track, metric: &Metric, heard: Heard) {
        let sight = Sight::of(heard.value, &self.book.editions[number].limit);
        self.find(number, track, metric, heard, sight);
    }

    /// Tells the track of a rule what the rule sees, and others what the track finds.
    fn find(
        &mut self,
        number: usize,
        track: &mut Track,
        metric: &Metric,
        heard: Heard,
        sight: Sight,
    ) {
        let edition = &self.book.editions[number];
        self.counts.evaluations += 1;
        let at_once;
        let (zone, limit) = match &edition.rule.when {
            // Outside its schedule everything is good, and what is open ends without further delay.
            Some(when) if !schedule::covers(when, heard.at.time()) => {
                at_once = Limit { clear_for_ms: 0, ..edition.limit };
                (Zone::Good, &at_once)
            }
            _ => (sight.zone, &edition.limit),
        };
        let Some(findings) = track.judge(heard.at, zone, limit) else {
            self.counts.forgotten += 1;
            return;
        };
        for finding in findings {
            let subject = subject(edition, self.device, Some(metric));
            self.out.push(told(finding, subject, sight.value, heard.is_old));
        }
    }
}

/// A rule and what it judges.
pub(crate) fn subject(edition: &Edition, device: &DeviceId, metric: Option<&Metric>) -> Subject {
    let (edition, device, metric) = (edition.clone(), device.clone(), metric.cloned());
    Subject { edition, device, metric, area: None }
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
