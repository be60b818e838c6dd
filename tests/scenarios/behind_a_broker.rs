//! Sen behind a real Mosquitto: a client with a persistent session and manual acknowledgement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use sen_ports::Port;
use sen_tests::device::Device;
use sen_tests::process::Process;
use sen_tests::wait_for;

use crate::{Centre, GAUGE, LEVEL, now_ms, stored};

/// A Mosquitto on a port of its own, configured as `docs/acknowledgement.md` asks.
pub(crate) struct Mosquitto {
    pub(crate) process: Process,
    config: PathBuf,
    port: Port,
}

impl Mosquitto {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = Port::hold()?;
        let config = folder.join("mosquitto.conf");
        let storage = folder.display();
        fs::write(
            &config,
            format!(
                "listener {} 127.0.0.1\nallow_anonymous true\nuser root\n\
                 persistence true\npersistence_location {storage}/\nautosave_interval 1\n\
                 autosave_on_changes true\nmax_inflight_messages 0\nmax_queued_messages 0\n\
                 set_tcp_nodelay true\n",
                port.number()
            ),
        )?;
        let process = run(&config)?;
        let broker = Self { process, config, port };
        broker.listens().await;
        Ok(broker)
    }

    /// Starts it again on the same folder and port; what still runs is killed.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        self.process = run(&self.config)?;
        self.listens().await;
        Ok(())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    async fn listens(&self) {
        wait_for("mosquitto to listen", async || {
            tokio::net::TcpStream::connect(self.port.address()).await.ok()
        })
        .await;
    }
}

fn run(config: &Path) -> anyhow::Result<Process> {
    Process::start(Command::new("/usr/sbin/mosquitto").arg("-c").arg(config).stderr(Stdio::null()))
}

pub(crate) fn with_source(centre: &mut Centre, port: u16) -> anyhow::Result<()> {
    let sources = centre.config().join("sources.toml");
    fs::write(
        sources,
        format!(
            "[[broker]]\nname = \"city\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             client_id = \"sen-city\"\nfilters = [\"sen/v1/+/telemetry\", \"sen/v1/+/event\"]\n"
        ),
    )?;
    centre.restart()
}

pub(crate) async fn broker_is(centre: &Centre, well: bool) {
    wait_for("the state of the broker source", async || {
        let (status, report) = centre.page("/readyz").await.ok()?;
        let known = status == 503 || report.contains("broker:city");
        (known && (status == 200) == well).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_held_while_sen_was_dead_arrives_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let broker = Mosquitto::start(folder.path()).await?;
    let mut centre = Centre::start()?;
    with_source(&mut centre, broker.port())?;
    broker_is(&centre, true).await;

    let begun_ms = now_ms() - 100_000;
    let mut device = Device::connect("gw-1", broker.port()).await?;
    for n in 0..50 {
        device.report(GAUGE, LEVEL, begun_ms + n, 0.5).await?;
    }
    centre.kill();
    for n in 50..100 {
        device.report(GAUGE, LEVEL, begun_ms + n, 0.5).await?;
    }
    centre.restart()?;
    wait_for("all hundred", async || {
        let items = stored(&centre, GAUGE, LEVEL, begun_ms, begun_ms + 100).await.ok()?;
        assert!(items.len() <= 100, "something is there twice");
        (items.len() == 100).then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_is_noticed_and_returned_to() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut broker = Mosquitto::start(folder.path()).await?;
    let mut centre = Centre::start()?;
    with_source(&mut centre, broker.port())?;
    broker_is(&centre, true).await;

    broker.process.signal(Signal::STOP)?;
    broker_is(&centre, false).await;
    broker.process.signal(Signal::CONT)?;
    broker_is(&centre, true).await;

    // And one that dies for good and is started again.
    broker.process.kill();
    broker_is(&centre, false).await;
    broker.start_again().await?;
    broker_is(&centre, true).await;
    let begun_ms = now_ms() - 1_000;
    let mut device = Device::connect("gw-1", broker.port()).await?;
    device.report(GAUGE, LEVEL, begun_ms, 0.5).await?;
    wait_for("the reading", async || {
        let items = stored(&centre, GAUGE, LEVEL, begun_ms, begun_ms + 1).await.ok()?;
        (items.len() == 1).then_some(())
    })
    .await;
    Ok(())
}
