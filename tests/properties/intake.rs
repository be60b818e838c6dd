//! From the wire to the store: nothing that is received goes missing between the counts.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseResult, TestError, TestRunner};
use sen_aggregate::Aggregate;
use sen_chassis::{Clock, Health, Shutdown, Tasks};
use sen_ingest::{Ingest, Sources};
use sen_log::{Log, Retention, Topic};
use sen_model::{DeviceId, Progress, Quarantined, ReadingBatch};
use sen_store::{Span, Store};
use sen_tests::centre::root;
use sen_tests::device::Device;
use sen_tests::pipeline::{folder_in_memory, keeping_all};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::histories::NOW_MS;

/// One object of a packet: what it says, and what must become of it.
#[derive(Clone, Debug)]
enum Said {
    /// A good reading of one of two metrics: second before now, sequence, value.
    Good(usize, i64, u32, i32),
    /// One that leaves it to us to say when it was measured.
    Timeless(i32),
    /// A bad one, and the reason it must be kept with.
    Bad(&'static str, &'static str),
}

/// What is published.
#[derive(Clone, Debug)]
enum Packet {
    Of(Vec<Said>),
    /// The one before at this place, once more.
    Again(Index),
    Rubbish,
}

const METRICS: [&str; 2] = ["level_m", "rain_mm"];

const BAD: [(&str, &str); 7] = [
    (r#"{"ts": 1, "values": {"level_m": 1}}"#, "too_old"),
    (r#"{"ts": 9223372036854775807, "values": {"level_m": 1}}"#, "too_far_ahead"),
    (r#"{"ts": "now", "values": {"level_m": 1}}"#, "bad_shape"),
    (r#"{"level_m": "high"}"#, "bad_value"),
    (r#"{"level_m": 1e999}"#, "bad_value"),
    (r#"{"level m": 1}"#, "bad_name"),
    (r#"[]"#, "bad_shape"),
];

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        8 => (0..2_usize, 0..40_i64, 0..2_u32, -99..99_i32)
            .prop_map(|(metric, second, sequence, value)| Said::Good(metric, second, sequence, value)),
        1 => (-99..99_i32).prop_map(Said::Timeless),
        3 => prop::sample::select(&BAD[..]).prop_map(|(text, reason)| Said::Bad(text, reason)),
    ]
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let packet = prop_oneof![
        6 => prop::collection::vec(said(), 1..12).prop_map(Packet::Of),
        2 => any::<Index>().prop_map(Packet::Again),
        1 => Just(Packet::Rubbish),
    ];
    prop::collection::vec(packet, 1..8)
}

/// What must become of what one device publishes.
#[derive(Debug, Default)]
struct Expected {
    received: u64,
    repeated: u64,
    refused: u64,
    /// Identity and value of each reading with a time of its own.
    timed: BTreeMap<(usize, i64, u32), i32>,
    timeless: u64,
    /// One record for each packet and reason.
    reasons: Vec<&'static str>,
}

impl Expected {
    fn publish(&mut self, packet: &[Said]) {
        let mut reasons = HashSet::new();
        for said in packet {
            self.received += 1;
            match said {
                Said::Bad(_, reason) => {
                    self.refused += 1;
                    reasons.insert(*reason);
                }
                Said::Timeless(_) => self.timeless += 1,
                Said::Good(metric, second, sequence, value) => {
                    let mut is_new = false;
                    self.timed.entry((*metric, *second, *sequence)).or_insert_with(|| {
                        is_new = true;
                        *value
                    });
                    self.repeated += u64::from(!is_new);
                }
            }
        }
        self.reasons.extend(reasons);
    }

    fn novel(&self) -> u64 {
        self.timed.len() as u64 + self.timeless
    }
}

fn text(said: &Said) -> String {
    match said {
        Said::Good(metric, second, sequence, value) => {
            let ts = NOW_MS - second * 1_000;
            let metric = METRICS[*metric];
            format!(r#"{{"ts": {ts}, "seq": {sequence}, "values": {{"{metric}": {value}}}}}"#)
        }
        Said::Timeless(value) => format!(r#"{{"level_m": {value}}}"#),
        Said::Bad(text, _) => (*text).to_owned(),
    }
}

/// Ingest, log, aggregator and store in this process, and one connected gateway.
struct Intake {
    gateway: Device,
    readings: Topic<ReadingBatch>,
    quarantine: Topic<Quarantined>,
    store: Store,
    progress: watch::Receiver<Progress>,
    cases: u32,
    _tasks: (Tasks<sen_ingest::RunError>, Tasks<sen_aggregate::RunError>),
    _folder: TempDir,
}

impl Intake {
    async fn start() -> anyhow::Result<Self> {
        let folder = folder_in_memory()?;
        let config =
            sen_log::Config { segment_bytes: 1 << 22, reserve_bytes: 0, record_bytes: 1 << 20 };
        let log = Log::open(folder.path().join("log"), config)?;
        let keep = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
        let (readings, quarantine) = (log.topic("readings", keep)?, log.topic("quarantine", keep)?);
        let store =
            Store::open(folder.path().join("store"), keeping_all(sen_store::Config::default()))?;
        let (clock, health) = (Clock::manual(NOW_MS), Health::new());
        let ports = sen_aggregate::Ports {
            readings: readings.clone(),
            cursor: Some(log.cursor(&readings, "aggregate")?),
            store: store.clone(),
            registry: Arc::default(),
            clock: clock.clone(),
            health: health.clone(),
            destination: None,
        };
        let aggregate = Aggregate::bind(sen_aggregate::Config::default(), ports)?;
        let aggregate = aggregate.gathering(Duration::ZERO);
        let progress = aggregate.progress();
        let ports = sen_ingest::Ports {
            readings: readings.clone(),
            events: log.topic("events", keep)?,
            quarantine: quarantine.clone(),
            registry: Arc::default(),
            reserved: Vec::new(),
            clock,
            health,
        };
        let ingest = Ingest::bind(&shipped()?, &Sources::default(), ports).await?;
        let port = ingest.mqtt_address().unwrap().port();
        let mut tasks = (Tasks::new(), Tasks::new());
        tasks.0.spawn("ingest", ingest.run(Shutdown::new()));
        tasks.1.spawn("aggregate", aggregate.run(Shutdown::new()));
        let gateway = Device::connect("gateway-1", port).await?;
        Ok(Self {
            gateway,
            readings,
            quarantine,
            store,
            progress,
            cases: 0,
            _tasks: tasks,
            _folder: folder,
        })
    }

    /// What one device publishes, acknowledged; then every count.
    async fn conserves(&mut self, packets: &[Packet]) -> anyhow::Result<TestCaseResult> {
        self.cases += 1;
        let device = DeviceId::new(format!("case-{}", self.cases))?;
        let (before, quarantined) = (*self.progress.borrow(), self.quarantine.head());
        let mut expected = Expected::default();
        let mut published: Vec<&[Said]> = Vec::new();
        let topic = format!("sen/v1/{device}/telemetry");
        for packet in packets {
            let packet: &[Said] = match packet {
                Packet::Of(said) => said,
                Packet::Again(which) if !published.is_empty() => {
                    published[which.index(published.len())]
                }
                Packet::Again(_) | Packet::Rubbish => &[],
            };
            if packet.is_empty() {
                self.gateway.publish(&topic, "rubbish").await?;
                expected.received += 1;
                expected.refused += 1;
                expected.reasons.push("bad_json");
                continue;
            }
            let texts: Vec<String> = packet.iter().map(text).collect();
            self.gateway.publish(&topic, &format!("[{}]", texts.join(","))).await?;
            expected.publish(packet);
            published.push(packet);
        }
        let head = self.readings.head();
        let taken = self.progress.wait_for(|progress| progress.next > head);
        let after = *tokio::time::timeout(sen_tests::PATIENCE, taken).await??;
        let found = Found {
            accepted: after.readings - before.readings,
            new: after.new - before.new,
            stored: self.stored(&device).await?,
            reasons: self.reasons(quarantined + 1).await?,
        };
        expected.reasons.sort_unstable();
        Ok(agree(&expected, &found))
    }

    /// How many readings of a device the store has.
    async fn stored(&self, device: &DeviceId) -> anyhow::Result<u64> {
        let mut stored = 0;
        for metric in METRICS {
            if let Some(id) = self.store.find(device, &metric.parse()?) {
                stored += self.store.points(id, Span::ALL, usize::MAX).await?.len() as u64;
            }
        }
        Ok(stored)
    }

    /// The reasons of what is in quarantine from an offset on, in the order of their names.
    async fn reasons(&self, from: u64) -> anyhow::Result<Vec<&'static str>> {
        let entries = self.quarantine.read_from(from).available(1_000).await?;
        let mut reasons: Vec<_> = entries.iter().map(|it| it.record.reason.as_str()).collect();
        reasons.sort_unstable();
        Ok(reasons)
    }
}

/// What was counted on the way.
#[derive(Debug)]
struct Found {
    accepted: u64,
    new: u64,
    stored: u64,
    reasons: Vec<&'static str>,
}

fn agree(expected: &Expected, found: &Found) -> TestCaseResult {
    prop_assert_eq!(found.accepted, expected.novel() + expected.repeated, "{:?}", found);
    prop_assert_eq!((found.new, found.stored), (expected.novel(), expected.novel()));
    prop_assert_eq!(&found.reasons, &expected.reasons);
    let repeated = found.accepted - found.new;
    prop_assert_eq!(expected.received, found.stored + repeated + expected.refused);
    Ok(())
}

/// The shipped settings, on any free port.
fn shipped() -> anyhow::Result<sen_ingest::Config> {
    let text = std::fs::read_to_string(root().join("config/sen.toml"))?;
    let table: toml::Table = text.parse()?;
    let mut config: sen_ingest::Config = table["ingest"].clone().try_into()?;
    config.listen = "127.0.0.1:0".into();
    Ok(config)
}

#[test]
fn what_is_received_is_stored_or_a_repeat_or_in_quarantine() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let intake = runtime.block_on(Intake::start()).unwrap();
    let intake = std::cell::RefCell::new(intake);
    // Cases share one ingest; each is a device of its own.
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&packets(), |packets| {
        let mut intake = intake.borrow_mut();
        let played = runtime.block_on(intake.conserves(&packets));
        played.map_err(|error| TestCaseError::fail(format!("{error:#}")))?
    });
    if let Err(TestError::Fail(reason, packets)) = outcome {
        panic!("{reason}: {packets:#?}");
    }
    outcome.unwrap();
}
