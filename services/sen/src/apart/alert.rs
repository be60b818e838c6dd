//! `sen alert` among others: one judges, the others stand by.

use std::sync::Arc;

use sen_alert::{Alert, Ports};
use sen_chassis::{Shutdown, call};

use super::site::Site;
use super::term::by_lease;
use super::topics;
use crate::stages::Stages;
use crate::vitals;
use crate::wiring::topics::{EVENTS, FOR_EVER, SHADOW};
use crate::wiring::{Addresses, OPEN_COMMANDS};

/// Who judges.
const LEASE: &str = "alert";
/// What commands are asked on.
pub(super) const COMMANDS: &str = "commands";

pub(super) fn begin(site: &Arc<Site>, stages: &mut Stages) -> Addresses {
    by_lease(stages, site, LEASE, term);
    Addresses::default()
}

/// A term as the one who judges.
async fn term(site: Arc<Site>, shutdown: Shutdown) -> anyhow::Result<()> {
    let log = &site.log;
    let readings = topics::readings(log)?;
    let events = log.topic("events", EVENTS)?;
    let alerts = log.vital_topic("alerts", FOR_EVER)?;
    let desk = log.vital_topic("desk", FOR_EVER)?;
    let shadow = log.vital_topic("shadow", SHADOW)?;
    // Before anything is read: what another writes after this is noticed.
    alerts.own().await?;
    desk.own().await?;
    shadow.own().await?;
    let (caller, commands) = call::channel(OPEN_COMMANDS);
    let ports = Ports {
        cursor: log.cursor(&readings, "alert")?,
        events_cursor: log.cursor(&events, "alert")?,
        readings: readings.clone(),
        events,
        alerts,
        desk,
        shadow,
        commands,
        registry: Arc::clone(&site.settings.registry),
        clock: site.clock.clone(),
        health: site.health.for_a_while(),
    };
    let rules = site.settings.folder.join("rules.toml");
    let alert = Alert::bind(site.settings.alert.clone(), rules, ports)?;
    let _judging = Judging(&site);
    site.judges(Some(alert.progress()));
    site.gauges().judging_behind = Some(vitals::judging_behind(alert.progress(), readings));
    tokio::select! {
        ended = alert.run(shutdown) => Ok(ended?),
        never = site.cluster.answer(COMMANDS, caller) => Ok(never?),
    }
}

/// A term as the judge, which may be dropped anywhere: then nothing is told of judging any more.
struct Judging<'a>(&'a Site);

impl Drop for Judging<'_> {
    fn drop(&mut self) {
        self.0.judges(None);
        self.0.gauges().judging_behind = None;
    }
}
