//! Asks the monitors of the servers again and again whether acknowledged means on disk, and whether
//! there is room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::stream::Info;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};

use super::durability::{Answer, judge};
use super::room::Room;
use super::varz;
use crate::backend::Durability;
use crate::lock;

/// How often the monitors are asked, and how often when room is scarce.
const INTERVAL: Duration = Duration::from_secs(10);
const SCARCE: Duration = Duration::from_secs(1);

/// What is known of the durability and of the room.
pub(crate) struct Prover {
    monitors: Vec<String>,
    answers: Mutex<Vec<Answer>>,
    /// Where each stream is kept.
    placed: Mutex<BTreeMap<String, Placed>>,
    proven: watch::Sender<Durability>,
    room: Mutex<Room>,
    wanted: Notify,
}

/// Where a stream is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    replicas: usize,
    /// The names of its servers; none if a single server keeps everything.
    servers: BTreeSet<String>,
}

impl Prover {
    pub(crate) fn new(monitors: Vec<String>) -> Self {
        let unasked = Durability::BestEffort("the servers were not asked yet".to_owned());
        Self {
            monitors,
            answers: Mutex::default(),
            placed: Mutex::default(),
            proven: watch::Sender::new(unasked),
            room: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// Asks every monitor once.
    pub(crate) async fn ask(&self) {
        let answers = self.monitors.iter().map(async |monitor| {
            let answer = varz::ask(monitor).await;
            (monitor.clone(), answer)
        });
        let answers = join_all(answers).await;
        self.judge_room(&answers);
        *lock(&self.answers) = answers;
        self.judge();
    }

    /// Lets [`run`] ask at once.
    pub(crate) fn ask_soon(&self) {
        self.wanted.notify_one();
    }

    fn judge_room(&self, answers: &[Answer]) {
        let servers = self.servers();
        let mut room = lock(&self.room);
        let lacked = room.is_lacking();
        room.hear(answers, &servers);
        let server = room.fullest();
        match (lacked, room.is_lacking()) {
            (false, true) => {
                tracing::warn!(server, "a server is nearly full: no more readings are taken");
            }
            (true, false) => tracing::info!("the servers have room again"),
            _ => {}
        }
    }

    /// The names of all that keep a stream, as far as they are known.
    fn servers(&self) -> BTreeSet<String> {
        lock(&self.placed).values().flat_map(|it| it.servers.iter().cloned()).collect()
    }

    /// Whether a server is nearly full, when they were last asked.
    pub(crate) fn lacks_room(&self) -> bool {
        lock(&self.room).is_lacking()
    }

    /// Takes note of where a stream is really kept.
    pub(crate) fn note(&self, stream: &Info) {
        let cluster = stream.cluster.iter();
        let servers = cluster.flat_map(|cluster| {
            let replicas = cluster.replicas.iter().map(|peer| &peer.name);
            cluster.leader.iter().chain(replicas).cloned()
        });
        let (replicas, servers) = (stream.config.num_replicas, servers.collect());
        let placed = Placed { replicas, servers };
        let before = lock(&self.placed).insert(stream.config.name.clone(), placed.clone());
        if before.as_ref() != Some(&placed) {
            self.judge();
        }
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Durability> {
        self.proven.subscribe()
    }

    fn judge(&self) {
        let answers = lock(&self.answers);
        if answers.len() < self.monitors.len() {
            // Before the first answers there is nothing to judge.
            return;
        }
        let fewest = lock(&self.placed).values().map(|it| it.replicas).min();
        let judgement = judge(&answers, fewest.unwrap_or_default(), &self.servers());
        self.proven.send_if_modified(|proven| {
            let is_news = *proven != judgement;
            if is_news && let Durability::BestEffort(reason) = &judgement {
                tracing::warn!(reason, "acknowledged does not mean on disk");
            }
            *proven = judgement;
            is_news
        });
    }
}

/// Asks for ever.
pub(crate) async fn run(prover: Arc<Prover>) {
    loop {
        let is_scarce = lock(&prover.room).is_nearly_lacking();
        let pause = if is_scarce { SCARCE } else { INTERVAL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = prover.wanted.notified() => {}
        }
        prover.ask().await;
    }
}
