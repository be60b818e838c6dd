//! A small house around one gateway: a log, a store, somebody who answers commands, and clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sen_chassis::call::{self, Answerer};
use sen_chassis::telemetry::{self, Metrics};
use sen_chassis::{Clock, Health, Shutdown, Tasks};
use sen_gateway::{Config, Gateway, Ports, RunError, ScreensState};
use sen_log::{Log, Retention, Topic};
use sen_model::*;
use sen_store::Store;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) use crate::made::*;

/// How long a test waits for what must come. Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The clock of the house stands here.
pub(crate) const NOW_MS: i64 = 1_795_417_325_120;

const KEEP: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

/// A running gateway and everything it stands on.
pub(crate) struct House {
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) readings: Topic<ReadingBatch>,
    pub(crate) events: Topic<Event>,
    pub(crate) quarantine: Topic<Quarantined>,
    pub(crate) alerts: Topic<AlertRecord>,
    pub(crate) shadow: Topic<AlertRecord>,
    pub(crate) desk: Topic<DeskRecord>,
    pub(crate) deliveries: Topic<Delivery>,
    pub(crate) oncall: Answerer<OnCallAsk, OnCallAnswer>,
    pub(crate) backtests: Answerer<BacktestAsk, BacktestAnswer>,
    pub(crate) commands: Answerer<Command, CommandOutcome>,
    pub(crate) rules: watch::Sender<Arc<Vec<Rule>>>,
    pub(crate) health: Health,
    pub(crate) clock: Clock,
    pub(crate) screens: watch::Receiver<ScreensState>,
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    tasks: Tasks<RunError>,
}

/// The settings tests begin with.
pub(crate) fn config() -> Config {
    Config {
        listen: "127.0.0.1:0".into(),
        insecure_dev: false,
        hosts: Vec::new(),
        ticks_per_second: 4,
        heartbeat_ms: 200,
        hello_ms: 5_000,
        slow_ms: 10_000,
        live_connections: 100,
        request_ms: 10_000,
        idle_ms: 60_000,
        most_series: 10_000,
        cap: sen_gateway::Cap::default(),
        prometheus: sen_gateway::Prometheus::default(),
    }
}

fn metrics() -> Metrics {
    static ONCE: OnceLock<Metrics> = OnceLock::new();
    let install = || {
        let config = telemetry::Config { filter: "warn".into(), ..telemetry::Config::default() };
        telemetry::install(&config).unwrap()
    };
    ONCE.get_or_init(install).clone()
}

impl House {
    /// A house in `folder` with these settings; what an earlier one left there is still there.
    pub(crate) async fn with(folder: &Path, config: Config) -> Self {
        Self::over(folder, config, vec![device("stn-my-tho")]).await
    }

    /// The same over other devices.
    pub(crate) async fn over(folder: &Path, config: Config, devices: Vec<Device>) -> Self {
        let settings =
            sen_log::Config { segment_bytes: 8 << 20, reserve_bytes: 0, record_bytes: 1 << 20 };
        let log = Log::open(folder.join("log"), settings).unwrap();
        let store = Store::open(folder.join("store"), sen_store::Config::default()).unwrap();
        let (caller, commands) = call::channel(8);
        let (ask_oncall, oncall) = call::channel(8);
        let (ask_backtests, backtests) = call::channel(8);
        let rules = watch::Sender::new(Arc::new(vec![rule("flood"), rule("silence")]));
        let (health, clock) = (Health::new(), Clock::manual(NOW_MS));
        let ports = Ports {
            readings: log.topic("readings", KEEP).unwrap(),
            events: log.topic("events", KEEP).unwrap(),
            quarantine: log.topic("quarantine", KEEP).unwrap(),
            alerts: log.topic("alerts", KEEP).unwrap(),
            shadow: log.topic("shadow", KEEP).unwrap(),
            desk: log.topic("desk", KEEP).unwrap(),
            deliveries: log.topic("deliveries", KEEP).unwrap(),
            store: store.clone(),
            archive: None,
            kept: sen_store::Config::default(),
            registry: Arc::new(Registry::new(devices, places())),
            rules: rules.subscribe(),
            commands: caller,
            oncall: ask_oncall,
            backtests: ask_backtests,
            stored: watch::channel(Progress::default()).1,
            evaluated: watch::channel(Progress::default()).1,
            best_effort: watch::channel(None).1,
            health: health.clone(),
            metrics: metrics(),
            clock: clock.clone(),
            folder: folder.join("config"),
        };
        let (readings, events) = (ports.readings.clone(), ports.events.clone());
        let (quarantine, alerts) = (ports.quarantine.clone(), ports.alerts.clone());
        let (shadow, desk) = (ports.shadow.clone(), ports.desk.clone());
        let deliveries = ports.deliveries.clone();
        let gateway = Gateway::bind(config, ports).await.unwrap();
        let (address, shutdown) = (gateway.address(), Shutdown::new());
        let screens = gateway.screens();
        let mut tasks = Tasks::new();
        tasks.spawn("gateway", gateway.run(shutdown.clone()));
        Self {
            log,
            store,
            readings,
            events,
            quarantine,
            alerts,
            shadow,
            desk,
            deliveries,
            oncall,
            backtests,
            commands,
            rules,
            health,
            clock,
            screens,
            address,
            shutdown,
            tasks,
        }
    }

    /// Stops the gateway and closes the log, as a restart does.
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.tasks.join_all()).await.expect("it stops").unwrap();
        self.log.close().await;
    }

    /// Appends alerts.
    pub(crate) async fn alert(&self, records: Vec<AlertRecord>) -> u64 {
        self.alerts.append(records).await.unwrap().end - 1
    }

    /// A request as a program makes it.
    pub(crate) async fn request(&self, request: &str) -> (u16, BTreeMap<String, String>, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.expect("an answer").unwrap();
        parse(&String::from_utf8(answer).unwrap())
    }

    /// Waits until there are so many connected and so many stale screens.
    pub(crate) async fn until_screens(&mut self, connected: usize, stale: usize) {
        let wanted = ScreensState { connected, stale };
        let found = self.screens.wait_for(|state| *state == wanted);
        let found = tokio::time::timeout(PATIENCE, found).await.map(|found| *found.unwrap());
        assert_eq!(found, Ok(wanted), "{:?}", self.screens.borrow());
    }

    /// The head of the answer to anything at all; status 0 if there is none.
    pub(crate) async fn request_lossy(&self, request: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // The server may close while we still write, and reset what we have not read.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let head = async {
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                if !matches!(socket.read_buf(&mut answer).await, Ok(1..)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, head).await.expect("a head or an end");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or(0), answer)
    }

    /// GET, with the status.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let host = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let (status, _, body) = self.request(&request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// GET of something that need not be text, with its headers; in the old version of HTTP, which
    /// does not cut an answer into chunks.
    pub(crate) async fn table(
        &self,
        path: &str,
        accept: &str,
    ) -> (u16, BTreeMap<String, String>, Vec<u8>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let host = self.address;
        let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\naccept: {accept}\r\n\r\n");
        let mut socket = TcpStream::connect(host).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.expect("an answer").unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        let body = answer.split_off(head);
        let (status, headers, _) = parse(&String::from_utf8(answer).unwrap());
        (status, headers, body)
    }

    /// POST of a JSON body with more headers.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value) {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (host, length) = (self.address, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: \
             application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        let (status, _, body) = self.request(&request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Asks until `found` says so.
    pub(crate) async fn until(&self, path: &str, found: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let (_, answer) = self.get(path).await;
                if found(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("in vain: {path}"))
    }
}

/// Status, headers and body of an answer that ends with its connection.
fn parse(answer: &str) -> (u16, BTreeMap<String, String>, String) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    if headers.get("transfer-encoding").is_none_or(|coding| coding != "chunked") {
        return (status, headers, body.to_owned());
    }
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&after[..length]);
        rest = after.get(length + 2..).unwrap_or("");
    }
    (status, headers, whole)
}

/// A client of the live protocol.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The newest frame about the whole centre: it may come between any two others.
    pub(crate) centre: Value,
}

impl Client {
    /// A socket without a hello.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let url = format!("ws://{address}/api/v1/live");
        let socket = tokio_tungstenite::connect_async(url).await.unwrap().0;
        Self { socket, centre: Value::Null }
    }

    /// A socket after hello and welcome.
    pub(crate) async fn hello(address: SocketAddr, screen: &str, resume: Value) -> (Self, Value) {
        Self::view(address, screen, "all", resume).await
    }

    /// The same for one view.
    pub(crate) async fn view(
        address: SocketAddr,
        screen: &str,
        view: &str,
        resume: Value,
    ) -> (Self, Value) {
        let mut client = Self::open(address).await;
        let hello = json!({"type":"hello","v":1,"screen":screen,"view":view,"resume":resume});
        client.send(&hello.to_string()).await;
        let welcome = client.frame().await.expect("a welcome");
        assert_eq!(welcome["type"], "welcome");
        (client, welcome)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// A screen whose kernel takes a few kilobytes, and that reads nothing by itself.
    pub(crate) async fn narrow(address: SocketAddr, screen: &str, resume: Value) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        let url = format!("ws://{address}/api/v1/live");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut client = Self { socket, centre: Value::Null };
        let hello = json!({"type":"hello","v":1,"screen":screen,"view":"all","resume":resume});
        client.send(&hello.to_string()).await;
        client
    }

    /// The next frame that is not about the whole centre, or the close code.
    pub(crate) async fn frame(&mut self) -> Result<Value, u16> {
        loop {
            let frame = self.any_frame().await?;
            if frame["type"] != "centre" {
                return Ok(frame);
            }
            self.centre = frame;
        }
    }

    /// Reads until the centre stands as wanted.
    pub(crate) async fn until_centre(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        while !wanted(&self.centre) {
            let frame = self.any_frame().await.unwrap_or_else(|code| panic!("closed {code}"));
            if frame["type"] == "centre" {
                self.centre = frame;
            }
        }
        self.centre.clone()
    }

    /// The next frame, or the close code.
    pub(crate) async fn any_frame(&mut self) -> Result<Value, u16> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(close)))) => return Err(close.code.into()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(0),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next frame of a type; others are passed over.
    pub(crate) async fn until(&mut self, wanted: &str) -> Value {
        self.before(wanted).await.pop().unwrap()
    }

    /// Every frame up to the next of a type, which is the last one.
    pub(crate) async fn before(&mut self, wanted: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await.unwrap_or_else(|code| panic!("closed {code}"));
            let is_wanted = frame["type"] == wanted;
            frames.push(frame);
            if is_wanted {
                return frames;
            }
        }
    }

    /// Reads until the server closes, and gives the code.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.frame().await {
                return code;
            }
        }
    }
}
