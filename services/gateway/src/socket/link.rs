//! One socket: frames in with their limits, frames out with a time limit, an orderly end.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use serde::Serialize;
use tokio_tungstenite::tungstenite;

use crate::Config;
use crate::wire::{CloseCode, FromScreen, MAX_FRAME_IN_BYTES};

/// Frames a screen may send in a second, on average and at once.
const FRAMES_PER_SECOND: u32 = 20;
/// How long the end of a connection may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer is gone, or does not say why it closes.
    Gone,
    /// The peer said goodbye: the page was left or is loaded anew.
    Left,
    /// We close it, and why.
    Close(CloseCode, &'static str),
}

/// A socket with its limits.
pub(super) struct Link {
    socket: WebSocket,
    slow: Duration,
    allowance: Allowance,
}

impl Link {
    pub(super) fn new(socket: WebSocket, config: &Config) -> Self {
        let slow = Duration::from_millis(config.slow_ms);
        Self { socket, slow, allowance: Allowance::new() }
    }

    /// The next frame of this protocol. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<FromScreen, Ending> {
        loop {
            let message = match self.socket.recv().await {
                None => return Err(Ending::Gone),
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(fault(error)),
            };
            if !self.allowance.take() {
                return Err(Ending::Close(CloseCode::TooMany, "too many frames"));
            }
            match message {
                Message::Text(text) if text.len() > MAX_FRAME_IN_BYTES => {
                    return Err(Ending::Close(CloseCode::TooLarge, "frame too large"));
                }
                Message::Text(text) => {
                    return serde_json::from_str(&text)
                        .map_err(|_| Ending::Close(CloseCode::BadFrame, "not a frame of ours"));
                }
                Message::Binary(_) => {
                    return Err(Ending::Close(CloseCode::BadFrame, "frames are text"));
                }
                // Browsers say so by themselves when a page is left; a page cannot.
                Message::Close(Some(frame)) if frame.code == close_code::AWAY => {
                    return Err(Ending::Left);
                }
                Message::Close(_) => return Err(Ending::Gone),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &impl Serialize) -> Result<(), Ending> {
        // Our frames have only string keys and finite numbers, so they can always be written.
        let text = serde_json::to_string(frame).map_err(|_| Ending::Gone)?;
        self.send_text(text.into()).await
    }

    /// Sends a frame that is already written. It has left for the kernel when this returns.
    pub(super) async fn send_text(&mut self, text: Utf8Bytes) -> Result<(), Ending> {
        match tokio::time::timeout(self.slow, self.socket.send(Message::Text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Gone),
            Err(_) => Err(Ending::Close(CloseCode::Slow, "too slow")),
        }
    }

    /// Ends the connection: says why, and reads on for a moment, since a socket that is closed over
    /// unread bytes is reset and the reason would be lost.
    pub(super) async fn end(mut self, ending: Ending) {
        let (code, reason) = match ending {
            Ending::Close(code, reason) => (code, reason),
            Ending::Left | Ending::Gone => {
                let code = if ending == Ending::Left { "left" } else { "gone" };
                metrics::counter!("sen_live_closed_total", "code" => code).increment(1);
                return;
            }
        };
        metrics::counter!("sen_live_closed_total", "code" => code.to_string()).increment(1);
        tracing::debug!(%code, reason, "a screen's connection is closed");
        let farewell = async {
            let frame = CloseFrame { code: code as u16, reason: Utf8Bytes::from_static(reason) };
            if self.socket.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

/// What an error of the socket means for the connection.
fn fault(error: axum::Error) -> Ending {
    let inner = error.into_inner();
    match inner.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => {
            Ending::Close(CloseCode::TooLarge, "frame too large")
        }
        Some(tungstenite::Error::Utf8(_)) => Ending::Close(CloseCode::BadFrame, "not UTF-8"),
        _ => Ending::Gone,
    }
}

/// A token bucket: a second's worth of frames at once, refilled evenly.
struct Allowance {
    left: f64,
    at: tokio::time::Instant,
}

impl Allowance {
    fn new() -> Self {
        Self { left: f64::from(FRAMES_PER_SECOND), at: tokio::time::Instant::now() }
    }

    fn take(&mut self) -> bool {
        let now = tokio::time::Instant::now();
        let most = f64::from(FRAMES_PER_SECOND);
        let earned = now.duration_since(self.at).as_secs_f64() * most;
        self.at = now;
        self.left = (self.left + earned).min(most) - 1.0;
        self.left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_of_frames_at_once_and_no_more_than_that_on_average() {
        let mut allowance = Allowance::new();
        assert!((0..FRAMES_PER_SECOND).all(|_| allowance.take()));
        assert!(!allowance.take());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!((0..FRAMES_PER_SECOND).all(|_| allowance.take()));
        assert!(!allowance.take());
    }
}
