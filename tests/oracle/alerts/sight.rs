//! What a rule sees of a series: a number at an event time, and what it thinks of it. Pure: values
//! only.

use sen_model::condition::Statistic;
use sen_model::{Condition, Limit, Quality, Rule};

use super::schedule::is_judged;
use super::walk::{Sight, Verdict, verdict};
use crate::oracle::{Answer, Report};

/// Windows begin at whole multiples of their step on a clock in Vietnam.
const VIETNAM_MS: i64 = 7 * 3_600_000;

/// Everything a rule sees in the reports of one series, each once and in order of time.
pub(super) fn sights(rule: &Rule, limit: &Limit, reports: &[Report], looked_ms: i64) -> Vec<Sight> {
    let good: Vec<&Report> =
        reports.iter().filter(|report| report.quality == Quality::Good).collect();
    let numbers = match rule.condition {
        Condition::Threshold { .. } | Condition::Levels { .. } => {
            good.iter().map(|report| (report.time_ms, Some(report.value))).collect()
        }
        Condition::Rate { per_ms, within_ms, .. } => {
            let rate = |(change, elapsed_ms): (f64, i64)| {
                (elapsed_ms > 0).then(|| change * per_ms as f64 / elapsed_ms as f64)
            };
            every(&good, |index| changed(&good, index, within_ms).and_then(rate))
        }
        Condition::Delta { within_ms, .. } => {
            every(&good, |index| changed(&good, index, within_ms).map(|(change, _)| change))
        }
        Condition::Frozen { tolerance, for_ms } => return frozen(rule, &good, tolerance, for_ms),
        Condition::Window { window_ms, every_ms, statistic, least_count, .. } => {
            let window = Window { window_ms, every_ms, statistic, least_count };
            windows(&good, &window, looked_ms)
        }
        ref other => panic!("the oracle has no answer for {other:?}"),
    };
    let seen = numbers.into_iter().filter_map(|(time_ms, number)| Some((time_ms, number?)));
    seen.map(|(time_ms, number)| at(rule, time_ms, verdict(number, limit))).collect()
}

fn at(rule: &Rule, time_ms: i64, verdict: Verdict) -> Sight {
    let rests = rule.when.as_ref().is_some_and(|when| !is_judged(when, time_ms));
    Sight { time_ms, verdict: if rests { Verdict::Resting } else { verdict } }
}

type Numbers = Vec<(i64, Option<f64>)>;

fn every(good: &[&Report], number: impl Fn(usize) -> Option<f64>) -> Numbers {
    (0..good.len()).map(|index| (good[index].time_ms, number(index))).collect()
}

/// The change since the oldest report within reach and the time between; none if there is none.
fn changed(good: &[&Report], index: usize, within_ms: i64) -> Option<(f64, i64)> {
    let now = good[index];
    let in_reach = |report: &&&Report| now.time_ms.saturating_sub(report.time_ms) <= within_ms;
    let oldest = good[..index].iter().rev().take_while(in_reach).last()?;
    Some((now.value - oldest.value, now.time_ms.saturating_sub(oldest.time_ms)))
}

/// A value stands still when all reports of the last `for_ms` say the same, and so does the one
/// that was in force when that time began.
fn frozen(rule: &Rule, good: &[&Report], tolerance: f64, for_ms: i64) -> Vec<Sight> {
    let look = |index: usize| {
        let now = good[index];
        let from_ms = now.time_ms.saturating_sub(for_ms);
        let first = good[..=index].iter().rposition(|report| report.time_ms < from_ms);
        let within = first.map_or(0, |before| before + 1);
        let begins_sharp = good[within].time_ms == from_ms;
        let span = &good[if begins_sharp { within } else { first.unwrap_or(0) }..=index];
        let least = span.iter().map(|report| report.value).fold(f64::INFINITY, f64::min);
        let most = span.iter().map(|report| report.value).fold(f64::NEG_INFINITY, f64::max);
        let is_still = most - least <= tolerance;
        let verdict = match (is_still, begins_sharp || first.is_some()) {
            (true, true) => Verdict::Wrong,
            (true, false) => Verdict::Undecided,
            (false, _) => Verdict::Right,
        };
        at(rule, now.time_ms, verdict)
    };
    (0..good.len()).map(look).collect()
}

struct Window {
    window_ms: i64,
    every_ms: i64,
    statistic: Statistic,
    least_count: u64,
}

/// Every window that holds a report and is over: by a report that was measured since, or by the
/// clock.
fn windows(good: &[&Report], window: &Window, looked_ms: i64) -> Numbers {
    let (Some(first), Some(newest)) = (good.first(), good.last()) else { return Vec::new() };
    let every_ms = window.every_ms;
    let floor = |time_ms: i64| time_ms - (time_ms + VIETNAM_MS).rem_euclid(every_ms);
    let mut numbers = Vec::new();
    let mut end_ms = floor(first.time_ms) + every_ms;
    let last_ms = floor(newest.time_ms.max(looked_ms)).min(newest.time_ms + window.window_ms);
    while end_ms <= last_ms {
        let span = end_ms - window.window_ms..end_ms;
        let (from, until) = (
            good.partition_point(|report| report.time_ms < span.start),
            good.partition_point(|report| report.time_ms < span.end),
        );
        let reports = &good[from..until];
        if !reports.is_empty() && reports.len() as u64 >= window.least_count {
            numbers.push((end_ms, statistic_of(window.statistic, &Answer::of(reports))));
        }
        end_ms += every_ms;
    }
    numbers
}

fn statistic_of(statistic: Statistic, answer: &Answer) -> Option<f64> {
    let sum = answer.sum_micro as f64 / 1e6;
    match statistic {
        Statistic::Count => Some(answer.good_count as f64),
        Statistic::Sum => Some(sum),
        Statistic::Mean => Some(sum / answer.good_count as f64),
        Statistic::Min => answer.min(),
        Statistic::Max => answer.max(),
        Statistic::Range => Some(answer.max()? - answer.min()?),
        Statistic::Deviation => answer.variance().map(f64::sqrt),
        Statistic::First => answer.ends.map(|(first, _)| first.value),
        Statistic::Last => answer.ends.map(|(_, last)| last.value),
        Statistic::P50 => answer.sketched_quantile(0.5),
        Statistic::P90 => answer.sketched_quantile(0.9),
        Statistic::P95 => answer.sketched_quantile(0.95),
        Statistic::P99 => answer.sketched_quantile(0.99),
    }
}
