//! When alerting itself stops, people hear of it past the alert log, and the watcher outside hears
//! nothing more.

use sen_model::{AlertRecord, RuleId, Severity};

use crate::harness::Centre;
use crate::harness::relay::Relay;
use crate::harness::web::{Treatment, Web};

fn plan(relay: &Relay, sms: &Web, watcher: &Web) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]
[email]
relay = "{}"
security = "none"
from = "sen@example.vn"
timeout = "2s"
[[webhook]]
name = "sms"
url = "http://{}/sms"
[[person]]
id = "an"
name = "Nguyễn Thị An"
email = "an@example.vn"
channels = ["email", "sms"]
[dead_man]
silence = "3s"
people = ["an"]
channels = ["email", "sms"]
[dead_man.heartbeat]
url = "http://{}/alive"
every = "100ms"
"#,
        relay.address, sms.address, watcher.address
    )
}

async fn beat(centre: &Centre) {
    let rule = RuleId::new("sen-probe").unwrap();
    let record = AlertRecord { rule, ..centre.raised("p", Severity::LOW) };
    centre.shadow.append(vec![record]).await.unwrap();
}

/// Lets the probe come through until something has happened.
async fn beating<T>(centre: &Centre, wanted: impl Future<Output = T>) -> T {
    let mut wanted = std::pin::pin!(wanted);
    loop {
        beat(centre).await;
        let pause = std::time::Duration::from_millis(50);
        if let Ok(done) = tokio::time::timeout(pause, wanted.as_mut()).await {
            return done;
        }
    }
}

#[tokio::test]
async fn silence_of_the_probe_is_told_once_and_so_is_its_return() {
    let (relay, sms, watcher) = (Relay::new(&[]).await, Web::new(&[]).await, Web::new(&[]).await);
    let mut centre = Centre::new();
    let plan = plan(&relay, &sms, &watcher);
    let running = centre.run(&plan);
    assert!(watcher.so_far().is_empty(), "there is no sign of life without a probe");
    beating(&centre, watcher.requests(2)).await;
    let mail = relay.mails(1).await[0].clone();
    let vi = &mail.parts()[0].1;
    assert!(vi.contains("CẢNH BÁO NGỪNG HOẠT ĐỘNG"), "{vi}");
    assert!(mail.parts()[1].1.contains("ALERTING HAS STOPPED"));
    let json = sms.requests(1).await[0].json();
    assert_eq!(json["subject"], "CẢNH BÁO NGỪNG HOẠT ĐỘNG");
    let alive = watcher.so_far().len();
    // Still silent after a restart: the next that is told is that it is well again.
    running.stop().await;
    let running = centre.run(&plan);
    let well = beating(&centre, sms.requests(2)).await[1].json();
    assert_eq!(well["subject"], "Hệ thống cảnh báo hoạt động trở lại");
    beating(&centre, watcher.requests(alive + 2)).await;
    assert_eq!(beating(&centre, relay.mails(2)).await.len(), 2);
    centre = centre.kill(running).await;
    assert_eq!(centre.delivered().await.len(), 0, "all that past the log");
}

#[tokio::test]
async fn after_a_crash_a_probe_that_was_there_is_missed() {
    let (relay, sms, watcher) = (Relay::new(&[]).await, Web::new(&[]).await, Web::new(&[]).await);
    let mut centre = Centre::new();
    let plan = plan(&relay, &sms, &watcher);
    beat(&centre).await;
    let running = centre.run(&plan);
    centre = centre.kill(running).await;
    let running = centre.run(&plan);
    let json = sms.requests(1).await[0].json();
    assert_eq!(json["subject"], "CẢNH BÁO NGỪNG HOẠT ĐỘNG");
    running.stop().await;
}

#[tokio::test]
async fn a_chatty_rule_on_trial_hides_neither_the_last_beat_nor_the_silence() {
    let (relay, watcher) = (Relay::new(&[]).await, Web::new(&[]).await);
    // Refused at first, by a mistake on the other side.
    let sms = Web::new(&[Treatment::Answer(404, "")]).await;
    let centre = Centre::new();
    beat(&centre).await;
    let chatter = centre.raised("trial", Severity::LOW);
    centre.shadow.append(vec![chatter.clone(); 1_500]).await.unwrap();
    let running = centre.run(&plan(&relay, &sms, &watcher));
    let mut mails = std::pin::pin!(relay.mails(1));
    loop {
        // Faster than the watch looks at the clock.
        centre.shadow.append(vec![chatter.clone()]).await.unwrap();
        let pause = std::time::Duration::from_millis(2);
        if tokio::time::timeout(pause, mails.as_mut()).await.is_ok() {
            break;
        }
    }
    assert!(watcher.so_far().is_empty(), "no sign of life");
    sms.requests(2).await;
    running.stop().await;
}
