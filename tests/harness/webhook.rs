//! A receiver of webhooks that may treat them badly.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How a request is treated that is not told otherwise.
const TAKEN: Way = Way::Answer(200, r#"{"error": 0}"#);

/// How one request is treated.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// With this status and body.
    Answer(u16, &'static str),
    /// It is read, and then the connection is reset.
    Reset,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Came {
    /// Its idempotency key.
    pub key: String,
    /// What it says.
    pub body: String,
}

/// What came, and what is to come.
#[derive(Debug, Default)]
struct Book {
    requests: Vec<Came>,
    ways: VecDeque<Way>,
}

/// A receiver of webhooks, gone when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    _serving: JoinSet<()>,
}

impl Receiver {
    /// Listens on a port of loopback, and takes everything.
    pub async fn begin() -> anyhow::Result<Self> {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), &[]).await
    }

    /// Listens at an address; its first requests it treats in these ways, and takes all others.
    pub async fn at(address: SocketAddr, ways: &[Way]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let book = Book { requests: Vec::new(), ways: ways.to_vec().into() };
        let book = Arc::new(Mutex::new(book));
        let (served, mut serving) = (Arc::clone(&book), JoinSet::new());
        serving.spawn(async move {
            // One that stands still keeps nobody else waiting.
            let mut treated = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // A client may leave at any time.
                treated.spawn(treat(stream, Arc::clone(&served)));
                while treated.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, book, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that came, in order.
    pub fn came(&self) -> Vec<Came> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).requests.clone()
    }

    /// The idempotency keys of the requests that came, in order.
    pub fn keys(&self) -> Vec<String> {
        self.came().into_iter().map(|came| came.key).collect()
    }
}

async fn treat(mut stream: TcpStream, book: Arc<Mutex<Book>>) -> std::io::Result<()> {
    let (head, body) = read(&mut stream).await?;
    let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
    let way = {
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        book.requests.push(Came { key: key.unwrap_or_default().to_owned(), body });
        book.ways.pop_front().unwrap_or(TAKEN)
    };
    match way {
        Way::Answer(status, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
            stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
            stream.shutdown().await
        }
        Way::Reset => stream.set_zero_linger(),
    }
}

/// Reads a request whole; gives its head in lower case, and its body.
async fn read(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            let begin = head.len() + 4;
            if let Some(body) = bytes.get(begin..begin + length) {
                return Ok((head.to_owned(), String::from_utf8_lossy(body).into_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
