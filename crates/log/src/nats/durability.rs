//! Pure: whether what the servers acknowledge is on disk, judged from what their monitors say.
//!
//! JetStream acknowledges when a majority of the replicas have a message, but by default they write
//! to the file system only, and the disk is asked every two minutes (`sync_interval`): the loss of
//! power of a majority at once takes acknowledged messages away. With `sync_always: true` each
//! replica has them on disk before it acknowledges.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::backend::Durability;

/// Replicas from which on one may be lost and appends go on.
pub(crate) const SAFE_REPLICAS: usize = 3;

/// What a monitor answered at `/varz`, or why it did not.
pub(crate) type Answer = (String, Result<String, String>);

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    server_id: String,
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<Settings>,
}

#[derive(Deserialize)]
struct Settings {
    /// Left out both where it is off (2.10 and later) and where it is not known (2.9).
    sync_always: Option<bool>,
    sync_interval: Option<serde_json::Value>,
}

/// Judges the answers of all monitors, the fewest replicas a stream really has, and the names of
/// all servers on which any of them is.
pub(crate) fn judge(answers: &[Answer], replicas: usize, peers: &BTreeSet<String>) -> Durability {
    match objection(answers, replicas, peers) {
        Some(reason) => Durability::BestEffort(reason),
        None => Durability::Durable,
    }
}

fn objection(answers: &[Answer], replicas: usize, peers: &BTreeSet<String>) -> Option<String> {
    if replicas < SAFE_REPLICAS {
        return Some(format!(
            "the streams have {replicas} replica(s): with fewer than {SAFE_REPLICAS} the loss of one \
             server loses records or stops the centre; run {SAFE_REPLICAS} servers and set \
             cluster.replicas = {SAFE_REPLICAS}"
        ));
    }
    if answers.is_empty() {
        return Some(
            "no server was asked whether it writes to disk before it acknowledges: name the \
             monitoring address of every server in cluster.monitors"
                .to_owned(),
        );
    }
    let (mut servers, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (monitor, answer) in answers {
        match answer.as_ref().map_err(Clone::clone).and_then(|text| read(text)) {
            Ok(varz) => {
                if let Some(reason) = objection_of(monitor, &varz) {
                    return Some(reason);
                }
                servers.insert(varz.server_id);
                names.insert(varz.server_name);
            }
            Err(error) => {
                return Some(format!(
                    "{monitor} does not tell whether it writes to disk before it acknowledges: \
                     {error}"
                ));
            }
        }
    }
    if servers.len() < replicas {
        return Some(format!(
            "cluster.monitors names {} server(s), but records are kept by {replicas}: name the \
             monitoring address of every server",
            servers.len()
        ));
    }
    // Of more servers than replicas each may keep some.
    let unasked = peers.difference(&names).next();
    unasked.map(|name| {
        format!(
            "records are kept by server {name} too, which cluster.monitors does not name (or which \
             is away): name the monitoring address of every server"
        )
    })
}

fn read(text: &str) -> Result<Varz, String> {
    serde_json::from_str(text).map_err(|error| format!("its answer is no /varz of NATS ({error})"))
}

fn objection_of(monitor: &str, varz: &Varz) -> Option<String> {
    let name = if varz.server_name.is_empty() { monitor } else { &varz.server_name };
    let Some(settings) = &varz.jetstream.config else {
        return Some(format!("server {name} has no JetStream: start it with a `jetstream` block"));
    };
    match (settings.sync_always, &settings.sync_interval) {
        (Some(true), _) => None,
        (Some(false), _) | (None, Some(_)) => Some(format!(
            "server {name} acknowledges before records are on disk: set `sync_always: true` in its \
             `jetstream` block and start it again"
        )),
        (None, None) => Some(format!(
            "server {name} (version {}) cannot write to disk before it acknowledges, or does not \
             tell: use nats-server 2.10 or later with `sync_always: true` in its `jetstream` block",
            varz.version
        )),
    }
}

#[cfg(test)]
mod tests;
