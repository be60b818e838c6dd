//! A web server that behaves as badly as a test asks it to.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sen_chassis::Tasks;
use sen_ports::Port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::within;

/// How one request is treated.
#[derive(Clone, Debug)]
pub(crate) enum Treatment {
    /// It is answered.
    Answer(u16, &'static str),
    /// It is never answered.
    Silence,
    /// It is read, and then the connection is reset.
    Reset,
    /// A good answer is begun, and then the connection is reset.
    BreakOff,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The server.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    _port: Port,
    requests: watch::Sender<Vec<Request>>,
    treatments: Arc<Mutex<VecDeque<Treatment>>>,
    tasks: Tasks<std::io::Error>,
}

impl Web {
    /// Treats its first requests as given and answers all others with 200.
    pub(crate) async fn new(treatments: &[Treatment]) -> Self {
        let mut web = Self::down(treatments).await;
        web.up().await;
        web
    }

    /// As [`new`](Self::new), but nobody listens until it is [`up`](Self::up).
    pub(crate) async fn down(treatments: &[Treatment]) -> Self {
        let port = Port::hold().unwrap();
        let treatments = Arc::new(Mutex::new(treatments.iter().cloned().collect()));
        Self {
            address: port.address(),
            _port: port,
            requests: watch::Sender::default(),
            treatments,
            tasks: Tasks::new(),
        }
    }

    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (requests, treatments) = (self.requests.clone(), Arc::clone(&self.treatments));
        self.tasks.spawn("web", async move {
            let mut connections: Tasks<std::io::Error> = Tasks::new();
            loop {
                let (stream, _) = listener.accept().await?;
                let (requests, treatments) = (requests.clone(), Arc::clone(&treatments));
                connections.spawn("connection", async move {
                    // A client may leave at any time.
                    let _ = serve(stream, &requests, &treatments).await;
                    Ok(())
                });
            }
        });
    }

    /// The requests, once there are so many.
    pub(crate) async fn requests(&self, count: usize) -> Vec<Request> {
        let mut requests = self.requests.subscribe();
        let arrived = requests.wait_for(|requests| requests.len() >= count);
        within(&format!("{count} requests"), arrived).await.unwrap().clone()
    }

    pub(crate) fn so_far(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: &watch::Sender<Vec<Request>>,
    treatments: &Mutex<VecDeque<Treatment>>,
) -> std::io::Result<()> {
    let request = read(&mut stream).await?;
    let treatment = treatments.lock().unwrap().pop_front();
    requests.send_modify(|requests| requests.push(request));
    match treatment.unwrap_or(Treatment::Answer(200, r#"{"error": 0}"#)) {
        Treatment::Answer(status, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
        }
        Treatment::Silence => {
            // Until the client has had enough.
            while stream.read(&mut [0; 64]).await? > 0 {}
        }
        Treatment::Reset => stream.set_zero_linger()?,
        Treatment::BreakOff => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{").await?;
            stream.set_zero_linger()?;
        }
    }
    Ok(())
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&more[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end);
    while body.len() < length {
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&more[..count]);
    }
    Ok(Request { line, headers, body })
}
