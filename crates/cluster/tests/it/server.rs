//! A NATS server of one's own: on loopback, in a folder of its own, killed by its id.

use std::future::Future;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sen_cluster::{Cluster, Config};
use sen_ports::Port;
use tempfile::TempDir;

/// How long a busy machine may take for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    port: Port,
    folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&["-js"]).await
    }

    /// One that keeps nothing, until it is started again.
    pub(crate) async fn start_without_jetstream() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(options: &[&str]) -> Self {
        let (port, folder) = (Port::hold().unwrap(), tempfile::tempdir().unwrap());
        let mut server = Self { child: run(&port, &folder, options), port, folder };
        server.until_up().await;
        server
    }

    async fn until_up(&mut self) {
        let up = async {
            while TcpStream::connect(self.port.address()).is_err() {
                assert_eq!(self.child.try_wait().unwrap(), None, "the NATS server has ended");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("the NATS server comes up", up).await;
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Comes back on the same port with the same store.
    pub(crate) async fn restart(&mut self) {
        self.child = run(&self.port, &self.folder, &["-js"]);
        self.until_up().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }

    pub(crate) async fn join(&self, role: &str, instance: &str) -> Cluster {
        join(&self.url(), role, instance).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(port: &Port, folder: &TempDir, options: &[&str]) -> Child {
    Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port.number().to_string(), "-sd"])
        .arg(folder.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server must be installed")
}

/// The lease in these tests: short, and long enough for a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

pub(crate) fn config(url: &str) -> Config {
    Config {
        nats: vec![url.to_owned()],
        name: "sen".into(),
        credentials_file: String::new(),
        partitions: 4,
        replicas: 1,
        monitors: vec![],
        require_durable: false,
        lease_ms: LEASE.as_millis() as u64,
        instance: String::new(),
    }
}

pub(crate) async fn join(url: &str, role: &str, instance: &str) -> Cluster {
    Cluster::connect(&config(url), role, instance).await.unwrap()
}

/// Awaits with patience.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("still waiting: {what}"),
    }
}
