//! Everything is said again: with the DUP flag, under a new packet id, and once more after a
//! reconnect. It counts once.

use anyhow::{Context, ensure};
use sen_tests::ledger::{Ledger, payload_of, reading, topic_of};
use sen_tests::oracle::Report;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Centre, GAUGE, LEVEL, alerts_of, level_three, now_ms};

const PACKETS: i64 = 60;
const PACKET: i64 = 10;

/// A connection that sets every bit itself, as no client library lets one (MQTT 3.1.1).
struct Wire(TcpStream);

impl Wire {
    async fn connect(address: &str, client: &str) -> anyhow::Result<Self> {
        let mut wire = Self(TcpStream::connect(address).await?);
        let mut body = b"\x00\x04MQTT\x04\x02\x00\x3c".to_vec();
        text(&mut body, client);
        wire.send(0x10, &body).await?;
        ensure!(wire.answer().await? == (0x20, vec![0, 0]), "not welcome");
        Ok(wire)
    }

    /// Publishes with QoS 1 and waits for the PUBACK of this packet id.
    async fn publish(
        &mut self,
        id: u16,
        is_repeat: bool,
        topic: &str,
        payload: &str,
    ) -> anyhow::Result<()> {
        let mut body = Vec::new();
        text(&mut body, topic);
        body.extend(id.to_be_bytes());
        body.extend(payload.as_bytes());
        self.send(if is_repeat { 0x3a } else { 0x32 }, &body).await?;
        let answer = self.answer().await?;
        ensure!(answer == (0x40, id.to_be_bytes().to_vec()), "no PUBACK for {id}: {answer:?}");
        Ok(())
    }

    async fn send(&mut self, kind: u8, body: &[u8]) -> anyhow::Result<()> {
        let mut packet = vec![kind];
        let mut length = body.len();
        while length > 127 {
            packet.push((length % 128) as u8 | 0x80);
            length /= 128;
        }
        packet.push(length as u8);
        packet.extend(body);
        Ok(self.0.write_all(&packet).await?)
    }

    /// The kind and the body of the next packet, which is a short one.
    async fn answer(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        let answering = async {
            let (kind, length) = (self.0.read_u8().await?, self.0.read_u8().await?);
            let mut body = vec![0; usize::from(length)];
            self.0.read_exact(&mut body).await?;
            anyhow::Ok((kind, body))
        };
        tokio::time::timeout(sen_tests::PATIENCE, answering).await.context("no answer")?
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}

/// Ten readings of the gauge: over alarm level III for the first half of all packets, then under it.
fn packet(begun_ms: i64, number: i64) -> Vec<Report> {
    let level = if number < PACKETS / 2 { 1.75 } else { 0.9 };
    let at = |n: i64| begun_ms + (number * PACKET + n) * 6_000;
    (0..PACKET).map(|n| reading(GAUGE, LEVEL, at(n), level + n as f64 / 1_024.0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_four_times_counts_once() -> anyhow::Result<()> {
    let centre = Centre::with(&[("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "100")], &[])?;
    let rule = level_three(&centre).await?;
    let begun_ms = now_ms() - 2 * 3_600_000;
    let mut ledger = Ledger::default();
    let mut wire = Wire::connect(centre.mqtt(), GAUGE).await?;
    let topic = topic_of(GAUGE);
    for number in 0..PACKETS {
        let reports = packet(begun_ms, number);
        ledger.note_sent(&reports);
        let (id, payload) = (1 + (number * 2) as u16, payload_of(&reports));
        wire.publish(id, false, &topic, &payload).await?;
        wire.publish(id, true, &topic, &payload).await?;
        wire.publish(id + 1, false, &topic, &payload).await?;
        ledger.note_acknowledged(&reports);
        if number % 10 == 9 {
            // The device never saw the last acknowledgements, and sends all of it again.
            wire = Wire::connect(centre.mqtt(), GAUGE).await?;
            for number in number - 9..=number {
                let (id, payload) = (1 + number as u16, payload_of(&packet(begun_ms, number)));
                wire.publish(id, true, &topic, &payload).await?;
            }
        }
    }
    sen_tests::wait_for("the one episode to be over", async || {
        let alerts = alerts_of(&centre, &rule).await.ok()?;
        assert!(alerts.len() <= 1, "raised twice: {alerts:#?}");
        alerts.iter().any(|alert| alert["cleared_at"].is_string()).then_some(())
    })
    .await;
    let audit = ledger.audit(centre, "everything four times").await?;
    ensure!(audit.stored == audit.acknowledged && audit.stored == 600, "{audit:?}");
    Ok(())
}
