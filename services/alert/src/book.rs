//! Pure: the rules in force, indexed so that a reading no rule is about costs one look-up.

use std::collections::HashMap;
use std::sync::Arc;

use sen_model::{Condition, Device, DeviceId, Metric, Registry, Rule, RuleId, Timestamp};

use crate::memory::{Series, Watched};
use crate::selection::selects;
use crate::silence::Watch;
use crate::track::Track;
use crate::transition::Edition;

/// A set of rules and the devices they are about.
pub(crate) struct RuleBook {
    pub(crate) editions: Vec<Edition>,
    registry: Arc<Registry>,
    /// Rules that look at a metric.
    by_metric: HashMap<Metric, Vec<usize>>,
    /// Absence rules about whole devices.
    silences: Vec<usize>,
}

impl RuleBook {
    /// Indexes a set of rules.
    pub(crate) fn new(rules: &[Rule], registry: Arc<Registry>) -> Self {
        let editions: Vec<Edition> = rules
            .iter()
            .map(|rule| Edition { version: rule.version().into(), rule: Arc::new(rule.clone()) })
            .collect();
        let mut by_metric: HashMap<Metric, Vec<usize>> = HashMap::new();
        let mut silences = Vec::new();
        for (number, edition) in editions.iter().enumerate() {
            let metrics = &edition.rule.selector.metrics;
            if metrics.is_empty() {
                silences.push(number);
            }
            for metric in metrics {
                by_metric.entry(metric.clone()).or_default().push(number);
            }
        }
        Self { editions, registry, by_metric, silences }
    }

    /// Every device that is known before it speaks.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.registry.devices().map(|device| &device.id)
    }

    /// Whether the registry knows a device.
    pub(crate) fn knows(&self, device: &DeviceId) -> bool {
        self.registry.device(device).is_some()
    }

    /// Whether any rule looks at a metric.
    pub(crate) fn looks_at(&self, metric: &Metric) -> bool {
        self.by_metric.contains_key(metric)
    }

    /// The rule of this id, in the edition now in force.
    pub(crate) fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.editions.iter().find(|edition| edition.rule.id == *id).map(|edition| &*edition.rule)
    }

    /// An empty memory of a device: its watches, and series for the metrics it is expected to
    /// send and for `others`.
    pub(crate) fn watch<'a>(
        &self,
        id: &DeviceId,
        others: impl Iterator<Item = &'a Metric>,
        now: Timestamp,
    ) -> Watched {
        let known = self.registry.device(id);
        let is_about = |number: &usize| selects(&self.editions[*number].rule.selector, id, known);
        let silences = self.silences.iter().copied().filter(is_about);
        let watches = silences.map(|number| (number, Watch::new(now))).collect();
        let mut metrics = known.map_or_else(Vec::new, |device| self.expected(device));
        metrics.extend(others.cloned());
        metrics.sort();
        metrics.dedup();
        let series = metrics.iter().map(|metric| self.series(id, metric, now)).collect();
        Watched { watches, series }
    }

    /// An empty memory of a series: a track or watch for each rule that is about it.
    pub(crate) fn series(&self, device: &DeviceId, metric: &Metric, now: Timestamp) -> Series {
        let known = self.registry.device(device);
        let mut series = Series::new(metric.clone());
        // Without spare room: most series have one rule, and there may be many series.
        for number in self.by_metric.get(metric).into_iter().flatten().copied() {
            let rule = &self.editions[number].rule;
            if !selects(&rule.selector, device, known) {
                continue;
            }
            match rule.condition {
                Condition::Threshold { .. } => {
                    series.tracks.reserve_exact(1);
                    series.tracks.push((number, Track::default()));
                }
                _ => {
                    series.watches.reserve_exact(1);
                    series.watches.push((number, Watch::new(now)));
                }
            }
        }
        series
    }

    /// Metrics of a device whose absence is watched, so that one which never comes is missed.
    fn expected(&self, device: &Device) -> Vec<Metric> {
        let is_absence = |rule: &Rule| matches!(rule.condition, Condition::Absence { .. });
        self.editions
            .iter()
            .map(|edition| &edition.rule)
            .filter(|rule| is_absence(rule) && selects(&rule.selector, &device.id, Some(device)))
            .flat_map(|rule| &rule.selector.metrics)
            .filter(|metric| device.metric(metric).is_some())
            .cloned()
            .collect()
    }
}
