//! The store's one thread: it owns the writing connection, commits, and works off sealing, rolling up
//! and retention in slices while nobody asks for a commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use sen_model::{Tier, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::head::{Frozen, Shared};
use crate::point::SeriesId;
use crate::retention::Sweep;
use crate::rollup::RollUp;
use crate::seal::Pass;
use crate::summary::Summaries;
use crate::unsent::Unsent;
use crate::{Checkpoint, Config, StoreError, database, tail, tiers, unsent};

/// Orders that wait for the thread, at most; askers beyond it wait their turn.
const OPEN_ORDERS: usize = 8;
/// Series that are copied out of memory under one lock.
const SERIES_PER_LOCK: usize = 256;
/// Series forgotten by one commit, at most: some ten milliseconds.
const FORGOTTEN_AT_ONCE: usize = 2_000;

/// Transactions after which the write-ahead log is written back, while nobody waits for a commit:
/// some megabytes. SQLite would do it within a commit.
const CHECKPOINT_AFTER: u32 = 8;

/// Sealing that a commit waits for when the head is over-full.
const SEALING_IN_COMMIT: Duration = Duration::from_millis(40);

/// Where the outcome of an order goes.
pub(crate) type Done = oneshot::Sender<Result<(), StoreError>>;

/// What the thread is asked to do.
pub(crate) enum Order {
    /// Make everything written durable, with these.
    Commit { summaries: Summaries, checkpoint: Checkpoint, done: Done },
    /// Write the rows of stale windows that have ended.
    RollUp { until: Timestamp, done: Done },
    /// Delete what is too old.
    Retain { now: Timestamp, done: Done },
    /// Seal everything committed.
    Seal { done: Done },
    /// Take away the marks of summaries that the archive has.
    Sent { sent: Vec<Unsent>, done: Done },
}

/// Background work, done slice by slice while nobody waits for a commit.
pub(crate) trait Job {
    /// Does one slice; tells whether all is done.
    fn step(&mut self, connection: &mut Connection, shared: &Shared) -> Result<bool, StoreError>;

    /// Those who wait for it.
    fn waiting(self) -> Vec<Done>;
}

/// Does one slice of a job, if there is one; tells whether that was the last. Whoever waits is told
/// of the end.
fn advance<J: Job>(
    slot: &mut Option<J>,
    connection: &mut Connection,
    shared: &Shared,
) -> Result<bool, StoreError> {
    let Some(mut job) = slot.take() else { return Ok(false) };
    let stepped = job.step(connection, shared);
    if matches!(stepped, Ok(false)) {
        *slot = Some(job);
    } else {
        tell(job.waiting(), &stepped);
    }
    stepped
}

/// Tells everybody who waits for a piece of background work how it ended.
fn tell(waiting: Vec<Done>, outcome: &Result<bool, StoreError>) {
    for done in waiting {
        // Whoever asked may have gone.
        let _ = done.send(match outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Background(error.to_string())),
        });
    }
}

/// The thread, seen from outside; joined when dropped.
pub(crate) struct Writer {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        connection: Connection,
        file: PathBuf,
        config: Config,
        shared: Arc<Shared>,
    ) -> Result<Self, StoreError> {
        let (orders, receiver) = mpsc::channel(OPEN_ORDERS);
        let work = Work {
            connection,
            file,
            config,
            shared,
            forgets: false,
            marked: Vec::new(),
            pass: None,
            rollup: None,
            sweep: None,
            failing: false,
            since_checkpoint: 0,
        };
        let run = move || work.run(receiver);
        let thread = std::thread::Builder::new().name("sen-store".to_owned()).spawn(run)?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Gives an order and waits for its outcome.
    pub(crate) async fn ask(
        &self,
        order: impl FnOnce(Done) -> Order,
    ) -> Result<Result<(), StoreError>, StoreError> {
        let (done, outcome) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or(StoreError::Closed)?;
        orders.send(order(done)).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)
    }
}

impl Drop for Writer {
    /// Waits for the slice in work, some ten milliseconds, so that the file is closed for certain.
    fn drop(&mut self) {
        self.orders = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// The thread, seen from inside.
struct Work {
    connection: Connection,
    file: PathBuf,
    config: Config,
    shared: Arc<Shared>,
    /// Whether there may be series of which nothing is left.
    forgets: bool,
    /// The quarter hour last marked as stale of each series, which spares the next minutes of it
    /// their marks. Forgotten when any mark is taken away.
    marked: Vec<Option<Timestamp>>,
    pass: Option<Pass>,
    rollup: Option<RollUp>,
    sweep: Option<Sweep>,
    /// Whether the last slice failed: the next failure is not told again.
    failing: bool,
    /// Transactions since the write-ahead log was last written back to the file.
    since_checkpoint: u32,
}

impl Work {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            if self.is_idle() {
                let Some(order) = orders.blocking_recv() else { return };
                self.carry_out(order);
                continue;
            }
            match orders.try_recv() {
                Ok(order) => self.carry_out(order),
                Err(mpsc::error::TryRecvError::Empty) => self.step(),
                Err(mpsc::error::TryRecvError::Disconnected) => return,
            }
        }
    }

    fn is_idle(&self) -> bool {
        let has_work = self.pass.is_some() || self.rollup.is_some() || self.sweep.is_some();
        !has_work && self.since_checkpoint < CHECKPOINT_AFTER
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Commit { summaries, checkpoint, done } => {
                self.since_checkpoint += 1;
                let outcome = self.commit(&summaries, checkpoint);
                if outcome.is_ok() {
                    self.keep_the_head_small();
                }
                // Whoever asked may have gone; the commit stands all the same.
                let _ = done.send(outcome);
            }
            Order::Seal { done } => {
                // A pass under way began before what was committed last.
                self.finish_pass();
                match self.begin_pass() {
                    Ok(pass) => pass.add_waiting(done),
                    Err(error) => drop(done.send(Err(self.failed(error)))),
                }
            }
            Order::RollUp { until, done } => {
                let rollup = RollUp::begin(until, self.config.is_archived(), done);
                self.rollup = Some(rollup.taking_over(self.rollup.take()));
            }
            Order::Retain { now, done } => {
                let begun = Sweep::begin(&self.connection, &self.shared, &self.config, now);
                match begun {
                    Ok(sweep) => self.sweep = Some(sweep.taking_over(self.sweep.take(), done)),
                    Err(error) => drop(done.send(Err(self.failed(error)))),
                }
            }
            Order::Sent { sent, done } => {
                let outcome = unsent::take_away(&mut self.connection, &sent);
                let _ = done.send(outcome.map_err(|error| self.mended_after(error)));
            }
        }
    }

    /// Begins a pass when the head is full. If it is twice full, each commit does some of it, which
    /// slows down whoever writes; if it is full three times, the commit waits for the end.
    fn keep_the_head_small(&mut self) {
        let (_, points) = self.shared.head().counts();
        let full = u64::from(self.config.seal_points);
        if points >= full
            && self.pass.is_none()
            && let Err(error) = self.begin_pass()
        {
            self.failed(error);
        }
        let begun = Instant::now();
        while self.pass.is_some()
            && (points >= 3 * full || points >= 2 * full && begun.elapsed() < SEALING_IN_COMMIT)
        {
            self.step();
        }
    }

    fn finish_pass(&mut self) {
        while self.pass.is_some() {
            self.step();
        }
    }

    fn begin_pass(&mut self) -> Result<&mut Pass, StoreError> {
        let pass = Pass::begin(&self.connection)?;
        Ok(self.pass.insert(pass))
    }

    /// One slice of what waits to be done: sealing first, since it frees memory.
    fn step(&mut self) {
        self.since_checkpoint += 1;
        let (connection, shared) = (&mut self.connection, &*self.shared);
        let stepped = if self.since_checkpoint > CHECKPOINT_AFTER {
            self.since_checkpoint = 0;
            database::write_back(connection)
        } else if self.pass.is_some() {
            advance(&mut self.pass, connection, shared).map(drop)
        } else if self.rollup.is_some() {
            self.marked.clear();
            advance(&mut self.rollup, connection, shared).map(drop)
        } else {
            let swept = advance(&mut self.sweep, connection, shared);
            swept.map(|is_done| self.forgets |= is_done)
        };
        match stepped {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("the store's background work goes on");
            }
            Ok(()) => {}
            Err(error) => drop(self.failed(error)),
        }
    }

    fn commit(&mut self, summaries: &Summaries, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let frozen = self.shared.head().freeze();
        match self.write_commit(&frozen, summaries, &checkpoint) {
            Ok(()) => {
                self.shared.head().committed(&frozen, checkpoint);
                Ok(())
            }
            Err(error) => {
                self.shared.head().thaw(frozen);
                self.marked.clear();
                Err(self.mended_after(error))
            }
        }
    }

    fn write_commit(
        &mut self,
        frozen: &Frozen,
        summaries: &Summaries,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        // Only here, because the writer has no handle in use while it commits.
        let empty =
            if self.forgets { self.shared.head().empty(FORGOTTEN_AT_ONCE) } else { Vec::new() };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let named = put_names(&transaction, &self.shared)?;
        delete_names(&transaction, &empty)?;
        put_tail(&transaction, &self.shared, frozen)?;
        put_minutes(&transaction, summaries, &mut self.marked, self.config.is_archived())?;
        database::set_state(&transaction, "epoch", &checkpoint.epoch)?;
        database::set_state(&transaction, "next", &checkpoint.next.to_string())?;
        transaction.commit()?;
        self.forgets &= empty.len() == FORGOTTEN_AT_ONCE;
        let mut directory = self.shared.directory_mut();
        directory.saved(named);
        empty.iter().for_each(|series| directory.forget(*series));
        drop(directory);
        self.shared.head().forget(&empty);
        Ok(())
    }

    /// Tells of a failure of background work, once until it works again; it is taken up again
    /// after a later commit.
    fn failed(&mut self, error: StoreError) -> StoreError {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(error = %error, "the store's background work failed");
        }
        metrics::counter!("sen_store_background_failures_total").increment(1);
        self.mended_after(error)
    }

    /// Does what an error asks for, so that the next try has a chance.
    fn mended_after(&mut self, error: StoreError) -> StoreError {
        let StoreError::Database(cause) = &error else { return error };
        match cause.sqlite_error_code() {
            // After a failed fsync nobody knows what the connection's cached pages are worth.
            Some(ErrorCode::SystemIoFailure) => match database::connect(&self.file) {
                Ok(connection) => self.connection = connection,
                Err(error) => tracing::debug!(%error, "the store could not be reopened yet"),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                database::mark_suspect(&self.file);
            }
            _ => {}
        }
        error
    }
}

/// Writes the names of new series; returns how many.
fn put_names(transaction: &Transaction<'_>, shared: &Shared) -> Result<usize, StoreError> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO series (id, device, metric) VALUES (?1, ?2, ?3)")?;
    let mut named = 0;
    loop {
        let new = shared.directory().unsaved(named, SERIES_PER_LOCK);
        if new.is_empty() {
            return Ok(named);
        }
        for (id, key) in &new {
            insert.execute(params![id.0, key.device.as_str(), key.metric.as_str()])?;
        }
        named += new.len();
    }
}

fn delete_names(transaction: &Transaction<'_>, empty: &[SeriesId]) -> Result<(), StoreError> {
    let mut delete = transaction.prepare_cached("DELETE FROM series WHERE id = ?1")?;
    for series in empty {
        delete.execute([series.0])?;
    }
    Ok(())
}

fn put_tail(
    transaction: &Transaction<'_>,
    shared: &Shared,
    frozen: &Frozen,
) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached("INSERT INTO tail (points) VALUES (?1)")?;
    let mut row = Vec::new();
    for some in frozen.series.chunks(SERIES_PER_LOCK) {
        {
            let head = shared.head();
            for series in some {
                let points = head.frozen(frozen, *series);
                if !points.is_empty() {
                    tail::put_run(&mut row, *series, &points);
                }
            }
        }
        if row.len() >= tail::ROW_BYTES {
            insert.execute([tail::finish(&row)])?;
            row.clear();
        }
    }
    if !row.is_empty() {
        insert.execute([tail::finish(&row)])?;
    }
    Ok(())
}

/// Writes minutes and marks what is made of them.
fn put_minutes(
    transaction: &Transaction<'_>,
    minutes: &Summaries,
    marked: &mut Vec<Option<Timestamp>>,
    is_archived: bool,
) -> Result<(), StoreError> {
    for (series, start, bytes) in minutes.rows() {
        tiers::put_row(transaction, Tier::Minute, series, start, bytes)?;
        if is_archived {
            unsent::mark(transaction, Tier::Minute, series, start)?;
        }
        let quarter = Some(Tier::QuarterHour.start_of(start));
        if marked.len() <= series.index() {
            marked.resize(series.index() + 1, None);
        }
        if marked[series.index()] != quarter {
            tiers::mark_stale(transaction, series, start)?;
            marked[series.index()] = quarter;
        }
    }
    Ok(())
}
