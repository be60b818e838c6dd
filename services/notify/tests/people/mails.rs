//! Mails through a relay that accepts, defers, refuses, hangs, or forgets to say that it took one.

use sen_model::{DeliveryState, Severity};

use crate::harness::Centre;
use crate::harness::relay::{Manner, Relay};

fn plan(relay: &Relay) -> String {
    format!(
        r#"
[email]
relay = "{}"
security = "none"
from = "Trung tâm điều hành <sen@example.vn>"
timeout = "2s"
[[person]]
id = "an"
name = "Nguyễn Thị An"
email = "an@example.vn"
channels = ["app", "email"]
[[policy]]
id = "all"
[[policy.step]]
person = "an"
channels = ["email", "app"]
wait = "10m"
"#,
        relay.address
    )
}

#[tokio::test]
async fn a_mail_speaks_both_languages_and_carries_its_link() {
    let relay = Relay::new(&[]).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&relay));
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    let mail = relay.mails(1).await[0].clone();
    let delivered = centre.delivery("email", DeliveryState::Delivered).await;
    running.stop().await;
    assert_eq!(mail.header("message-id"), format!("<{}@example.vn>", delivered.id));
    assert!(mail.to.contains("<an@example.vn>"), "{}", mail.to);
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert_eq!(mail.header("importance"), "high");
    assert!(mail.header("subject").contains("=?utf-8?"), "{}", mail.header("subject"));
    let parts = mail.parts();
    let languages: Vec<_> = parts.iter().map(|(language, _)| language.as_str()).collect();
    assert_eq!(languages, ["vi", "en"]);
    let (vi, en) = (&parts[0].1, &parts[1].1);
    assert!(vi.contains("KHẨN CẤP: Mực nước vượt báo động III (a)"), "{vi}");
    assert!(vi.contains("Xác nhận đã nhận: https://sen.example/a/"), "{vi}");
    assert!(en.contains("CRITICAL: Flood (a)"), "{en}");
    assert!(en.contains("Acknowledge: https://sen.example/a/"), "{en}");
}

#[tokio::test]
async fn a_relay_that_defers_hangs_or_cuts_is_tried_again_with_one_message_id() {
    let manners = [Manner::Defer, Manner::Hang, Manner::TakeAndCut, Manner::Defer];
    let relay = Relay::new(&manners).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&relay));
    centre.append(&[centre.raised("a", Severity::HIGH)]).await;
    let mails = relay.mails(2).await;
    let delivered = centre.delivery("email", DeliveryState::Delivered).await;
    assert_eq!(delivered.attempts, 5);
    let ids: Vec<_> = mails.iter().map(|mail| mail.header("message-id")).collect();
    assert_eq!(ids, vec![format!("<{}@example.vn>", delivered.id); 2]);
    running.stop().await;
    let log = centre.delivered().await;
    let details: Vec<_> = log.iter().map(|record| record.detail.as_str()).collect();
    // The first, second and fourth try that failed are recorded.
    assert_eq!(details, ["", "SMTP 451", "no answer in time", "SMTP 451", ""]);
}

#[tokio::test]
async fn a_refused_mail_gives_way_to_the_next_channel_at_once() {
    let relay = Relay::new(&[Manner::Refuse]).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&relay));
    centre.append(&[centre.raised("a", Severity::HIGH)]).await;
    let failed = centre.delivery("email", DeliveryState::Failed).await;
    assert_eq!(failed.detail, "SMTP 550", "without the address that the relay repeats");
    let next = centre.delivery("app", DeliveryState::Delivered).await;
    assert_eq!((next.step, next.person.as_str()), (1, "an"));
    running.stop().await;
    relay.tried(1).await;
}
