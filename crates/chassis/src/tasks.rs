//! Tasks that are always joined: the first failure is the failure of the whole.

use std::future::Future;

use tokio::task::{AbortHandle, JoinSet};

/// A set of named tasks. Dropping it aborts what still runs.
#[derive(Debug)]
pub struct Tasks<E> {
    running: JoinSet<(&'static str, Result<(), E>)>,
}

/// How a task ended badly.
#[derive(Debug, thiserror::Error)]
pub enum TaskError<E: std::error::Error + 'static> {
    /// It returned an error.
    #[error("{name} failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// Its error.
        #[source]
        source: E,
    },
    /// It panicked: a bug.
    #[error("a task panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl<E: std::error::Error + Send + 'static> Default for Tasks<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: std::error::Error + Send + 'static> Tasks<E> {
    /// No tasks.
    pub fn new() -> Self {
        Self { running: JoinSet::new() }
    }

    /// Starts a task.
    pub fn spawn<F>(&mut self, name: &'static str, task: F) -> AbortHandle
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.running.spawn(async move { (name, task.await) })
    }

    /// How many still run or wait to be joined.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for the next task to end; `None` when none is left. Cancel-safe. Aborted tasks count
    /// as ended well.
    pub async fn join_next(&mut self) -> Option<Result<&'static str, TaskError<E>>> {
        Some(match self.running.join_next().await? {
            Ok((name, Ok(()))) => Ok(name),
            Ok((name, Err(source))) => Err(TaskError::Failed { name, source }),
            Err(error) if error.is_cancelled() => Ok("aborted"),
            Err(error) => Err(TaskError::Panicked(error)),
        })
    }

    /// Waits for all; at the first failure aborts the rest and returns it.
    pub async fn join_all(mut self) -> Result<(), TaskError<E>> {
        while let Some(ended) = self.join_next().await {
            ended?;
        }
        Ok(())
    }
}
