//! The stormy hours of the simulated day, told to the real binary, which is killed ten times
//! meanwhile: its alerts are the oracle's, each once.

use std::collections::BTreeSet;

use anyhow::ensure;
use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use sen_model::{Condition, ReadingBatch, Rule, Timestamp};
use sen_tests::chance::Chance;
use sen_tests::day::{BEGIN_MS, DAY, END_MS};
use sen_tests::device::Device;
use sen_tests::judging::{by_rule, episodes, must_agree, reports_of};
use sen_tests::ledger::{payload_of, topic_of};
use sen_tests::oracle::Oracle;
use sen_tests::oracle::alerts::of_readings;
use sen_tests::trial::{alert_log_of, configuration};

use crate::crashes::RESTLESS;
use crate::{Centre, now_ms};

const KILLS: usize = Centre::often(10);
/// When a flood, salt water and a storm of alarms begin, and how much of each is told.
const BEGIN_H: [i64; 3] = [5, 10, 20];
const LASTS_MS: i64 = 12 * MINUTE_MS;

/// Rules that judge one reading after the other, by nothing but these: windows of the past are over
/// by the real clock before they are told.
fn is_judged_here(rule: &Rule) -> bool {
    matches!(
        rule.condition,
        Condition::Threshold { .. }
            | Condition::Levels { .. }
            | Condition::Rate { .. }
            | Condition::Delta { .. }
            | Condition::Frozen { .. }
    )
}

/// What is told, as if it had happened on the last day that is over by now.
fn told() -> Vec<ReadingBatch> {
    let shift_ms = (now_ms() - END_MS).div_euclid(DAY_MS) * DAY_MS;
    let is_stormy = |packet: &&ReadingBatch| {
        let since_ms = packet.received_at.as_millis() - BEGIN_MS;
        BEGIN_H.iter().any(|hour| (hour * HOUR_MS..hour * HOUR_MS + LASTS_MS).contains(&since_ms))
    };
    let shifted = |packet: &ReadingBatch| {
        let mut packet = packet.clone();
        for reading in &mut packet.readings {
            reading.event_time = Timestamp::from_millis(reading.event_time.as_millis() + shift_ms);
        }
        packet
    };
    DAY.packets.iter().filter(is_stormy).map(shifted).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_ten_times_in_stormy_hours_it_tells_the_alerts_of_the_oracle() -> anyhow::Result<()>
{
    let mut centre = Centre::with(&RESTLESS, &[])?;
    let (registry, mut rules) = configuration(&centre.config())?;
    rules.retain(is_judged_here);
    let packets = told();
    let expected = of_readings(&rules, &registry, &Oracle::of(reports_of(&packets)), i64::MIN);
    ensure!(expected.len() > 50, "{} episodes prove little", expected.len());
    let mut chance = Chance::of(50);
    let kills: BTreeSet<u64> =
        std::iter::repeat_with(|| chance.below(packets.len() as u64)).take(KILLS).collect();
    let mut gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
    for (number, packet) in (0_u64..).zip(&packets) {
        let topic = topic_of(packet.device.as_str());
        let payload = payload_of(&reports_of(std::slice::from_ref(packet)));
        if kills.contains(&number) {
            gateway.publish_unanswered(&topic, &payload).await?;
            centre.restart()?;
            gateway = Device::connect("gateway-1", centre.mqtt_port()).await?;
        }
        gateway.publish(&topic, &payload).await?;
    }
    // A centre that is stopped judges everything first.
    let mut told = episodes(&alert_log_of(centre).await?)?;
    told.retain(|episode| rules.iter().any(|rule| rule.id == episode.rule));
    must_agree(&told, &expected)?;
    println!(
        "{} packets, {} kills, {} episodes agree: {:?}",
        packets.len(),
        kills.len(),
        told.len(),
        by_rule(&told)
    );
    Ok(())
}
