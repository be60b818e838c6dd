//! Forbidden addresses in every spelling are never connected to: a listener counts who comes.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use sen_chassis::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(2), total: Duration::from_millis(2_500) };

/// Answers every lookup with the next of the given addresses, and then with the last for ever.
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

impl Lookup for Script {
    fn addresses<'a>(&'a self, _: &'a str) -> Looked<'a> {
        let mut answers = self.0.lock().unwrap();
        let answer =
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        Box::pin(async move { Ok(answer) })
    }
}

/// A server on loopback that counts its connections and answers all requests alike.
struct Server {
    address: SocketAddr,
    connections: watch::Receiver<usize>,
    _tasks: Tasks<std::io::Error>,
}

impl Server {
    async fn new(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, connections) = watch::channel(0);
        let mut tasks = Tasks::new();
        tasks.spawn("server", async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                count.send_modify(|count| *count += 1);
                let mut request = vec![0; 16 << 10];
                let _ = stream.read(&mut request).await?;
                // Whoever stops reading has seen enough.
                let _ = stream.write_all(answer).await;
            }
        });
        Self { address, connections, _tasks: tasks }
    }

    fn count(&self) -> usize {
        *self.connections.borrow()
    }
}

fn egress(allow: &[&str], lookup: Arc<dyn Lookup>) -> Egress {
    let texts: Vec<_> = allow.iter().map(|&text| text.to_owned()).collect();
    Egress::new(Allow::parse(&texts).unwrap(), lookup, LIMITS).unwrap()
}

fn get(url: &str) -> Request {
    Request { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
}

fn is_forbidden(answer: &Result<Answer, EgressError>) -> bool {
    matches!(answer, Err(EgressError::Forbidden(_)))
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_connected_to() {
    let server = Server::new(OK).await;
    let port = server.address.port();
    let inside = Script::of(&[&["127.0.0.1"]]);
    let egress = egress(&[], inside);
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.000.000.001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "１２７.0.0.1",
        "127。0。0。1",
        "inside.example",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "10.0.0.1",
        "100.64.0.1",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
    ];
    for scheme in ["https", "http"] {
        for host in hosts {
            let url = format!("{scheme}://{host}:{port}/latest/meta-data");
            let answer = egress.send(get(&url)).await;
            assert!(is_forbidden(&answer), "{url}: {answer:?}");
        }
    }
    let odd = [
        format!("https://user@127.0.0.1:{port}/"),
        format!("https://sms.example.vn:secret@127.0.0.1:{port}/"),
        format!("https://sms.example.vn@127.0.0.1:{port}/"),
        format!("https:127.0.0.1:{port}/"),
        format!("https:\\\\127.0.0.1:{port}\\"),
        format!("gopher://127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        "data:,x".to_owned(),
        "//127.0.0.1/".to_owned(),
        String::new(),
        format!("https://127.0.0.1/{}", "x".repeat(5_000)),
    ];
    for url in odd {
        let answer = egress.send(get(&url)).await;
        assert!(is_forbidden(&answer), "{url}: {answer:?}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let server = Server::new(OK).await;
    let port = server.address.port();
    // Were it asked twice, the second answer would lead inside: only the first one counts, and
    // 192.0.0.0/24 is reached by nobody but is listed here, so that the way is tried.
    let rebinding = Script::of(&[&["192.0.0.8"], &["127.0.0.1"]]);
    let door = egress(&["192.0.0.0/24"], rebinding);
    let answer = door.send(get(&format!("https://rebind.example:{port}/"))).await;
    assert!(matches!(answer, Err(EgressError::Unreachable(_))), "{answer:?}");
    // The next request asks again, and then the answer is judged again.
    let answer = door.send(get(&format!("https://rebind.example:{port}/"))).await;
    assert!(is_forbidden(&answer), "{answer:?}");
    // One bad address among good ones is enough.
    let mixed = Script::of(&[&["93.184.216.34", "::1"]]);
    let answer = egress(&[], mixed).send(get(&format!("https://mixed.example:{port}/"))).await;
    assert!(is_forbidden(&answer), "{answer:?}");
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Server::new(OK).await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        target.address
    );
    let server = Server::new(answer.leak().as_bytes()).await;
    let listed = server.address.to_string();
    let egress = egress(&[&listed], Script::of(&[&["127.0.0.1"]]));
    let answer = egress.send(get(&format!("http://{listed}/"))).await.unwrap();
    assert_eq!((answer.status, server.count(), target.count()), (302, 1, 0));
}

#[tokio::test]
async fn what_is_listed_is_reached_by_exactly_its_name_and_port() {
    let (server, other) = (Server::new(OK).await, Server::new(OK).await);
    let (port, other_port) = (server.address.port(), other.address.port());
    let named = format!("relay.local:{port}");
    let door = egress(&[&named], Script::of(&[&["127.0.0.1"]]));
    let answer = door.send(get(&format!("http://relay.local:{port}/"))).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    for url in [
        format!("http://relay.local:{other_port}/"),
        format!("https://relay.local:{other_port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("https://relay.local.evil.example:{port}/"),
    ] {
        let answer = door.send(get(&url)).await;
        assert!(is_forbidden(&answer), "{url}: {answer:?}");
    }
    assert_eq!((server.count(), other.count()), (1, 0));
    let block = egress(&["127.0.0.0/8"], Script::of(&[&["127.0.0.1"]]));
    let answer = block.send(get(&format!("http://{}/", server.address))).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_long_answer_is_read_to_its_bound_and_a_slow_one_to_its_time() {
    let mut long = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    long.resize(1 << 20, b'x');
    let server = Server::new(long.leak()).await;
    let listed = server.address.to_string();
    let door = egress(&[&listed], Script::of(&[&["127.0.0.1"]]));
    let answer = door.send(get(&format!("http://{listed}/"))).await.unwrap();
    assert_eq!(answer.body.len(), ANSWER_BYTES);
    // It promises more than it sends and keeps the line open: no answer in time.
    let slow = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let listed = slow.local_addr().unwrap().to_string();
    let door = egress(&[&listed], Script::of(&[&["127.0.0.1"]]));
    let answer = door.send(get(&format!("http://{listed}/"))).await.unwrap_err();
    assert_eq!(answer, EgressError::Unreachable("no answer in time"));
}
