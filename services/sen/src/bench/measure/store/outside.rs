//! Other stores on the same points: the real servers from Debian, each on a loopback port of its
//! own with a folder of its own, written to and asked over HTTP as their users do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;
use sen_model::time::DAY_MS;
use sen_ports::Port;
use tokio::process::{Child, Command};

use super::super::super::http;
use super::super::super::report::{Sample, histogram};
use super::super::super::usage;
use super::load::{self, STEP_MS};

/// Lines in one request.
const BATCH: u64 = 10_000;
/// How long a server may take to be ready, and to have its files in order.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// A server to compare with.
pub(super) struct Server {
    /// Its program, and the Debian package that has it.
    pub(super) program: &'static str,
    pub(super) package: &'static str,
    ready_path: &'static str,
    /// What makes it write what it has to the disk; may be empty.
    flush_paths: &'static [&'static str],
    /// The raw points of one series; `{}` stands for its number.
    day_path: &'static str,
    /// What stands between two points of that answer.
    between: &'static str,
    /// Names of its figures: points/s, CPU, bytes, memory; then the latencies of a day.
    figures: [&'static str; 4],
    day_figures: [&'static str; 3],
}

/// Both servers.
pub(super) const SERVERS: [Server; 2] = [
    Server {
        program: "victoria-metrics",
        package: "victoria-metrics",
        ready_path: "/health",
        flush_paths: &["/internal/force_flush", "/internal/force_merge"],
        day_path: "/api/v1/export?reduce_mem_usage=1&match%5B%5D=sen_value%7Bseries%3D%22s{}%22%7D",
        between: ",",
        figures: [
            "victoria_points_per_s",
            "victoria_cpu_s_per_million",
            "victoria_bytes_per_point",
            "victoria_rss_mb",
        ],
        day_figures: ["victoria_day_p50_ms", "victoria_day_p99_ms", "victoria_day_max_ms"],
    },
    Server {
        program: "influxd",
        package: "influxdb",
        ready_path: "/ping",
        flush_paths: &[],
        day_path: "/query?db=sen&epoch=ms&q=SELECT%20value%20FROM%20sen%20WHERE%20%22series%22%3D%27s{}%27",
        between: "],[",
        figures: [
            "influx_points_per_s",
            "influx_cpu_s_per_million",
            "influx_bytes_per_point",
            "influx_rss_mb",
        ],
        day_figures: ["influx_day_p50_ms", "influx_day_p99_ms", "influx_day_max_ms"],
    },
];

impl Server {
    /// Writes this many ticks of all series, and a day of some, and asks for those days. None if it
    /// is not installed.
    pub(super) async fn measure(
        &self,
        folder: &Path,
        series: u64,
        ticks: u64,
        asked: u64,
    ) -> anyhow::Result<Option<Sample>> {
        let port = Port::hold()?;
        let address = port.address();
        let Some(mut child) = self.start(folder, address)? else {
            eprintln!(
                "{} is not installed, measured without it: sudo apt-get install -y {}",
                self.program, self.package
            );
            return Ok(None);
        };
        let id = child.id().context("it runs")?;
        self.until_ready(address, &mut child).await?;
        let points = (series * ticks) as f64;
        let before = usage::of(id)?;
        let took_s = write(address, 0..series, ticks).await?;
        // Days of other series, which nobody counts.
        write(address, series..series + asked, (DAY_MS / STEP_MS) as u64).await?;
        self.flush(address, folder).await?;
        let all = points + (asked as i64 * DAY_MS / STEP_MS) as f64;
        let used = usage::of(id)?;
        let (bytes, day_us) = (bytes_below(folder)?, self.ask(address, series, asked).await?);
        child.kill().await?;
        let [rate, cpu, size, memory] = self.figures;
        Ok(Some(
            Sample::default()
                .typical(rate, points / took_s)
                .typical(cpu, (used.cpu_s - before.cpu_s) / all * 1e6)
                .typical(size, bytes as f64 / all)
                .typical(memory, used.rss_mb)
                .latency(self.day_figures, &day_us),
        ))
    }

    fn start(&self, folder: &Path, address: SocketAddr) -> anyhow::Result<Option<Child>> {
        let mut command = Command::new(self.program);
        if self.program == "influxd" {
            command.arg("run").arg("-config").arg(influx_config(folder, address)?);
        } else {
            command
                .arg(format!("-storageDataPath={}", folder.display()))
                .arg(format!("-httpListenAddr={address}"))
                .arg("-retentionPeriod=100y");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.kill_on_drop(true).spawn() {
            Ok(child) => Ok(Some(child)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot start {}", self.program)),
        }
    }

    async fn until_ready(&self, address: SocketAddr, child: &mut Child) -> anyhow::Result<()> {
        let begun = Stopwatch::start();
        while !matches!(http::get(address, self.ready_path).await, Ok((200..300, _))) {
            ensure!(child.try_wait()?.is_none(), "{} ended", self.program);
            ensure!(begun.elapsed() < PATIENCE, "{} is not ready", self.program);
            tokio::time::sleep(POLL).await;
        }
        if self.program == "influxd" {
            let (status, body) =
                http::post(address, "/query?q=CREATE%20DATABASE%20sen", "").await?;
            ensure!(status == 200, "no database: {body}");
        }
        Ok(())
    }

    /// Until its files stay as they are.
    async fn flush(&self, address: SocketAddr, folder: &Path) -> anyhow::Result<()> {
        for path in self.flush_paths {
            http::get(address, path).await?;
        }
        let (begun, mut before, mut same) = (Stopwatch::start(), 0, 0);
        while same < 25 && begun.elapsed() < PATIENCE {
            tokio::time::sleep(POLL).await;
            let bytes = bytes_below(folder)?;
            same = if bytes == before { same + 1 } else { 0 };
            before = bytes;
        }
        Ok(())
    }

    async fn ask(
        &self,
        address: SocketAddr,
        first: u64,
        asked: u64,
    ) -> anyhow::Result<hdrhistogram::Histogram<u64>> {
        let mut day_us = histogram();
        for series in first..first + asked {
            let path = self.day_path.replace("{}", &series.to_string());
            let begun = Stopwatch::start();
            let (status, body) = http::get(address, &path).await?;
            day_us.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
            let found = body.matches(self.between).count() as i64;
            ensure!(status == 200, "{path}: {status}: {body}");
            ensure!(found >= DAY_MS / STEP_MS - 1, "{path}: {found} points");
        }
        Ok(day_us)
    }
}

/// Writes ticks of these series; seconds spent waiting for the server.
async fn write(
    address: SocketAddr,
    series: std::ops::Range<u64>,
    ticks: u64,
) -> anyhow::Result<f64> {
    let mut waited_s = 0.0;
    let mut points =
        (0..ticks).flat_map(|tick| series.clone().map(move |one| (one, load::point(one, tick))));
    loop {
        let lines = load::lines(points.by_ref().take(BATCH as usize));
        if lines.is_empty() {
            return Ok(waited_s);
        }
        let begun = Stopwatch::start();
        let (status, body) = http::post(address, "/write?db=sen&precision=ms", &lines).await?;
        ensure!(status == 204, "lines were refused with {status}: {body}");
        waited_s += begun.elapsed().as_secs_f64();
    }
}

fn influx_config(folder: &Path, address: SocketAddr) -> anyhow::Result<PathBuf> {
    let place = folder.display();
    let text = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n\
         [meta]\ndir = \"{place}/meta\"\n\
         [data]\ndir = \"{place}/tsm\"\nwal-dir = \"{place}/wal\"\nquery-log-enabled = false\n\
         cache-snapshot-write-cold-duration = \"1s\"\ncompact-full-write-cold-duration = \"1s\"\n\
         [monitor]\nstore-enabled = false\n\
         [http]\nbind-address = \"{address}\"\nlog-enabled = false\nmax-body-size = 0\n"
    );
    let path = folder.join("influxdb.conf");
    std::fs::write(&path, text)?;
    Ok(path)
}

fn bytes_below(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // A server may delete what was there a moment ago.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        bytes += if metadata.is_dir() { bytes_below(&path).unwrap_or(0) } else { metadata.len() };
    }
    Ok(bytes)
}
