//! What all processes have the same: configuration files, key files, retained messages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sen_chassis::Tasks;
use sen_cluster::{Cluster, Config, ConnectError, Error, Pushed, Retained};

use crate::server::{PATIENCE, Server, config, soon};

/// Waits until a file is as it should be; `None` = is not there.
async fn becomes(path: &Path, text: Option<&str>) {
    let tried = async {
        while fs::read_to_string(path).ok().as_deref() != text {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let met = tokio::time::timeout(PATIENCE, tried).await;
    assert!(met.is_ok(), "{} has {:?}", path.display(), fs::read_to_string(path).ok());
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn configuration_goes_to_all_who_follow() {
    let mut server = Server::start().await;
    let (one, two) = (server.join("gateway", "one").await, server.join("alert", "two").await);
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (from.path(), to.path().join("not yet"));
    assert!(matches!(one.push(from).await, Err(Error::EmptyFolder(_))));
    assert_eq!(two.pull(&to).await.unwrap(), names(&[]));

    fs::write(from.join("rules.toml"), "one").unwrap();
    fs::write(from.join("places.toml"), "").unwrap();
    fs::write(from.join(".hidden"), "no").unwrap();
    fs::create_dir(from.join("folder")).unwrap();
    let pushed = soon("a push", one.push(from)).await.unwrap();
    assert_eq!(pushed.changed, names(&["places.toml", "rules.toml"]));
    assert_eq!(two.pull(&to).await.unwrap(), names(&["places.toml", "rules.toml"]));
    assert_eq!(two.pull(&to).await.unwrap(), names(&[]));
    assert_eq!(fs::read_to_string(to.join("rules.toml")).unwrap(), "one");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 2, "nothing else is left there");

    let mut tasks = Tasks::new();
    fs::write(to.join("rules.toml"), "old").unwrap();
    tasks.spawn("follow", two.follow(to.clone()));
    becomes(&to.join("rules.toml"), Some("one")).await;
    fs::write(from.join("rules.toml"), "two").unwrap();
    fs::remove_file(from.join("places.toml")).unwrap();
    let pushed = soon("a push", one.push(from)).await.unwrap();
    let only_there = names(&["places.toml"]);
    assert_eq!(pushed, Pushed { changed: names(&["rules.toml"]), same: vec![], only_there });
    becomes(&to.join("rules.toml"), Some("two")).await;
    one.withdraw("places.toml").await.unwrap();
    becomes(&to.join("places.toml"), None).await;

    // Over a restart of the server.
    server.kill();
    server.restart().await;
    fs::write(from.join("rules.toml"), "three").unwrap();
    soon("a push", async { while one.push(from).await.is_err() {} }).await;
    becomes(&to.join("rules.toml"), Some("three")).await;

    // Mistakes are found before anything is pushed.
    fs::write(from.join("rules.toml"), "four").unwrap();
    fs::write(from.join("z.toml"), "x".repeat(2 << 20)).unwrap();
    assert!(matches!(one.push(from).await, Err(Error::TooLarge { .. })));
    fs::rename(from.join("z.toml"), from.join("z z.toml")).unwrap();
    assert!(matches!(one.push(from).await, Err(Error::Name(_))));
    assert_eq!(two.pull(&to).await.unwrap(), names(&[]));
}

#[tokio::test]
async fn of_two_with_keys_of_their_own_both_end_with_the_same() {
    let server = Server::start().await;
    let (one, two) = (server.join("notify", "one").await, server.join("notify", "two").await);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = [folders[0].path().join("keys"), folders[1].path().join("keys")];
    let wanted = ["link.key", "vapid.key"];
    assert_eq!(one.keys(&a, &wanted).await.unwrap(), names(&wanted), "nobody has any yet");
    for round in 0..10 {
        let file = format!("link-{round}.key");
        for (folder, byte) in [(&a, 1), (&b, 2)] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(&file), [byte; 32]).unwrap();
        }
        let wanted = [file.as_str()];
        let (first, second) =
            soon("the keys", async { tokio::join!(one.keys(&a, &wanted), two.keys(&b, &wanted)) })
                .await;
        assert_eq!((first.unwrap(), second.unwrap()), (vec![], vec![]));
        assert_eq!(fs::read(a.join(&file)).unwrap(), fs::read(b.join(&file)).unwrap());
    }
    // Who has none gets it, for himself only.
    let c = folders[0].path().join("later");
    assert_eq!(two.keys(&c, &["link-0.key"]).await.unwrap(), names(&[]));
    assert_eq!(fs::read(c.join("link-0.key")).unwrap(), fs::read(a.join("link-0.key")).unwrap());
    let mode = fs::metadata(c.join("link-0.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn servers_that_are_not_ready_are_waited_for_and_final_answers_are_told_at_once() {
    let mut server = Server::start_without_jetstream().await;
    let config = config(&server.url());
    let joining = Cluster::connect(&config, "alert", "one");
    let mut joining = std::pin::pin!(joining);
    let early = tokio::time::timeout(std::time::Duration::from_secs(3), &mut joining).await;
    assert!(early.is_err(), "{early:?}");
    server.kill();
    server.restart().await;
    soon("it joins", joining).await.unwrap();
    // A single server never has three replicas.
    let config = Config { name: "other".into(), replicas: 3, ..config.clone() };
    let refused = Cluster::connect(&config, "alert", "one");
    let refused = tokio::time::timeout(PATIENCE / 2, refused).await.expect("it is told at once");
    assert!(matches!(refused, Err(ConnectError::Bucket { replicas: 3, .. })), "{refused:?}");
}

fn retained(topic: &str, payload: &[u8]) -> Retained {
    Retained { topic: topic.to_owned(), payload: payload.to_vec() }
}

#[tokio::test]
async fn of_each_topic_the_last_message_is_kept_and_what_comes_follows() {
    let mut server = Server::start().await;
    let (one, two) = (server.join("notify", "one").await, server.join("ingest", "two").await);
    let topic = "sen/còi/a.b *>/set";
    for (topic, payload, order) in [(topic, "on", 1), ("sen/siren/2", "on", 1), (topic, "off", 2)] {
        assert!(one.retain(topic, payload.as_bytes(), order).await.unwrap());
    }
    let mut feed = two.retained();
    let next = soon("the first", feed.next()).await;
    assert_eq!(next, retained("sen/siren/2", b"on"));
    assert_eq!(soon("the last", feed.next()).await, retained(topic, b"off"));
    one.retain("sen/siren/2", b"", 2).await.unwrap();
    assert_eq!(soon("what comes", feed.next()).await, retained("sen/siren/2", b""));

    // Over a restart of the server: nothing twice, nothing lost.
    server.kill();
    server.restart().await;
    soon("it is kept", async { while one.retain(topic, b"again", 3).await.is_err() {} }).await;
    assert_eq!(soon("what comes after", feed.next()).await, retained(topic, b"again"));
    assert!(one.retain(topic, &vec![0; 2 << 20], 4).await.is_err());
}

#[tokio::test]
async fn a_retained_message_that_comes_late_changes_nothing() {
    let server = Server::start().await;
    let (old, new) = (server.join("notify", "old").await, server.join("notify", "new").await);
    let (siren, payload) = ("sen/siren/1", &b"on"[..]);
    let mut feed = server.join("ingest", "three").await.retained();
    // The old one stood still before it sent this; meanwhile the new one has raised and cleared.
    assert!(new.retain(siren, payload, 1).await.unwrap());
    assert_eq!(soon("it is on", feed.next()).await, retained(siren, payload));
    assert!(new.retain(siren, b"", 3).await.unwrap());
    assert_eq!(soon("it is off", feed.next()).await, retained(siren, b""));
    assert!(!old.retain(siren, payload, 1).await.unwrap());
    assert!(!old.retain(siren, payload, 2).await.unwrap());
    // What is there already is not written again, and two at once both end well.
    assert!(new.retain(siren, b"", 3).await.unwrap());
    for order in 4..14 {
        let (early, late) = (order * 2, order * 2 + 1);
        let (early_text, late_text) = (early.to_string(), late.to_string());
        let both = async {
            tokio::join!(
                old.retain("sen/siren/2", early_text.as_bytes(), early),
                new.retain("sen/siren/2", late_text.as_bytes(), late)
            )
        };
        let (_, later) = soon("both", both).await;
        assert!(later.unwrap());
        let fresh = server.join("ingest", "four").await;
        let mut all = fresh.retained();
        assert_eq!(soon("the siren", all.next()).await, retained(siren, b""));
        assert_eq!(soon("the last", all.next()).await.payload, late_text.as_bytes());
    }
}
