//! NATS servers for the tests: real processes on loopback, in folders of their own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sen_log::nats;
use sen_ports::Port;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Partitions of the batched topics, as in the mapping below.
pub(crate) const PARTITIONS: u32 = 4;
/// Lines of a server's log that a failed test shows.
const LAST_LINES: usize = 30;

/// A server that can be killed and started again, with its folder and its ports.
pub(crate) struct Server {
    folder: TempDir,
    port: Port,
    monitor: Port,
    /// Of those that are several.
    route: Option<Port>,
    child: Option<Child>,
}

impl Server {
    /// A server with the mapping of batched topics.
    pub(crate) fn start() -> Self {
        Self::start_with(MAPPING, "")
    }

    /// A server that was not told of the mapping.
    pub(crate) fn start_unmapped() -> Self {
        Self::start_with("", "")
    }

    /// A server whose mapping has more partitions than the settings say.
    pub(crate) fn start_with_more_partitions() -> Self {
        Self::start_with(&MAPPING.replace("partition(4,", "partition(16,"), "")
    }

    /// A server with room for 16 MB.
    pub(crate) fn start_small() -> Self {
        let mut server = Self::prepare(MAPPING, "");
        server.change("max_file_store: 1G", "max_file_store: 16M");
        server.start_again();
        server
    }

    /// Stops it as the system does, gives it more room, and starts it again.
    pub(crate) fn make_room(&mut self) {
        self.kill();
        self.change("max_file_store: 16M", "max_file_store: 1G");
        self.start_again();
    }

    fn change(&self, from: &str, to: &str) {
        let path = self.folder.path().join("nats.conf");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    fn start_with(mapping: &str, cluster: &str) -> Self {
        let mut server = Self::prepare(mapping, cluster);
        server.start_again();
        server
    }

    /// Its folder and ports; not started yet.
    fn prepare(mapping: &str, cluster: &str) -> Self {
        let [port, monitor] = [(); 2].map(|()| Port::hold().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "listen: \"{}\"\nhttp: \"{}\"\nserver_name: s{}\n\
             jetstream {{ store_dir: {:?}, max_memory_store: 64M, max_file_store: 1G }}\n\
             {mapping}\n{cluster}\n",
            port.address(),
            monitor.address(),
            port.number(),
            folder.path().join("store"),
        );
        std::fs::write(folder.path().join("nats.conf"), text).unwrap();
        Self { folder, port, monitor, route: None, child: None }
    }

    pub(crate) fn start_again(&mut self) {
        let log = std::fs::File::options();
        let log = log.clone().create(true).append(true).open(self.folder.path().join("log"));
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.child = Some(child.expect("nats-server is installed"));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn monitor(&self) -> String {
        format!("http://{}", self.monitor.address())
    }

    /// The name it was given.
    pub(crate) fn name(&self) -> String {
        format!("s{}", self.port.number())
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        connect(&[self.url()]).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
            eprintln!("the last lines of {}:", self.name());
            lines.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
        self.kill();
    }
}

const MAPPING: &str = r#"mappings = {
    "sen.in.readings.*": "sen.readings.{{partition(4,1)}}.{{wildcard(1)}}"
}"#;

/// Three servers that keep every record together.
pub(crate) fn cluster() -> [Server; 3] {
    let routes = [(); 3].map(|()| Port::hold().unwrap());
    let all = routes.each_ref().map(|route| format!("\"nats://{}\"", route.address())).join(", ");
    routes.map(|route| {
        let listen = route.address();
        let cluster = format!("cluster {{ name: c, listen: \"{listen}\", routes: [{all}] }}");
        let mut server = Server::start_with(MAPPING, &cluster);
        server.route = Some(route);
        server
    })
}

/// Connects, once a server listens.
pub(crate) async fn connect(urls: &[String]) -> async_nats::Client {
    let options = async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|_| Duration::from_millis(50));
    let urls: Vec<async_nats::ServerAddr> = urls.iter().map(|url| url.parse().unwrap()).collect();
    let client = options.connect(urls).await.unwrap();
    let until = Instant::now() + PATIENCE;
    while client.connection_state() != async_nats::connection::State::Connected {
        assert!(Instant::now() < until, "no server listens");
        sleep(Duration::from_millis(10)).await;
    }
    client
}

pub(crate) fn config(replicas: usize) -> nats::Config {
    let (name, monitors) = ("sen".to_owned(), Vec::new());
    nats::Config { name, partitions: PARTITIONS, replicas, monitors }
}
