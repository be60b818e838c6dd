//! The log refuses deliveries for a while: nothing is recorded twice under one revision, and what
//! was taken is not sent again. A binary of its own, since the fault holds for the whole process.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::BTreeMap;

use harness::Centre;
use harness::web::{Treatment, Web};
use sen_model::{DeliveryState, Severity};

fn plan(sms: &Web) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]
[[webhook]]
name = "sms"
url = "http://{}/sms"
[[person]]
id = "an"
name = "Nguyễn Thị An"
channels = ["sms"]
[[policy]]
id = "all"
[[policy.step]]
person = "an"
channels = ["sms"]
wait = "10m"
"#,
        sms.address
    )
}

#[tokio::test]
async fn what_was_taken_while_the_disk_failed_is_not_sent_again() {
    let sms = Web::new(&[Treatment::Silence]).await;
    let mut centre = Centre::new();
    let running = centre.run(&plan(&sms));
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    sms.requests(1).await;
    // How this try ends cannot be recorded for a while, in which another one could be made.
    fail::cfg("log::write::deliveries", "30*return(io)").unwrap();
    let delivered = centre.delivery("sms", DeliveryState::Delivered).await;
    fail::remove("log::write::deliveries");
    assert_eq!((delivered.rev, delivered.attempts), (3, 2));
    let mut newest = BTreeMap::new();
    for record in centre.delivered().await {
        let before = newest.insert(record.id.clone(), record.rev).unwrap_or(0);
        assert_eq!(record.rev, before + 1, "{record:?}");
    }
    // A new life reads the same: another alert is told, and this one not again.
    centre = centre.kill(running).await;
    let running = centre.run(&plan(&sms));
    centre.append(&[centre.raised("b", Severity::CRITICAL)]).await;
    let requests = sms.requests(3).await;
    assert_ne!(requests[2].key(), delivered.id);
    running.stop().await;
    assert_eq!(sms.so_far().len(), 3);
}
