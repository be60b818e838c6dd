//! What the id of a trace costs: `cargo run --release -p sen-model --example trace_id`.

use std::hint::black_box;
use std::time::Instant;

use sen_model::{DeviceId, InvalidName, Metric, Quality, Reading, ReadingBatch, Timestamp};

const PACKETS: u32 = 10_000_000;

#[expect(clippy::disallowed_methods, reason = "it measures, and the nouns know no clock")]
fn main() -> Result<(), InvalidName> {
    let reading = Reading {
        metric: Metric::new("water_level_m")?,
        event_time: Timestamp::from_millis(1_790_000_000_000),
        value: 1.0,
        quality: Quality::Good,
        sequence: 0,
    };
    let mut batch = ReadingBatch {
        device: DeviceId::new("stn-my-tho")?,
        received_at: Timestamp::from_millis(1_790_000_000_000),
        readings: vec![reading; 3],
    };
    let started = Instant::now();
    let mut traced = 0_u32;
    for _ in 0..PACKETS {
        batch.received_at = batch.received_at.plus_ms(1);
        traced += u32::from((black_box(&batch).trace_id() as u64).is_multiple_of(1_000));
    }
    let each = started.elapsed() / PACKETS;
    println!("{each:?} a packet; {traced} of {PACKETS} are traced");
    Ok(())
}
