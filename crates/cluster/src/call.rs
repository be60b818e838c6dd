//! Calls between processes: request and reply behind `sen_chassis::call`.
//!
//! A question is one JSON message on `{name}.call.{what}`. The answer comes in as many messages as
//! it needs, each with `Sen-Part: index/count`; a service that has stopped answers `Sen-No-Answer`.

use std::future::Future;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sen_chassis::call::{Caller, NoAnswer, channel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use crate::hold::Chain;
use crate::{Cluster, Error, name};

/// How long an asker waits unless told otherwise.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);

/// Questions one process answers, or asks, at once; further ones wait.
const AT_ONCE: usize = 32;

/// Questions that wait to be sent; then askers wait.
const WAITING: usize = 64;

/// Messages of one answer: 256 of half a megabyte. A larger answer is refused.
const MOST_PARTS: usize = 256;

/// Between two tries to subscribe, or to ask.
const RETRY: Duration = Duration::from_millis(500);

const PART: &str = "Sen-Part";
const NO_ANSWER: &str = "Sen-No-Answer";

impl Cluster {
    /// A task that lets `to` answer what others ask on `what`; of several processes that answer
    /// the same, each question goes to one. Dropped, it stops answering.
    ///
    /// # Errors
    /// Only for a name that cannot be part of a subject; while the servers cannot be reached it
    /// waits.
    pub fn answer<Q, A>(
        &self,
        what: &str,
        to: Caller<Q, A>,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<Q, A>
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
    {
        let (cluster, what) = (self.clone(), what.to_owned());
        async move {
            let subject = cluster.call_subject(&what)?;
            loop {
                let queue = "answer".to_owned();
                match cluster.0.client.queue_subscribe(subject.clone(), queue).await {
                    Ok(questions) => cluster.answer_all(&what, questions, &to).await,
                    Err(error) => debug!(what, %error, "questions cannot be listened for"),
                }
                sleep(RETRY).await;
            }
        }
    }

    /// The asking side: what is asked of the `Caller` is answered by whichever process answers
    /// `what`, within [`CALL_WITHIN`]; else, and when nobody does so for the length of a lease, it is
    /// `NoAnswer`. The task must run for that, and ends when no `Caller` is left.
    pub fn remote<Q, A>(
        &self,
        what: &str,
    ) -> (Caller<Q, A>, impl Future<Output = Result<(), Error>> + Send + use<Q, A>)
    where
        Q: Serialize + Send + Sync + 'static,
        A: DeserializeOwned + Send + 'static,
    {
        self.remote_within(what, CALL_WITHIN)
    }

    /// Like [`remote`](Self::remote), with another deadline.
    pub fn remote_within<Q, A>(
        &self,
        what: &str,
        within: Duration,
    ) -> (Caller<Q, A>, impl Future<Output = Result<(), Error>> + Send + use<Q, A>)
    where
        Q: Serialize + Send + Sync + 'static,
        A: DeserializeOwned + Send + 'static,
    {
        let (caller, mut asked) = channel::<Q, A>(WAITING);
        let (cluster, what) = (self.clone(), what.to_owned());
        let task = async move {
            let subject = cluster.call_subject(&what)?;
            let mut open = FuturesUnordered::new();
            loop {
                tokio::select! {
                    next = asked.next(), if open.len() < AT_ONCE => {
                        let Some((question, reply)) = next else { break };
                        open.push(cluster.ask(&what, &subject, question, reply, within));
                    }
                    Some(()) = open.next() => {}
                }
            }
            while open.next().await.is_some() {}
            Ok(())
        };
        (caller, task)
    }

    fn call_subject(&self, what: &str) -> Result<String, Error> {
        if !name::is_key(what) {
            return Err(Error::Name(what.to_owned()));
        }
        Ok(self.subject(&format!("call.{what}")))
    }

    async fn answer_all<Q, A>(&self, what: &str, mut questions: Subscriber, to: &Caller<Q, A>)
    where
        Q: DeserializeOwned,
        A: Serialize,
    {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                next = questions.next(), if open.len() < AT_ONCE => {
                    let Some(question) = next else { break };
                    open.push(self.answer_one(what, question, to));
                }
                Some(()) = open.next() => {}
            }
        }
    }

    async fn answer_one<Q, A>(&self, what: &str, question: Message, to: &Caller<Q, A>)
    where
        Q: DeserializeOwned,
        A: Serialize,
    {
        let Some(reply) = question.reply else { return };
        let answered = match serde_json::from_slice(&question.payload) {
            Err(source) => Err(Error::Json { what: "a question", source }),
            Ok(question) => match to.ask(question).await {
                Err(NoAnswer) => Ok(None),
                Ok(answer) => serde_json::to_vec(&answer)
                    .map(Some)
                    .map_err(|source| Error::Json { what: "an answer", source }),
            },
        };
        let sent = match answered {
            Ok(Some(answer)) => self.send_parts(reply.clone(), answer).await,
            Ok(None) => self.send_no_answer(reply.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            warn!(what, error = %Chain(&error), "a question was not answered");
            // So that the asker need not wait for the deadline.
            let _ = self.send_no_answer(reply).await;
        }
    }

    async fn send_parts(&self, reply: async_nats::Subject, answer: Vec<u8>) -> Result<(), Error> {
        // Room for the headers, and not all at once into the connection's buffer.
        let each = (self.0.client.max_payload() / 2).max(1);
        let count = answer.len().div_ceil(each).max(1);
        if count > MOST_PARTS {
            let (size, most) = (answer.len(), each * MOST_PARTS);
            return Err(Error::TooLarge { what: "an answer".into(), size, most });
        }
        for (index, part) in answer.chunks(each).enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert(PART, format!("{index}/{count}").as_str());
            let part = part.to_vec().into();
            let sent = self.0.client.publish_with_headers(reply.clone(), headers, part).await;
            sent.map_err(Error::nats("take an answer"))?;
        }
        Ok(())
    }

    async fn send_no_answer(&self, reply: async_nats::Subject) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        headers.insert(NO_ANSWER, "stopped");
        let sent = self.0.client.publish_with_headers(reply, headers, "".into()).await;
        sent.map_err(Error::nats("take an answer"))
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        what: &str,
        subject: &str,
        question: Q,
        mut reply: oneshot::Sender<A>,
        within: Duration,
    ) {
        // Who answers may have died: then another does so within a lease, and a question that went
        // to nobody can be asked again.
        let takeover = self.0.terms.lease() + RETRY;
        let asked = async {
            let begun = Instant::now();
            loop {
                match self.ask_once(subject, &question).await {
                    Err(Unanswered::Nobody) if begun.elapsed() < takeover => sleep(RETRY).await,
                    answer => return answer,
                }
            }
        };
        let asked =
            async { timeout(within, asked).await.unwrap_or_else(|_| Err(Unanswered::Late)) };
        let answer = tokio::select! {
            answer = asked => answer,
            // Nobody waits for it any more.
            () = reply.closed() => return,
        };
        match answer {
            Ok(answer) => drop(reply.send(answer)),
            // Dropping the reply is `NoAnswer`.
            Err(error @ (Unanswered::Nobody | Unanswered::Stopped)) => debug!(what, %error),
            Err(error) => warn!(what, error = %Chain(&error), "a question was not answered"),
        }
    }

    async fn ask_once<A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &impl Serialize,
    ) -> Result<A, Unanswered> {
        let client = &self.0.client;
        let question = serde_json::to_vec(question).map_err(Unanswered::Json)?;
        let (size, most) = (question.len(), client.max_payload());
        if size > most {
            return Err(Unanswered::TooLarge { size, most });
        }
        let inbox = client.new_inbox();
        let mut parts = client.subscribe(inbox.clone()).await.map_err(Unanswered::nats)?;
        let subject = subject.to_owned();
        let asked = client.publish_with_reply(subject, inbox, question.into()).await;
        asked.map_err(Unanswered::nats)?;
        let mut answer = Vec::new();
        let mut expected = 0;
        while let Some(message) = parts.next().await {
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(Unanswered::Nobody);
            }
            let headers = message.headers.unwrap_or_default();
            if headers.get(NO_ANSWER).is_some() {
                return Err(Unanswered::Stopped);
            }
            let part = headers.get(PART).and_then(|part| {
                let (index, count) = part.as_str().split_once('/')?;
                Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
            });
            let Some((index, count)) = part.filter(|(index, _)| *index == expected) else {
                return Err(Unanswered::Torn);
            };
            answer.extend_from_slice(&message.payload);
            expected = index + 1;
            if expected >= count {
                return serde_json::from_slice(&answer).map_err(Unanswered::Json);
            }
        }
        Err(Unanswered::Torn)
    }
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("nobody answers")]
    Nobody,
    #[error("who was asked has stopped")]
    Stopped,
    #[error("no answer came in time")]
    Late,
    #[error("a part of the answer was lost")]
    Torn,
    #[error("the question has {size} bytes, and the servers take {most}: raise `max_payload`")]
    TooLarge { size: usize, most: usize },
    #[error("it is not the JSON expected: do both processes run the same version?")]
    Json(#[source] serde_json::Error),
    #[error("the servers did not take the question")]
    Nats(#[source] async_nats::Error),
}

impl Unanswered {
    fn nats<E: std::error::Error + Send + Sync + 'static>(error: E) -> Self {
        Self::Nats(Box::new(error))
    }
}
