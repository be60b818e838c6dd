//! Partitions shared evenly among the living: members make themselves known under the same time
//! limit as leases, and each partition is a lease.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::kv::{Entry, Operation, Watch};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sen_chassis::Tasks;
use sen_chassis::backoff::Backoff;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::hold::{Chain, holder, mark_of};
use crate::{Cluster, Error, Held, name};
use plan::View;

/// What is to be done about one partition.
#[derive(Debug)]
pub enum Change {
    /// Work on it as long as the lease holds. When it is lost, or done with, stop the work and then
    /// drop or release the lease: until that this process gets the partition no second time.
    Take(u32, Held),
    /// Another is to have it: stop the work, then [release](Held::release) its lease.
    GiveUp(u32),
}

/// This process's share of the partitions of a role. Dropped, the others take over after the
/// length of a lease; [left](Self::leave), as soon as the leases are released.
#[derive(Debug)]
pub struct Shares {
    changes: mpsc::Receiver<Change>,
    cluster: Cluster,
    member_key: String,
    /// Dies with this.
    _sharing: Tasks<std::convert::Infallible>,
}

impl Cluster {
    /// Joins those who share partitions `0..count` of `role`, each under the lease
    /// `{role}.{partition}`. Needs no answer from the servers: changes come as they can be made.
    pub fn shares(&self, role: &str, count: u32) -> Shares {
        let role = name::token(role);
        // Not the instance's name alone: after a restart it is another member.
        let member = format!("{}-{:08x}", self.0.instance, name::mark() as u32);
        // At most one `Take` and one `GiveUp` of each is open.
        let (sender, changes) = mpsc::channel(2 * count.max(1) as usize);
        let sharing = Sharing {
            cluster: self.clone(),
            view: View::new(self.0.terms.lease()),
            member_key: format!("{role}.member.{member}"),
            role,
            member,
            count,
            mine: BTreeSet::new(),
            leaving: BTreeSet::new(),
            ends: FuturesUnordered::new(),
            try_after: BTreeMap::new(),
            heard_self: Instant::now(),
            changes: sender,
        };
        let member_key = sharing.member_key.clone();
        let mut tasks = Tasks::new();
        tasks.spawn("share partitions", async move {
            sharing.run().await;
            Ok(())
        });
        Shares { changes, cluster: self.clone(), member_key, _sharing: tasks }
    }
}

impl Shares {
    /// The next change; `None` only after a fault in here. Cancel-safe.
    pub async fn next(&mut self) -> Option<Change> {
        self.changes.recv().await
    }

    /// Takes nothing more and tells the others. Then stop the work and release its leases.
    pub async fn leave(self) {
        let Self { mut changes, cluster, member_key, _sharing } = self;
        drop(_sharing);
        if let Err(error) = cluster.0.leases.delete(&member_key).await {
            debug!(member_key, %error, "a member could not sign off, it is forgotten by and by");
        }
        while let Ok(change) = changes.try_recv() {
            if let Change::Take(_, held) = change {
                held.release().await;
            }
        }
    }
}

/// The task behind [`Shares`].
struct Sharing {
    cluster: Cluster,
    role: String,
    member: String,
    member_key: String,
    count: u32,
    view: View<Instant>,
    /// Partitions whose leases were given out and are not yet dropped.
    mine: BTreeSet<u32>,
    /// Of these, those to be given up.
    leaving: BTreeSet<u32>,
    /// Each ends when the lease of its partition is dropped.
    ends: FuturesUnordered<BoxFuture<'static, u32>>,
    /// Partitions that seemed free but were not.
    try_after: BTreeMap<u32, Instant>,
    /// When the watch last showed our own membership: whether it still shows anything.
    heard_self: Instant,
    changes: mpsc::Sender<Change>,
}

impl Sharing {
    async fn run(mut self) {
        let terms = self.cluster.0.terms;
        let mut trouble = Backoff::new(terms.tried_each(), terms.lease() / 3, name::mark());
        let mut entries = None;
        let mut register_at = Instant::now();
        // Those who start together see each other before one takes all.
        let settled_at = Instant::now() + terms.tried_each();
        let mut look_at = settled_at;
        loop {
            let now = Instant::now();
            if now >= register_at {
                register_at = now
                    + match self.register().await {
                        Ok(()) => {
                            trouble.succeeded();
                            terms.renewed_each()
                        }
                        Err(error) => self.failed(&mut trouble, &error),
                    };
            }
            if entries.is_none() || now >= self.heard_self + terms.lease() {
                self.heard_self = now;
                entries = self
                    .watch()
                    .await
                    .inspect_err(|e| {
                        self.failed(&mut trouble, e);
                    })
                    .ok();
            }
            if now >= settled_at {
                self.act().await;
            }
            look_at = look_at.max(now);
            tokio::select! {
                entry = next(&mut entries) => match entry {
                    Some(entry) => self.see(&entry),
                    None => entries = None,
                },
                Some(partition) = self.ends.next() => {
                    self.mine.remove(&partition);
                    self.leaving.remove(&partition);
                    self.view.is_free(partition);
                }
                () = sleep_until(register_at.min(look_at)) => {
                    look_at = Instant::now() + terms.tried_each();
                }
            }
        }
    }

    fn failed(&self, trouble: &mut Backoff, error: &Error) -> std::time::Duration {
        if trouble.is_fresh() {
            warn!(role = self.role, error = %Chain(error), "partitions cannot be shared, trying again");
        }
        trouble.failed()
    }

    /// Makes this member known, or keeps it so.
    async fn register(&mut self) -> Result<(), Error> {
        let put = self.cluster.0.leases.put(&self.member_key, "".into()).await;
        put.map(drop).map_err(Error::nats("take a member"))
    }

    async fn watch(&mut self) -> Result<Watch, Error> {
        let all = format!("{}.>", self.role);
        let watch = self.cluster.0.leases.watch_with_history(all).await;
        watch.map_err(Error::nats("show the members"))
    }

    fn see(&mut self, entry: &Entry) {
        let now = Instant::now();
        let Some(rest) = entry.key.strip_prefix(&self.role).and_then(|r| r.strip_prefix('.'))
        else {
            return;
        };
        let is_there = entry.operation == Operation::Put;
        if let Some(member) = rest.strip_prefix("member.") {
            if member == self.member {
                self.heard_self = now;
            }
            if is_there {
                self.view.member_lives(member, now);
            } else {
                self.view.member_left(member);
            }
        } else if let Ok(partition) = rest.parse() {
            if is_there {
                let mark = String::from_utf8_lossy(&entry.value);
                self.view.is_held(partition, holder(&mark), now);
            } else {
                self.view.is_free(partition);
                self.try_after.remove(&partition);
            }
        }
    }

    /// Gives up and takes what the plan says.
    async fn act(&mut self) {
        let now = Instant::now();
        self.view.forget(now);
        self.try_after.retain(|_, after| now < *after);
        let plan = self.view.plan(&self.member, &self.mine, &self.leaving, self.count);
        for partition in plan.give_up {
            info!(role = self.role, partition, "giving up a partition");
            self.leaving.insert(partition);
            let _ = self.changes.send(Change::GiveUp(partition)).await;
        }
        let mut room = plan.room;
        for partition in plan.free {
            if room == 0 || self.try_after.contains_key(&partition) {
                continue;
            }
            if self.take(partition).await {
                room -= 1;
            } else {
                let after = Instant::now() + self.cluster.0.terms.tried_each();
                self.try_after.insert(partition, after);
            }
        }
    }

    async fn take(&mut self, partition: u32) -> bool {
        let lease = format!("{}.{partition}", self.role);
        let held = match self.cluster.try_hold(&lease, &mark_of(&self.member)).await {
            Ok(Some(held)) => held,
            Ok(None) => return false,
            Err(error) => {
                debug!(lease, error = %Chain(&error), "a partition could not be taken");
                return false;
            }
        };
        info!(role = self.role, partition, "taking a partition");
        let mut over = held.over();
        self.ends.push(Box::pin(async move {
            // It never changes: this ends when the lease is dropped.
            let _ = over.changed().await;
            partition
        }));
        self.mine.insert(partition);
        let _ = self.changes.send(Change::Take(partition, held)).await;
        true
    }
}

/// The next entry; `None` when the watch is to be made anew; waits where there is none.
async fn next(entries: &mut Option<Watch>) -> Option<Entry> {
    match entries {
        None => std::future::pending().await,
        Some(entries) => entries.next().await?.ok(),
    }
}
