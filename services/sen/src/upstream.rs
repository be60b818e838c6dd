//! What is forwarded to the centre above, and by which cursors.

use sen_chassis::{Clock, Health};
use sen_edge::{Config, Edge, Ports, UPSTREAM};
use sen_log::{Log, Topic};
use sen_model::{DeviceId, Event, Quarantined, ReadingBatch};

use crate::{probe, vitals};

/// The service; none if there is no centre above. Cursors that are given up must not hold the log
/// back for ever. When the disk is full readings go on here: people are warned from here first, and
/// what the log lets go of is still in the store.
pub(crate) fn edge(
    config: Config,
    log: &Log,
    topics: (&Topic<ReadingBatch>, &Topic<Event>, &Topic<Quarantined>),
    health: &Health,
) -> anyhow::Result<Option<Edge>> {
    let (readings, events, quarantine) = topics;
    let takes_events = config.is_on() && config.events;
    if !config.is_on() {
        log.forget_cursor(readings, UPSTREAM)?;
    }
    if !takes_events {
        log.forget_cursor(events, UPSTREAM)?;
    }
    if !config.is_on() {
        return Ok(None);
    }
    let events = match takes_events {
        true => Some((events.clone(), log.yielding_cursor(events, UPSTREAM)?)),
        false => None,
    };
    let ports = Ports {
        readings: (readings.clone(), log.yielding_cursor(readings, UPSTREAM)?),
        events,
        quarantine: quarantine.clone(),
        own: DeviceId::new(vitals::DEVICE)?,
        kept_here: vec![DeviceId::new(probe::DEVICE)?],
        clock: Clock::system(),
        health: health.clone(),
    };
    Ok(Some(Edge::bind(config, ports)?))
}
