//! How many times as fast as life a backtest is: `cargo run --release -p sen-alert --example
//! backtest [SERIES] [HOURS]`, by default 1,000 series at ten seconds over 24 hours, judged by ten
//! rules beside ten rules in force. Fewer than a hundred times is a failure.

use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

use sen_alert::backtest::Backtest;
use sen_model::condition::Scope;
use sen_model::time::{DAY_MS, HOUR_MS};
use sen_model::{
    Bound, Condition, DeviceId, Field, Limit, Metric, Quality, Registry, Rule, RuleId, Selector,
    Severity, Text, Timestamp,
};
use sen_store::{Checkpoint, Config, Point, SeriesId, Store, Summary};

/// 2026-11-01T00:00:00Z.
const BEGIN_MS: i64 = 20_758 * DAY_MS;
const INTERVAL_MS: i64 = 10_000;
/// The least factor that is good enough.
const TARGET: i64 = 100;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let series: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let hours: i64 = arguments.next().map_or(Ok(24), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().to_owned(), Config::default())?;
    let metric = Metric::new("level_m")?;
    let ids: Vec<SeriesId> = (0..series)
        .map(|n| Ok(store.series_id(&DeviceId::new(format!("station-{n}"))?, &metric)?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    for hour in 0..hours {
        fill(&store, &ids, BEGIN_MS + hour * HOUR_MS).await?;
    }
    store.seal().await?;
    let backtest = Backtest {
        store,
        registry: Arc::new(Registry::default()),
        tried: rules(&metric, 0.0)?,
        in_force: rules(&metric, 0.05)?,
        from: Timestamp::from_millis(BEGIN_MS),
        to: Timestamp::from_millis(BEGIN_MS + hours * HOUR_MS),
    };
    let report = backtest.run(|_| ControlFlow::Continue(())).await?;
    let took_ms = i64::try_from(report.took_ms)?.max(1);
    let factor = hours * HOUR_MS / took_ms;
    println!(
        "{} readings of {} series in {took_ms} ms: {factor} times as fast as life; {} alerts, {} \
         of them chatter",
        report.readings, report.series, report.raised, report.chatter
    );
    Ok(if factor >= TARGET { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An hour of a tide with some noise, each station at its own phase.
async fn fill(store: &Store, ids: &[SeriesId], begin_ms: i64) -> Result<(), Box<dyn Error>> {
    let mut points = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        for step in 0..HOUR_MS / INTERVAL_MS {
            let time = begin_ms + step * INTERVAL_MS + (n as i64 * 7) % INTERVAL_MS;
            let phase = time as f64 / (12.4 * HOUR_MS as f64) + n as f64 / ids.len() as f64;
            let noise = ((time / 10) % 97) as f64 / 970.0;
            let value = (phase * std::f64::consts::TAU).sin() + noise;
            let (event_time, quality) = (Timestamp::from_millis(time), Quality::Good);
            let point = Point { event_time, sequence: 0, value, quality, received_at: event_time };
            points.push((*id, point));
        }
    }
    store.write(&mut points).await?;
    let checkpoint = Checkpoint { epoch: "e".into(), next: 1 };
    store.commit(Vec::<(SeriesId, Summary)>::new(), checkpoint).await?;
    Ok(())
}

/// Eight limits, a silence, and a group of them.
fn rules(metric: &Metric, higher: f64) -> Result<Vec<Rule>, Box<dyn Error>> {
    let rule = |id: String, metrics: Vec<Metric>, condition| -> Result<Rule, Box<dyn Error>> {
        let selector = Selector { metrics, ..Selector::default() };
        let name = Text::new("Mực nước cao", "High water");
        let id = RuleId::new(id)?;
        Ok(Rule::new(id, name, Field::Environment, Severity::HIGH, selector, condition))
    };
    let mut rules = Vec::new();
    for n in 0..8_i64 {
        let bound = Bound::AtLeast(0.5 + n as f64 / 10.0 + higher);
        let clear = Some(bound.limit() - 0.2);
        let limit = Limit { bound, clear, for_ms: n * 30_000, clear_for_ms: 30_000 };
        let condition = Condition::Threshold { limit };
        rules.push(rule(format!("level-{n}"), vec![metric.clone()], condition)?);
    }
    let missing = Condition::Absence { missing_ms: 120_000 };
    rules.push(rule("silent".into(), Vec::new(), missing)?);
    let of = vec![RuleId::new("level-6")?];
    let many = Condition::Composite { of, least: 20, scope: Scope::Province, for_ms: 60_000 };
    rules.push(rule("many".into(), Vec::new(), many)?);
    Ok(rules)
}
