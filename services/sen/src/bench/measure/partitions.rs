//! Readings that wait in the log, and how fast they are worked off: by the aggregates that share the
//! partitions, then by one alert and by one gateway, each of which takes all of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sen_chassis::clock::Stopwatch;

use super::super::apart::{Role, Stand, metrics};
use super::super::centre::{Bench, totals};
use super::super::load::{self, Fleet, Span};
use super::super::packet::Qos;
use super::super::report::Sample;
use super::within;

/// Devices that fill the log, each with ten series.
pub(super) const DEVICES: u64 = 100;
/// Packets of one device that wait for their PUBACK.
const WINDOW: usize = 100;
/// No run takes this long; it ends when every device has sent its packets.
const UNTIL_DONE: Span = Span { warm_up: Duration::ZERO, measured: Duration::from_secs(540) };
/// How often it is looked at who has come how far.
const LOOK: Duration = Duration::from_millis(20);
/// How long nothing may move.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Metrics of an aggregate: readings in its store, and in the archive.
const STORED: [&str; 2] = ["sen_aggregate_readings_total", "sen_archive_readings_total"];

/// What is measured, in several lines.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub(in super::super) struct Settings {
    /// Partitions, each in a line of its own.
    #[arg(long, default_values_t = [1, 2, 4], value_delimiter = ',', value_parser = within(1..=64))]
    counts: Vec<u64>,
    /// Aggregates that share them; 0 = as many as partitions, and in one more line one for the most.
    #[arg(long, default_value_t = 0, value_parser = within(0..=16))]
    aggregates: u64,
    /// Readings in the log.
    #[arg(long, default_value_t = 1_000_000, value_parser = within(super::READINGS))]
    readings: u64,
}

/// One line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Shape {
    partitions: u64,
    aggregates: u64,
    readings: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { counts: vec![1, 2, 4], aggregates: 0, readings: 1_000_000 }
    }
}

impl Settings {
    /// The lines.
    pub(super) fn each(&self) -> Vec<Shape> {
        let readings = self.readings;
        let shape = |partitions, aggregates| Shape { partitions, aggregates, readings };
        if self.aggregates > 0 {
            return self.counts.iter().map(|count| shape(*count, self.aggregates)).collect();
        }
        let most = self.counts.iter().max().filter(|count| **count > 1);
        let alone = most.map(|count| shape(*count, 1));
        self.counts.iter().map(|count| shape(*count, *count)).chain(alone).collect()
    }
}

impl Shape {
    /// As it stands in the line of JSON.
    pub(super) fn numbers(self) -> Vec<(&'static str, u64)> {
        let Self { partitions, aggregates, readings } = self;
        vec![("partitions", partitions), ("aggregates", aggregates), ("readings", readings)]
    }
}

/// Fills the log, then lets each stage work it off by itself.
pub(super) async fn partitions(bench: &Bench, shape: Shape) -> anyhow::Result<Sample> {
    let stand = Stand::start(bench, 1, shape.partitions).await?;
    let (readings, filled) = fill(bench, &stand, shape.readings).await?;

    let aggregates = stand.roles(bench, &vec!["aggregate"; shape.aggregates as usize]).await?;
    let (stored, archived) = (Course::new(readings), Course::new(readings));
    let stored = work_off(&stand, &aggregates, [stored, archived], async || {
        let mut come = [0; 2];
        for role in &aggregates {
            let told = metrics(role.admin()?, STORED).await?;
            come = [come[0] + told[0] as u64, come[1] + told[1] as u64];
        }
        Ok(come)
    })
    .await?;
    kill(aggregates).await?;

    // It stays, idle, for the judging to be seen on it.
    let gateway = stand.roles(bench, &["gateway"]).await?;
    let http = gateway[0].http()?;
    let served = work_off(&stand, &gateway, [Course::new(readings)], async || {
        Ok([totals(http).await?.stored])
    })
    .await?;
    let alert = stand.roles(bench, &["alert"]).await?;
    let judged = judge(&alert, http, readings).await?;
    kill(alert).await?;
    kill(gateway).await?;
    stand.end()?;
    let [stored_course, archived_course] = &stored.courses;
    let archive_s = stored.archive_cpu_s_per_million;
    Ok(filled
        .typical("archived_per_s", archived_course.per_s()?)
        .typical("stored_per_s", stored_course.per_s()?)
        .and(stored.figures([
            "aggregate_cpu_s_per_million",
            "aggregate_cores",
            "aggregate_nats_cpu_s_per_million",
        ]))
        .typical("archive_cpu_s_per_million", archive_s)
        .typical("one_gateway_per_s", served.courses[0].per_s()?)
        .and(served.figures([
            "gateway_cpu_s_per_million",
            "gateway_cores",
            "gateway_nats_cpu_s_per_million",
        ]))
        .and(judged))
}

/// One alert on all readings. How far it has come is told once a second and first when it is well under
/// way, so its CPU counts from its start.
async fn judge(alert: &[Role], gateway: SocketAddr, readings: u64) -> anyhow::Result<Sample> {
    let (mut course, mut moved) = (Course::new(readings), Stopwatch::start());
    let begun = Stopwatch::start();
    while !course.is_done() {
        let come = totals(gateway).await?.evaluated;
        if course.note(begun.elapsed().as_secs_f64(), come) {
            moved = Stopwatch::start();
        }
        ensure!(moved.elapsed() < STANDSTILL, "judging stands still at {come}");
        tokio::time::sleep(LOOK).await;
    }
    let used = alert.iter().map(|role| Ok(role.process.usage()?.cpu_s));
    let used = used.sum::<anyhow::Result<f64>>()?;
    Ok(Sample::default()
        .typical("one_alert_per_s", course.per_s()?)
        .typical("alert_cpu_s_per_million", used / (readings as f64 / 1e6)))
}

async fn kill(roles: Vec<Role>) -> anyhow::Result<()> {
    for role in roles {
        role.process.kill().await?;
    }
    Ok(())
}

/// Takes readings in while nobody else runs.
async fn fill(bench: &Bench, stand: &Stand, readings: u64) -> anyhow::Result<(u64, Sample)> {
    let ingest = stand.roles(bench, &["ingest"]).await?.pop().context("an ingest")?;
    let fleet = Fleet::plain(usize::try_from(DEVICES)?, Qos::AtLeastOnce);
    let senders = fleet.connect(ingest.mqtt()?, bench.begun).await?;
    let (nats_s, ingest_s) = (stand.nats.cpu_s()?, ingest.process.usage()?.cpu_s);
    let filling = Stopwatch::start();
    let each = readings.div_ceil(DEVICES);
    let tally = load::saturate(senders, WINDOW, UNTIL_DONE, each).await?;
    let filled_s = filling.elapsed().as_secs_f64();
    let millions = tally.acknowledged as f64 / 1e6;
    let ingest_s = ingest.process.usage()?.cpu_s - ingest_s;
    let nats_s = stand.nats.cpu_s()? - nats_s;
    ingest.process.kill().await?;
    let kept = stand.nats.kept("sen-readings").await?;
    let figures = Sample::default()
        .typical("acknowledged_per_s", tally.acknowledged as f64 / filled_s)
        .typical("ingest_cpu_s_per_million", ingest_s / millions)
        .typical("ingest_nats_cpu_s_per_million", nats_s / millions)
        .typical("readings_per_message", tally.acknowledged as f64 / kept.messages as f64)
        .typical("log_bytes_per_reading", kept.bytes as f64 / tally.acknowledged as f64);
    Ok((tally.acknowledged, figures))
}

/// How a stage got on.
struct Worked<const COUNT: usize> {
    courses: [Course; COUNT],
    cpu_s_per_million: f64,
    nats_cpu_s_per_million: f64,
    archive_cpu_s_per_million: f64,
    /// Cores that its processes together kept busy.
    cores: f64,
}

impl<const COUNT: usize> Worked<COUNT> {
    fn figures(&self, [cpu, cores, nats]: [&'static str; 3]) -> Sample {
        Sample::default()
            .typical(cpu, self.cpu_s_per_million)
            .typical(cores, self.cores)
            .typical(nats, self.nats_cpu_s_per_million)
    }
}

/// Looks on until every course is done. CPU counts from the first reading that is seen: to start
/// costs the same however many there are.
async fn work_off<const COUNT: usize>(
    stand: &Stand,
    roles: &[Role],
    mut courses: [Course; COUNT],
    look: impl AsyncFn() -> anyhow::Result<[u64; COUNT]>,
) -> anyhow::Result<Worked<COUNT>> {
    let used = || {
        let own = roles.iter().map(|role| Ok(role.process.usage()?.cpu_s));
        let own = own.sum::<anyhow::Result<f64>>()?;
        let archive = stand.victoria.process().usage()?.cpu_s;
        anyhow::Ok([own, stand.nats.cpu_s()?, archive])
    };
    let (begun, mut moved) = (Stopwatch::start(), Stopwatch::start());
    let mut before = used()?;
    loop {
        let come = look().await?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let has_begun = !courses[0].seen.is_empty();
        for (course, come) in courses.iter_mut().zip(come) {
            if course.note(elapsed_s, come) {
                moved = Stopwatch::start();
            }
        }
        if !has_begun {
            before = used()?;
        }
        if courses.iter().all(Course::is_done) {
            break;
        }
        ensure!(moved.elapsed() < STANDSTILL, "it stands still at {come:?}");
        tokio::time::sleep(LOOK).await;
    }
    let after = used()?;
    let [own, nats, archive] = [0, 1, 2].map(|at| after[at] - before[at]);
    let millions = courses[0].counted() as f64 / 1e6;
    let took_s = courses.iter().map(Course::took_s).fold(f64::MIN_POSITIVE, f64::max);
    Ok(Worked {
        courses,
        cpu_s_per_million: own / millions,
        nats_cpu_s_per_million: nats / millions,
        archive_cpu_s_per_million: archive / millions,
        cores: own / took_s,
    })
}

/// How many readings had come how far, and when: each time that changed.
#[derive(Clone, Debug)]
struct Course {
    readings: u64,
    seen: Vec<(f64, u64)>,
}

impl Course {
    fn new(readings: u64) -> Self {
        Self { readings, seen: Vec::new() }
    }

    /// Whether something has moved.
    fn note(&mut self, at_s: f64, come: u64) -> bool {
        let is_new = come > self.seen.last().map_or(0, |(_, before)| *before);
        if is_new {
            self.seen.push((at_s, come));
        }
        is_new
    }

    fn is_done(&self) -> bool {
        self.seen.last().is_some_and(|(_, come)| *come >= self.readings)
    }

    /// From the first reading that was seen until all were there, in seconds.
    fn took_s(&self) -> f64 {
        let at = |seen: Option<&(f64, u64)>| seen.map_or(0.0, |(at_s, _)| *at_s);
        at(self.seen.last()) - at(self.seen.first())
    }

    /// Readings after those that were there when it was first looked.
    fn counted(&self) -> u64 {
        let come = |seen: Option<&(f64, u64)>| seen.map_or(0, |(_, come)| *come);
        come(self.seen.last()) - come(self.seen.first())
    }

    /// Readings a second while there was work: without the last look, which may have come long after
    /// the last reading, if there are enough others.
    fn per_s(&self) -> anyhow::Result<f64> {
        let seen = if self.seen.len() > 3 { &self.seen[..self.seen.len() - 1] } else { &self.seen };
        let [(from_s, from), .., (to_s, to)] = *seen else {
            bail!("it was over before it could be looked at: more --readings");
        };
        Ok((to - from) as f64 / (to_s - from_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_has_its_line_and_the_most_partitions_another_for_one_aggregate() {
        let shape = |partitions, aggregates| Shape { partitions, aggregates, readings: 1_000_000 };
        let lines = Settings::default().each();
        assert_eq!(lines, [shape(1, 1), shape(2, 2), shape(4, 4), shape(4, 1)]);
        let settings = Settings { counts: vec![1], ..Settings::default() };
        assert_eq!(settings.each(), [shape(1, 1)]);
        let settings = Settings { counts: vec![4, 8], aggregates: 2, ..Settings::default() };
        assert_eq!(settings.each(), [shape(4, 2), shape(8, 2)]);
        assert_eq!(shape(4, 2).numbers()[1], ("aggregates", 2));
    }

    #[test]
    fn a_rate_is_that_of_the_time_in_which_there_was_work() {
        let mut course = Course::new(1_000);
        // Seen once a second; the last reading was there some time before it was seen.
        for (at_s, come) in [(3.0, 0), (3.1, 100), (4.1, 500), (4.2, 500), (5.1, 900), (6.1, 1_000)]
        {
            assert!(!course.is_done());
            course.note(at_s, come);
        }
        assert!(course.is_done());
        assert!((course.per_s().unwrap() - 400.0).abs() < 1e-9);
        assert_eq!(course.counted(), 900);
        assert!((course.took_s() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_over_at_once_has_no_rate() {
        let mut course = Course::new(10);
        assert!(course.note(1.0, 10) && !course.note(2.0, 10));
        let error = course.per_s().unwrap_err().to_string();
        assert!(error.contains("--readings"), "{error}");
    }
}
