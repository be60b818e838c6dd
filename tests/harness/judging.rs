//! The real alert service over a real log within this process: it can be stopped, killed wherever
//! it has come to, and opened again, under a clock that only we set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use sen_alert::{Alert, Config, Ports, RunError};
use sen_chassis::call::{self, Caller};
use sen_chassis::{Clock, Health, Shutdown};
use sen_log::{Log, Retention, Topic};
use sen_model::{
    AlertRecord, Change, Command, CommandOutcome, DeviceId, Metric, Progress, Reading,
    ReadingBatch, Registry, Rule, Timestamp, registry_file,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::centre::root;
use crate::oracle::Report;
use crate::oracle::alerts::Episode;
use crate::pipeline::folder_in_memory;
use crate::wait_for;

const KEEP_ALL: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

/// How the service is set.
#[derive(Clone)]
pub struct Setting {
    /// What `rules.toml` says.
    pub rules: String,
    /// The devices.
    pub registry: Arc<Registry>,
    /// What the clock says at first, in milliseconds.
    pub now_ms: i64,
    /// The section `[alert]`.
    pub config: Config,
}

/// The shipped section `[alert]`, with other values for some of its keys.
pub fn section(others: &[(&str, i64)]) -> Config {
    let shipped = shipped("sen.toml");
    let shipped: toml::Table = shipped.parse().expect("what is shipped is TOML");
    let mut section = shipped["alert"].as_table().expect("a table").clone();
    for (key, value) in others {
        section.insert((*key).to_owned(), (*value).into());
    }
    section.try_into().expect("what is shipped is whole")
}

/// A file of the shipped configuration.
pub fn shipped(name: &str) -> String {
    std::fs::read_to_string(root().join("config").join(name)).expect("it is shipped")
}

/// The shipped devices and places.
pub fn shipped_registry() -> Registry {
    registry_file::parse(&shipped("devices.toml"), &shipped("places.toml")).expect("it is right")
}

/// What a text says as a rules file.
pub fn parsed(rules: &str, registry: &Registry) -> Vec<Rule> {
    sen_alert::rules::parse(rules, registry).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Log and alert service, open and at work.
pub struct Judging {
    /// The clock of the service.
    pub clock: Clock,
    setting: Setting,
    open: Open,
    folder: Folder,
    looks: usize,
}

/// Where it is: removed at the end, or somebody else's.
enum Folder {
    Own(TempDir),
    Lent(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Lent(path) => path,
        }
    }
}

struct Open {
    log: Log,
    readings: Topic<ReadingBatch>,
    alerts: Topic<AlertRecord>,
    service: Service,
}

struct Service {
    tasks: JoinSet<Result<(), RunError>>,
    shutdown: Shutdown,
    progress: watch::Receiver<Progress>,
    rules: watch::Receiver<Arc<Vec<Rule>>>,
    health: Health,
    /// The service would not listen to anybody if nobody could ask.
    _asker: Caller<Command, CommandOutcome>,
}

impl Judging {
    /// Opens it over an empty log in memory.
    pub fn in_memory(setting: Setting) -> anyhow::Result<Self> {
        Self::over(Folder::Own(folder_in_memory()?), setting)
    }

    /// Opens it over a folder that may hold something.
    pub fn on(folder: &Path, setting: Setting) -> anyhow::Result<Self> {
        Self::over(Folder::Lent(folder.to_owned()), setting)
    }

    /// Puts packets into the log of a folder, for a service to come.
    pub async fn prepare(
        folder: &Path,
        setting: &Setting,
        packets: &[ReadingBatch],
    ) -> anyhow::Result<()> {
        let mut judging = Self::on(folder, setting.clone())?;
        judging.open.service.tasks.shutdown().await;
        judging.append(packets).await?;
        judging.open.log.close().await;
        Ok(())
    }

    fn over(folder: Folder, setting: Setting) -> anyhow::Result<Self> {
        std::fs::write(folder.path().join("rules.toml"), &setting.rules)?;
        let clock = Clock::manual(setting.now_ms);
        let open = Open::over(folder.path(), &setting, &clock)?;
        Ok(Self { clock, setting, open, folder, looks: 0 })
    }

    /// Appends packets to the readings.
    pub async fn append(&self, packets: &[ReadingBatch]) -> anyhow::Result<()> {
        for some in packets.chunks(1_000) {
            self.open.readings.append(some.to_vec()).await?;
        }
        Ok(())
    }

    /// Returns when everything in the log is judged, with every alert in its log.
    pub async fn judged(&mut self) -> anyhow::Result<()> {
        let head = self.open.readings.head();
        let judged = self.open.service.progress.wait_for(|progress| progress.next > head);
        let judged = tokio::time::timeout(crate::PATIENCE, judged).await;
        judged.context("the alert service lags")?.context("the alert service died")?;
        Ok(())
    }

    /// Sets the clock, and returns when the service has looked at it. Whenever it does it looks at
    /// the rules file too, and reads a version at the second look: it is given one with mistakes,
    /// which it tells and does not take.
    pub async fn look(&mut self, now_ms: i64) -> anyhow::Result<()> {
        self.clock.set_ms(now_ms);
        self.looks += 1;
        let mistakes: String = (0..=self.looks % 2).map(|n| format!("mistake-{n} = 1\n")).collect();
        self.save_rules(&mistakes)?;
        let wanted = format!("{} problems", mistakes.lines().count());
        wait_for("a look at the clock", async || {
            let report = self.open.service.health.report();
            let told = report.get("rules").cloned().flatten()?;
            told.starts_with(&wanted).then_some(())
        })
        .await;
        Ok(())
    }

    fn save_rules(&self, text: &str) -> anyhow::Result<()> {
        let aside = self.folder.path().join("rules.new");
        std::fs::write(&aside, text)?;
        Ok(std::fs::rename(aside, self.folder.path().join("rules.toml"))?)
    }

    /// The service dies, whatever it was doing, and a new one begins on what is on disk.
    pub async fn crash(mut self) -> anyhow::Result<Self> {
        self.open.service.tasks.shutdown().await;
        // What the dead service had handed to the log is written before the next one looks.
        self.open.log.close().await;
        let Self { clock, setting, open, folder, looks } = self;
        drop(open);
        let open = Open::over(folder.path(), &setting, &clock)?;
        Ok(Self { clock, setting, open, folder, looks })
    }

    /// Puts other rules in force.
    pub async fn edit(&mut self, rules: &str) -> anyhow::Result<()> {
        let wanted = parsed(rules, &self.setting.registry);
        self.save_rules(rules)?;
        let in_force = &mut self.open.service.rules;
        let taken = in_force.wait_for(|rules| **rules == wanted);
        let taken = tokio::time::timeout(crate::PATIENCE, taken).await;
        taken.context("the new rules are not taken")?.context("the alert service died")?;
        Ok(())
    }

    /// Stops the service when it has judged everything, and gives the alert log.
    pub async fn finish(mut self) -> anyhow::Result<Vec<AlertRecord>> {
        let service = &mut self.open.service;
        service.shutdown.request();
        service.tasks.join_next().await.context("it ran")???;
        self.records().await
    }

    /// The alert log so far.
    pub async fn records(&self) -> anyhow::Result<Vec<AlertRecord>> {
        crate::left::all(&self.open.alerts).await
    }
}

impl Open {
    fn over(place: &Path, setting: &Setting, clock: &Clock) -> anyhow::Result<Self> {
        let config =
            sen_log::Config { segment_bytes: 1 << 19, reserve_bytes: 0, record_bytes: 1 << 18 };
        let log = Log::open(place.join("log"), config)?;
        let readings = log.topic("readings", KEEP_ALL)?;
        let alerts = log.vital_topic("alerts", KEEP_ALL)?;
        let events = log.topic("events", KEEP_ALL)?;
        let (ask, commands) = call::channel(8);
        let health = Health::new();
        let ports = Ports {
            readings: readings.clone(),
            alerts: alerts.clone(),
            desk: log.vital_topic("desk", KEEP_ALL)?,
            shadow: log.vital_topic("shadow", KEEP_ALL)?,
            events_cursor: log.cursor(&events, "alert")?,
            events,
            cursor: log.cursor(&readings, "alert")?,
            commands,
            registry: Arc::clone(&setting.registry),
            clock: clock.clone(),
            health: health.clone(),
        };
        let alert = Alert::bind(setting.config.clone(), place.join("rules.toml"), ports)?;
        let (progress, rules) = (alert.progress(), alert.rules());
        let (mut tasks, shutdown) = (JoinSet::new(), Shutdown::new());
        tasks.spawn(alert.run(shutdown.clone()));
        let service = Service { tasks, shutdown, progress, rules, health, _asker: ask };
        Ok(Self { log, readings, alerts, service })
    }
}

/// The episodes that an alert log tells, sorted; an error where it contradicts itself: every alert
/// begins with its raise, counts its changes by one, ends once, and is never heard of again.
pub fn episodes(records: &[AlertRecord]) -> anyhow::Result<Vec<Episode>> {
    let mut newest: BTreeMap<&str, &AlertRecord> = BTreeMap::new();
    let mut raised_ms = BTreeMap::new();
    for record in records {
        let before = newest.insert(record.id.as_str(), record);
        let known = before.map_or(0, |before| before.rev);
        ensure!(record.rev == known + 1, "revision {} after {known}: {record:?}", record.rev);
        ensure!((record.rev == 1) == (record.change == Change::Raised), "{record:?}");
        if let Some(before) = before {
            ensure!(before.state.is_open(), "after its end: {record:?}");
            ensure!(before.started_at == record.started_at, "another start: {record:?}");
            let was_over = before.cleared_at.is_some();
            ensure!(!was_over || before.cleared_at == record.cleared_at, "ends twice: {record:?}");
            let ends_now = !was_over && record.cleared_at.is_some();
            ensure!(ends_now == (record.change == Change::Cleared), "{record:?}");
        } else {
            raised_ms.insert(record.id.as_str(), record.event_time.as_millis());
        }
        let ends_after_it_began = record.cleared_at.is_none_or(|end| end >= record.started_at);
        ensure!(ends_after_it_began, "ends before it begins: {record:?}");
    }
    let mut told: Vec<Episode> = newest
        .into_iter()
        .map(|(id, record)| Episode {
            rule: record.rule.clone(),
            level: record.level,
            device: record.device.clone(),
            metric: record.metric.clone(),
            start_ms: record.started_at.as_millis(),
            raised_ms: raised_ms[id],
            end_ms: record.cleared_at.map(Timestamp::as_millis),
        })
        .collect();
    told.sort();
    Ok(told)
}

/// Fails with what the one has and the other has not, if they differ.
pub fn must_agree(told: &[Episode], expected: &[Episode]) -> anyhow::Result<()> {
    let (all_told, all_expected): (BTreeSet<_>, BTreeSet<_>) =
        (told.iter().collect(), expected.iter().collect());
    let wrong: Vec<_> = all_told.difference(&all_expected).take(3).collect();
    let missing: Vec<_> = all_expected.difference(&all_told).take(3).collect();
    ensure!(
        told == expected,
        "{} episodes told, {} expected; wrong: {wrong:#?}; missing: {missing:#?}",
        told.len(),
        expected.len(),
    );
    Ok(())
}

/// Which rules tell how many episodes, for people.
pub fn by_rule(episodes: &[Episode]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for episode in episodes {
        *counts.entry(episode.rule.as_str()).or_default() += 1;
    }
    counts
}

/// Readings of one device in one packet.
pub fn packet(device: &DeviceId, received_ms: i64, reports: &[Report]) -> ReadingBatch {
    let reading = |report: &Report| Reading {
        metric: report.series.metric.clone(),
        event_time: Timestamp::from_millis(report.time_ms),
        value: report.value,
        quality: report.quality,
        sequence: report.sequence,
    };
    ReadingBatch {
        device: device.clone(),
        received_at: Timestamp::from_millis(received_ms),
        readings: reports.iter().map(reading).collect(),
    }
}

/// What packets report, in their order.
pub fn reports_of(packets: &[ReadingBatch]) -> Vec<Report> {
    let of_packet = |packet: &ReadingBatch| -> Vec<Report> {
        let report = |reading: &Reading| Report {
            series: sen_model::SeriesKey {
                device: packet.device.clone(),
                metric: Metric::clone(&reading.metric),
            },
            time_ms: reading.event_time.as_millis(),
            sequence: reading.sequence,
            value: reading.value,
            quality: reading.quality,
        };
        packet.readings.iter().map(report).collect()
    };
    packets.iter().flat_map(of_packet).collect()
}

/// An owner and a response, for rules files that have nothing else in common with the shipped one.
pub const PREAMBLE: &str = r#"
[owners]
technology = { vi = "Sở Khoa học và Công nghệ", en = "Department of Science and Technology" }

[responses.check_station]
steps = [{ vi = "Gọi đơn vị quản lý trạm", en = "Call the keeper of the station" }]
consequence = { vi = "Không ai biết nước lên", en = "Nobody learns that the water rises" }
within = "1h"
"#;

/// A rule of a test's own; `lines` say what it selects and when it holds.
pub fn rule_text(id: &str, lines: &str) -> String {
    format!(
        r#"
[[rule]]
id = "{id}"
name = {{ vi = "Quy tắc thử", en = "Rule of a test" }}
field = "environment"
source = "the test"
owner = "technology"
response = "check_station"
{lines}
"#
    )
}
