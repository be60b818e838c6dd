//! The one door for outbound HTTP: webhooks, push services and heartbeats go through it and nothing
//! else does. Nobody can use it to reach into the centre.
//!
//! A host is resolved once, every address it has is judged, and the connection is made to exactly
//! these. There are no redirects, no proxies, no connections kept for later, and a bound on time
//! and on what is read of an answer.

pub(crate) mod address;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest13::dns::{Addrs, Name, Resolve, Resolving};
use reqwest13::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest13::{Client, Method, Response, StatusCode, Url, redirect};

use address::Allow;

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;
/// Longest URL.
const URL_BYTES: usize = 4 << 10;

/// How long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the answer is read.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(10) }
    }
}

/// The addresses of a name, when they come.
pub type Looked<'a> = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync {
    /// Every address of `name`.
    fn addresses<'a>(&'a self, name: &'a str) -> Looked<'a>;
}

/// What the system's resolver says.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why there is no answer. Neither the URL nor what the other side said is part of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EgressError {
    /// The URL or its address is not allowed; trying again does not help.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// The other side cannot be reached or broke off.
    #[error("{0}")]
    Unreachable(&'static str),
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What came back: the status and the first 64 KiB.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// How long the other side wants to be left alone, if it said so in seconds.
    pub(crate) retry_after: Option<Duration>,
}

/// The door.
pub(crate) struct Egress {
    allow: Allow,
    /// Connects to addresses that the guard lets through.
    guarded: Client,
    /// Connects to hosts that are listed by name.
    trusted: Client,
}

impl Egress {
    /// A door that lets through the public internet and what `allow` lists.
    pub(crate) fn new(
        allow: Allow,
        lookup: Arc<dyn Lookup>,
        limits: Limits,
    ) -> Result<Self, reqwest13::Error> {
        // Whoever was first has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |judge: Option<Allow>| {
            let guard = Guard { judge, lookup: Arc::clone(&lookup) };
            let build = |builder: reqwest13::ClientBuilder| {
                builder
                    .dns_resolver(guard.clone())
                    .redirect(redirect::Policy::none())
                    .no_proxy()
                    .referer(false)
                    .retry(reqwest13::retry::never())
                    .pool_max_idle_per_host(0)
                    .connect_timeout(limits.connect)
                    .timeout(limits.total)
                    .user_agent("sen")
                    .build()
            };
            build(Client::builder()).or_else(|error| {
                // A machine without certificates of authorities can still use plain HTTP inside.
                tracing::warn!(%error, "no certificates are trusted: https will fail");
                build(Client::builder().tls_certs_only([]))
            })
        };
        let (guarded, trusted) = (client(Some(allow.clone()))?, client(None)?);
        Ok(Self { allow, guarded, trusted })
    }

    /// Sends one request and reads the answer to its end or to its bound.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, EgressError> {
        let (url, way) = judge(&request.url, &self.allow)?;
        let client = match way {
            Way::Guarded => &self.guarded,
            Way::Trusted => &self.trusted,
        };
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| EgressError::Forbidden("no such method"))?;
        let headers = headers(&request.headers)?;
        let sent = client.request(method, url).headers(headers).body(request.body).send();
        read(sent.await.map_err(|error| told(&error))?).await
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, EgressError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let wrong = EgressError::Forbidden("a header that cannot be sent");
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(name), Ok(value)) = (name, value) else { return Err(wrong) };
        headers.insert(name, value);
    }
    Ok(headers)
}

async fn read(mut response: Response) -> Result<Answer, EgressError> {
    let status = response.status();
    let retry_after = (status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error())
        .then(|| response.headers().get("retry-after")?.to_str().ok()?.parse().ok())
        .flatten()
        .map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        let room = ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES {
            break;
        }
    }
    Ok(Answer { status: status.as_u16(), body, retry_after })
}

/// Which of the two clients takes a URL.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Guarded,
    Trusted,
}

/// Whether a URL may be used at all, as far as can be told without a resolver.
pub(crate) fn check_url(text: &str, allow: &Allow) -> Result<(), EgressError> {
    judge(text, allow).map(drop)
}

fn judge(text: &str, allow: &Allow) -> Result<(Url, Way), EgressError> {
    if text.len() > URL_BYTES {
        return Err(EgressError::Forbidden("a URL of more than 4 KiB"));
    }
    let url = Url::parse(text).map_err(|_| EgressError::Forbidden("no absolute URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EgressError::Forbidden("a URL with a user or password in it"));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(EgressError::Forbidden("a URL without a host"));
    };
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let is_named = allow.names(host, port);
    let is_listed = is_named || literal.is_some_and(|address| allow.holds(address));
    match url.scheme() {
        "https" => {}
        "http" if is_listed => {}
        "http" => return Err(EgressError::Forbidden("plain http to a host that is not listed")),
        _ => return Err(EgressError::Forbidden("neither https nor http")),
    }
    if is_named {
        return Ok((url, Way::Trusted));
    }
    // An address in the URL is connected to without asking the resolver.
    match literal.and_then(|address| allow.refuses(address)) {
        Some(why) => Err(EgressError::Forbidden(why)),
        None => Ok((url, Way::Guarded)),
    }
}

/// Resolves, and lets nothing through that may not be connected to.
#[derive(Clone)]
struct Guard {
    /// None = every address of the host is trusted.
    judge: Option<Allow>,
    lookup: Arc<dyn Lookup>,
}

/// A name that leads to where nobody may go.
#[derive(Debug)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Refused {}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.lookup.addresses(name.as_str()).await?;
            let refuses = |allow: &Allow| found.iter().find_map(|found| allow.refuses(*found));
            if let Some(why) = guard.judge.as_ref().and_then(refuses) {
                return Err(Refused(why).into());
            }
            // The port of the URL takes the place of 0.
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// What an error comes to, without the URL that the library's own words would repeat.
fn told(error: &reqwest13::Error) -> EgressError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(Refused(why)) = error.downcast_ref() {
            return EgressError::Forbidden(why);
        }
        cause = error.source();
    }
    EgressError::Unreachable(if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "the request cannot be made"
    } else {
        "the connection broke off"
    })
}

#[cfg(test)]
mod tests;
