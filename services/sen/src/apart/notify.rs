//! `sen notify` among others: one calls people and sirens, the others stand by.

use std::path::Path;
use std::sync::Arc;

use sen_alert::RulesFollower;
use sen_chassis::{Shutdown, call};
use sen_cluster::Cluster;
use sen_notify::channel::mqtt::{Mqtt, Publish, PublishError};
use sen_notify::{Notify, PeoplePorts, Ports};

use super::site::Site;
use super::term::by_lease;
use crate::stages::Stages;
use crate::wiring::topics::{FOR_EVER, SHADOW};
use crate::wiring::{Addresses, OPEN_ASKS};

/// Who calls.
const LEASE: &str = "notify";
/// What questions about who is on call are asked on.
pub(super) const ON_CALL: &str = "oncall";

pub(super) fn begin(site: &Arc<Site>, stages: &mut Stages) -> Addresses {
    by_lease(stages, site, LEASE, term);
    Addresses::default()
}

/// A term as the one who calls.
async fn term(site: Arc<Site>, shutdown: Shutdown) -> anyhow::Result<()> {
    let log = &site.log;
    let keys = site.storage.join("keys");
    agree_on_keys(&site.cluster, &keys).await?;
    let alerts = log.vital_topic("alerts", FOR_EVER)?;
    let deliveries = log.vital_topic("deliveries", FOR_EVER)?;
    let oncall = log.vital_topic("oncall", FOR_EVER)?;
    deliveries.own().await?;
    oncall.own().await?;
    let rules = site.settings.folder.join("rules.toml");
    let (registry, health) = (Arc::clone(&site.settings.registry), site.health.for_a_while());
    let follower = RulesFollower::bind(rules, registry, health)?;
    let (caller, asks) = call::channel(OPEN_ASKS);
    let people = PeoplePorts {
        on_call: site.settings.on_call.clone(),
        cursor: log.cursor(&alerts, "notify-people")?,
        deliveries,
        oncall,
        shadow: log.vital_topic("shadow", SHADOW)?,
        rules: follower.rules(),
        asks,
        keys,
        lookup: Arc::new(sen_notify::SystemLookup),
        limits: sen_notify::Limits::default(),
    };
    let ports = Ports {
        cursor: log.cursor(&alerts, "notify")?,
        alerts,
        channels: vec![Box::new(Mqtt::new(Sirens(site.cluster.clone())))],
        people,
        clock: site.clock.clone(),
    };
    let notify = Notify::bind(site.settings.notify.clone(), ports)?;
    tokio::select! {
        ended = notify.run(shutdown.clone()) => Ok(ended?),
        never = site.cluster.answer(ON_CALL, caller) => Ok(never?),
        Err(never) = follower.run(shutdown) => match never {},
    }
}

/// Links and push messages are signed with the same keys, whoever signs.
async fn agree_on_keys(cluster: &Cluster, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    if !cluster.keys(folder, &sen_notify::KEY_FILES).await?.is_empty() {
        sen_notify::make_keys(folder)?;
        cluster.keys(folder, &sen_notify::KEY_FILES).await?;
    }
    Ok(())
}

/// Every endpoint's subscribers, through what is retained for all of them.
struct Sirens(Cluster);

impl Publish for Sirens {
    async fn publish_retained(
        &self,
        topic: String,
        payload: Vec<u8>,
        rev: u32,
    ) -> Result<(), PublishError> {
        let kept = self.0.retain(&topic, &payload, u64::from(rev)).await;
        kept.map(drop).map_err(|error| match error {
            sen_cluster::Error::TooLarge { .. } => PublishError::Refused(error.to_string()),
            error => PublishError::Retry(error.to_string()),
        })
    }
}
