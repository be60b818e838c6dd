//! A device: an MQTT client that counts an acknowledgement only when it has the PUBACK.

use std::time::Duration;

use anyhow::Context;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};

/// A connected device that publishes with QoS 1 and waits for each PUBACK.
pub struct Device {
    client: AsyncClient,
    events: EventLoop,
}

impl Device {
    /// Connects as `client_id` to `port` on loopback.
    pub async fn connect(client_id: &str, port: u16) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_clean_session(true);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 16);
        loop {
            if let Event::Incoming(Packet::ConnAck(_)) = events.poll().await? {
                return Ok(Self { client, events });
            }
        }
    }

    /// Publishes and returns when the PUBACK is here: from then on the reading must not be lost.
    pub async fn publish(&mut self, topic: &str, payload: &str) -> anyhow::Result<()> {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.to_owned()).await?;
        let mut sent = None;
        loop {
            match self.events.poll().await? {
                Event::Outgoing(Outgoing::Publish(id)) => sent = Some(id),
                Event::Incoming(Packet::PubAck(ack)) if Some(ack.pkid) == sent => return Ok(()),
                _ => {}
            }
        }
    }

    /// As [`publish`](Self::publish), but returns when the packet has left, without its PUBACK.
    pub async fn publish_unanswered(&mut self, topic: &str, payload: &str) -> anyhow::Result<()> {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.to_owned()).await?;
        loop {
            if let Event::Outgoing(Outgoing::Publish(_)) = self.events.poll().await? {
                return Ok(());
            }
        }
    }

    /// As [`report`](Self::report), but returns when the packet has left, without its PUBACK.
    pub async fn report_unanswered(
        &mut self,
        device: &str,
        metric: &str,
        event_time_ms: i64,
        value: f64,
    ) -> anyhow::Result<()> {
        let payload = serde_json::json!({"ts": event_time_ms, "values": {metric: value}});
        self.publish_unanswered(&format!("sen/v1/{device}/telemetry"), &payload.to_string()).await
    }

    /// One value of one metric, measured at `event_time_ms`.
    pub async fn report(
        &mut self,
        device: &str,
        metric: &str,
        event_time_ms: i64,
        value: f64,
    ) -> anyhow::Result<()> {
        let payload = serde_json::json!({"ts": event_time_ms, "values": {metric: value}});
        self.publish(&format!("sen/v1/{device}/telemetry"), &payload.to_string()).await
    }

    /// Subscribes to a filter.
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> anyhow::Result<()> {
        self.client.subscribe(filter, qos).await?;
        loop {
            if let Event::Incoming(Packet::SubAck(_)) = self.events.poll().await? {
                return Ok(());
            }
        }
    }

    /// The next message of a subscription.
    pub async fn next(&mut self) -> anyhow::Result<rumqttc::Publish> {
        let listening = async {
            loop {
                if let Event::Incoming(Packet::Publish(publish)) = self.events.poll().await? {
                    return Ok(publish);
                }
            }
        };
        tokio::time::timeout(crate::PATIENCE, listening).await.context("no message came")?
    }
}
