//! Alerts, readings, devices and rules as the tests need them.

use std::collections::BTreeMap;

use sen_model::*;

use crate::house::NOW_MS;

pub(crate) fn alert(id: &str, rev: u32, field: Field) -> AlertRecord {
    let (change, state) = match rev {
        1 => (Change::Raised, AlertState::Unacknowledged),
        2 => (Change::Acknowledged, AlertState::Acknowledged),
        _ => (Change::Cleared, AlertState::Normal),
    };
    let at = Timestamp::from_millis(NOW_MS + i64::from(rev));
    AlertRecord {
        rev,
        change,
        state,
        metric: Some(Metric::new("water_level_m").unwrap()),
        value: Some(1.62),
        limit: Some(1.6),
        event_time: at,
        cleared_at: (state == AlertState::Normal).then_some(at),
        recorded_at: at,
        text: Text::new("Mực nước cao", "High water"),
        ..AlertRecord::raised(
            AlertId::from_text(id),
            RuleId::new("flood").unwrap(),
            "1".into(),
            Severity::HIGH,
            field,
            DeviceId::new("stn-my-tho").unwrap(),
            at,
        )
    }
}

pub(crate) fn batch(device: &str, metric: &str, at_ms: i64, value: f64) -> ReadingBatch {
    ReadingBatch {
        device: DeviceId::new(device).unwrap(),
        received_at: Timestamp::from_millis(at_ms + 5),
        readings: vec![Reading {
            metric: Metric::new(metric).unwrap(),
            event_time: Timestamp::from_millis(at_ms),
            value,
            quality: Quality::Good,
            sequence: 0,
        }],
    }
}

pub(crate) fn refused(topic: &str, reason: RejectReason) -> Quarantined {
    Quarantined {
        received_at: Timestamp::from_millis(NOW_MS),
        source: "mqtt".into(),
        client: "gw-1".into(),
        topic: topic.into(),
        reason,
        detail: "not good".into(),
        payload: b"<script>".to_vec(),
        payload_bytes: 8,
    }
}

pub(crate) fn event(device: &str, id: &str) -> Event {
    Event {
        id: id.into(),
        device: DeviceId::new(device).unwrap(),
        kind: "crowd".into(),
        event_time: Timestamp::from_millis(NOW_MS),
        received_at: Timestamp::from_millis(NOW_MS),
        text: "đông người".into(),
        attributes: BTreeMap::new(),
    }
}

pub(crate) fn device(id: &str) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        name: Text::new("Mỹ Tho", "My Tho"),
        kind: "river".into(),
        field: Field::Environment,
        area: AreaCode::new("28261").unwrap(),
        lat: 10.35,
        lon: 106.36,
        interval_ms: 60_000,
        tags: Vec::new(),
        relations: sen_model::Relations::default(),
        metrics: vec![MetricSpec {
            metric: Metric::new("water_level_m").unwrap(),
            name: Text::new("Mực nước", "Water level"),
            unit: "m".into(),
            min: None,
            max: None,
        }],
    }
}

/// A device of a kind in an area, with one metric.
pub(crate) fn station(id: &str, kind: &str, area: &str, metric: &str, unit: &str) -> Device {
    let mut station = device(id);
    station.kind = kind.into();
    station.area = AreaCode::new(area).unwrap();
    station.metrics[0].metric = Metric::new(metric).unwrap();
    station.metrics[0].unit = unit.into();
    station
}

pub(crate) fn places() -> Vec<Place> {
    let place = |code: &str, lon: f64| Place {
        id: format!("ward-{code}"),
        name: Text::new("Phường", "Ward"),
        kind: PlaceKind::Ward,
        lat: 10.35,
        lon,
        area_km2: 20.0,
        area: Some(AreaCode::new(code).unwrap()),
    };
    vec![place("28261", 106.36), place("28262", 106.40)]
}

pub(crate) fn rule(id: &str) -> Rule {
    Rule {
        source: "a decision".into(),
        owner: Text::new("Đội", "Team"),
        response: sen_model::Response {
            steps: vec![Text::new("Gọi", "Call")],
            consequence: Text::new("Ngập", "Flooding"),
            within_ms: 600_000,
        },
        ..Rule::new(
            RuleId::new(id).unwrap(),
            Text::new("Lũ", "Flood"),
            Field::Environment,
            Severity::HIGH,
            Selector::default(),
            Condition::Absence { missing_ms: 60_000 },
        )
    }
}

/// A record of the desk.
pub(crate) fn entry(id: &str, rev: u32, open: bool, entry: Entry) -> DeskRecord {
    let (id, at) = (EntryId::from_text(id), Timestamp::from_millis(NOW_MS));
    DeskRecord { id, rev, open, by: "Lan".into(), at, entry }
}

/// A delivery about an alert to a person.
pub(crate) fn delivery(id: &str, rev: u32, alert: &str, person: &str) -> Delivery {
    Delivery {
        id: id.into(),
        rev,
        alert: AlertId::from_text(alert),
        step: 1,
        person: person.into(),
        channel: "push".into(),
        state: DeliveryState::Waiting,
        attempts: rev,
        at: Timestamp::from_millis(NOW_MS),
        detail: String::new(),
    }
}
