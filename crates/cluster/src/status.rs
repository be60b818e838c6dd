//! Status: what each process says of itself, each second, on `{name}.status.{role}.{instance}`.
//!
//! Not kept by the servers: what is not repeated is forgotten.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use async_nats::Message;
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use crate::{Cluster, Error};

/// From one status to the next.
const TOLD_EACH: Duration = Duration::from_secs(1);

/// Who is silent for this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// Processes heard of at once; a further one is not listened to.
const MOST_TELLERS: usize = 1024;

/// What one process last said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<S> {
    /// Its role.
    pub role: String,
    /// Its name.
    pub instance: String,
    /// When it was heard.
    pub received: Instant,
    /// What it said.
    pub status: S,
}

/// What all say of themselves, by `{role}.{instance}`.
pub type AllTold<S> = BTreeMap<String, Told<S>>;

impl Cluster {
    /// A task that tells all others the present `status` each second; it ends with its sender.
    pub fn tell<S>(
        &self,
        status: watch::Receiver<S>,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<S>
    where
        S: Serialize + Send + Sync + 'static,
    {
        let cluster = self.clone();
        async move {
            let subject =
                cluster.subject(&format!("status.{}.{}", cluster.role(), cluster.instance()));
            let mut each = interval(TOLD_EACH);
            each.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut fits = true;
            loop {
                each.tick().await;
                if status.has_changed().is_err() {
                    return Ok(());
                }
                let json = serde_json::to_vec(&*status.borrow());
                let json = json.map_err(|source| Error::Json { what: "a status", source })?;
                let (bytes, most) = (json.len(), cluster.0.client.max_payload());
                if bytes > most && fits {
                    warn!(bytes, most, "the status is too large to be told: raise `max_payload`");
                }
                fits = bytes <= most;
                // Without a connection there would only be old ones in the queue when it is back.
                if fits
                    && cluster.is_connected()
                    && let Err(error) = cluster.0.client.publish(subject.clone(), json.into()).await
                {
                    debug!(%error, "the status is not told");
                }
            }
        }
    }

    /// What all say of themselves, this process too if it tells: by `{role}.{instance}`. Who is
    /// silent for 10 s is forgotten. The task must run for that, and ends when nobody looks any
    /// more.
    pub fn told<S>(
        &self,
    ) -> (watch::Receiver<AllTold<S>>, impl Future<Output = Result<(), Error>> + Send + use<S>)
    where
        S: DeserializeOwned + Send + Sync + 'static,
    {
        let (sender, receiver) = watch::channel(BTreeMap::new());
        let cluster = self.clone();
        let task = async move {
            loop {
                tokio::select! {
                    () = listen(&cluster, &sender) => {}
                    () = sender.closed() => return Ok(()),
                }
                sleep(TOLD_EACH).await;
            }
        };
        (receiver, task)
    }
}

/// Takes in what is told until the subscription ends.
async fn listen<S: DeserializeOwned>(
    cluster: &Cluster,
    sender: &watch::Sender<BTreeMap<String, Told<S>>>,
) {
    let all = cluster.subject("status.*.*");
    let mut messages = match cluster.0.client.subscribe(all).await {
        Ok(messages) => messages,
        Err(error) => return debug!(%error, "nobody's status can be heard"),
    };
    let mut each = interval(TOLD_EACH);
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut understood = true;
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return };
                match read(cluster, &message) {
                    Some(told) => hear(sender, told),
                    None if understood => {
                        understood = false;
                        let subject = message.subject.as_str();
                        warn!(subject, "a status is not understood: do all run the same version?");
                    }
                    None => {}
                }
            }
            now = each.tick() => forget(sender, now),
        }
    }
}

fn read<S: DeserializeOwned>(cluster: &Cluster, message: &Message) -> Option<Told<S>> {
    let rest = message.subject.strip_prefix(cluster.name())?.strip_prefix(".status.")?;
    let (role, instance) = rest.split_once('.')?;
    let status = serde_json::from_slice(&message.payload).ok()?;
    let received = Instant::now();
    Some(Told { role: role.to_owned(), instance: instance.to_owned(), received, status })
}

fn hear<S>(sender: &watch::Sender<BTreeMap<String, Told<S>>>, told: Told<S>) {
    let key = format!("{}.{}", told.role, told.instance);
    sender.send_if_modified(|all| {
        let fits = all.len() < MOST_TELLERS || all.contains_key(&key);
        if fits {
            all.insert(key, told);
        }
        fits
    });
}

fn forget<S>(sender: &watch::Sender<BTreeMap<String, Told<S>>>, now: Instant) {
    sender.send_if_modified(|all| {
        let before = all.len();
        all.retain(|_, told| now.duration_since(told.received) < FORGOTTEN_AFTER);
        all.len() < before
    });
}
