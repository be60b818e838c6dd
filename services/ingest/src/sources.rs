//! `sources.toml`: the brokers of others that Sen subscribes to.

use std::collections::BTreeSet;
use std::time::Duration;

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use serde::Deserialize;

/// Longest keep-alive, in seconds: a broker that has stopped is noticed within twice this, and that
/// must be within ten seconds.
const LONGEST_KEEP_ALIVE_S: u64 = 5;
/// Bounds of `max_packet_bytes`; the upper one is MQTT's own.
const PACKET_BYTES: std::ops::RangeInclusive<usize> = 65_536..=268_435_455;

/// Every broker to subscribe to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// One connection each.
    #[serde(default)]
    pub broker: Vec<Broker>,
}

/// One broker of somebody else's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// What we call it: a-z, 0-9, `-` and `_`, at most 32.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    #[serde(default = "Broker::port_of_mqtt")]
    pub port: u16,
    /// Client id. It names the session the broker keeps for us, so it must never change and never
    /// be used twice.
    pub client_id: String,
    /// Topic filters to subscribe to, with QoS 1.
    pub filters: Vec<String>,
    /// Keep-alive, in seconds, at most 5; a broker that has stopped is noticed within twice this.
    #[serde(default = "Broker::four")]
    pub keep_alive_s: u64,
    /// Most packets taken from the broker and not yet on disk.
    #[serde(default = "Broker::thousand")]
    pub max_in_flight: usize,
    /// Largest packet that is taken into memory, in bytes. Its payload may still be over
    /// `ingest.max_payload_bytes`: then it goes to quarantine. A larger packet than this ends the
    /// connection, and the broker sends it again: nothing is heard from this broker until the
    /// operator acts. So it is far above what any device sends, and the broker should have a lower
    /// limit.
    #[serde(default = "Broker::sixteen_mebibytes")]
    pub max_packet_bytes: usize,
}

impl Broker {
    fn port_of_mqtt() -> u16 {
        1883
    }

    fn four() -> u64 {
        4
    }

    fn thousand() -> usize {
        1_000
    }

    fn sixteen_mebibytes() -> usize {
        16 << 20
    }

    /// How long a keep-alive is.
    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_s)
    }

    fn check(&self, position: usize, problems: &mut Vec<Problem>) {
        let mut problem = |key: &str, message: &str| {
            let key = format!("sources.toml: broker {} ({}).{key}", position + 1, self.name);
            problems.push(Problem::new(key, message));
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let named = |byte: u8| plain(byte) || byte == b'-' || byte == b'_';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.bytes().all(named) {
            problem("name", "use 1 to 32 of a-z, 0-9, '-' and '_'");
        }
        if self.host.is_empty() || self.host.contains(char::is_whitespace) {
            problem("host", "name the host or its address, without a port");
        }
        if self.client_id.is_empty() || self.client_id.len() > 64 {
            problem("client_id", "use 1 to 64 bytes: it names the session the broker keeps for us");
        }
        if self.filters.is_empty() || !self.filters.iter().all(|f| rumqttc::valid_filter(f)) {
            problem("filters", "name at least one, and only valid MQTT topic filters");
        }
        if !(1..=LONGEST_KEEP_ALIVE_S).contains(&self.keep_alive_s) {
            problem("keep_alive_s", "use 1 to 5");
        }
        if !(1..=60_000).contains(&self.max_in_flight) {
            problem("max_in_flight", "use 1 to 60000");
        }
        if !PACKET_BYTES.contains(&self.max_packet_bytes) {
            problem("max_packet_bytes", "use 65536 to 268435455");
        }
    }
}

impl Sources {
    /// Reads `sources.toml`; every mistake at once.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let sources: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            vec![Problem::new(format!("sources.toml:{line}"), error.message())]
        })?;
        let mut problems = Vec::new();
        let mut names = BTreeSet::new();
        for (position, broker) in sources.broker.iter().enumerate() {
            broker.check(position, &mut problems);
            if !names.insert(&broker.name) {
                let key = format!("sources.toml: broker {}", position + 1);
                problems.push(Problem::new(key, format!("`{}` stands twice", broker.name)));
            }
        }
        if problems.is_empty() { Ok(sources) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_valid_and_names_no_broker() {
        let shipped = include_str!("../../../config/sources.toml");
        assert!(Sources::parse(shipped).unwrap().broker.is_empty());
        let example: String = shipped
            .lines()
            .filter_map(|line| line.strip_prefix("#: "))
            .fold(String::new(), |a, b| a + b + "\n");
        assert_eq!(Sources::parse(&example).unwrap().broker.len(), 1, "the example is a broker");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = "[[broker]]\nname = 'A'\nhost = ''\nclient_id = ''\nfilters = ['a/#/b']\n\
            keep_alive_s = 6\nmax_in_flight = 0\nmax_packet_bytes = 1\n\
            [[broker]]\nname = 'b'\nhost = 'h'\nclient_id = 'c'\nfilters = ['#']\n\
            [[broker]]\nname = 'b'\nhost = 'h'\nclient_id = 'c'\nfilters = ['#']\n";
        let problems = Sources::parse(text).unwrap_err();
        assert_eq!(problems.len(), 8, "{problems:?}");
        let unknown = Sources::parse("[[broker]]\nname = 'b'\nhots = 'h'\n").unwrap_err();
        assert!(unknown[0].key.starts_with("sources.toml:"), "{unknown:?}");
    }
}
