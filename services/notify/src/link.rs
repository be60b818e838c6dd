//! Links by which a person acknowledges an alert without signing in. Pure: time is an input.
//!
//! A token is base64url of what it is about and an HMAC-SHA256 over that, so only this centre can
//! make one. That it works once is seen by the on-call log, which keeps each that was used.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sen_model::{AlertId, Timestamp};
use sha2::Sha256;

/// Bytes of the signature at the end.
const SIGNATURE_BYTES: usize = 32;
/// The first line of what is signed: another form would get another number.
const FORM: &str = "1";
/// Longest token that is looked at.
const TOKEN_CHARS: usize = 1_024;

/// What a link is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) delivery: String,
    pub(crate) alert: AlertId,
    pub(crate) person: String,
    pub(crate) until: Timestamp,
}

/// Signs and reads tokens.
#[derive(Clone)]
pub(crate) struct Seal([u8; 32]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The token of a claim.
    pub(crate) fn token(&self, claim: &Claim) -> String {
        let Claim { delivery, alert, person, until } = claim;
        let until = until.as_millis();
        let mut bytes = format!("{FORM}\n{delivery}\n{alert}\n{person}\n{until}").into_bytes();
        let signature = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token is about, if it is one of ours and still good at `now`.
    pub(crate) fn claim(&self, token: &str, now: Timestamp) -> Option<Claim> {
        if token.len() > TOKEN_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (payload, signature) =
            bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        // In constant time.
        self.mac(payload).verify_slice(signature).ok()?;
        let mut lines = std::str::from_utf8(payload).ok()?.split('\n');
        let mut next = || lines.next();
        let (form, delivery, alert, person, until) = (next()?, next()?, next()?, next()?, next()?);
        let claim = Claim {
            delivery: delivery.to_owned(),
            alert: AlertId::from_text(alert),
            person: person.to_owned(),
            until: Timestamp::from_millis(until.parse().ok()?),
        };
        (form == FORM && now < claim.until).then_some(claim)
    }

    fn mac(&self, payload: &[u8]) -> Hmac<Sha256> {
        signed(&self.0, &[b"sen link ", payload])
    }
}

/// HMAC-SHA256 over the parts, one after the other; keys of any length do.
pub(crate) fn signed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // RFC 2104 takes keys of any length, so this cannot fail; an empty one would sign nothing.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            delivery: "d1".into(),
            alert: AlertId::from_text("a1"),
            person: "an".into(),
            until: Timestamp::from_millis(1_000),
        }
    }

    #[test]
    fn a_token_is_read_back_until_its_time_is_up() {
        let seal = Seal::new([7; 32]);
        let token = seal.token(&claim());
        assert_eq!(seal.claim(&token, Timestamp::from_millis(999)), Some(claim()));
        assert_eq!(seal.claim(&token, Timestamp::from_millis(1_000)), None);
        assert_eq!(Seal::new([8; 32]).claim(&token, Timestamp::default()), None);
        assert_eq!(format!("{seal:?}"), "Seal(…)");
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let seal = Seal::new([7; 32]);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(seal.token(&claim())).unwrap();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[index] ^= 1 << bit;
                let token = BASE64_URL_SAFE_NO_PAD.encode(other);
                assert_eq!(seal.claim(&token, Timestamp::default()), None, "byte {index}");
            }
        }
        for nonsense in ["", "x", "!!!", &"A".repeat(2_000), &"A".repeat(43)] {
            assert_eq!(seal.claim(nonsense, Timestamp::default()), None);
        }
    }
}
