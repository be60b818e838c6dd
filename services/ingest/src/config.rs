//! The section `[ingest]` of `sen.toml`.

use std::net::SocketAddr;

use sen_chassis::Problem;
use sen_model::time::{DAY_MS, MINUTE_MS};
use serde::Deserialize;

use crate::guard::TimeGuard;
use crate::series::SeriesLimits;

/// The word that turns the endpoint off.
const OFF: &str = "off";
/// MQTT's own limit on a packet, in bytes.
const MQTT_PACKET_BYTES: usize = 268_435_455;

/// How packets come in, and what may be in them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where Sen's own MQTT endpoint listens, such as `127.0.0.1:1883`; `off` for none.
    pub listen: String,
    /// Most connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Largest MQTT packet, in bytes; a larger one ends its connection.
    pub max_packet_bytes: usize,
    /// Largest payload that is decoded, from whatever source, in bytes.
    pub max_payload_bytes: usize,
    /// Packets between the sockets and the log; when they are there, sockets are not read.
    pub queue_packets: usize,
    /// Bytes of payload between the sockets and the log; as above.
    pub queue_bytes: usize,
    /// Most retained messages Sen keeps for its subscribers.
    pub max_retained: usize,
    /// Furthest back an event time may be, in milliseconds.
    pub max_age_ms: i64,
    /// Furthest ahead an event time may be, in milliseconds.
    pub max_ahead_ms: i64,
    /// Series of one device that the registry does not know.
    pub max_series_per_device: usize,
    /// Series in all that the registry does not know.
    pub max_series: usize,
    /// New series of one device in one minute, once it has been known for a minute.
    pub max_new_series_per_minute: usize,
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| {
            problems.push(Problem::new(format!("ingest.{key}"), message));
        };
        if self.listen != OFF && self.listen.parse::<SocketAddr>().is_err() {
            let wanted = "an address and a port such as 127.0.0.1:1883, or `off`";
            problem("listen", format!("`{}` is not {wanted}", self.listen));
        }
        let bounds = [
            ("max_connections", self.max_connections, 1, 1_000_000),
            ("max_packet_bytes", self.max_packet_bytes, 1_024, MQTT_PACKET_BYTES),
            ("max_payload_bytes", self.max_payload_bytes, 64, MQTT_PACKET_BYTES),
            ("queue_packets", self.queue_packets, 1, 1_000_000),
            ("queue_bytes", self.queue_bytes, self.max_payload_bytes, u32::MAX as usize),
            ("max_retained", self.max_retained, 1, 1_000_000),
            ("max_series_per_device", self.max_series_per_device, 1, 100_000),
            ("max_series", self.max_series, 1, 100_000_000),
            ("max_new_series_per_minute", self.max_new_series_per_minute, 1, 100_000),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                problem(key, format!("{value} is not between {least} and {most}"));
            }
        }
        let times = [
            ("max_age_ms", self.max_age_ms, MINUTE_MS, 3_660 * DAY_MS),
            ("max_ahead_ms", self.max_ahead_ms, 0, DAY_MS),
        ];
        for (key, value, least, most) in times {
            if !(least..=most).contains(&value) {
                problem(key, format!("{value} is not between {least} and {most} milliseconds"));
            }
        }
        problems
    }

    /// The same without an own endpoint, for who only listens to brokers.
    #[must_use]
    pub fn without_endpoint(self) -> Self {
        Self { listen: OFF.to_owned(), ..self }
    }

    /// Where to listen; none if the endpoint is off (or the address is not one).
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    pub(crate) fn guard(&self) -> TimeGuard {
        TimeGuard { past_ms: self.max_age_ms, ahead_ms: self.max_ahead_ms }
    }

    pub(crate) fn series(&self) -> SeriesLimits {
        SeriesLimits {
            per_device: self.max_series_per_device,
            total: self.max_series,
            new_per_minute: self.max_new_series_per_minute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_section_has_no_mistake_and_every_mistake_is_told() {
        let shipped: toml::Table =
            include_str!("../../../config/sen.toml").parse().expect("sen.toml is TOML");
        let mut config: Config = shipped["ingest"].clone().try_into().unwrap();
        assert_eq!(config.check(), []);
        config.listen = "1883".into();
        config.max_connections = 0;
        config.queue_bytes = config.max_payload_bytes - 1;
        config.max_ahead_ms = -1;
        let problems = config.check();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let wanted = ["listen", "max_connections", "queue_bytes", "max_ahead_ms"];
        assert_eq!(keys, wanted.map(|key| format!("ingest.{key}")));
    }
}
