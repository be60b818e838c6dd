//! The alert service dies at each step of writing: before and after the bytes, before the disk has
//! them, between two files, before its checkpoint takes the place of the last. Each death is one of
//! a process of its own, at a step chosen beforehand; in the end its alerts are the oracle's.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use sen_tests::chance::Chance;
use sen_tests::judging::{
    Judging, Setting, episodes, must_agree, packet, parsed, reports_of, section, shipped,
    shipped_registry,
};
use sen_tests::oracle::Oracle;
use sen_tests::oracle::alerts::of_readings;
use sen_tests::process::Process;
use sen_tests::trial::alert_log_in;

use crate::{GAUGE, LEVEL};

/// Where it may die: a step of the log for one of its topics.
const STEPS: [&str; 5] = [
    "log::write::alerts",
    "log::sync::alerts",
    "log::segment::alerts",
    "log::cursor_rename::readings",
    "log::read::readings",
];
/// Which times it comes to such a step.
const DEATHS: [u32; 4] = [1, 2, 3, 4];
/// Readings: more than the service judges in a few steps.
const READINGS: i64 = 6_000;
const BEGIN_MS: i64 = 1_795_366_800_000;
const STEP_MS: i64 = 60_000;

/// What the child is told.
const FOLDER: &str = "SEN_TESTS_FOLDER";
const STEP: &str = "SEN_TESTS_STEP";
const TIMES: &str = "SEN_TESTS_TIMES";

fn setting() -> Setting {
    let registry = shipped_registry();
    let config = section(&[("checkpoint_interval_ms", 1), ("tick_ms", 1)]);
    Setting { rules: shipped("rules.toml"), registry: registry.into(), now_ms: BEGIN_MS, config }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_service_dies_its_alerts_are_the_oracles() -> anyhow::Result<()> {
    let mut chance = Chance::of(2);
    let mut level = 1.2;
    let mut packets = Vec::new();
    for n in 0..READINGS {
        level = (level + chance.share() - 0.5_f64).clamp(0.4, 2.4);
        let value = (level * 1e3).round() / 1e3;
        let report = sen_tests::ledger::reading(GAUGE, LEVEL, BEGIN_MS + n * STEP_MS, value);
        packets.push(packet(&report.series.device.clone(), report.time_ms, &[report]));
    }
    let registry = shipped_registry();
    let mut rules = parsed(&shipped("rules.toml"), &registry);
    rules.retain(|rule| rule.selector.metrics.iter().any(|metric| metric.as_str() == LEVEL));
    let told = Oracle::of(reports_of(&packets));
    let expected = of_readings(&rules, &registry, &told, i64::MIN);
    ensure!(expected.len() > 50, "{} episodes prove little", expected.len());
    let mut deaths = 0;
    for step in STEPS {
        let folder = tempfile::tempdir()?;
        Judging::prepare(folder.path(), &setting(), &packets).await?;
        for times in DEATHS {
            deaths += u32::from(!child(folder.path().to_owned(), step, times)?);
        }
        ensure!(child(folder.path().to_owned(), step, u32::MAX)?, "it dies without being told to");
        let mut records = alert_log_in(folder.path()).await?;
        records.retain(|record| record.metric.is_some());
        must_agree(&episodes(&records)?, &expected).with_context(|| format!("dying at {step}"))?;
    }
    ensure!(deaths >= 12, "it died {deaths} times only");
    println!("{deaths} deaths at {} steps, {} episodes each", STEPS.len(), expected.len());
    Ok(())
}

/// Runs the service in a process of its own; tells whether it came to the end.
fn child(folder: PathBuf, step: &str, times: u32) -> anyhow::Result<bool> {
    let mut process = Process::start(
        Command::new(std::env::current_exe()?)
            .args(["crash_points::judges_what_is_there", "--exact", "--ignored", "--quiet"])
            .env(FOLDER, folder)
            .env(STEP, step)
            .env(TIMES, times.to_string())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null()),
    )?;
    Ok(process.wait()?.success())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the story above runs it in a process of its own"]
async fn judges_what_is_there() -> anyhow::Result<()> {
    let told = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let folder = PathBuf::from(told(FOLDER).context("the story says where")?);
    let step = told(STEP).context("the story says at which step")?;
    let times: u32 = told(TIMES).context("the story says when")?.parse()?;
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let die = move || {
        if COUNT.fetch_add(1, Ordering::Relaxed) == times {
            std::process::abort();
        }
    };
    fail::cfg_callback(step, die).map_err(anyhow::Error::msg)?;
    let mut judging = Judging::on(&folder, setting())?;
    judging.judged().await?;
    judging.finish().await?;
    Ok(())
}
