//! Pure: what NATS tells of itself, and what a role's `/metrics` say.

use std::ops::{Add, Sub};

use serde_json::Value;

/// What one server keeps of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Messages in it.
    pub messages: u64,
    /// Bytes of the messages with what the server notes beside each.
    pub bytes: u64,
}

/// Bytes that servers have taken and given since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// From clients and from other servers.
    pub received: u64,
    /// To clients and to other servers.
    pub sent: u64,
    /// Of what was sent: to other servers.
    pub sent_to_servers: u64,
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            sent_to_servers: self.sent_to_servers + other.sent_to_servers,
        }
    }
}

impl Sub for Traffic {
    type Output = Self;

    /// What went through since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
            sent_to_servers: self.sent_to_servers.saturating_sub(earlier.sent_to_servers),
        }
    }
}

/// A stream in an answer of `/jsz?streams=1`.
pub(super) fn kept(told: &Value, stream: &str) -> Option<Kept> {
    let accounts = told["account_details"].as_array()?;
    let mut streams = accounts.iter().filter_map(|it| it["stream_detail"].as_array()).flatten();
    let state = &streams.find(|it| it["name"] == stream)?["state"];
    Some(Kept { messages: state["messages"].as_u64()?, bytes: state["bytes"].as_u64()? })
}

/// Whether an answer of `/jsz` is of a server by itself, or of one that knows who leads.
pub(super) fn is_led(told: &Value) -> bool {
    told.get("meta_cluster")
        .is_none_or(|cluster| cluster["leader"].as_str().is_some_and(|name| !name.is_empty()))
}

/// Answers of `/varz` and `/routez`.
pub(super) fn traffic(server: &Value, routes: &Value) -> Option<Traffic> {
    let each = routes["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(Traffic {
        received: server["in_bytes"].as_u64()?,
        sent: server["out_bytes"].as_u64()?,
        sent_to_servers: each.iter().filter_map(|route| route["out_bytes"].as_u64()).sum(),
    })
}

/// Major and minor of `nats-server: v2.9.10`.
pub(super) fn version(said: &str) -> Option<(u32, u32)> {
    let (_, number) = said.trim().rsplit_once('v')?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// The sum of a metric over all its labels in a text of Prometheus; 0 if it is not there.
pub(super) fn sum(text: &str, metric: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let value =
            if rest.starts_with('{') { rest.rsplit_once("} ")?.1 } else { rest.strip_prefix(' ')? };
        value.trim().parse::<f64>().ok()
    };
    text.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_found_in_any_account() {
        let detail = |name: &str, messages| json!({"name": name, "state": {"messages": messages, "bytes": 10 * messages}});
        let told = json!({"account_details": [
            {"name": "other"},
            {"stream_detail": [detail("sen-alerts", 1), detail("sen-readings", 7)]},
        ]});
        assert_eq!(kept(&told, "sen-readings"), Some(Kept { messages: 7, bytes: 70 }));
        assert_eq!(kept(&told, "sen-desk"), None);
        assert_eq!(kept(&json!({}), "sen-readings"), None);
    }

    #[test]
    fn one_server_needs_no_leader_and_several_do() {
        for (told, led) in [
            (json!({}), true),
            (json!({"meta_cluster": {"leader": ""}}), false),
            (json!({"meta_cluster": {}}), false),
            (json!({"meta_cluster": {"leader": "nats-2"}}), true),
        ] {
            assert_eq!(is_led(&told), led, "{told}");
        }
    }

    #[test]
    fn traffic_is_told_apart_by_whom_it_goes_to() {
        let server = json!({"in_bytes": 100, "out_bytes": 300});
        let routes = json!({"routes": [{"out_bytes": 40}, {"out_bytes": 60}]});
        let told = traffic(&server, &routes).unwrap();
        let expected = Traffic { received: 100, sent: 300, sent_to_servers: 100 };
        assert_eq!((told, told - told, (told + told).sent), (expected, Traffic::default(), 600));
        assert_eq!(traffic(&server, &json!({})).unwrap().sent_to_servers, 0);
        assert_eq!(traffic(&json!({}), &routes), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("nats-server: v2.9.10\n"), Some((2, 9)));
        assert_eq!(version("nats-server: v2.12.1"), Some((2, 12)));
        assert_eq!(version("what?"), None);
    }

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let text =
            "# TYPE sen_a counter\nsen_a{p=\"0\"} 5\nsen_a{p=\"} 1\"} 7\nsen_ab 100\nsen_b 3\n";
        for (metric, expected) in [("sen_a", 12.0), ("sen_ab", 100.0), ("sen_b", 3.0), ("c", 0.0)] {
            assert!((sum(text, metric) - expected).abs() < 1e-9, "{metric}");
        }
    }
}
