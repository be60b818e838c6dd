//! One MQTT connection of the generator: writes ready packets, counts the answers, nothing else.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::packet::{self, Answer, Template};

/// How long a connection may take to be accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than any measurement, so that no PINGREQ is needed.
const KEEP_ALIVE_S: u16 = 1_800;
/// Bytes taken from the socket at once: 4,096 PUBACKs.
const READ_BYTES: usize = 16 * 1024;

/// A connected device. Closing it is dropping it.
#[derive(Debug)]
pub(super) struct Device {
    stream: TcpStream,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    next_id: u16,
    /// Packets that were sent and not yet acknowledged: id, readings, and when.
    in_flight: VecDeque<(u16, u64, u64)>,
}

/// One packet's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// How many readings it carried.
    pub readings: u64,
    /// What the sender said the time was.
    pub sent_us: u64,
}

impl Device {
    /// Connects as `client_id` and waits for the CONNACK.
    pub(super) async fn connect(address: SocketAddr, client_id: &str) -> anyhow::Result<Self> {
        let connecting = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&packet::connect(client_id, KEEP_ALIVE_S)).await?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await?;
            match packet::answer(&answer)? {
                Some((Answer::Connected(0), _)) => Ok(stream),
                other => bail!("refused with {other:?}"),
            }
        };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .context("no answer in time")
            .and_then(|connected| connected)
            .with_context(|| format!("{client_id} cannot connect to {address}"))?;
        Ok(Self {
            stream,
            outbox: Vec::new(),
            inbox: Vec::new(),
            next_id: 0,
            in_flight: VecDeque::new(),
        })
    }

    /// Puts a packet into the outbox; [`flush`](Self::flush) sends all of them with one write.
    pub(super) fn put(&mut self, template: &Template, time_ms: i64, value: u32, now_us: u64) {
        // 0 is not a packet id.
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        template.write(&mut self.outbox, self.next_id, time_ms, value);
        if template.wants_answer() {
            self.in_flight.push_back((self.next_id, template.readings(), now_us));
        }
    }

    /// Sends what was put. Waits while the endpoint does not read: its back pressure.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.outbox).await?;
        self.outbox.clear();
        Ok(())
    }

    /// How many packets are not yet acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Waits for bytes and gives the acknowledgements in them; an acknowledgement out of order or
    /// of a packet that was never sent is an error. Cancel-safe.
    pub(super) async fn answers(&mut self) -> anyhow::Result<Vec<Acknowledged>> {
        self.inbox.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.inbox).await?;
        ensure!(read > 0, "the endpoint closed the connection");
        let mut begin = 0;
        let mut acknowledged = Vec::new();
        while let Some((answer, length)) = packet::answer(&self.inbox[begin..])? {
            begin += length;
            let Answer::Acknowledged(id) = answer else { bail!("unexpected {answer:?}") };
            match self.in_flight.pop_front() {
                Some((sent_id, readings, sent_us)) if sent_id == id => {
                    acknowledged.push(Acknowledged { readings, sent_us });
                }
                Some((sent_id, ..)) => bail!("acknowledged {id} while {sent_id} was next"),
                None => bail!("acknowledged {id}, which was not sent"),
            }
        }
        self.inbox.drain(..begin);
        Ok(acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Endpoint;
    use super::super::packet::Qos;
    use super::*;

    /// A device that has sent `count` packets, and the endpoint's answer to them.
    async fn sent(count: usize, answer: &[u8]) -> anyhow::Result<(Device, TcpStream)> {
        let endpoint = Endpoint::bind().await?;
        let connecting = Device::connect(endpoint.address, "d-1");
        let (device, stream) = tokio::join!(connecting, endpoint.accept());
        let (mut device, mut stream) = (device?, stream?);
        let template = Template::new("d-1", &["m".to_owned()], Qos::AtLeastOnce);
        for index in 0..count {
            device.put(&template, 1_795_416_125_120, 12_345, index as u64);
        }
        device.flush().await?;
        stream.write_all(answer).await?;
        Ok((device, stream))
    }

    #[tokio::test]
    async fn counts_each_acknowledgement_once_even_if_it_comes_in_pieces() -> anyhow::Result<()> {
        let (mut device, mut stream) = sent(3, b"\x40\x02\x00\x01\x40\x02").await?;
        let first = device.answers().await?;
        assert_eq!(first, [Acknowledged { readings: 1, sent_us: 0 }]);
        stream.write_all(b"\x00\x02\x40\x02\x00\x03").await?;
        let mut rest = Vec::new();
        while rest.len() < 2 {
            rest.extend(device.answers().await?);
        }
        assert_eq!(rest.iter().map(|ack| ack.sent_us).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(device.in_flight(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn an_acknowledgement_out_of_order_is_an_error() -> anyhow::Result<()> {
        let (mut device, _stream) = sent(2, b"\x40\x02\x00\x02").await?;
        let error = device.answers().await.unwrap_err().to_string();
        assert!(error.contains("acknowledged 2"), "{error}");
        Ok(())
    }

    #[tokio::test]
    async fn an_acknowledgement_of_nothing_is_an_error() -> anyhow::Result<()> {
        let (mut device, _stream) = sent(0, b"\x40\x02\x00\x01").await?;
        assert!(device.answers().await.is_err());
        Ok(())
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_an_error() -> anyhow::Result<()> {
        let (mut device, stream) = sent(1, b"").await?;
        drop(stream);
        assert!(device.answers().await.is_err());
        Ok(())
    }
}
