//! `sen backtest`: what a set of rules would have raised over the history in the store, beside a
//! centre that may be running.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use sen_alert::backtest::{Backtest, MOST_LISTED};
use sen_alert::rules;
use sen_chassis::Problem;
use sen_model::backtest::{RuleTrial, Trial};
use sen_model::{BacktestReport, Timestamp};

use crate::config::Settings;
use crate::past;

/// Alerts that people are shown; programs get more of them.
const SHOWN: usize = 20;

/// Tell what a set of rules would have raised over stored history, and how that differs from the
/// rules in force.
///
/// Rules about events raise nothing here: events are not in the store.
#[derive(Args)]
pub(crate) struct Command {
    /// Folder with sen.toml, devices.toml, rules.toml and the rest.
    #[arg(long, default_value = "config")]
    config: PathBuf,
    /// Data folder of the centre, which may be running.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// The rules to try: a whole rules.toml.
    #[arg(long)]
    rules: PathBuf,
    /// First time, RFC 3339: 2026-11-23T00:00:00+07:00.
    #[arg(long)]
    from: Timestamp,
    /// First time that is not in it any more.
    #[arg(long)]
    to: Timestamp,
    /// Print the report as JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// A backtest that can begin.
pub(crate) struct Prepared {
    backtest: Backtest,
    json: bool,
}

/// Checks everything first: every mistake at once, or a store that cannot be opened.
pub(crate) fn prepare(command: Command) -> Result<anyhow::Result<Prepared>, Vec<Problem>> {
    let settings = Settings::read(&command.config)?;
    let mut problems = Vec::new();
    if command.from >= command.to {
        let message = format!("{} is not after {}: nothing lies between", command.to, command.from);
        problems.push(Problem::new("--to", message));
    }
    let tried = match std::fs::read_to_string(&command.rules) {
        Ok(text) => rules::parse(&text, &settings.registry),
        Err(error) => {
            let message = format!("cannot read {}: {error}", command.rules.display());
            Err(vec![Problem::new("--rules", message)])
        }
    };
    let tried = tried.map_err(|more| problems.extend(more)).unwrap_or_default();
    if !problems.is_empty() {
        return Err(problems);
    }
    let prepared = past::open(&settings, &command.data).map(|store| Prepared {
        backtest: Backtest {
            store,
            registry: settings.registry,
            tried,
            in_force: settings.rules,
            from: command.from,
            to: command.to,
        },
        json: command.json,
    });
    Ok(prepared)
}

impl Prepared {
    /// Runs it and prints what came of it.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let report = self.backtest.run(|_| ControlFlow::Continue(())).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{}", table(&report)?);
        }
        Ok(())
    }
}

/// The report for people.
fn table(report: &BacktestReport) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let BacktestReport { from, to, readings, series, took_ms, raised, chatter, .. } = report;
    let faster = to.since_ms(*from) as u64 / (*took_ms).max(1);
    writeln!(out, "{from} to {to}")?;
    writeln!(
        out,
        "{readings} readings of {series} series, judged in {:.1} s: {faster} times as fast as they \
         came",
        *took_ms as f64 / 1_000.0
    )?;
    writeln!(out, "{raised} alerts, {chatter} of them chatter (three within a minute)\n")?;
    let width = report.rules.iter().map(|rule| rule.rule.as_str().len()).max().unwrap_or(4).max(4);
    writeln!(
        out,
        "{:width$}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}",
        "rule", "raised", "chatter", "median", "longest", "in force", "added", "removed"
    )?;
    for RuleTrial { rule, raised, chatter, median_ms, longest_ms, in_force, added, removed } in
        &report.rules
    {
        let [median, longest] = [median_ms, longest_ms].map(|ms| ms.map_or("-".into(), lasting));
        let before = in_force.map_or("-".into(), |count| count.to_string());
        writeln!(
            out,
            "{:width$}  {raised:>8}  {chatter:>8}  {median:>8}  {longest:>8}  {before:>8}  \
             {added:>8}  {removed:>8}",
            rule.as_str()
        )?;
    }
    list(&mut out, report)?;
    Ok(out)
}

/// The first alerts, one a line.
fn list(out: &mut String, report: &BacktestReport) -> std::fmt::Result {
    if report.trials.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for trial in report.trials.iter().take(SHOWN) {
        let Trial { rule, severity, device, metric, started_at, ended_at, chatter, .. } = trial;
        let metric = metric.as_ref().map_or(String::new(), |metric| format!("/{metric}"));
        let lasted = ended_at.map_or("still holds".to_owned(), |ended_at| {
            format!("for {}", lasting(ended_at.since_ms(*started_at)))
        });
        let chatter = if *chatter { ", chatter" } else { "" };
        writeln!(
            out,
            "{started_at}  {}  {rule}  {device}{metric}  {lasted}{chatter}",
            severity.level()
        )?;
    }
    if report.raised > SHOWN as u64 {
        let more = report.raised - SHOWN as u64;
        writeln!(out, "… and {more} more; --json lists the first {MOST_LISTED}")?;
    }
    Ok(())
}

/// A duration as people read it: `30 s`, `5.5 min`, `2.3 h`, `1.2 d`.
fn lasting(ms: i64) -> String {
    let seconds = ms as f64 / 1_000.0;
    let (value, unit) = match seconds {
        small if small < 60.0 => (small, "s"),
        small if small < 3_600.0 => (small / 60.0, "min"),
        small if small < 86_400.0 => (small / 3_600.0, "h"),
        large => (large / 86_400.0, "d"),
    };
    let text = format!("{value:.1}");
    format!("{} {unit}", text.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_people_read() {
        let shown = [0, 500, 30_000, 330_000, 8_280_000, 100_000_000].map(lasting);
        assert_eq!(shown, ["0 s", "0.5 s", "30 s", "5.5 min", "2.3 h", "1.2 d"]);
    }
}
