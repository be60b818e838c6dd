//! Names in subjects, buckets and keys, and the marks that tell one claim from another.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Whether `text` can be a name of a stream or bucket and one token of a subject.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_plain)
}

/// Whether `text` can be a key of a bucket that is not a path: tokens with single dots between.
pub(crate) fn is_key(text: &str) -> bool {
    text.split('.').all(is_token)
}

/// `text` as one token: what cannot be in one becomes `-`.
pub(crate) fn token(text: &str) -> String {
    let text: String =
        text.bytes().map(|b| if is_plain(b) { char::from(b) } else { '-' }).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Any text as one token, so that it can be [read back](unescape): other bytes become `=XX`.
pub(crate) fn escape(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) || byte == b'/' {
            token.push(char::from(byte));
        } else {
            token.push_str(&format!("={byte:02X}"));
        }
    }
    token
}

/// What [`escape`] made a token of; `None` if it did not.
pub(crate) fn unescape(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'=' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A number nobody else has: seeds and marks. From the system's randomness, once a call.
pub(crate) fn mark() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_or_made_to_be() {
        for (text, one, key) in [
            ("sen", true, true),
            ("Sen-2_b", true, true),
            ("", false, false),
            ("a.b", false, true),
            ("a..b", false, false),
            (".a", false, false),
            ("a b", false, false),
            ("a*", false, false),
            (">", false, false),
            ("trạm", false, false),
        ] {
            assert_eq!((is_token(text), is_key(text)), (one, key), "{text:?}");
            assert!(is_token(&token(text)), "{text:?}");
        }
        assert_eq!(token("alert@host.local:12"), "alert-host-local-12");
    }

    #[test]
    fn any_topic_becomes_a_token_and_comes_back() {
        for text in ["sen/siren/x-1/set", "a.b/*/>", " =2E%", "còi/báo", "//", "="] {
            let token = escape(text);
            assert!(token.bytes().all(|b| is_plain(b) || b == b'/' || b == b'='), "{token}");
            assert_eq!(unescape(&token).as_deref(), Some(text));
        }
        assert_eq!(escape("a.b"), "a=2Eb");
        for broken in ["=", "=2", "=ZZ", "=FF", "=é"] {
            assert_eq!(unescape(broken), None, "{broken}");
        }
    }

    #[test]
    fn two_marks_differ() {
        assert_ne!(mark(), mark());
    }
}
