//! An MQTT endpoint for the generator's own tests: takes packets and answers as a test wants.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::packet;

/// A listening port.
pub(super) struct Endpoint {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What one connection sent.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Packets of QoS 0 and 1.
    pub publishes: usize,
    /// Most packets that waited for their acknowledgement.
    pub most_waiting: usize,
    /// Their payloads.
    pub payloads: Vec<String>,
}

impl Endpoint {
    /// On a free port.
    pub(super) async fn bind() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Takes one connection and answers its CONNECT.
    pub(super) async fn accept(&self) -> anyhow::Result<TcpStream> {
        let (mut stream, _) = self.listener.accept().await?;
        let mut start = [0; 2];
        stream.read_exact(&mut start).await?;
        ensure!(start[0] == 0x10, "not a CONNECT");
        stream.read_exact(&mut vec![0; usize::from(start[1])]).await?;
        stream.write_all(b"\x20\x02\x00\x00").await?;
        Ok(stream)
    }

    /// Takes one connection and everything on it until it closes. Acknowledges only when `window`
    /// packets wait, or when `last` packets have come: a sender that keeps fewer under way would
    /// wait for ever.
    pub(super) async fn serve(&self, window: usize, last: usize) -> anyhow::Result<Received> {
        let mut stream = self.accept().await?;
        let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
        let mut received = Received::default();
        while stream.read_buf(&mut bytes).await? > 0 {
            while let Some((packet, length)) = publish(&bytes)? {
                received.publishes += 1;
                received.payloads.push(packet.payload);
                waiting.extend(packet.id);
                bytes.drain(..length);
            }
            received.most_waiting = received.most_waiting.max(waiting.len());
            if waiting.len() >= window || received.publishes >= last {
                for [high, low] in waiting.drain(..) {
                    stream.write_all(&[0x40, 2, high, low]).await?;
                }
            }
        }
        Ok(received)
    }
}

struct Publish {
    id: Option<[u8; 2]>,
    payload: String,
}

fn publish(bytes: &[u8]) -> anyhow::Result<Option<(Publish, usize)>> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, digits)) = packet::length(rest)? else { return Ok(None) };
    let Some(body) = rest.get(digits..digits + length) else { return Ok(None) };
    let (topic, rest) = body.split_first_chunk::<2>().context("a topic")?;
    let rest = &rest[usize::from(u16::from_be_bytes(*topic))..];
    let (id, payload) = match first {
        0x30 => (None, rest),
        0x32 => {
            rest.split_first_chunk::<2>().map(|(id, rest)| (Some(*id), rest)).context("an id")?
        }
        other => anyhow::bail!("not a PUBLISH: {other:#x}"),
    };
    let payload = std::str::from_utf8(payload)?.to_owned();
    Ok(Some((Publish { id, payload }, 1 + digits + length)))
}
