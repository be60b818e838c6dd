//! The API of a centre, as programs and people call it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::{PATIENCE, wait_for};

/// What is asked of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Api {
    http: String,
}

impl Api {
    /// At `host:port`.
    pub fn at(http: String) -> Self {
        Self { http }
    }

    /// `host:port` of the screens and the API.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// GET under `/api/v1`; errors of the server are errors here.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://{}/api/v1{path}", self.http);
        tokio::task::spawn_blocking(move || Ok(ureq::get(&url).call()?.body_mut().read_json()?))
            .await?
    }

    /// The text at any path, with its status, whatever it is.
    pub async fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let url = format!("http://{}{path}", self.http);
        tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
            let mut answer = ureq::Agent::from(agent).get(&url).call()?;
            Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
        })
        .await?
    }

    /// Acknowledges an alert as a person would; gives the status and the body.
    pub async fn acknowledge(
        &self,
        alert: &str,
        by: &str,
        rev: Option<u64>,
        key: &str,
    ) -> anyhow::Result<(u16, Value)> {
        let body = serde_json::json!({"by": by, "note": ""});
        self.post(&format!("/alerts/{alert}/acknowledge"), key, rev, body).await
    }

    /// POST under `/api/v1` with an idempotency key and the revision that was seen, if any; gives
    /// the status and the body. While nobody can answer it is sent again, as the API asks.
    pub async fn post(
        &self,
        path: &str,
        key: &str,
        rev: Option<u64>,
        body: Value,
    ) -> anyhow::Result<(u16, Value)> {
        let begun = Instant::now();
        loop {
            let answer = self.post_once(path, key, rev, body.clone()).await?;
            if answer.0 != 503 || begun.elapsed() > PATIENCE {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn post_once(
        &self,
        path: &str,
        key: &str,
        rev: Option<u64>,
        body: Value,
    ) -> anyhow::Result<(u16, Value)> {
        let url = format!("http://{}/api/v1{path}", self.http);
        let key = key.to_owned();
        tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
            let mut request = ureq::Agent::from(agent).post(&url).header("Idempotency-Key", &key);
            if let Some(rev) = rev {
                request = request.header("If-Match", format!("\"{rev}\""));
            }
            let mut answer = request.send_json(body)?;
            let body = answer.body_mut().read_to_string()?;
            Ok((answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(body.into())))
        })
        .await?
    }

    /// Waits until what is in the log of readings, to its head and at least to `head`, is judged and
    /// stored.
    pub async fn caught_up(&self, head: u64) {
        wait_for("all of the log to be judged and stored", async || {
            let positions = self.get("/ledger").await.ok()?["positions"].clone();
            let head = positions["head"].as_u64()?.max(head);
            let past = |key: &str| positions[key].as_u64().is_some_and(|next| next > head);
            (past("evaluated") && past("stored")).then_some(())
        })
        .await;
    }

    /// Every item of a list, page after page.
    pub async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let joiner = if path.contains('?') { '&' } else { '?' };
        let mut next = path.to_owned();
        loop {
            let mut page = self.get(&next).await?;
            items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            let Some(cursor) = page["next"].as_str() else { return Ok(items) };
            next = format!("{path}{joiner}cursor={cursor}");
        }
    }
}
