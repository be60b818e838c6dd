//! Pure: a statistic over windows of event time.
//!
//! A window of `window_ms` ends every `every_ms`; it is made of panes of `every_ms`, which begin at
//! whole multiples of their length in Vietnam's time. It is judged once: when its series has come
//! past its end in event time, or when the clock has, for a series that fell silent. Windows in
//! which nothing was measured, or too little, say nothing.
//!
//! A repeat is recognised exactly: each pane remembers the stamps it has counted, up to
//! [`MOST_IN_PANE`]; further readings are not counted, and said so. A late reading counts in the
//! windows that are still to come; if there is none, it is not taken.

use std::collections::BTreeMap;

use sen_model::condition::Statistic;
use sen_model::time::VIETNAM_OFFSET_MS;
use sen_model::{Moment, Partial, Quality, Timestamp};
use sen_proto::Wire;
use serde::{Deserialize, Serialize};

use crate::track::Stamp;

/// Readings counted in one pane, at most: somewhat more than one a second for an hour.
pub(crate) const MOST_IN_PANE: usize = 4_096;
/// Panes in one window, at most: a minute each for a day.
pub(crate) const MOST_PANES: i64 = 1_440;

/// Lengths and statistic of the windows of one rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) window_ms: i64,
    pub(crate) every_ms: i64,
    pub(crate) statistic: Statistic,
    pub(crate) least_count: u64,
}

impl Shape {
    /// The start of the pane that holds a time.
    fn pane_of(&self, at_ms: i64) -> i64 {
        let local = at_ms.saturating_add(VIETNAM_OFFSET_MS);
        at_ms.saturating_sub(local.rem_euclid(self.every_ms))
    }
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Counted,
    Repeat,
    /// Every window it belongs to is judged, or its pane is full.
    Refused,
}

/// What was measured in one pane.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pane {
    partial: Partial,
    /// In order.
    seen: Vec<Stamp>,
}

/// The panes of one rule about one series that belong to windows not yet judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Kept", into = "Kept")]
pub(crate) struct Panes {
    panes: BTreeMap<i64, Pane>,
    /// The end of the last window judged, or passed over.
    judged_to: Option<i64>,
}

impl Panes {
    /// Counts a good reading.
    pub(crate) fn add(&mut self, at: Stamp, value: f64, shape: &Shape) -> Taken {
        let start = shape.pane_of(at.0);
        let last_end = start.saturating_add(shape.window_ms);
        if self.judged_to.is_some_and(|judged| last_end <= judged) {
            return Taken::Refused;
        }
        let pane = self.panes.entry(start).or_default();
        let place = match pane.seen.last() {
            Some(last) if at <= *last => match pane.seen.binary_search(&at) {
                Ok(_) => return Taken::Repeat,
                Err(place) => place,
            },
            _ => pane.seen.len(),
        };
        if pane.seen.len() >= MOST_IN_PANE {
            return Taken::Refused;
        }
        pane.seen.insert(place, at);
        let event_time = Timestamp::from_millis(at.0);
        pane.partial.add(Moment { event_time, sequence: at.1, value }, Quality::Good);
        Taken::Counted
    }

    /// The windows that end at or before `until_ms` and were not judged before: the end and the
    /// statistic of each that says something, oldest first.
    pub(crate) fn close(&mut self, until_ms: i64, shape: &Shape) -> Vec<(i64, f64)> {
        let mut told = Vec::new();
        let until = shape.pane_of(until_ms);
        if self.judged_to.is_some_and(|judged| until <= judged) {
            return told;
        }
        while let Some((first, _)) = self.panes.first_key_value() {
            // The first window that holds the oldest pane, unless it was judged before.
            let held_from = first.saturating_add(shape.every_ms);
            let next = self.judged_to.map(|judged| judged.saturating_add(shape.every_ms));
            let end = next.map_or(held_from, |next| next.max(held_from));
            if end > until {
                break;
            }
            told.extend(self.statistic(end, shape).map(|value| (end, value)));
            self.judged_to = Some(end);
            self.panes.retain(|start, _| start.saturating_add(shape.window_ms) > end);
        }
        self.judged_to = self.judged_to.max(Some(until));
        told
    }

    /// Whether a window waits to be judged.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.panes.is_empty()
    }

    fn statistic(&self, end: i64, shape: &Shape) -> Option<f64> {
        let mut whole = Partial::default();
        for pane in self.panes.range(end.saturating_sub(shape.window_ms)..end).map(|(_, p)| p) {
            whole.merge(&pane.partial);
        }
        if whole.is_empty() || whole.good_count < shape.least_count {
            return None;
        }
        match shape.statistic {
            Statistic::Count => Some(whole.good_count as f64),
            Statistic::Sum => Some(whole.sum()),
            Statistic::Mean => whole.mean(),
            Statistic::Min => whole.min(),
            Statistic::Max => whole.max(),
            Statistic::Range => whole.extremes.map(|extremes| extremes.max - extremes.min),
            Statistic::Deviation => whole.variance().map(f64::sqrt),
            Statistic::First => whole.first().map(|moment| moment.value),
            Statistic::Last => whole.last().map(|moment| moment.value),
            Statistic::P50 => whole.quantile(0.5),
            Statistic::P90 => whole.quantile(0.9),
            Statistic::P95 => whole.quantile(0.95),
            Statistic::P99 => whole.quantile(0.99),
        }
    }
}

/// Start, partial and stamps of a pane.
type KeptPane = (i64, String, Vec<(i64, u32)>);

/// The form of [`Panes`] in a checkpoint: stamps as distances from the start of their pane,
/// partials as the bytes of their message in hexadecimal digits (their sums are larger than the
/// numbers of JSON).
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(rename = "p")]
    panes: Vec<KeptPane>,
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    judged_to: Option<i64>,
}

impl From<Panes> for Kept {
    fn from(panes: Panes) -> Self {
        let kept = |(start, pane): (i64, Pane)| {
            let mut bytes = Vec::new();
            pane.partial.encode(&mut bytes);
            let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let seen = pane.seen.into_iter().map(|at| (at.0.wrapping_sub(start), at.1)).collect();
            (start, digits, seen)
        };
        Self { panes: panes.panes.into_iter().map(kept).collect(), judged_to: panes.judged_to }
    }
}

impl TryFrom<Kept> for Panes {
    type Error = String;

    fn try_from(kept: Kept) -> Result<Self, String> {
        let mut panes = BTreeMap::new();
        for (start, digits, seen) in kept.panes {
            let byte = |pair: &[u8]| {
                let pair = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
                u8::from_str_radix(pair, 16).map_err(|error| error.to_string())
            };
            let bytes = digits.as_bytes().chunks(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
            let partial = Partial::decode(&bytes).map_err(|error| error.to_string())?;
            let seen = seen.into_iter().map(|(ms, n)| Stamp(start.wrapping_add(ms), n)).collect();
            panes.insert(start, Pane { partial, seen });
        }
        Ok(Self { panes, judged_to: kept.judged_to })
    }
}

#[cfg(test)]
mod tests;
