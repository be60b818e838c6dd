//! A webhook that is down, answers badly and breaks off, while the centre itself is killed: it is
//! tried until it has taken the message, always under one key, and the next person is called.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use sen_tests::centre::append;
use sen_tests::device::Device;
use sen_tests::judging::rule_text;
use sen_tests::trial::{add, names};
use sen_tests::wait_for;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{Centre, now_ms};

/// How the receiver treats its first requests; it takes all others.
const WAYS: [Way; 4] = [
    Way::Answer(500, "oops"),
    Way::Answer(200, r#"{"error": -216}"#),
    Way::Reset,
    Way::Answer(429, ""),
];
const TAKEN: Way = Way::Answer(200, r#"{"error": 0}"#);

/// How one request is treated.
#[derive(Clone, Copy)]
enum Way {
    Answer(u16, &'static str),
    /// It is read, and then the connection is reset.
    Reset,
}

/// The keys of the requests that came, in order.
type Keys = Arc<Mutex<Vec<String>>>;

/// A receiver of webhooks, gone when dropped.
struct Receiver {
    keys: Keys,
    _serving: JoinSet<()>,
}

impl Receiver {
    async fn at(address: SocketAddr, ways: &[Way]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let keys = Keys::default();
        let (noted, mut ways) = (Arc::clone(&keys), VecDeque::from(ways.to_vec()));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client may leave at any time.
                let _ = treat(stream, &noted, &mut ways).await;
            }
        });
        Ok(Self { keys, _serving: serving })
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn treat(
    mut stream: TcpStream,
    keys: &Keys,
    ways: &mut VecDeque<Way>,
) -> std::io::Result<()> {
    let head = read(&mut stream).await?;
    let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
    let key = key.unwrap_or_default().to_owned();
    keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    match ways.pop_front().unwrap_or(TAKEN) {
        Way::Answer(status, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
            stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
            stream.shutdown().await
        }
        Way::Reset => stream.set_zero_linger(),
    }
}

/// Reads a request whole; gives its head in lower case.
async fn read(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            if bytes.len() >= head.len() + 4 + length {
                return Ok(head.to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// An is called by the first webhook, and Bình by the second when she does not answer.
fn plan(first: SocketAddr, second: SocketAddr) -> String {
    let webhook = |name: &str, at: SocketAddr| {
        format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"http://{at}/send\"\n\
             answer = {{ pointer = \"/error\", equals = 0 }}\n"
        )
    };
    let person = |id: &str, channel: &str| {
        format!("[[person]]\nid = \"{id}\"\nname = \"{id}\"\nchannels = [\"{channel}\"]\n")
    };
    let step = |id: &str, channel: &str, wait: &str| {
        format!(
            "[[policy.step]]\nperson = \"{id}\"\nchannels = [\"{channel}\"]\nwait = \"{wait}\"\n"
        )
    };
    [
        "[egress]\nallow = [\"127.0.0.0/8\"]\n".to_owned(),
        webhook("first", first),
        webhook("second", second),
        person("an", "first"),
        person("binh", "second"),
        "[[policy]]\nid = \"critical\"\nseverities = [1]\n".to_owned(),
        step("an", "first", "1s"),
        step("binh", "second", "10m"),
    ]
    .concat()
}

/// What became of the message over a channel, once it is as wanted.
async fn delivery(centre: &Centre, channel: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(&format!("a delivery by {channel}"), async || {
        let all = centre.all("/deliveries").await.ok()?;
        let of_channel = |one: &Value| one["channel"] == channel;
        all.into_iter().find(|one| of_channel(one) && wanted(one))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_in_many_ways_gets_its_message_under_one_key() -> anyhow::Result<()> {
    let free = async || TcpListener::bind("127.0.0.1:0").await?.local_addr();
    let (first, second) = (free().await?, free().await?);
    let lines = "metrics = [\"trial\"]\nseverity = 1\nat_least = 10\n";
    let quick = [("SEN__NOTIFY__RETRY_MOST_MS", "300")];
    let centre = Centre::configured(&quick, |config| {
        append(config, "oncall.toml", &plan(first, second))?;
        add(config, &names("trial", 1), 600_000, &[rule_text("trial", lines)])
    });
    let mut centre = centre?;
    let next = Receiver::at(second, &[]).await?;
    let mut device = Device::connect("gateway-1", centre.mqtt_port()).await?;
    device.report("trial-0", "trial", now_ms(), 12.0).await?;
    // Nobody listens yet: it is tried, and Bình is called meanwhile.
    delivery(&centre, "first", |one| one["attempts"].as_u64() >= Some(2)).await;
    delivery(&centre, "second", |one| one["state"] == "delivered").await;
    centre.restart()?;
    let receiver = Receiver::at(first, &WAYS).await?;
    let delivered = delivery(&centre, "first", |one| one["state"] == "delivered").await;
    let keys = receiver.keys();
    ensure!(keys.len() == WAYS.len() + 1, "tried until taken, and no more: {keys:?}");
    let different: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    ensure!(different.len() == 1 && delivered["id"] == keys[0], "{delivered} {keys:?}");
    let called: BTreeSet<String> = next.keys().into_iter().collect();
    ensure!(called.len() == 1, "Bình is called once: {called:?}");
    Ok(())
}
