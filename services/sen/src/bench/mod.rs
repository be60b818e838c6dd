//! `sen bench`: measures the real binary, as a process of its own, under a load made beside it.
//!
//! [`measure`] says what is measured; [`centre`] starts, reads and kills the binary; [`load`] and
//! [`device`] make the load with the bytes of [`packet`] and the numbers of [`values`]; [`apart`] and
//! [`servers`] start the centre as many processes, and [`nats_view`] reads what these tell;
//! [`screen`] watches the live protocol; [`usage`] and [`machine`] read what Linux tells;
//! [`report`] makes one line of JSON (standard output) and a table (standard error) of it.
//!
//! The generator shares the cores with what it measures, so it must cost little: it writes ready
//! packets and counts acknowledgements, and its own CPU stands beside the figures.

mod apart;
mod centre;
mod device;
#[cfg(test)]
mod endpoint;
mod folder;
mod http;
mod load;
mod machine;
mod measure;
mod nats_view;
mod packet;
mod process;
mod report;
mod screen;
mod servers;
mod usage;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sen_chassis::clock::Stopwatch;

use centre::Bench;
use folder::Folder;
use measure::Measurement;
use report::Outcome;

/// Longest one run of one measurement may take: it stops by itself.
const RUN_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What to measure, and where.
#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    what: What,
    /// Folder with the shipped configuration; a copy with one more rule is used.
    #[arg(long, global = true, default_value = "config")]
    config: PathBuf,
    /// Where the data of the measured centres go, on the disk to be measured; removed afterwards.
    #[arg(long, global = true, default_value = "target")]
    scratch: PathBuf,
    /// The binary to measure, if not this one.
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
    /// The NATS server of a centre apart.
    #[arg(long, global = true, default_value = "nats-server")]
    nats_server: PathBuf,
    /// The archive of a centre apart.
    #[arg(long, global = true, default_value = "victoria-metrics")]
    victoria: PathBuf,
    /// Runs of each measurement, each with a new centre; the median is told, and the spread.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
}

#[derive(Subcommand)]
enum What {
    /// Everything, one after the other.
    All,
    #[command(flatten)]
    One(Measurement),
}

/// Measures, prints a line of JSON for each measurement, and fails if anything acknowledged was
/// lost. A missed target is told but is no failure: machines differ.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let folder = Folder::new(&command.scratch)?;
    tell(&machine::describe(folder.path())?)?;
    let bench = Bench {
        binary: command.binary.map_or_else(std::env::current_exe, Ok)?,
        config: folder.configure(&command.config)?,
        folder,
        begun: Stopwatch::start(),
        nats_server: command.nats_server,
        victoria: command.victoria,
    };
    let measurements = wanted(command.what, &bench).await;
    for measurement in &measurements {
        machine::check_open_files(measurement.connections())?;
    }
    let mut faults = Vec::new();
    for measurement in measurements {
        // One that fails takes nothing away from the others.
        let told = match repeat(&measurement, &bench, command.runs).await {
            Ok(outcome) => tell(&outcome).map(|()| outcome.faults()),
            Err(error) => Ok(vec![format!("{error:#}")]),
        };
        faults.extend(told?.into_iter().map(|fault| format!("{measurement:?}: {fault}")));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

/// What is to be measured. Of everything, what needs servers that are not installed is left out.
async fn wanted(what: What, bench: &Bench) -> Vec<Measurement> {
    let mut wanted = match what {
        What::One(one) => return one.each(),
        What::All => Measurement::all(),
    };
    if let Err(why) = servers::are_installed(bench).await {
        eprintln!("measured without the centre apart: {why:#}");
        wanted.retain(|one| !one.is_apart());
    }
    wanted.into_iter().flat_map(Measurement::each).collect()
}

async fn repeat(measurement: &Measurement, bench: &Bench, runs: u8) -> anyhow::Result<Outcome> {
    let mut samples = Vec::with_capacity(usize::from(runs));
    for _ in 0..runs {
        let sample = tokio::time::timeout(RUN_TIMEOUT, measurement.run(bench))
            .await
            .with_context(|| format!("not done in {RUN_TIMEOUT:?}"))
            .and_then(|sample| sample)?;
        samples.push(sample);
    }
    Ok(Outcome::new(measurement.settings(), &samples, measurement.headline()))
}

fn tell(outcome: &Outcome) -> anyhow::Result<()> {
    eprintln!("{}", outcome.table());
    println!("{}", serde_json::to_string(outcome)?);
    Ok(())
}
