//! The endpoint as a standard MQTT server: what 3.1.1 and 5 ask of retained messages, keep-alive,
//! sessions, wills and twins, and where we say "no" within the rules. Whatever takes the place of
//! the library behind the endpoint has to pass this.

use sen_model::RejectReason;

use super::support::{Station, all};
use super::wire::{self, Hello, Wire};

const VERSIONS: [u8; 2] = [4, 5];
const TOPIC: &str = "sen/v1/stn-1/telemetry";

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_retained_for_subscribers_and_taken_away() {
    for version in VERSIONS {
        let station = Station::start().await;
        let (topic, filter) = ("sen/v1/alerts/28261/x1", "sen/v1/alerts/#");
        station.publisher.publish(topic, b"{\"rev\":1}".to_vec()).await.unwrap();
        let mut siren = Wire::connect(station.address, version, "siren").await;
        let mut body = vec![0, 7];
        if version == 5 {
            body.push(0);
        }
        body.extend([0, filter.len() as u8]);
        body.extend(filter.as_bytes());
        body.push(1);
        siren.send(0x82, &body).await;
        let frames = [siren.next().await, siren.next().await];
        let retained = frames.iter().find(|frame| frame.kind == wire::PUBLISH).unwrap();
        assert_eq!(siren.read_publish(retained), (topic.to_owned(), b"{\"rev\":1}".to_vec()));
        assert_eq!(retained.flags & 1, 1, "marked as retained");
        station.publisher.publish(topic, b"{\"rev\":2}".to_vec()).await.unwrap();
        let live = siren.next().await;
        assert_eq!(siren.read_publish(&live).1, b"{\"rev\":2}");
        assert_eq!(live.flags & 1, 0, "live, not retained");
        station.publisher.publish(topic, Vec::new()).await.unwrap();
        let cleared = siren.next().await;
        assert_eq!(siren.read_publish(&cleared).1, b"");
        let mut late = Wire::connect(station.address, version, "late").await;
        assert!(late.subscribe(filter, 1).await <= 1);
        late.ping().await;
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_limited_to_alerts_and_own_commands() {
    for version in VERSIONS {
        let station = Station::start().await;
        let mut device = Wire::connect(station.address, version, "dev-1").await;
        let refusal = if version == 5 { 0x87 } else { 0x80 };
        for filter in ["#", "sen/v1/#", "cmd/dev-2/#", "sen/v1/dev-1/telemetry", "$SYS/#"] {
            assert_eq!(device.subscribe(filter, 1).await, refusal, "{version} {filter}");
        }
        for filter in ["sen/v1/alerts/#", "sen/v1/alerts/+/x", "cmd/dev-1/#"] {
            assert_eq!(device.subscribe(filter, 1).await, 1, "{version} {filter}");
        }
        station.publisher.publish("cmd/dev-1/go", b"now".to_vec()).await.unwrap();
        let order = device.next().await;
        assert_eq!(device.read_publish(&order).0, "cmd/dev-1/go");
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_publish_is_never_routed() {
    for version in VERSIONS {
        let station = Station::start().await;
        let mut siren = Wire::connect(station.address, version, "siren").await;
        assert_eq!(siren.subscribe("sen/v1/alerts/#", 1).await, 1);
        assert_eq!(siren.subscribe("cmd/siren/#", 1).await, 1);
        let mut thief = Wire::connect(station.address, version, "thief").await;
        for (id, topic) in [(1, "sen/v1/alerts/1/fake"), (2, "cmd/siren/off"), (3, "$SYS/x")] {
            // With the retain flag, so that a router would also keep it.
            thief.publish_flagged(topic, b"fake", 0x03, id).await;
            let answer = thief.next().await;
            let code = answer.body.get(2).copied().unwrap_or(0);
            assert_eq!((answer.kind, answer.id()), (wire::PUBACK, id));
            assert_eq!(code, if version == 5 { 0x87 } else { 0 }, "{topic}");
        }
        thief.publish("sen/v1/alerts/1/fake", b"fake", 0, 0).await;
        thief.ping().await;
        station.wait_for_records(&station.quarantine, 4).await;
        assert_eq!(station.reasons().await, [RejectReason::ReservedTopic; 4]);
        siren.ping().await;
        let mut late = Wire::connect(station.address, version, "late").await;
        assert_eq!(late.subscribe("sen/v1/alerts/#", 1).await, 1);
        late.ping().await;
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_heard_like_any_packet_and_only_when_the_client_was_lost() {
    for version in VERSIONS {
        let station = Station::start().await;
        let address = station.address;
        let will = |topic: &'static str, payload: &'static str| Hello {
            will: Some((topic, payload)),
            keep_alive_s: 30,
            ..Hello::default()
        };
        let polite = will("sen/v1/stn-1/telemetry", r#"{"polite":1}"#);
        Wire::connect_with(address, version, "a", polite).await.disconnect().await;
        let lost = will("sen/v1/stn-1/telemetry", r#"{"online":0}"#);
        drop(Wire::connect_with(address, version, "b", lost).await);
        station.wait_for_records(&station.readings, 1).await;
        assert_eq!(station.kept().await[0].readings[0].metric.as_str(), "online");

        let mut siren = Wire::connect(address, version, "siren").await;
        assert_eq!(siren.subscribe("sen/v1/alerts/#", 1).await, 1);
        let forged = will("sen/v1/alerts/1/fake", "fake");
        drop(Wire::connect_with(address, version, "c", forged).await);
        station.wait_for_records(&station.quarantine, 1).await;
        let record = all(&station.quarantine).await.remove(0);
        assert_eq!(record.reason, RejectReason::ReservedTopic);
        assert_eq!(record.payload, b"fake");
        siren.ping().await;
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_lost_after_one_and_a_half_keep_alives() {
    for version in VERSIONS {
        let station = Station::start().await;
        let hello =
            Hello { keep_alive_s: 1, will: Some((TOPIC, r#"{"online":0}"#)), ..Hello::default() };
        let mut silent = Wire::connect_with(station.address, version, "silent", hello).await;
        station.wait_for_records(&station.readings, 1).await;
        while silent.next_or_end().await.is_some() {}
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_client_of_one_name_takes_the_place_of_the_first() {
    for version in VERSIONS {
        let station = Station::start().await;
        let mut first = Wire::connect(station.address, version, "twin").await;
        let mut second = Wire::connect(station.address, version, "twin").await;
        if let Some(frame) = first.next_or_end().await {
            assert_eq!(frame.kind, wire::DISCONNECT);
            assert!(first.next_or_end().await.is_none());
        }
        second.publish(TOPIC, br#"{"a":1}"#, 1, 1).await;
        assert_eq!(second.next().await.kind, wire::PUBACK);
        station.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_as_long_as_its_connection_and_says_so() {
    for version in VERSIONS {
        let station = Station::start().await;
        let hello = Hello { keeps_session: true, ..Hello::default() };
        for _ in 0..2 {
            let mut siren = Wire::connect_with(station.address, version, "siren", hello).await;
            assert!(!siren.session_present, "nothing was kept, and nothing is claimed");
            assert_eq!(siren.subscribe("sen/v1/alerts/#", 1).await, 1);
            siren.disconnect().await;
        }
        station.stop().await;
    }
}
