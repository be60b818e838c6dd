//! The roles as processes over NATS, and then the same load on one process with the same archive: what
//! each part costs, and how far the rest is behind the acknowledgements.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;

use super::super::apart::{Role, Stand, metrics};
use super::super::centre::{Bench, accepted_of, totals};
use super::super::load::{self, Fleet, Pace, Span, Tally};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::super::servers::Victoria;
use super::super::usage;
use super::within;

/// Not counted of a load as fast as it is acknowledged.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often it is looked at who has come how far.
const LOOK: Duration = Duration::from_millis(50);
/// What has not moved for this long will not move any more.
const STANDSTILL: Duration = Duration::from_secs(20);
/// How long the roles may take to share the work.
const SHARING: Duration = Duration::from_secs(60);
/// The names of the fleets; each has an ingest of its own.
const FLEETS: [&str; 4] = ["bencha", "benchb", "benchc", "benchd"];
/// Metrics of an aggregate: readings in its store, and in the archive.
const STORED: [&str; 2] = ["sen_aggregate_readings_total", "sen_archive_readings_total"];
/// The roles, and their figures: CPU and memory.
const ROLES: [(&str, &str, &str); 5] = [
    ("ingest", "ingest_cpu_s_per_million", "ingest_peak_rss_mb"),
    ("aggregate", "aggregate_cpu_s_per_million", "aggregate_peak_rss_mb"),
    ("alert", "alert_cpu_s_per_million", "alert_peak_rss_mb"),
    ("notify", "notify_cpu_s_per_million", "notify_peak_rss_mb"),
    ("gateway", "gateway_cpu_s_per_million", "gateway_peak_rss_mb"),
];

/// What is started, and the load.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub(in super::super) struct Settings {
    #[command(flatten)]
    pub(super) load: Load,
    /// NATS servers: 1, or 3 that keep every record together.
    #[arg(long, default_value_t = 1, value_parser = within(1..=3))]
    servers: u64,
    /// Partitions of the readings.
    #[arg(long, default_value_t = 4, value_parser = within(1..=64))]
    partitions: u64,
    /// Processes that take readings in; the connections are shared between them.
    #[arg(long, default_value_t = 1, value_parser = within(1..=4))]
    ingests: u64,
    /// Processes that store and summarise.
    #[arg(long, default_value_t = 1, value_parser = within(1..=16))]
    aggregates: u64,
}

/// The load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(super) struct Load {
    /// MQTT connections.
    #[arg(long, default_value_t = 100, value_parser = within(super::CONNECTIONS))]
    pub(super) connections: u64,
    /// Packets of a connection that wait for their PUBACK, if it is as fast as that.
    #[arg(long, default_value_t = 100, value_parser = within(1..=10_000))]
    window: u64,
    /// Readings a second, whether or not the earlier ones are acknowledged; 0 = as fast as they are.
    #[arg(long, default_value_t = 0, value_parser = within(0..=1_000_000))]
    rate: u64,
    /// How long acknowledgements are counted.
    #[arg(long, default_value_t = 10, value_parser = within(super::SECONDS))]
    seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let load = Load { connections: 100, window: 100, rate: 0, seconds: 10 };
        Self { load, servers: 1, partitions: 4, ingests: 1, aggregates: 1 }
    }
}

impl Settings {
    /// As they stand in the line of JSON.
    pub(super) fn numbers(&self) -> Vec<(&'static str, u64)> {
        let Load { connections, window, rate, seconds } = self.load;
        let load = [("connections", connections), ("window", window), ("rate", rate)];
        let centre = [
            ("servers", self.servers),
            ("partitions", self.partitions),
            ("ingests", self.ingests),
            ("aggregates", self.aggregates),
        ];
        load.into_iter().chain([("seconds", seconds)]).chain(centre).collect()
    }

    /// The roles, as many of each as wanted.
    fn roles(&self) -> Vec<&'static str> {
        let count = |role| match role {
            "ingest" => self.ingests,
            "aggregate" => self.aggregates,
            _ => 1,
        };
        let each = ROLES.into_iter().map(|(role, ..)| (role, count(role)));
        each.flat_map(|(role, count)| (0..count).map(move |_| role)).collect()
    }
}

/// Apart, then in one process.
pub(super) async fn apart(bench: &Bench, settings: &Settings) -> anyhow::Result<Sample> {
    ensure!(settings.servers != 2, "one NATS server or three: two cannot outvote each other");
    let (apart, apart_figures) = apart_alone(bench, settings).await?;
    let (one, one_figures) = one_process(bench, &settings.load).await?;
    let ratios = Sample::default()
        .typical("apart_of_one_readings", apart.per_s / one.per_s)
        .typical("apart_of_one_cpu", apart.cpu_s_per_million / one.cpu_s_per_million);
    Ok(apart_figures.and(one_figures).and(ratios))
}

/// What the two are compared by: with NATS, without the archive, which costs both the same.
struct Compared {
    per_s: f64,
    cpu_s_per_million: f64,
}

async fn apart_alone(bench: &Bench, settings: &Settings) -> anyhow::Result<(Compared, Sample)> {
    let stand = Stand::start(bench, settings.servers, settings.partitions).await?;
    let roles = stand.roles(bench, &settings.roles()).await?;
    let of = |name| roles.iter().filter(move |role| role.name == name);
    let gateway = of("gateway").next().context("a gateway")?.http()?;
    let aggregates: Vec<SocketAddr> = of("aggregate").map(Role::admin).collect::<Result<_, _>>()?;
    let endpoints: Vec<SocketAddr> = of("ingest").map(Role::mqtt).collect::<Result<_, _>>()?;
    let place = Place { gateway, aggregates };
    place.at_work().await?;

    let (used, traffic) = (cpu_of(&stand, &roles)?, stand.nats.traffic().await?);
    let written = stand.nats.written()?;
    let loaded = settings.load.run(bench, &endpoints).await?;
    let settled = place.settle(loaded.tally.acknowledged).await?;
    let millions = loaded.tally.acknowledged as f64 / 1e6;
    let cost: Vec<f64> = std::iter::zip(cpu_of(&stand, &roles)?, used)
        .map(|(after, before)| (after - before) / millions)
        .collect();
    let traffic = stand.nats.traffic().await? - traffic;
    let written = (stand.nats.written()? - written) as f64;
    let kept = stand.nats.kept("sen-readings").await?;

    let readings = loaded.tally.acknowledged as f64;
    let all: f64 = cost.iter().sum();
    let victoria = cost.last().copied().unwrap_or_default();
    let mut figures = loaded.figures(&LOADED).and(settled.figures(&SETTLED));
    figures = figures.typical("cpu_s_per_million", all - victoria);
    for ((_, cpu, memory), (name, cost)) in
        ROLES.iter().zip(ROLES.iter().map(|(name, ..)| *name).zip(&cost))
    {
        figures = figures.typical(cpu, *cost).worst(memory, peak_rss_mb(of(name))?);
    }
    figures = figures
        .typical("nats_cpu_s_per_million", cost[ROLES.len()])
        .worst("nats_peak_rss_mb", stand.nats.peak_rss_mb()?)
        .typical("archive_cpu_s_per_million", victoria)
        .typical("readings_per_message", readings / kept.messages as f64)
        .typical("log_bytes_per_reading", kept.bytes as f64 / readings)
        .typical("nats_received_bytes_per_reading", traffic.received as f64 / readings)
        .typical("nats_sent_bytes_per_reading", traffic.sent as f64 / readings)
        .typical("nats_replicated_bytes_per_reading", traffic.sent_to_servers as f64 / readings)
        .typical("nats_disk_bytes_per_reading", written / readings)
        .typical("nats_syncs_before_acknowledging", f64::from(u8::from(stand.nats.syncs)))
        .and(place.faults(loaded.tally.acknowledged, &settled, &LOST).await?);
    for role in roles {
        role.process.kill().await?;
    }
    stand.end()?;
    Ok((Compared { per_s: loaded.per_s(), cpu_s_per_million: all - victoria }, figures))
}

async fn one_process(bench: &Bench, load: &Load) -> anyhow::Result<(Compared, Sample)> {
    let folder = bench.folder.fresh("one")?;
    let victoria = Victoria::start(bench, &folder).await?;
    let archive = [("SEN__STORE__ARCHIVE", victoria.location())];
    let centre = bench.start_with(&folder.join("data"), &archive).await?;
    centre.ready().await?;
    let place = Place { gateway: centre.http, aggregates: vec![centre.http] };
    place.at_work().await?;

    let (used, archive_used) = (centre.usage()?.cpu_s, victoria.process().usage()?.cpu_s);
    let loaded = load.run(bench, &[centre.mqtt]).await?;
    let settled = place.settle(loaded.tally.acknowledged).await?;
    let millions = loaded.tally.acknowledged as f64 / 1e6;
    let (after, archive_after) = (centre.usage()?, victoria.process().usage()?.cpu_s);
    let cpu_s_per_million = (after.cpu_s - used) / millions;
    let figures = loaded
        .figures(&ONE_LOADED)
        .and(settled.figures(&ONE_SETTLED))
        .typical("one_cpu_s_per_million", cpu_s_per_million)
        .typical("one_archive_cpu_s_per_million", (archive_after - archive_used) / millions)
        .worst("one_peak_rss_mb", after.peak_rss_mb)
        .and(place.faults(loaded.tally.acknowledged, &settled, &ONE_LOST).await?);
    centre.kill().await?;
    drop(victoria);
    std::fs::remove_dir_all(&folder).context("the data of the one process")?;
    Ok((Compared { per_s: loaded.per_s(), cpu_s_per_million }, figures))
}

/// CPU seconds so far: of the roles in the order of [`ROLES`], of NATS, of the archive.
fn cpu_of(stand: &Stand, roles: &[Role]) -> anyhow::Result<Vec<f64>> {
    let mut used = Vec::with_capacity(ROLES.len() + 2);
    for (name, ..) in ROLES {
        let of_role = roles.iter().filter(|role| role.name == name);
        used.push(
            of_role.map(|role| Ok(role.process.usage()?.cpu_s)).sum::<anyhow::Result<f64>>()?,
        );
    }
    used.extend([stand.nats.cpu_s()?, stand.victoria.process().usage()?.cpu_s]);
    Ok(used)
}

fn peak_rss_mb<'a>(roles: impl Iterator<Item = &'a Role>) -> anyhow::Result<f64> {
    let each = roles.map(|role| Ok(role.process.usage()?.peak_rss_mb));
    Ok(each.collect::<anyhow::Result<Vec<f64>>>()?.into_iter().fold(0.0, f64::max))
}

/// The names of the figures of a load.
type LoadNames = (&'static str, [&'static str; 3], &'static str);
const LOADED: LoadNames =
    ("readings_per_s", ["ack_p50_ms", "ack_p99_ms", "ack_max_ms"], "generator_cpu_s_per_million");
const ONE_LOADED: LoadNames = (
    "one_readings_per_s",
    ["one_ack_p50_ms", "one_ack_p99_ms", "one_ack_max_ms"],
    "one_generator_cpu_s_per_million",
);

/// What the load came to.
struct Loaded {
    tally: Tally,
    measured_s: f64,
    own_cpu_s: f64,
}

impl Loaded {
    fn per_s(&self) -> f64 {
        self.tally.counted as f64 / self.measured_s
    }

    fn figures(&self, (rate, latency, own): &LoadNames) -> Sample {
        Sample::default()
            .typical(rate, self.per_s())
            .latency(*latency, &self.tally.latency_us)
            .typical(own, self.own_cpu_s / (self.tally.acknowledged as f64 / 1e6))
    }
}

impl Load {
    async fn run(&self, bench: &Bench, endpoints: &[SocketAddr]) -> anyhow::Result<Loaded> {
        let mut senders = Vec::new();
        let each = usize::try_from(self.connections)?.div_ceil(endpoints.len());
        for (name, endpoint) in FLEETS.into_iter().zip(endpoints) {
            let fleet = Fleet { name, ..Fleet::plain(each, Qos::AtLeastOnce) };
            senders.extend(fleet.connect(*endpoint, bench.begun).await?);
        }
        let own = || usage::of(std::process::id()).map(|usage| usage.cpu_s);
        let (own_before, begun) = (own()?, Stopwatch::start());
        let measured = Duration::from_secs(self.seconds);
        let (tally, measured_s) = if self.rate == 0 {
            let span = Span { warm_up: WARM_UP, measured };
            let window = usize::try_from(self.window)?;
            (load::saturate(senders, window, span, u64::MAX).await?, measured.as_secs_f64())
        } else {
            let pace = Pace { per_s: self.rate as f64, lasts: measured, alerts: None };
            (load::pace(senders, &pace).await?, begun.elapsed().as_secs_f64())
        };
        Ok(Loaded { tally, measured_s, own_cpu_s: own()? - own_before })
    }
}

/// Where it is seen how far everybody has come.
struct Place {
    gateway: SocketAddr,
    aggregates: Vec<SocketAddr>,
}

/// How many readings have come how far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Come {
    /// Judged by the rules; apart it is told once a second.
    judged: u64,
    /// In the store that the screens are served from.
    served: u64,
    /// In the stores of the aggregates.
    stored: u64,
    /// In the archive.
    archived: u64,
}

impl Come {
    fn each(&self) -> [u64; 4] {
        [self.judged, self.served, self.stored, self.archived]
    }
}

const SETTLED: [&str; 4] = ["judged_s", "served_s", "stored_s", "archived_s"];
const ONE_SETTLED: [&str; 4] = ["one_judged_s", "one_served_s", "one_stored_s", "one_archived_s"];
/// What must be 0: of the log, then in the order of [`Come::each`].
const LOST: [&str; 5] =
    ["acknowledged_but_lost", "not_judged", "not_served", "not_stored", "not_archived"];
const ONE_LOST: [&str; 5] = [
    "one_acknowledged_but_lost",
    "one_not_judged",
    "one_not_served",
    "one_not_stored",
    "one_not_archived",
];

/// How long each took after the last acknowledgement, and what they had come to.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    after_s: [f64; 4],
    come: Come,
}

impl Settled {
    fn figures(&self, names: &[&'static str; 4]) -> Sample {
        let each = names.iter().zip(self.after_s);
        each.fold(Sample::default(), |sample, (name, seconds)| sample.typical(name, seconds))
    }
}

impl Place {
    async fn look(&self) -> anyhow::Result<Come> {
        let sums = totals(self.gateway).await?;
        let mut come = Come { judged: sums.evaluated, served: sums.stored, ..Come::default() };
        for admin in &self.aggregates {
            let [stored, archived] = metrics(*admin, STORED).await?;
            come.stored += stored as u64;
            come.archived += archived as u64;
        }
        Ok(come)
    }

    /// Waits until what the centre says of itself each second goes all the way.
    async fn at_work(&self) -> anyhow::Result<()> {
        let begun = Stopwatch::start();
        loop {
            let come = self.look().await?;
            if come.each().iter().all(|readings| *readings > 0) {
                return Ok(());
            }
            ensure!(begun.elapsed() < SHARING, "not all are at work: {come:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every reading has come all the way, or until nothing moves any more.
    async fn settle(&self, readings: u64) -> anyhow::Result<Settled> {
        let (begun, mut moved) = (Stopwatch::start(), Stopwatch::start());
        let mut settled = Settled::default();
        loop {
            let come = self.look().await?;
            let elapsed_s = begun.elapsed().as_secs_f64();
            for (at, (now, before)) in std::iter::zip(come.each(), settled.come.each()).enumerate()
            {
                if now != before && before < readings {
                    (settled.after_s[at], moved) = (elapsed_s, Stopwatch::start());
                }
            }
            settled.come = come;
            let all = come.each().iter().all(|come| *come >= readings);
            if all || moved.elapsed() > STANDSTILL {
                return Ok(settled);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is missing of what was acknowledged.
    async fn faults(
        &self,
        acknowledged: u64,
        settled: &Settled,
        names: &[&'static str; 5],
    ) -> anyhow::Result<Sample> {
        // The gateway counts what it has heard for itself: last of all when there is much to do.
        let waiting = Stopwatch::start();
        let accepted = loop {
            let accepted = accepted_of(self.gateway, &FLEETS).await?;
            if accepted >= acknowledged || waiting.elapsed() > STANDSTILL {
                break accepted;
            }
            tokio::time::sleep(LOOK).await;
        };
        let come = std::iter::once(accepted).chain(settled.come.each());
        Ok(names.iter().zip(come).fold(Sample::default(), |sample, (name, come)| {
            sample.fault(name, acknowledged.saturating_sub(come))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_of_each_role_as_wanted() {
        let settings = Settings { ingests: 2, aggregates: 3, ..Settings::default() };
        let roles = settings.roles();
        let count = |name: &str| roles.iter().filter(|role| **role == name).count();
        assert_eq!(ROLES.map(|(name, ..)| count(name)), [2, 3, 1, 1, 1]);
    }

    #[test]
    fn every_setting_stands_in_the_line() {
        let numbers = Settings::default().numbers();
        assert_eq!(numbers.len(), 8);
        assert!(numbers.contains(&("partitions", 4)) && numbers.contains(&("seconds", 10)));
    }

    #[test]
    fn figures_of_the_two_have_different_names() {
        let names: std::collections::BTreeSet<&str> =
            SETTLED.into_iter().chain(ONE_SETTLED).chain(LOST).chain(ONE_LOST).collect();
        assert_eq!(names.len(), 18);
    }
}
