//! Pure: whether the servers have room, judged from what their monitors say.
//!
//! A server of a cluster that is over its limit (`max_file_store`) leads nothing any more, and who
//! does not lead deletes nothing: seen with NATS 2.9, where three that were full at once came back
//! only with more room and a new start. So what can wait is refused before that, and the last of the
//! room is left to what must go on: alerts, positions in topics, leases.

use serde::Deserialize;

use super::durability::Answer;

/// How much of a server's limit may be used by what can wait, in per cent.
const USABLE_PER_CENT: u64 = 95;

#[derive(Deserialize)]
struct Varz {
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

/// Which server is nearly full, and how full it is; none if none is known to be. What does not answer
/// or tells no limit has room, as far as anybody knows.
pub(crate) fn lacking(answers: &[Answer]) -> Option<String> {
    answers.iter().find_map(|(monitor, answer)| {
        let varz: Varz = serde_json::from_str(answer.as_ref().ok()?).ok()?;
        let limit = u64::try_from(varz.jetstream.config.max_storage).ok().filter(|it| *it > 0)?;
        let used = varz.jetstream.stats.storage;
        let is_short = used >= limit / 100 * USABLE_PER_CENT;
        is_short.then(|| format!("{monitor} has used {used} of {limit} bytes (max_file_store)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(max_storage: i64, storage: u64) -> Answer {
        let text = format!(
            r#"{{"server_id":"a","jetstream":{{"config":{{"max_memory":1,"max_storage":{max_storage}}},
                "stats":{{"memory":0,"storage":{storage},"reserved_storage":0}}}}}}"#
        );
        ("http://a:8222".to_owned(), Ok(text))
    }

    #[test]
    fn one_server_without_room_is_enough() {
        let (free, full) = (answer(1_000, 949), answer(1_000, 950));
        assert_eq!(lacking(&[free.clone(), free.clone()]), None);
        let told = lacking(&[free, full]).unwrap();
        assert_eq!(told, "http://a:8222 has used 950 of 1000 bytes (max_file_store)");
    }

    #[test]
    fn what_is_not_told_is_no_lack() {
        let silent = ("http://b:8222".to_owned(), Err("no answer within 5 s".to_owned()));
        let without = ("http://c:8222".to_owned(), Ok(r#"{"jetstream":{}}"#.to_owned()));
        let strange = ("http://d:8222".to_owned(), Ok("<html>".to_owned()));
        let unlimited = [answer(-1, 5), answer(0, 5)];
        assert_eq!(lacking(&[[silent, without, strange].as_slice(), &unlimited].concat()), None);
    }
}
