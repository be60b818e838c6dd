//! The tasks of the log over NATS; they end when it is closed or nobody has it any more.

use std::sync::Mutex;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};

use crate::{OpenError, lock};

/// The tasks, and the runtime they run on.
pub(crate) struct Tasks {
    set: Mutex<JoinSet<()>>,
    runtime: Handle,
    is_leaving: watch::Sender<bool>,
}

impl Tasks {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { set: Mutex::default(), runtime, is_leaving: watch::Sender::new(false) }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = lock(&self.set);
        // Those that have ended are forgotten, so that the set stays as small as the topics are few.
        while set.try_join_next().is_some() {}
        set.spawn_on(task, &self.runtime);
    }

    /// From now on nothing is waited for in calls that are not async.
    pub(crate) fn leave(&self) {
        self.is_leaving.send_replace(true);
    }

    /// Waits for the servers in a call that is not async, unless we are leaving.
    pub(crate) fn block<T>(&self, asking: impl Future<Output = T>) -> Result<T, OpenError> {
        let mut is_leaving = self.is_leaving.subscribe();
        let asking = async {
            tokio::select! {
                biased;
                _ = is_leaving.wait_for(|is_leaving| *is_leaving) => Err(OpenError::Closed),
                answer = asking => Ok(answer),
            }
        };
        match Handle::try_current() {
            Err(_) => self.runtime.block_on(asking),
            Ok(here) if here.runtime_flavor() == RuntimeFlavor::MultiThread => {
                block_in_place(|| self.runtime.block_on(asking))
            }
            Ok(_) => Err(OpenError::Runtime),
        }
    }

    /// Ends all of them, wherever they are.
    pub(crate) async fn stop(&self) {
        let mut set = std::mem::take(&mut *lock(&self.set));
        set.shutdown().await;
    }
}
