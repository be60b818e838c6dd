//! Leases: one holder at a time, whatever happens to him or to the server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::server::{LEASE, Server, join, soon};

#[tokio::test]
async fn a_released_lease_is_anothers_at_once() {
    let server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("alert", "two").await);
    let held = soon("the first holds", one.hold("alert")).await.unwrap();
    assert!(held.still_ours());
    let waiting = tokio::time::timeout(LEASE * 2, two.hold("alert")).await;
    assert!(waiting.is_err(), "two hold one lease: it was not renewed");
    assert!(held.still_ours(), "it was renewed");

    let mut second = Box::pin(two.hold("alert"));
    assert!(futures_util::poll!(&mut second).is_pending());
    let ((), second) =
        soon("the second holds", async { tokio::join!(held.release(), second) }).await;
    assert!(second.unwrap().still_ours());
}

#[tokio::test]
async fn a_dropped_lease_is_anothers_when_it_has_run_out() {
    let server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("alert", "two").await);
    let held = soon("the first holds", one.hold("alert")).await.unwrap();
    let died = Instant::now();
    drop(held);
    let held = soon("the second holds", two.hold("alert")).await.unwrap();
    let after = died.elapsed();
    assert!(held.still_ours());
    assert!(after > LEASE / 2, "taken over after {after:?}: a lease is not honoured");
    assert!(after < LEASE * 3, "taken over after {after:?}");
}

#[tokio::test]
async fn names_that_cannot_be_keys_are_refused() {
    let server = Server::start().await;
    let cluster = server.join("alert", "one").await;
    for name in ["", "a b", "a..b", "a.*"] {
        assert!(cluster.hold(name).await.is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn without_the_server_a_lease_is_lost_in_time_and_comes_back_with_it() {
    let mut server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("alert", "two").await);
    let mut held = soon("the first holds", one.hold("alert")).await.unwrap();
    server.kill();
    let killed = Instant::now();
    soon("the loss is noticed", held.lost()).await;
    assert!(killed.elapsed() < LEASE, "noticed after {:?}", killed.elapsed());
    assert!(!held.still_ours());
    server.restart().await;
    let held_again = soon("somebody holds it again", two.hold("alert")).await.unwrap();
    assert!(held_again.still_ours() && !held.still_ours());
}

#[tokio::test]
async fn a_server_that_is_killed_and_back_leaves_one_holder_at_most() {
    let mut server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("alert", "two").await);
    let held = soon("the first holds", one.hold("alert")).await.unwrap();
    let second = two.hold("alert");
    tokio::pin!(second);
    for _ in 0..3 {
        server.kill();
        server.restart().await;
        let seen = Instant::now();
        // While the first has it, the second does not get it.
        while seen.elapsed() < LEASE && held.still_ours() {
            let pause = Duration::from_millis(50);
            if let Ok(got) = tokio::time::timeout(pause, &mut second).await {
                assert!(!held.still_ours(), "two hold {}", got.unwrap().lease());
                return;
            }
        }
    }
    if !held.still_ours() {
        soon("the second holds", second).await.unwrap();
    }
}

/// Another process that holds a lease and says what becomes of it, a line each.
struct Holder {
    child: Child,
    said: tokio::sync::mpsc::Receiver<String>,
}

impl Holder {
    fn start(url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["leases::a_holder_of_another_test", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{url}").unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, said) = tokio::sync::mpsc::channel(64);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, said }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    async fn says(&mut self, what: &str) {
        soon(what, async { while !self.said.recv().await.unwrap().ends_with(what) {} }).await;
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn a_holder_of_another_test() {
    let mut url = String::new();
    std::io::stdin().read_line(&mut url).unwrap();
    let cluster = join(url.trim(), "alert", "stopped").await;
    let mut held = cluster.hold("alert").await.unwrap();
    println!("\nholds");
    held.lost().await;
    assert!(!held.still_ours());
    println!("\nlost");
}

#[tokio::test]
async fn who_was_stopped_knows_at_once_when_he_wakes_that_he_lost_it() {
    let server = Server::start().await;
    let mut holder = Holder::start(&server.url());
    holder.says("holds").await;
    holder.signal("-STOP");
    let two = server.join("alert", "two").await;
    let held = soon("the second holds", two.hold("alert")).await.unwrap();
    holder.signal("-CONT");
    let woken = Instant::now();
    holder.says("lost").await;
    assert!(woken.elapsed() < LEASE * 2, "after {:?}", woken.elapsed());
    assert!(held.still_ours());
}
