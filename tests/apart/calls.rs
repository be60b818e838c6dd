//! Critical alerts that stay open, each of a device of its own, and the person who is called about
//! them over a webhook.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::ensure;
use sen_tests::api::Api;
use sen_tests::asking::time_ms;
use sen_tests::centre::append;
use sen_tests::cluster::Apart;
use sen_tests::wait_for;
use sen_tests::webhook::Receiver;
use serde_json::Value;

/// The rule and the metric of these alerts.
pub(crate) const CALL: &str = "call";
/// The webhook.
const HOOK: &str = "hook";

/// The judge and the caller may be lost one after the other, each for a lease of ten seconds; the rest
/// is for a busy machine.
const SLOWEST_MS: i64 = 90_000;

/// How the device of an alert is called.
pub(crate) fn caller(number: usize) -> String {
    format!("call-{number}")
}

/// Whoever is called.
pub(crate) struct Called(Receiver);

impl Called {
    /// Can be called from now on.
    pub(crate) async fn begin() -> anyhow::Result<Self> {
        Ok(Self(Receiver::begin().await?))
    }

    /// Adds to a configuration who is called, and that a critical alert calls once.
    pub(crate) fn configure(&self, config: &Path) -> anyhow::Result<()> {
        let address = self.0.address();
        let plan = format!(
            r#"
[egress]
allow = ["{address}"]
[[webhook]]
name = "{HOOK}"
url = "http://{address}/send"
body = '{{{{ alerts | tojson }}}}'
[[person]]
id = "an"
name = "Nguyễn Thị An"
channels = ["{HOOK}"]
[[policy]]
id = "critical"
severities = [1]
[[policy.step]]
person = "an"
channels = ["{HOOK}"]
wait = "1h"
"#
        );
        append(config, "oncall.toml", &plan)
    }

    /// Each alert of the first so many devices has called once, as both gateways tell, and its message
    /// was taken; what was sent again had the key it had before.
    pub(crate) async fn audit(&self, apart: &Apart, devices: usize) -> anyhow::Result<()> {
        let mut told = Vec::new();
        for gateway in 1..=2 {
            let api = apart.api(gateway)?;
            let what = format!("gateway-{gateway} to tell of {devices} messages that were taken");
            told.push(wait_for(&what, async || taken(&api, devices).await).await);
        }
        ensure!(told[0] == told[1], "the gateways tell of different messages: {told:#?}");
        let alerts: BTreeSet<&str> = told[0].iter().map(|told| told.alert.as_str()).collect();
        ensure!(alerts.len() == told[0].len(), "an alert has called twice: {told:#?}");
        let mut keys = BTreeSet::new();
        for alert in alerts {
            let about = self.0.came().into_iter().filter(|came| came.body.contains(alert));
            let about: BTreeSet<String> = about.map(|came| came.key).collect();
            ensure!(about.len() == 1, "alert {alert} came under the keys {about:?}");
            keys.extend(about);
        }
        let slowest_ms = told[0].iter().map(|told| told.after_ms).max().unwrap_or(0);
        println!(
            "{devices} alerts have called once each, in {} messages; the slowest after {slowest_ms} ms",
            keys.len()
        );
        ensure!(slowest_ms <= SLOWEST_MS, "the slowest call came after {slowest_ms} ms");
        Ok(())
    }
}

/// A message about an alert, as the centre tells of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    alert: String,
    id: String,
    /// How long after the reading it was recorded as taken.
    after_ms: i64,
}

/// Every message about these alerts, once that of each is taken.
async fn taken(api: &Api, devices: usize) -> Option<BTreeSet<Message>> {
    let text = |item: &Value, key: &str| item[key].as_str().map(str::to_owned);
    let mut alerts = api.all("/alerts?state=all").await.ok()?;
    alerts.retain(|alert| alert["rule"] == CALL);
    let began = |delivery: &Value| {
        let alert = alerts.iter().find(|alert| alert["id"] == delivery["alert"])?;
        Some(time_ms(&alert["started_at"]))
    };
    let mut messages = BTreeSet::new();
    for delivery in api.all("/deliveries").await.ok()? {
        let Some(began_ms) = began(&delivery) else { continue };
        if delivery["state"] != "delivered" {
            return None;
        }
        let (alert, id) = (text(&delivery, "alert")?, text(&delivery, "id")?);
        messages.insert(Message { alert, id, after_ms: time_ms(&delivery["at"]) - began_ms });
    }
    let about: BTreeSet<&str> = messages.iter().map(|message| message.alert.as_str()).collect();
    (alerts.len() == devices && about.len() == devices).then_some(messages)
}
