//! Questions to the centre and to other servers: HTTP/1.0, whose answer simply ends with the connection.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer taken, in bytes.
const ANSWER_BYTES: u64 = 64 << 20;

/// The status and the body of `path`.
pub(super) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    ask(address, path, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")).await
}

/// The status and the body of what `path` answers to `body`.
pub(super) async fn post(
    address: SocketAddr,
    path: &str,
    body: &str,
) -> anyhow::Result<(u16, String)> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    ask(address, path, &(head + body)).await
}

async fn ask(address: SocketAddr, path: &str, request: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer).await?;
    parse(&answer).with_context(|| format!("{path}: not an HTTP answer"))
}

/// The JSON at `path`, which must be there.
pub(super) async fn get_json<T: DeserializeOwned>(
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<T> {
    let (status, body) = get(address, path).await?;
    ensure!(status == 200, "{path}: status {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("{path}: unexpected JSON"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_answer_apart() {
        let answer = "HTTP/1.0 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(answer), Some((503, "{}".to_owned())));
        for bad in ["", "HTTP/1.0 200 OK\r\n", "SMTP 200\r\n\r\n", "HTTP/1.1 yes\r\n\r\n"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
