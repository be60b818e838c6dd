//! A screen without glass: speaks the live protocol, checks what it must keep, folds the alerts.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// What a screen remembers over reconnects.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Epoch and last seq; none before the first welcome.
    pub position: Option<(String, u64)>,
    /// The newest record of each alert.
    pub alerts: BTreeMap<String, Value>,
    /// Every (id, rev, kind) in the order shown; snapshots count as shown.
    pub shown: Vec<(String, u64, String)>,
    /// Latest value of each (device, metric).
    pub latest: BTreeMap<(String, String), f64>,
}

/// Whether an alert is of a rule; of one with levels, of its critical level.
pub fn is_of(alert: &Value, rule: &str) -> bool {
    let has_levels = alert["level"].as_u64().is_some_and(|level| level > 0);
    alert["rule"] == rule && (!has_levels || alert["severity"] == 1)
}

/// A connected screen.
pub struct Screen {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What it knows.
    pub memory: Memory,
    /// `resume` or `snapshot`, as the server decided.
    pub mode: String,
}

impl Screen {
    /// Connects, says hello with what it remembers, and reads the welcome.
    pub async fn connect(http: &str, name: &str, memory: Memory) -> anyhow::Result<Self> {
        let url = format!("ws://{http}/api/v1/live");
        let (socket, _) = tokio_tungstenite::connect_async(url).await?;
        let mut screen = Self { socket, memory, mode: String::new() };
        let resume =
            screen.memory.position.as_ref().map(|(epoch, seq)| json!({"epoch": epoch, "seq": seq}));
        let hello = json!({"type":"hello","v":1,"screen":name,"view":"all","resume":resume});
        screen.socket.send(Message::text(hello.to_string())).await?;
        let welcome = screen.frame().await?;
        ensure!(welcome["type"] == "welcome", "expected a welcome, got {welcome}");
        screen.mode = welcome["mode"].as_str().context("mode")?.to_owned();
        let epoch = welcome["epoch"].as_str().context("epoch")?.to_owned();
        if screen.mode == "snapshot" {
            screen.memory.alerts.clear();
            screen.memory.position = Some((epoch, 0));
        }
        Ok(screen)
    }

    /// The next frame, as it is.
    pub async fn frame(&mut self) -> anyhow::Result<Value> {
        loop {
            match self.socket.next().await.context("the socket ended")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(close) => bail!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Takes the next frame, checks it against the protocol's promises, and returns it.
    pub async fn step(&mut self) -> anyhow::Result<Value> {
        let frame = self.frame().await?;
        let (_, seq) = self.memory.position.as_mut().context("welcomed")?;
        match frame["type"].as_str().context("type")? {
            "snapshot" => {
                for item in frame["items"].as_array().context("items")? {
                    self.memory.show(item)?;
                }
                let (_, seq) = self.memory.position.as_mut().context("welcomed")?;
                *seq = frame["as_of"].as_u64().context("as_of")?;
            }
            "alert" => {
                let (prev, next) = (frame["prev"].as_u64(), frame["seq"].as_u64());
                ensure!(prev == Some(*seq), "a gap: prev {prev:?} after {seq}");
                ensure!(next > prev, "order: {next:?} after {prev:?}");
                *seq = next.context("seq")?;
                self.memory.show(&frame)?;
            }
            "skip" => {
                ensure!(frame["prev"].as_u64() == Some(*seq), "a gap before {frame}");
                *seq = frame["to"].as_u64().context("to")?;
            }
            "tick" => self.memory.tick(&frame)?,
            _ => {}
        }
        Ok(frame)
    }

    /// Steps until `found` says so of a frame.
    pub async fn until(
        &mut self,
        what: &str,
        mut found: impl FnMut(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let searching = async {
            loop {
                let frame = self.step().await?;
                if found(&frame) {
                    return Ok(frame);
                }
            }
        };
        tokio::time::timeout(crate::PATIENCE, searching)
            .await
            .with_context(|| format!("waited in vain for {what}"))?
    }

    /// Steps until an alert of this rule reaches `kind`.
    pub async fn until_alert(&mut self, rule: &str, kind: &str) -> anyhow::Result<Value> {
        self.until(&format!("{rule} {kind}"), |frame| {
            frame["type"] == "alert" && is_of(frame, rule) && frame["kind"] == kind
        })
        .await
    }

    /// Steps until so many alerts of this rule were shown to become `kind`.
    pub async fn until_count(
        &mut self,
        rule: &str,
        kind: &str,
        least: usize,
    ) -> anyhow::Result<()> {
        let stepping = async {
            while self.memory.count(rule, kind) < least {
                self.step().await?;
            }
            Ok(())
        };
        tokio::time::timeout(crate::PATIENCE, stepping)
            .await
            .with_context(|| format!("waited in vain for {least} times {rule} {kind}"))?
    }

    /// Goes away without a word, remembering.
    pub fn cut(self) -> Memory {
        self.memory
    }
}

impl Memory {
    /// How often an alert of this rule was shown to become `kind`.
    pub fn count(&self, rule: &str, kind: &str) -> usize {
        let of_rule = |id: &String| self.alerts.get(id).is_some_and(|alert| is_of(alert, rule));
        self.shown.iter().filter(|(id, _, was)| was == kind && of_rule(id)).count()
    }

    fn show(&mut self, record: &Value) -> anyhow::Result<()> {
        let id = record["id"].as_str().context("id")?.to_owned();
        let rev = record["rev"].as_u64().context("rev")?;
        let known = self.alerts.get(&id).and_then(|known| known["rev"].as_u64()).unwrap_or(0);
        if rev > known {
            let kind = record["kind"].as_str().context("kind")?.to_owned();
            self.shown.push((id.clone(), rev, kind));
            self.alerts.insert(id, record.clone());
        }
        Ok(())
    }

    fn tick(&mut self, frame: &Value) -> anyhow::Result<()> {
        for row in frame["upserts"].as_array().context("upserts")? {
            let text = |index: usize| row[index].as_str().unwrap_or_default().to_owned();
            self.latest.insert((text(0), text(1)), row[2].as_f64().context("value")?);
        }
        Ok(())
    }
}
