//! The service against a centre above that answers as it is told to: kept, not now, never, or not
//! at all.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;

use sen_chassis::{Clock, Health, Shutdown, Tasks};
use sen_edge::{Config, Edge, Ports, UPSTREAM};
use sen_log::{Lag, Log, Retention, Topic};
use sen_model::{
    DeviceId, Event, Metric, Quality, Quarantined, Reading, ReadingBatch, RejectReason, Timestamp,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEEP: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

const WELL: &str = "";

const KEPT: u8 = 0x00;
const UNHEARD: u8 = 0x10;
const NOT_AUTHORISED: u8 = 0x87;
const QUOTA: u8 = 0x97;

/// The centre above, played by the test.
struct Above(TcpListener);

/// One connection, as it sees it.
struct Peer(TcpStream);

#[derive(Debug)]
struct Published {
    topic: String,
    id: u16,
    payload: String,
}

impl Above {
    /// The next connection, let in with these properties.
    async fn lets_in(&self, properties: &[u8]) -> Peer {
        let accepted = tokio::time::timeout(PATIENCE, self.0.accept()).await;
        let mut peer = Peer(accepted.expect("it connects").unwrap().0);
        assert_eq!(peer.packet().await.0 >> 4, 1, "CONNECT");
        let length = u8::try_from(properties.len()).unwrap();
        let head = [0x20, length + 3, 0, KEPT, length];
        peer.0.write_all(&[&head, properties].concat()).await.unwrap();
        peer
    }
}

impl Peer {
    /// First byte and body.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.0.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (first, body)
    }

    /// The next PUBLISH; signs of life are answered.
    async fn published(&mut self) -> Published {
        let hearing = async {
            loop {
                let (first, body) = self.packet().await;
                match first >> 4 {
                    3 => return published(&body),
                    12 => self.0.write_all(&[0xd0, 0]).await.unwrap(),
                    other => panic!("a packet of type {other}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.expect("it publishes")
    }

    /// Whether nothing comes for a moment, signs of life apart.
    async fn says_nothing(&mut self) -> bool {
        let (moment, mut first) = (std::time::Duration::from_millis(50), [0]);
        match tokio::time::timeout(moment, self.0.peek(&mut first)).await {
            Ok(_) => first[0] >> 4 == 12,
            Err(_) => true,
        }
    }

    async fn answer(&mut self, id: u16, reason: u8) {
        let [high, low] = id.to_be_bytes();
        self.0.write_all(&[0x40, 4, high, low, reason, 0]).await.unwrap();
    }

    /// Takes the next packet, whose payload must be this, and answers.
    async fn hears(&mut self, payload: &str, reason: u8) -> Published {
        let published = self.published().await;
        assert_eq!(published.payload, payload);
        self.answer(published.id, reason).await;
        published
    }
}

fn published(body: &[u8]) -> Published {
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let (topic, rest) = body[2..].split_at(length);
    assert_eq!(rest[2], 0, "no properties");
    Published {
        topic: String::from_utf8(topic.to_vec()).unwrap(),
        id: u16::from_be_bytes([rest[0], rest[1]]),
        payload: String::from_utf8(rest[3..].to_vec()).unwrap(),
    }
}

/// A centre's log and the service on it.
struct Place {
    _folder: tempfile::TempDir,
    log: Log,
    readings: Topic<ReadingBatch>,
    events: Topic<Event>,
    quarantine: Topic<Quarantined>,
    health: Health,
    above: Above,
    running: Option<(Shutdown, Tasks<std::convert::Infallible>)>,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config =
            sen_log::Config { segment_bytes: 1 << 20, reserve_bytes: 0, record_bytes: 1 << 20 };
        let log = Log::open(folder.path().join("log"), config).unwrap();
        let mut place = Self {
            readings: log.topic("readings", KEEP).unwrap(),
            events: log.topic("events", KEEP).unwrap(),
            quarantine: log.topic("quarantine", KEEP).unwrap(),
            log,
            health: Health::new(),
            above: Above(TcpListener::bind("127.0.0.1:0").await.unwrap()),
            running: None,
            _folder: folder,
        };
        place.start();
        place
    }

    fn start(&mut self) {
        let config = Config {
            broker: self.above.0.local_addr().unwrap().to_string(),
            client_id: "tan-thoi".into(),
            username: String::new(),
            password_file: String::new(),
            window: 8,
            events: true,
        };
        let ports = Ports {
            readings: (
                self.readings.clone(),
                self.log.yielding_cursor(&self.readings, UPSTREAM).unwrap(),
            ),
            events: Some((
                self.events.clone(),
                self.log.yielding_cursor(&self.events, UPSTREAM).unwrap(),
            )),
            quarantine: self.quarantine.clone(),
            own: DeviceId::new("sen-centre").unwrap(),
            kept_here: vec![DeviceId::new("sen-probe").unwrap()],
            clock: Clock::system(),
            health: self.health.clone(),
        };
        let edge = Edge::bind(config, ports).unwrap();
        let (shutdown, mut tasks) = (Shutdown::new(), Tasks::new());
        tasks.spawn("edge", edge.run(shutdown.clone()));
        self.running = Some((shutdown, tasks));
    }

    async fn stop(&mut self) {
        let (shutdown, tasks) = self.running.take().unwrap();
        shutdown.request();
        tasks.join_all().await.unwrap();
    }

    /// One reading of a device, of the metric `a`.
    async fn measures(&self, device: &str, ms: i64, value: f64, quality: Quality) {
        let metric = Metric::new("a").unwrap();
        let event_time = Timestamp::from_millis(ms);
        let batch = ReadingBatch {
            device: device.parse().unwrap(),
            received_at: event_time,
            readings: vec![Reading { metric, event_time, value, quality, sequence: 3 }],
        };
        self.readings.append(vec![batch]).await.unwrap();
    }

    async fn refused(&self) -> Arc<Quarantined> {
        let mut reader = self.quarantine.read_from(1);
        let next = tokio::time::timeout(PATIENCE, reader.next(9)).await;
        next.expect("it is kept").unwrap().remove(0).record
    }

    /// Until everything is known to be kept above.
    async fn is_through(&self) {
        let asking = async {
            let is_behind = |lag: &Lag| lag.topic == "readings" && lag.behind > 0;
            while self.log.lags().await.unwrap().iter().any(is_behind) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("it is forwarded");
    }

    /// Until it says that it is ill, and why; until it is well for [`WELL`].
    async fn says(&self, why: &str) {
        let asking = async {
            let is_said = |said: Option<String>| match said {
                Some(said) => why != WELL && said.contains(why),
                None => why == WELL,
            };
            while !is_said(self.health.report()[UPSTREAM].clone()) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("health changes");
    }
}

fn object(ms: i64, value: &str) -> String {
    format!("{{\"ts\":{ms},\"seq\":3,\"values\":{{\"a\":{value}}}}}")
}

fn packet(ms: i64, value: &str) -> String {
    format!("[{}]", object(ms, value))
}

#[tokio::test]
async fn what_is_kept_above_is_forwarded_once_and_the_rest_again_after_a_restart() {
    let mut place = Place::new().await;
    place.measures("stn-1", 5, 1.5, Quality::Good).await;
    place.measures("stn-2", 6, 2.5, Quality::Suspect).await;
    let mut peer = place.above.lets_in(&[]).await;
    let first = peer.hears(&packet(5, "1.5"), KEPT).await;
    assert_eq!(first.topic, "sen/v1/stn-1/telemetry");
    let second = peer.published().await;
    let suspect = r#"[{"ts":6,"seq":3,"quality":"suspect","values":{"a":2.5}}]"#;
    assert_eq!(second.payload, suspect);
    place.says(WELL).await;
    // Without an answer it is not forwarded, and what its device says next waits.
    place.measures("stn-2", 7, 3.5, Quality::Good).await;
    place.measures("stn-3", 8, 4.5, Quality::Good).await;
    peer.hears(&packet(8, "4.5"), KEPT).await;
    place.stop().await;
    place.start();
    let mut peer = place.above.lets_in(&[]).await;
    let again = peer.published().await;
    assert_eq!(again.topic, "sen/v1/stn-2/telemetry");
    assert!(again.payload.contains(r#""quality":"suspect""#), "{again:?}");
    assert!(!again.payload.contains("\"ts\":5"), "stn-1 is done: {again:?}");
    place.stop().await;
    place.log.close().await;
}

#[tokio::test]
async fn not_now_means_again_and_in_order() {
    let mut place = Place::new().await;
    for reason in [QUOTA, UNHEARD] {
        place.measures("stn-1", 1, 1.0, Quality::Good).await;
        let mut peer = place.above.lets_in(&[]).await;
        peer.hears(&packet(1, "1.0"), reason).await;
        // A second one of the same device came meanwhile.
        place.measures("stn-1", 2, 2.0, Quality::Good).await;
        place.says("sent again").await;
        let mut peer = place.above.lets_in(&[]).await;
        peer.hears(&packet(1, "1.0"), KEPT).await;
        peer.hears(&packet(2, "2.0"), KEPT).await;
        place.says(WELL).await;
        // Until then the last answer may be lost with the line, and its packet comes again.
        place.is_through().await;
        drop(peer);
        place.says("wait to be forwarded").await;
    }
    place.stop().await;
    place.log.close().await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_kept_here_and_the_next_one_follows() {
    let mut place = Place::new().await;
    place.measures("stn-1", 1, 1.0, Quality::Good).await;
    let mut peer = place.above.lets_in(&[]).await;
    peer.hears(&packet(1, "1.0"), NOT_AUTHORISED).await;
    let refused = place.refused().await;
    assert_eq!(refused.reason, RejectReason::UpstreamRefused);
    assert_eq!((refused.source.as_str(), refused.client.as_str()), (UPSTREAM, "tan-thoi"));
    assert_eq!(refused.topic, "sen/v1/stn-1/telemetry");
    assert_eq!(String::from_utf8_lossy(&refused.payload), packet(1, "1.0"));
    place.says("NotAuthorized").await;
    place.measures("stn-1", 2, 2.0, Quality::Good).await;
    peer.hears(&packet(2, "2.0"), KEPT).await;
    place.says(WELL).await;
    place.stop().await;
    place.log.close().await;
}

#[tokio::test]
async fn a_packet_larger_than_the_other_side_takes_is_never_sent() {
    let mut place = Place::new().await;
    let largest_is_100_bytes = [0x27, 0, 0, 0, 100];
    let mut peer = place.above.lets_in(&largest_is_100_bytes).await;
    let event = |id: &str, text: String| Event {
        id: id.to_owned(),
        device: "cam-1".parse().unwrap(),
        kind: "k".into(),
        event_time: Timestamp::from_millis(5),
        received_at: Timestamp::from_millis(9),
        text,
        attributes: std::collections::BTreeMap::new(),
    };
    place.events.append(vec![event("long", "x".repeat(100))]).await.unwrap();
    let refused = place.refused().await;
    assert!(refused.detail.contains("over the 100 bytes"), "{}", refused.detail);
    place.events.append(vec![event("short", String::new())]).await.unwrap();
    let heard = peer.hears(r#"[{"id":"short","kind":"k","ts":5}]"#, KEPT).await;
    assert_eq!(heard.topic, "sen/v1/cam-1/event");
    place.stop().await;
    place.log.close().await;
}

#[tokio::test]
async fn no_more_is_on_its_way_than_either_side_allows() {
    let mut place = Place::new().await;
    let receive_maximum_is_1 = [0x21, 0, 1];
    let mut peer = place.above.lets_in(&receive_maximum_is_1).await;
    for ms in 0..3 {
        place.measures(&format!("stn-{ms}"), ms, 0.5, Quality::Good).await;
    }
    for ms in 0..3 {
        let published = peer.published().await;
        assert_eq!(published.payload, packet(ms, "0.5"));
        assert!(peer.says_nothing().await, "nothing follows before the answer");
        peer.answer(published.id, KEPT).await;
    }
    place.stop().await;
    place.log.close().await;
}

#[tokio::test]
async fn a_centre_speaks_of_itself_under_another_name_and_not_of_its_probe() {
    let mut place = Place::new().await;
    place.measures("sen-probe", 1, 1.0, Quality::Good).await;
    place.measures("sen-centre", 2, 2.0, Quality::Good).await;
    let mut peer = place.above.lets_in(&[]).await;
    let heard = peer.hears(&packet(2, "2.0"), KEPT).await;
    assert_eq!(heard.topic, "sen/v1/sen-centre-tan-thoi/telemetry");
    place.measures("sen-probe", 3, 3.0, Quality::Good).await;
    place.says(WELL).await;
    place.stop().await;
    let cursor = place.log.cursor(&place.readings, UPSTREAM).unwrap();
    let next = cursor.load().unwrap().unwrap().next;
    assert!(next >= 3, "what is not forwarded holds nothing back: {next}");
    place.log.close().await;
}
