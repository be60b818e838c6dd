//! A real VictoriaMetrics on loopback, in a folder of its own, stopped by its process id.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sen_archive::{Archive, Config};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long any condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Victoria {
    child: Option<Child>,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Victoria {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self { child: None, port: 0, folder };
        server.restart().await;
        server
    }

    /// Starts it (again) on the same folder, on a free port.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < PATIENCE, "victoria-metrics does not start");
            // Another process may have taken the port: then it has ended, and gets another one.
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                self.port = free_port();
                self.child = Some(self.command().spawn().expect("victoria-metrics is installed"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn command(&self) -> Command {
        let folder: PathBuf = self.folder.path().join("storage");
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{}", self.port))
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
        let location = format!("victoriametrics+http://127.0.0.1:{}", self.port).parse().unwrap();
        Archive::with_timeout(Config::new(location), timeout).unwrap()
    }

    /// The body of an answer.
    pub(crate) fn get(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// Sends lines as they are.
    pub(crate) fn post_lines(&self, lines: &str) {
        let url = format!("http://127.0.0.1:{}/write", self.port);
        assert_eq!(ureq::post(url).send(lines).unwrap().status(), 204);
    }

    fn answers(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/health", self.port);
        self.child.is_some() && ureq::get(url).call().is_ok()
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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
