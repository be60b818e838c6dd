//! Asks a server's monitor for `/varz`: one small HTTP request, bounded in time and size.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a monitor may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer: it is a few kilobytes.
const ANSWER_BYTES: u64 = 1 << 20;

/// The body of `/varz` of a monitor (`http://host:port`), or why there is none.
pub(crate) async fn ask(monitor: &str) -> Result<String, String> {
    let asked = timeout(PATIENCE, get(monitor)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// The host and port of a monitor's address, and the path before `/varz`.
pub(crate) fn parse(monitor: &str) -> Result<(&str, &str), String> {
    let rest = monitor.strip_prefix("http://").ok_or("it must begin with http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.rsplit_once(':').ok_or("it must end with a port, as in :8222")?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err("it must be http://host:port".to_owned());
    }
    Ok((authority, path.trim_end_matches('/')))
}

async fn get(monitor: &str) -> Result<String, String> {
    let (authority, path) = parse(monitor)?;
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    let request = format!("GET {path}/varz HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    let exchange = async {
        let mut socket = TcpStream::connect(authority).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange.await.map_err(|error| error.to_string())?;
    body(&answer)
}

/// The body of an answer with status 200.
fn body(answer: &[u8]) -> Result<String, String> {
    let answer = String::from_utf8_lossy(answer);
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("it answers `{status}`"));
    }
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("its answer has no end of headers")?;
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_mistakes_told() {
        assert_eq!(parse("http://a:8222"), Ok(("a:8222", "")));
        assert_eq!(parse("http://[::1]:8222/nats/"), Ok(("[::1]:8222", "nats")));
        for wrong in ["a:8222", "https://a:8222", "http://a", "http://:8222", "http://a:x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_body_of_a_good_answer_is_taken() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Ok("{}".to_owned()));
        assert!(body(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(body(b"").is_err());
    }
}
