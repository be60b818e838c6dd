//! What can be measured: the settings and the target of each measurement, and one run of it.

mod alerts;
mod apart;
mod partitions;
mod recovery;
mod series;
mod start;
mod steady;
mod store;
mod throughput;

use std::ops::RangeInclusive;

use anyhow::bail;
use clap::Subcommand;
use clap::builder::TypedValueParser;
use serde_json::Value;

use super::centre::Bench;
use super::report::{Headline, Limit, Sample};

/// Bounds of what may be asked for: every measurement stops by itself.
const CONNECTIONS: RangeInclusive<u64> = 1..=20_000;
const SECONDS: RangeInclusive<u64> = 3..=600;
const RATES: RangeInclusive<u64> = 1..=1_000_000;
const READINGS: RangeInclusive<u64> = 1_000..=100_000_000;

/// One measurement with its settings.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(super) enum Measurement {
    /// Acknowledged readings a second: every connection keeps its window of QoS 1 packets full.
    Qos1 {
        /// MQTT connections.
        #[arg(long, default_value_t = 100, value_parser = within(CONNECTIONS))]
        connections: u64,
        /// Packets of a connection that wait for their PUBACK.
        #[arg(long, default_value_t = 100, value_parser = within(1..=10_000))]
        window: u64,
        /// How long acknowledgements are counted, after a warm-up.
        #[arg(long, default_value_t = 10, value_parser = within(SECONDS))]
        seconds: u64,
    },
    /// Readings a second at QoS 0, counted when they are in the log.
    Qos0 {
        /// MQTT connections.
        #[arg(long, default_value_t = 1_000, value_parser = within(CONNECTIONS))]
        connections: u64,
        /// Readings of all connections together.
        #[arg(long, default_value_t = 1_000_000, value_parser = within(READINGS))]
        readings: u64,
    },
    /// CPU seconds of the centre for a million readings at a steady rate, with one screen.
    Cpu {
        /// Readings a second, QoS 1.
        #[arg(long, default_value_t = 2_000, value_parser = within(RATES))]
        rate: u64,
        /// For how long.
        #[arg(long, default_value_t = 30, value_parser = within(SECONDS))]
        seconds: u64,
    },
    /// From the publishing of a reading to its alert on a screen, while other readings flow.
    Latency {
        /// Other readings a second, QoS 1.
        #[arg(long, default_value_t = 1_000, value_parser = within(RATES))]
        rate: u64,
        /// Alert records a second: raised and cleared in turn.
        #[arg(long, default_value_t = 50, value_parser = within(1..=1_000))]
        alerts: u64,
        /// For how long.
        #[arg(long, default_value_t = 20, value_parser = within(SECONDS))]
        seconds: u64,
    },
    /// The same with many screens: frames a second, CPU and memory.
    Screens {
        /// WebSocket connections.
        #[arg(long, default_value_t = 200, value_parser = within(CONNECTIONS))]
        screens: u64,
        /// Other readings a second, QoS 1.
        #[arg(long, default_value_t = 1_000, value_parser = within(RATES))]
        rate: u64,
        /// Alert records a second: raised and cleared in turn.
        #[arg(long, default_value_t = 50, value_parser = within(1..=1_000))]
        alerts: u64,
        /// For how long.
        #[arg(long, default_value_t = 20, value_parser = within(SECONDS))]
        seconds: u64,
    },
    /// A storm of alerts before many screens; then the memory that open alerts take.
    Alerts {
        /// WebSocket connections.
        #[arg(long, default_value_t = 50, value_parser = within(CONNECTIONS))]
        screens: u64,
        /// Alerts of the storm.
        #[arg(long, default_value_t = 1_000, value_parser = within(100..=20_000))]
        alerts: u64,
        /// How long it lasts.
        #[arg(long, default_value_t = 10, value_parser = within(SECONDS))]
        seconds: u64,
        /// Alerts on the list afterwards.
        #[arg(long, default_value_t = 10_000, value_parser = within(100..=20_000))]
        active: u64,
    },
    /// Memory of the centre with this many live series, after some readings of each.
    Series {
        /// Live series, in devices of 100 each.
        #[arg(long, default_value_t = 100_000, value_parser = within(100..=1_000_000))]
        count: u64,
    },
    /// From exec to the first alert on a screen, with nothing on disk.
    Start,
    /// The store alone: points a second and a core with a durable commit every 100 ms, commits while
    /// sealing, queries; the same points in VictoriaMetrics and InfluxDB if they are installed.
    Store {
        /// Series.
        #[arg(long, default_value_t = 10_000, value_parser = within(1_000..=1_000_000))]
        series: u64,
        /// Points of each.
        #[arg(long, default_value_t = 400, value_parser = within(1..=100_000))]
        ticks: u64,
    },
    /// The store alone: bytes on disk for a reading of the simulated province.
    Province {
        /// Simulated days.
        #[arg(long, default_value_t = 1, value_parser = within(1..=100))]
        days: u64,
        /// 1: heard over mobile networks, whose delays do not compress; 0: as `sen run --simulate`.
        #[arg(long, default_value_t = 1, value_parser = within(0..=1))]
        mobile: u64,
    },
    /// The store alone: how long it takes to open with this many points.
    Open {
        /// Points, of 10,000 series.
        #[arg(long, default_value_t = 100_000_000, value_parser = within(READINGS))]
        points: u64,
    },
    /// `kill -9` with a full log, and what the next start takes and finds.
    Recovery {
        /// Readings in the log.
        #[arg(long, default_value_t = 1_000_000, value_parser = within(READINGS))]
        readings: u64,
    },
    /// The roles as processes over NATS, and the same load on one process: readings a second, and the
    /// CPU of each part.
    Apart(apart::Settings),
    /// How fast readings that wait in the log are stored, by partitions; then one alert and one
    /// gateway by themselves.
    Partitions(partitions::Settings),
    /// One line of that.
    #[command(skip)]
    Partition(partitions::Shape),
}

impl Measurement {
    /// Every measurement, as `make bench` runs them.
    pub(super) fn all() -> Vec<Self> {
        vec![
            Self::Qos1 { connections: 100, window: 100, seconds: 10 },
            Self::Qos0 { connections: 1_000, readings: 1_000_000 },
            Self::Qos0 { connections: 8, readings: 1_000_000 },
            Self::Cpu { rate: 2_000, seconds: 30 },
            Self::Latency { rate: 1_000, alerts: 50, seconds: 20 },
            Self::Screens { screens: 200, rate: 1_000, alerts: 50, seconds: 20 },
            Self::Alerts { screens: 50, alerts: 1_000, seconds: 10, active: 10_000 },
            Self::Series { count: 10_000 },
            Self::Series { count: 100_000 },
            Self::Start,
            Self::Recovery { readings: 1_000_000 },
            Self::Store { series: 10_000, ticks: 400 },
            Self::Province { days: 1, mobile: 0 },
            Self::Province { days: 1, mobile: 1 },
            Self::Open { points: 100_000_000 },
            Self::Apart(apart::Settings::default()),
            Self::Partitions(partitions::Settings::default()),
        ]
    }

    /// The lines it is told in.
    pub(super) fn each(self) -> Vec<Self> {
        match self {
            Self::Partitions(settings) => {
                settings.each().into_iter().map(Self::Partition).collect()
            }
            one => vec![one],
        }
    }

    /// Whether it needs the servers of a centre apart.
    pub(super) fn is_apart(&self) -> bool {
        matches!(self, Self::Apart(_) | Self::Partitions(_) | Self::Partition(_))
    }

    /// Its name and settings, as they stand in the line of JSON.
    pub(super) fn settings(&self) -> Vec<(&'static str, Value)> {
        let (name, numbers): (&str, Vec<(&'static str, u64)>) = match self.clone() {
            Self::Qos1 { connections, window, seconds } => (
                "qos1",
                vec![("connections", connections), ("window", window), ("seconds", seconds)],
            ),
            Self::Qos0 { connections, readings } => {
                ("qos0", vec![("connections", connections), ("readings", readings)])
            }
            Self::Cpu { rate, seconds } => ("cpu", vec![("rate", rate), ("seconds", seconds)]),
            Self::Latency { rate, alerts, seconds } => {
                ("latency", vec![("rate", rate), ("alerts", alerts), ("seconds", seconds)])
            }
            Self::Screens { screens, rate, alerts, seconds } => {
                let load = vec![("rate", rate), ("alerts", alerts), ("seconds", seconds)];
                ("screens", [vec![("screens", screens)], load].concat())
            }
            Self::Alerts { screens, alerts, seconds, active } => {
                let storm = vec![("screens", screens), ("alerts", alerts), ("seconds", seconds)];
                ("alerts", [storm, vec![("active", active)]].concat())
            }
            Self::Series { count } => ("series", vec![("count", count)]),
            Self::Start => ("start", Vec::new()),
            Self::Recovery { readings } => ("recovery", vec![("readings", readings)]),
            Self::Store { series, ticks } => ("store", vec![("series", series), ("ticks", ticks)]),
            Self::Province { days, mobile } => {
                ("province", vec![("days", days), ("mobile", mobile)])
            }
            Self::Open { points } => ("open", vec![("points", points)]),
            Self::Apart(settings) => ("apart", settings.numbers()),
            Self::Partitions(_) => ("partitions", Vec::new()),
            Self::Partition(shape) => ("partitions", shape.numbers()),
        };
        let numbers = numbers.into_iter().map(|(name, number)| (name, number.into()));
        std::iter::once(("bench", name.into())).chain(numbers).collect()
    }

    /// Its figure, and what that should reach on two cores with the generator beside it; the target
    /// holds only for the settings it was set for.
    pub(super) fn headline(&self) -> Headline {
        let (figure, target) = match self {
            Self::Qos1 { .. } => ("readings_per_s", Some(Limit::AtLeast(15_000.0))),
            Self::Qos0 { .. } => ("readings_per_s", Some(Limit::AtLeast(60_000.0))),
            Self::Cpu { .. } => ("cpu_s_per_million", Some(Limit::AtMost(60.0))),
            Self::Latency { .. } => ("alert_p99_ms", Some(Limit::AtMost(10.0))),
            Self::Screens { .. } | Self::Alerts { .. } => {
                ("alert_p99_ms", Some(Limit::AtMost(1_000.0)))
            }
            Self::Series { count: 100_000 } => ("rss_mb", Some(Limit::AtMost(150.0))),
            Self::Series { .. } => ("rss_mb", None),
            Self::Start => ("first_alert_ms", Some(Limit::AtMost(300.0))),
            Self::Recovery { .. } => ("caught_up_ms", None),
            Self::Store { .. } => ("points_per_s_core", Some(Limit::AtLeast(200_000.0))),
            Self::Province { .. } => ("bytes_per_point", Some(Limit::AtMost(2.0))),
            Self::Open { .. } => ("open_ms", Some(Limit::AtMost(1_000.0))),
            Self::Apart(_) => ("readings_per_s", None),
            Self::Partitions(_) | Self::Partition(_) => ("archived_per_s", None),
        };
        Headline { figure, target: target.filter(|_| Self::all().contains(self)) }
    }

    /// Connections it makes, which the limit of open files must allow.
    pub(super) fn connections(&self) -> u64 {
        match self.clone() {
            Self::Qos1 { connections, .. } | Self::Qos0 { connections, .. } => connections,
            Self::Screens { screens, alerts, .. } => steady::connections(alerts) + screens,
            Self::Latency { alerts, .. } => steady::connections(alerts) + 1,
            Self::Alerts { screens, alerts, active, .. } => {
                screens + alerts::devices(alerts) + alerts::devices(active)
            }
            Self::Cpu { .. } => steady::DEVICES,
            Self::Series { count } => count / series::METRICS_OF_A_DEVICE,
            Self::Start => 2,
            Self::Recovery { .. } => recovery::DEVICES,
            Self::Store { .. } | Self::Province { .. } | Self::Open { .. } => 0,
            Self::Apart(settings) => settings.load.connections,
            Self::Partitions(_) | Self::Partition(_) => partitions::DEVICES,
        }
    }

    /// One run.
    pub(super) async fn run(&self, bench: &Bench) -> anyhow::Result<Sample> {
        match self.clone() {
            Self::Qos1 { connections, window, seconds } => {
                throughput::qos1(bench, connections, window, seconds).await
            }
            Self::Qos0 { connections, readings } => {
                throughput::qos0(bench, connections, readings).await
            }
            Self::Cpu { rate, seconds } => steady::cpu(bench, rate, seconds).await,
            Self::Latency { rate, alerts, seconds } => {
                steady::alerts(bench, 1, rate, alerts, seconds).await
            }
            Self::Screens { screens, rate, alerts, seconds } => {
                steady::alerts(bench, screens, rate, alerts, seconds).await
            }
            Self::Alerts { screens, alerts, seconds, active } => {
                alerts::alerts(bench, screens, alerts, seconds, active).await
            }
            Self::Series { count } => series::series(bench, count).await,
            Self::Start => start::start(bench).await,
            Self::Recovery { readings } => recovery::recovery(bench, readings).await,
            Self::Store { series, ticks } => store::store(bench, series, ticks).await,
            Self::Province { days, mobile } => store::province(bench, days, mobile == 1).await,
            Self::Open { points } => store::open(bench, points).await,
            Self::Apart(settings) => apart::apart(bench, &settings).await,
            Self::Partitions(_) => bail!("it is run line by line"),
            Self::Partition(shape) => partitions::partitions(bench, shape).await,
        }
    }
}

/// Numbers within a range; the message names it.
fn within(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).try_map(move |number| {
        let inside = range.contains(&number).then_some(number);
        inside.ok_or_else(|| format!("must be from {} to {}", range.start(), range.end()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{FromArgMatches, Subcommand as _};

    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Measurement, clap::Error> {
        let command = Measurement::augment_subcommands(clap::Command::new("bench"));
        let words = std::iter::once("bench").chain(arguments.iter().copied());
        Measurement::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn what_all_runs_is_what_each_runs_by_default() {
        let all = Measurement::all();
        for name in [
            "qos1",
            "qos0",
            "cpu",
            "latency",
            "screens",
            "alerts",
            "series",
            "start",
            "recovery",
            "store",
            "province",
            "open",
            "apart",
            "partitions",
        ] {
            let alone = parsed(&[name]).unwrap();
            assert!(all.contains(&alone), "{name} alone is {alone:?}");
            assert_eq!(alone.settings()[0], ("bench", name.into()));
        }
    }

    #[test]
    fn every_line_can_be_told_from_the_others() {
        let lines: BTreeSet<String> =
            Measurement::all().iter().map(|one| format!("{:?}", one.settings())).collect();
        assert_eq!(lines.len(), Measurement::all().len());
    }

    #[test]
    fn targets_hold_only_for_the_settings_they_were_set_for() {
        assert!(parsed(&["qos0", "--connections", "8"]).unwrap().headline().target.is_some());
        assert!(parsed(&["qos0", "--connections", "9"]).unwrap().headline().target.is_none());
        assert!(parsed(&["series", "--count", "10000"]).unwrap().headline().target.is_none());
    }

    #[test]
    fn nothing_without_bounds_can_be_asked_for() {
        for bad in [
            ["qos1", "--connections", "0"],
            ["qos1", "--seconds", "100000"],
            ["qos0", "--readings", "1000000000000"],
            ["series", "--count", "99999999"],
            ["latency", "--alerts", "x"],
        ] {
            assert!(parsed(&bad).is_err(), "{bad:?}");
        }
    }
}
