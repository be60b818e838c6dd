//! Web Push: a browser and its push service, played with keys of our own. What was sent is
//! decrypted by another implementation (RFC 8291 by hand, RFC 8188 by `ece-native`), and the proof
//! of who sent it is verified (RFC 8292).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::rand_core::OsRng;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};
use sen_model::{DeliveryState, OnCallAnswer, OnCallAsk, OnCallEntry, Severity, Timestamp};
use serde_json::Value;
use sha2::Sha256;

use crate::harness::web::{Request, Treatment, Web};
use crate::harness::{Centre, Running};

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn point(key: &PublicKey) -> Vec<u8> {
    key.to_encoded_point(false).as_bytes().to_vec()
}

/// A browser's keys.
struct Browser {
    secret: SecretKey,
    auth: [u8; 16],
}

impl Browser {
    fn new() -> Self {
        Self { secret: SecretKey::random(&mut OsRng), auth: *b"sixteen secrets!" }
    }

    fn subscription(&self, endpoint: String) -> OnCallEntry {
        OnCallEntry::Push {
            person: "an".into(),
            endpoint,
            p256dh: encode(&point(&self.secret.public_key())),
            auth: encode(&self.auth),
        }
    }

    /// RFC 8291, section 3.4: HKDF by hand, then the content coding of RFC 8188.
    fn decrypt(&self, body: &[u8]) -> Vec<u8> {
        let sender = PublicKey::from_sec1_bytes(&body[21..21 + usize::from(body[20])]).unwrap();
        let shared =
            p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), sender.as_affine());
        let mut context = b"WebPush: info\0".to_vec();
        context.extend(point(&self.secret.public_key()));
        context.extend(point(&sender));
        context.push(1);
        let extracted = hmac(&self.auth, shared.raw_secret_bytes());
        let key = hmac(&extracted, &context);
        ece_native::decrypt(key, body.to_vec()).unwrap()
    }
}

#[test]
fn our_browser_reads_the_example_of_the_standard() {
    let secret = SecretKey::from_slice(&decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"));
    let auth = decode("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap();
    let browser = Browser { secret: secret.unwrap(), auth };
    let body = decode(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmY\
         WAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexS\
         gSxsj_Qulcy4a-fN",
    );
    assert_eq!(browser.decrypt(&body), b"When I grow up, I want to be a watermelon");
}

const PLAN: &str = r#"
[push]
contact = "mailto:sen@example.vn"
ttl = "30m"
allow = ["127.0.0.0/8"]
[[person]]
id = "an"
name = "Nguyễn Thị An"
channels = ["app", "push"]
[[policy]]
id = "all"
[[policy.step]]
person = "an"
channels = ["push", "app"]
wait = "10m"
"#;

async fn subscribe(centre: &Centre, running: &Running, entry: OnCallEntry) {
    let at = Timestamp::from_millis(centre.clock.now_ms());
    let (idempotency_key, by) = ("k".to_owned(), "an".to_owned());
    let answer = running.ask(OnCallAsk::Change { idempotency_key, by, at, entry }).await;
    assert!(matches!(answer, OnCallAnswer::Changed(_)), "{answer:?}");
}

async fn push_key(running: &Running) -> String {
    match running.ask(OnCallAsk::PushKey).await {
        OnCallAnswer::PushKey(key) => key,
        other => panic!("{other:?}"),
    }
}

/// Verifies `Authorization: vapid t=…, k=…`; gives the claims.
fn claims(request: &Request, key: &str) -> Value {
    let proof = request.header("authorization").strip_prefix("vapid t=").unwrap();
    let (token, shown) = proof.split_once(", k=").unwrap();
    assert_eq!(shown, key, "the key that the browser subscribed with");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let verifying = VerifyingKey::from_sec1_bytes(&decode(key)).unwrap();
    let signature = Signature::from_slice(&decode(signature)).unwrap();
    verifying.verify(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("ES256"), Some("JWT")));
    serde_json::from_slice(&decode(claims)).unwrap()
}

#[tokio::test]
async fn a_browser_can_read_what_was_sent_and_who_sent_it() {
    let service = Web::new(&[Treatment::Answer(503, ""), Treatment::Answer(201, "")]).await;
    let centre = Centre::new();
    let running = centre.run(PLAN);
    let browser = Browser::new();
    let key = push_key(&running).await;
    let endpoint = format!("http://{}/push/abc", service.address);
    subscribe(&centre, &running, browser.subscription(endpoint)).await;
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    let delivered = centre.delivery("push", DeliveryState::Delivered).await;
    let requests = service.requests(2).await;
    running.stop().await;
    for request in &requests {
        assert!(request.line.starts_with("POST /push/abc "), "{}", request.line);
        assert_eq!(request.header("topic"), delivered.id, "the same at every try");
        assert!(delivered.id.len() <= 32, "as RFC 8030 wants it");
        assert_eq!((request.header("ttl"), request.header("urgency")), ("1800", "high"));
        assert_eq!(request.header("content-encoding"), "aes128gcm");
        assert!(request.body.len() <= 4_096);
        let claims = claims(request, &key);
        assert_eq!(claims["aud"], format!("http://{}", service.address));
        assert_eq!(claims["sub"], "mailto:sen@example.vn");
        let left = claims["exp"].as_i64().unwrap() - centre.clock.now_ms() / 1_000;
        assert!((1..=86_400).contains(&left), "{left} s");
        let told: Value = serde_json::from_slice(&browser.decrypt(&request.body)).unwrap();
        assert_eq!(told["title"], "KHẨN CẤP: Mực nước vượt báo động III (a)");
        assert_eq!((told["alert"].as_str(), told["severity"].as_i64()), (Some("a"), Some(1)));
        assert!(told["url"].as_str().unwrap().starts_with("https://sen.example/a/"));
    }
    assert_ne!(requests[0].body, requests[1].body, "another salt each time");
}

#[tokio::test]
async fn a_subscription_that_is_gone_ends_and_the_next_channel_is_used() {
    for status in [404, 410] {
        let service = Web::new(&[Treatment::Answer(status, "")]).await;
        let centre = Centre::new();
        let running = centre.run(PLAN);
        let endpoint = format!("http://{}/push/abc", service.address);
        subscribe(&centre, &running, Browser::new().subscription(endpoint)).await;
        centre.append(&[centre.raised("a", Severity::HIGH)]).await;
        centre.delivery("app", DeliveryState::Delivered).await;
        let failed = centre.delivery("push", DeliveryState::Failed).await;
        assert_eq!(failed.detail, format!("status {status}"));
        // The next alert does not even try.
        centre.append(&[centre.raised("b", Severity::CRITICAL)]).await;
        let mut reader = centre.deliveries.read_from(1);
        let refused = async {
            loop {
                for entry in reader.next(64).await.unwrap() {
                    let record = &entry.record;
                    if record.alert.as_str() == "b" && record.state == DeliveryState::Failed {
                        return record.detail.clone();
                    }
                }
            }
        };
        let why = crate::harness::within("a refusal", refused).await;
        assert_eq!(why, "no browser takes messages for this person");
        running.stop().await;
        assert_eq!(service.so_far().len(), 1);
    }
}

#[tokio::test]
async fn the_key_and_the_subscriptions_survive_a_crash() {
    let service = Web::new(&[]).await;
    let mut centre = Centre::new();
    let running = centre.run(PLAN);
    let (browser, key) = (Browser::new(), push_key(&running).await);
    let endpoint = format!("http://{}/push/abc", service.address);
    subscribe(&centre, &running, browser.subscription(endpoint)).await;
    centre = centre.kill(running).await;
    let running = centre.run(PLAN);
    assert_eq!(push_key(&running).await, key);
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    let request = &service.requests(1).await[0];
    claims(request, &key);
    browser.decrypt(&request.body);
    running.stop().await;
}

#[tokio::test]
async fn every_browser_is_told_and_one_that_hangs_delays_no_other() {
    let stuck = Web::new(&[Treatment::Silence, Treatment::Answer(503, "")]).await;
    let well = Web::new(&[]).await;
    let centre = Centre::new();
    let running = centre.run(PLAN);
    for service in [&stuck, &well] {
        let endpoint = format!("http://{}/push/abc", service.address);
        subscribe(&centre, &running, Browser::new().subscription(endpoint)).await;
    }
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    let delivered = centre.delivery("push", DeliveryState::Delivered).await;
    // It has not answered yet, or is asked once more: it gets it in the end, under the same key.
    let requests = stuck.requests(3).await;
    assert!(requests.iter().all(|request| request.header("topic") == delivered.id));
    assert_eq!(delivered.attempts, 1);
    running.stop().await;
    assert_eq!(well.so_far().len(), 1, "whoever took it is not told again");
}
