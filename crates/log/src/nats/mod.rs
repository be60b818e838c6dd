//! The backend of several machines: NATS servers with JetStream keep the records.
//!
//! ```text
//! stream {name}-{topic}       subjects {name}.{topic}.>     the records of a topic
//! subject {name}.in.{topic}.{bucket}                        where batched topics are sent; the
//!                             server's mapping brings them to {name}.{topic}.{partition}.{bucket}
//! bucket {name}-epochs        key {topic}                   which life a topic is in
//! bucket {name}-cursors       object {topic}/{cursor}       durable positions
//! ```
//! What goes wrong between machines:
//! - *an answer is lost*: the message is sent again with the same id, and stored once ([`publish`]);
//! - *a server or a connection is lost*: followers and readers go on where they were ([`scan`]);
//! - *a replica is behind*: "no more" is believed of the leader only ([`read`]);
//! - *the stream is not what it was*: a new epoch, and all who had it open must start again
//!   ([`keeper`]);
//! - *an old owner comes back*: its next append, or its next save of a cursor, is refused, also
//!   one that was under way ([`cursor`]).
//!
//! Pure: [`names`], [`message`], [`durability`].

use std::fmt::Display;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ContextBuilder, ErrorCode};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::{
    Backend, Durability, Epoch, Lag, Pending, ReadError, TopicBackend, TopicOptions,
};
use crate::embedded::{disk, is_name};
use crate::{Log, OpenError, View, lock};

mod cursor;
mod cursors;
mod durability;
mod epochs;
mod follow;
mod keeper;
mod mapping;
mod message;
mod names;
mod prover;
mod publish;
mod read;
mod room;
mod scan;
mod shared;
mod tasks;
mod topic;
mod varz;

use cursors::{Cursors, Kept};
use epochs::{Epochs, Look};
use mapping::Lanes;
use names::{Names, Numbering};
use prover::Prover;
use shared::{Found, Parts, Pause, Shared};
use tasks::Tasks;
use topic::NatsTopic;

/// Partitions a batched topic may have: as many as there are buckets.
pub const MAX_PARTITIONS: u32 = 64;
/// Replicas a stream may have.
pub const REPLICAS: [usize; 3] = [1, 3, 5];
/// Monitors that may be named.
pub const MAX_MONITORS: usize = 16;

/// How long one request to the servers may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long opening waits for servers that are not ready.
const OPENING: Duration = Duration::from_secs(90);
/// How long closing waits for appends under way.
const CLOSING: Duration = Duration::from_secs(10);
/// How long the server knows the ids of messages: longer than an append is tried again.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// What was asked of the servers: the answer, or their reason.
type Asked<T> = Result<T, String>;

/// How the log is kept by the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What streams, buckets and subjects begin with: 1 to 56 of a-z, 0-9, '-' and '_'.
    pub name: String,
    /// Partitions of batched topics, as in the servers' mapping; 1 to [`MAX_PARTITIONS`].
    pub partitions: u32,
    /// How many servers keep each record: one of [`REPLICAS`].
    pub replicas: usize,
    /// `http://host:port` of the monitor of every server; at most [`MAX_MONITORS`].
    pub monitors: Vec<String>,
}

impl Config {
    /// Every mistake: the key, and what to do.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !is_name(&self.name) {
            problems.push(("name", "must be 1 to 56 of a-z, 0-9, '-' and '_'".to_owned()));
        }
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            problems.push(("partitions", format!("must be 1 to {MAX_PARTITIONS}")));
        }
        if !REPLICAS.contains(&self.replicas) {
            problems.push(("replicas", "must be 1, 3 or 5".to_owned()));
        }
        if self.monitors.len() > MAX_MONITORS {
            problems.push(("monitors", format!("must name at most {MAX_MONITORS}")));
        }
        for monitor in &self.monitors {
            if let Err(why) = varz::parse(monitor) {
                problems.push(("monitors", format!("`{monitor}`: {why}")));
            }
        }
        problems
    }
}

/// Opens the log kept by the servers a client is connected to: [`Log::over_nats`].
pub async fn open(client: Client, config: Config) -> Result<Log, OpenError> {
    Log::over_nats(client, config).await
}

/// The log over NATS.
pub(crate) struct Nats {
    config: Config,
    context: Context,
    tasks: Arc<Tasks>,
    epochs: Arc<Epochs>,
    cursors: Arc<Cursors>,
    prover: Arc<Prover>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    is_closed: bool,
    topics: Vec<Arc<NatsTopic>>,
}

impl Nats {
    /// Finds or makes the buckets, and asks the monitors once.
    pub(crate) async fn open(client: Client, config: Config) -> Result<Self, OpenError> {
        if let Some((key, problem)) = config.check().into_iter().next() {
            return Err(OpenError::BadSetting(format!("cluster.{key} {problem}")));
        }
        let context = ContextBuilder::new().timeout(REQUEST).ack_timeout(REQUEST).build(client);
        let prover = Arc::new(Prover::new(config.monitors.clone()));
        let mut patience = Patience::begin();
        let (epochs, cursors) = loop {
            let reason = match buckets(&context, &config, &prover).await {
                Ok(buckets) => break buckets,
                Err(reason) => reason,
            };
            let what = "keep the buckets of the log".to_owned();
            let again = patience.again(reason).await;
            again.map_err(|reason| OpenError::Server { what, reason })?;
        };
        prover.ask().await;
        let tasks = Arc::new(Tasks::new(Handle::current()));
        tasks.spawn(prover::run(Arc::clone(&prover)));
        let (epochs, cursors) = (Arc::new(epochs), Arc::new(cursors));
        Ok(Self { config, context, tasks, epochs, cursors, prover, open: Mutex::default() })
    }

    async fn open_topic(&self, options: TopicOptions) -> Result<Arc<NatsTopic>, OpenError> {
        let failed =
            |reason| OpenError::Server { what: format!("keep topic {}", options.name), reason };
        let names = Names::new(&self.config.name, &options.name);
        let numbering = match options.is_batched {
            true => Numbering::Batched,
            false => Numbering::Single,
        };
        let is_written = options.is_batched && !matches!(options.view, View::Partition(_));
        let lanes = if is_written { self.lanes(&names).await? } else { Lanes::default() };
        let mut patience = Patience::begin();
        let (stream, found) = loop {
            match self.stream(&names, &options.name, numbering).await {
                Ok(found) => break found,
                Err(reason) => patience.again(reason).await.map_err(failed)?,
            }
        };
        self.prover.note(&found.info);
        let writer: [u8; 8] = disk::random().map_err(|error| failed(error.to_string()))?;
        let writer = writer.iter().map(|byte| format!("{byte:02x}")).collect();
        let shared = Arc::new(Shared::new(Parts {
            name: options.name,
            names,
            context: self.context.clone(),
            stream,
            numbering,
            view: options.view,
            retention: options.retention,
            gives_way: !options.is_vital,
            found,
            cursors: Arc::clone(&self.cursors),
            epochs: Arc::clone(&self.epochs),
            prover: Arc::clone(&self.prover),
        }));
        self.tasks.spawn(keeper::keep(Arc::clone(&shared)));
        Ok(Arc::new(NatsTopic::new(shared, Arc::clone(&self.tasks), writer, lanes)))
    }

    /// Which records travel together. Refuses to write where readers of partitions would not find it.
    async fn lanes(&self, names: &Names) -> Result<Lanes, OpenError> {
        let partitions = self.config.partitions;
        let heard = mapping::partitions(&self.context.client(), names).await;
        match heard.values().max() {
            Some(largest) if *largest >= partitions => Err(OpenError::BadSetting(format!(
                "cluster.partitions is {partitions}, but the servers' mapping of `{}` leads to \
                 partition {largest}: make both the same",
                names.bucket(0)
            ))),
            _ => Ok(mapping::lanes(&heard)),
        }
    }

    async fn stream(
        &self,
        names: &Names,
        topic: &str,
        numbering: Numbering,
    ) -> Asked<(Stream, Found)> {
        let stream = self.made(names, topic).await?;
        let found = self.find(topic, &stream, numbering).await?;
        Ok((stream, found))
    }

    /// The stream of a topic, made by one process only. Were two to make it at once, NATS 2.9 would
    /// take both: then a server tells another time at which it was made once it was started again,
    /// as if it were another stream.
    async fn made(&self, names: &Names, topic: &str) -> Asked<Stream> {
        let there = ask(async {
            match self.context.get_stream(names.stream()).await {
                Ok(stream) => Ok(Some(stream)),
                Err(error) if is_missing(&error.kind()) => Ok(None),
                Err(error) => Err(error),
            }
        });
        if let Some(stream) = there.await? {
            return Ok(stream);
        }
        if !self.epochs.may_make(topic).await? {
            return Err("another process is about to make its stream".to_owned());
        }
        let config = topic_config(names, self.config.replicas);
        let making = async {
            let made = self.context.get_or_create_stream(config).await;
            // Only what they refuse is certain not to be under way: else nobody tries for a while.
            if let Err(error) = &made
                && matches!(error.kind(), CreateStreamErrorKind::JetStream(_))
            {
                self.epochs.not_made(topic).await;
            }
            made
        };
        ask(making).await
    }

    /// How a topic is found: in a new epoch if it is shorter than a cursor of it has seen. A replica
    /// that has just become the leader may still be applying what it has, so it is asked again, with
    /// the same patience as when the topic is open.
    async fn find(&self, topic: &str, stream: &Stream, numbering: Numbering) -> Asked<Found> {
        let cursors = self.cursors.all(Some(topic)).await?;
        let mut looks = 0;
        loop {
            looks += 1;
            let info = ask(stream.get_info()).await?;
            let last = info.state.last_sequence;
            let look = Look { created_ns: info.created.unix_timestamp_nanos(), last };
            let known = self.epochs.find(topic, look).await?;
            let is_shorter = |epoch: &Epoch| {
                let mut seen = cursors.iter().filter(|kept| kept.epoch == *epoch && kept.head > 0);
                seen.any(|kept| numbering.sequence(kept.head) > last)
            };
            match known {
                Some(epoch) if !is_shorter(&epoch) => return Ok(Found { info, epoch }),
                known if looks >= keeper::LOOKS => {
                    let epoch = self.epochs.of(topic, look, known.as_ref()).await?;
                    return Ok(Found { info, epoch });
                }
                None if !self.epochs.is_known(topic).await? => {
                    if let Some(epoch) = self.epochs.first(topic, look).await? {
                        return Ok(Found { info, epoch });
                    }
                }
                _ => {}
            }
            sleep(keeper::WATCH).await;
        }
    }

    async fn all_lags(&self) -> Asked<Vec<Lag>> {
        let cursors = self.cursors.all(None).await?;
        let mut lags = Vec::with_capacity(cursors.len());
        let topics: Vec<_> =
            lock(&self.open).topics.iter().map(|topic| Arc::clone(&topic.shared)).collect();
        let mut seen = std::collections::BTreeSet::new();
        for topic in topics {
            if !seen.insert(topic.name.clone()) {
                continue;
            }
            let state = topic.refresh().await.map_err(|error| error.to_string())?.state;
            let behind = |kept: &Kept| {
                let is_placed = kept.epoch == topic.epoch && kept.next > 0;
                let next = if is_placed { topic.numbering.sequence(kept.next) } else { 1 };
                (state.last_sequence + 1).saturating_sub(next.max(state.first_sequence))
            };
            let of_topic = cursors.iter().filter(|kept| kept.topic == topic.name);
            lags.extend(of_topic.map(|kept| Lag {
                topic: kept.topic.clone(),
                cursor: kept.name.clone(),
                behind: behind(kept),
            }));
        }
        Ok(lags)
    }
}

impl Backend for Nats {
    fn topic(&self, options: TopicOptions) -> Result<Arc<dyn TopicBackend>, OpenError> {
        // `in` is where batched topics are sent.
        if !is_name(&options.name) || options.name == "in" {
            return Err(OpenError::BadName(options.name));
        }
        if let View::Partition(partition) = options.view
            && partition >= self.config.partitions
        {
            let (topic, partitions) = (options.name, self.config.partitions);
            return Err(OpenError::NoPartition { topic, partition, partitions });
        }
        if lock(&self.open).is_closed {
            return Err(OpenError::Closed);
        }
        let topic = self.tasks.block(self.open_topic(options))??;
        lock(&self.open).topics.push(Arc::clone(&topic));
        Ok(topic)
    }

    fn has_views(&self) -> bool {
        true
    }

    fn lags(&self) -> Pending<'_, Result<Vec<Lag>, ReadError>> {
        Box::pin(async {
            let lags = self.all_lags().await;
            lags.map_err(|reason| ReadError::Io(std::io::Error::other(reason)))
        })
    }

    fn durability(&self) -> watch::Receiver<Durability> {
        self.prover.follow()
    }

    fn leave(&self) {
        self.tasks.leave();
        for topic in &lock(&self.open).topics {
            topic.shared.is_leaving.store(true, Ordering::Release);
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let open = {
                let mut open = lock(&self.open);
                std::mem::replace(&mut *open, Open { is_closed: true, ..Open::default() })
            };
            for topic in &open.topics {
                topic.shared.is_closed.store(true, Ordering::Release);
            }
            let until = Instant::now() + CLOSING;
            for topic in &open.topics {
                topic.drain(until.saturating_duration_since(Instant::now())).await;
                topic.shared.end();
            }
            self.tasks.stop().await;
        })
    }
}

/// The stream of a topic: without limits of its own, since only we know what is still needed.
fn topic_config(names: &Names, replicas: usize) -> StreamConfig {
    StreamConfig {
        name: names.stream(),
        subjects: vec![names.all()],
        max_messages: -1,
        max_bytes: -1,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: DUPLICATE_WINDOW,
        deny_delete: true,
        ..StreamConfig::default()
    }
}

/// A key-value bucket whose reads are answered by the leader alone: a replica may be behind.
fn epochs_config(bucket: &str, replicas: usize) -> StreamConfig {
    StreamConfig {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        allow_rollup: true,
        ..bucket_config(replicas)
    }
}

/// As [`epochs_config`], of an object store.
fn cursors_config(bucket: &str, replicas: usize) -> StreamConfig {
    StreamConfig {
        name: format!("OBJ_{bucket}"),
        subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
        allow_rollup: true,
        ..bucket_config(replicas)
    }
}

fn bucket_config(replicas: usize) -> StreamConfig {
    StreamConfig {
        max_messages: -1,
        max_bytes: -1,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        ..StreamConfig::default()
    }
}

/// Finds or makes the buckets of the epochs and of the cursors.
async fn buckets(context: &Context, config: &Config, prover: &Prover) -> Asked<(Epochs, Cursors)> {
    let (name, replicas) = (&config.name, config.replicas);
    let epochs = format!("{name}-epochs");
    let stream = ask(context.get_or_create_stream(epochs_config(&epochs, replicas))).await?;
    prover.note(stream.cached_info());
    let cursors = format!("{name}-cursors");
    let stream = ask(context.get_or_create_stream(cursors_config(&cursors, replicas))).await?;
    prover.note(stream.cached_info());
    let epochs = Epochs::new(ask(context.get_key_value(epochs)).await?);
    let store = ask(context.get_object_store(&cursors)).await?;
    Ok((epochs, Cursors::new(cursors, context.clone(), stream, store)))
}

fn is_missing(why: &GetStreamErrorKind) -> bool {
    matches!(why, GetStreamErrorKind::JetStream(told) if told.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// How long servers that are still starting or electing are waited for.
struct Patience {
    until: Instant,
    pause: Pause,
}

impl Patience {
    fn begin() -> Self {
        Self { until: Instant::now() + OPENING, pause: Pause::new() }
    }

    /// Waits until it may be asked again, or gives the reason back.
    async fn again(&mut self, reason: String) -> Asked<()> {
        if Instant::now() > self.until || is_final(&reason) {
            return Err(reason);
        }
        tracing::debug!(reason, "the servers are not ready");
        self.pause.wait().await;
        Ok(())
    }
}

/// Whether waiting does not help.
fn is_final(reason: &str) -> bool {
    ["not supported", "overlap", "invalid", "permissions"].iter().any(|word| reason.contains(word))
}

/// Asks the servers something, for a bounded time.
async fn ask<T, E: Display>(asking: impl Future<Output = Result<T, E>>) -> Asked<T> {
    match timeout(REQUEST, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
