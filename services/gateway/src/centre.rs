//! What every connection and every request looks at: the ports, the folds, the fixed pages.

use std::sync::atomic::AtomicBool;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use sen_model::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::alerting::{Alerting, Folded, Watch};
use crate::history::Histories;
use crate::map::Outlines;
use crate::notice::Notice;
use crate::past::Past;
use crate::performance::Episodes;
use crate::projection::{Alerts, Counts, Deliveries, Desk, Latest, Screens, ScreensState};
use crate::ticks::Ticks;
use crate::track::Tracks;
use crate::wall::Wall;
use crate::wire::FromServer;
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
    /// One row for each episode of it.
    pub(crate) episodes: RwLock<Episodes>,
    /// The fold of the alerts of rules on trial.
    pub(crate) shadow: RwLock<Alerts>,
    /// The fold of the desk's log.
    pub(crate) desk: RwLock<Desk>,
    /// The fold of the deliveries.
    pub(crate) deliveries: RwLock<Deliveries>,
    /// How far these folds have come.
    pub(crate) tracks: Tracks,
    /// The watch over the probe and the fold of the alert log.
    pub(crate) watch: Mutex<Watch>,
    /// The newest frame `centre`; none before the desk is known.
    pub(crate) notice: watch::Sender<Option<Utf8Bytes>>,
    /// Places for backtests.
    pub(crate) backtests: Semaphore,
    /// Places for reports of how good the alarms are.
    pub(crate) reports: Arc<Semaphore>,
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
    /// The outlines on it, by code.
    pub(crate) outlines: OnceLock<Outlines>,
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
    pub(crate) fn latest(&self) -> RwLockReadGuard<'_, Latest> {
        read(&self.latest)
    }

    /// Changes the latest values.
    pub(crate) fn latest_mut(&self) -> RwLockWriteGuard<'_, Latest> {
        write(&self.latest)
    }

    /// The outlines of the province and its communes.
    pub(crate) fn outlines(&self) -> &Outlines {
        self.outlines.get_or_init(|| Outlines::of(&self.map()))
    }

    /// Tells whether every fold is whole: until then there are answers that cannot be given.
    pub(crate) fn tell_wholeness(&self) {
        match self.tracks.trouble() {
            Some(trouble) => self.ports.health.ill("gateway", trouble),
            None => self.ports.health.well("gateway"),
        }
    }

    /// Whether alerts can be raised, as of now; told to every screen where that has changed.
    pub(crate) fn alerting(&self) -> Alerting {
        // The head first: what is folded by then may only be newer.
        let head = self.ports.alerts.head();
        let track = &self.tracks.alerts;
        let folded = track.is_whole().then(|| Folded { as_of: track.as_of(), head });
        let alerting = locked(&self.watch).look(self.now(), folded);
        if self.tracks.desk.is_whole() {
            self.announce(alerting);
        }
        alerting
    }

    fn notice_of(&self, alerting: Alerting) -> Notice {
        let best_effort = self.ports.best_effort.borrow().clone();
        Notice::of(&read(&self.desk), alerting, best_effort)
    }

    fn announce(&self, alerting: Alerting) {
        let notice = FromServer::Centre(self.notice_of(alerting));
        // Our frames have only string keys and finite numbers, so they can always be written.
        let Ok(text) = serde_json::to_string(&notice) else { return };
        self.notice.send_if_modified(|held| {
            let is_new = held.as_ref().is_none_or(|held| held.as_str() != text);
            if is_new {
                *held = Some(text.into());
            }
            is_new
        });
    }

    /// The counts of quarantine.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        locked(&self.counts)
    }

    /// The screens.
    pub(crate) fn screens(&self) -> MutexGuard<'_, Screens> {
        locked(&self.screens)
    }
}

/// A centre and the connections it serves; cheap to clone.
pub(crate) type Shared = Arc<Centre>;

/// Looks at a fold. A task that ended in a bug has left it as it was after some record.
pub(crate) fn read<T>(fold: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    fold.read().unwrap_or_else(PoisonError::into_inner)
}

/// Changes a fold.
pub(crate) fn write<T>(fold: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    fold.write().unwrap_or_else(PoisonError::into_inner)
}

/// The same of what is never only looked at.
pub(crate) fn locked<T>(fold: &Mutex<T>) -> MutexGuard<'_, T> {
    fold.lock().unwrap_or_else(PoisonError::into_inner)
}
