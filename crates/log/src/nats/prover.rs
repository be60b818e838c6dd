//! Asks the monitors of the servers again and again whether acknowledged means on disk, and whether
//! there is room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::stream::Info;
use futures_util::future::join_all;
use tokio::sync::watch;

use super::durability::{Answer, judge};
use super::{room, varz};
use crate::backend::Durability;
use crate::lock;

/// How often the monitors are asked.
const INTERVAL: Duration = Duration::from_secs(10);

/// What is known of the durability and of the room.
pub(crate) struct Prover {
    monitors: Vec<String>,
    answers: Mutex<Vec<Answer>>,
    /// Where each stream is kept.
    placed: Mutex<BTreeMap<String, Placed>>,
    proven: watch::Sender<Durability>,
    lacks_room: AtomicBool,
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
            lacks_room: AtomicBool::new(false),
        }
    }

    /// Asks every monitor once.
    pub(crate) async fn ask(&self) {
        let answers = self.monitors.iter().map(async |monitor| {
            let answer = varz::ask(monitor).await;
            (monitor.clone(), answer)
        });
        let answers = join_all(answers).await;
        let lacking = room::lacking(&answers);
        *lock(&self.answers) = answers;
        self.judge();
        let lacked = self.lacks_room.swap(lacking.is_some(), Ordering::AcqRel);
        match lacking {
            Some(reason) if !lacked => {
                tracing::error!(reason, "the servers are nearly full: no more readings are taken");
            }
            None if lacked => tracing::info!("the servers have room again"),
            _ => {}
        }
    }

    /// Whether a server is nearly full, when they were last asked.
    pub(crate) fn lacks_room(&self) -> bool {
        self.lacks_room.load(Ordering::Acquire)
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
        let (fewest, servers) = {
            let placed = lock(&self.placed);
            let fewest = placed.values().map(|it| it.replicas).min();
            let servers = placed.values().flat_map(|it| it.servers.iter().cloned()).collect();
            (fewest.unwrap_or_default(), servers)
        };
        let judgement = judge(&answers, fewest, &servers);
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
        tokio::time::sleep(INTERVAL).await;
        prover.ask().await;
    }
}
