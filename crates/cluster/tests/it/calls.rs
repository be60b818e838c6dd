//! Calls between processes.

use std::collections::BTreeMap;
use std::time::Duration;

use sen_chassis::Tasks;
use sen_chassis::call::{Answerer, channel};
use sen_cluster::{Cluster, Error};
use tokio::time::Instant;

use crate::server::{LEASE, Server, soon};

type Question = (String, usize);
type Answer = BTreeMap<String, String>;

/// A service that answers with as many bytes as asked for.
fn service(tasks: &mut Tasks<Error>, cluster: &Cluster) {
    let (caller, mut asked): (_, Answerer<Question, Answer>) = channel(4);
    tasks.spawn("answer", cluster.answer("echo", caller));
    tasks.spawn("service", async move {
        while let Some(((text, size), reply)) = asked.next().await {
            if text == "never" {
                // Keeps the question open for ever.
                std::mem::forget(reply);
            } else if text == "drop" {
                drop(reply);
            } else {
                let _ = reply.send(BTreeMap::from([(text, "x".repeat(size))]));
            }
        }
        Ok(())
    });
}

#[tokio::test]
async fn a_question_is_answered_whatever_its_size() {
    let server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("gateway", "two").await);
    let mut tasks = Tasks::new();
    service(&mut tasks, &one);
    let (caller, task) = two.remote::<Question, Answer>("echo");
    tasks.spawn("remote", task);
    for size in [0, 10, 1 << 20, 5 << 20] {
        let answer = soon("an answer", async {
            // The first question may come before the service listens.
            loop {
                if let Ok(answer) = caller.ask(("trạm 1".into(), size)).await {
                    break answer;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(answer["trạm 1"].len(), size);
    }
    // Many at once.
    let many = (0..200).map(|i| caller.ask((format!("{i}"), i)));
    let answers = soon("many answers", futures_util::future::join_all(many)).await;
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap()[&i.to_string()].len(), i);
    }
    // Too large to ask, too large to answer, and a service that lets a question fall.
    assert!(soon("a refusal", caller.ask(("x".repeat(2 << 20), 1))).await.is_err());
    assert!(soon("a refusal", caller.ask(("big".into(), 140 << 20))).await.is_err());
    assert!(soon("a refusal", caller.ask(("drop".into(), 1))).await.is_err());
    assert!(caller.ask(("after all that".into(), 1)).await.is_ok());
}

#[tokio::test]
async fn without_an_answer_there_is_no_answer() {
    let server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("gateway", "two").await);
    let mut tasks = Tasks::new();
    // Nobody there: when another would have taken over.
    let (caller, task) = two.remote::<Question, Answer>("echo");
    tasks.spawn("remote", task);
    let asked = Instant::now();
    assert!(caller.ask(("anybody?".into(), 1)).await.is_err());
    let took = asked.elapsed();
    assert!((LEASE..LEASE + Duration::from_secs(10)).contains(&took), "{took:?}");
    // Somebody who does not answer: at the deadline.
    service(&mut tasks, &one);
    let within = Duration::from_millis(300);
    let (slow, task) = two.remote_within::<Question, Answer>("echo", within);
    tasks.spawn("remote", task);
    soon("the service listens", async { while caller.ask(("?".into(), 1)).await.is_err() {} })
        .await;
    let asked = Instant::now();
    assert!(soon("the deadline", slow.ask(("never".into(), 1))).await.is_err());
    assert!(asked.elapsed() >= within);
    // The task ends with its last caller.
    let before = tasks.len();
    drop((caller, slow));
    for _ in 0..2 {
        soon("the tasks end", tasks.join_next()).await.unwrap().unwrap();
    }
    assert_eq!(tasks.len(), before - 2);
}
