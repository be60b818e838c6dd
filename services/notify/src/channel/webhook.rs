//! Letters as HTTP requests: SMS gateways, chat services, other centres.
//!
//! A receiver can tell repeats by `Idempotency-Key`, and that a request is ours by
//! `X-Sen-Signature: t=<seconds>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use hmac::Mac;

use super::{Brought, Courier, Trip, Way};
use crate::egress::{Answer, Egress, EgressError, Request};
use crate::letter::Letter;
use crate::link::signed;
use crate::secret::Secret;
use crate::settings::{Expected, Webhook};

/// The longest rest that a receiver is granted when it asks for one.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(300);

/// The channel of one `[[webhook]]`.
pub(crate) struct Hook {
    pub(crate) webhook: Webhook,
    pub(crate) egress: Arc<Egress>,
}

impl Courier for Hook {
    fn bring<'a>(&'a self, letter: &'a Letter) -> Way<'a> {
        Box::pin(async move {
            let brought = match self.request(letter) {
                Ok(request) => {
                    brought(self.egress.send(request).await, self.webhook.answer.as_ref())
                }
                Err(why) => Brought::Refused(format!("the template fails in {why}")),
            };
            Trip::from(brought)
        })
    }
}

impl Hook {
    fn request(&self, letter: &Letter) -> Result<Request, String> {
        let Webhook { url, method, headers, body, values, secret, .. } = &self.webhook;
        let body = letter.render(body.as_deref(), values)?.into_bytes();
        let mut all = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        // Set later, so that they stand in place of the above.
        all.extend(headers.iter().map(|(name, value)| (name.clone(), value.now())));
        all.push(("Idempotency-Key".to_owned(), letter.key.clone()));
        if let Some(secret) = secret {
            let seconds = letter.at.as_millis().div_euclid(1_000);
            all.push(("X-Sen-Signature".to_owned(), signature(secret, seconds, &body)));
        }
        Ok(Request { method: method.clone(), url: url.now(), headers: all, body })
    }
}

/// The value of `X-Sen-Signature`.
fn signature(secret: &Secret, seconds: i64, body: &[u8]) -> String {
    let mac = signed(secret.now().as_bytes(), &[format!("{seconds}.").as_bytes(), body]);
    let mut text = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What an exchange comes to.
pub(crate) fn brought(answer: Result<Answer, EgressError>, expected: Option<&Expected>) -> Brought {
    match answer {
        Err(error @ EgressError::Forbidden(_)) => Brought::Refused(error.to_string()),
        Err(error @ EgressError::Unreachable(_)) => {
            Brought::Again(error.to_string(), Duration::ZERO)
        }
        Ok(Answer { status, body, retry_after }) => {
            let rest = retry_after.unwrap_or_default().min(LONGEST_REST);
            match status {
                200..=299 if is_as_expected(&body, expected) => Brought::Taken,
                200..=299 => Brought::Again(format!("status {status} with an error inside"), rest),
                // A token that has run out is renewed in its file, which each try reads anew.
                401 | 403 | 407 | 408 | 425 | 429 | 500..=599 => {
                    Brought::Again(format!("status {status}"), rest)
                }
                _ => Brought::Refused(format!("status {status}")),
            }
        }
    }
}

/// Many services answer 200 and tell an error in the body.
fn is_as_expected(body: &[u8], expected: Option<&Expected>) -> bool {
    let Some(Expected { pointer, value }) = expected else { return true };
    let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    answer.as_ref().and_then(|answer| answer.pointer(pointer)) == Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Answer, EgressError> {
        Ok(Answer { status, body: body.as_bytes().to_vec(), retry_after: None })
    }

    #[test]
    fn only_what_says_yes_was_taken() {
        let expected = Expected { pointer: "/error".into(), value: 0.into() };
        let again = |why: &str| Brought::Again(why.into(), Duration::ZERO);
        let refused = |why: &str| Brought::Refused(why.into());
        let cases = [
            (answer(200, "{}"), None, Brought::Taken),
            (answer(204, ""), None, Brought::Taken),
            (answer(200, r#"{"error": 0}"#), Some(&expected), Brought::Taken),
            (
                answer(200, r#"{"error": -216}"#),
                Some(&expected),
                again("status 200 with an error inside"),
            ),
            (answer(200, "OK"), Some(&expected), again("status 200 with an error inside")),
            (answer(302, ""), None, refused("status 302")),
            (answer(400, ""), None, refused("status 400")),
            (answer(401, ""), None, again("status 401")),
            (answer(403, ""), None, again("status 403")),
            (answer(407, ""), None, again("status 407")),
            (answer(429, ""), None, again("status 429")),
            (answer(500, ""), None, again("status 500")),
            (answer(503, r#"{"error": 0}"#), Some(&expected), again("status 503")),
            (Err(EgressError::Unreachable("no connection")), None, again("no connection")),
            (Err(EgressError::Forbidden("loopback")), None, refused("not allowed: loopback")),
        ];
        for (answer, expected, then) in cases {
            let what = format!("{answer:?}");
            assert_eq!(brought(answer, expected), then, "{what}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_rest_but_not_for_ever() {
        let long = Some(Duration::from_secs(1 << 40));
        let answer = Ok(Answer { status: 429, body: Vec::new(), retry_after: long });
        assert_eq!(brought(answer, None), Brought::Again("status 429".into(), LONGEST_REST));
    }

    #[test]
    fn the_signature_is_over_time_and_body() {
        let known = signature(&Secret::new("key"), 12, b"{}");
        // printf '12.{}' | openssl dgst -sha256 -hmac key
        assert_eq!(known, format!("t=12,v1={SIGNED}"));
        assert_ne!(known, signature(&Secret::new("key"), 13, b"{}"));
    }

    const SIGNED: &str = "043e30e1e15664dc97494d18e4110984bcbd2c4e6f3e19de9569dc1ea6d9b03e";
}
