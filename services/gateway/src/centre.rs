//! What every connection and every request looks at: the ports, the folds, the fixed pages.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use sen_model::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::history::Histories;
use crate::past::Past;
use crate::projection::{Alerts, Counts, Latest, Screens, ScreensState};
use crate::ticks::Ticks;
use crate::wall::Wall;
use crate::{Config, Ports};

/// Shared by all tasks of the gateway. Locks are held for the time of one fold or one frame, and
/// never across an await.
pub(crate) struct Centre {
    pub(crate) config: Config,
    pub(crate) ports: Ports,
    /// Readings and summaries of the past.
    pub(crate) past: Past,
    /// Places for answers that are streamed.
    pub(crate) streams: Arc<Semaphore>,
    /// When this gateway began to count.
    pub(crate) since: Timestamp,
    /// The fold of the alert log.
    pub(crate) alerts: RwLock<Alerts>,
    /// The offset `alerts` stands for.
    pub(crate) alerts_as_of: watch::Sender<u64>,
    /// The head of the alert log at the start: before `alerts` stands for it, it is not whole.
    pub(crate) alerts_at_start: u64,
    /// The latest readings.
    pub(crate) latest: RwLock<Latest>,
    /// Counts of quarantine.
    pub(crate) counts: Mutex<Counts>,
    /// Who is connected.
    pub(crate) screens: Mutex<Screens>,
    /// How many there are, for whoever wants to know.
    pub(crate) screens_state: watch::Sender<ScreensState>,
    /// Whether a screen that has seen more than the log holds was told of in the log.
    pub(crate) loss_was_told: AtomicBool,
    /// What changed, for everybody.
    pub(crate) ticks: Ticks,
    /// `GET /map`: there from the start if it is official, else drawn when first asked for.
    pub(crate) map: OnceLock<Bytes>,
    /// `GET /wall`.
    pub(crate) wall: Wall,
    /// The last day of each of its tiles.
    pub(crate) histories: Histories,
}

impl Centre {
    /// Now, by the centre's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.ports.clock.now_ms())
    }

    /// The epoch of the alert log.
    pub(crate) fn epoch(&self) -> String {
        self.ports.alerts.epoch().0
    }

    /// The map of the province.
    pub(crate) fn map(&self) -> Bytes {
        let draw = || Bytes::from(crate::map::schematic(self.ports.registry.places()).to_string());
        self.map.get_or_init(draw).clone()
    }

    /// Reads the latest values.
    pub(crate) fn latest(&self) -> std::sync::RwLockReadGuard<'_, Latest> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the latest values.
    pub(crate) fn latest_mut(&self) -> std::sync::RwLockWriteGuard<'_, Latest> {
        self.latest.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the alerts are whole: as many as the log held at the start, or more.
    pub(crate) fn alerts_are_whole(&self) -> bool {
        *self.alerts_as_of.borrow() >= self.alerts_at_start
    }

    /// Reads the alerts, whole or not.
    pub(crate) fn alerts(&self) -> std::sync::RwLockReadGuard<'_, Alerts> {
        self.alerts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the alerts.
    pub(crate) fn alerts_mut(&self) -> std::sync::RwLockWriteGuard<'_, Alerts> {
        self.alerts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts of quarantine.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The screens.
    pub(crate) fn screens(&self) -> MutexGuard<'_, Screens> {
        self.screens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A centre and the connections it serves; cheap to clone.
pub(crate) type Shared = Arc<Centre>;
