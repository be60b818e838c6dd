//! Pure: whether the servers have room, judged from what their monitors say.
//!
//! A server of a cluster that is over its limit (`max_file_store`) leads nothing any more, and who
//! does not lead deletes nothing: seen with NATS 2.9.10, where three that were full at once came back
//! only with more room and a new start. So readings are refused before that, and the last of the room
//! is left to what must go on: alerts, positions in topics, leases.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::durability::Answer;

/// Readings are refused when a server has used so much of its limit, in per cent …
const MOST: u64 = 95;
/// … until it has used less than this.
const AGAIN: u64 = 93;
/// From here on the servers are asked more often.
const NEAR: u64 = 90;
/// For so many answers that do not come, what a monitor said last holds: it is as full as it was.
const SILENCES: u32 = 6;

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    #[serde(default)]
    config: Limits,
    #[serde(default)]
    stats: Usage,
}

#[derive(Default, Deserialize)]
struct Limits {
    /// In bytes.
    #[serde(default)]
    max_storage: i64,
}

#[derive(Default, Deserialize)]
struct Usage {
    /// In bytes.
    #[serde(default)]
    storage: u64,
}

/// What a server said last.
#[derive(Debug)]
struct Told {
    name: String,
    /// Of its limit; 0 if it tells none.
    used_per_cent: u64,
    silences: u32,
}

/// What is known of the room of all servers.
#[derive(Debug, Default)]
pub(crate) struct Room {
    by_monitor: BTreeMap<String, Told>,
    /// The fullest server and how much it has used.
    fullest: Option<(String, u64)>,
    lacking: bool,
}

impl Room {
    /// Takes note of what all monitors answered. Only the servers in `keepers` count, unless nobody
    /// knows which they are: others keep nothing of ours.
    pub(crate) fn hear(&mut self, answers: &[Answer], keepers: &BTreeSet<String>) {
        for (monitor, answer) in answers {
            match answer.as_deref().ok().and_then(told) {
                Some(told) => drop(self.by_monitor.insert(monitor.clone(), told)),
                None => {
                    let known = self.by_monitor.get_mut(monitor);
                    known.into_iter().for_each(|known| known.silences += 1);
                }
            }
        }
        self.by_monitor.retain(|_, told| told.silences <= SILENCES);
        let counts = |told: &&Told| keepers.is_empty() || keepers.contains(&told.name);
        let counted = self.by_monitor.values().filter(counts);
        let fullest = counted.max_by_key(|told| told.used_per_cent);
        self.fullest = fullest.map(|told| (told.name.clone(), told.used_per_cent));
        self.lacking = self.used_per_cent() >= if self.lacking { AGAIN } else { MOST };
    }

    /// Whether readings are to be refused.
    pub(crate) fn is_lacking(&self) -> bool {
        self.lacking
    }

    /// Whether it may soon be lacking, or have come back.
    pub(crate) fn is_nearly_lacking(&self) -> bool {
        self.lacking || self.used_per_cent() >= NEAR
    }

    /// The name of the fullest server.
    pub(crate) fn fullest(&self) -> &str {
        self.fullest.as_ref().map_or("", |(name, _)| name)
    }

    fn used_per_cent(&self) -> u64 {
        self.fullest.as_ref().map_or(0, |(_, used)| *used)
    }
}

fn told(text: &str) -> Option<Told> {
    let varz: Varz = serde_json::from_str(text).ok()?;
    let used = u128::from(varz.jetstream.stats.storage) * 100;
    let limit = u128::try_from(varz.jetstream.config.max_storage).unwrap_or_default();
    let used_per_cent = used.checked_div(limit).and_then(|it| u64::try_from(it).ok());
    let used_per_cent = used_per_cent.unwrap_or_default();
    Some(Told { name: varz.server_name, used_per_cent, silences: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, max_storage: i64, storage: u64) -> Answer {
        let text = format!(
            r#"{{"server_name":"{name}","jetstream":{{
                "config":{{"max_memory":1,"max_storage":{max_storage}}},
                "stats":{{"memory":0,"storage":{storage},"reserved_storage":0}}}}}}"#
        );
        (format!("http://{name}:8222"), Ok(text))
    }

    fn silent(name: &str) -> Answer {
        (format!("http://{name}:8222"), Err("no answer within 5 s".to_owned()))
    }

    fn keepers(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_full_server_is_enough_and_it_must_have_a_little_more_to_count_as_free() {
        let mut room = Room::default();
        let mut lacks = |used: u64| {
            room.hear(&[answer("a", 1_000, 5), answer("b", 1_000, used)], &keepers(&[]));
            (room.is_lacking(), room.is_nearly_lacking(), room.fullest().to_owned())
        };
        let b = "b".to_owned();
        assert_eq!(lacks(899), (false, false, b.clone()));
        assert_eq!(lacks(949), (false, true, b.clone()));
        assert_eq!(lacks(950), (true, true, b.clone()));
        assert_eq!(lacks(930), (true, true, b.clone()));
        assert_eq!(lacks(929), (false, true, b));
    }

    #[test]
    fn who_is_silent_is_as_full_as_before_for_a_while() {
        let mut room = Room::default();
        room.hear(&[answer("a", 1_000, 990)], &keepers(&["a"]));
        for _ in 0..SILENCES {
            room.hear(&[silent("a")], &keepers(&["a"]));
            assert!(room.is_lacking());
        }
        room.hear(&[silent("a")], &keepers(&["a"]));
        assert!(!room.is_lacking(), "it is gone, and holds up nobody");
    }

    #[test]
    fn who_keeps_nothing_of_ours_does_not_count() {
        let mut room = Room::default();
        let answers = [answer("a", 1_000, 5), answer("strange", 1_000, 999)];
        room.hear(&answers, &keepers(&["a", "b"]));
        assert!(!room.is_lacking());
        room.hear(&answers, &keepers(&["a", "strange"]));
        assert!(room.is_lacking());
    }

    #[test]
    fn what_is_not_told_is_no_lack() {
        let without = ("http://c:8222".to_owned(), Ok(r#"{"jetstream":{}}"#.to_owned()));
        let strange = ("http://d:8222".to_owned(), Ok("<html>".to_owned()));
        let answers = [silent("b"), without, strange, answer("e", -1, 5), answer("f", 0, 5)];
        let mut room = Room::default();
        room.hear(&answers, &keepers(&[]));
        assert!(!room.is_nearly_lacking());
    }
}
