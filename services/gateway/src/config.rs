//! The section `[gateway]` of `sen.toml`.

use std::net::{SocketAddr, ToSocketAddrs};

use sen_chassis::Problem;
use sen_model::time::MINUTE_MS;
use sen_model::{Field, Text};
use serde::Deserialize;

use crate::cap::Issuer;

/// How the gateway serves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port; port 0 = any free one.
    pub listen: String,
    /// Lets it listen where others can reach it although nobody needs to sign in; every screen
    /// says so.
    pub insecure_dev: bool,
    /// Names, besides `localhost` and bare addresses, by which browsers may call this centre.
    pub hosts: Vec<String>,
    /// How often changed values are sent, 1 to 4 times a second.
    pub ticks_per_second: u32,
    /// How often a screen hears that the server lives, in milliseconds.
    pub heartbeat_ms: u64,
    /// How long a new connection may wait with its `hello`, in milliseconds.
    pub hello_ms: u64,
    /// How long one frame may take to leave before the connection is closed, in milliseconds.
    pub slow_ms: u64,
    /// Screens that may be connected at once.
    pub live_connections: usize,
    /// How long a request may take, in milliseconds; of an answer that is streamed each stretch.
    pub request_ms: u64,
    /// How long a client may read nothing of what is ready for it, in milliseconds.
    pub idle_ms: u64,
    /// Series whose latest value is kept, at most.
    pub most_series: usize,
    /// How alerts are told to others in CAP.
    #[serde(default)]
    pub cap: Cap,
    /// What an Alertmanager's alerts do not say.
    #[serde(default)]
    pub prometheus: Prometheus,
}

/// The section `[gateway.cap]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cap {
    /// What tells this centre from others, such as an e-mail address: neither white space, comma,
    /// `<` nor `&`.
    pub sender: String,
    /// What the centre is called.
    pub sender_name: Text,
    /// For whom alerts are meant.
    pub scope: Scope,
    /// With scope `restricted`: for whom.
    pub restriction: String,
}

/// For whom alerts are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// For everybody.
    Public,
    /// For some, as `restriction` says.
    Restricted,
}

impl Default for Cap {
    fn default() -> Self {
        Self {
            sender: "sen@localhost".into(),
            sender_name: Text::new("Trung tâm Điều hành thông minh", "Smart Operations Centre"),
            scope: Scope::Restricted,
            restriction: "Chỉ dùng trong các cơ quan của tỉnh. For the province's agencies only."
                .into(),
        }
    }
}

impl Cap {
    /// The same as the writer wants it.
    pub(crate) fn issuer(&self) -> Issuer {
        Issuer {
            sender: self.sender.clone(),
            name: self.sender_name.clone(),
            restriction: (self.scope == Scope::Restricted).then(|| self.restriction.clone()),
        }
    }

    fn check(&self, problems: &mut Vec<Problem>) {
        let is_wrong = |c: char| c.is_whitespace() || matches!(c, ',' | '<' | '&');
        if self.sender.is_empty() || self.sender.contains(is_wrong) {
            let message = format!(
                "`{}` cannot stand for this centre: at least one character, no white space, comma, \
                 `<` or `&`",
                self.sender
            );
            problems.push(Problem::new("gateway.cap.sender", message));
        }
        if self.scope == Scope::Restricted && self.restriction.trim().is_empty() {
            let message = "say for whom alerts are meant, or set scope = \"public\"";
            problems.push(Problem::new("gateway.cap.restriction", message));
        }
    }
}

/// The section `[gateway.prometheus]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// The desk of alerts without a label `field` or a known device.
    pub field: Field,
    /// How long an alert lasts that does not say when it ends, in milliseconds.
    pub resolve_ms: i64,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self { field: Field::PublicServices, resolve_ms: 5 * MINUTE_MS }
    }
}

impl Config {
    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                let message = format!("{value} is not within {least} to {most}");
                problems.push(Problem::new(format!("gateway.{key}"), message));
            }
        };
        within("ticks_per_second", self.ticks_per_second.into(), 1, 4);
        within("heartbeat_ms", self.heartbeat_ms, 50, 7_000);
        within("hello_ms", self.hello_ms, 50, 60_000);
        within("slow_ms", self.slow_ms, 100, 60_000);
        within("live_connections", self.live_connections as u64, 1, 100_000);
        within("request_ms", self.request_ms, 100, 120_000);
        // A screen is closed by its own limit, which comes first.
        within("idle_ms", self.idle_ms, self.slow_ms, 600_000);
        within("most_series", self.most_series as u64, 1, 10_000_000);
        let resolve_ms = u64::try_from(self.prometheus.resolve_ms).unwrap_or(0);
        within("prometheus.resolve_ms", resolve_ms, 1_000, 86_400_000);
        problems.extend(self.address().err());
        self.cap.check(&mut problems);
        for host in &self.hosts {
            if host.is_empty() || host.contains([':', '/', '*', ' ']) {
                let message = format!("`{host}` is not a host name: no scheme, port or wildcard");
                problems.push(Problem::new("gateway.hosts", message));
            }
        }
        problems
    }

    /// Where to listen, if that is allowed.
    pub(crate) fn address(&self) -> Result<SocketAddr, Problem> {
        let wrong = |message: String| Problem::new("gateway.listen", message);
        let found = self.listen.to_socket_addrs().ok().and_then(|mut all| all.next());
        let Some(address) = found else {
            let message = format!("`{}` is not an address and a port", self.listen);
            return Err(wrong(format!("{message}, such as 127.0.0.1:8080")));
        };
        if address.ip().is_loopback() || self.insecure_dev {
            return Ok(address);
        }
        Err(wrong(format!(
            "{address} can be reached from outside, and nobody needs to sign in yet: listen on \
             127.0.0.1, or set gateway.insecure_dev = true to accept that anyone on the network \
             can see everything and acknowledge alerts"
        )))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config() -> Config {
        Config {
            listen: "127.0.0.1:0".into(),
            insecure_dev: false,
            hosts: Vec::new(),
            ticks_per_second: 4,
            heartbeat_ms: 5_000,
            hello_ms: 5_000,
            slow_ms: 10_000,
            live_connections: 1_000,
            request_ms: 10_000,
            idle_ms: 60_000,
            most_series: 200_000,
            cap: Cap::default(),
            prometheus: Prometheus::default(),
        }
    }

    #[test]
    fn outside_addresses_need_a_deliberate_word() {
        let mut config = Config { listen: "0.0.0.0:8080".into(), ..config() };
        let problems = config.check();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("insecure_dev"), "{}", problems[0]);
        config.insecure_dev = true;
        assert!(config.check().is_empty());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let config = Config {
            listen: "nowhere".into(),
            hosts: vec!["http://x".into()],
            ticks_per_second: 9,
            heartbeat_ms: 0,
            cap: Cap { sender: "a b".into(), restriction: " ".into(), ..Cap::default() },
            prometheus: Prometheus { resolve_ms: -1, ..Prometheus::default() },
            ..config()
        };
        let keys: Vec<String> = config.check().into_iter().map(|problem| problem.key).collect();
        let wanted = [
            "ticks_per_second",
            "heartbeat_ms",
            "prometheus.resolve_ms",
            "listen",
            "cap.sender",
            "cap.restriction",
            "hosts",
        ];
        assert_eq!(keys, wanted.map(|key| format!("gateway.{key}")));
    }
}
