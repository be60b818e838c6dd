//! A screen that is always there: when its gateway goes it connects to the other one with what it
//! remembers. It notes how old the newest reading on its glass is, and how its connections went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use sen_tests::asking::now_ms;
use sen_tests::screen::{Memory, Screen};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// How long a gateway may say nothing: screens cover themselves then.
const SILENT: Duration = Duration::from_secs(15);
/// How a connection ends at which nothing came.
pub(crate) const NOTHING: &str = "it said nothing";
/// Between two tries to connect.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// What it saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// When the newest reading of a device under load was measured.
    newest_ms: i64,
    /// The oldest that the newest reading ever was since it was last asked, in milliseconds.
    behind_ms: i64,
    /// `snapshot` or `resume` of every connection.
    pub(crate) modes: Vec<String>,
    /// How connections ended.
    pub(crate) ends: Vec<String>,
    /// What it remembers.
    pub(crate) memory: Memory,
}

/// A screen at work; gone when dropped.
pub(crate) struct Eye {
    sight: Arc<Mutex<Sight>>,
    _looking: JoinSet<()>,
}

impl Eye {
    /// Looks at these gateways (`host:port`), at the first one first. It is connected when this
    /// returns, so that it sees the whole life of each alert that is raised from then on.
    pub(crate) async fn open(gateways: [String; 2]) -> Self {
        let sight: Arc<Mutex<Sight>> = Arc::default();
        let mut looking = JoinSet::new();
        looking.spawn(look(gateways, Arc::clone(&sight)));
        let eye = Self { sight, _looking: looking };
        let is_connected = async || (!eye.sight().modes.is_empty()).then_some(());
        sen_tests::wait_for("a screen to be connected", is_connected).await;
        eye
    }

    /// What it saw up to now.
    pub(crate) fn sight(&self) -> MutexGuard<'_, Sight> {
        locked(&self.sight)
    }

    /// Waits until it shows what is measured after now.
    pub(crate) async fn is_fresh(&self) {
        let now_ms = now_ms();
        sen_tests::wait_for("a screen to show what is measured now", async || {
            (self.sight().newest_ms > now_ms).then_some(())
        })
        .await;
    }

    /// By how much it was behind at most since this was last asked, in milliseconds.
    pub(crate) fn was_behind_ms(&self) -> i64 {
        std::mem::take(&mut self.sight().behind_ms)
    }

    /// Every connection but the first went on where the one before had ended, without a gap, and
    /// nothing was shown twice.
    pub(crate) fn must_have_resumed(&self) -> anyhow::Result<()> {
        let sight = self.sight();
        let resumed = sight.modes.iter().skip(1).all(|mode| mode == "resume");
        ensure!(resumed, "connections: {:?}", sight.modes);
        let broken = |end: &&String| end.contains("a gap") || end.contains("order:");
        let broken: Vec<_> = sight.ends.iter().filter(broken).collect();
        ensure!(broken.is_empty(), "{broken:?}");
        let shown = &sight.memory.shown;
        let unique: std::collections::BTreeSet<_> = shown.iter().collect();
        ensure!(shown.len() == unique.len(), "a screen showed something twice: {shown:?}");
        Ok(())
    }
}

fn locked(sight: &Mutex<Sight>) -> MutexGuard<'_, Sight> {
    sight.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn look(gateways: [String; 2], sight: Arc<Mutex<Sight>>) {
    let mut pause = interval(TRY_EVERY);
    for gateway in gateways.iter().cycle() {
        pause.tick().await;
        let memory = locked(&sight).memory.clone();
        let connecting = timeout(SILENT, Screen::connect(gateway, "wall-eye", memory));
        let Ok(Ok(screen)) = connecting.await else { continue };
        locked(&sight).modes.push(screen.mode.clone());
        let why = watch(screen, &sight).await;
        locked(&sight).ends.push(why);
    }
}

/// Looks until the connection ends; says why it did.
async fn watch(mut screen: Screen, sight: &Mutex<Sight>) -> String {
    loop {
        let why = match timeout(SILENT, screen.step()).await {
            Ok(Ok(frame)) => {
                let mut sight = locked(sight);
                sight.see(&frame);
                if frame["type"] != "tick" && frame["type"] != "heartbeat" {
                    sight.memory = screen.memory.clone();
                }
                continue;
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => NOTHING.to_owned(),
        };
        locked(sight).memory = screen.cut();
        return why;
    }
}

impl Sight {
    fn see(&mut self, frame: &Value) {
        let of_load = |row: &&Value| row[0].as_str().is_some_and(|it| it.starts_with("load-"));
        let rows = frame["upserts"].as_array().into_iter().flatten().filter(of_load);
        let Some(newest_ms) = rows.filter_map(|row| row[3].as_i64()).max() else { return };
        if self.newest_ms > 0 {
            self.behind_ms = self.behind_ms.max(now_ms() - self.newest_ms);
        }
        self.newest_ms = self.newest_ms.max(newest_ms);
    }
}
