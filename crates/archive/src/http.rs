//! One HTTP client for the archive: time limits on everything, bounded answers, no redirects.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, Url};

use crate::error::{ArchiveError, retry_after};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take unless told otherwise, from the connection to the last byte of the
/// answer.
pub const REQUEST: Duration = Duration::from_secs(30);
/// Longest answer we read, in bytes; longer ones are refused and the span is halved.
pub(crate) const ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Longest error body we read, in bytes; the rest is not heard.
const WORDS_BYTES: usize = 16 * 1024;
/// Largest token file, in bytes.
const TOKEN_BYTES: usize = 4_096;

/// The secret that lets us in; never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a token as it is; surrounding space goes.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_fit = (1..=TOKEN_BYTES).contains(&text.len());
        (is_fit && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// Reads the token of a file.
    pub fn from_file(path: &Path) -> Result<Self, ArchiveError> {
        let fault =
            |reason: String| ArchiveError::Token { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::new(&text).ok_or_else(|| {
            fault(format!("it must hold one token of 1 to {TOKEN_BYTES} printable characters"))
        })
    }

    /// The token, for the one who has to send it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A client for one server.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    base: Url,
}

impl Http {
    /// For the server at `base`, which ends in a slash. `scheme` stands before the token.
    pub(crate) fn new(
        base: Url,
        scheme: &str,
        token: Option<&Token>,
        timeout: Duration,
    ) -> Result<Self, ArchiveError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            // A token has printable ASCII only, so that this cannot fail.
            if let Ok(mut value) = HeaderValue::from_str(&format!("{scheme} {}", token.expose())) {
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
        }
        let client = builder(timeout).default_headers(headers).build().map_err(unreachable)?;
        Ok(Self { client, base })
    }

    pub(crate) fn get(&self, path: &str) -> Result<RequestBuilder, ArchiveError> {
        Ok(self.client.get(self.url(path)?))
    }

    pub(crate) fn post(&self, path: &str) -> Result<RequestBuilder, ArchiveError> {
        Ok(self.client.post(self.url(path)?))
    }

    pub(crate) fn patch(&self, path: &str) -> Result<RequestBuilder, ArchiveError> {
        Ok(self.client.patch(self.url(path)?))
    }

    fn url(&self, path: &str) -> Result<Url, ArchiveError> {
        self.base.join(path).map_err(|error| ArchiveError::Answer(error.to_string()))
    }
}

/// The settings of every client that talks to an archive.
pub(crate) fn builder(timeout: Duration) -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT.min(timeout))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent("sen")
}

/// Sends a request and reads an answer of success, at most [`ANSWER_BYTES`] of it.
pub(crate) async fn ask(request: RequestBuilder) -> Result<Vec<u8>, ArchiveError> {
    let response = request.send().await.map_err(unreachable)?;
    if response.status().is_success() {
        return match read(response, ANSWER_BYTES).await? {
            (body, true) => Ok(body),
            (_, false) => Err(ArchiveError::AnswerTooLong { limit: ANSWER_BYTES }),
        };
    }
    let status = response.status().as_u16();
    let wait = response.headers().get(RETRY_AFTER);
    let wait = wait.and_then(|header| retry_after(header.to_str().ok()?));
    // An error whose words do not arrive is that error all the same.
    let words = read(response, WORDS_BYTES).await.map(|(body, _)| body).unwrap_or_default();
    Err(ArchiveError::of_status(status, wait, &words))
}

/// At most `limit` bytes of a body, and whether that was all.
async fn read(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), ArchiveError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        let room = limit - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

/// Without the address, which may be long and is known.
pub(crate) fn unreachable(error: reqwest::Error) -> ArchiveError {
    ArchiveError::Unreachable(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_checked_and_never_printed() {
        let token = Token::new(" secret==\n").unwrap();
        assert_eq!(token.expose(), "secret==");
        assert_eq!(format!("{token:?}"), "Token(…)");
        let http = Http::new("http://x/".parse().unwrap(), "Token", Some(&token), REQUEST).unwrap();
        assert!(!format!("{http:?}").contains("secret"));
        for bad in ["", " \n", "two words", "tờ", &"x".repeat(TOKEN_BYTES + 1)] {
            assert!(Token::new(bad).is_none(), "{bad}");
        }
    }
}
