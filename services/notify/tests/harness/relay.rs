//! A mail relay that behaves as badly as a test asks it to.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use sen_chassis::Tasks;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::within;

/// How one mail is treated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    Accept,
    /// 451 to the recipient: try later.
    Defer,
    /// 550 to the recipient, with the address in the words, as relays do.
    Refuse,
    /// Nothing is said after MAIL.
    Hang,
    /// The mail is taken, and the connection is cut before that is said.
    TakeAndCut,
}

/// A mail as it came.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) source: String,
}

impl Mail {
    /// A header, unfolded.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.source.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let start = format!("{}:", name.to_lowercase());
        let found = head.lines().find(|line| line.to_lowercase().starts_with(&start));
        found.map_or_else(String::new, |line| line[start.len()..].trim().to_owned())
    }

    /// The parts of the body, decoded, with their languages.
    pub(crate) fn parts(&self) -> Vec<(String, String)> {
        let kind = self.header("content-type");
        let boundary = kind.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let boundary = format!("--{boundary}");
        let parts = self.source.split(&boundary).skip(1);
        let part = |text: &str| {
            let (head, body) = text.trim_start().split_once("\r\n\r\n")?;
            let field = |name: &str| {
                let line = head.lines().find(|line| line.to_lowercase().starts_with(name))?;
                Some(line[name.len()..].trim().to_owned())
            };
            let language = field("content-language:")?;
            Some((language, decode(&field("content-transfer-encoding:")?, body)))
        };
        parts.filter_map(part).collect()
    }
}

fn decode(encoding: &str, body: &str) -> String {
    use base64::Engine;
    if encoding == "base64" {
        let joined: String = body.split_whitespace().collect();
        let bytes = base64::prelude::BASE64_STANDARD.decode(joined).unwrap();
        return String::from_utf8(bytes).unwrap();
    }
    if encoding != "quoted-printable" {
        return body.to_owned();
    }
    let unfolded = body.replace("=\r\n", "");
    let (mut bytes, mut rest) = (Vec::new(), unfolded.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'=' {
            let hex = std::str::from_utf8(&rest[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The relay.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    mails: watch::Receiver<Vec<Mail>>,
    tries: watch::Receiver<usize>,
    _tasks: Tasks<std::io::Error>,
}

impl Relay {
    /// Treats its first mails as given and accepts all others.
    pub(crate) async fn new(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let manners: Arc<Mutex<VecDeque<Manner>>> =
            Arc::new(Mutex::new(manners.iter().copied().collect()));
        let (taken, mails) = watch::channel(Vec::new());
        let (count, tries) = watch::channel(0);
        let mut tasks = Tasks::new();
        tasks.spawn("relay", async move {
            let mut connections: Tasks<std::io::Error> = Tasks::new();
            loop {
                let (stream, _) = listener.accept().await?;
                count.send_modify(|count| *count += 1);
                let (taken, manners) = (taken.clone(), Arc::clone(&manners));
                connections.spawn("connection", async move {
                    let _ = serve(stream, &taken, &manners).await;
                    Ok(())
                });
            }
        });
        Self { address, mails, tries, _tasks: tasks }
    }

    /// The mails it took, once there are so many.
    pub(crate) async fn mails(&self, count: usize) -> Vec<Mail> {
        let mut mails = self.mails.clone();
        let arrived = mails.wait_for(|mails| mails.len() >= count);
        within(&format!("{count} mails"), arrived).await.unwrap().clone()
    }

    /// Waits for so many connections.
    pub(crate) async fn tried(&self, count: usize) {
        let mut tries = self.tries.clone();
        within("tries", tries.wait_for(|tries| *tries >= count)).await.unwrap();
    }
}

async fn serve(
    stream: TcpStream,
    taken: &watch::Sender<Vec<Mail>>,
    manners: &Mutex<VecDeque<Manner>>,
) -> std::io::Result<()> {
    let manner = manners.lock().unwrap().pop_front().unwrap_or(Manner::Accept);
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 relay.test ESMTP\r\n").await?;
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_uppercase();
        let reply = match command.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-relay.test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n".to_owned(),
            "MAIL" if matches!(manner, Manner::Hang) => {
                while stream.read(&mut [0; 64]).await? > 0 {}
                return Ok(());
            }
            "RCPT" => {
                line.trim_end().clone_into(&mut to);
                match manner {
                    Manner::Defer => "451 4.7.1 greylisted\r\n".to_owned(),
                    Manner::Refuse => format!("550 5.1.1 no such user {to}\r\n"),
                    _ => "250 OK\r\n".to_owned(),
                }
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let source = mail(&mut stream).await?;
                let to = to.clone();
                taken.send_modify(|mails| mails.push(Mail { to, source }));
                if matches!(manner, Manner::TakeAndCut) {
                    return Ok(());
                }
                "250 taken\r\n".to_owned()
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 OK\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

async fn mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut source = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(source);
        }
        source.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
