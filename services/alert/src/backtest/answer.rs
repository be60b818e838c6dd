//! Answers those who ask for backtests: one at a time, off the threads that judge what happens now.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sen_chassis::Shutdown;
use sen_chassis::call::Answerer;
use sen_model::time::DAY_MS;
use sen_model::{BacktestAnswer, BacktestAsk, Registry, Rule};
use sen_store::Store;
use tokio::sync::{oneshot, watch};

use super::Backtest;
use crate::rules;

/// The longest time that may be asked for; `sen backtest` takes any.
const MOST_MS: i64 = 92 * DAY_MS;

/// Answers those who want rules tried over stored history; it stands where a store is.
pub struct Backtester {
    /// Those who ask.
    pub asks: Answerer<BacktestAsk, BacktestAnswer>,
    /// The history.
    pub store: Store,
    /// Devices and places.
    pub registry: Arc<Registry>,
    /// The rules that others are compared with.
    pub in_force: watch::Receiver<Arc<Vec<Rule>>>,
}

/// Ends the backtest under way when nobody waits for the answers any more.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Backtester {
    /// Answers until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let is_over = Arc::new(AtomicBool::new(false));
        let _ending = Ending(Arc::clone(&is_over));
        loop {
            let asked = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                asked = self.asks.next() => asked,
            };
            let Some((ask, to)) = asked else {
                shutdown.requested().await;
                return Ok(());
            };
            self.answer(ask, to, &is_over, &shutdown).await;
        }
    }

    async fn answer(
        &self,
        ask: BacktestAsk,
        to: oneshot::Sender<BacktestAnswer>,
        is_over: &Arc<AtomicBool>,
        shutdown: &Shutdown,
    ) {
        let is_over = Arc::clone(is_over);
        // Reading the rules takes its time, too: they are somebody's, and may be many.
        let parts = self.parts();
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let go_on = |_| match is_over.load(Ordering::Relaxed) || to.is_closed() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let answer = match parts.prepare(&ask) {
                Ok(backtest) => match runtime.block_on(backtest.run(go_on)) {
                    Ok(report) => BacktestAnswer::Report(Box::new(report)),
                    Err(error) => BacktestAnswer::Refused(chain(&error)),
                },
                Err(answer) => answer,
            };
            // An asker that has gone away wants no answer.
            let _ = to.send(answer);
        };
        let working = tokio::task::spawn_blocking(work);
        tokio::select! {
            // Nothing of it is kept: the flag ends it.
            () = shutdown.requested() => {}
            ended = working => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a backtest broke off");
                }
            }
        }
    }

    fn parts(&self) -> Parts {
        Parts {
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            in_force: Arc::clone(&self.in_force.borrow()),
        }
    }
}

/// What a backtest is made of beside what is asked.
struct Parts {
    store: Store,
    registry: Arc<Registry>,
    in_force: Arc<Vec<Rule>>,
}

impl Parts {
    fn prepare(self, ask: &BacktestAsk) -> Result<Backtest, BacktestAnswer> {
        if ask.to.since_ms(ask.from) > MOST_MS {
            let days = MOST_MS / DAY_MS;
            let advice = format!("at most {days} days at once; `sen backtest` takes any time");
            return Err(BacktestAnswer::Refused(advice));
        }
        let tried = rules::parse(&ask.rules, &self.registry).map_err(|problems| {
            let told = problems.into_iter().map(|problem| (problem.key, problem.message));
            BacktestAnswer::Problems(told.collect())
        })?;
        Ok(Backtest {
            store: self.store,
            registry: self.registry,
            tried,
            in_force: self.in_force.to_vec(),
            from: ask.from,
            to: ask.to,
        })
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
