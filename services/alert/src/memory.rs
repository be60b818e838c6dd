//! Pure: what the engine remembers of devices and series, kept in checkpoints and carried over
//! from one set of rules to the next.

use std::collections::HashMap;

use sen_model::{DeviceId, Metric, RuleId, SeriesKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::book::RuleBook;
use crate::panes::Panes;
use crate::queue::Queue;
use crate::recent::Recent;
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
    /// Readings that wait for those measured before them.
    #[serde(rename = "q", default, skip_serializing_if = "Queue::is_empty")]
    pub(crate) queue: Queue,
}

/// What is remembered of one series; empty where no rule is about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    #[serde(rename = "m")]
    pub(crate) metric: Metric,
    /// Of rules with limits of the value itself.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tracks: Vec<(usize, Track)>,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) watches: Vec<(usize, Watch)>,
    /// Of all other rules: most series have none.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub(crate) general: Option<Box<General>>,
}

/// What rules remember of a series that look at more than the value of a reading.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct General {
    /// How far back some of these rules look; 0 = none does.
    #[serde(rename = "b")]
    pub(crate) span_ms: i64,
    /// The last readings, for all of them.
    #[serde(rename = "r", default, skip_serializing_if = "Recent::is_empty")]
    pub(crate) recent: Recent,
    /// Of rate, delta, frozen and expression.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gauges: Vec<(usize, Track)>,
    /// Of windows.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) windows: Vec<(usize, Panes, Track)>,
}

impl Series {
    /// No rule is about it so far.
    pub(crate) fn new(metric: Metric) -> Self {
        Self { metric, tracks: Vec::new(), watches: Vec::new(), general: None }
    }

    /// Whether no rule is about it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rules are about it.
    pub(crate) fn len(&self) -> usize {
        let general = self.general.as_ref();
        let general = general.map_or(0, |more| more.gauges.len() + more.windows.len());
        self.tracks.len() + self.watches.len() + general
    }

    /// The tracks of all rules about it, each with the number of its rule.
    pub(crate) fn all_tracks(&self) -> impl Iterator<Item = (usize, &Track)> {
        let general = self.general.iter();
        let general = general.flat_map(|more| {
            let of_windows = more.windows.iter().map(|(number, _, track)| (*number, track));
            more.gauges.iter().map(|(number, track)| (*number, track)).chain(of_windows)
        });
        self.tracks.iter().map(|(number, track)| (*number, track)).chain(general)
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

/// The latest values of series that expressions ask for.
pub(crate) type Values = HashMap<SeriesKey, Recent>;

/// Everything the engine remembers; numbers of rules are places in `rules`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    rules: Vec<(RuleId, String)>,
    devices: Vec<(DeviceId, Watched)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<(DeviceId, Metric, Recent)>,
}

impl Memory {
    /// A copy of what is remembered, without series that no rule is about.
    pub(crate) fn of(
        book: &RuleBook,
        devices: &HashMap<DeviceId, Watched>,
        values: &Values,
    ) -> Self {
        let rules = book.editions.iter();
        let kept = |(id, watched): (&DeviceId, &Watched)| {
            let mut watched = watched.clone();
            watched.series.retain(|series| !series.is_empty());
            (watched.len() > 0).then(|| (id.clone(), watched))
        };
        let value = |(key, recent): (&SeriesKey, &Recent)| {
            (key.device.clone(), key.metric.clone(), recent.clone())
        };
        Self {
            rules: rules.map(|e| (e.rule.id.clone(), e.version.to_string())).collect(),
            devices: devices.iter().filter_map(kept).collect(),
            values: values.iter().map(value).collect(),
        }
    }

    /// What these rules remember: from here under the same edition of each, the rest begins now.
    /// What other editions remembered is gone.
    pub(crate) fn under(
        self,
        book: &RuleBook,
        now: Timestamp,
    ) -> (HashMap<DeviceId, Watched>, Values) {
        let Self { rules, devices, values } = self;
        let places: HashMap<(&RuleId, &str), usize> = rules
            .iter()
            .enumerate()
            .map(|(n, (id, version))| ((id, version.as_str()), n))
            .collect();
        let then = |e: &crate::transition::Edition| places.get(&(&e.rule.id, &*e.version)).copied();
        let number_then: Vec<Option<usize>> = book.editions.iter().map(then).collect();
        let mut watched: HashMap<DeviceId, Watched> = HashMap::new();
        for (id, then) in devices {
            let fresh = renewed(&id, then, book, &number_then, now);
            if fresh.len() > 0 {
                watched.insert(id, fresh);
            }
        }
        for id in book.devices() {
            let missing = || book.watch(id, std::iter::empty(), now);
            watched.entry(id.clone()).or_insert_with(missing);
        }
        let values = values
            .into_iter()
            .filter(|(device, metric, _)| book.refers_to(device, metric))
            .map(|(device, metric, recent)| (SeriesKey { device, metric }, recent));
        (watched, values.collect())
    }
}

/// What other rules remember of a device, given what was remembered then.
fn renewed(
    id: &DeviceId,
    mut then: Watched,
    book: &RuleBook,
    number_then: &[Option<usize>],
    now: Timestamp,
) -> Watched {
    let metrics = then.series.iter().map(|series| &series.metric);
    let mut fresh = book.watch(id, metrics, now);
    fresh.queue = then.queue;
    take_over(&mut fresh.watches, &mut then.watches, number_then);
    for series in &mut fresh.series {
        let same = then.series.iter_mut().find(|then| then.metric == series.metric);
        let Some(then) = same else { continue };
        take_over(&mut series.tracks, &mut then.tracks, number_then);
        take_over(&mut series.watches, &mut then.watches, number_then);
        if let (Some(more), Some(then)) = (&mut series.general, &mut then.general) {
            if more.span_ms > 0 {
                more.recent = std::mem::take(&mut then.recent);
            }
            take_over(&mut more.gauges, &mut then.gauges, number_then);
            for (number, panes, track) in &mut more.windows {
                let Some(old) = number_then[*number] else { continue };
                if let Some(found) = then.windows.iter_mut().find(|window| window.0 == old) {
                    *panes = std::mem::take(&mut found.1);
                    *track = std::mem::take(&mut found.2);
                }
            }
        }
    }
    fresh
}

fn take_over<T>(fresh: &mut [(usize, T)], then: &mut Vec<(usize, T)>, number: &[Option<usize>]) {
    for (now, memory) in fresh {
        let Some(old) = number[*now] else { continue };
        if let Some(place) = then.iter().position(|(number, _)| *number == old) {
            *memory = then.swap_remove(place).1;
        }
    }
}
