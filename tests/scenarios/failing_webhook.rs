//! A webhook that is down, answers badly and breaks off, while the centre itself is killed: it is
//! tried until it has taken the message, always under one key, and the next person is called.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::ensure;
use sen_ports::Port;
use sen_tests::centre::append;
use sen_tests::device::Device;
use sen_tests::judging::rule_text;
use sen_tests::trial::{add, names};
use sen_tests::wait_for;
use sen_tests::webhook::{Receiver, Way};
use serde_json::Value;

use crate::{Centre, now_ms};

/// How the receiver treats its first requests; it takes all others.
const WAYS: [Way; 4] = [
    Way::Answer(500, "oops"),
    Way::Answer(200, r#"{"error": -216}"#),
    Way::Reset,
    Way::Answer(429, ""),
];

/// An is called by the first webhook, and Bình by the second when she does not answer.
fn plan(first: SocketAddr, second: SocketAddr) -> String {
    let webhook = |name: &str, at: SocketAddr| {
        format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"http://{at}/send\"\n\
             answer = {{ pointer = \"/error\", equals = 0 }}\n"
        )
    };
    let person = |id: &str, channel: &str| {
        format!("[[person]]\nid = \"{id}\"\nname = \"{id}\"\nchannels = [\"{channel}\"]\n")
    };
    let step = |id: &str, channel: &str, wait: &str| {
        format!(
            "[[policy.step]]\nperson = \"{id}\"\nchannels = [\"{channel}\"]\nwait = \"{wait}\"\n"
        )
    };
    [
        "[egress]\nallow = [\"127.0.0.0/8\"]\n".to_owned(),
        webhook("first", first),
        webhook("second", second),
        person("an", "first"),
        person("binh", "second"),
        "[[policy]]\nid = \"critical\"\nseverities = [1]\n".to_owned(),
        step("an", "first", "1s"),
        step("binh", "second", "10m"),
    ]
    .concat()
}

/// What became of the message over a channel, once it is as wanted.
async fn delivery(centre: &Centre, channel: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(&format!("a delivery by {channel}"), async || {
        let all = centre.all("/deliveries").await.ok()?;
        let of_channel = |one: &Value| one["channel"] == channel;
        all.into_iter().find(|one| of_channel(one) && wanted(one))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_in_many_ways_gets_its_message_under_one_key() -> anyhow::Result<()> {
    let (first, second) = (Port::hold()?, Port::hold()?);
    let (first, second) = (first.address(), second.address());
    let lines = "metrics = [\"trial\"]\nseverity = 1\nat_least = 10\n";
    let quick = [("SEN__NOTIFY__RETRY_MOST_MS", "300")];
    let centre = Centre::configured(&quick, |config| {
        append(config, "oncall.toml", &plan(first, second))?;
        add(config, &names("trial", 1), 600_000, &[rule_text("trial", lines)])
    });
    let mut centre = centre?;
    let next = Receiver::at(second, &[]).await?;
    let mut device = Device::connect("gateway-1", centre.mqtt_port()).await?;
    device.report("trial-0", "trial", now_ms(), 12.0).await?;
    // Nobody listens yet: it is tried, and Bình is called meanwhile.
    delivery(&centre, "first", |one| one["attempts"].as_u64() >= Some(2)).await;
    delivery(&centre, "second", |one| one["state"] == "delivered").await;
    centre.restart()?;
    let receiver = Receiver::at(first, &WAYS).await?;
    let delivered = delivery(&centre, "first", |one| one["state"] == "delivered").await;
    let keys = receiver.keys();
    ensure!(keys.len() == WAYS.len() + 1, "tried until taken, and no more: {keys:?}");
    let different: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    ensure!(different.len() == 1 && delivered["id"] == keys[0], "{delivered} {keys:?}");
    let called: BTreeSet<String> = next.keys().into_iter().collect();
    ensure!(called.len() == 1, "Bình is called once: {called:?}");
    Ok(())
}
