//! Asks the monitors of the servers again and again whether acknowledged means on disk.

use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// The fewest replicas of any stream.
    replicas: AtomicUsize,
    proven: watch::Sender<Durability>,
}

impl Prover {
    pub(crate) fn new(monitors: Vec<String>, replicas: usize) -> Self {
        let unasked = Durability::BestEffort("the servers were not asked yet".to_owned());
        Self {
            monitors,
            answers: Mutex::default(),
            replicas: AtomicUsize::new(replicas),
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

    /// Takes note of the replicas of one more stream.
    pub(crate) fn count_replicas(&self, replicas: usize) {
        if replicas < self.replicas.fetch_min(replicas, Ordering::AcqRel) {
            self.judge();
        }
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Durability> {
        self.proven.subscribe()
    }

    fn judge(&self) {
        let answers = lock(&self.answers);
        let judgement = judge(&answers, self.replicas.load(Ordering::Acquire));
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
