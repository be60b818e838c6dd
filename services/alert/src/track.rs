//! Pure: what one limit rule remembers of one series, and the episodes it finds there.
//!
//! A reading is in one of three zones: the bound is *broken*, the value is *good* (at or beyond
//! the clear value), or it lies *between* (hysteresis). Only the order of zones decides anything,
//! so a track keeps runs of equal zones instead of readings: a quiet series is one run for ever.
//! The present state needs no state of its own: no open episode and a last run that is broken is
//! *pending*; an open episode and a last run that is good is *clearing*.
//!
//! In order of event time: an episode is raised at the first reading by which the bound has been
//! broken, without a reading to the contrary, for `for_ms`; it is cleared at the first reading by
//! which the value has been good for `clear_for_ms`. Durations run on event time only: silence
//! neither raises nor clears (that is what absence rules are for).
//!
//! Out of order, what is guaranteed:
//! - A repeat changes nothing, however old it is: its place is inside a run of its own zone, or
//!   older than the memory.
//! - The same readings in the same order of arrival give the same episodes, so a replay does.
//! - A late reading may reveal an episode that was missed altogether: it is raised as late, with
//!   its start as far as it is known by then, and cleared by what followed. It may complete or end
//!   the present one.
//! - A late reading never withdraws, splits, shortens or moves an episode that was raised.
//! - A run remembers its latest hole (a silence much longer than its usual spacing), so what a
//!   device sends of it afterwards is judged as if it had come in time. Elsewhere the readings
//!   inside a run are not kept, and a late one that splits it is taken to end and begin it right
//!   there: durations are then exact to one reporting interval.
//! - A reading older than the memory ([`MOST_RUNS`] changes of zone) is not judged.

use std::collections::VecDeque;

use sen_model::{Limit, Timestamp};
use serde::{Deserialize, Serialize};

/// Changes of zone a track remembers. A steady series never forgets; one that flips with every
/// reading remembers its last readings.
pub(crate) const MOST_RUNS: usize = 24;

/// The place of a reading in its series: event time, then sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp(pub(crate) i64, pub(crate) u32);

impl Stamp {
    fn before(self) -> Self {
        match self.1.checked_sub(1) {
            Some(sequence) => Self(self.0, sequence),
            None => Self(self.0.saturating_sub(1), u32::MAX),
        }
    }

    fn after(self) -> Self {
        match self.1.checked_add(1) {
            Some(sequence) => Self(self.0, sequence),
            None => Self(self.0.saturating_add(1), 0),
        }
    }

    /// Its event time.
    pub(crate) fn time(self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

/// What a value means to a limit rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Zone {
    /// At or beyond the clear value, on the good side.
    #[serde(rename = "g")]
    Good,
    /// Not broken, not yet good.
    #[serde(rename = "b")]
    Between,
    /// On the wrong side of the limit.
    #[serde(rename = "x")]
    Broken,
}

impl Zone {
    /// The zone of a value.
    pub(crate) fn of(value: f64, limit: &Limit) -> Self {
        let is_good = match limit.clear {
            Some(clear) if limit.bound.is_upper() => value <= clear,
            Some(clear) => value >= clear,
            None => true,
        };
        match (limit.bound.is_broken_by(value), is_good) {
            (true, _) => Self::Broken,
            (false, true) => Self::Good,
            (false, false) => Self::Between,
        }
    }
}

/// Neighbouring readings of one zone: the first, the last, how many, and the latest hole, given by
/// the readings about it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Run(Zone, Stamp, Stamp, u32, Option<(Stamp, Stamp)>);

/// A gap this many times longer than the mean spacing of a run is a hole.
const HOLE_SPACINGS: i64 = 4;

impl Run {
    fn new(zone: Zone, first: Stamp, last: Stamp) -> Self {
        Self(zone, first, last, 1, None)
    }

    fn zone(&self) -> Zone {
        self.0
    }

    fn first(&self) -> Stamp {
        self.1
    }

    fn last(&self) -> Stamp {
        self.2
    }

    fn hole_at(&self, at: Stamp) -> Option<(Stamp, Stamp)> {
        self.4.filter(|(from, to)| *from < at && at < *to)
    }

    /// Adds a reading before or after all others.
    fn extend(&mut self, at: Stamp) {
        let gap = if at > self.2 { (self.2, at) } else { (at, self.1) };
        let spacings = i64::from(self.3) - 1;
        let length_ms = self.2.0.saturating_sub(self.1.0);
        let gap_ms = gap.1.0.saturating_sub(gap.0.0);
        if gap_ms.saturating_mul(spacings) >= length_ms.saturating_mul(HOLE_SPACINGS) {
            self.4 = Some(gap);
        }
        (self.1, self.2) = (self.1.min(at), self.2.max(at));
        self.3 = self.3.saturating_add(1);
    }

    /// Adds a reading within the run: it may fill a part of the hole.
    fn fill(&mut self, at: Stamp) {
        let Some((from, to)) = self.hole_at(at) else { return };
        let (before, after) = (at.0.saturating_sub(from.0), to.0.saturating_sub(at.0));
        self.4 = Some(if after >= before { (at, to) } else { (from, at) });
    }

    /// The parts of the run before and after a reading of another zone within it.
    fn split(&self, at: Stamp) -> (Self, Self) {
        let (from, to) = self.hole_at(at).unwrap_or((at.before(), at.after()));
        let part = |first: Stamp, last: Stamp| {
            let hole = self.4.filter(|(from, to)| first <= *from && *to <= last);
            Self(self.0, first, last, self.3, hole)
        };
        (part(self.1, from), part(to, self.2))
    }

    fn lasted(&self, zone: Zone, duration_ms: i64) -> bool {
        self.zone() == zone && self.last().0.saturating_sub(self.first().0) >= duration_ms
    }
}

/// An episode that was raised: its start, the run that began it, the reading that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Episode(i64, Stamp, Option<Stamp>);

impl Episode {
    fn started_at(&self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }

    /// The episode began earlier than we knew. A raised one keeps its start, for its id is made of
    /// it; but what comes late into the time before is not another episode.
    fn reach_back(&mut self, run: &Run) {
        self.1 = self.1.min(run.first());
    }

    fn touches(&self, run: &Run) -> bool {
        self.1 <= run.last() && self.2.is_none_or(|until| run.first() <= until)
    }
}

/// What a reading brought to light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finding {
    /// An episode.
    Raised { started_at: Timestamp, event_time: Timestamp, out_of_order: bool },
    /// Its end. `from_this_reading` tells whether the reading just judged is the good one.
    Cleared {
        started_at: Timestamp,
        ceased_at: Timestamp,
        event_time: Timestamp,
        from_this_reading: bool,
    },
}

/// Where a reading went.
enum Placed {
    Repeat,
    Forgotten,
    Newest,
    Late(usize),
}

/// The memory of one rule about one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// In order, without overlap, no two neighbours of one zone.
    #[serde(rename = "r")]
    runs: VecDeque<Run>,
    /// In order; only the last may be open.
    #[serde(rename = "e", default, skip_serializing_if = "VecDeque::is_empty")]
    episodes: VecDeque<Episode>,
    /// Everything up to here is forgotten.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    floor: Option<Stamp>,
}

impl Track {
    /// Judges a reading; `None` if it is older than the memory.
    pub(crate) fn judge(&mut self, at: Stamp, zone: Zone, limit: &Limit) -> Option<Vec<Finding>> {
        let mut findings = Vec::new();
        match self.place(at, zone) {
            Placed::Forgotten => return None,
            Placed::Repeat => return Some(findings),
            Placed::Newest => findings.extend(self.judge_present(limit, false)),
            Placed::Late(index) => {
                findings.extend(self.judge_present(limit, true));
                self.judge_past(index, limit, &mut findings);
            }
        }
        self.forget();
        Some(findings)
    }

    /// Whether what it remembers goes on beyond a time.
    pub(crate) fn is_ahead_of(&self, now: Timestamp) -> bool {
        let last = self.runs.back().map(Run::last).max(self.floor);
        last.is_some_and(|last| last.0 > now.as_millis())
    }

    /// The start of the open episode.
    pub(crate) fn open(&self) -> Option<Timestamp> {
        self.episodes.back().filter(|episode| episode.2.is_none()).map(Episode::started_at)
    }

    fn place(&mut self, at: Stamp, zone: Zone) -> Placed {
        if self.floor.is_some_and(|floor| at <= floor) {
            return Placed::Forgotten;
        }
        match self.runs.back_mut() {
            Some(run) if at <= run.last() => self.place_late(at, zone),
            Some(run) if run.zone() == zone => {
                run.extend(at);
                Placed::Newest
            }
            _ => {
                // With little spare room: most of the many tracks are one run for ever.
                if self.runs.len() == self.runs.capacity() {
                    self.runs.reserve_exact(1 + self.runs.len() / 2);
                }
                self.runs.push_back(Run::new(zone, at, at));
                Placed::Newest
            }
        }
    }

    fn place_late(&mut self, at: Stamp, zone: Zone) -> Placed {
        let next = self.runs.partition_point(|run| run.first() <= at);
        if let Some(index) = next.checked_sub(1) {
            let run = &mut self.runs[index];
            // The ends of a run are readings we know: another value for one of them is a
            // retransmission gone wrong, and the first that reached the log counts.
            if (run.zone() == zone && at <= run.last()) || at == run.first() || at == run.last() {
                run.fill(at);
                return Placed::Repeat;
            }
            if at < run.last() {
                let (before, after) = run.split(at);
                *run = before;
                self.runs.insert(next, Run::new(zone, at, at));
                self.runs.insert(next + 1, after);
                return Placed::Late(next);
            }
            if run.zone() == zone {
                run.extend(at);
                return Placed::Late(index);
            }
        }
        match self.runs.get_mut(next) {
            Some(run) if run.zone() == zone => run.extend(at),
            _ => self.runs.insert(next, Run::new(zone, at, at)),
        }
        Placed::Late(next)
    }

    /// Whether the last run raises or clears.
    fn judge_present(&mut self, limit: &Limit, out_of_order: bool) -> Option<Finding> {
        let run = *self.runs.back()?;
        let started_at = self.open();
        if let Some(started_at) = started_at {
            if !run.lasted(Zone::Good, limit.clear_for_ms) {
                return None;
            }
            self.episodes.back_mut()?.2 = Some(run.last());
            return Some(Finding::Cleared {
                started_at,
                ceased_at: run.first().time(),
                event_time: run.last().time(),
                from_this_reading: !out_of_order,
            });
        }
        let is_known = self.episodes.iter().any(|episode| episode.touches(&run));
        if is_known || !run.lasted(Zone::Broken, limit.for_ms) {
            return None;
        }
        let started_at = self.begin(self.episodes.len(), &run, None)?;
        Some(Finding::Raised { started_at, event_time: run.last().time(), out_of_order })
    }

    /// Whether a late reading made a past run into an episode that was missed.
    fn judge_past(&mut self, index: usize, limit: &Limit, findings: &mut Vec<Finding>) {
        let run = self.runs[index];
        if run.zone() != Zone::Broken {
            return;
        }
        if let Some(known) = self.episodes.iter_mut().find(|episode| episode.touches(&run)) {
            known.reach_back(&run);
            return;
        }
        if !run.lasted(Zone::Broken, limit.for_ms) {
            return;
        }
        let position = self.episodes.partition_point(|episode| episode.1 < run.first());
        let following = self.episodes.get(position).map(|episode| episode.1);
        let mut ended = None;
        for later in self.runs.range(index + 1..) {
            if following.is_some_and(|first| first <= later.last()) {
                break;
            }
            if later.lasted(Zone::Good, limit.clear_for_ms) {
                ended = Some(later.first());
                break;
            }
        }
        if let (None, Some(known)) = (ended, self.episodes.get_mut(position)) {
            // Nothing good lasted between this and what was raised.
            known.reach_back(&run);
            return;
        }
        let until = ended.map(|good| Stamp(good.0.saturating_add(limit.clear_for_ms), good.1));
        let Some(started_at) = self.begin(position, &run, until) else { return };
        let event_time = Timestamp::from_millis(run.first().0.saturating_add(limit.for_ms));
        findings.push(Finding::Raised { started_at, event_time, out_of_order: true });
        if let (Some(good), Some(until)) = (ended, until) {
            findings.push(Finding::Cleared {
                started_at,
                ceased_at: good.time(),
                event_time: until.time(),
                from_this_reading: false,
            });
        }
    }

    /// Notes an episode and gives its start. Two episodes of one series may begin within one
    /// millisecond (told apart by sequence): the second starts a millisecond later, because ids
    /// are made of starts. `None` if even that is taken.
    fn begin(&mut self, position: usize, run: &Run, until: Option<Stamp>) -> Option<Timestamp> {
        let before = position.checked_sub(1).and_then(|index| self.episodes.get(index));
        let earliest = before.map_or(i64::MIN, |episode| episode.0.saturating_add(1));
        let start_ms = run.first().0.max(earliest);
        if self.episodes.get(position).is_some_and(|next| next.0 <= start_ms) {
            return None;
        }
        self.episodes.insert(position, Episode(start_ms, run.first(), until));
        Some(Timestamp::from_millis(start_ms))
    }

    fn forget(&mut self) {
        while self.runs.len() > MOST_RUNS {
            let Some(run) = self.runs.pop_front() else { return };
            self.floor = Some(run.last());
        }
        let Some(floor) = self.floor else { return };
        // One episode older than the floor stays: the next start must differ from its start.
        while self.episodes.get(1).is_some_and(|next| next.1 <= floor)
            && self
                .episodes
                .front()
                .is_some_and(|first| first.2.is_some_and(|until| until <= floor))
        {
            self.episodes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
