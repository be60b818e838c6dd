//! Request and reply between services of one process: a bounded queue of questions.

use tokio::sync::{mpsc, oneshot};

/// The asking side; cheap to clone.
#[derive(Debug)]
pub struct Caller<Q, A>(mpsc::Sender<(Q, oneshot::Sender<A>)>);

/// The answering side.
#[derive(Debug)]
pub struct Answerer<Q, A>(mpsc::Receiver<(Q, oneshot::Sender<A>)>);

/// Nobody answers any more: the service has stopped.
#[derive(Debug, thiserror::Error)]
#[error("the service that answers has stopped")]
pub struct NoAnswer;

/// A queue of at most `capacity` open questions; askers wait when it is full.
pub fn channel<Q, A>(capacity: usize) -> (Caller<Q, A>, Answerer<Q, A>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Caller(sender), Answerer(receiver))
}

impl<Q, A> Clone for Caller<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q, A> Caller<Q, A> {
    /// Asks and waits for the answer.
    pub async fn ask(&self, question: Q) -> Result<A, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.0.send((question, reply)).await.map_err(|_| NoAnswer)?;
        answer.await.map_err(|_| NoAnswer)
    }
}

impl<Q, A> Answerer<Q, A> {
    /// The next question, with where its answer goes; `None` when no asker is left. Cancel-safe.
    pub async fn next(&mut self) -> Option<(Q, oneshot::Sender<A>)> {
        self.0.recv().await
    }
}
