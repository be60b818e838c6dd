//! Asks the monitors of the servers again and again whether acknowledged means on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;

use super::durability::{Answer, judge};
use super::varz;
use crate::backend::Durability;
use crate::lock;

/// How often the monitors are asked.
const INTERVAL: Duration = Duration::from_secs(60);

/// What is known of the durability.
pub(crate) struct Prover {
    monitors: Vec<String>,
    answers: Mutex<Vec<Answer>>,
    /// The replicas of each stream.
    replicas: Mutex<BTreeMap<String, usize>>,
    proven: watch::Sender<Durability>,
}

impl Prover {
    pub(crate) fn new(monitors: Vec<String>) -> Self {
        let unasked = Durability::BestEffort("the servers were not asked yet".to_owned());
        Self {
            monitors,
            answers: Mutex::default(),
            replicas: Mutex::default(),
            proven: watch::Sender::new(unasked),
        }
    }

    /// Asks every monitor once.
    pub(crate) async fn ask(&self) {
        let answers = self.monitors.iter().map(async |monitor| {
            let answer = varz::ask(monitor).await;
            (monitor.clone(), answer)
        });
        *lock(&self.answers) = join_all(answers).await;
        self.judge();
    }

    /// Takes note of the replicas a stream really has.
    pub(crate) fn count_replicas(&self, stream: &str, replicas: usize) {
        let before = lock(&self.replicas).insert(stream.to_owned(), replicas);
        if before != Some(replicas) {
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
        let fewest = lock(&self.replicas).values().min().copied().unwrap_or_default();
        let judgement = judge(&answers, fewest);
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
