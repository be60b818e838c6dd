//! Pure: the rules in force, indexed so that a reading no rule is about costs one look-up, and a
//! series, when it is first seen, looks only at the rules that ask for its metric, and of those
//! that name devices only at its own.

use std::collections::HashMap;
use std::sync::Arc;

use sen_model::condition::Reference;
use sen_model::time::HOUR_MS;
use sen_model::{Condition, Device, DeviceId, Metric, Registry, Rule, RuleId, Timestamp};

use crate::expression::{Expression, Scope};
use crate::memory::{General, Series, Watched};
use crate::panes::{Panes, Shape};
use crate::selection::selects;
use crate::silence::Watch;
use crate::track::Track;
use crate::transition::Edition;

/// How far back repeats of a reading are recognised by an expression with named values.
const EXPRESSION_SPAN_MS: i64 = HOUR_MS;

/// The rules that look at one metric.
#[derive(Debug, Default)]
struct Interest {
    /// Those that name devices.
    by_device: HashMap<DeviceId, Vec<usize>>,
    /// Those that take any device that is as they want it.
    others: Vec<usize>,
}

impl Interest {
    fn add(&mut self, number: usize, rule: &Rule) {
        if rule.selector.devices.is_empty() {
            self.others.push(number);
        }
        for device in &rule.selector.devices {
            let numbers = self.by_device.entry(device.clone()).or_default();
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
    }

    /// Those that may be about a device.
    fn about(&self, device: &DeviceId) -> impl Iterator<Item = usize> {
        let named = self.by_device.get(device).into_iter().flatten();
        named.chain(&self.others).copied()
    }
}

/// A set of rules and the devices they are about.
#[derive(Debug)]
pub(crate) struct RuleBook {
    pub(crate) editions: Vec<Edition>,
    registry: Arc<Registry>,
    /// The first edition of each rule.
    by_id: HashMap<RuleId, usize>,
    /// Rules that look at a metric.
    by_metric: HashMap<Metric, Interest>,
    /// Absence rules about whole devices.
    silences: Vec<usize>,
    /// The expressions among them, by number.
    expressions: HashMap<usize, Expression>,
    /// What expressions are judged with, if there are any.
    scope: Option<Scope>,
    /// Metrics whose latest values expressions ask for: of which device (none = of the device that
    /// the rule is about), and by which rule.
    referenced: HashMap<Metric, Vec<(Option<DeviceId>, usize)>>,
}

impl RuleBook {
    /// Indexes a set of rules.
    pub(crate) fn new(rules: &[Rule], registry: Arc<Registry>) -> Self {
        let editions: Vec<Edition> = rules.iter().flat_map(Edition::all_of).collect();
        let mut book = Self {
            editions: Vec::new(),
            by_id: HashMap::new(),
            by_metric: HashMap::new(),
            silences: Vec::new(),
            expressions: HashMap::new(),
            scope: None,
            referenced: HashMap::new(),
            registry,
        };
        for (number, edition) in editions.iter().enumerate() {
            book.by_id.entry(edition.rule.id.clone()).or_insert(number);
            book.index(number, &edition.rule);
        }
        if !book.expressions.is_empty() {
            book.scope = Some(Scope::new(&book.registry, book.registry.devices()));
        }
        Self { editions, ..book }
    }

    fn index(&mut self, number: usize, rule: &Rule) {
        match &rule.condition {
            Condition::Composite { .. }
            | Condition::Neighbours { .. }
            | Condition::Sequence { .. }
            | Condition::Events { .. } => return,
            Condition::Absence { .. } if rule.selector.metrics.is_empty() => {
                self.silences.push(number);
            }
            Condition::Expression { cel, references, .. } => {
                // One that does not compile was told when the file was read; it judges nothing.
                if let Ok(expression) = Expression::compile(cel, references) {
                    self.expressions.insert(number, expression);
                }
                for Reference { device, metric, .. } in references {
                    let wanted = self.referenced.entry(metric.clone()).or_default();
                    wanted.push((device.clone(), number));
                }
            }
            _ => {}
        }
        for metric in &rule.selector.metrics {
            self.by_metric.entry(metric.clone()).or_default().add(number, rule);
        }
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

    /// Whether any expression names a value beside its reading.
    pub(crate) fn has_references(&self) -> bool {
        !self.referenced.is_empty()
    }

    /// Whether an expression asks for the latest value of a series.
    pub(crate) fn refers_to(&self, device: &DeviceId, metric: &Metric) -> bool {
        let known = || self.registry.device(device);
        self.referenced.get(metric).into_iter().flatten().any(|(of, number)| match of {
            Some(of) => of == device,
            None => selects(&self.editions[*number].rule.selector, device, known()),
        })
    }

    /// The expression of this number, and what to judge it with.
    pub(crate) fn expression(&self, number: usize) -> Option<(&Expression, &Scope)> {
        Some((self.expressions.get(&number)?, self.scope.as_ref()?))
    }

    /// The rule of this id, in the edition now in force.
    pub(crate) fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.by_id.get(id).map(|number| &*self.editions[*number].rule)
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
        Watched { watches, series, ..Watched::default() }
    }

    /// An empty memory of a series: what each rule that is about it will remember.
    pub(crate) fn series(&self, device: &DeviceId, metric: &Metric, now: Timestamp) -> Series {
        let known = self.registry.device(device);
        let mut series = Series::new(metric.clone());
        let Some(interest) = self.by_metric.get(metric) else { return series };
        for number in interest.about(device) {
            let rule = &self.editions[number].rule;
            if !selects(&rule.selector, device, known) {
                continue;
            }
            // Without spare room: most series have one rule, and there may be many series.
            match &rule.condition {
                Condition::Threshold { .. } | Condition::Levels { .. } => {
                    series.tracks.reserve_exact(1);
                    series.tracks.push((number, Track::default()));
                }
                Condition::Absence { .. } => {
                    series.watches.reserve_exact(1);
                    series.watches.push((number, Watch::new(now)));
                }
                condition => {
                    series.general.get_or_insert_default().take(number, condition);
                }
            }
        }
        series
    }

    /// Metrics of a device whose absence is watched, so that one which never comes is missed.
    fn expected(&self, device: &Device) -> Vec<Metric> {
        let is_watched = |metric: &Metric| {
            let interest = self.by_metric.get(metric);
            interest.into_iter().flat_map(|interest| interest.about(&device.id)).any(|number| {
                let rule = &self.editions[number].rule;
                let is_absence = matches!(rule.condition, Condition::Absence { .. });
                is_absence && selects(&rule.selector, &device.id, Some(device))
            })
        };
        device.metrics.iter().map(|spec| &spec.metric).filter(|m| is_watched(m)).cloned().collect()
    }
}

impl General {
    /// Begins to remember for one more rule.
    fn take(&mut self, number: usize, condition: &Condition) {
        let span_ms = match condition {
            Condition::Rate { within_ms, .. } | Condition::Delta { within_ms, .. } => *within_ms,
            Condition::Frozen { for_ms, .. } => *for_ms,
            Condition::Expression { references, .. } if !references.is_empty() => {
                EXPRESSION_SPAN_MS
            }
            Condition::Window { .. } => {
                self.windows.push((number, Panes::default(), Track::default()));
                return;
            }
            _ => 0,
        };
        self.span_ms = self.span_ms.max(span_ms);
        self.gauges.push((number, Track::default()));
    }
}

/// The lengths and the statistic of a window rule.
pub(crate) fn shape(condition: &Condition) -> Option<Shape> {
    let Condition::Window { window_ms, every_ms, statistic, least_count, .. } = *condition else {
        return None;
    };
    Some(Shape { window_ms, every_ms, statistic, least_count })
}
