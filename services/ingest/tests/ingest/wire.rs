//! A small MQTT client that does exactly what a test tells it, 3.1.1 (4) and 5 alike.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::PATIENCE;

pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBCOMP: u8 = 7;
pub const SUBACK: u8 = 9;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;

/// A packet as it came.
#[derive(Debug, PartialEq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub body: Vec<u8>,
}

impl Frame {
    /// The packet id at the beginning of an answer.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.body[0], self.body[1]])
    }
}

/// What CONNECT says beside the client id.
#[derive(Clone, Copy, Default)]
pub struct Hello<'a> {
    pub keep_alive_s: u16,
    pub will: Option<(&'a str, &'a str)>,
    pub keeps_session: bool,
}

pub struct Wire {
    stream: TcpStream,
    version: u8,
    /// Whether the server said it had kept a session.
    pub session_present: bool,
}

impl Wire {
    /// Connects and expects to be welcome.
    pub async fn connect(address: SocketAddr, version: u8, client: &str) -> Self {
        Self::connect_with(address, version, client, Hello::default()).await
    }

    pub async fn connect_with(
        address: SocketAddr,
        version: u8,
        client: &str,
        hello: Hello<'_>,
    ) -> Self {
        let mut wire = Self {
            stream: TcpStream::connect(address).await.unwrap(),
            version,
            session_present: false,
        };
        wire.stream.set_nodelay(true).unwrap();
        wire.send(0x10, &hello_body(version, client, hello)).await;
        let welcome = wire.next().await;
        assert_eq!((welcome.kind, welcome.body[1]), (CONNACK, 0), "welcome");
        wire.session_present = welcome.body[0] & 1 == 1;
        wire
    }

    /// Sends a packet with its first byte and body.
    pub async fn send(&mut self, first: u8, body: &[u8]) {
        self.stream.write_all(&frame(first, body)).await.unwrap();
    }

    /// Sends bytes that need not be a packet; the other side may have hung up already.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, id: u16) {
        self.publish_flagged(topic, payload, qos << 1, id).await;
    }

    /// Publishes with these flags: 1 = retain, 2 and 4 = QoS, 8 = duplicate.
    pub async fn publish_flagged(&mut self, topic: &str, payload: &[u8], flags: u8, id: u16) {
        self.send(0x30 | flags, &publish_body(self.version, topic, payload, flags, id)).await;
    }

    /// Subscribes and gives the answer's code.
    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        let mut body = 7_u16.to_be_bytes().to_vec();
        if self.version == 5 {
            body.push(0);
        }
        text(&mut body, filter);
        body.push(qos);
        self.send(0x82, &body).await;
        let mut last = 0;
        // Retained messages may come before the SUBACK; they are left out here.
        loop {
            let answer = self.next().await;
            if answer.kind == SUBACK {
                last = answer.body.last().copied().unwrap_or(last);
                return last;
            }
        }
    }

    pub async fn ping(&mut self) {
        self.send(0xc0, &[]).await;
        assert_eq!(self.next().await.kind, PINGRESP);
    }

    pub async fn disconnect(mut self) {
        self.send(0xe0, &[]).await;
    }

    /// The next packet.
    pub async fn next(&mut self) -> Frame {
        self.next_or_end().await.expect("a packet, not the end of the connection")
    }

    /// The next packet, or none if the server has closed the connection.
    pub async fn next_or_end(&mut self) -> Option<Frame> {
        let read = read_frame(&mut self.stream);
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
    }

    /// Whether nothing has come for a short while.
    pub async fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let peek = self.stream.peek(&mut byte);
        tokio::time::timeout(Duration::from_millis(200), peek).await.is_err()
    }

    /// The topic and payload of a PUBLISH that was received.
    pub fn read_publish(&self, frame: &Frame) -> (String, Vec<u8>) {
        assert_eq!(frame.kind, PUBLISH);
        let length = usize::from(frame.id());
        let topic = String::from_utf8(frame.body[2..2 + length].to_vec()).unwrap();
        let mut at = 2 + length + if frame.flags & 6 > 0 { 2 } else { 0 };
        if self.version == 5 {
            at += 1 + usize::from(frame.body[at]);
        }
        (topic, frame.body[at..].to_vec())
    }
}

/// Reads one packet; none at the end of the stream.
pub async fn read_frame(stream: &mut TcpStream) -> Option<Frame> {
    let first = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Frame { kind: first >> 4, flags: first & 0x0f, body })
}

/// A packet as bytes.
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = length > 0x7f;
        bytes.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a PUBLISH.
pub fn publish_body(version: u8, topic: &str, payload: &[u8], flags: u8, id: u16) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if flags & 6 > 0 {
        body.extend(id.to_be_bytes());
    }
    if version == 5 {
        body.push(0);
    }
    body.extend(payload);
    body
}

fn hello_body(version: u8, client: &str, hello: Hello<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    let will_flag = if hello.will.is_some() { 0x04 } else { 0 };
    body.extend([version, will_flag | if hello.keeps_session { 0 } else { 2 }]);
    body.extend(hello.keep_alive_s.to_be_bytes());
    if version == 5 {
        body.push(0);
    }
    text(&mut body, client);
    if let Some((topic, payload)) = hello.will {
        if version == 5 {
            body.push(0);
        }
        text(&mut body, topic);
        text(&mut body, payload);
    }
    body
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}
