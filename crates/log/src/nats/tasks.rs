//! The tasks of the log over NATS; they end when it is closed or nobody has it any more.

use std::sync::Mutex;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::lock;

/// The tasks, and the runtime they run on.
pub(crate) struct Tasks {
    set: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Tasks {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { set: Mutex::default(), runtime }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = lock(&self.set);
        // Those that have ended are forgotten, so that the set stays as small as the topics are few.
        while set.try_join_next().is_some() {}
        set.spawn_on(task, &self.runtime);
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends all of them, wherever they are.
    pub(crate) async fn stop(&self) {
        let mut set = std::mem::take(&mut *lock(&self.set));
        set.shutdown().await;
    }
}
