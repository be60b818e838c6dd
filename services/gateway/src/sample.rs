//! Values for the unit tests of this crate.

use sen_model::{AlertId, AlertRecord, AlertState, Change, DeviceId, Field, Metric, RuleId};
use sen_model::{Quality, Reading, ReadingBatch, Severity, Timestamp, text::Text};

/// A record of the alert `id`; revision 1 raises, 2 acknowledges, 3 and more clear.
pub(crate) fn alert(id: &str, rev: u32, field: Field) -> AlertRecord {
    let (change, state) = match rev {
        1 => (Change::Raised, AlertState::Unacknowledged),
        2 => (Change::Acknowledged, AlertState::Acknowledged),
        _ => (Change::Cleared, AlertState::Normal),
    };
    let at = Timestamp::from_millis(1_000 * i64::from(rev));
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
            Timestamp::from_millis(1_000),
        )
    }
}

/// One reading of one series.
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

/// A device with one metric.
pub(crate) fn device(id: &str, metric: &str) -> sen_model::Device {
    let spec = sen_model::MetricSpec {
        metric: Metric::new(metric).unwrap(),
        name: Text::new("Mực nước", "Water level"),
        unit: "m".into(),
        min: Some(-2.0),
        max: Some(9.0),
    };
    sen_model::Device {
        id: DeviceId::new(id).unwrap(),
        name: Text::new("Mỹ Tho", "My Tho"),
        kind: "river".into(),
        field: Field::Environment,
        area: sen_model::AreaCode::new("28261").unwrap(),
        lat: 10.35,
        lon: 106.36,
        interval_ms: 60_000,
        tags: Vec::new(),
        relations: sen_model::Relations::default(),
        metrics: vec![spec],
    }
}

/// A rule.
pub(crate) fn rule(id: &str) -> sen_model::Rule {
    sen_model::Rule {
        source: "a decision".into(),
        owner: Text::new("Đội", "Team"),
        response: sen_model::Response {
            steps: vec![Text::new("Gọi", "Call")],
            consequence: Text::new("Ngập", "Flooding"),
            within_ms: 600_000,
        },
        ..sen_model::Rule::new(
            RuleId::new(id).unwrap(),
            Text::new("Lũ", "Flood"),
            Field::Environment,
            Severity::HIGH,
            sen_model::Selector::default(),
            sen_model::Condition::Absence { missing_ms: 60_000 },
        )
    }
}

/// An event.
pub(crate) fn event(device: &str, id: &str) -> sen_model::Event {
    sen_model::Event {
        id: id.into(),
        device: DeviceId::new(device).unwrap(),
        kind: "crowd".into(),
        event_time: Timestamp::from_millis(1),
        received_at: Timestamp::from_millis(2),
        text: "đông người".into(),
        attributes: std::collections::BTreeMap::new(),
    }
}

/// Something refused.
pub(crate) fn refused(client: &str, topic: &str) -> sen_model::Quarantined {
    sen_model::Quarantined {
        received_at: Timestamp::from_millis(2),
        source: "mqtt".into(),
        client: client.into(),
        topic: topic.into(),
        reason: sen_model::RejectReason::BadJson,
        detail: "not JSON".into(),
        payload: b"x".to_vec(),
        payload_bytes: 1,
    }
}

/// A record of the desk.
pub(crate) fn entry(
    id: &str,
    rev: u32,
    open: bool,
    entry: sen_model::Entry,
) -> sen_model::DeskRecord {
    sen_model::DeskRecord {
        id: sen_model::EntryId::from_text(id),
        rev,
        open,
        by: "Lan".into(),
        at: Timestamp::from_millis(1_000 * i64::from(rev)),
        entry,
    }
}

/// Planned work on one device.
pub(crate) fn work() -> sen_model::Entry {
    let device = Some(DeviceId::new("stn-my-tho").unwrap());
    sen_model::Entry::Work {
        reach: sen_model::Reach { device, ..sen_model::Reach::default() },
        from: Timestamp::from_millis(1_000),
        until: Timestamp::from_millis(9_000),
        reason: "Thay cảm biến".into(),
    }
}

/// A shift of a desk.
pub(crate) fn shift(desk: Option<Field>) -> sen_model::Entry {
    sen_model::Entry::Shift {
        desk,
        from: Timestamp::from_millis(1_000),
        until: Timestamp::from_millis(9_000),
        to: "Minh".into(),
        text: "Bình thường".into(),
        open: Vec::new(),
        shelved: Vec::new(),
        suppressed: Vec::new(),
        out_of_service: Vec::new(),
        raised: 3,
        acknowledged: 2,
    }
}

/// A delivery about an alert to a person.
pub(crate) fn delivery(id: &str, rev: u32, alert: &str, person: &str) -> sen_model::Delivery {
    sen_model::Delivery {
        id: id.into(),
        rev,
        alert: AlertId::from_text(alert),
        step: 1,
        person: person.into(),
        channel: "push".into(),
        state: sen_model::DeliveryState::Waiting,
        attempts: 0,
        at: Timestamp::from_millis(1_000 * i64::from(rev)),
        detail: String::new(),
    }
}

/// An alert of which everything is known that people can say about one.
pub(crate) fn handled(mut record: AlertRecord) -> AlertRecord {
    use sen_model::alert::{Assignment, Closing, Explanation, Note, Shelving, Suppression};
    let (at, by) = (record.event_time, || "Lan".to_owned());
    let reason = "đang sửa".to_owned();
    record.shelving = Some(Shelving { by: by(), at, reason, until: at.plus_ms(1), one_shot: true });
    let why = Explanation::Level { alert: AlertId::from_text("b") };
    record.suppression = Some(Suppression { why, at, until: Some(at) });
    record.out_of_service = Some("out-1".into());
    record.assignment = Some(Assignment { to: "Minh".into(), by: by(), at });
    record.notes = vec![Note { by: by(), at, text: "đã gọi".into() }];
    let (cause, note) = (sen_model::Cause::Resolved, String::new());
    record.closing = Some(Closing { by: by(), at, cause, note });
    record.members = vec![AlertId::from_text("c")];
    record.attributes.insert("job".into(), "node".into());
    record
}
