//! Pure: from the transitions of a backtest to its report.

use std::collections::{BTreeMap, HashMap, HashSet};

use sen_model::backtest::{RuleTrial, Trial};
use sen_model::{AlertId, BacktestReport, Registry, RuleId, Standing, Timestamp};

use crate::desk::chattering;
use crate::transition::{Subject, Transition};

/// Episodes a report lists, at most; all of them are counted.
pub const MOST_LISTED: usize = 1_000;
/// Episodes one backtest may find; beyond it the rules are too noisy to be compared.
pub(super) const MOST_EPISODES: usize = 200_000;

/// The episodes of one set of rules.
#[derive(Default)]
pub(super) struct Episodes {
    /// In the order in which they were raised.
    all: Vec<Episode>,
    open: HashMap<AlertId, usize>,
}

struct Episode {
    trial: Trial,
    raised_at: Timestamp,
    level: u8,
}

/// What is the same episode under another edition of its rule.
type Same<'a> = (&'a RuleId, &'a str, &'a str, u8, Timestamp);

impl Episode {
    /// The rule and series.
    fn series(&self) -> (&RuleId, &str, &str, u8) {
        let Trial { rule, device, metric, .. } = &self.trial;
        let metric = metric.as_ref().map_or("", |metric| metric.as_str());
        (rule, device.as_str(), metric, self.level)
    }

    fn same(&self) -> Same<'_> {
        let (rule, device, metric, level) = self.series();
        (rule, device, metric, level, self.trial.started_at)
    }
}

impl Episodes {
    /// Takes in what was found; of what was raised before `from` nothing is kept.
    pub(super) fn take(&mut self, found: Vec<Transition>, from: Timestamp, registry: &Registry) {
        for transition in found {
            match transition {
                Transition::Raise { subject, started_at, event_time, .. }
                    if event_time >= from && is_told(&subject) =>
                {
                    let trial = trial(&subject, started_at, registry);
                    let place = self.all.len();
                    if self.open.insert(trial.id.clone(), place).is_none() {
                        let level = subject.edition.level;
                        self.all.push(Episode { trial, raised_at: event_time, level });
                    }
                }
                Transition::Clear { subject, started_at, ceased_at, .. } => {
                    let place = self.open.remove(&subject.episode(started_at));
                    if let Some(episode) = place.and_then(|place| self.all.get_mut(place)) {
                        episode.trial.ended_at = Some(ceased_at);
                    }
                }
                Transition::Raise { .. } | Transition::Join { .. } => {}
            }
        }
    }

    /// Whether there are more than can be compared.
    pub(super) fn are_too_many(&self) -> bool {
        self.all.len() > MOST_EPISODES
    }

    /// Marks those that belong to a chatter.
    fn mark_chatter(&mut self) {
        let mut raises: BTreeMap<_, Vec<(Timestamp, usize)>> = BTreeMap::new();
        for (place, episode) in self.all.iter().enumerate() {
            let (rule, device, metric, level) = episode.series();
            let series = (rule.clone(), device.to_owned(), metric.to_owned(), level);
            raises.entry(series).or_default().push((episode.raised_at, place));
        }
        for mut raises in raises.into_values() {
            raises.sort_unstable();
            for few in chattering(&raises, |(at, _)| *at) {
                raises[few].iter().for_each(|(_, place)| self.all[*place].trial.chatter = true);
            }
        }
    }
}

/// What alerts are raised by: not what only groups look at.
fn is_told(subject: &Subject) -> bool {
    subject.edition.rule.standing != Standing::Part
}

fn trial(subject: &Subject, started_at: Timestamp, registry: &Registry) -> Trial {
    let area = || registry.device(&subject.device).map(|device| device.area.clone());
    Trial {
        id: subject.episode(started_at),
        rule: subject.edition.rule.id.clone(),
        severity: subject.edition.severity,
        device: subject.device.clone(),
        metric: subject.metric.clone(),
        area: subject.area.clone().or_else(area),
        started_at,
        ended_at: None,
        chatter: false,
    }
}

/// What one rule of the tried set, or of the set in force, came to.
#[derive(Default)]
struct Share<'a> {
    tried: Vec<&'a Episode>,
    in_force: Option<Vec<&'a Episode>>,
}

/// The report: what the tried rules raised beside those in force. `rules` are the ids of both sets.
pub(super) fn report(
    mut tried: Episodes,
    mut in_force: Episodes,
    rules: (&[RuleId], &[RuleId]),
    frame: BacktestReport,
) -> BacktestReport {
    tried.mark_chatter();
    in_force.mark_chatter();
    let mut shares: BTreeMap<&RuleId, Share<'_>> = BTreeMap::new();
    for id in rules.0 {
        shares.entry(id).or_default();
    }
    for id in rules.1 {
        shares.entry(id).or_default().in_force = Some(Vec::new());
    }
    for episode in &tried.all {
        shares.entry(&episode.trial.rule).or_default().tried.push(episode);
    }
    for episode in &in_force.all {
        let share = shares.entry(&episode.trial.rule).or_default();
        share.in_force.get_or_insert_default().push(episode);
    }
    let mut rules: Vec<RuleTrial> = shares.iter().map(|(id, share)| share.told(id)).collect();
    rules.sort_by(|a, b| (b.raised, &a.rule).cmp(&(a.raised, &b.rule)));
    let raised = tried.all.len() as u64;
    let chatter = tried.all.iter().filter(|episode| episode.trial.chatter).count() as u64;
    let mut trials: Vec<Trial> = tried.all.into_iter().map(|episode| episode.trial).collect();
    trials.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
    trials.truncate(MOST_LISTED);
    BacktestReport { trials, raised, chatter, rules, ..frame }
}

impl Share<'_> {
    fn told(&self, rule: &RuleId) -> RuleTrial {
        let ended =
            |episode: &&Episode| Some(episode.trial.ended_at?.since_ms(episode.trial.started_at));
        let mut lasted: Vec<i64> = self.tried.iter().filter_map(ended).collect();
        lasted.sort_unstable();
        let same = |episodes: &[&Episode]| -> HashSet<(String, String, u8, Timestamp)> {
            let key = |episode: &&Episode| {
                let (_, device, metric, level, started_at) = episode.same();
                (device.to_owned(), metric.to_owned(), level, started_at)
            };
            episodes.iter().map(key).collect()
        };
        let tried = same(&self.tried);
        let in_force = self.in_force.as_deref().map(same);
        let none = HashSet::new();
        let before = in_force.as_ref().unwrap_or(&none);
        RuleTrial {
            rule: rule.clone(),
            raised: self.tried.len() as u64,
            chatter: self.tried.iter().filter(|episode| episode.trial.chatter).count() as u64,
            median_ms: lasted.get(lasted.len().saturating_sub(1) / 2).copied(),
            longest_ms: lasted.last().copied(),
            in_force: self.in_force.as_ref().map(|episodes| episodes.len() as u64),
            added: tried.difference(before).count() as u64,
            removed: before.difference(&tried).count() as u64,
        }
    }
}
