//! The telemetry lane: what changed is written once for all screens of a view, and each connection
//! keeps only its position.
//!
//! A connection that follows takes the shared frames. One that is new, or that missed a tick
//! because it was slow, walks by itself over what changed since its position: values it missed are
//! never sent late, only the newest ones.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use sen_chassis::Shutdown;
use tokio::sync::watch;

use crate::RunError;
use crate::centre::{Centre, Shared};
use crate::projection::Latest;
use crate::projection::latest::Walk;
use crate::view::View;
use crate::wire::MAX_FRAME_OUT_BYTES;

/// The frames of one interval for one view.
#[derive(Debug, Default)]
struct Tick {
    /// Changes up to this one are not in it.
    from: u64,
    /// Changes up to this one are in it.
    to: u64,
    frames: Vec<Utf8Bytes>,
}

/// The newest tick of each view.
pub(crate) struct Ticks([watch::Sender<Arc<Tick>>; View::EVERY.len()]);

impl Ticks {
    /// Nothing has changed yet.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| watch::Sender::new(Arc::default())))
    }

    /// The lane of a new connection: it begins with every value there is.
    pub(crate) fn lane(&self, view: View, latest: &Latest) -> Lane {
        let ticks = self.0[view.index()].subscribe();
        Lane { view, ticks, position: 0, stage: Stage::Walk(latest.walk(0)) }
    }
}

/// Writes what changed, a few times a second.
pub(crate) async fn run(centre: Shared, shutdown: Shutdown) -> Result<(), RunError> {
    let every = Duration::from_millis(1_000 / u64::from(centre.config.ticks_per_second.max(1)));
    let mut beats = tokio::time::interval(every);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = beats.tick() => publish(&centre),
        }
    }
}

fn publish(centre: &Centre) {
    let fresh = centre.latest_mut().take_fresh();
    if fresh.from == fresh.to {
        return;
    }
    for view in View::EVERY {
        let ticks = &centre.ticks.0[view.index()];
        // Who subscribes after this look finds a tick that begins beyond its position, and walks.
        if ticks.receiver_count() == 0 {
            continue;
        }
        let (mut frames, mut next) = (Vec::new(), 0);
        // The lock is taken anew for each frame, so that readings never wait for long.
        while let Some(frame) =
            centre.latest().frame_of_fresh(&fresh, view, &mut next, MAX_FRAME_OUT_BYTES)
        {
            frames.push(Utf8Bytes::from(frame));
        }
        ticks.send_replace(Arc::new(Tick { from: fresh.from, to: fresh.to, frames }));
    }
}

/// Where one connection stands in the telemetry.
pub(crate) struct Lane {
    view: View,
    ticks: watch::Receiver<Arc<Tick>>,
    /// Every change up to this one was sent, or overtaken by a newer one that was.
    position: u64,
    stage: Stage,
}

enum Stage {
    /// Catching up by itself.
    Walk(Walk),
    /// Sending shared frames, from the given one on.
    Shared(Arc<Tick>, usize),
    /// Waiting for the next tick.
    Rest,
}

impl Lane {
    /// The next frame, if there is any now.
    pub(crate) fn next(&mut self, centre: &Centre) -> Option<Utf8Bytes> {
        loop {
            match &mut self.stage {
                Stage::Walk(walk) => {
                    let latest = centre.latest();
                    let frame = latest.frame_of_walk(walk, self.view, MAX_FRAME_OUT_BYTES);
                    if let Some(frame) = frame {
                        return Some(Utf8Bytes::from(frame));
                    }
                    self.position = walk.until;
                    self.stage = Stage::Rest;
                }
                Stage::Shared(tick, next) => {
                    if let Some(frame) = tick.frames.get(*next) {
                        *next += 1;
                        return Some(frame.clone());
                    }
                    self.position = tick.to;
                    self.stage = Stage::Rest;
                }
                Stage::Rest => {
                    let tick = Arc::clone(&self.ticks.borrow_and_update());
                    if tick.to <= self.position {
                        return None;
                    }
                    self.stage = if self.position >= tick.from {
                        Stage::Shared(tick, 0)
                    } else {
                        Stage::Walk(centre.latest().walk(self.position))
                    };
                }
            }
        }
    }

    /// Whether `next` may have a frame at once.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Rest)
    }

    /// Waits for the next tick; cancel-safe. Never returns when the centre has ended.
    pub(crate) async fn changed(&mut self) {
        if self.ticks.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
