//! Webhooks that fail in every way there is: at least once, with one key, with an escalation, and
//! never taken for delivered.

use std::collections::BTreeSet;

use sen_model::{DeliveryState, Severity};

use crate::harness::web::{Treatment, Web};
use crate::harness::{Centre, config, within};

/// Two webhooks; An is called by the first, and Bình when she does not answer.
pub(crate) fn plan(first: &Web, second: &Web, wait: &str) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]
[[webhook]]
name = "first"
url = "http://{}/send"
secret_file = "signature"
answer = {{ pointer = "/error", equals = 0 }}
[[webhook]]
name = "second"
url = "http://{}/send"
body = '{{"to": {{{{ person.phone | tojson }}}}, "text": {{{{ short | tojson }}}}}}'
[[person]]
id = "an"
name = "Nguyễn Thị An"
phone = "+84901000001"
email = "an@example.vn"
channels = ["first"]
[[person]]
id = "binh"
name = "Trần Văn Bình"
phone = "+84901000002"
channels = ["second"]
[[policy]]
id = "all"
[[policy.step]]
person = "an"
channels = ["first"]
wait = "{wait}"
[[policy.step]]
person = "binh"
channels = ["second"]
wait = "10m"
"#,
        first.address, second.address
    )
}

const ERROR: Treatment = Treatment::Answer(200, r#"{"error": -216, "message": "no quota"}"#);

#[tokio::test]
async fn every_way_to_fail_is_tried_again_with_one_key_and_never_counts_as_delivered() {
    let ways = [
        Treatment::Answer(500, "oops"),
        ERROR,
        Treatment::Answer(200, "<html>logged in</html>"),
        Treatment::Reset,
        Treatment::BreakOff,
        Treatment::Silence,
        Treatment::Answer(429, ""),
    ];
    let first = Web::new(&ways).await;
    let second = Web::new(&[]).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&first, &second, "300ms"));
    let alert = centre.raised("a", Severity::CRITICAL);
    centre.append(std::slice::from_ref(&alert)).await;
    // Bình is called while An's webhook is still failing.
    second.requests(1).await;
    let delivered = centre.delivery("first", DeliveryState::Delivered).await;
    let requests = first.requests(ways.len() + 1).await;
    let keys: BTreeSet<&str> = requests.iter().map(|request| request.key()).collect();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), [delivered.id.as_str()]);
    assert_eq!(requests.len(), ways.len() + 1, "once it was taken it is not sent again");
    assert_eq!(delivered.attempts as usize, ways.len() + 1);
    let log = centre.delivered().await;
    let of_first: Vec<_> = log.iter().filter(|record| record.channel == "first").collect();
    assert_eq!((of_first[0].state, of_first[0].attempts), (DeliveryState::Waiting, 0));
    for (n, record) in of_first.iter().enumerate() {
        let last = n == of_first.len() - 1;
        assert_eq!(record.rev as usize, n + 1);
        assert_eq!(record.state == DeliveryState::Delivered, last, "{record:?}");
    }
    running.stop().await;
    let topics = format!("{log:?}");
    for detail in ["+8490", "an@example.vn", "127.0.0.1", "no quota"] {
        assert!(!topics.contains(detail), "{detail} stands in the topic");
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_gets_it_when_it_is_back() {
    let mut first = Web::down(&[]).await;
    let second = Web::new(&[]).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&first, &second, "200ms"));
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    // Some tries fail: the second and the fourth are recorded.
    let mut reader = centre.deliveries.read_from(1);
    let failing = async {
        loop {
            for entry in reader.next(16).await.unwrap() {
                if entry.record.attempts >= 4 {
                    return entry.record.detail.clone();
                }
            }
        }
    };
    assert_eq!(within("four tries", failing).await, "no connection");
    second.requests(1).await;
    first.up().await;
    let delivered = centre.delivery("first", DeliveryState::Delivered).await;
    assert_eq!(first.requests(1).await[0].key(), delivered.id);
    running.stop().await;
}

#[tokio::test]
async fn what_is_refused_for_good_calls_the_next_at_once() {
    let first = Web::new(&[Treatment::Answer(404, "")]).await;
    let second = Web::new(&[]).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&first, &second, "10m"));
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    second.requests(1).await;
    let failed = centre.delivery("first", DeliveryState::Failed).await;
    assert_eq!(failed.detail, "status 404");
    running.stop().await;
    assert_eq!(first.so_far().len(), 1);
}

#[tokio::test]
async fn what_waits_too_long_has_failed_and_an_escalation_goes_on() {
    let first = Web::down(&[]).await;
    let second = Web::new(&[]).await;
    let centre = Centre::new();
    let quick = sen_notify::Config { give_up_ms: 150, ..config() };
    let running = centre.run_with(&plan(&first, &second, "10m"), quick);
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    let failed = centre.delivery("first", DeliveryState::Failed).await;
    assert_eq!(failed.detail, "time was up: no connection");
    second.requests(1).await;
    running.stop().await;
}

#[tokio::test]
async fn requests_are_signed_and_carry_what_the_template_says() {
    use hmac::Mac;
    let (first, second) = (Web::new(&[]).await, Web::new(&[]).await);
    let centre = Centre::new();
    let running = centre.run(&plan(&first, &second, "50ms"));
    let drill = sen_model::AlertRecord { drill: true, ..centre.raised("a", Severity::CRITICAL) };
    centre.append(&[drill]).await;
    let request = &first.requests(1).await[0];
    assert!(request.line.starts_with("POST /send "), "{}", request.line);
    let signature = request.header("x-sen-signature");
    let (time, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"secret of signature").unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(&request.body);
    let expected: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
    let json = request.json();
    assert_eq!(json["alert"]["id"], "a");
    assert_eq!(json["person"]["name"], "Nguyễn Thị An");
    assert!(json["subject"].as_str().unwrap().starts_with("[DIỄN TẬP] KHẨN CẤP: "), "{json}");
    assert!(json["link"].as_str().unwrap().starts_with("https://sen.example/a/"));
    let json = second.requests(1).await[0].json();
    assert_eq!(json["to"], "+84901000002");
    assert!(json["text"].as_str().unwrap().starts_with("[DIỄN TẬP] KHẨN CẤP: "), "{json}");
    running.stop().await;
}

#[tokio::test]
async fn a_stuck_channel_delays_no_other() {
    let first = Web::new(&vec![Treatment::Silence; 1_000]).await;
    let second = Web::new(&[]).await;
    let centre = Centre::new();
    let running = centre.run(&plan(&first, &second, "0s"));
    for n in 0..40 {
        let alert = centre.raised(&format!("{n}"), Severity::CRITICAL);
        centre.append(&[alert]).await;
    }
    let mut reader = centre.deliveries.read_from(1);
    let all = async {
        let mut done = BTreeSet::new();
        while done.len() < 40 {
            for entry in reader.next(256).await.unwrap() {
                let record = &entry.record;
                if record.channel == "second" && record.state == DeliveryState::Delivered {
                    done.insert(record.alert.clone());
                }
            }
        }
    };
    within("all forty", all).await;
    let log = centre.delivered().await;
    let taken =
        |d: &sen_model::Delivery| d.channel == "first" && d.state == DeliveryState::Delivered;
    assert!(!log.iter().any(taken));
    running.stop().await;
}

#[tokio::test]
async fn a_flood_of_notices_to_one_person_is_a_few_messages_and_all_are_told() {
    let (first, second) = (Web::new(&[]).await, Web::new(&[]).await);
    let centre = Centre::new();
    let pace = sen_notify::Config { gather_ms: 300, ..config() };
    let running = centre.run_with(&plan(&first, &second, "10m"), pace);
    let alerts: Vec<_> =
        (0..500).map(|n| centre.raised(&format!("{n}"), Severity::MEDIUM)).collect();
    for some in alerts.chunks(50) {
        centre.append(some).await;
    }
    let mut reader = centre.deliveries.read_from(1);
    let all = async {
        let mut delivered = 0;
        while delivered < alerts.len() {
            let entries = reader.next(256).await.unwrap();
            let taken = |d: &&sen_log::Entry<sen_model::Delivery>| {
                d.record.state == DeliveryState::Delivered
            };
            delivered += entries.iter().filter(taken).count();
        }
    };
    within("all told", all).await;
    let requests = first.so_far();
    assert!(requests.len() <= 20, "{} messages", requests.len());
    let told: u64 = requests.iter().map(|r| r.json()["count"].as_u64().unwrap()).sum();
    assert_eq!(told, 500);
    // And what is critical goes at once.
    centre.append(&[centre.raised("worst", Severity::CRITICAL)]).await;
    let requests = first.requests(requests.len() + 1).await;
    assert_eq!(requests.last().unwrap().json()["alert"]["id"], "worst");
    running.stop().await;
}
