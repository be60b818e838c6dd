//! Pure: what the engine remembers of devices and series, kept in checkpoints and carried over
//! from one set of rules to the next.

use std::collections::HashMap;

use sen_model::{DeviceId, Metric, RuleId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::book::RuleBook;
use crate::silence::Watch;
use crate::track::Track;

/// What is remembered of one device; numbers are those of rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Watched {
    /// Absence of the device altogether.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) watches: Vec<(usize, Watch)>,
    /// A few: found by searching.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) series: Vec<Series>,
}

/// What is remembered of one series; empty where no rule is about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    #[serde(rename = "m")]
    pub(crate) metric: Metric,
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tracks: Vec<(usize, Track)>,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) watches: Vec<(usize, Watch)>,
}

impl Series {
    /// No rule is about it so far.
    pub(crate) fn new(metric: Metric) -> Self {
        Self { metric, tracks: Vec::new(), watches: Vec::new() }
    }

    /// Whether no rule is about it.
    pub(crate) fn is_empty(&self) -> bool {
        self.tracks.is_empty() && self.watches.is_empty()
    }

    /// How many rules are about it.
    pub(crate) fn len(&self) -> usize {
        self.tracks.len() + self.watches.len()
    }
}

impl Watched {
    /// How many tracks and watches there are.
    pub(crate) fn len(&self) -> usize {
        self.watches.len() + self.series.iter().map(Series::len).sum::<usize>()
    }

    /// The watches of the device, or of one of its metrics.
    pub(crate) fn watches_of(&mut self, metric: Option<&Metric>) -> &mut [(usize, Watch)] {
        let Some(metric) = metric else { return &mut self.watches };
        let series = self.series.iter_mut().find(|series| series.metric == *metric);
        series.map_or(&mut [], |series| &mut series.watches)
    }
}

/// Everything the engine remembers; numbers of rules are places in `rules`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    rules: Vec<(RuleId, String)>,
    devices: Vec<(DeviceId, Watched)>,
}

impl Memory {
    /// A copy of what is remembered, without series that no rule is about.
    pub(crate) fn of(book: &RuleBook, devices: &HashMap<DeviceId, Watched>) -> Self {
        let rules = book.editions.iter();
        let kept = |(id, watched): (&DeviceId, &Watched)| {
            let mut watched = watched.clone();
            watched.series.retain(|series| !series.is_empty());
            (watched.len() > 0).then(|| (id.clone(), watched))
        };
        Self {
            rules: rules.map(|e| (e.rule.id.clone(), e.version.to_string())).collect(),
            devices: devices.iter().filter_map(kept).collect(),
        }
    }

    /// What these rules remember: from here under the same edition of each, the rest begins now.
    /// What other editions remembered is gone.
    pub(crate) fn under(self, book: &RuleBook, now: Timestamp) -> HashMap<DeviceId, Watched> {
        let Self { rules, devices } = self;
        let number_then: Vec<Option<usize>> = book
            .editions
            .iter()
            .map(|e| rules.iter().position(|(id, v)| *id == e.rule.id && **v == *e.version))
            .collect();
        let mut watched: HashMap<DeviceId, Watched> = HashMap::new();
        for (id, mut then) in devices {
            let metrics = then.series.iter().map(|series| &series.metric);
            let mut fresh = book.watch(&id, metrics, now);
            take_over(&mut fresh.watches, &mut then.watches, &number_then);
            for series in &mut fresh.series {
                let same = then.series.iter_mut().find(|then| then.metric == series.metric);
                let Some(then) = same else { continue };
                take_over(&mut series.tracks, &mut then.tracks, &number_then);
                take_over(&mut series.watches, &mut then.watches, &number_then);
            }
            if fresh.len() > 0 {
                watched.insert(id, fresh);
            }
        }
        for id in book.devices() {
            let missing = || book.watch(id, std::iter::empty(), now);
            watched.entry(id.clone()).or_insert_with(missing);
        }
        watched
    }
}

fn take_over<T>(fresh: &mut [(usize, T)], then: &mut Vec<(usize, T)>, number: &[Option<usize>]) {
    for (now, memory) in fresh {
        let Some(old) = number[*now] else { continue };
        if let Some(place) = then.iter().position(|(number, _)| *number == old) {
            *memory = then.swap_remove(place).1;
        }
    }
}
