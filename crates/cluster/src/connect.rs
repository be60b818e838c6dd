//! One process's connection to the servers, and the buckets all processes share.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, kv, stream};
use async_nats::{Client, ConnectOptions};
use sen_chassis::backoff::Backoff;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::Config;
use crate::hold::Chain;
use crate::name;
use crate::terms::Terms;

/// How long a process tries to reach the servers when it starts, and to be shown what they made.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// How long it waits for servers that are reached, but are still starting or electing.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// What an answer says for which waiting does not help.
const FINAL: [&str; 4] = ["not supported", "overlap", "invalid", "permissions"];

/// Between two tries: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A connection on which nothing comes for two of these is given up and made anew.
const PING_EACH: Duration = Duration::from_secs(3);

/// How long to wait for an answer about streams and buckets.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// One process's part in the cluster; cheap to clone.
#[derive(Clone, Debug)]
pub struct Cluster(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// Prefix of streams, buckets and subjects.
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) instance: String,
    pub(crate) terms: Terms,
    pub(crate) leases: kv::Store,
    pub(crate) files: kv::Store,
    pub(crate) keys: kv::Store,
    pub(crate) retained: stream::Stream,
    pub(crate) jetstream: jetstream::Context,
}

/// Why a process could not join.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file with the credentials cannot be read or is not one.
    #[error("cluster.credentials_file `{path}` cannot be used: name a NATS .creds file")]
    Credentials {
        /// As configured.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address that is none.
    #[error("cluster.nats: `{0}` is not the address of a server, such as `nats://host:4222`")]
    Address(String),
    /// No server could be reached in time.
    #[error(
        "none of the NATS servers {servers} could be reached for {seconds} s: are they running, \
         is cluster.nats right, and may this process log in (cluster.credentials_file)?"
    )]
    Unreachable {
        /// As configured.
        servers: String,
        /// How long it was tried.
        seconds: u64,
        /// What the last try came to.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The servers were reached, but a bucket or stream could not be made.
    #[error(
        "the NATS servers did not make `{what}` with {replicas} replicas: JetStream must be on at \
         as many servers (or set cluster.replicas = 1), and its disk must have room"
    )]
    Bucket {
        /// The bucket or stream.
        what: String,
        /// As configured.
        replicas: usize,
        /// Their answer.
        #[source]
        source: async_nats::Error,
    },
}

impl Cluster {
    /// Joins as `instance` of `role` ([`Config::instance_of`] names it). Tries for half a minute to
    /// reach a server, and waits for one and a half until they are ready; then says what to do.
    /// The buckets are made, with the configured replicas, where they are not there yet.
    pub async fn connect(
        config: &Config,
        role: &str,
        instance: &str,
    ) -> Result<Self, ConnectError> {
        let (role, instance) = (name::token(role), name::token(instance));
        let client = reach(config, &role, &instance).await?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(ANSWERED_WITHIN);
        let Buckets { leases, lease, files, keys, retained } = ready(&jetstream, config).await?;
        Ok(Self(Arc::new(Shared {
            client,
            name: config.name.clone(),
            role,
            instance,
            terms: Terms::new(lease),
            leases,
            files,
            keys,
            retained,
            jetstream,
        })))
    }

    /// The connection, for what is not held here: the log.
    pub fn client(&self) -> Client {
        self.0.client.clone()
    }

    /// The name of this process.
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// What this process does.
    pub fn role(&self) -> &str {
        &self.0.role
    }

    /// The prefix of streams, buckets and subjects.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the servers can be reached at this moment.
    pub fn is_connected(&self) -> bool {
        self.0.client.connection_state() == async_nats::connection::State::Connected
    }

    /// `{name}.{rest}`.
    pub(crate) fn subject(&self, rest: &str) -> String {
        format!("{}.{rest}", self.0.name)
    }
}

async fn reach(config: &Config, role: &str, instance: &str) -> Result<Client, ConnectError> {
    let mut servers = Vec::new();
    for address in &config.nats {
        let parsed = address.parse::<async_nats::ServerAddr>();
        servers.push(parsed.map_err(|_| ConnectError::Address(address.clone()))?);
    }
    let started = Instant::now();
    let mut backoff = Backoff::new(RETRY.0, RETRY.1, name::mark());
    loop {
        let options = options(config, role, instance).await?;
        let source = match options.connect(&servers[..]).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        if backoff.is_fresh() {
            warn!(error = %source, servers = %config.nats.join(" "), "no NATS server is reached, trying again");
        }
        let wait = backoff.failed();
        if started.elapsed() + wait > CONNECT_WITHIN {
            return Err(ConnectError::Unreachable {
                servers: config.nats.join(" "),
                seconds: CONNECT_WITHIN.as_secs(),
                source,
            });
        }
        sleep(wait).await;
    }
}

async fn options(
    config: &Config,
    role: &str,
    instance: &str,
) -> Result<ConnectOptions, ConnectError> {
    let seed = name::mark();
    let options = ConnectOptions::new()
        .name(format!("{} {role} {instance}", config.name))
        .ping_interval(PING_EACH)
        .request_timeout(Some(ANSWERED_WITHIN))
        .reconnect_delay_callback(move |attempts| {
            // The first try after a break is at once; then apart, so that not all come together.
            let mut backoff = Backoff::new(RETRY.0, RETRY.1, seed ^ attempts as u64);
            (1..attempts.min(16)).map(|_| backoff.failed()).last().unwrap_or_default()
        })
        .event_callback(|event| async move {
            match event {
                async_nats::Event::Connected => info!("connected to a NATS server"),
                event => warn!(%event, "something happened to the connection to NATS"),
            }
        });
    if config.credentials_file.is_empty() {
        return Ok(options);
    }
    let path = config.credentials_file.clone();
    let options = options.credentials_file(&path).await;
    options.map_err(|source| ConnectError::Credentials { path, source })
}

/// What all processes share.
struct Buckets {
    leases: kv::Store,
    lease: Duration,
    files: kv::Store,
    keys: kv::Store,
    retained: stream::Stream,
}

/// Makes or finds the buckets, once the servers are ready.
async fn ready(jetstream: &jetstream::Context, config: &Config) -> Result<Buckets, ConnectError> {
    let started = Instant::now();
    let mut backoff = Backoff::new(RETRY.0, RETRY.1, name::mark());
    loop {
        let error = match buckets(jetstream, config).await {
            Ok(buckets) => return Ok(buckets),
            Err(error) => error,
        };
        let reason = Chain(&error).to_string();
        let is_final = FINAL.iter().any(|word| reason.contains(word));
        if is_final || started.elapsed() > READY_WITHIN {
            return Err(error);
        }
        if backoff.is_fresh() {
            warn!(error = reason, "the NATS servers are not ready, trying again");
        }
        sleep(backoff.failed()).await;
    }
}

async fn buckets(jetstream: &jetstream::Context, config: &Config) -> Result<Buckets, ConnectError> {
    let (prefix, replicas) = (&config.name, config.replicas);
    let bucket = |what: &str| format!("{prefix}-{what}");
    let (leases, lease) = leases(jetstream, &bucket("leases"), config.lease(), replicas).await?;
    let files = make_bucket(jetstream, &bucket("config"), Duration::ZERO, replicas).await?;
    let keys = make_bucket(jetstream, &bucket("keys"), Duration::ZERO, replicas).await?;
    let retained = stream::Config {
        name: bucket("retained"),
        subjects: vec![format!("{prefix}.retained.*")],
        max_messages_per_subject: 1,
        num_replicas: replicas,
        ..stream::Config::default()
    };
    let retained = make_stream(jetstream, retained).await?;
    Ok(Buckets { leases, lease, files, keys, retained })
}

/// The bucket of leases and how long a lease in it lasts. That was decided by who made it: were a
/// process to count with another length, two could hold one lease.
async fn leases(
    jetstream: &jetstream::Context,
    bucket: &str,
    wanted: Duration,
    replicas: usize,
) -> Result<(kv::Store, Duration), ConnectError> {
    // A renewal that is answered late is of no use: it is repeated.
    let mut prompt = jetstream.clone();
    prompt.set_timeout(Terms::new(wanted).answered_within());
    let store = make_bucket(jetstream, bucket, wanted, replicas).await?;
    let lease = store.stream.cached_info().config.max_age;
    if lease != wanted {
        let (lease_ms, wanted_ms) = (lease.as_millis() as u64, wanted.as_millis() as u64);
        warn!(
            lease_ms,
            wanted_ms,
            bucket,
            "the leases here were made with another length, and keep it: to change it stop every \
             process and delete the bucket"
        );
        prompt.set_timeout(Terms::new(lease).answered_within());
    }
    let store = prompt.get_key_value(bucket).await;
    let failed = failed(bucket, replicas);
    Ok((store.map_err(|error| failed(Box::new(error)))?, lease))
}

/// Makes a key-value bucket or finds it.
async fn make_bucket(
    jetstream: &jetstream::Context,
    bucket: &str,
    max_age: Duration,
    replicas: usize,
) -> Result<kv::Store, ConnectError> {
    // As the client makes one, except that it first asks for the account, and does not understand
    // what servers before 2.10 say of it.
    let config = stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        max_age,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        discard: stream::DiscardPolicy::New,
        num_replicas: replicas,
        ..stream::Config::default()
    };
    make_stream(jetstream, config).await?;
    let failed = failed(bucket, replicas);
    let made = Instant::now();
    loop {
        match jetstream.get_key_value(bucket).await {
            Ok(store) => return Ok(store),
            // It is there, but nobody leads it yet, so nobody answers for it.
            Err(error) if made.elapsed() < CONNECT_WITHIN => {
                debug!(bucket, %error, "a bucket was made and is not shown yet, asking again");
                sleep(RETRY.1).await;
            }
            Err(error) => return Err(failed(Box::new(error))),
        }
    }
}

/// Makes a stream or finds it. An existing one gets the configured number of replicas.
async fn make_stream(
    jetstream: &jetstream::Context,
    config: stream::Config,
) -> Result<stream::Stream, ConnectError> {
    let (name, replicas) = (config.name.clone(), config.num_replicas);
    let failed = failed(&name, replicas);
    let found = match jetstream.create_stream(config).await {
        Ok(stream) => return Ok(stream),
        // Perhaps there is one, made otherwise.
        Err(error) => match jetstream.get_stream(&name).await {
            Ok(found) => found,
            Err(_) => return Err(failed(Box::new(error))),
        },
    };
    let config = &found.cached_info().config;
    if config.num_replicas != replicas {
        warn!(stream = name, from = config.num_replicas, to = replicas, "changing replicas");
        let config = stream::Config { num_replicas: replicas, ..config.clone() };
        jetstream.update_stream(config).await.map_err(|error| failed(Box::new(error)))?;
    }
    Ok(found)
}

fn failed(what: &str, replicas: usize) -> impl Fn(async_nats::Error) -> ConnectError + use<> {
    let what = what.to_owned();
    move |source| ConnectError::Bucket { what: what.clone(), replicas, source }
}
