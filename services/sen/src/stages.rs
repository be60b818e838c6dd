//! Running and stopping: services in the order of the stream, each joined before the next stops.

use std::time::Duration;

use sen_chassis::tasks::TaskError;
use sen_chassis::{Shutdown, Tasks};
use sen_log::Log;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long all services together may take to finish what they were given.
const GRACE: Duration = Duration::from_secs(30);

/// The error of whichever service failed, with its causes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct StageError(#[from] Box<dyn std::error::Error + Send + Sync>);

/// The services of this process, in stopping order.
pub(crate) struct Stages {
    tasks: Tasks<StageError>,
    order: Vec<(&'static str, Shutdown)>,
    interrupt: Signal,
    terminate: Signal,
}

impl Stages {
    /// None yet. From now on a signal to stop is not missed: whoever has been told our addresses
    /// may send one at once.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            tasks: Tasks::default(),
            order: Vec::new(),
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Does what comes before the services run; none if we are asked to stop meanwhile.
    pub(crate) async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
            done = work => Some(done),
        }
    }

    /// Starts a service if there is one. The first added is the first to be stopped.
    pub(crate) fn add<S, E, R, F>(&mut self, name: &'static str, service: Option<S>, run: R)
    where
        R: FnOnce(S, Shutdown) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let Some(service) = service else { return };
        let shutdown = Shutdown::new();
        let running = run(service, shutdown.clone());
        self.tasks
            .spawn(name, async move { running.await.map_err(|error| StageError(error.into())) });
        self.order.push((name, shutdown));
    }

    /// Runs until SIGINT or SIGTERM, then stops one service after the other; or until one of them
    /// ends by itself, which is a failure and stops everything at once. Closes the log last.
    pub(crate) async fn run(self, log: Option<Log>) -> anyhow::Result<()> {
        let Self { mut tasks, order, mut interrupt, mut terminate } = self;
        let result = tokio::select! {
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            ended = tasks.join_next() => Some(failure(ended)),
        };
        tracing::info!(failed = result.is_some(), "stopping");
        if let Some(log) = &log {
            log.leave();
        }
        let stopping = async {
            match result {
                None => stop_in_order(&mut tasks, &order).await,
                Some(error) => {
                    stop_at_once(&mut tasks, &order).await;
                    Err(error)
                }
            }
        };
        let stopped = tokio::select! {
            stopped = tokio::time::timeout(GRACE, stopping) => {
                stopped.unwrap_or_else(|_| Err(anyhow::anyhow!("a service did not stop in {GRACE:?}")))
            }
            _ = interrupt.recv() => Err(anyhow::anyhow!("stopped by a second signal")),
        };
        if let Some(log) = log {
            log.close().await;
        }
        stopped
    }
}

/// Lets whoever opens topics wait for the servers no longer than until we are asked to stop, which
/// `asked` then tells; for as long as what it gives is kept.
pub(crate) fn leave_when_stopped(
    log: Log,
    asked: Shutdown,
) -> std::io::Result<Tasks<std::convert::Infallible>> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut tasks = Tasks::default();
    tasks.spawn("leave", async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        asked.request();
        log.leave();
        Ok(())
    });
    Ok(tasks)
}

/// The shutdown of each service, in stopping order.
type Order = [(&'static str, Shutdown)];

/// Each service is asked only when the one before it has ended: it then sees all its input.
async fn stop_in_order(tasks: &mut Tasks<StageError>, order: &Order) -> anyhow::Result<()> {
    for (name, shutdown) in order {
        shutdown.request();
        match tasks.join_next().await {
            Some(Ok(ended)) if ended == *name => {}
            ended => {
                let error = failure(ended);
                stop_at_once(tasks, order).await;
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn stop_at_once(tasks: &mut Tasks<StageError>, order: &Order) {
    for (_, shutdown) in order {
        shutdown.request();
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(error = &error as &dyn std::error::Error, "service failed too");
        }
    }
}

/// Why a service that nobody had asked to stop ended.
fn failure(ended: Option<Result<&'static str, TaskError<StageError>>>) -> anyhow::Error {
    match ended {
        Some(Ok(name)) => anyhow::anyhow!("{name} ended by itself"),
        Some(Err(error)) => error.into(),
        None => anyhow::anyhow!("there is nothing to run"),
    }
}
