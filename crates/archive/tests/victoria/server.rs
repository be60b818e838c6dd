//! A real VictoriaMetrics on loopback, in a folder of its own, stopped by its process id.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sen_archive::{Archive, Config};
use sen_ports::Port;
use tempfile::TempDir;
use tokio::time::Instant;

/// How long any condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Victoria {
    child: Option<Child>,
    port: Port,
    folder: TempDir,
}

impl Victoria {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        let (port, folder) = (Port::hold().unwrap(), TempDir::new().unwrap());
        let mut server = Self { child: None, port, folder };
        server.restart().await;
        server
    }

    /// Starts it (again) on the same folder and port.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let child = self.command().spawn().expect("victoria-metrics is installed");
        let child = self.child.insert(child);
        let begun = Instant::now();
        let health = format!("http://{}/health", self.port.address());
        while ureq::get(&health).call().is_err() {
            assert!(begun.elapsed() < PATIENCE, "victoria-metrics does not start");
            assert_eq!(child.try_wait().unwrap(), None, "victoria-metrics has ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn command(&self) -> Command {
        let folder: PathBuf = self.folder.path().join("storage");
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-httpListenAddr={}", self.port.address()))
            .arg(format!("-storageDataPath={}", folder.display()))
            .args(["-retentionPeriod=100y", "-loggerLevel=ERROR", "-memory.allowedBytes=256MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it from running (SIGSTOP), or lets it run on.
    pub(crate) fn pause(&self, paused: bool) {
        let child = self.child.as_ref().unwrap();
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// A client with this patience.
    pub(crate) fn archive(&self, timeout: Duration) -> Archive {
        let location = format!("victoriametrics+http://{}", self.port.address()).parse().unwrap();
        Archive::with_timeout(Config::new(location), timeout).unwrap()
    }

    /// The body of an answer.
    pub(crate) fn get(&self, path: &str) -> String {
        ureq::get(self.url(path)).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// Sends lines as they are.
    pub(crate) fn post_lines(&self, lines: &str) {
        assert_eq!(ureq::post(self.url("write")).send(lines).unwrap().status(), 204);
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.port.address())
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads again and again until what is read is as wanted; in the end shows what it is.
pub(crate) async fn eventually<T: PartialEq + std::fmt::Debug>(
    wanted: &T,
    mut read: impl AsyncFnMut() -> T,
) {
    let begun = Instant::now();
    loop {
        let found = read().await;
        if found == *wanted {
            return;
        }
        if begun.elapsed() > PATIENCE {
            let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
            let same = found.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
            let near =
                |text: &str| text[same.saturating_sub(100)..].chars().take(300).collect::<String>();
            panic!("found\n…{}…\nbut wanted\n…{}…", near(&found), near(&wanted));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
