//! `sen ingest` among others: every instance has its endpoint. Brokers know us by one name, so one
//! instance at a time is their client; and one reports for the whole centre.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use sen_chassis::Shutdown;
use sen_cluster::Cluster;
use sen_ingest::{Ingest, Ports, Publisher, Sources};
use sen_model::DeviceId;

use super::site::Site;
use super::term::by_lease;
use super::{stage, status, topics};
use crate::probe::Probe;
use crate::stages::Stages;
use crate::vitals::{self, Vitals};
use crate::wiring::Addresses;
use crate::wiring::topics::{EVENTS, QUARANTINE};

/// Who is the client of the brokers, and who reports for the centre.
const BROKERS: &str = "brokers";
const SELF: &str = "self";

pub(super) async fn begin(site: &Arc<Site>, stages: &mut Stages) -> anyhow::Result<Addresses> {
    let endpoint = Ingest::bind(&site.settings.ingest, &Sources::default(), ports(site)?).await?;
    let mqtt = endpoint.mqtt_address();
    let publisher = endpoint.publisher();
    if !site.settings.sources.broker.is_empty() {
        by_lease(stages, site, BROKERS, brokers);
    }
    by_lease(stages, site, SELF, move |site, shutdown| report(site, mqtt, shutdown));
    stages.add("ingest", Some(endpoint), Ingest::run);
    let cluster = site.cluster.clone();
    stage(stages, "sirens", |shutdown| sirens(cluster, publisher, shutdown));
    Ok(Addresses { mqtt, ..Addresses::default() })
}

fn ports(site: &Site) -> anyhow::Result<Ports> {
    Ok(Ports {
        readings: topics::readings_to_write(&site.log)?,
        events: site.log.writing_topic("events", EVENTS)?,
        quarantine: site.log.writing_topic("quarantine", QUARANTINE)?,
        registry: Arc::clone(&site.settings.registry),
        reserved: vec![DeviceId::new(vitals::DEVICE)?],
        clock: site.clock.clone(),
        health: site.health.for_a_while(),
    })
}

/// A term as the client of the brokers.
async fn brokers(site: Arc<Site>, shutdown: Shutdown) -> anyhow::Result<()> {
    let config = site.settings.ingest.clone().without_endpoint();
    let ingest = Ingest::bind(&config, &site.settings.sources, ports(&site)?).await?;
    Ok(ingest.run(shutdown).await?)
}

/// A term as the voice of the centre: its vitals, and the probe through this endpoint.
async fn report(
    site: Arc<Site>,
    mqtt: Option<SocketAddr>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let statuses = site.statuses.clone();
    let vitals = Vitals {
        readings: topics::readings_to_write(&site.log)?,
        measure: move |_| status::measured(&statuses.borrow()),
        clock: site.clock.clone(),
    };
    let vitals = async { vitals.run(shutdown.clone()).await.context("the vitals") };
    let Some(mqtt) = mqtt else { return vitals.await };
    let probe = Probe::new(mqtt, site.clock.clone());
    let probe = async { probe.run(shutdown.clone()).await.context("the probe") };
    tokio::try_join!(vitals, probe)?;
    Ok(())
}

/// Gives the subscribers of this endpoint what is retained for all of them.
async fn sirens(cluster: Cluster, publisher: Publisher, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut retained = cluster.retained();
    loop {
        let message = tokio::select! {
            () = shutdown.requested() => return Ok(()),
            message = retained.next() => message,
        };
        if let Err(error) = publisher.publish(&message.topic, message.payload).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(topic = message.topic, error, "a siren's message is passed over");
        }
    }
}
