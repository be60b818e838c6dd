//! Pure: the figures of a span.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use sen_model::{DeviceId, Field, Metric, RuleId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::episodes::{Alarm, Episode};
use super::flood::{WINDOW_MS, floods};
use super::targets::target;

/// Rules that have a report of their own, those with the most alerts.
pub const MOST_RULES: usize = 100;
/// Alarms that are named, those with the most alerts.
const TOP: usize = 10;
/// As many raises of one alarm within a minute are chatter.
const CHATTER: usize = 3;
/// An alert that was over within this time was fleeting.
const FLEETING_MS: i64 = MINUTE_MS;
/// An alert that has held for longer is stale.
const STALE_MS: i64 = DAY_MS;
/// A span of this length says something, in days.
const ENOUGH_DAYS: i64 = 30;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// From when on.
    pub from: Timestamp,
    /// Until before when; not after `now`.
    pub to: Timestamp,
    /// What is open has been so until now.
    pub now: Timestamp,
    /// Only this desk.
    pub desk: Option<Field>,
    /// Only this rule.
    pub rule: Option<RuleId>,
}

/// Which side of a target is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No more than it.
    AtMost,
    /// No less.
    AtLeast,
}

/// How good a figure ought to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Target {
    /// Which side is good.
    pub bound: Bound,
    /// The number.
    pub value: f64,
    /// The standard it is from.
    #[schema(value_type = String)]
    pub source: &'static str,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Figure {
    /// Its stable name.
    #[schema(value_type = String)]
    pub name: &'static str,
    /// The number; null where there is nothing to make it of.
    pub value: Option<f64>,
    /// `1`, `s`, or `share` (0 to 1).
    #[schema(value_type = String)]
    pub unit: &'static str,
    /// How good it ought to be; null where no standard has a number, and for single rules.
    pub target: Option<Target>,
    /// Whether it is; null without a number or a target.
    pub met: Option<bool>,
}

/// An alarm and how much of the load it makes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Actor {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: RuleId,
    /// The device.
    #[schema(value_type = String)]
    pub device: DeviceId,
    /// The metric; null for a device that is silent altogether.
    #[schema(value_type = Option<String>)]
    pub metric: Option<Metric>,
    /// The level; 0 for a rule without levels.
    pub level: u8,
    /// Alerts shown.
    pub count: u64,
    /// Of all, 0 to 1.
    pub share: f64,
}

/// The figures of all desks, of one, or of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Report {
    /// `all`, the name of a desk, or `rule:` and its id.
    pub of: String,
    /// Alerts shown to operators for the first time in the span: what all figures are made of.
    pub shown: u64,
    /// The same by severity, 1 to 4.
    pub by_severity: [u64; 4],
    /// Raised in the span and never shown.
    pub never_shown: u64,
    /// Raised in the span and at some time shelved.
    pub shelved: u64,
    /// Raised in the span and at some time suppressed.
    pub suppressed: u64,
    /// Raised in the span and at some time out of service.
    pub out_of_service: u64,
    /// Raised in the span during a drill; in no other figure.
    pub drill: u64,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The ten alarms with the most alerts, most first.
    pub top: Vec<Actor>,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Performance {
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Until before when.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// From when on alerts are known: `from`, or the first of all alerts if that came later, or `to`
    /// if none came before. The figures are of the time since then.
    #[schema(value_type = String, format = DateTime)]
    pub covered_from: Timestamp,
    /// Whether the time since then is long enough to judge by: 30 days.
    pub enough: bool,
    /// What was asked for.
    pub total: Report,
    /// Each desk, unless one desk or rule was asked for.
    pub desks: Vec<Report>,
    /// The rules with the most alerts, most first, unless one was asked for.
    pub rules: Vec<Report>,
}

/// The figures of the rows that are asked for; `rows` are all that were raised before the end.
pub fn performance(rows: &[Arc<Episode>], asked: &Asked) -> Performance {
    // Before the first alert nobody looked, as far as is known: such days are not quiet ones.
    let first = rows.iter().map(|row| row.raised_at).min().unwrap_or(asked.to);
    let covered = &Asked { from: first.clamp(asked.from, asked.to), ..asked.clone() };
    let is_asked = |row: &&Episode| {
        asked.desk.is_none_or(|desk| row.field == desk)
            && asked.rule.as_ref().is_none_or(|rule| row.alarm.rule == *rule)
    };
    let rows: Vec<&Episode> = rows.iter().map(Arc::as_ref).filter(is_asked).collect();
    let name = match (&asked.rule, asked.desk) {
        (Some(rule), _) => format!("rule:{rule}"),
        (None, Some(desk)) => desk.as_str().to_owned(),
        (None, None) => "all".to_owned(),
    };
    let (mut desks, mut rules) = (Vec::new(), Vec::new());
    if asked.rule.is_none() {
        if asked.desk.is_none() {
            for (desk, rows) in grouped(&rows, |row| row.field) {
                desks.push(report(desk.as_str().to_owned(), &rows, covered, true));
            }
        }
        for (rule, rows) in grouped(&rows, |row| row.alarm.rule.clone()) {
            rules.push(report(format!("rule:{rule}"), &rows, covered, false));
        }
        rules.retain(|rule: &Report| rule.shown > 0);
        rules.sort_by(|a, b| (b.shown, &a.of).cmp(&(a.shown, &b.of)));
        rules.truncate(MOST_RULES);
    }
    let total = report(name, &rows, covered, asked.rule.is_none());
    let enough = asked.to.since_ms(covered.from) >= ENOUGH_DAYS * DAY_MS;
    let (from, to, covered_from) = (asked.from, asked.to, covered.from);
    Performance { from, to, covered_from, enough, total, desks, rules }
}

fn grouped<'r, K: Ord>(
    rows: &[&'r Episode],
    key: impl Fn(&Episode) -> K,
) -> BTreeMap<K, Vec<&'r Episode>> {
    let mut groups: BTreeMap<K, Vec<&Episode>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

fn report(of: String, all: &[&Episode], asked: &Asked, has_targets: bool) -> Report {
    let in_span = |at: Timestamp| asked.from <= at && at < asked.to;
    let raised: Vec<&Episode> = all.iter().copied().filter(|row| in_span(row.raised_at)).collect();
    let count = |wanted: fn(&Episode) -> bool| {
        raised.iter().filter(|row| !row.drill && wanted(row)).count() as u64
    };
    let mut real: Vec<(Timestamp, &Episode)> =
        all.iter().filter(|row| !row.drill).filter_map(|row| Some((row.shown_at?, *row))).collect();
    real.sort_by_key(|(at, _)| *at);
    let shown: Vec<(Timestamp, &Episode)> =
        real.iter().copied().filter(|(at, _)| in_span(*at)).collect();
    let mut by_severity = [0; 4];
    for (_, row) in &shown {
        by_severity[usize::from(row.severity.level()) - 1] += 1;
    }
    let top = actors(&shown);
    let mut figures = Vec::new();
    rates(&mut figures, &shown, asked);
    nuisances(&mut figures, &real, &shown, asked);
    mix(&mut figures, by_severity, &top);
    times(&mut figures, &shown);
    overload(&mut figures, &real, asked);
    if has_targets {
        figures.iter_mut().for_each(judge);
    }
    Report {
        of,
        shown: shown.len() as u64,
        by_severity,
        never_shown: count(|row| row.shown_at.is_none()),
        shelved: count(|row| row.shelved),
        suppressed: count(|row| row.suppressed),
        out_of_service: count(|row| row.out_of_service),
        drill: raised.iter().filter(|row| row.drill).count() as u64,
        figures,
        top,
    }
}

fn figure(name: &'static str, value: Option<f64>, unit: &'static str) -> Figure {
    Figure { name, value, unit, target: None, met: None }
}

fn judge(figure: &mut Figure) {
    figure.target = target(figure.name);
    figure.met = figure.target.zip(figure.value).map(|(target, value)| match target.bound {
        Bound::AtMost => value <= target.value,
        Bound::AtLeast => value >= target.value,
    });
}

/// How many come, on average and at worst.
fn rates(figures: &mut Vec<Figure>, shown: &[(Timestamp, &Episode)], asked: &Asked) {
    let windows = [
        ("per_10_min_mean", "per_10_min_peak", WINDOW_MS),
        ("per_hour_mean", "per_hour_peak", HOUR_MS),
        ("per_day_mean", "per_day_peak", DAY_MS),
    ];
    for (mean, peak, window) in windows {
        figures.push(figure(mean, of_span(shown.len() as f64 * window as f64, asked), "1"));
        figures.push(figure(peak, Some(busiest(shown, window) as f64), "1"));
    }
}

/// Spread over the span; none where it is empty.
fn of_span(amount: f64, asked: &Asked) -> Option<f64> {
    let span = asked.to.since_ms(asked.from);
    (span > 0).then(|| amount / span as f64)
}

/// Most alerts within any window of this length.
fn busiest(shown: &[(Timestamp, &Episode)], window_ms: i64) -> usize {
    let (mut most, mut oldest) = (0, 0);
    for (newest, (at, _)) in shown.iter().enumerate() {
        while at.since_ms(shown[oldest].0) >= window_ms {
            oldest += 1;
        }
        most = most.max(newest + 1 - oldest);
    }
    most
}

/// What comes too often, too shortly, or never goes.
fn nuisances(
    figures: &mut Vec<Figure>,
    real: &[(Timestamp, &Episode)],
    shown: &[(Timestamp, &Episode)],
    asked: &Asked,
) {
    let mut raises: BTreeMap<&Alarm, Vec<Timestamp>> = BTreeMap::new();
    for (at, row) in shown {
        raises.entry(&row.alarm).or_default().push(*at);
    }
    let chatter: Vec<usize> = raises.values().map(|times| chattering(times)).collect();
    let alarms = chatter.iter().filter(|count| **count > 0).count();
    let is_fleeting = |(at, row): &&(Timestamp, &Episode)| {
        row.cleared_at.is_some_and(|cleared| cleared.since_ms(*at) <= FLEETING_MS)
    };
    figures.push(figure("chattering_alarms", Some(alarms as f64), "1"));
    figures.push(figure("chattering", Some(chatter.iter().sum::<usize>() as f64), "1"));
    figures.push(figure("fleeting", Some(shown.iter().filter(is_fleeting).count() as f64), "1"));
    figures.push(figure("stale", Some(stale(real, asked) as f64), "1"));
}

/// Most alerts that were stale at one time.
fn stale(real: &[(Timestamp, &Episode)], asked: &Asked) -> usize {
    let when = |(at, row): &(Timestamp, &Episode)| {
        let begins = at.plus_ms(STALE_MS).max(asked.from);
        let ends = row.cleared_at.unwrap_or(asked.now).min(asked.to);
        (begins < ends).then_some((begins, ends))
    };
    let (mut begins, mut ends): (Vec<_>, Vec<_>) = real.iter().filter_map(when).unzip();
    begins.sort_unstable();
    ends.sort_unstable();
    let (mut most, mut gone) = (0, 0);
    for (come, at) in begins.iter().enumerate() {
        // Each that is over began before: `gone` never passes `come`.
        gone += ends[gone..].iter().take_while(|end| *end <= at).count();
        most = most.max(come + 1 - gone);
    }
    most
}

/// How many of these raises are one of three within a minute.
fn chattering(times: &[Timestamp]) -> usize {
    let mut within = BTreeSet::new();
    for (first, some) in times.windows(CHATTER).enumerate() {
        if some[CHATTER - 1].since_ms(some[0]) <= MINUTE_MS {
            within.extend(first..first + CHATTER);
        }
    }
    within.len()
}

fn mix(figures: &mut Vec<Figure>, by_severity: [u64; 4], top: &[Actor]) {
    let all: u64 = by_severity.iter().sum();
    let share = |some: u64| (all > 0).then(|| some as f64 / all as f64);
    let [critical, high, medium, low] = by_severity;
    let of_top = top.iter().map(|actor| actor.count).sum();
    figures.push(figure("critical_and_high_share", share(critical + high), "share"));
    figures.push(figure("medium_share", share(medium), "share"));
    figures.push(figure("low_share", share(low), "share"));
    figures.push(figure("top_ten_share", share(of_top), "share"));
}

fn actors(shown: &[(Timestamp, &Episode)]) -> Vec<Actor> {
    let mut counts: BTreeMap<&Alarm, u64> = BTreeMap::new();
    for (_, row) in shown {
        *counts.entry(&row.alarm).or_default() += 1;
    }
    let mut counts: Vec<(&Alarm, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let actor = |(alarm, count): (&Alarm, u64)| Actor {
        rule: alarm.rule.clone(),
        device: alarm.device.clone(),
        metric: alarm.metric.clone(),
        level: alarm.level,
        count,
        share: count as f64 / shown.len() as f64,
    };
    counts.into_iter().take(TOP).map(actor).collect()
}

/// How long it takes until somebody takes an alert, and until it is over.
fn times(figures: &mut Vec<Figure>, shown: &[(Timestamp, &Episode)]) {
    let since = |until: fn(&Episode) -> Option<Timestamp>| {
        let lasted = |(at, row): &(Timestamp, &Episode)| Some(until(row)?.since_ms(*at).max(0));
        let mut all: Vec<i64> = shown.iter().filter_map(lasted).collect();
        all.sort_unstable();
        all
    };
    let seconds = |ms: i64| ms as f64 / SECOND_MS as f64;
    let taken = since(|row| row.acknowledged_at);
    figures.push(figure("acknowledge_median", rank(&taken, 50).map(seconds), "s"));
    figures.push(figure("acknowledge_p90", rank(&taken, 90).map(seconds), "s"));
    let over = since(|row| row.cleared_at);
    figures.push(figure("clear_median", rank(&over, 50).map(seconds), "s"));
    figures.push(figure("clear_p90", rank(&over, 90).map(seconds), "s"));
}

/// The smallest of these, in order, that at least so many percent of them do not exceed.
fn rank(sorted: &[i64], percent: usize) -> Option<i64> {
    let at = (percent * sorted.len()).div_ceil(100);
    sorted.get(at.saturating_sub(1)).copied()
}

fn overload(figures: &mut Vec<Figure>, real: &[(Timestamp, &Episode)], asked: &Asked) {
    let times: Vec<Timestamp> =
        real.iter().map(|(at, _)| *at).take_while(|at| *at < asked.to).collect();
    let within = |(begin, end): (Timestamp, Timestamp)| {
        end.min(asked.to).since_ms(begin.max(asked.from)).max(0)
    };
    let lasted: Vec<i64> = floods(&times, asked.to).into_iter().map(within).collect();
    let lasted: Vec<i64> = lasted.into_iter().filter(|ms| *ms > 0).collect();
    let total = lasted.iter().sum::<i64>();
    figures.push(figure("floods", Some(lasted.len() as f64), "1"));
    figures.push(figure("flood_time", Some(total as f64 / SECOND_MS as f64), "s"));
    figures.push(figure("flood_share", of_span(total as f64, asked), "share"));
}
