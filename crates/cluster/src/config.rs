//! The section `[cluster]` of `sen.toml`.

use std::path::Path;
use std::time::Duration;

use sen_chassis::Problem;
use serde::Deserialize;

use crate::name;
use crate::terms::Terms;

/// Where the processes of a centre meet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The servers, such as `nats://host:4222`; none = one machine, no cluster.
    pub nats: Vec<String>,
    /// Prefix of streams, buckets and subjects: several centres can share servers.
    pub name: String,
    /// A NATS `.creds` file; empty = none.
    pub credentials_file: String,
    /// Into how many partitions the readings are mapped by the servers; 1 to 64.
    pub partitions: u32,
    /// Copies of streams and buckets: 1, 3 or 5.
    pub replicas: usize,
    /// `http://host:8222` of every server: the proof that acknowledged means on disk.
    pub monitors: Vec<String>,
    /// Refuse to start without that proof.
    pub require_durable: bool,
    /// After this long without a sign of life another instance takes over.
    pub lease_ms: u64,
    /// This process's name; empty = role, host name and process id.
    pub instance: String,
}

/// Readings are hashed into this many buckets, so there are at most as many partitions.
const MOST_PARTITIONS: u32 = 64;

/// Leases are at most this long: until then nobody does the work of one that is gone.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

impl Config {
    /// Whether servers are named, so that the roles run apart.
    pub fn is_apart(&self) -> bool {
        !self.nats.is_empty()
    }

    /// How long a lease lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// The name of this process in `role`: as configured, or role, host name and process id.
    pub fn instance_of(&self, role: &str) -> String {
        if !self.instance.is_empty() {
            return name::token(&self.instance);
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name::token(&format!("{role}-{}-{}", host.trim(), std::process::id()))
    }

    /// Every mistake in it.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, key: &str, message: &dyn Fn() -> String| {
            if !holds {
                problems.push(Problem::new(format!("cluster.{key}"), message()));
            }
        };
        for server in &self.nats {
            must(is_server(server), "nats", &|| {
                format!("`{server}` is not the address of a server, such as `nats://host:4222`")
            });
        }
        must(name::is_token(&self.name), "name", &|| {
            "use letters, digits, `-` and `_`: it begins the names of streams and subjects".into()
        });
        must((1..=MOST_PARTITIONS).contains(&self.partitions), "partitions", &|| {
            format!("must be 1 to {MOST_PARTITIONS}, as in the servers' subject mapping")
        });
        must([1, 3, 5].contains(&self.replicas), "replicas", &|| {
            "must be 1, 3 or 5: a majority of the copies must live".into()
        });
        for monitor in &self.monitors {
            let is_http = monitor.starts_with("http://") || monitor.starts_with("https://");
            must(is_http, "monitors", &|| {
                format!("`{monitor}` is not the address of a monitor, such as `http://host:8222`")
            });
        }
        must(!self.require_durable || !self.monitors.is_empty(), "require_durable", &|| {
            "needs `cluster.monitors`: without them nothing can be proven".into()
        });
        must((Terms::SHORTEST..=LONGEST_LEASE).contains(&self.lease()), "lease_ms", &|| {
            let (least, most) = (Terms::SHORTEST.as_millis(), LONGEST_LEASE.as_millis());
            format!("must be {least} to {most}")
        });
        must(self.instance.is_empty() || name::is_token(&self.instance), "instance", &|| {
            "use letters, digits, `-` and `_`, or leave it empty for a name of its own".into()
        });
        let credentials = self.credentials_file.as_str();
        must(
            credentials.is_empty() || Path::new(credentials).is_file(),
            "credentials_file",
            &|| format!("`{credentials}` is no file: name a NATS .creds file, or leave it empty"),
        );
        problems
    }
}

fn is_server(address: &str) -> bool {
    // Without a scheme anything is taken for a host: a typing mistake would be found too late.
    ["nats://", "tls://"].iter().any(|scheme| address.starts_with(scheme))
        && address.parse::<async_nats::ServerAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            nats: vec!["nats://one:4222".into(), "tls://two".into()],
            name: "sen".into(),
            credentials_file: String::new(),
            partitions: 4,
            replicas: 3,
            monitors: vec!["http://one:8222".into()],
            require_durable: true,
            lease_ms: 10_000,
            instance: String::new(),
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        assert_eq!(config().check(), []);
        assert!(config().is_apart());
        let one = Config { nats: vec![], monitors: vec![], require_durable: false, ..config() };
        assert_eq!((one.check(), one.is_apart()), (vec![], false));
        let wrong = Config {
            nats: vec!["one:4222".into(), "http://one".into()],
            name: "s.en".into(),
            credentials_file: "/nowhere/at.creds".into(),
            partitions: 65,
            replicas: 2,
            monitors: vec!["one:8222".into()],
            lease_ms: 10,
            instance: "a b".into(),
            ..config()
        };
        let keys: Vec<_> = wrong.check().into_iter().map(|problem| problem.key).collect();
        let expected = [
            "nats",
            "nats",
            "name",
            "partitions",
            "replicas",
            "monitors",
            "lease_ms",
            "instance",
            "credentials_file",
        ];
        assert_eq!(keys, expected.map(|key| format!("cluster.{key}")));
        let unproven = Config { monitors: vec![], ..config() };
        assert_eq!(unproven.check()[0].key, "cluster.require_durable");
    }

    #[test]
    fn a_process_has_a_name_of_its_own_unless_it_is_given_one() {
        let own = config().instance_of("alert");
        assert!(name::is_token(&own) && own.starts_with("alert-"), "{own}");
        assert!(own.ends_with(&format!("-{}", std::process::id())), "{own}");
        let given = Config { instance: "north-1".into(), ..config() };
        assert_eq!(given.instance_of("alert"), "north-1");
    }
}
