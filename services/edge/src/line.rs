//! The line to the centre above: one MQTT 5 connection with QoS 1.
//!
//! A connection and everything that belongs to it (event loop, packet ids, what is still awaited)
//! live and die together, and the library never sends anything again by itself: so an answer of an
//! earlier connection has nowhere to go and can never count for another packet.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rumqttc::NetworkOptions;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, DisconnectReasonCode, Packet, PubAckReason,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use tokio::sync::mpsc;

use crate::config::{Address, Config};

/// How long connecting may take, CONNACK included.
const CONNECT_S: u64 = 5;
/// A sign of life is asked for this often, and it must be there before the next: a line that is cut
/// in silence is noticed within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Packet ids in use, one after the other: many more than a window, so that an answer that is late
/// never holds up the packet that would be given its id.
const PACKET_IDS: u16 = 4_096;
/// Room for what the line says and nobody has heard yet; when it is full the line is not read.
const SAID: usize = 64;
/// Bytes of a packet beside payload and topic, at most.
const HEADER_BYTES: usize = 32;

/// Why the line is lost, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("no line to the centre above: {0}")]
    Connection(#[source] Box<ConnectionError>),
    #[error(
        "the centre above does not let us in ({0:?}): see username, password_file and client_id in \
         [upstream]"
    )]
    NotLetIn(ConnectReturnCode),
    #[error(
        "another client uses the client id `{0}`: give every centre its own (client_id in \
         [upstream])"
    )]
    TakenOver(String),
    #[error("the centre above cannot take it now: {0:?}; it is sent again")]
    NotNow(PubAckReason),
    #[error(
        "the broker above took a packet that nobody there is subscribed to; it is sent again: let \
         the centre above subscribe to sen/v1/+/telemetry and sen/v1/+/event"
    )]
    NobodyThere,
    #[error("the line to the centre above is silent")]
    Silent,
    #[error("the line to the centre above gave an answer that fits no packet")]
    Confused,
    #[error("what the centre above refused cannot be kept in quarantine: {0}")]
    Quarantine(#[source] sen_log::AppendError),
    #[error("cannot read what is to be forwarded: {0}")]
    Read(#[from] sen_log::ReadError),
}

/// What the line says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It is up; how many packets may be on their way, and how large one may be, in bytes.
    Up { window: usize, packet_bytes: usize },
    /// The oldest packet without an id has left under this one.
    Left(u16),
    /// The packet of this id was answered.
    Answered(u16, PubAckReason),
    /// Anything else from the other side.
    Alive,
}

/// The sending end.
pub(crate) struct Line<K> {
    client: AsyncClient,
    /// Given to the library, without an id yet.
    leaving: VecDeque<K>,
    /// By the id under which they have left.
    left: HashMap<u16, K>,
}

impl<K> Line<K> {
    /// A connection to be, and what drives it.
    pub(crate) fn new(config: &Config, password: Option<&str>, to: &Address) -> (Self, Driver) {
        let mut options = MqttOptions::new(&config.client_id, &to.host, to.port);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_S).set_tcp_nodelay(true);
        options
            .set_clean_start(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT_S)
            .set_outgoing_inflight_upper_limit(PACKET_IDS)
            .set_network_options(network);
        if !config.username.is_empty() {
            options.set_credentials(&config.username, password.unwrap_or_default());
        }
        // Room for a whole window, so that handing a packet over never waits.
        let (client, events) = AsyncClient::new(options, config.window);
        let driver = Driver { events, window: config.window, client_id: config.client_id.clone() };
        (Self { client, leaving: VecDeque::new(), left: HashMap::new() }, driver)
    }

    /// Sends a packet; `key` is what its answer will be about. At most a window of them may be
    /// without an answer.
    pub(crate) fn publish(&mut self, key: K, topic: &str, payload: Vec<u8>) -> Result<(), Lost> {
        let taken = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload);
        taken.map_err(|_| Lost::Confused)?;
        self.leaving.push_back(key);
        Ok(())
    }

    /// Notes the id under which the oldest packet without one has left.
    pub(crate) fn left(&mut self, id: u16) -> Result<(), Lost> {
        let key = self.leaving.pop_front().ok_or(Lost::Confused)?;
        match self.left.insert(id, key) {
            None => Ok(()),
            Some(_) => Err(Lost::Confused),
        }
    }

    /// What an answer is about; each packet is answered once.
    pub(crate) fn answered(&mut self, id: u16) -> Result<K, Lost> {
        self.left.remove(&id).ok_or(Lost::Confused)
    }
}

/// Whether a packet is over the limit of the other side.
pub(crate) fn is_too_large(topic: &str, payload: &[u8], packet_bytes: usize) -> bool {
    topic.len() + payload.len() + HEADER_BYTES > packet_bytes
}

/// Drives a connection: nothing is sent or heard without it.
pub(crate) struct Driver {
    events: EventLoop,
    window: usize,
    client_id: String,
}

impl Driver {
    /// Where what is said waits to be heard.
    pub(crate) fn ear() -> (mpsc::Sender<Said>, mpsc::Receiver<Said>) {
        mpsc::channel(SAID)
    }

    /// Drives one connection to its end. Not to be stopped and gone on with: a packet could get lost
    /// between. Whoever stops it gives up the connection.
    pub(crate) async fn run(mut self, said: mpsc::Sender<Said>) -> Lost {
        loop {
            let event = match self.events.poll().await {
                Ok(event) => event,
                Err(error) => return self.lost(error),
            };
            let told = match event {
                Event::Incoming(Packet::ConnAck(answer)) => self.up(&answer),
                Event::Incoming(Packet::PubAck(answer)) => {
                    Said::Answered(answer.pkid, answer.reason)
                }
                Event::Incoming(_) => Said::Alive,
                Event::Outgoing(Outgoing::Publish(id)) => Said::Left(id),
                // Its id is still in use: the other side owes an answer for thousands of packets.
                Event::Outgoing(Outgoing::AwaitAck(_)) => return Lost::Confused,
                Event::Outgoing(_) => continue,
            };
            if said.send(told).await.is_err() {
                return Lost::Confused;
            }
        }
    }

    fn up(&self, answer: &ConnAck) -> Said {
        let limits = answer.properties.as_ref();
        let window = limits.and_then(|limits| limits.receive_max).map_or(usize::MAX, usize::from);
        let packet_bytes = limits.and_then(|limits| limits.max_packet_size);
        let packet_bytes = packet_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        Said::Up {
            window: window.clamp(1, self.window),
            packet_bytes: packet_bytes.unwrap_or(usize::MAX),
        }
    }

    fn lost(&self, error: ConnectionError) -> Lost {
        use DisconnectReasonCode::SessionTakenOver;
        match error {
            ConnectionError::ConnectionRefused(code) => Lost::NotLetIn(code),
            ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: SessionTakenOver,
                ..
            }) => Lost::TakenOver(self.client_id.clone()),
            ConnectionError::MqttState(StateError::AwaitPingResp) => Lost::Silent,
            other => Lost::Connection(Box::new(other)),
        }
    }
}

/// What an answer means for the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is kept above.
    Kept,
    /// This packet will never be taken from us, others may.
    Never,
    /// Not now.
    Later,
    /// A broker took it, and nobody had it.
    Unheard,
}

/// What `reason` means. To send on what can never be taken would hold up everything behind it; to
/// give up what could be taken later would lose it.
pub(crate) fn verdict(reason: PubAckReason) -> Verdict {
    match reason {
        PubAckReason::Success => Verdict::Kept,
        PubAckReason::NoMatchingSubscribers => Verdict::Unheard,
        PubAckReason::NotAuthorized
        | PubAckReason::TopicNameInvalid
        | PubAckReason::PayloadFormatInvalid => Verdict::Never,
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse
        | PubAckReason::QuotaExceeded => Verdict::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<&'static str> {
        let config = Config {
            broker: "127.0.0.1:1883".into(),
            client_id: "commune".into(),
            username: String::new(),
            password_file: String::new(),
            window: 3,
            events: true,
        };
        let to = config.address().unwrap();
        // The driver lives, so that what is handed over has somewhere to go.
        let (line, driver) = Line::new(&config, None, &to);
        std::mem::forget(driver);
        line
    }

    #[test]
    fn an_answer_is_about_the_packet_that_left_under_its_id_and_about_nothing_else() {
        let mut line = line();
        for key in ["one", "two", "three"] {
            line.publish(key, "sen/v1/stn-1/telemetry", b"[]".to_vec()).unwrap();
        }
        assert!(line.publish("four", "t", Vec::new()).is_err(), "no more than a window");
        assert!(line.answered(1).is_err(), "it has not left yet");
        line.left(7).unwrap();
        line.left(8).unwrap();
        assert_eq!(line.answered(8).unwrap(), "two");
        assert!(line.answered(8).is_err(), "each is answered once");
        assert_eq!(line.answered(7).unwrap(), "one");
        line.left(7).unwrap();
        assert_eq!(line.answered(7).unwrap(), "three");
        assert!(line.left(9).is_err(), "nothing was to leave");
    }

    #[test]
    fn every_reason_has_its_meaning() {
        use PubAckReason::*;
        let cases = [
            (Success, Verdict::Kept),
            (NoMatchingSubscribers, Verdict::Unheard),
            (UnspecifiedError, Verdict::Later),
            (ImplementationSpecificError, Verdict::Later),
            (PacketIdentifierInUse, Verdict::Later),
            (QuotaExceeded, Verdict::Later),
            (NotAuthorized, Verdict::Never),
            (TopicNameInvalid, Verdict::Never),
            (PayloadFormatInvalid, Verdict::Never),
        ];
        for (reason, wanted) in cases {
            assert_eq!(verdict(reason), wanted, "{reason:?}");
        }
    }

    #[test]
    fn a_packet_at_the_limit_is_not_over_it() {
        assert!(!is_too_large("1234", &[0; 64], 100));
        assert!(is_too_large("1234", &[0; 65], 100));
        assert!(!is_too_large("1234", &[0; 65], usize::MAX));
    }
}
