//! Letters as push messages to browsers: RFC 8030 (the request), 8291 (encryption), 8292 (who we
//! are). No push service sees what a message says.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};
use sen_model::Timestamp;
use serde_json::json;
use web_push_native::{Auth, encrypt};

use super::webhook::brought;
use super::{Brought, Courier, Trip, Way};
use crate::egress::{Egress, Request};
use crate::letter::{Letter, Subscription};
use crate::settings::Push;

/// Longest title and text of a message, in characters: all of it must fit into the 4,096 bytes that
/// every push service takes.
const TITLE_CHARS: usize = 200;
const BODY_CHARS: usize = 500;
/// Bytes of the browser's secret.
const AUTH_BYTES: usize = 16;
/// How long a proof of who we are is good; RFC 8292 allows a day.
const PROOF_S: i64 = 12 * 3_600;

/// The channel `push`.
pub(crate) struct WebPush {
    pub(crate) settings: Push,
    pub(crate) door: Door,
}

/// The way to push services: one of its own, since anybody can tell where a browser is.
pub(crate) struct Door {
    pub(crate) vapid: Vapid,
    pub(crate) egress: Arc<Egress>,
}

/// Proves to push services that a message is ours.
pub(crate) struct Vapid {
    key: SigningKey,
    /// The public key as browsers want it: base64url of the uncompressed point.
    pub(crate) public: String,
}

impl Vapid {
    pub(crate) fn new(secret: &SecretKey) -> Self {
        let point = secret.public_key().to_encoded_point(false);
        let public = BASE64_URL_SAFE_NO_PAD.encode(point.as_bytes());
        Self { key: SigningKey::from(secret), public }
    }

    /// The value of `Authorization` for one push service.
    fn proof(&self, origin: &str, contact: &str, at: Timestamp) -> String {
        let until = at.as_millis().div_euclid(1_000) + PROOF_S;
        let header = json!({"typ": "JWT", "alg": "ES256"}).to_string();
        let claims = json!({"aud": origin, "exp": until, "sub": contact}).to_string();
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", self.public)
    }
}

/// What a browser gave us, ready for use.
struct Recipient {
    key: PublicKey,
    auth: Auth,
}

impl Recipient {
    fn of(p256dh: &str, auth: &str) -> Option<Self> {
        // Browsers leave the padding away; libraries between may not.
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let auth = decode(auth).filter(|auth| auth.len() == AUTH_BYTES)?;
        let key = PublicKey::from_sec1_bytes(&decode(p256dh)?).ok()?;
        Some(Self { key, auth: Auth::clone_from_slice(&auth) })
    }
}

/// Whether the keys of a subscription are such.
pub(crate) fn are_keys(p256dh: &str, auth: &str) -> bool {
    Recipient::of(p256dh, auth).is_some()
}

impl WebPush {
    async fn one(&self, letter: &Letter, browser: &Subscription) -> Brought {
        match self.request(letter, browser) {
            Some(request) => brought(self.door.egress.send(request).await, None),
            None => Brought::Refused("this subscription cannot be used".to_owned()),
        }
    }

    fn request(&self, letter: &Letter, browser: &Subscription) -> Option<Request> {
        let url = reqwest13::Url::parse(&browser.endpoint).ok()?;
        let recipient = Recipient::of(&browser.p256dh, &browser.auth)?;
        let body = encrypt(payload(letter), &recipient.key, &recipient.auth).ok()?;
        let origin = url.origin().ascii_serialization();
        let urgency = match letter.severity.level() {
            1 | 2 => "high",
            3 => "normal",
            _ => "low",
        };
        let headers = [
            ("Authorization", self.door.vapid.proof(&origin, &self.settings.contact, letter.at)),
            ("Content-Encoding", "aes128gcm".to_owned()),
            ("Content-Type", "application/octet-stream".to_owned()),
            ("TTL", self.settings.ttl_s.to_string()),
            ("Urgency", urgency.to_owned()),
            // At most 32 letters of base64url: a repeat takes the place of what was not fetched.
            ("Topic", letter.key.clone()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Some(Request { method: "POST".to_owned(), url: url.into(), headers, body })
    }
}

impl Courier for WebPush {
    /// One browser that takes it is enough: a person looks at one of them. Nobody knows which, so
    /// that the others are told as well.
    fn bring<'a>(&'a self, letter: &'a Letter) -> Way<'a> {
        Box::pin(async move {
            let mut trip = Trip::from(Brought::Taken);
            let (mut longest, mut again) = (Duration::ZERO, None);
            let mut last = "no browser takes messages for this person".to_owned();
            let ways = letter.browsers.iter().map(|browser| Box::pin(self.one(letter, browser)));
            for (browser, brought) in letter.browsers.iter().zip(all(ways.collect()).await) {
                match brought {
                    Brought::Taken => trip.took.push(browser.entry.clone()),
                    Brought::Again(why, rest) => {
                        longest = longest.max(rest);
                        again = Some(why);
                        trip.again.push(browser.clone());
                    }
                    Brought::Refused(why) => {
                        // RFC 8030 §7.3: the subscription has ended.
                        if why == "status 404" || why == "status 410" {
                            trip.gone.push(browser.entry.clone());
                        }
                        last = why;
                    }
                }
            }
            trip.brought = match again {
                _ if !trip.took.is_empty() => Brought::Taken,
                Some(why) => Brought::Again(why, longest),
                None => Brought::Refused(last),
            };
            trip
        })
    }
}

/// Drives all of them at once, each to its end: one that hangs delays no other.
async fn all<F: Future + Unpin>(mut ways: Vec<F>) -> Vec<F::Output> {
    let mut ends: Vec<Option<F::Output>> = ways.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (way, end) in ways.iter_mut().zip(&mut ends).filter(|(_, end)| end.is_none()) {
            if let Poll::Ready(output) = Pin::new(way).poll(context) {
                *end = Some(output);
            }
        }
        if ends.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ends.into_iter().flatten().collect()
}

/// What the browser's service worker shows.
fn payload(letter: &Letter) -> Vec<u8> {
    let words = &letter.words;
    let worst = words.alerts.first();
    let body: String = letter.own(&words.short).chars().take(BODY_CHARS).collect();
    let title: String = letter.own(&words.subject).chars().take(TITLE_CHARS).collect();
    let mut payload = json!({
        "title": title,
        "body": body,
        "tag": letter.key,
        "alert": worst.map(|told| &told.alert.id),
        "severity": letter.severity.level(),
        "count": words.count,
        "drill": words.drill,
    });
    // Without one the browser opens the screen of the alert.
    if !words.link.is_empty() {
        payload["url"] = words.link.clone().into();
    }
    payload.to_string().into_bytes()
}
