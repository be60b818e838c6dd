//! Small rules, devices and readings for the tests of this crate.

use sen_model::{
    AreaCode, Bound, Condition, Device, DeviceId, Field, Limit, Metric, MetricSpec, Place,
    PlaceKind, Quality, Reading, ReadingBatch, Registry, Relations, Response, Rule, RuleId,
    Selector, Severity, Text, Timestamp,
};

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn device_id(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

pub(crate) fn metric(name: &str) -> Metric {
    Metric::new(name).unwrap()
}

/// River stations `stn-a` and `stn-b` in Mỹ Tho, measuring `level`; a pump `pump-1` elsewhere.
pub(crate) fn registry() -> Registry {
    let area = AreaCode::new("28261").unwrap();
    let device = |id: &str, kind: &str, metrics: &[&str]| Device {
        id: device_id(id),
        name: Text::new(format!("Trạm {id}"), format!("Station {id}")),
        kind: kind.into(),
        field: Field::Environment,
        area: area.clone(),
        lat: 10.35,
        lon: 106.37,
        interval_ms: 1_000,
        tags: Vec::new(),
        relations: Relations::default(),
        metrics: metrics
            .iter()
            .map(|name| MetricSpec {
                metric: metric(name),
                name: Text::new("Mực nước", "Water level"),
                unit: "m".into(),
                min: None,
                max: None,
            })
            .collect(),
    };
    let place = Place {
        id: "ward-28261".into(),
        name: Text::new("Phường Mỹ Tho", "My Tho Ward"),
        kind: PlaceKind::Ward,
        lat: 10.35,
        lon: 106.37,
        area_km2: 6.4,
        area: Some(area.clone()),
    };
    let devices = vec![
        device("stn-a", "river", &["level"]),
        device("stn-b", "river", &["level"]),
        device("pump-1", "pump", &["power", "level"]),
    ];
    Registry::new(devices, vec![place])
}

pub(crate) fn rule(id: &str, condition: Condition) -> Rule {
    let metrics = match condition {
        Condition::Threshold { .. } => vec![metric("level")],
        _ => Vec::new(),
    };
    Rule {
        id: RuleId::new(id).unwrap(),
        name: Text::new("Báo động III Mỹ Tho", "Alarm level III Mỹ Tho"),
        field: Field::Environment,
        severity: Severity::CRITICAL,
        selector: Selector { kinds: vec!["river".into()], metrics, ..Selector::default() },
        condition,
        source: "QĐ 05/2020/QĐ-TTg".into(),
        owner: Text::new("Ban Chỉ huy", "Command"),
        response: Response {
            steps: vec![Text::new("Báo ngay", "Tell at once")],
            consequence: Text::new("Ngập", "Flooding"),
            within_ms: 300_000,
        },
        ..Rule::new(
            RuleId::new(id).unwrap(),
            Text::default(),
            Field::Environment,
            Severity::CRITICAL,
            Selector::default(),
            Condition::Absence { missing_ms: 0 },
        )
    }
}

/// At least 1.6, with these timings.
pub(crate) fn limit(clear: Option<f64>, for_ms: i64, clear_for_ms: i64) -> Condition {
    Condition::Threshold {
        limit: Limit { bound: Bound::AtLeast(1.6), clear, for_ms, clear_for_ms },
    }
}

pub(crate) fn reading(event_ms: i64, value: f64) -> Reading {
    Reading {
        metric: metric("level"),
        event_time: at(event_ms),
        value,
        quality: Quality::Good,
        sequence: 0,
    }
}

pub(crate) fn batch(device: &str, received_ms: i64, readings: Vec<Reading>) -> ReadingBatch {
    ReadingBatch { device: device_id(device), received_at: at(received_ms), readings }
}

/// One level of one station, received when measured.
pub(crate) fn level(device: &str, ms: i64, value: f64) -> ReadingBatch {
    batch(device, ms, vec![reading(ms, value)])
}
