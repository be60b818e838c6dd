//! Pure: what a device puts on the wire: Sen's native topics and JSON payloads, and now and then
//! the rubbish a faulty device sends.

use serde_json::{Map, Value, json};

use sen_model::{DeviceId, Metric};

use crate::happening::Happening;

/// What goes out in one MQTT publish.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packet {
    /// `sen/v1/{device}/telemetry` or `…/event`.
    pub topic: String,
    /// JSON, unless the device is faulty.
    pub payload: Vec<u8>,
}

/// What a device measured at one time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What each metric showed.
    pub values: Vec<(Metric, f64)>,
}

impl Measured {
    fn to_json(&self) -> Value {
        let values: Map<String, Value> =
            self.values.iter().map(|(metric, value)| (metric.to_string(), json!(value))).collect();
        json!({ "ts": self.at_ms, "values": values })
    }
}

/// One measurement as it is made.
pub(crate) fn telemetry(device: &DeviceId, measured: &Measured) -> Packet {
    packet(device, "telemetry", &measured.to_json())
}

/// Several measurements that had to wait, in one array.
pub(crate) fn flush(device: &DeviceId, kept: &[Measured]) -> Packet {
    packet(device, "telemetry", &kept.iter().map(Measured::to_json).collect())
}

/// One happening, at `at_ms` of the clock.
pub(crate) fn event(device: &DeviceId, happening: &Happening, at_ms: i64) -> Packet {
    let body = json!({
        "id": happening.id,
        "ts": at_ms,
        "kind": happening.kind,
        "text": happening.text,
        "attributes": happening.attributes,
    });
    packet(device, "event", &body)
}

fn packet(device: &DeviceId, leaf: &str, body: &Value) -> Packet {
    Packet { topic: format!("sen/v1/{device}/{leaf}"), payload: body.to_string().into_bytes() }
}

/// How many kinds of rubbish [`rubbish`] knows.
pub(crate) const RUBBISH_KINDS: usize = 6;

/// What a faulty device sends in place of a measurement; `kind` below [`RUBBISH_KINDS`].
pub(crate) fn rubbish(device: &DeviceId, measured: &Measured, kind: usize) -> Packet {
    let good = telemetry(device, measured);
    let metric = measured.values.first().map_or("value", |(metric, _)| metric.as_str());
    let payload = match kind {
        // Cut off in the middle, as by a serial line.
        0 => good.payload[..good.payload.len() / 2].to_vec(),
        1 => format!(r#"{{"ts":{},"values":{{"{metric}":"--"}}}}"#, measured.at_ms).into_bytes(),
        2 => format!(r#"{{"ts":{},"values":{{"{metric}":1e400}}}}"#, measured.at_ms).into_bytes(),
        // A clock that was never set: 1 January 2000.
        3 => format!(r#"{{"ts":946684800000,"values":{{"{metric}":1}}}}"#).into_bytes(),
        4 => vec![0xff, 0xfe, 0x00, 0x9d],
        _ => b"ERR 07 SENSOR NOT FOUND".to_vec(),
    };
    Packet { payload, ..good }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> (DeviceId, Measured) {
        let level = Metric::new("water_level_m").unwrap();
        (DeviceId::new("stn-my-tho").unwrap(), Measured { at_ms: 17, values: vec![(level, 1.25)] })
    }

    #[test]
    fn speaks_the_native_payloads() {
        let (device, one) = measured();
        let packet = telemetry(&device, &one);
        assert_eq!(packet.topic, "sen/v1/stn-my-tho/telemetry");
        assert_eq!(packet.payload, br#"{"ts":17,"values":{"water_level_m":1.25}}"#);
        let many = flush(&device, &[one.clone(), one]);
        let many: Value = serde_json::from_slice(&many.payload).unwrap();
        assert_eq!(many[1]["values"]["water_level_m"], 1.25);
    }

    #[test]
    fn rubbish_is_never_a_reading_of_today() {
        let (device, one) = measured();
        for kind in 0..RUBBISH_KINDS {
            let packet = rubbish(&device, &one, kind);
            let parsed: Result<Value, _> = serde_json::from_slice(&packet.payload);
            let good = parsed
                .is_ok_and(|body| body["ts"] == 17 && body["values"]["water_level_m"].is_number());
            assert!(!good, "{kind}: {:?}", String::from_utf8_lossy(&packet.payload));
        }
    }
}
