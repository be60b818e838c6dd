//! Starts real parts for the stories: the centre itself, brokers, screens; and waits for facts.
//!
//! Nothing here sleeps for a fixed time: [`wait_for`] asks again until the fact holds or its limit
//! runs out. Everything started is stopped by its process id when it is dropped.

pub mod api;
pub mod asking;
pub mod centre;
pub mod centre_apart;
pub mod chance;
pub mod cluster;
pub mod compose;
pub mod container;
pub mod day;
pub mod device;
pub mod disk;
pub mod history;
pub mod judging;
pub mod ledger;
pub mod left;
pub mod mount;
pub mod nats;
#[path = "../oracle/mod.rs"]
pub mod oracle;
pub mod pipeline;
pub mod process;
pub mod screen;
pub mod trial;
pub mod victoria;
pub mod webhook;

use std::time::Duration;

/// How long a story waits for a fact on a busy machine before it fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again until `fact` gives a value; fails with `what` when [`PATIENCE`] runs out.
pub async fn wait_for<T, F>(what: &str, mut fact: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let asking = async {
        // A pause between, however long an answer takes: what is waited for needs the time more.
        loop {
            if let Some(value) = fact().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for: {what}"),
    }
}
