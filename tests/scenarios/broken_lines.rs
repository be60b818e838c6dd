//! Lines that are half open: nothing passes and nobody is told. Each end notices by itself, the
//! connection is made anew, and nothing is lost or doubled.

use anyhow::ensure;
use sen_chassis::clock::Stopwatch;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, payload_of, reading, topic_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::behind_a_broker::{Mosquitto, broker_is, with_source};
use crate::broken_brokers::{NOTICED, all_came, soon};
use crate::fleet::Fleet;
use crate::line::Line;
use crate::{Centre, GAUGE, LEVEL, now_ms};

/// A CONNECT of MQTT 3.1.1 as `half-open`, with a clean session and a keep-alive of 4 s.
const CONNECT: &[u8] = b"\x10\x15\x00\x04MQTT\x04\x02\x00\x04\x00\x09half-open";
/// The CONNACK to it.
const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_line_to_the_broker_is_noticed_and_nothing_is_lost() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let broker = Mosquitto::start(folder.path()).await?;
    let line = Line::to(&format!("127.0.0.1:{}", broker.port())).await?;
    let mut centre = Centre::start()?;
    with_source(&mut centre, line.port())?;
    broker_is(&centre, true).await;
    let mut fleet = Fleet::of(3);
    for _ in 0..2 {
        fleet.report_to(broker.port());
        fleet.acknowledged(150).await;
        line.fall_silent();
        // The broker notices nothing and holds what the devices go on reporting.
        fleet.acknowledged(150).await;
        fleet.stop().await;
        soon(&centre, false).await?;
        line.mend();
        soon(&centre, true).await?;
    }
    all_came(&centre, &fleet).await;
    let audit = fleet.audit(centre, "half-open to the broker").await?;
    ensure!(audit.stored == audit.acknowledged, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_line_is_half_open_comes_back_on_another() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let line = Line::to(centre.mqtt()).await?;
    let mut ledger = Ledger::default();
    let begun_ms = now_ms() - 3_600_000;
    let readings = |from: i64| -> Vec<_> {
        (from..from + 5).map(|n| reading(GAUGE, LEVEL, begun_ms + n, 0.5)).collect()
    };
    let mut device = Device::connect("gw-1", line.port()).await?;
    ledger.report(&mut device, &readings(0)).await?;
    let mut silent = TcpStream::connect(line.near()).await?;
    silent.write_all(CONNECT).await?;
    let mut answer = [0; 4];
    silent.read_exact(&mut answer).await?;
    ensure!(answer == ACCEPTED, "{answer:?}");

    line.fall_silent();
    let since = Stopwatch::start();
    // What left has no PUBACK: the device may not forget it.
    let kept = readings(100);
    ledger.note_sent(&kept);
    device.publish_unanswered(&topic_of(GAUGE), &payload_of(&kept)).await?;
    // The centre ends who has not been heard of for one and a half keep-alives.
    ensure!(silent.read(&mut answer).await? == 0, "the centre said something");
    let took = since.elapsed();
    println!("the centre gave a half-open device up after {took:?}");
    ensure!(took < NOTICED, "given up only after {took:?}");

    // The same device by another way, while its old connection seems to live.
    let mut again = Device::connect("gw-1", centre.mqtt_port()).await?;
    ledger.report(&mut again, &kept).await?;
    ledger.report(&mut again, &readings(200)).await?;
    // What was on its way comes late, into a connection that nobody has any more, or as a repeat.
    line.mend();
    ledger.report(&mut again, &readings(300)).await?;
    let audit = ledger.audit(centre, "half-open from a device").await?;
    ensure!(audit.stored == audit.sent && audit.sent == 20, "{audit:?}");
    Ok(())
}
