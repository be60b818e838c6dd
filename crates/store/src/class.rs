//! How long what is kept: in general, and for metrics of a class of their own. Pure: settings only.

use std::collections::BTreeSet;

use sen_model::{Metric, Tier};
use serde::Deserialize;

use crate::Config;
use crate::config::GUARD_DAYS;

/// How long some metrics are kept, where that differs from the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// What people call it.
    pub name: String,
    /// Its metrics.
    pub metrics: Vec<String>,
    /// Days that raw readings are kept; absent: as all others.
    pub raw_days: Option<u32>,
    /// ... that summaries of a minute are kept.
    pub minute_days: Option<u32>,
    /// ... of a quarter of an hour.
    pub quarter_days: Option<u32>,
    /// ... of an hour.
    pub hour_days: Option<u32>,
    /// ... of a day.
    pub day_days: Option<u32>,
}

/// Days for which raw readings and each tier are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ages {
    pub(crate) raw: u32,
    pub(crate) tiers: [u32; Tier::ALL.len()],
}

/// The keys of [`Ages`], from the finest.
const KEYS: [&str; 5] = ["raw_days", "minute_days", "quarter_days", "hour_days", "day_days"];

impl Ages {
    /// Of what is in no class.
    fn general(config: &Config) -> Self {
        Self { raw: config.raw_days, tiers: Tier::ALL.map(|tier| config.days_of(tier)) }
    }

    fn of_class(config: &Config, class: &Class) -> Self {
        let Self { raw, tiers: [minute, quarter, hour, day] } = Self::general(config);
        Self {
            raw: class.raw_days.unwrap_or(raw),
            tiers: [
                class.minute_days.unwrap_or(minute),
                class.quarter_days.unwrap_or(quarter),
                class.hour_days.unwrap_or(hour),
                class.day_days.unwrap_or(day),
            ],
        }
    }

    /// Of a metric.
    pub(crate) fn of(config: &Config, metric: &Metric) -> Self {
        let class = config
            .class
            .iter()
            .find(|class| class.metrics.iter().any(|name| name == metric.as_str()));
        class.map_or_else(|| Self::general(config), |class| Self::of_class(config, class))
    }

    fn all(config: &Config) -> impl Iterator<Item = Self> {
        let classes = config.class.iter().map(|class| Self::of_class(config, class));
        std::iter::once(Self::general(config)).chain(classes)
    }

    /// The longest that anything is kept.
    pub(crate) fn longest(config: &Config) -> Self {
        let longer = |a: Self, b: Self| Self {
            raw: a.raw.max(b.raw),
            tiers: std::array::from_fn(|tier| a.tiers[tier].max(b.tiers[tier])),
        };
        Self::all(config).fold(Self::general(config), longer)
    }

    /// The fewest days that raw readings of any metric are kept.
    pub(crate) fn least_raw(config: &Config) -> u32 {
        Self::all(config).map(|ages| ages.raw).min().unwrap_or(config.raw_days)
    }

    /// Every mistake: key and what is wrong with it.
    pub(crate) fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.raw <= GUARD_DAYS {
            let message = format!(
                "{} days are too few: readings are taken up to {GUARD_DAYS} days late, and their \
                 windows are recomputed from raw",
                self.raw
            );
            problems.push((KEYS[0], message));
        }
        let days: Vec<u32> = std::iter::once(self.raw).chain(self.tiers).collect();
        for (at, pair) in days.windows(2).enumerate() {
            if pair[1] < pair[0] {
                let (finer, least) = (KEYS[at], pair[0]);
                let message = format!("must be at least `store.{finer}` ({least})");
                problems.push((KEYS[at + 1], message));
            }
        }
        problems
    }
}

/// Every mistake in the ages, general and by class.
pub(crate) fn check(config: &Config) -> Vec<(&'static str, String)> {
    let general = Ages::general(config).check();
    let mut problems = general.clone();
    let (mut names, mut metrics) = (BTreeSet::new(), BTreeSet::new());
    for class in &config.class {
        let name = &class.name;
        let mut say = |what: String| problems.push(("class", format!("`{name}`: {what}")));
        if name.is_empty() || !names.insert(name) {
            say("each class needs a name of its own".to_owned());
        }
        if class.metrics.is_empty() {
            say("it has no `metrics`".to_owned());
        }
        for metric in &class.metrics {
            if Metric::new(metric.as_str()).is_err() {
                say(format!("`{metric}` is no name of a metric"));
            } else if !metrics.insert(metric) {
                say(format!("`{metric}` is in a class already"));
            }
        }
        let ages = Ages::of_class(config, class).check();
        for (key, message) in ages.into_iter().filter(|problem| !general.contains(problem)) {
            say(format!("{key}: {message}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, metrics: &[&str]) -> Class {
        let metrics = metrics.iter().map(|metric| (*metric).to_owned()).collect();
        Class { name: name.to_owned(), metrics, ..Class::default() }
    }

    #[test]
    fn a_class_overrides_what_it_names() {
        let long = Class { raw_days: Some(90), ..class("levels", &["water_level_m"]) };
        let short = Class { minute_days: Some(40), ..class("noise", &["heartbeat"]) };
        let config = Config { class: vec![long, short], ..Config::default() };
        assert_eq!(config.check(), []);
        let of = |metric: &str| Ages::of(&config, &Metric::new(metric).unwrap());
        assert_eq!((of("water_level_m").raw, of("heartbeat").raw, of("ph").raw), (90, 32, 32));
        assert_eq!((of("heartbeat").tiers[0], of("ph").tiers[0]), (40, 92));
        assert_eq!((Ages::longest(&config).raw, Ages::least_raw(&config)), (90, 32));
        assert_eq!(Ages::longest(&config).tiers, Ages::general(&config).tiers);
    }

    #[test]
    fn every_mistake_in_a_class_is_told() {
        let cases = [
            (class("", &["a"]), "needs a name"),
            (class("b", &[]), "has no `metrics`"),
            (class("c", &["a b/c"]), "is no name of a metric"),
            (class("d", &["x", "x"]), "is in a class already"),
            (Class { raw_days: Some(30), ..class("e", &["y"]) }, "raw_days: 30 days are too few"),
            (Class { raw_days: Some(93), ..class("f", &["z"]) }, "minute_days: must be at least"),
        ];
        for (class, told) in cases {
            let config = Config { class: vec![class], ..Config::default() };
            let problems = config.check();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].0 == "class" && problems[0].1.contains(told), "{problems:?}");
        }
        let twice = vec![class("one", &["a"]), class("one", &["a"])];
        assert_eq!(Config { class: twice, ..Config::default() }.check().len(), 2);
    }
}
