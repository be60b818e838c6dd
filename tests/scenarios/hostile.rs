//! Names and values made to break out of where they are written: into line protocol, Flux, SQL, MQTT
//! filters, paths, logs. They end in quarantine, and every good reading beside them is stored.

use anyhow::ensure;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, payload_of, reading, topic_of};
use sen_tests::oracle::Report;
use serde_json::json;

use crate::{Centre, LEVEL, now_ms};

/// Metrics that no decoder may take.
const METRICS: [&str; 16] = [
    "x\\\" 1\nt,dev=victim v=0 2\n#",
    "level_m value=1 1790000000000000000",
    "level,device=victim",
    "level=1",
    "\"); drop table point; --",
    "v\") |> yield() //",
    "{job=~\".+\"}",
    "../../etc/passwd",
    "a\u{0}b",
    "a\r\nSet-Cookie: x",
    "\u{1b}[31mred",
    "\u{202e}m_level",
    "mức_nước",
    "<img src=x onerror=alert(1)>",
    "9starts_with_a_digit",
    "",
];

/// Devices that no topic may name.
const DEVICES: [&str; 7] = [
    "victim,metric=x value=0",
    "x\\\" 1,dev=victim v=0 2",
    "..",
    "Victim",
    "a b c",
    "trạm-1",
    "x'; drop table series; --",
];

/// Values, as they would stand in JSON, that are no numbers a sensor says.
const VALUES: [&str; 10] = [
    "1e400",
    "-1e400",
    "1e13",
    "null",
    "\"1\"",
    "\"1i\"",
    "\"true\"",
    "[1]",
    "{\"v\": 1}",
    "\"x\\\" 1\\nt,dev=victim v=0 2\"",
];

const GOOD: &str = "neighbour-1";

/// One good reading, told apart by its number.
fn good(begun_ms: i64, number: usize) -> Report {
    reading(GOOD, LEVEL, begun_ms + number as i64 * 1_000, 0.5 + number as f64 / 1_024.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_values_forge_nothing_and_cost_their_neighbours_nothing()
-> anyhow::Result<()> {
    let centre = Centre::start()?;
    let mut ledger = Ledger::default();
    let mut device = Device::connect("gateway-1", centre.mqtt_port()).await?;
    let begun_ms = now_ms() - 3_600_000;
    let mut number = 0;
    // In one packet with a good reading before and after it: the neighbours must be taken.
    let bad = METRICS.map(|metric| json!({metric: 1}).to_string());
    let bad = bad.into_iter().chain(VALUES.map(|value| format!("{{\"v\": {value}}}")));
    for values in bad {
        let neighbours = [good(begun_ms, number), good(begun_ms, number + 1)];
        number += 2;
        ledger.note_sent(&neighbours);
        let [first, last] = [&neighbours[..1], &neighbours[1..]].map(payload_of);
        let payload = format!(
            "[{},{{\"ts\": {begun_ms}, \"values\": {values}}},{}]",
            first.trim_matches(['[', ']']),
            last.trim_matches(['[', ']']),
        );
        ledger.refused(&mut device, &topic_of(GOOD), &payload).await?;
        ledger.note_acknowledged(&neighbours);
    }
    // And as the device, which the topic names.
    for name in DEVICES {
        ledger.refused(&mut device, &topic_of(name), "{\"v\": 1}").await?;
        ledger.report(&mut device, &[good(begun_ms, number)]).await?;
        number += 1;
    }
    // A metric that was a number, and is a text now, goes on as a number afterwards.
    ledger.refused(&mut device, &topic_of(GOOD), &format!("{{\"{LEVEL}\": \"high\"}}")).await?;
    ledger.report(&mut device, &[good(begun_ms, number)]).await?;
    let audit = ledger.audit(centre, "hostile names and values").await?;
    ensure!(audit.stored == audit.acknowledged && audit.stored == number + 1, "{audit:?}");
    Ok(())
}
