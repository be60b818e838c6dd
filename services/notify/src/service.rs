//! The shell: starts a lane for each channel and the calling of people, saves the positions of the
//! lanes, and joins them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sen_chassis::{Clock, Shutdown, Tasks};
use sen_log::{AppendError, Checkpoint, Cursor, Offset, ReadError, Topic};
use sen_model::AlertRecord;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::channel::push::Vapid;
use crate::egress::Egress;
use crate::fold::Open;
use crate::keys::Keys;
use crate::lane::{Lane, Position};
use crate::outbox::Pace;
use crate::people::{self, Couriers, Terms, Wires};
use crate::settings::OnCall;
use crate::watch::Watch;
use crate::{Config, Notify, PartError, PeoplePorts, RunError};

/// Records folded at once at the first start of a channel.
const FOLD_RECORDS: usize = 4_096;

/// What the checkpoint keeps: the position of each channel by its name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    channels: BTreeMap<String, Position>,
}

/// The positions of the channels, each shared with its lane.
struct Positions {
    cursor: Cursor,
    shared: BTreeMap<&'static str, Arc<Mutex<Position>>>,
    saved_next: BTreeMap<String, Offset>,
    is_failing: bool,
}

pub(crate) async fn run(notify: Notify, shutdown: Shutdown) -> Result<(), RunError> {
    let Notify { config, checkpoint, head, keys, couriers, egress, on_call, ports } = notify;
    let mut saved = checkpoint.as_ref().map(decode).unwrap_or_default();
    let mut positions = Positions {
        cursor: ports.cursor,
        shared: BTreeMap::new(),
        saved_next: BTreeMap::new(),
        is_failing: false,
    };
    let retry_most = Duration::from_millis(config.retry_most_ms);
    let mut begun = Vec::new();
    for channel in ports.channels {
        let position = match saved.channels.remove(channel.name()) {
            Some(position) => position,
            None => begin(channel.as_ref(), &ports.alerts, head).await?,
        };
        let position = Arc::new(Mutex::new(position));
        positions.shared.insert(channel.name(), Arc::clone(&position));
        let (alerts, clock) = (ports.alerts.clone(), ports.clock.clone());
        begun.push(Lane::new(channel, alerts, clock, retry_most, position));
    }
    // From here on a new channel is told everything, also after a crash.
    positions.save(&ports.alerts).await;
    let mut parts: Tasks<PartError> = Tasks::new();
    for lane in begun {
        let (name, running) = (lane.name(), lane.run(shutdown.clone()));
        parts.spawn(name, async move { Ok(running.await?) });
    }
    let hands = Hands { alerts: ports.alerts.clone(), clock: ports.clock, keys, couriers, egress };
    call_people(&config, hands, ports.people, on_call, &mut parts, &shutdown).await?;
    let pause = Duration::from_millis(config.checkpoint_interval_ms);
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            _ = ticks.tick() => positions.save(&ports.alerts).await,
            Some(ended) = parts.join_next() => {
                ended?;
            }
        }
    }
    let joined = parts.join_all().await;
    positions.save(&ports.alerts).await;
    Ok(joined?)
}

/// What calling people shares with the rest.
struct Hands {
    alerts: Topic<AlertRecord>,
    clock: Clock,
    keys: Keys,
    couriers: Couriers,
    egress: Arc<Egress>,
}

/// Starts calling people, and the watch over alerting itself.
async fn call_people(
    config: &Config,
    hands: Hands,
    ports: PeoplePorts,
    on: Arc<OnCall>,
    parts: &mut Tasks<PartError>,
    shutdown: &Shutdown,
) -> Result<(), RunError> {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let pace = Pace {
        gather_ms: ms(config.gather_ms),
        retry_most: Duration::from_millis(config.retry_most_ms),
        give_up_ms: ms(config.give_up_ms),
    };
    let tick = Duration::from_millis(config.tick_ms);
    let public_url = Some(config.public_url.clone()).filter(|url| !url.is_empty());
    let push_key = Vapid::new(&hands.keys.vapid).public;
    let (couriers, seal) = (Arc::clone(&hands.couriers), hands.keys.seal);
    let terms = Terms { on: Arc::clone(&on), couriers, seal, push_key, public_url, tick };
    let wires = Wires {
        alerts: hands.alerts,
        cursor: ports.cursor,
        deliveries: ports.deliveries,
        oncall: ports.oncall,
        asks: ports.asks,
        rules: ports.rules,
        clock: hands.clock.clone(),
    };
    let people = people::start(wires, terms, pace).await?;
    if let Some(dead_man) = on.dead_man.clone() {
        let watch = Watch {
            shadow: ports.shadow,
            dead_man,
            on,
            notes: people.notes(),
            couriers: hands.couriers,
            egress: hands.egress,
            is_alarmed: people.alarmed(),
            called: people.called(),
            clock: hands.clock,
            tick,
        };
        let running = watch.run(shutdown.clone());
        parts.spawn("watch", async move { Ok(running.await?) });
    }
    let running = people.run(shutdown.clone());
    parts.spawn("people", async move { Ok(running.await?) });
    Ok(())
}

fn decode(checkpoint: &Checkpoint) -> Saved {
    serde_json::from_slice(&checkpoint.state).unwrap_or_else(|_| {
        tracing::warn!("the checkpoint is of another version, open alerts are delivered again");
        Saved::default()
    })
}

/// Where a new channel begins: after the head at which the service was bound, so that nobody is
/// told old news; with the open alerts, if it is one that must know them.
async fn begin(
    channel: &dyn Channel,
    alerts: &Topic<AlertRecord>,
    head: Offset,
) -> Result<Position, ReadError> {
    let mut open = Open::default();
    let mut next = head + 1;
    if channel.forgets() {
        let mut reader = alerts.read_from(alerts.floor());
        loop {
            let entries = reader.available(FOLD_RECORDS).await?;
            if entries.is_empty() {
                next = reader.position();
                break;
            }
            entries.iter().for_each(|entry| open.fold(&entry.record));
        }
    }
    Ok(Position { next, open })
}

impl Positions {
    /// Saves all of them in one checkpoint, at the lowest, if any has moved.
    async fn save(&mut self, alerts: &Topic<AlertRecord>) {
        let read = |position: &Arc<Mutex<Position>>| {
            position.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let channels: BTreeMap<String, Position> =
            self.shared.iter().map(|(name, at)| ((*name).to_owned(), read(at))).collect();
        let next_of = |channels: &BTreeMap<String, Position>| {
            channels.iter().map(|(name, at)| (name.clone(), at.next)).collect::<BTreeMap<_, _>>()
        };
        let moved = next_of(&channels);
        if moved == self.saved_next {
            return;
        }
        let lowest = moved.values().min().copied().unwrap_or_else(|| alerts.head() + 1);
        match serde_json::to_vec(&Saved { channels }) {
            Ok(state) => {
                let result = self.cursor.save(lowest, state).await;
                self.told(result, moved);
            }
            Err(error) => tracing::error!(%error, "the positions cannot be written down"),
        }
    }

    fn told(&mut self, result: Result<(), AppendError>, moved: BTreeMap<String, Offset>) {
        match result {
            Ok(()) => {
                self.saved_next = moved;
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the positions are saved again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the positions are not saved, the next ones will be");
                }
            }
        }
    }
}
