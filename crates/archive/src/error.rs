//! Why the archive could not do it, what to do about it, and whether to try again.

use std::time::Duration;

/// How much of a server's words an error repeats, in characters.
const SHOWN_CHARS: usize = 300;

/// What went wrong between us and the server.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No connection, no answer in time, or one that broke off.
    #[error("the archive cannot be reached: is it running, and is `store.archive` its address?")]
    Unreachable(#[source] reqwest::Error),
    /// 429 or 503: it asks for patience.
    #[error("the archive is busy; it asks to wait {} s", retry_after.as_secs())]
    Busy {
        /// How long it asks to wait, within bounds.
        retry_after: Duration,
    },
    /// Another 5xx: its own trouble.
    #[error("the archive failed with status {status}: {text}")]
    Failed {
        /// The HTTP status.
        status: u16,
        /// Its words.
        text: String,
    },
    /// 401.
    #[error("the archive does not know the token: put a valid one into `store.archive_token_file`")]
    Unauthorized,
    /// 403.
    #[error("the archive's token may not do this: it needs read and write for the bucket ({text})")]
    Forbidden {
        /// Its words.
        text: String,
    },
    /// 404.
    #[error("the archive has no such thing: check organisation, bucket and path ({text})")]
    NotFound {
        /// Its words.
        text: String,
    },
    /// 413, for a read: writes are split.
    #[error("the archive takes no request of this size; raise its limit of request bodies")]
    TooLarge,
    /// 400, 422 and what else it does not want.
    #[error("the archive refused the request with status {status}: {text}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// Its words.
        text: String,
    },
    /// So many rows of one write were refused that something is wrong with all of them. What stood
    /// before the last of them is written.
    #[error(
        "the archive refused {refused} rows of one write, and more may follow; the last: {text}"
    )]
    TooManyRefused {
        /// How many.
        refused: usize,
        /// The server's words to the last one.
        text: String,
    },
    /// An answer we cannot read, or that says it failed half-way.
    #[error("the archive's answer cannot be used: {0}")]
    Answer(String),
    /// An answer longer than we take.
    #[error("the archive's answer is longer than {limit} bytes: ask for a shorter span")]
    AnswerTooLong {
        /// The bound.
        limit: usize,
    },
    /// The token file.
    #[error("the token file {path} cannot be used: {reason}")]
    Token {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
}

impl ArchiveError {
    /// Whether trying again later can help. Otherwise a person must change something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy { .. } | Self::Failed { .. } | Self::Answer(_) => {
                true
            }
            Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::TooLarge
            | Self::Rejected { .. }
            | Self::TooManyRefused { .. }
            | Self::AnswerTooLong { .. }
            | Self::Token { .. } => false,
        }
    }

    /// How long the server asked to wait before the next try, where it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The error of an answer whose status is none of success.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let text = words(body);
        match status {
            429 | 503 => Self::Busy { retry_after: retry_after.unwrap_or(WAIT_UNASKED) },
            401 => Self::Unauthorized,
            403 => Self::Forbidden { text },
            404 => Self::NotFound { text },
            413 => Self::TooLarge,
            500.. => Self::Failed { status, text },
            _ => Self::Rejected { status, text },
        }
    }
}

/// How long to wait where a busy server names no time.
const WAIT_UNASKED: Duration = Duration::from_secs(5);
/// The longest wait a server may ask for: beyond it, it is asked again all the same.
const WAIT_MOST: Duration = Duration::from_secs(300);

/// The wait of a `Retry-After` header: seconds. A date there is not read, since that would need a
/// clock that agrees with the server's.
pub(crate) fn retry_after(header: &str) -> Option<Duration> {
    let seconds: u64 = header.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(WAIT_MOST))
}

/// What a server says in an error body: the `message` (InfluxDB) or `error` (VictoriaMetrics) of
/// JSON, or the text as it is; short and without control characters.
pub(crate) fn words(body: &[u8]) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|json| {
        let text = json.get("message").or_else(|| json.get("error"))?;
        text.as_str().map(str::to_owned)
    });
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let printed = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    printed.take(SHOWN_CHARS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_within_bounds() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("999999999999"), Some(WAIT_MOST));
        for bad in ["", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "1.5"] {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
        let busy = ArchiveError::of_status(429, None, b"");
        assert_eq!(busy.retry_after(), Some(WAIT_UNASKED));
    }

    #[test]
    fn words_are_short_and_printable() {
        assert_eq!(words(br#"{"code":"invalid","message":"no\u001b[31m"}"#), "no [31m");
        assert_eq!(words(br#"{"status":"error","error":"bad"}"#), "bad");
        assert_eq!(words(&[b'x'; 9_999]).len(), SHOWN_CHARS);
        assert_eq!(words(&[0xff, b'\n']), "\u{fffd}");
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        let retryable = |status| ArchiveError::of_status(status, None, b"").is_retryable();
        assert!([429, 500, 502, 503, 504].into_iter().all(retryable));
        assert!(![301, 400, 401, 403, 404, 413, 422].into_iter().any(retryable));
    }
}
