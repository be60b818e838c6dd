//! One-minute tumbling windows on event time, one set a series. Pure: no clock, no store.
//!
//! What holds at every moment, and makes the result independent of order, repeats and crashes:
//!
//! > A window in memory equals the fold of all stored readings of its minute. A window not in
//! > memory and not *dirty* has a summary on disk that equals it, or no reading at all.
//!
//! It is kept by four rules. Readings come here only if the store took them as new, right after
//! it took them. A window is begun empty only if it is later than every window its series ever
//! had, so nothing can be stored for it. A reading of any other window that is not in memory marks
//! it dirty; a dirty window takes no readings and is folded anew from the store before the next
//! commit. A window leaves memory only after a commit that wrote it.

use std::collections::HashSet;

use sen_model::time::MINUTE_MS;
use sen_model::{Moment, Partial, Quality, Timestamp};

/// The windows of all series. Series are numbered densely from 0.
#[derive(Debug)]
pub struct Windows {
    series: Vec<Series>,
    /// Windows to be folded anew from the store: (series, start).
    dirty: HashSet<(u32, Timestamp)>,
    /// Series with windows that changed since the last commit.
    changed: Vec<u32>,
    /// Windows in memory.
    open: usize,
    hot_ms: i64,
    most_open: usize,
}

/// The windows of one series.
#[derive(Debug, Default)]
struct Series {
    /// How far its event time has come, but never ahead of the clock: moved only forward, and only
    /// by its own readings.
    watermark: Option<Timestamp>,
    /// Start of the newest window it ever had.
    newest: Option<Timestamp>,
    /// Windows in memory, by start.
    open: Vec<Window>,
    /// Whether it is listed in `Windows::changed`.
    changed: bool,
}

#[derive(Debug)]
struct Window {
    start: Timestamp,
    partial: Partial,
    changed: bool,
}

/// What a reading did to its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The window was open.
    OnTime,
    /// The window had closed but was still in memory: its summary is written again.
    LateApplied,
    /// The window had closed and left memory: it is folded anew from raw.
    LateRecomputed,
    /// The window is not in memory, as after a restart: it is folded anew from raw.
    Recomputed,
}

/// The start of the window a time belongs to.
pub fn start_of(time: Timestamp) -> Timestamp {
    time.floor_to(MINUTE_MS)
}

/// The first instant after the window that begins at `start`. The first and the last window of
/// `i64` are shorter; the last one has no instant after it and ends with `i64`.
pub fn end_of(start: Timestamp) -> Timestamp {
    start.plus_ms(MINUTE_MS - start.as_millis().rem_euclid(MINUTE_MS))
}

impl Windows {
    /// No windows. Closed ones stay for `hot_ms` behind their series' watermark, and no more than
    /// about `most_open` in all.
    pub fn new(hot_ms: i64, most_open: usize) -> Self {
        Self {
            series: Vec::new(),
            dirty: HashSet::new(),
            changed: Vec::new(),
            open: 0,
            hot_ms,
            most_open,
        }
    }

    /// Tells of the newest reading stored of a series before this process began. Must be called
    /// for every series that has one, before the first [`apply`](Self::apply).
    pub fn resume(&mut self, series: u32, newest: Timestamp, now: Timestamp) {
        let known = self.series_mut(series);
        known.newest = known.newest.max(Some(start_of(newest)));
        known.advance(newest, now);
    }

    /// Applies a reading the store has just taken as new.
    pub fn apply(
        &mut self,
        series: u32,
        moment: Moment,
        quality: Quality,
        now: Timestamp,
    ) -> Applied {
        let start = start_of(moment.event_time);
        let known = self.series_mut(series);
        let is_late = known.watermark.is_some_and(|watermark| end_of(start) <= watermark);
        known.advance(moment.event_time, now);
        let at = match known.open.binary_search_by_key(&start, |window| window.start) {
            Ok(at) => at,
            Err(at) if known.newest.is_none_or(|newest| start > newest) => {
                let partial = Partial::default();
                known.insert(at, Window { start, partial, changed: false });
                known.newest = Some(start);
                self.open += 1;
                at
            }
            Err(_) => {
                self.dirty.insert((series, start));
                return if is_late { Applied::LateRecomputed } else { Applied::Recomputed };
            }
        };
        self.series[series as usize].open[at].partial.add(moment, quality);
        self.note_change(series, at);
        if is_late { Applied::LateApplied } else { Applied::OnTime }
    }

    /// The windows to be folded from the store before the next commit, in order.
    pub fn dirty(&self) -> Vec<(u32, Timestamp)> {
        let mut dirty: Vec<_> = self.dirty.iter().copied().collect();
        dirty.sort_unstable();
        dirty
    }

    /// Takes what the store folded for a dirty window, with every reading applied so far in it.
    pub fn recomputed(&mut self, series: u32, start: Timestamp, partial: Partial) {
        if !self.dirty.remove(&(series, start)) {
            return;
        }
        let known = self.series_mut(series);
        let at = known.open.partition_point(|window| window.start < start);
        known.insert(at, Window { start, partial, changed: false });
        self.open += 1;
        self.note_change(series, at);
    }

    /// The windows that changed since the last commit: series, start, partial.
    pub fn changed(&self) -> impl Iterator<Item = (u32, Timestamp, &Partial)> {
        self.changed.iter().flat_map(|series| {
            let open = &self.series[*series as usize].open;
            let changed = open.iter().filter(|window| window.changed);
            changed.map(|window| (*series, window.start, &window.partial))
        })
    }

    /// Everything [`changed`](Self::changed) gave is durable: forgets the changes, and the windows
    /// that are no longer hot. If there are still too many, the closed ones go, then all: any can
    /// be recomputed.
    pub fn committed(&mut self) {
        for series in std::mem::take(&mut self.changed) {
            let known = &mut self.series[series as usize];
            known.changed = false;
            let before = known.open.len();
            known.open.iter_mut().for_each(|window| window.changed = false);
            let cold = known.watermark.map(|watermark| watermark.plus_ms(-self.hot_ms));
            known.open.retain(|window| Some(end_of(window.start)) > cold);
            known.open.shrink_to_fit();
            self.open -= before - known.open.len();
        }
        if self.open > self.most_open {
            self.keep(|watermark, window| Some(end_of(window.start)) > watermark);
        }
        if self.open > self.most_open {
            self.keep(|_, _| false);
        }
    }

    /// Keeps some windows of all series.
    fn keep(&mut self, stays: impl Fn(Option<Timestamp>, &Window) -> bool) {
        self.open = 0;
        for known in &mut self.series {
            known.open.retain(|window| stays(known.watermark, window));
            known.open.shrink_to_fit();
            self.open += known.open.len();
        }
    }

    /// Whether a commit should be made now, to keep memory bounded.
    pub fn is_full(&self) -> bool {
        self.open + self.dirty.len() > self.most_open
    }

    /// How far the event time of a series has come.
    #[cfg(test)]
    fn watermark(&self, series: u32) -> Option<Timestamp> {
        self.series.get(series as usize)?.watermark
    }

    /// How many windows are in memory.
    pub fn open(&self) -> usize {
        self.open
    }

    fn series_mut(&mut self, series: u32) -> &mut Series {
        let index = series as usize;
        if index >= self.series.len() {
            self.series.resize_with(index + 1, Series::default);
        }
        &mut self.series[index]
    }

    fn note_change(&mut self, series: u32, at: usize) {
        let known = &mut self.series[series as usize];
        known.open[at].changed = true;
        if !std::mem::replace(&mut known.changed, true) {
            self.changed.push(series);
        }
    }
}

impl Series {
    /// Without spare room: most series have one or two windows, and there may be many series.
    fn insert(&mut self, at: usize, window: Window) {
        self.open.reserve_exact(1);
        self.open.insert(at, window);
    }

    fn advance(&mut self, event_time: Timestamp, now: Timestamp) {
        self.watermark = self.watermark.max(Some(event_time.min(now)));
    }
}

#[cfg(test)]
mod tests;
