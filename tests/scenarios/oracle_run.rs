//! A smaller oracle run with the real binary, killed at random: devices send again what was not
//! acknowledged, and in the end every tier of every series is what the oracle says.

use anyhow::ensure;
use sen_tests::chance::Chance;
use sen_tests::device::Device;
use sen_tests::history::{Extent, packets};
use sen_tests::ledger::{Ledger, payload_of, topic_of};

use crate::crashes::RESTLESS;
use crate::{Centre, now_ms};

const KILLS: u64 = Centre::often(8) as u64;

#[tokio::test(flavor = "multi_thread")]
async fn a_centre_that_is_killed_again_and_again_agrees_with_the_oracle() -> anyhow::Result<()> {
    // A day, so that a midnight lies in between.
    let begin_ms = now_ms() - 24 * 3_600_000;
    let extent = Extent { series: 24, readings: 500, begin_ms, step_ms: 140_000 };
    let mut chance = Chance::of(9);
    let packets = packets(extent, &mut chance);
    let mut centre = Centre::with(&[&RESTLESS[..], &FORGETFUL].concat(), &[])?;
    let mut ledger = Ledger::default();
    let mut left = &packets[..];
    for round in 0..=KILLS {
        let some = match round {
            KILLS => left.len(),
            _ => (chance.below(2 * packets.len() as u64 / KILLS) as usize).min(left.len()),
        };
        let mut device = Device::connect("gateway-1", centre.mqtt_port()).await?;
        for packet in &left[..some] {
            ledger.report(&mut device, packet).await?;
        }
        left = &left[some..];
        if let (true, Some(packet)) = (round < KILLS, left.first()) {
            // One is on its way when the process dies; it is sent again.
            ledger.note_sent(packet);
            let topic = topic_of(packet[0].series.device.as_str());
            device.publish_unanswered(&topic, &payload_of(packet)).await?;
        }
        if round < KILLS {
            centre.restart()?;
        }
    }
    let audit = ledger.audit(centre, "killed again and again").await?;
    ensure!(audit.stored == audit.acknowledged && audit.stored > 11_000, "{audit:?}");
    Ok(())
}

/// Windows leave memory at once.
const FORGETFUL: [(&str, &str); 1] = [("SEN__AGGREGATE__HOT_MS", "0")];
