//! Leases: what one process at a time may do.
//!
//! A lease is a key in a bucket whose entries the servers forget after `lease_ms`. Who creates it
//! has it, and renews it by replacing exactly the revision he wrote. The servers do not announce
//! that they forgot one, so who waits tries again and again; a release is announced.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Operation, UpdateErrorKind};
use futures_util::StreamExt;
use sen_chassis::Tasks;
use sen_chassis::backoff::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::connect::Shared;
use crate::name;
use crate::terms::{Claim, Seen, Verdict, judge};
use crate::{Cluster, Error};

/// A lease that is ours until it is lost. Dropped, it runs out by itself; [released](Self::release)
/// another can have it at once.
#[derive(Debug)]
pub struct Held {
    lease: String,
    mark: String,
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    /// The renewals: they die with this.
    _renewals: Tasks<std::convert::Infallible>,
    /// Dropped with this: tells whoever gave it out that the work is over.
    _alive: watch::Sender<()>,
}

/// Where a lease stands.
#[derive(Clone, Copy, Debug)]
struct State {
    claim: Claim<Instant>,
    revision: u64,
}

/// Becomes ready when a [`Held`] is released or dropped.
pub(crate) type Over = watch::Receiver<()>;

impl Cluster {
    /// Waits until `lease` is ours. Cancel-safe: a claim whose answer was not awaited runs out.
    ///
    /// # Errors
    /// Only for a name that cannot be a key; while the servers cannot be reached it waits.
    pub async fn hold(&self, lease: &str) -> Result<Held, Error> {
        if !name::is_key(lease) {
            return Err(Error::Name(lease.to_owned()));
        }
        let terms = self.0.terms;
        let mark = mark_of(&self.0.instance);
        let mut backoff = Backoff::new(terms.tried_each(), terms.tried_each() * 2, name::mark());
        let mut trouble = Backoff::new(terms.tried_each(), terms.lease(), name::mark());
        let mut releases = None;
        loop {
            if releases.is_none() {
                releases = self.0.client.subscribe(self.released(lease)).await.ok();
            }
            let wait = match self.try_hold(lease, &mark).await {
                Ok(Some(held)) => return Ok(held),
                Ok(None) => {
                    trouble.succeeded();
                    backoff.failed()
                }
                Err(error) => {
                    if trouble.is_fresh() {
                        warn!(lease, error = %Chain(&error), "a lease cannot be asked for, trying again");
                    }
                    trouble.failed()
                }
            };
            match &mut releases {
                // Ended: subscribe anew.
                Some(released) => {
                    if let Ok(None) = timeout(wait, released.next()).await {
                        releases = None;
                    }
                }
                None => sleep(wait).await,
            }
        }
    }

    /// One try; `None` when another has it. The same `mark` finds an earlier try of one's own.
    pub(crate) async fn try_hold(&self, lease: &str, mark: &str) -> Result<Option<Held>, Error> {
        let store = &self.0.leases;
        let sent = Instant::now();
        let revision = match store.create(lease, mark.to_owned().into()).await {
            Ok(revision) => revision,
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                // Perhaps by an earlier try of ours whose answer was lost: then renew it.
                let entry = store.entry(lease).await.map_err(Error::nats("show a lease"))?;
                match entry.filter(|entry| is_ours(entry, mark)) {
                    None => return Ok(None),
                    Some(entry) => {
                        let value = mark.to_owned().into();
                        match store.update(lease, value, entry.revision).await {
                            Ok(revision) => revision,
                            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                                return Ok(None);
                            }
                            Err(error) => return Err(Error::nats("renew a lease")(error)),
                        }
                    }
                }
            }
            Err(error) => return Err(Error::nats("give a lease")(error)),
        };
        let claim = Claim::new(sent, self.0.terms);
        if !claim.is_ours(Instant::now()) {
            // The answer came too late to count on; the claim runs out, or the next try renews it.
            return Ok(None);
        }
        debug!(lease, revision, "holding a lease");
        Ok(Some(self.held(lease, mark, State { claim, revision })))
    }

    fn released(&self, lease: &str) -> String {
        self.subject(&format!("released.{lease}"))
    }

    fn held(&self, lease: &str, mark: &str, state: State) -> Held {
        let (told, state) = watch::channel(state);
        let mut renewals = Tasks::new();
        let (shared, lease, mark) = (self.0.clone(), lease.to_owned(), mark.to_owned());
        let renewing = Renewing { shared, lease: lease.clone(), mark: mark.clone(), told };
        renewals.spawn("renew a lease", async move {
            renewing.run().await;
            Ok(())
        });
        let alive = watch::Sender::new(());
        let shared = self.0.clone();
        Held { lease, mark, shared, state, _renewals: renewals, _alive: alive }
    }
}

/// What makes one claim of `who` differ from any other, and shows whose it is.
pub(crate) fn mark_of(who: &str) -> String {
    format!("{who} {:016x}", name::mark())
}

/// Whose claim this is.
pub(crate) fn holder(mark: &str) -> &str {
    mark.split(' ').next().unwrap_or_default()
}

fn is_ours(entry: &async_nats::jetstream::kv::Entry, mark: &str) -> bool {
    entry.operation == Operation::Put && entry.value == mark.as_bytes()
}

impl Held {
    /// What is held.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// Whether it is ours at this moment. Once `false` it stays so.
    pub fn still_ours(&self) -> bool {
        self.state.borrow().claim.is_ours(Instant::now())
    }

    /// Returns when it is lost: before the servers give it to another. Then stop at once and drop
    /// this. Cancel-safe.
    pub async fn lost(&mut self) {
        loop {
            let claim = self.state.borrow_and_update().claim;
            if !claim.is_ours(Instant::now()) {
                return;
            }
            tokio::select! {
                () = sleep_until(claim.until()) => {}
                changed = self.state.changed() => {
                    if changed.is_err() {
                        // The renewals ended, which they only do when it is lost.
                        return;
                    }
                }
            }
        }
    }

    /// Gives it back, so that another can have it at once. Call it after the work has stopped.
    pub async fn release(self) {
        let Self { lease, mark, shared, state, _renewals, _alive } = self;
        // First no more renewals; one under way is either before the revision below, or fails.
        drop(_renewals);
        let mut revision = state.borrow().revision;
        // Twice: a renewal whose answer did not come may have been taken.
        for _ in 0..2 {
            let deleted = shared.leases.delete_expect_revision(&lease, Some(revision)).await;
            let Err(error) = deleted else { break };
            match shared.leases.entry(&lease).await {
                Ok(Some(entry)) if is_ours(&entry, &mark) => revision = entry.revision,
                _ => {
                    debug!(lease, %error, "a lease could not be given back, it runs out");
                    break;
                }
            }
        }
        let subject = format!("{}.released.{lease}", shared.name);
        // Whoever does not hear of it finds it by trying.
        let _ = shared.client.publish(subject, "".into()).await;
    }

    /// Tells when this is released or dropped.
    pub(crate) fn over(&self) -> Over {
        self._alive.subscribe()
    }
}

/// The task that renews one lease until it is lost.
struct Renewing {
    shared: Arc<Shared>,
    lease: String,
    mark: String,
    told: watch::Sender<State>,
}

impl Renewing {
    async fn run(self) {
        let terms = self.shared.terms;
        let mut wait = terms.renewed_each();
        loop {
            let claim = self.told.borrow().claim;
            sleep(wait).await;
            if !claim.is_ours(Instant::now()) {
                break;
            }
            let sent = Instant::now();
            wait = match self.renew().await {
                Ok(Some(revision)) => {
                    self.told.send_modify(|state| {
                        state.revision = revision;
                        state.claim.renewed(sent, Instant::now(), terms);
                    });
                    terms.renewed_each().saturating_sub(sent.elapsed())
                }
                Ok(None) => break,
                Err(Trouble::Again(revision)) => {
                    self.told.send_modify(|state| state.revision = revision);
                    Duration::ZERO
                }
                Err(Trouble::Later(error)) => {
                    debug!(lease = self.lease, error, "a lease was not renewed, trying again");
                    terms.repeated_after()
                }
            };
        }
        info!(lease = self.lease, "a lease is lost");
        self.told.send_modify(|state| state.claim.lose());
    }

    /// One renewal: its revision, or `None` when the lease is another's.
    async fn renew(&self) -> Result<Option<u64>, Trouble> {
        let store = &self.shared.leases;
        let known = self.told.borrow().revision;
        let error = match store.update(&self.lease, self.mark.clone().into(), known).await {
            Ok(revision) => return Ok(Some(revision)),
            Err(error) => error,
        };
        if error.kind() != UpdateErrorKind::WrongLastRevision {
            return Err(Trouble::Later(error.to_string()));
        }
        let entry = store.entry(&self.lease).await;
        let entry = entry.map_err(|error| Trouble::Later(error.to_string()))?;
        let seen = entry
            .map(|entry| Seen { revision: entry.revision, is_ours: is_ours(&entry, &self.mark) });
        match judge(known, seen) {
            // A replica that lags may show what we knew already: then not at once.
            Verdict::Ours(revision) if revision != known => Err(Trouble::Again(revision)),
            Verdict::Ours(_) | Verdict::Unsure => Err(Trouble::Later("an old reading".into())),
            Verdict::Lost => Ok(None),
        }
    }
}

/// Why a renewal did not succeed although the lease may be ours.
enum Trouble {
    /// Another revision of ours is there: from that one.
    Again(u64),
    /// The servers did not answer.
    Later(String),
}

/// An error with its causes, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
