//! Recorded answers of `/varz`, cut to what matters.

use super::*;

fn varz(id: &str, version: &str, jetstream: &str) -> Answer {
    let text = format!(
        r#"{{"server_id":"{id}","server_name":"{id}","version":"{version}","proto":1,
            "jetstream":{jetstream}}}"#
    );
    (format!("http://{id}:8222"), Ok(text))
}

const V2_9: &str = r#"{"config":{"max_memory":18957382656,"max_storage":17914017792,
    "store_dir":"/var/lib/nats/jetstream"},"stats":{"memory":0,"storage":0,"reserved_memory":0,
    "reserved_storage":0,"accounts":1,"ha_assets":0,"api":{"total":0,"errors":0}}}"#;
const V2_12_ALWAYS: &str = r#"{"config":{"max_memory":1,"max_storage":1,"store_dir":"/d",
    "sync_interval":120000000000,"sync_always":true,"strict":true},"stats":{"memory":0}}"#;
const V2_10_NOT: &str = r#"{"config":{"max_memory":1,"max_storage":1,"store_dir":"/d",
    "sync_interval":120000000000},"stats":{"memory":0}}"#;
const V2_10_FALSE: &str = r#"{"config":{"sync_interval":120000000000,"sync_always":false}}"#;

fn three(jetstream: &str, version: &str) -> Vec<Answer> {
    ["a", "b", "c"].map(|id| varz(id, version, jetstream)).into()
}

/// The judgement when the streams are on the servers a, b and c.
fn judge(answers: &[Answer], replicas: usize) -> Durability {
    super::judge(answers, replicas, &["a", "b", "c"].map(str::to_owned).into())
}

fn reason(answers: &[Answer], replicas: usize) -> String {
    match judge(answers, replicas) {
        Durability::BestEffort(reason) => reason,
        Durability::Durable => panic!("proven without reason"),
    }
}

#[test]
fn three_replicas_that_always_sync_are_durable() {
    assert_eq!(judge(&three(V2_12_ALWAYS, "2.12.1"), 3), Durability::Durable);
}

#[test]
fn what_is_missing_is_said() {
    assert!(reason(&three(V2_9, "2.9.10"), 3).contains("use nats-server 2.10 or later"));
    assert!(reason(&three(V2_10_NOT, "2.10.7"), 3).contains("set `sync_always: true`"));
    assert!(reason(&three(V2_10_FALSE, "2.10.7"), 3).contains("set `sync_always: true`"));
    assert!(reason(&three("{}", "2.10.7"), 3).contains("no JetStream"));
    assert!(reason(&three(V2_12_ALWAYS, "2.12.1"), 1).contains("cluster.replicas = 3"));
    assert!(reason(&[], 3).contains("cluster.monitors"));
}

#[test]
fn a_replica_on_a_server_that_was_not_asked_proves_nothing() {
    let answers = three(V2_12_ALWAYS, "2.12.1");
    let judged = |peers: &[&str]| {
        super::judge(&answers, 3, &peers.iter().map(|name| (*name).to_owned()).collect())
    };
    // Five servers, of which any three keep a stream.
    let Durability::BestEffort(reason) = judged(&["a", "b", "c", "d", "e"]) else {
        panic!("proven without reason")
    };
    assert!(reason.contains("server d too, which cluster.monitors does not name"), "{reason}");
    assert_eq!(judged(&["a", "b"]), Durability::Durable);
    // A single server does not tell of peers.
    assert_eq!(judged(&[]), Durability::Durable);
}

#[test]
fn one_that_is_silent_or_named_twice_proves_nothing() {
    let mut answers = three(V2_12_ALWAYS, "2.12.1");
    answers[1].1 = Err("connection refused".to_owned());
    assert!(reason(&answers, 3).contains("http://b:8222 does not tell"));
    answers[1].1 = Ok("<html>".to_owned());
    assert!(reason(&answers, 3).contains("no /varz of NATS"));
    answers[1] = answers[0].clone();
    assert!(reason(&answers, 3).contains("names 2 server(s)"));
    answers = three(V2_12_ALWAYS, "2.12.1");
    answers.pop();
    assert!(reason(&answers, 3).contains("names 2 server(s)"));
    let mut one_off = three(V2_12_ALWAYS, "2.12.1");
    one_off[2] = varz("c", "2.12.1", V2_10_NOT);
    assert!(reason(&one_off, 3).contains("server c acknowledges before"));
}
