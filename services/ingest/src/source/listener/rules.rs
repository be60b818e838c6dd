//! What a client may do, and when it is acknowledged: the hooks the library calls.
//!
//! The library calls the hooks of one connection one by one, in the connection's own task, and
//! reads nothing from its socket meanwhile. So a hook that waits for the log holds back the PUBACK
//! and, with it, the client. The hook for a publish always ends in "handled": nothing a client
//! publishes is ever routed to another client.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use mqtt5::QoS;
use mqtt5::broker::{
    AuthProvider, AuthResult, BrokerEventHandler, ClientDisconnectEvent, ClientPublishEvent,
    PublishAction,
};
use mqtt5::packet::connect::ConnectPacket;
use sen_model::RejectReason;

use crate::decode::Reject;
use crate::intake::{Door, Heard, Stopped};
use crate::topic;

/// MQTT 5, as the protocol level in CONNECT.
const MQTT_5: u8 = 5;
/// Whom the library takes every client for, until there is a login. Without a user it would not
/// call [`AuthProvider::cleanup_session`], which tells us that a connection is over.
const USER: &str = "device";

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

tokio::task_local! {
    /// The connection whose task this is.
    pub(super) static CONNECTION: Connection;
}

/// What we know of one connection.
#[derive(Default)]
pub(super) struct Connection {
    /// Whether the client speaks MQTT 5, so that it can be told "no".
    can_be_refused: AtomicBool,
    /// Whether the connection is over, so that the library now asks on behalf of the will.
    over: AtomicBool,
    /// The last will.
    will: Mutex<Option<Will>>,
}

struct Will {
    topic: String,
    payload: Bytes,
}

/// The rules for every connection.
pub(super) struct Rules {
    door: Door,
    stopping: AtomicBool,
}

impl Rules {
    pub(super) fn new(door: Door) -> Self {
        Self { door, stopping: AtomicBool::new(false) }
    }

    /// From now on clients that go do so because of us.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    async fn take(&self, event: ClientPublishEvent) -> Result<(), Stopped> {
        let ClientPublishEvent { client_id, topic, payload, qos, .. } = event;
        // The retain flag asks us to keep it for subscribers, and there are none: it is news.
        let heard = Heard { client: client_id, topic, payload, retained: false };
        if qos == QoS::AtMostOnce {
            return self.door.take_unreceipted(heard).await;
        }
        self.door.take(heard).await?.durable().await
    }

    async fn refuse_reserved(&self, client: String, topic: &str) -> Result<(), Stopped> {
        let detail = "only Sen publishes there; refused before the payload was looked at";
        let reject = Reject::new(RejectReason::ReservedTopic, detail);
        let heard = Heard {
            client: client.into(),
            topic: topic.into(),
            payload: Bytes::new(),
            retained: false,
        };
        self.door.refuse(heard, reject).await?.durable().await
    }
}

impl BrokerEventHandler for Rules {
    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Answer<'a, PublishAction> {
        Box::pin(async move {
            match self.take(event).await {
                Ok(()) => PublishAction::Handled,
                // Any answer would become an acknowledgement. The listener ends this task.
                Err(Stopped) => pending().await,
            }
        })
    }

    /// The will of a client that went without saying goodbye is heard like any packet of it.
    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Answer<'a, ()> {
        Box::pin(async move {
            let will = CONNECTION.try_with(|connection| {
                connection.will.lock().unwrap_or_else(PoisonError::into_inner).take()
            });
            let Ok(Some(will)) = will else { return };
            if !event.unexpected || self.stopping.load(Ordering::Relaxed) {
                return;
            }
            let Will { topic, payload } = will;
            let client = event.client_id;
            let heard = Heard { client, topic: topic.into(), payload, retained: false };
            if self.door.take_unreceipted(heard).await.is_err() {
                tracing::debug!("a will came after the end of ingest");
            }
        })
    }
}

impl AuthProvider for Rules {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        _peer: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        let will = connect.will.as_ref().map(|will| Will {
            topic: will.topic.clone(),
            payload: Bytes::copy_from_slice(&will.payload),
        });
        let known = CONNECTION.try_with(|connection| {
            connection.can_be_refused.store(connect.protocol_version >= MQTT_5, Ordering::Relaxed);
            *connection.will.lock().unwrap_or_else(PoisonError::into_inner) = will;
        });
        debug_assert!(known.is_ok(), "the hook runs in the connection's own task");
        Box::pin(async { Ok(AuthResult::success_with_user(USER)) })
    }

    /// Asked before every publish, and once more for the will. The will is refused here, since the
    /// library would route it to subscribers and retain it without asking the publish hook; it is
    /// heard in [`Self::on_client_disconnect`] instead.
    fn authorize_publish<'a>(
        &'a self,
        client: &str,
        _user: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        let (over, can_be_refused) = CONNECTION
            .try_with(|connection| {
                let over = connection.over.load(Ordering::Relaxed);
                (over, connection.can_be_refused.load(Ordering::Relaxed))
            })
            // Outside a connection's task only a delayed will can ask.
            .unwrap_or((true, false));
        if over {
            return Box::pin(async { false });
        }
        // Where the client cannot be told "no", the publish hook keeps the packet and then
        // acknowledges it: a refusal here would be a PUBACK that means nothing.
        if !can_be_refused || !topic::is_reserved(topic) {
            return Box::pin(async { true });
        }
        let client = client.to_owned();
        Box::pin(async move {
            match self.refuse_reserved(client, topic).await {
                Ok(()) => false,
                Err(Stopped) => pending().await,
            }
        })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        client: &str,
        _user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        let allowed = topic::may_subscribe(client, filter);
        Box::pin(async move { allowed })
    }

    fn cleanup_session<'a>(&'a self, _user: &'a str) -> Answer<'a, ()> {
        let marked =
            CONNECTION.try_with(|connection| connection.over.store(true, Ordering::Relaxed));
        debug_assert!(marked.is_ok(), "the hook runs in the connection's own task");
        Box::pin(async {})
    }
}
