//! The section `[gateway]` of `sen.toml`.

use std::net::{SocketAddr, ToSocketAddrs};

use sen_chassis::Problem;
use serde::Deserialize;

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
        problems.extend(self.address().err());
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
            ..config()
        };
        let keys: Vec<String> = config.check().into_iter().map(|problem| problem.key).collect();
        let wanted = ["ticks_per_second", "heartbeat_ms", "listen", "hosts"];
        assert_eq!(keys, wanted.map(|key| format!("gateway.{key}")));
    }
}
