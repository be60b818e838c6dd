//! The command line: which roles to run, and how each command ends.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sen_chassis::Problem;
use sen_model::Timestamp;
use sen_store::Span;

use crate::apart::Refused;
use crate::backtest;
use crate::backup;
use crate::bench;
use crate::config::Settings;
use crate::copy;
use crate::export;
use crate::shared_config;
use crate::wiring::{self, Role};

/// `sysexits.h` EX_CONFIG: a person must mend the configuration; a supervisor must not retry.
const EXIT_CONFIG: u8 = 78;

/// The streaming heart of a smart operations centre.
#[derive(Parser)]
#[command(name = "sen", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole centre in one process.
    Run {
        #[command(flatten)]
        place: Place,
        /// Run a simulated province beside it, publishing over MQTT like any device.
        #[arg(long)]
        simulate: bool,
        /// Play a drill: flood, salinity, smog, jam, outage or storm-of-alarms.
        #[arg(long, requires = "simulate")]
        scenario: Option<String>,
    },
    /// Run only the service that takes readings in. (The embedded log belongs to one process:
    /// services that run apart need a folder each until they share a log over the network.)
    Ingest(Place),
    /// Run only the service that stores and summarises.
    Aggregate(Place),
    /// Run only the service that judges.
    Alert(Place),
    /// Run only the service that tells people and sirens.
    Notify(Place),
    /// Run only the service that serves the screens.
    Gateway(Place),
    /// Run only the simulated province, against any MQTT broker.
    Simulate {
        #[command(flatten)]
        place: Place,
        /// Where to publish: host and port.
        #[arg(long, default_value = "127.0.0.1:1883")]
        broker: String,
        /// Play a drill: flood, salinity, smog, jam, outage or storm-of-alarms.
        #[arg(long)]
        scenario: Option<String>,
    },
    /// Tell every mistake in the configuration, and exit with 78 if there is one.
    Check(Place),
    /// Work on the configuration that all processes share.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a process whether it is ready: exit 0 if it is, 1 if not.
    Health {
        /// Such as http://127.0.0.1:9464/readyz.
        url: String,
    },
    /// Work on the store.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Copy a whole centre, data and configuration, into another folder while it runs.
    Backup {
        #[command(flatten)]
        place: Place,
        /// A new or empty folder.
        #[arg(long)]
        to: PathBuf,
    },
    /// Make the data folder of a centre from a backup, after checking all of it.
    Restore {
        /// The backup's folder.
        #[arg(long)]
        from: PathBuf,
        /// A new or empty folder for the log and the store.
        #[arg(long, default_value = "data")]
        data: PathBuf,
        /// A new or empty folder for the configuration, if that is to be restored too.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Write readings or summaries to a file, while the centre may be running.
    Export(export::Command),
    /// Tell what a set of rules would have raised over stored history.
    Backtest(backtest::Command),
    /// Measure this binary under load.
    Bench(bench::Command),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Give a folder without a mistake to the cluster named in it (cluster.nats): processes that
    /// were started with `--config nats:` take it from there, its rules at once.
    Push(Place),
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Send what the store holds to the archive (`store.archive`), also beside a running centre.
    /// To send it again changes nothing.
    Copy {
        #[command(flatten)]
        place: Place,
        /// From this instant on, RFC 3339; from the beginning if not given.
        #[arg(long)]
        from: Option<Timestamp>,
        /// Before this instant, RFC 3339; to the end if not given.
        #[arg(long)]
        to: Option<Timestamp>,
    },
}

/// Where the configuration and the data are.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// Folder with sen.toml, devices.toml, rules.toml and the rest; `nats:` = what was given to the
    /// cluster that SEN__CLUSTER__NATS names.
    #[arg(long, default_value = "config")]
    pub(crate) config: PathBuf,
    /// Folder for the log and the store.
    #[arg(long, default_value = "data")]
    pub(crate) data: PathBuf,
    /// Print the chosen addresses as the first line on standard output, as JSON.
    #[arg(long)]
    pub(crate) print_addresses: bool,
}

/// The first address of a host and a port.
fn address(text: &str) -> Result<std::net::SocketAddr, Problem> {
    let found = std::net::ToSocketAddrs::to_socket_addrs(text);
    let problem = |why: String| Problem::new("--broker", format!("`{text}`: {why}"));
    let first = found.map_err(|error| problem(error.to_string()))?.next();
    first.ok_or_else(|| problem("no such host".to_owned()))
}

/// Runs the command; the error's chain of causes is printed here, once.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Bench(command) => finish(block_on(bench::run(command))),
        Command::Backup { place, to } => {
            // Every segment of the log is held open.
            let _ = raise_open_files(0);
            finish(backup::back_up(&place, &to))
        }
        Command::Restore { from, data, config } => {
            finish(backup::restore(&from, &data, config.as_deref()))
        }
        Command::Check(place) => check(&place),
        Command::Config(ConfigCommand::Push(place)) => match read(&place) {
            Ok(settings) => finish(block_on(async { shared_config::push(&settings).await })),
            Err(ended) => ended,
        },
        Command::Health { url } => finish(health(&url)),
        Command::Export(command) => match export::prepare(command) {
            Ok(prepared) => finish(block_on(async { prepared?.run().await })),
            Err(problems) => refuse(&problems),
        },
        Command::Backtest(command) => match backtest::prepare(command) {
            Ok(prepared) => finish(block_on(async { prepared?.run().await })),
            Err(problems) => refuse(&problems),
        },
        Command::Run { place, simulate, scenario } => {
            let simulator = if simulate { &[Role::Simulator][..] } else { &[] };
            start(&place, &[&Role::SERVICES, simulator].concat(), None, scenario)
        }
        Command::Store(StoreCommand::Copy { place, from, to }) => {
            let all = Span::ALL;
            let span = Span { from: from.unwrap_or(all.from), to: to.unwrap_or(all.to) };
            copy_store(&place, span)
        }
        Command::Ingest(place) => start(&place, &[Role::Ingest], None, None),
        Command::Aggregate(place) => start(&place, &[Role::Aggregate], None, None),
        Command::Alert(place) => start(&place, &[Role::Alert], None, None),
        Command::Notify(place) => start(&place, &[Role::Notify], None, None),
        Command::Gateway(place) => start(&place, &[Role::Gateway], None, None),
        Command::Simulate { place, broker, scenario } => {
            start(&place, &[Role::Simulator], Some(&broker), scenario)
        }
    }
}

/// Reads the configuration, taking it from the cluster first if it is there.
fn read(place: &Place) -> Result<Settings, ExitCode> {
    let folder = shared_config::folder(place);
    if shared_config::is_shared(place) {
        let config = shared_config::whereabouts().map_err(|problems| refuse(&problems))?;
        let pulled = block_on(async { shared_config::pull(&config, &folder).await });
        pulled.map_err(|error| finish(Err(error)))?;
    }
    Settings::read(&folder).map_err(|problems| refuse(&problems))
}

/// How long a process may take to say whether it is ready.
const HEALTH_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

fn health(url: &str) -> anyhow::Result<()> {
    let config = ureq::Agent::config_builder().timeout_global(Some(HEALTH_WITHIN));
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    let mut answer = agent.get(url).call()?;
    let told = answer.body_mut().read_to_string()?;
    println!("{told}");
    anyhow::ensure!(answer.status().is_success(), "not ready");
    Ok(())
}

fn check(place: &Place) -> ExitCode {
    match read(place) {
        Ok(settings) => {
            let devices = settings.registry.devices().count();
            println!(
                "{}: no mistakes ({devices} devices, {} places, {} rules)",
                place.config.display(),
                settings.registry.places().len(),
                settings.rules.len()
            );
            ExitCode::SUCCESS
        }
        Err(ended) => ended,
    }
}

fn start(
    place: &Place,
    roles: &[Role],
    broker: Option<&str>,
    scenario: Option<String>,
) -> ExitCode {
    let mut settings = match read(place) {
        Ok(settings) => settings,
        Err(ended) => return ended,
    };
    if let Some(name) = scenario {
        match name.parse() {
            Ok(scenario) => settings.simulator.scenario = Some(scenario),
            Err(error) => return refuse(&[Problem::new("--scenario", format!("{error}"))]),
        }
    }
    let broker = match broker.map(address).transpose() {
        Ok(broker) => broker,
        Err(problem) => return refuse(&[problem]),
    };
    let enough = raise_open_files(settings.ingest.max_connections as u64);
    if let Err(problem) = enough {
        eprintln!("warning: {problem}");
    }
    finish(block_on(wiring::run(settings, place, roles, broker)))
}

fn copy_store(place: &Place, span: Span) -> ExitCode {
    let settings = match Settings::read(&place.config) {
        Ok(settings) => settings,
        Err(problems) => return refuse(&problems),
    };
    let Some(archive) = settings.archive else {
        let advice = "names no archive to copy to: set it, as config/sen.toml shows";
        return refuse(&[Problem::new("store.archive", advice)]);
    };
    finish(block_on(async {
        let archive = sen_archive::Archive::new(archive)?;
        let store = sen_store::Store::open_to_read(place.data.join("store"), settings.store)?;
        let now = Timestamp::from_millis(sen_chassis::Clock::system().now_ms());
        copy::run(archive, store, span, now).await
    }))
}

/// Files that are open beside the devices' connections: segments, the store, screens.
const OTHER_FILES: u64 = 2_048;

/// Raises the soft limit of open files, which is 1,024 on most systems, to the hard one, and tells
/// if that is not enough for the connections that are allowed.
fn raise_open_files(connections: u64) -> Result<(), Problem> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let open = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    match open {
        Some(open) if open < connections + OTHER_FILES => {
            let advice = format!(
                "{connections} connections may need more than the {open} open files allowed: raise \
                 the limit (ulimit -n, LimitNOFILE=) or lower it here"
            );
            Err(Problem::new("ingest.max_connections", advice))
        }
        _ => Ok(()),
    }
}

fn refuse(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    eprintln!("{} to mend; nothing was done", plural(problems.len()));
    ExitCode::from(EXIT_CONFIG)
}

fn plural(count: usize) -> String {
    if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Refused>() => {
            eprintln!("{error}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(error) => {
            eprintln!("sen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
